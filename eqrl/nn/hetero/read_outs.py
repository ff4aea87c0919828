"""Outputs that are read off a node."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from eqrl.nn.hetero.geometry import Algebra, quarter_turn
from eqrl.nn.hetero.state import Counts, State
from eqrl.nn.perceptron import linear


class ReadOut(nn.Module):
    """Numbers and vectors of the output, read off a state.

    Invariants are linear in the invariants of the node, and vectors are combinations of its vectors whose coefficients
    are. Pseudoscalars of the node, gated by its invariants, give pseudoscalars and the coefficients that turn polar
    vectors into axial ones.
    """

    def __init__(self, algebra: Algebra, width: int, channels: int, outputs: Counts, gain: float) -> None:
        """Build the maps.

        Args:
            algebra: kind of vectors.
            width: number of invariants of a node.
            channels: number of vectors of each kind.
            outputs: what is read off.
            gain: gain of the initial weights.
        """
        super().__init__()
        self.algebra, self.outputs, n = algebra, outputs, channels
        # the vectors that a polar and an axial output combine: with even coefficients, with odd ones
        even, odd = n, n if algebra.mirrors else 0
        if algebra.plane and not algebra.mirrors:
            even = 2 * n
        vectors = outputs.polar + outputs.axial
        self.even_parts = [outputs.even, vectors * even]
        self.even = linear(width, sum(self.even_parts), gain) if sum(self.even_parts) else None
        self.odd_parts = [outputs.odd, vectors * odd]
        reads_odd = algebra.mirrors and sum(self.odd_parts) > 0
        self.gate = linear(width, n, 1.0) if reads_odd else None
        self.odd = linear(n, sum(self.odd_parts), gain, bias=False) if reads_odd else None

    def forward(self, state: State) -> list[Tensor]:
        """Even numbers, odd numbers, polar and axial vectors, each flat, ``(B, n * numbers)``."""
        polar, axial = state.polar, state.axial
        if self.algebra.plane:
            turned = quarter_turn(polar)
            # without mirrors both have even coefficients; with mirrors turned vectors have odd ones
            bases = (torch.cat([polar, turned], dim=-1),) * 2
        elif axial is not None:
            bases = torch.cat([polar, axial], dim=-1), torch.cat([axial, polar], dim=-1)
        else:
            bases = polar, polar
        batch, n = state.even.shape[:2]
        even, coefficients = (state.even[..., :0],) * 2
        if self.even is not None:
            even, coefficients = self.even(state.even).split(self.even_parts, dim=-1)
        odd = state.even[..., :0]
        vectors = self.outputs.polar + self.outputs.axial
        if vectors:
            coefficients = coefficients.reshape(batch, n, vectors, -1)
        if self.odd is not None and self.gate is not None and state.odd is not None:
            odd, more = self.odd(state.odd * self.gate(state.even).sigmoid()).split(self.odd_parts, dim=-1)
            if vectors:
                coefficients = torch.cat([coefficients, more.reshape(batch, n, vectors, -1)], dim=-1)
        pieces = [even.flatten(1), odd.flatten(1)]
        for basis, part in zip(bases, self._of_kind(coefficients), strict=True):
            if part is not None:
                pieces.append((part.unsqueeze(-2) * basis.unsqueeze(2)).sum(-1).flatten(1))
        return pieces

    def _of_kind(self, coefficients: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Coefficients of polar and of axial outputs."""
        n_polar, n_axial = self.outputs.polar, self.outputs.axial
        return coefficients[:, :, :n_polar] if n_polar else None, coefficients[:, :, n_polar:] if n_axial else None
