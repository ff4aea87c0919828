"""Learned vector channels, and the numbering of their inner products by parity.

A channel is a linear combination of the input's vectors, so it turns as they do. In space, cross products of such
combinations join where the group needs them: without mirrors, or where something axial or pseudoscalar takes part.
By the first fundamental theorems for O(d) and SO(d) the inner products of these channels generate all invariants,
and the channels themselves, with invariant coefficients, all vectors.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from eqrl.nn.constants import ExactModule
from eqrl.nn.layout import Layout
from eqrl.nn.perceptron import linear


class Mix(ExactModule):
    """Linear combinations of the vectors of one type.

    In the plane without mirrors each vector also comes turned by 90 degrees, which makes the weights complex
    numbers. The output has shape ``(B, space, channels)``.
    """

    index: Tensor
    signs: Tensor

    def __init__(self, found: Layout, vectors: list[tuple[int, ...]], channels: int, turned: bool) -> None:
        super().__init__()
        self.space = found.space
        index = found.by_component(vectors)
        signs = found.sign_of(index)
        self.inputs = len(vectors)
        if turned:
            # rows x and y of (v, z x v): x of the turned vector is -y, its y is x
            half = len(vectors)
            index = torch.cat([index, index[half:], index[:half]]).view(2, 2, half).transpose(0, 1).flatten()
            minus = torch.cat([signs, -signs[half:], signs[:half]]).view(2, 2, half).transpose(0, 1).flatten()
            signs = minus
            self.inputs *= 2
        self.register_constant("index", index)
        self.register_optional("signs", None if bool((signs == 1).all()) else signs)
        self.channels = channels
        self.signed = self.signs is not None
        # Channels divides products by sqrt(channels) once; this gain keeps products of unit vectors at unit size
        self.weight = nn.Parameter(linear(self.inputs, channels, channels**0.25, bias=False).weight.detach())

    def forward(self, x: Tensor) -> Tensor:
        """From the whole input ``(B, dim)``."""
        vectors = x.index_select(1, self.index)
        if self.signed:
            vectors = vectors * self.signs
        # two axes make one matrix product, three make a batch of small ones
        return functional.linear(vectors.view(-1, self.inputs), self.weight).view(-1, self.space, self.channels)


class Channels(nn.Module):
    """Polar and axial vector channels of an input.

    Attributes:
        polar: number of polar channels.
        axial: number of axial channels. In the plane with mirrors these are the polar ones turned by 90 degrees.
        even: pairs of channels, as indices into the flattened Gram matrix, whose product is a true invariant.
        odd: the same for products that change sign with the determinant.
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
        self.scale = float(max(self.polar, 1)) ** 0.5
        self.even, self.odd = self._products()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Channels and Gram matrix of inputs ``(B, dim)``.

        The channels are divided by their common length plus a constant, and the Gram matrix is that of the divided
        with the undivided channels; so the former stay bounded and the latter grows linearly with large inputs.

        Returns:
            Divided channels ``(B, space, polar + axial)`` and flat Gram matrices, which ``even`` and ``odd`` index.
        """
        v = self._mixed(x)
        # the norm's gradient at zero is zero, and it enters multiplied by what vanishes there
        length = torch.linalg.vector_norm(v, dim=(1, 2), keepdim=True)
        divided = v / (length + self.scale)
        if self.turn_all:
            v = torch.cat([v, _quarter_turn(v)], dim=2)
            gram = torch.bmm(divided.mT, v)
            return torch.cat([divided, _quarter_turn(divided)], dim=2), gram.flatten(1)
        return divided, torch.bmm(divided.mT, v).flatten(1)

    def _mixed(self, x: Tensor) -> Tensor:
        mix_polar, mix_axial = self.mix_polar, self.mix_axial
        p = None if mix_polar is None else mix_polar(x)
        a = None if mix_axial is None else mix_axial(x)
        if not self.crosses:
            parts = [part for part in (p, a) if part is not None]
            return parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)
        polar, axial = [], []
        if p is not None:
            own, left, right, p3 = p.split([self.own_polar, self.pp, self.pp, self.pa], dim=2)
            polar.append(own)
            axial.append(_cross(left, right))
        if a is not None:
            own, left, right, a3 = a.split([self.own_axial, self.aa, self.aa, self.pa], dim=2)
            axial = [own, *axial, _cross(left, right)]
        if self.pa:
            polar.append(_cross(p3, a3))
        return torch.cat(polar + axial, dim=2)

    def _products(self) -> tuple[Tensor, Tensor]:
        n, m = self.polar, self.axial
        i, j = torch.triu_indices(n, n)
        if self.turn_all:
            # rows: n channels; columns: the same, then the same turned
            s, t = torch.triu_indices(n, n, offset=1)
            return i * 2 * n + j, s * 2 * n + n + t
        s, t = torch.triu_indices(m, m) + n
        width = n + m
        mixed = torch.cartesian_prod(torch.arange(n), torch.arange(n, width)) if n and m else torch.zeros(0, 2).long()
        return torch.cat([i * width + j, s * width + t]), mixed[:, 0] * width + mixed[:, 1]


def _cross(left: Tensor, right: Tensor) -> Tensor:
    """Cross products along axis 1, divided so that they grow linearly with large factors."""
    size = 1.0 + torch.linalg.vector_norm(left, dim=1, keepdim=True)
    product: Tensor = torch.linalg.cross(left / size, right, dim=1)
    return product


def _quarter_turn(v: Tensor) -> Tensor:
    x, y = v.unbind(1)
    return torch.stack([-y, x], dim=1)
