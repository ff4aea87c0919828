"""Which of several candidate symmetries a world keeps: weights, pruning, and growth to the group that survives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from eqrl.agents.soft.candidates import as_generator
from eqrl.symmetry import TRIVIAL, Element, Generator, Group

_ACCEPTED = 0.5  # weight from which a candidate takes part in the effective group
_MEMORY = 0.5  # of the moving average of tensions
_SMALLEST = 1e-12
CLOSURE = "closure"


@dataclass(frozen=True)
class Candidate:
    """What may be a symmetry.

    Attributes:
        name: for people.
        symmetry: a group, or a single element, which need not be one of the environment's group.
    """

    name: str
    symmetry: Group | Element

    def draw(self, n: int, rng: np.random.Generator) -> list[Element]:
        """``n`` random elements, none of them the identity."""
        if isinstance(self.symmetry, Element):
            return [self.symmetry] * n
        if self.symmetry.order is None:
            batch = self.symmetry.sample(n, rng=rng)
            return [batch[i] for i in range(n)]
        elements = self.symmetry.elements()
        return [elements[int(i)] for i in rng.integers(1, self.symmetry.order, size=n)]

    @property
    def generators(self) -> tuple[Generator, ...]:
        """Those of the finite part.

        Raises:
            ValueError: for an element that is not orthogonal.
        """
        if isinstance(self.symmetry, Element):
            return (as_generator(self.name, self.symmetry),)
        return self.symmetry.finite


class Refinement:
    """The weights of candidates, ``w = min(1, (tolerance / tension)^power)``, and the effective group.

    The tension is how much the world violates a candidate, relative to what happens in a step. The tolerance is how
    much violation a user accepts: without it, one exact symmetry would drive all others to zero however slightly they
    are broken. A candidate whose weight stays below ``least`` is pruned. Those that are accepted generate a group;
    where this has further elements it becomes a candidate too, which counts once it has been tested itself.

    Args:
        candidates: with distinct names.
        tolerance: tension up to which the weight is 1.
        power: of the fall beyond that.
        least: weight below which a candidate counts as refuted.
        patience: consecutive checks of this kind until it is pruned.

    Attributes:
        weights: by name; those of pruned candidates are 0.
        tensions: moving averages, by name, of the candidates that have been checked.
        effective: the group that the accepted candidates generate.
    """

    def __init__(
        self,
        candidates: Sequence[Candidate],
        tolerance: float = 0.05,
        power: float = 2.0,
        least: float = 0.05,
        patience: int = 3,
    ) -> None:
        self._given = tuple(candidates)
        self.tolerance, self.power, self.least, self.patience = tolerance, power, least, patience
        self.weights = {candidate.name: 1.0 for candidate in candidates}
        self.tensions: dict[str, float] = {}
        self._refuted: dict[str, int] = {}
        self._accepted: list[str] = []
        self._grown: Candidate | None = None
        self.effective: Group = TRIVIAL

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """Those that are not pruned, and the closure of the accepted ones if it has further elements."""
        alive = tuple(c for c in self._given if self._refuted.get(c.name, 0) < self.patience)
        return alive if self._grown is None else (*alive, self._grown)

    def check(self, tension: Callable[[Candidate], float | None]) -> None:
        """Measure all candidates that are not pruned, and choose weights and group anew.

        A candidate of which nothing is told, None, stays as it is.
        """
        for candidate in self.candidates:
            name, new = candidate.name, tension(candidate)
            if new is None:
                continue
            old = self.tensions.get(name, new)
            self.tensions[name] = _MEMORY * old + (1.0 - _MEMORY) * new
            self.weights[name] = min(1.0, (self.tolerance / max(self.tensions[name], _SMALLEST)) ** self.power)
            self._refuted[name] = self._refuted.get(name, 0) + 1 if self.weights[name] < self.least else 0
            if self._refuted[name] >= self.patience:
                self.weights[name] = 0.0
        accepted = [c.name for c in self.candidates if c is not self._grown and self.weights[c.name] >= _ACCEPTED]
        if accepted != self._accepted:
            self._grow(accepted)
        self.effective = self._effective()

    def state(self) -> dict[str, Any]:
        """Everything that changes."""
        return {
            "weights": dict(self.weights),
            "tensions": dict(self.tensions),
            "refuted": dict(self._refuted),
            "accepted": list(self._accepted),
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from what :meth:`state` returned."""
        known = {candidate.name for candidate in self._given} | {CLOSURE}
        if unknown := set(state["weights"]) - known:
            raise ValueError(f"unknown candidates {sorted(unknown)}")
        self._grow(list(state["accepted"]))
        self.weights, self.tensions = dict(state["weights"]), dict(state["tensions"])
        self._refuted = dict(state["refuted"])
        self.effective = self._effective()

    # ------------------------------------------------------------------ growth
    def _grow(self, accepted: list[str]) -> None:
        self._accepted = accepted
        for record in (self.weights, self.tensions, self._refuted):
            record.pop(CLOSURE, None)
        members = [c for c in self._given if c.name in accepted]
        group = _closure(members)
        alone = any(isinstance(c.symmetry, Group) and group.is_subgroup_of(c.symmetry) for c in members)
        self._grown = None if alone or not members else Candidate(CLOSURE, group)
        if self._grown is not None:
            self.weights[CLOSURE] = 0.0  # until it has been tested itself

    def _effective(self) -> Group:
        if self._grown is not None and self.weights[CLOSURE] >= _ACCEPTED:
            assert isinstance(self._grown.symmetry, Group)
            return self._grown.symmetry
        members = [c.symmetry for c in self._given if c.name in self._accepted and isinstance(c.symmetry, Group)]
        # while the closure is not tested, the largest member
        return max(members, key=lambda g: np.inf if g.order is None else float(g.order), default=TRIVIAL)


def _closure(members: Sequence[Candidate]) -> Group:
    """The group that candidates generate; single elements of infinite order are left out."""
    connected = {c.symmetry.connected for c in members if isinstance(c.symmetry, Group)}
    largest = next((kind for kind in ("SO3", "SO2") if kind in connected), "1")
    for chosen in (members, [c for c in members if isinstance(c.symmetry, Group)]):
        try:
            name = " and ".join(c.name for c in chosen) or "1"
            group = Group(name, largest, tuple(g for c in chosen for g in c.generators))  # type: ignore[arg-type]
            _ = group.cosets
        except ValueError:
            continue
        return group
    return TRIVIAL
