"""From the nodes of all sets to one state of the whole graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from eqrl.nn.hetero.geometry import Algebra
from eqrl.nn.hetero.state import Counts, Embedding, State
from eqrl.nn.perceptron import Activation, linear

Pooling = Literal["mean", "sum", "attention"]


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
        counts = Counts(
            sets * width, vectors if algebra.mirrors else 0, vectors, vectors if algebra.axial else 0
        )
        self.embedding = Embedding(algebra, counts, Counts(0, 0, 0, 0), width, channels, activation)
        self.scores = nn.ModuleList(linear(width, 1, 1.0) for _ in range(sets)) if pooling == "attention" else None

    def forward(self, sets: Sequence[tuple[State, Tensor | None]]) -> State:
        """Pool.

        Args:
            sets: states of each set, and which of its nodes are real, ``(B, n)``; None if all are.
        """
        pooled = [self._pooled(k, state, real) for k, (state, real) in enumerate(sets)]
        even, odd, polar, axial = zip(*pooled, strict=True)
        joined = State(torch.cat(even, -1), _joined(odd), torch.cat(polar, -1), _joined(axial))
        state: State = self.embedding(joined, joined)
        return state

    def _pooled(self, k: int, state: State, real: Tensor | None) -> State:
        n = state.even.shape[1]
        if n == 1 and real is None and self.pooling != "attention":
            return state
        weight = state.even.new_ones(state.even.shape[:2]) if real is None else real
        if self.scores is not None:
            score = self.scores[k](state.even)[..., 0]
            score = score if real is None else torch.where(real > 0.5, score, -torch.inf)
            # an empty set has no largest score
            weight = weight * (score - score.amax(1, keepdim=True).clamp_min(-1e30)).exp()
        if self.pooling != "sum":
            weight = weight / weight.sum(1, keepdim=True).clamp_min(1e-30 if self.scores is not None else 1.0)

        def mean(x: Tensor | None) -> Tensor | None:
            if x is None:
                return None
            flat: Tensor = weight.unsqueeze(1) @ x.flatten(2)
            return flat.view(x.shape[0], 1, *x.shape[2:])

        even, polar = mean(state.even), mean(state.polar)
        assert even is not None
        assert polar is not None
        return State(even, mean(state.odd), polar, mean(state.axial))


def _joined(parts: Sequence[Tensor | None]) -> Tensor | None:
    present = [part for part in parts if part is not None]
    return torch.cat(present, dim=-1) if present else None
