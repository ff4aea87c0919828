"""When and how strengths adapt: once, by the rule that was published with PER (Kim et al., arXiv 2306.00356).

Towards the time of adjustment, the vector of distances is remembered whenever any of them reaches a new minimum. At
that time ``lambda_j <- lambda_j / (R_j / R_min)^p``, where R_min is the smallest of the remembered distances. The group
that is violated least keeps its strength, and those that are violated strongly lose theirs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_IGNORED = 50  # first updates, in which distances are those of the initial weights
_NOTHING = 1e-12


class AdjustOnce:
    """Strengths of several groups, and what is remembered until they are adjusted.

    Args:
        strengths: initial ones.
        power: p.

    Attributes:
        strengths: the present ones.
        adjusted: whether the adjustment is done.
        updates: number of updates seen.
        snapshot: the remembered distances, empty if there are none yet.
    """

    def __init__(self, strengths: Sequence[float], power: float) -> None:
        self.strengths = list(strengths)
        self.power = power
        self.adjusted = False
        self.updates = 0
        self.snapshot: list[float] = []
        self._lowest: list[float] = []

    def see(self, distances: Sequence[float], *, watching: bool, due: bool) -> None:
        """Take note of the distances of one update, and adjust if it is time.

        Args:
            distances: of each group.
            watching: whether the time of adjustment is near.
            due: whether it has come.
        """
        self.updates += 1
        if self.adjusted:
            return
        if watching and not due and self.updates > _IGNORED:
            self._remember(distances)
        if due:
            self._adjust(self.snapshot or distances)
            self.adjusted = True

    def _remember(self, distances: Sequence[float]) -> None:
        lowest = self._lowest or [float("inf")] * len(distances)
        if any(new < old for new, old in zip(distances, lowest, strict=True)):
            self.snapshot = list(distances)
        self._lowest = [min(pair) for pair in zip(distances, lowest, strict=True)]

    def _adjust(self, distances: Sequence[float]) -> None:
        self.snapshot = list(distances)
        used = [r for r, strength in zip(distances, self.strengths, strict=True) if strength > 0.0]
        least = min(used, default=0.0) + _NOTHING
        self.strengths = [
            strength / ((r + _NOTHING) / least) ** self.power
            for strength, r in zip(self.strengths, distances, strict=True)
        ]

    def state(self) -> dict[str, Any]:
        """Everything that changes."""
        return {
            "strengths": self.strengths,
            "adjusted": self.adjusted,
            "updates": self.updates,
            "snapshot": self.snapshot,
            "lowest": self._lowest,
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from what :meth:`state` returned."""
        if len(state["strengths"]) != len(self.strengths):
            raise ValueError(f"{len(state['strengths'])} strengths for {len(self.strengths)} groups")
        self.strengths = list(state["strengths"])
        self.adjusted, self.updates = bool(state["adjusted"]), int(state["updates"])
        self.snapshot, self._lowest = list(state["snapshot"]), list(state["lowest"])
