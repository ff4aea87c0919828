"""From the nodes of all sets to one state of the whole graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from eqrl.nn.hetero.geometry import Algebra
from eqrl.nn.hetero.state import NOTHING, Counts, Embedding, State, rows
from eqrl.nn.perceptron import Activation

Pooling = Literal["mean", "sum", "attention"]

_NEVER = -1e30


class Pool(nn.Module):
    """The state of the graph: a hidden layer on the pooled states of all sets and of their hubs."""

    def __init__(
        self, algebra: Algebra, width: int, channels: int, sets: int, pooling: Pooling, activation: Activation
    ) -> None:
        """Build the layers.

        Args:
            algebra: kind of vectors.
            width: number of invariants of a node.
            channels: number of vectors of each kind.
            sets: number of sets, hubs included.
            pooling: how the nodes of a set are pooled.
            activation: of the hidden layer.
        """
        super().__init__()
        self.pooling = pooling
        vectors = sets * channels
        counts = Counts(sets * width, vectors if algebra.mirrors else 0, vectors, vectors if algebra.axial else 0)
        self.embedding = Embedding(algebra, counts, NOTHING, width, channels, activation, clip=True)
        self.scores = nn.ModuleList(rows(width, 1, bias=True) for _ in range(sets)) if pooling == "attention" else None

    def forward(self, sets: Sequence[tuple[State, Tensor | None]]) -> State:
        """Pool.

        Args:
            sets: states of each set, and which of its nodes are real, ``(n, B)``; None if all are.
        """
        pooled = [self._pooled(k, state, real) for k, (state, real) in enumerate(sets)]
        even, odd, polar, axial = zip(*pooled, strict=True)
        joined = State(torch.cat(even), _joined(odd), torch.cat(polar), _joined(axial))
        state: State = self.embedding(joined, joined)
        return state

    def _pooled(self, k: int, state: State, real: Tensor | None) -> State:
        weight = self._weight(k, state.even, real)
        if weight is None:
            return state

        def weighted(x: Tensor) -> Tensor:
            return (x * weight).sum(-2, keepdim=True)

        odd, axial = state.odd, state.axial
        return State(
            weighted(state.even),
            None if odd is None else weighted(odd),
            weighted(state.polar),
            None if axial is None else weighted(axial),
        )

    def _weight(self, k: int, even: Tensor, real: Tensor | None) -> Tensor | None:
        """Weights of the nodes ``(n, B)``; None for a single one."""
        if even.shape[1] == 1 and real is None:
            return None
        weight = even.new_ones(even.shape[1:]) if real is None else real
        if self.pooling == "sum":
            return weight
        if self.scores is None:
            return weight / weight.sum(0, keepdim=True).clamp_min(1.0)
        score = self.scores[k](even)[0]
        score = torch.where(weight > 0.5, score, _NEVER)  # finite, so that an empty set stays finite
        return weight * score.softmax(0)


def _joined(parts: Sequence[Tensor | None]) -> Tensor | None:
    present = [part for part in parts if part is not None]
    return torch.cat(present) if present else None
