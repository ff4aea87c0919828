"""The one rule by which rollouts from related states are compared, whatever it is that is stepped.

A symmetry predicts one rollout from another. Where the two differ by more than a tolerance, the same rollout after a
nudge of its start says how much of that is chaos. Models are stepped in batches, as arrays, under their own
``Symmetry`` (:mod:`eqrl.proof.trial`); environments one at a time, with states that only they can read, under elements
of a group (:mod:`eqrl.proof.worlds`). One stepper for both would hide either behind the other, so that they share the
rule alone: each gives its differences as an array, and a function that measures how far its rollouts grow apart by
themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from eqrl.arrays import Floats

NUDGE = 1e-14
CHAOS_FACTOR = 100.0
_LARGEST_CHAOS = 1e-4  # where a nudge grows beyond this, nothing is left to compare with
NUDGES_OF_ALL, _SOME_NUDGES, _MANY_NUDGES = 2, 16, 64
_MOST_LOST = 0.75
_CHAOTIC = 1e-4

Growth: TypeAlias = Callable[[int | None, int, int], Floats]


@dataclass(frozen=True)
class Violation:
    """The first difference that is too large.

    Attributes:
        step: after how many steps, 0 at the start.
        state: number of the state.
        field: name of the field.
        size: of the difference.
    """

    step: int
    state: int
    field: str
    size: float


@dataclass(frozen=True)
class Comparison:
    """Differences and what of them is allowed.

    Attributes:
        gaps: ``(steps + 1, n, columns)``; what diverges is infinite.
        allowed: ``(steps + 1, n)``; infinite where a nudge grows so much that nothing is left to compare with.
        violation: the first difference that is too large.
    """

    gaps: Floats
    allowed: Floats
    violation: Violation | None

    def error(self, step: int) -> float:
        """Largest difference after a step, of the states that can be compared there."""
        return float(self.gaps[step][np.isfinite(self.allowed[step])].max(initial=0.0))

    @property
    def largest(self) -> float:
        """Largest difference of all that can be compared."""
        return max(self.error(step) for step in range(len(self.gaps)))

    def lost(self, step: int) -> int:
        """Number of states that cannot be compared up to this step."""
        return int((~np.isfinite(self.allowed[step])).sum())

    @property
    def is_empty(self) -> bool:
        """Whether almost no state can be compared even after one step, so that nothing is proved."""
        return len(self.allowed) > 1 and self.lost(1) > _MOST_LOST * self.allowed.shape[1]

    @property
    def remarks(self) -> tuple[str, ...]:
        """How far states could be compared, and how well."""
        remarks = []
        if lost := self.lost(-1):
            remarks.append(
                f"ill-conditioned: {lost} of {self.allowed.shape[1]} states are compared up to where shapes touch along"
                " a line or a face, for there the contact points jump after a nudge of 1e-14"
            )
        if self.largest > _CHAOTIC:
            remarks.append(
                f"chaotic: states differ by up to {self.largest:.1e}, which is at most 100 times what a nudge of 1e-14"
                " makes"
            )
        return tuple(remarks)


def compare(
    gaps: Floats,
    columns: Sequence[str],
    tolerance: float,
    growth: Growth,
    *,
    decisive: bool = True,
    in_order: bool = False,
) -> Comparison:
    """Judge differences between predicted and actual rollouts.

    Two nudges say roughly how a state diverges by itself. A collider amplifies some nudges of a state 1e4 times as much
    as others, so that a state that seems to break the symmetry is nudged more often before it may say so.

    Args:
        gaps: the differences, ``(steps + 1, n, columns)``, NaN where something diverges.
        columns: their names.
        tolerance: what may always differ.
        growth: how far rollouts and those from nudged starts grow apart. Called with the number of a state, steps and
            nudges it gives the largest difference of these nudges, ``(steps + 1, 1)``; with None it gives those of all
            states,
            ``(steps + 1, n)``.
        decisive: whether to nudge often enough for a verdict, and not for a remark only.
        in_order: whether the first column that differs is named, and not the one that differs most.
    """
    gaps = np.nan_to_num(gaps, nan=np.inf, posinf=np.inf)
    if gaps.max(initial=0.0) <= tolerance:
        return Comparison(gaps, np.full(gaps.shape[:2], tolerance), None)
    steps = len(gaps) - 1
    allowed = _allowed(growth(None, steps, NUDGES_OF_ALL), tolerance)
    visits: dict[int, int] = {}
    while (violation := first_violation(gaps, allowed, columns, in_order)) is not None:
        state = violation.state
        visit = visits[state] = visits.get(state, 0) + 1
        if visit > (2 if decisive else 1):
            break
        # some nudges up to here show most contacts that are ill-conditioned; many, to the end, decide
        ahead, nudges = (max(violation.step, 1), _SOME_NUDGES) if visit == 1 else (steps, _MANY_NUDGES)
        natural = _allowed(growth(state, ahead, nudges), tolerance)[:, 0]
        natural = np.append(natural, np.full(len(allowed) - len(natural), natural[-1]))  # it never shrinks
        allowed[:, state] = np.maximum(allowed[:, state], natural)
    return Comparison(gaps, allowed, violation)


def first_violation(gaps: Floats, allowed: Floats, columns: Sequence[str], in_order: bool = False) -> Violation | None:
    """The earliest step at which a difference exceeds what is allowed, and the largest (or the first) there."""
    over = gaps > allowed[..., None]
    steps = np.flatnonzero(over.any((1, 2)))
    if not len(steps):
        return None
    step = int(steps[0])
    excess = over[step] if in_order else np.where(over[step], gaps[step], 0.0)
    state, column = np.unravel_index(int(excess.argmax()), excess.shape)
    return Violation(step, int(state), columns[int(column)], float(gaps[step, state, column]))


def _allowed(growth: Floats, tolerance: float) -> Floats:
    # what has once grown apart does not count as together again because two curves cross
    natural = np.maximum.accumulate(np.nan_to_num(growth, nan=np.inf, posinf=np.inf), axis=0)
    return np.where(natural > _LARGEST_CHAOS, np.inf, np.maximum(tolerance, CHAOS_FACTOR * natural))
