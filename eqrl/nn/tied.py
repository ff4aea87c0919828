"""Equivariant linear layers for a finite group, with dense weights tied to fewer free ones.

A regular representation has one channel for each element of the group, and the group permutes them:
``(g x)_h = x_{g^-1 h}``. These layers span all equivariant linear maps from any representation to n regular ones,
between regular ones, and from regular ones to any representation (Cohen and Welling, arXiv 1602.07576; Finzi et al.,
arXiv 2104.09459). Channels are ordered by element first: channel ``g n + i`` belongs to element g of copy i.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from eqrl.nn.constants import ExactModule
from eqrl.symmetry import Element, Group

# singular values below this fraction of the largest one are zero up to rounding
_ZERO = 1e-9


class Tied(ExactModule):
    """A linear layer whose dense weights are built from free ones and commute with the group for all values of these.

    Attributes:
        weight: the free weights.
        bias: the free biases, or None where the group allows none.
    """

    weight: nn.Parameter
    bias: nn.Parameter | None

    def dense(self) -> tuple[Tensor, Tensor | None]:
        """Dense weights ``(out, in)`` and biases ``(out,)`` of the equivalent plain linear layer."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, in)`` to ``(B, out)``."""
        return functional.linear(x, *self.dense())


class Lift(Tied):
    """From any representation to ``copies`` regular ones: row g of a copy is its first row, applied to ``g^-1 x``."""

    inverses: Tensor

    def __init__(self, matrices: Tensor, copies: int, gain: float) -> None:
        """Initialise with orthogonal dense weights of the given gain and zero biases.

        Args:
            matrices: matrices of the group's elements on the input, the identity first, shape ``(order, in, in)``,
                float64.
            copies: number of regular representations.
            gain: factor on the initial weights.
        """
        super().__init__()
        self.order = len(matrices)
        self.register_constant("inverses", matrices.mT.contiguous())
        start = _orthogonal(_lifted(_normal(copies, matrices.shape[1]), matrices.mT), gain)[:copies]
        self.weight = nn.Parameter(start.to(self.inverses.dtype))
        self.bias = nn.Parameter(torch.zeros(copies))

    def dense(self) -> tuple[Tensor, Tensor | None]:
        """Dense weights ``(order * copies, in)`` and biases."""
        assert self.bias is not None
        return _lifted(self.weight, self.inverses), self.bias.repeat(self.order)


class Convolve(Tied):
    """From regular representations to regular ones: ``W[g, h] = w[g^-1 h]``, a convolution over the group."""

    relative: Tensor

    def __init__(self, relative: Tensor, copies_in: int, copies_out: int, gain: float) -> None:
        """Initialise with orthogonal dense weights of the given gain and zero biases.

        Args:
            relative: index of the element ``g^-1 h`` for each pair, shape ``(order, order)``; see :func:`relations`.
            copies_in: number of regular representations in the input.
            copies_out: number of regular representations in the output.
            gain: factor on the initial weights.
        """
        super().__init__()
        self.order = len(relative)
        self.register_constant("relative", relative.flatten())
        start = _orthogonal(_convolved(_normal(self.order, copies_out, copies_in), self.relative), gain)
        first = start[:copies_out].view(copies_out, self.order, copies_in).transpose(0, 1)
        self.weight = nn.Parameter(first.to(torch.get_default_dtype()).contiguous())
        self.bias = nn.Parameter(torch.zeros(copies_out))

    def dense(self) -> tuple[Tensor, Tensor | None]:
        """Dense weights ``(order * copies_out, order * copies_in)`` and biases."""
        assert self.bias is not None
        return _convolved(self.weight, self.relative), self.bias.repeat(self.order)


class Project(Tied):
    """From regular representations to any representation: the sum over g of ``g`` times one map."""

    transposes: Tensor
    fixed: Tensor

    def __init__(self, matrices: Tensor, copies: int, gain: float) -> None:
        """Initialise with orthogonal dense weights of the given gain and zero biases.

        Args:
            matrices: matrices of the group's elements on the output, the identity first, shape ``(order, out, out)``,
                float64.
            copies: number of regular representations in the input.
            gain: factor on the initial weights.
        """
        super().__init__()
        self.register_constant("transposes", matrices.mT.contiguous())
        start = _orthogonal(_lifted(_normal(copies, matrices.shape[1]), matrices.mT).mT, gain)[:, :copies]
        self.weight = nn.Parameter(start.mT.to(self.transposes.dtype).contiguous())
        self.bias = _bias(self, matrices)

    def dense(self) -> tuple[Tensor, Tensor | None]:
        """Dense weights ``(out, order * copies)`` and biases."""
        return _lifted(self.weight, self.transposes).mT, None if self.bias is None else self.fixed @ self.bias


class Average(Tied):
    """From any representation to any other: the mean over g of ``g w g^-1``.

    The whole of a network without hidden layers.
    """

    outer: Tensor
    inner: Tensor
    fixed: Tensor

    def __init__(self, in_matrices: Tensor, out_matrices: Tensor, gain: float) -> None:
        """Initialise with orthogonal dense weights of the given gain and zero biases.

        Args:
            in_matrices: matrices of the group's elements on the input, shape ``(order, in, in)``, float64.
            out_matrices: matrices of the group's elements on the output, shape ``(order, out, out)``, float64.
            gain: factor on the initial weights.
        """
        super().__init__()
        self.register_constant("outer", out_matrices)
        self.register_constant("inner", in_matrices.mT.contiguous())
        start = _normal(out_matrices.shape[1], in_matrices.shape[1])
        start = _orthogonal((out_matrices @ start @ in_matrices.mT).mean(0), gain)
        self.weight = nn.Parameter(start.to(self.outer.dtype))
        self.bias = _bias(self, out_matrices)

    def dense(self) -> tuple[Tensor, Tensor | None]:
        """Dense weights ``(out, in)`` and biases."""
        mean = (self.outer @ self.weight @ self.inner).mean(0)
        return mean, None if self.bias is None else self.fixed @ self.bias


def relations(group: Group) -> Tensor:
    """For each pair (g, h) of elements of a finite group the index of ``g^-1 h``, shape ``(order, order)``, int64.

    Raises:
        ValueError: for a continuous group.
    """
    elements = group.elements()
    # a random projection gives each element one number to recognise it by, far cheaper than comparing all pairs of
    # matrices
    names = sorted(elements.h)
    width = 9 + sum(elements.h[name][0].numel() for name in names)
    generic = torch.randn(width, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def fingerprint(batch: Element) -> Tensor:
        return torch.cat([batch.R.flatten(1), *(batch.h[name].flatten(1) for name in names)], dim=1) @ generic

    known, order = fingerprint(elements).sort()
    products = [fingerprint(elements[i].inverse().compose(elements)) for i in range(len(known))]
    return order[torch.searchsorted(known, torch.stack(products) - _ZERO)]


def _lifted(weight: Tensor, matrices: Tensor) -> Tensor:
    """Rows ``weight @ matrix``, one matrix after another."""
    return (weight @ matrices).flatten(0, 1)


def _convolved(weight: Tensor, relative: Tensor) -> Tensor:
    order, n_out, n_in = weight.shape
    blocks = weight.index_select(0, relative).view(order, order, n_out, n_in)
    return blocks.transpose(1, 2).reshape(order * n_out, order * n_in)


def _bias(layer: Tied, matrices: Tensor) -> nn.Parameter | None:
    """Free biases of an output; registers the projection onto its invariant subspace as the constant ``fixed``."""
    fixed = matrices.mean(0)
    if bool((fixed.abs() < _ZERO).all()):
        return None
    layer.register_constant("fixed", fixed)
    return nn.Parameter(torch.zeros(len(fixed)))


def _normal(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def _orthogonal(weight: Tensor, gain: float) -> Tensor:
    """The orthogonal polar factor of dense weights, times a gain.

    It commutes with everything that the weights commute with.

    Directions that the group rules out have singular value zero and are left out.
    """
    if not weight.numel():
        return weight
    left, values, right = torch.linalg.svd(weight, full_matrices=False)
    nonzero = values > _ZERO * values[0]
    factor: Tensor = left[:, nonzero] @ right[nonzero]
    return gain * factor
