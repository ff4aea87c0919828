"""Learned vector channels, and the numbering of their inner products by parity.

A channel is a linear combination of the input's vectors, so it turns as they do. In space, cross products of such
combinations join where the group needs them: without mirrors, or where something axial or pseudoscalar takes part.
By the first fundamental theorems for O(d) and SO(d) the inner products of these channels generate all invariants,
and the channels themselves, with invariant coefficients, all vectors.

The batch is the last axis from the channels to the output: sums over channels and components run over whole rows, and each product
of the backward pass comes out in the order in which it is used.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from eqrl.nn.gram import Gram
from eqrl.nn.layout import Layout
from eqrl.nn.perceptron import linear

_TINY = 1e-24


class Mix(nn.Module):
    """Linear combinations of the vectors of one type.

    In the plane without mirrors each vector also comes turned by 90 degrees, which makes the weights complex
    numbers. The weights may have a leading axis of members, see ``eqrl.nn.ensemble``.

    Attributes:
        index: coordinates of the input that it reads, component by component of each vector.
        signs: signs with which it reads them, float64.
    """

    def __init__(self, found: Layout, vectors: list[tuple[int, ...]], channels: int, turned: bool) -> None:
        super().__init__()
        self.space = found.space
        self.index = torch.tensor(vectors, dtype=torch.int64)
        self.signs = found.sign_of(self.index)
        if turned:
            # z x v: its x is -y, its y is x
            self.index = torch.cat([self.index, self.index.flip(1)])
            self.signs = torch.cat([self.signs, self.signs.flip(1) * torch.tensor([-1.0, 1.0], dtype=torch.float64)])
        self.inputs = len(self.index)
        self.index, self.signs = self.index.flatten(), self.signs.flatten()
        # Channels divides products by sqrt(channels) once; this gain keeps products of unit vectors at unit size
        self.weight = nn.Parameter(linear(self.inputs, channels, channels**0.25, bias=False).weight.detach())

    def forward(self, rows: Tensor) -> Tensor:
        """From the coordinates ``index``, shape ``(inputs * space, B)``, to ``(channels, space, B)``."""
        # one product serves all members and all axes
        mixed = self.weight.flatten(0, -2) @ rows.view(self.inputs, -1)
        return mixed.view(*self.weight.shape[:-1], self.space, -1)


class Channels(nn.Module):
    """Polar and axial vector channels of an input, and their inner products.

    The batch is the last axis of everything here: sums over channels and components then run over whole rows.

    Attributes:
        polar: number of polar channels.
        axial: number of axial channels. In the plane with mirrors these are the polar ones turned by 90 degrees.
        even: number of products that are true invariants; they come first.
        odd: number of products that change sign with the determinant.
    """

    def __init__(self, found: Layout, mirrors: bool, parity: bool, channels: int, crosses: int) -> None:
        """Choose the channels.

        Args:
            found: layout of the input.
            mirrors: whether the group has mirrors.
            parity: whether axial vectors or pseudoscalars take part in input or output.
            channels: number of linear combinations, at most as many as there are vectors.
            crosses: number of cross products of each kind, in space.
        """
        super().__init__()
        self.plane = found.space == 2
        self.turn_all = self.plane and mirrors and parity
        self.crosses = 0 if self.plane or (mirrors and not parity) else crosses
        turned = self.plane and not mirrors
        n_polar, n_axial = len(found.polar), len(found.axial)
        total = n_polar + n_axial
        if total < 2:
            self.crosses = 0
        self.own_polar = min(channels, n_polar * (2 if turned else 1))
        self.own_axial = min(channels, n_axial)
        # factors of the cross products: polar x polar and axial x axial are axial, polar x axial is polar
        c = self.crosses
        self.pp = c if n_polar > 1 else 0
        self.aa = c if n_axial > 1 else 0
        self.pa = c if n_polar and n_axial else 0
        self.mix_polar = Mix(found, found.polar, self.own_polar + 2 * self.pp + self.pa, turned) if n_polar else None
        self.mix_axial = Mix(found, found.axial, self.own_axial + 2 * self.aa + self.pa, turned) if n_axial else None
        self.polar = self.own_polar + self.pa
        self.axial = self.own_axial + self.pp + self.aa
        if not mirrors:
            self.polar, self.axial = self.polar + self.axial, 0
        if self.turn_all:
            self.axial = self.polar
        even, odd = self._pairs()
        self.even, self.odd = even.shape[1], odd.shape[1]
        scale = float(max(self.polar, 1)) ** 0.5
        share = 0.5 if self.turn_all else 1.0
        self.gram = Gram(torch.cat([even, odd], dim=1), self.polar + self.axial, scale, share)

    @property
    def mixes(self) -> list[Mix]:
        """The combinations of polar and of axial vectors, as far as there are any."""
        return [mix for mix in (self.mix_polar, self.mix_axial) if mix is not None]

    def forward(self, rows: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Channels and their inner products.

        Args:
            rows: the coordinates that each of ``mixes`` reads, ``(inputs * space, B)``.

        Returns:
            Divided channels ``(polar + axial, space, B)`` and products ``(even + odd, B)``.
        """
        v = self._mixed([mix(part) for mix, part in zip(self.mixes, rows, strict=True)])
        divided, products = self.gram(torch.cat([v, _quarter_turn(v)], dim=-3) if self.turn_all else v)
        return divided, products

    def _mixed(self, mixed: list[Tensor]) -> Tensor:
        if not self.crosses:
            return mixed[0] if len(mixed) == 1 else torch.cat(mixed, dim=-3)
        polar: list[Tensor] = []
        axial: list[Tensor] = []
        factors = []
        if self.mix_polar is not None:
            own, left, right, factor = torch.split(mixed.pop(0), [self.own_polar, self.pp, self.pp, self.pa], dim=-3)
            polar.append(own)
            axial.append(_cross(left, right))
            factors.append(factor)
        if self.mix_axial is not None:
            own, left, right, factor = torch.split(mixed.pop(0), [self.own_axial, self.aa, self.aa, self.pa], dim=-3)
            axial = [own, *axial, _cross(left, right)]
            factors.append(factor)
        if self.pa:
            polar.append(_cross(*factors))
        return torch.cat(polar + axial, dim=-3)

    def _pairs(self) -> tuple[Tensor, Tensor]:
        """Pairs of channels whose product is even, and odd, under the determinant, each ``(2, n)``."""
        n, m = self.polar, self.axial
        within = torch.triu_indices(n, n)
        if self.turn_all:
            # of the turned channels only products with others are new
            return within, torch.triu_indices(n, n, offset=1) + torch.tensor([[0], [n]])
        even = torch.cat([within, torch.triu_indices(m, m) + n], dim=1)
        odd = torch.cartesian_prod(torch.arange(n), torch.arange(n, n + m)).mT if n and m else torch.zeros(2, 0).long()
        return even, odd


def length(v: Tensor, axis: int) -> Tensor:
    """Length along an axis, a hair above zero so that its gradient at zero is zero."""
    return (v.square().sum(axis, keepdim=True) + _TINY).sqrt()


def _cross(left: Tensor, right: Tensor) -> Tensor:
    """Cross products, divided so that they grow linearly with large factors."""
    product: Tensor = torch.linalg.cross(left / (1.0 + length(left, -2)), right, dim=-2)
    return product


def _quarter_turn(v: Tensor) -> Tensor:
    x, y = v.unbind(-2)
    return torch.stack([-y, x], dim=-2)
