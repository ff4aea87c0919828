"""Linear layers between representations of a finite group, their dense weights tied to fewer free ones.

A regular representation has one channel for each element of the group, which it permutes: ``(g x)_h = x_{g^-1 h}``. The
layers here are all linear maps that commute with the group from any representation into copies of it, between copies of it,
and out of it into any representation (Cohen and Welling, arXiv 1602.07576; Finzi et al., arXiv 2104.09459). Channels are
ordered by element first: channel ``g n + i`` is element g of copy i.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from eqrl.nn.constants import ExactModule
from eqrl.symmetry import Element, Group

# singular values below this share of the largest one are zero up to rounding
_ZERO = 1e-9


class Tied(ExactModule):
    """A linear layer with dense weights that are built from the free ones, and so commute with the group for any values.

    Attributes:
        weight: the free weights.
        bias: the free offsets, or None where the group allows no offset.
    """

    weight: nn.Parameter
    bias: nn.Parameter | None

    def dense(self) -> tuple[Tensor, Tensor | None]:
        """The weights ``(out, in)`` and offsets ``(out,)`` of the linear layer that this one is."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, in)`` to ``(B, out)``."""
        return functional.linear(x, *self.dense())


class Lift(Tied):
    """Any representation into ``copies`` regular ones: row g of a copy is its first row, applied to ``g^-1 x``."""

    inverses: Tensor

    def __init__(self, matrices: Tensor, copies: int, gain: float) -> None:
        """Start with orthogonal dense weights of the given gain and no offset.

        Args:
            matrices: the input's matrices, the identity first, shape ``(order, in, in)``, float64.
            copies: number of regular representations.
            gain: factor of the initial weights.
        """
        super().__init__()
        self.order = len(matrices)
        self.register_constant("inverses", matrices.mT.contiguous())
        start = _orthogonal(_lifted(_normal(copies, matrices.shape[1]), matrices.mT), gain)[:copies]
        self.weight = nn.Parameter(start.to(self.inverses.dtype))
        self.bias = nn.Parameter(torch.zeros(copies))

    def dense(self) -> tuple[Tensor, Tensor | None]:
        """Dense weights ``(order * copies, in)`` and offsets."""
        assert self.bias is not None
        return _lifted(self.weight, self.inverses), self.bias.repeat(self.order)


class Convolve(Tied):
    """Regular representations into regular ones: ``W[g, h] = w[g^-1 h]``, a convolution over the group."""

    relative: Tensor

    def __init__(self, relative: Tensor, copies_in: int, copies_out: int, gain: float) -> None:
        """Start with orthogonal dense weights of the given gain and no offset.

        Args:
            relative: number of the element ``g^-1 h`` for each pair, shape ``(order, order)``; see :func:`relations`.
            copies_in: number of regular representations of the input.
            copies_out: number of them in the output.
            gain: factor of the initial weights.
        """
        super().__init__()
        self.order = len(relative)
        self.register_constant("relative", relative.flatten())
        start = _orthogonal(_convolved(_normal(self.order, copies_out, copies_in), self.relative), gain)
        first = start[:copies_out].view(copies_out, self.order, copies_in).transpose(0, 1)
        self.weight = nn.Parameter(first.to(torch.get_default_dtype()).contiguous())
        self.bias = nn.Parameter(torch.zeros(copies_out))

    def dense(self) -> tuple[Tensor, Tensor | None]:
        """Dense weights ``(order * copies_out, order * copies_in)`` and offsets."""
        assert self.bias is not None
        return _convolved(self.weight, self.relative), self.bias.repeat(self.order)


class Project(Tied):
    """Regular representations into any one: the sum over g of ``g`` times one map."""

    transposes: Tensor
    fixed: Tensor

    def __init__(self, matrices: Tensor, copies: int, gain: float) -> None:
        """Start with orthogonal dense weights of the given gain and no offset.

        Args:
            matrices: the output's matrices, the identity first, shape ``(order, out, out)``, float64.
            copies: number of regular representations of the input.
            gain: factor of the initial weights.
        """
        super().__init__()
        self.register_constant("transposes", matrices.mT.contiguous())
        start = _orthogonal(_lifted(_normal(copies, matrices.shape[1]), matrices.mT).mT, gain)[:, :copies]
        self.weight = nn.Parameter(start.mT.to(self.transposes.dtype).contiguous())
        self.bias = _offset(self, matrices)

    def dense(self) -> tuple[Tensor, Tensor | None]:
        """Dense weights ``(out, order * copies)`` and offsets."""
        return _lifted(self.weight, self.transposes).mT, None if self.bias is None else self.fixed @ self.bias


class Average(Tied):
    """Any representation into any other: the mean over g of ``g w g^-1``. A network without hidden layers is one."""

    outer: Tensor
    inner: Tensor
    fixed: Tensor

    def __init__(self, in_matrices: Tensor, out_matrices: Tensor, gain: float) -> None:
        """Start with orthogonal dense weights of the given gain and no offset.

        Args:
            in_matrices: the input's matrices, shape ``(order, in, in)``, float64.
            out_matrices: the output's matrices, shape ``(order, out, out)``, float64.
            gain: factor of the initial weights.
        """
        super().__init__()
        self.register_constant("outer", out_matrices)
        self.register_constant("inner", in_matrices.mT.contiguous())
        start = _normal(out_matrices.shape[1], in_matrices.shape[1])
        start = _orthogonal((out_matrices @ start @ in_matrices.mT).mean(0), gain)
        self.weight = nn.Parameter(start.to(self.outer.dtype))
        self.bias = _offset(self, out_matrices)

    def dense(self) -> tuple[Tensor, Tensor | None]:
        """Dense weights ``(out, in)`` and offsets."""
        mean = (self.outer @ self.weight @ self.inner).mean(0)
        return mean, None if self.bias is None else self.fixed @ self.bias


def relations(group: Group) -> Tensor:
    """For each pair (g, h) of a finite group the number of ``g^-1 h``, shape ``(order, order)``, int64.

    Raises:
        ValueError: for a continuous group.
    """
    elements = group.elements()
    # one generic number for each element tells them apart, which is far cheaper than comparing all matrices with all
    names = sorted(elements.h)
    width = 9 + sum(elements.h[name][0].numel() for name in names)
    generic = torch.randn(width, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def number(of: Element) -> Tensor:
        return torch.cat([of.R.flatten(1), *(of.h[name].flatten(1) for name in names)], dim=1) @ generic

    known, order = number(elements).sort()
    products = [number(elements[i].inverse().compose(elements)) for i in range(len(known))]
    return order[torch.searchsorted(known, torch.stack(products) - _ZERO)]


def _lifted(weight: Tensor, matrices: Tensor) -> Tensor:
    """Rows ``weight @ matrix``, one matrix after another."""
    return (weight @ matrices).flatten(0, 1)


def _convolved(weight: Tensor, relative: Tensor) -> Tensor:
    order, n_out, n_in = weight.shape
    blocks = weight.index_select(0, relative).view(order, order, n_out, n_in)
    return blocks.transpose(1, 2).reshape(order * n_out, order * n_in)


def _offset(layer: Tied, matrices: Tensor) -> nn.Parameter | None:
    """Free offsets of an output; the projection onto what the group leaves alone becomes the constant ``fixed``."""
    fixed = matrices.mean(0)
    if bool((fixed.abs() < _ZERO).all()):
        return None
    layer.register_constant("fixed", fixed)
    return nn.Parameter(torch.zeros(len(fixed)))


def _normal(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def _orthogonal(weight: Tensor, gain: float) -> Tensor:
    """The orthogonal factor of dense weights, times a gain. It commutes with whatever the weights commute with.

    Directions that the group rules out have singular value zero and stay out.
    """
    if not weight.numel():
        return weight
    left, values, right = torch.linalg.svd(weight, full_matrices=False)
    kept = values > _ZERO * values[0]
    factor: Tensor = left[:, kept] @ right[kept]
    return gain * factor
