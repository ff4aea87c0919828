"""Learned vector channels and their inner products, sorted by parity.

A channel is a linear combination of the input's vectors, so it turns as they do. In space, cross products of such
combinations are added where the group needs them: without mirrors, or where axial vectors or pseudoscalars occur.
By the first fundamental theorems for O(d) and SO(d), the inner products of these channels generate all invariants,
and the channels with invariant coefficients generate all vectors.

The batch is the last axis from the channels to the output. Sums over channels and components then run over whole rows,
and each matrix product of the backward pass is laid out as the next operation reads it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from eqrl.nn.gram import Gram
from eqrl.nn.layout import Layout
from eqrl.nn.perceptron import linear

_TINY = 1e-24


class Mix(nn.Module):
    """Linear combinations of the vectors of one parity.

    In the plane without mirrors, each vector also enters turned by 90 degrees, which amounts to complex weights. The
    weights may have a leading axis of ensemble members, see :mod:`eqrl.nn.ensemble`.

    Attributes:
        index: coordinates of the input that it reads, all components of one vector after another.
        signs: sign of each of these coordinates, float64.
    """

    def __init__(self, in_layout: Layout, vectors: list[tuple[int, ...]], channels: int, turned: bool) -> None:
        super().__init__()
        self.space = in_layout.space
        self.index = torch.tensor(vectors, dtype=torch.int64)
        self.signs = in_layout.sign_of(self.index)
        if turned:
            # z x v: its x is -y, its y is x
            self.index = torch.cat([self.index, self.index.flip(1)])
            self.signs = torch.cat([self.signs, self.signs.flip(1) * torch.tensor([-1.0, 1.0], dtype=torch.float64)])
        self.inputs = len(self.index)
        self.index, self.signs = self.index.flatten(), self.signs.flatten()
        # Channels divides products by sqrt(channels); this gain keeps products of unit vectors near unit size
        self.weight = nn.Parameter(linear(self.inputs, channels, channels**0.25, bias=False).weight.detach())

    def forward(self, rows: Tensor) -> Tensor:
        """Map the coordinates ``index``, shape ``(inputs * space, B)``, to channels ``(channels, space, B)``."""
        # one matrix product for all ensemble members and all components
        mixed = self.weight.flatten(0, -2) @ rows.view(self.inputs, -1)
        return mixed.view(*self.weight.shape[:-1], self.space, -1)


class Channels(nn.Module):
    """Polar and axial vector channels of an input, and their inner products.

    Attributes:
        polar: number of polar channels.
        axial: number of axial channels. In the plane with mirrors these are the polar ones turned by 90 degrees.
        even: number of inner products that are true invariants; they come first.
        odd: number of inner products that change sign with the determinant.
    """

    def __init__(self, in_layout: Layout, mirrors: bool, parity: bool, channels: int, crosses: int) -> None:
        """Choose the channels.

        Args:
            in_layout: layout of the input.
            mirrors: whether the group has mirrors.
            parity: whether axial vectors or pseudoscalars occur in the input or the output.
            channels: number of linear combinations of each parity, limited to the number of vectors.
            crosses: number of cross products of each kind, in space.
        """
        super().__init__()
        self.plane = in_layout.space == 2
        self.turn_all = self.plane and mirrors and parity
        self.crosses = 0 if self.plane or (mirrors and not parity) else crosses
        turned = self.plane and not mirrors
        n_polar, n_axial = len(in_layout.polar), len(in_layout.axial)
        total = n_polar + n_axial
        if total < 2:
            self.crosses = 0
        # each mix gives linear channels first, then the factors of the cross products
        self.linear_polar = min(channels, n_polar * (2 if turned else 1))
        self.linear_axial = min(channels, n_axial)
        # polar x polar and axial x axial are axial, polar x axial is polar
        self.polar_polar = self.crosses if n_polar > 1 else 0
        self.axial_axial = self.crosses if n_axial > 1 else 0
        self.polar_axial = self.crosses if n_polar and n_axial else 0
        width_polar = self.linear_polar + 2 * self.polar_polar + self.polar_axial
        width_axial = self.linear_axial + 2 * self.axial_axial + self.polar_axial
        self.mix_polar = Mix(in_layout, in_layout.polar, width_polar, turned) if n_polar else None
        self.mix_axial = Mix(in_layout, in_layout.axial, width_axial, turned) if n_axial else None
        self.polar = self.linear_polar + self.polar_axial
        self.axial = self.linear_axial + self.polar_polar + self.axial_axial
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
        """The combinations of polar and of axial vectors, without those that the input does not have."""
        return [mix for mix in (self.mix_polar, self.mix_axial) if mix is not None]

    def forward(self, rows: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Channels and their inner products.

        Args:
            rows: the coordinates that each of ``mixes`` reads, each of shape ``(inputs * space, B)``.

        Returns:
            Divided channels ``(polar + axial, space, B)`` and products ``(even + odd, B)``.
        """
        v = self._with_crosses([mix(part) for mix, part in zip(self.mixes, rows, strict=True)])
        divided, products = self.gram(torch.cat([v, _quarter_turn(v)], dim=-3) if self.turn_all else v)
        return divided, products

    def _with_crosses(self, mixed: list[Tensor]) -> Tensor:
        """Polar channels, then axial ones: linear combinations and their cross products."""
        if not self.crosses:
            return mixed[0] if len(mixed) == 1 else torch.cat(mixed, dim=-3)
        polar: list[Tensor] = []
        axial: list[Tensor] = []
        factors = []
        if self.mix_polar is not None:
            sizes = [self.linear_polar, self.polar_polar, self.polar_polar, self.polar_axial]
            linear_part, left, right, factor = torch.split(mixed.pop(0), sizes, dim=-3)
            polar.append(linear_part)
            axial.append(_cross(left, right))
            factors.append(factor)
        if self.mix_axial is not None:
            sizes = [self.linear_axial, self.axial_axial, self.axial_axial, self.polar_axial]
            linear_part, left, right, factor = torch.split(mixed.pop(0), sizes, dim=-3)
            axial = [linear_part, *axial, _cross(left, right)]
            factors.append(factor)
        if self.polar_axial:
            polar.append(_cross(*factors))
        return torch.cat(polar + axial, dim=-3)

    def _pairs(self) -> tuple[Tensor, Tensor]:
        """Pairs of channels with an even inner product, and pairs with an odd one, each ``(2, n)``."""
        n, m = self.polar, self.axial
        within = torch.triu_indices(n, n)
        if self.turn_all:
            # a turned channel adds only its products with other channels
            return within, torch.triu_indices(n, n, offset=1) + torch.tensor([[0], [n]])
        even = torch.cat([within, torch.triu_indices(m, m) + n], dim=1)
        odd = torch.cartesian_prod(torch.arange(n), torch.arange(n, n + m)).mT if n and m else torch.zeros(2, 0).long()
        return even, odd


def length(v: Tensor, axis: int) -> Tensor:
    """Length along an axis, plus a tiny constant that makes the gradient at zero vanish."""
    return (v.square().sum(axis, keepdim=True) + _TINY).sqrt()


def _cross(left: Tensor, right: Tensor) -> Tensor:
    """Cross products, with the left factor bounded so that they grow linearly and not quadratically."""
    product: Tensor = torch.linalg.cross(left / (1.0 + length(left, -2)), right, dim=-2)
    return product


def _quarter_turn(v: Tensor) -> Tensor:
    x, y = v.unbind(-2)
    return torch.stack([-y, x], dim=-2)
