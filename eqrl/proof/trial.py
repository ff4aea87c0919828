"""One experiment: the same states and controls, as they are and transformed, and how much they may differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import mujoco
import numpy as np

from eqrl.arrays import Floats
from eqrl.derivation.elements import identity
from eqrl.derivation.symmetry import Symmetry
from eqrl.proof.comparison import NUDGE, NUDGES_OF_ALL, Comparison, Violation, compare
from eqrl.proof.converged import described_otherwise
from eqrl.proof.differences import column_names, differences
from eqrl.proof.errors import NonFiniteRolloutError
from eqrl.proof.rollout import Trace, simulate, turn_starts, turn_trace
from eqrl.proof.states import Starts, random_controls, random_starts

_CALMER = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003)
_SETTLING = 0.3  # seconds
_FEW = 4


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
        cls,
        model: mujoco.MjModel,
        *,
        states: int,
        steps: int,
        frame_skip: int = 1,
        tolerance: float = 1e-8,
        seed: int = 0,
    ) -> Trial:
        """Random states that make contact, and random controls: as violent as the model tolerates.

        Raises:
            NonFiniteRolloutError: if the model diverges even from calm states.
        """
        error: NonFiniteRolloutError | None = None
        for calm in _CALMER:
            rng = np.random.default_rng(seed)
            starts = _mixed(model, random_starts(model, states, rng, calm), rng, calm)
            trial = cls(
                model, starts, calm * random_controls(model, steps, states, rng), frame_skip, tolerance, seed, calm
            )
            try:
                _ = trial.original
            except NonFiniteRolloutError as diverged:
                error = diverged
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
        """A few of the states, beginning with a given one."""
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
        return [self._simulate_nudged(rng) for _ in range(NUDGES_OF_ALL)]

    def _simulate_nudged(self, rng: np.random.Generator) -> Trace:
        """One simulation of each state that differs from the original by as little as can be."""
        starts = self.starts.nudged(NUDGE, rng)
        return simulate(described_otherwise(self.model, rng), starts, self.controls, self.frame_skip)

    def gaps(self, symmetry: Symmetry) -> Floats:
        """Differences between prediction and transformed rollout, ``(steps + 1, n, columns)``; NaN after divergence."""
        moved = simulate(self.model, turn_starts(symmetry, self.starts), symmetry.ctrl(self.controls), self.frame_skip)
        return differences(turn_trace(symmetry, self.original), moved, symmetry)

    def violation(self, symmetry: Symmetry) -> Violation | None:
        """The first difference that is larger than allowed, None if the symmetry holds."""
        return self.compare(symmetry).violation

    def compare(self, symmetry: Symmetry, gaps: Floats | None = None, decisive: bool = True) -> Comparison:
        """What a symmetry predicts against what happens.

        Args:
            symmetry: what is tried.
            gaps: differences of another version of the model, to judge them by what this one allows.
            decisive: whether to nudge often enough for a verdict, and not for a remark only.
        """
        gaps = self.gaps(symmetry) if gaps is None else gaps
        growth = partial(self._growth, symmetry)
        return compare(gaps, column_names(symmetry), self.tolerance, growth, decisive=decisive)

    def _growth(self, symmetry: Symmetry, state: int | None, steps: int, nudges: int) -> Floats:
        """How far nudged rollouts grow apart from the original, for :func:`eqrl.proof.comparison.compare`."""
        if state is None:  # the same nudges serve every symmetry
            grown: Floats = np.maximum(*(differences(self.original, trace, symmetry) for trace in self._nudged))
            return np.asarray(grown.max(-1, initial=0.0))
        copies = [state] * nudges
        nudged = self.shorter(steps, copies)._simulate_nudged(np.random.default_rng(self.seed))
        apart = differences(self.original.pick(copies).first(steps), nudged, symmetry)
        return np.asarray(apart.max((1, 2), initial=0.0)[:, None])


def _mixed(model: mujoco.MjModel, starts: Starts, rng: np.random.Generator, calm: float) -> Starts:
    """Every second state is simulated for a while, until what overlapped has come apart and lies on the ground."""
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
