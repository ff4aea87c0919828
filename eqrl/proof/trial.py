"""One experiment: the same states and controls, as they are and transformed, and how much they may differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import mujoco
import numpy as np
from numpy.typing import NDArray

from eqrl.derivation.elements import identity
from eqrl.derivation.symmetry import Symmetry
from eqrl.proof.converged import described_otherwise
from eqrl.proof.differences import column_names, differences
from eqrl.proof.errors import NonFiniteRolloutError
from eqrl.proof.rollout import Trace, simulate, turn_starts, turn_trace
from eqrl.proof.states import Starts, random_controls, random_starts
from eqrl.proof.yardstick import CHAOS_FACTOR, LARGEST_CHAOS, NUDGE

Floats = NDArray[np.float64]

_CALMER = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003)
_SETTLING = 0.3  # seconds
_FEW = 4
_SOME_NUDGES, _MANY_NUDGES = 16, 64


@dataclass(frozen=True)
class Trial:
    """Some states and controls of a model to try symmetries on.

    Attributes:
        model: the model; the trial is the same on a changed copy of it, see :meth:`on`.
        starts: the states.
        controls: ``(steps, n, nu)``.
        frame_skip: substeps a step.
        tolerance: on the state.
        seed: of the nudges.
        calm: what positions, velocities and controls were scaled by, because the model diverges otherwise.
    """

    model: mujoco.MjModel
    starts: Starts
    controls: Floats
    frame_skip: int = 1
    tolerance: float = 1e-8
    seed: int = 0
    calm: float = 1.0

    @classmethod
    def random(
        cls, model: mujoco.MjModel, *, states: int, steps: int, frame_skip: int = 1, tolerance: float = 1e-8, seed: int = 0
    ) -> Trial:
        """Random states that make contact, and random controls: as wild as the model bears.

        Raises:
            NonFiniteRolloutError: if the model diverges even from calm states.
        """
        error: NonFiniteRolloutError | None = None
        for calm in _CALMER:
            rng = np.random.default_rng(seed)
            starts = _mixed(model, random_starts(model, states, rng, calm), rng, calm)
            trial = cls(model, starts, calm * random_controls(model, steps, states, rng), frame_skip, tolerance, seed, calm)
            try:
                _ = trial.original
            except NonFiniteRolloutError as found:
                error = found
                continue
            return trial
        assert error is not None
        raise error

    @classmethod
    def posed(cls, model: mujoco.MjModel, *, states: int, steps: int, tolerance: float = 1e-8, seed: int = 0) -> Trial:
        """Random states and controls for what needs no physics, whether the model would diverge from them or not."""
        rng = np.random.default_rng(seed)
        starts = random_starts(model, states, rng)
        return cls(model, starts, random_controls(model, steps, states, rng), tolerance=tolerance, seed=seed)

    def on(self, model: mujoco.MjModel) -> Trial:
        """The same states and controls on another version of the model."""
        return replace(self, model=model)

    def shorter(self, steps: int, states: Sequence[int] | None = None) -> Trial:
        """The first steps only, and some of the states only."""
        which = np.arange(len(self.starts)) if states is None else np.asarray(states, dtype=np.int64)
        return replace(self, starts=self.starts.pick(which), controls=self.controls[:steps][:, which])

    def around(self, state: int) -> list[int]:
        """A few of the states, a certain one first."""
        return list(dict.fromkeys([state, *range(len(self.starts))]))[:_FEW]

    @cached_property
    def original(self) -> Trace:
        """What happens untransformed.

        Raises:
            NonFiniteRolloutError: if it diverges.
        """
        trace = simulate(self.model, self.starts, self.controls, self.frame_skip)
        finite = np.isfinite(trace.qpos).all((1, 2)) & np.isfinite(trace.qvel).all((1, 2))
        if not finite.all():
            step = int(np.argmin(finite))
            # the fastest coordinate before is the one that goes first
            fastest = int(np.abs(trace.qvel[max(step - 1, 0)]).max(0, initial=0.0).argmax())
            raise NonFiniteRolloutError(step, column_names(identity(self.model))[self.model.nq + fastest])
        return trace

    @cached_property
    def _nudged(self) -> list[Trace]:
        rng = np.random.default_rng(self.seed)
        return [self._simulate_nudged(rng) for _ in range(2)]

    def _simulate_nudged(self, rng: np.random.Generator) -> Trace:
        """One simulation of each state that differs from the original by as little as can be."""
        starts = self.starts.nudged(NUDGE, rng)
        return simulate(described_otherwise(self.model, rng), starts, self.controls, self.frame_skip)

    def allowed(self, symmetry: Symmetry) -> Floats:
        """What may differ after each step, ``(steps + 1, n)``: the tolerance, what chaos makes of a nudge, or anything."""
        grown = [differences(self.original, nudged, symmetry).max(-1, initial=0.0) for nudged in self._nudged]
        return self._from_growth(np.maximum(*grown))

    def gaps(self, symmetry: Symmetry) -> Floats:
        """Differences between prediction and transformed rollout, ``(steps + 1, n, columns)``, NaN where that diverges."""
        moved = simulate(self.model, turn_starts(symmetry, self.starts), symmetry.ctrl(self.controls), self.frame_skip)
        return differences(turn_trace(symmetry, self.original), moved, symmetry)

    def violation(self, symmetry: Symmetry) -> Violation | None:
        """The first difference that is larger than allowed, None if the symmetry holds."""
        return self.compare(symmetry).violation

    def compare(self, symmetry: Symmetry, gaps: Floats | None = None, decisive: bool = True) -> Comparison:
        """What a symmetry predicts against what happens.

        Two nudges say roughly how a state diverges by itself. A collider amplifies some nudges of a state 1e4 times as much
        as others, so that a state that seems to break the symmetry is nudged more often before it may say so.

        Args:
            symmetry: what is tried.
            gaps: differences of another version of the model, to judge them by what this one allows.
            decisive: whether to nudge often enough for a verdict, and not for a remark only.
        """
        gaps = np.nan_to_num(self.gaps(symmetry) if gaps is None else gaps, nan=np.inf, posinf=np.inf)
        if gaps.max(initial=0.0) <= self.tolerance:
            return Comparison(gaps, np.full(gaps.shape[:2], self.tolerance), None)
        allowed = self.allowed(symmetry)
        visits: dict[int, int] = {}
        while (violation := first_violation(gaps, allowed, symmetry)) is not None:
            state, step = violation.state, violation.step
            visit = visits[state] = visits.get(state, 0) + 1
            if visit > (2 if decisive else 1):
                break
            # some nudges up to here show most contacts that are ill-conditioned; many, to the end, decide
            steps, nudges = (max(step, 1), _SOME_NUDGES) if visit == 1 else (len(self.controls), _MANY_NUDGES)
            natural = self._allowed_in(state, symmetry, steps, nudges)
            natural = np.append(natural, np.full(len(allowed) - len(natural), natural[-1]))  # it never shrinks
            allowed[:, state] = np.maximum(allowed[:, state], natural)
        return Comparison(gaps, allowed, violation)

    def _allowed_in(self, state: int, symmetry: Symmetry, steps: int, nudges: int) -> Floats:
        """As :meth:`allowed`, for the first steps of one state, ``(steps + 1,)``."""
        copies = [state] * nudges
        nudged = self.shorter(steps, copies)._simulate_nudged(np.random.default_rng(self.seed))
        grown = differences(self.original.pick(copies).first(steps), nudged, symmetry).max((1, 2), initial=0.0)
        return self._from_growth(grown)

    def _from_growth(self, grown: Floats) -> Floats:
        # what has once grown apart does not count as together again because two curves cross
        natural = np.maximum.accumulate(np.nan_to_num(grown, nan=np.inf, posinf=np.inf), axis=0)
        return np.where(natural > LARGEST_CHAOS, np.inf, np.maximum(self.tolerance, CHAOS_FACTOR * natural))


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


def first_violation(gaps: Floats, allowed: Floats, symmetry: Symmetry) -> Violation | None:
    """The earliest step at which a difference exceeds what is allowed, and the largest there."""
    over = gaps > allowed[..., None]
    steps = np.flatnonzero(over.any((1, 2)))
    if not len(steps):
        return None
    step = int(steps[0])
    excess = np.where(over[step], gaps[step], 0.0)
    state, column = np.unravel_index(int(excess.argmax()), excess.shape)
    return Violation(step, int(state), column_names(symmetry)[column], float(gaps[step, state, column]))


def _mixed(model: mujoco.MjModel, starts: Starts, rng: np.random.Generator, calm: float) -> Starts:
    """Every second state after a while of simulation, when what overlapped has come apart and lies or slides on the ground."""
    chosen = np.arange(1, len(starts), 2)
    if not len(chosen):
        return starts
    some = starts.pick(chosen)
    steps = max(1, round(_SETTLING / model.opt.timestep))
    held = np.repeat(random_controls(model, 1, len(chosen), rng), steps, axis=0)
    end = simulate(model, replace(some, qvel=0.1 * some.qvel), calm * held)
    if not np.isfinite(end.qpos[-1]).all():
        return starts
    qpos, qvel, act = starts.qpos.copy(), starts.qvel.copy(), starts.act.copy()
    qpos[chosen], act[chosen] = end.qpos[-1], end.act[-1]
    qvel[chosen] = end.qvel[-1] + some.qvel
    return replace(starts, qpos=qpos, qvel=qvel, act=act)
