"""What a declared generator does to the states of a twin.

By a symmetry of its model, and by lifts to its own variables.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from eqrl.arrays import Floats
from eqrl.derivation.remembered import derivation_of
from eqrl.proof.causes.declared_types import agreeing
from eqrl.proof.declared.counterparts import Candidate, counterparts
from eqrl.proof.declared.motion import TwinState
from eqrl.proof.declared.typed_twin import TypedTwin
from eqrl.proof.differences import body_name
from eqrl.proof.rollout import turn_starts
from eqrl.proof.states import Starts
from eqrl.proof.worlds import step_from
from eqrl.symmetry import Element

_LARGEST_VARIABLE = 256
_FEW = 6

Lift = Callable[[Any], Any]


@dataclass(frozen=True, eq=False)
class Counterpart:
    """What an element does to the states of a twin.

    Attributes:
        candidate: the symmetry of the model.
        lifts: what it does to variables of the environment that turn, by path.
    """

    candidate: Candidate
    lifts: dict[str, Lift] = field(default_factory=dict)

    def move(self, state: TwinState) -> TwinState:
        """The state of the transformed world."""
        motion = self.candidate.motion
        variables = {**state.variables, **{path: lift(state.variables[path]) for path, lift in self.lifts.items()}}
        moved = replace(motion.state(state), variables=variables)
        if not state.mocap_pos.size:
            return moved
        assert motion.symmetry is not None
        pose = Starts(*(part[None] for part in (state.qpos, state.qvel, state.act, state.mocap_pos, state.mocap_quat)))
        turned = turn_starts(motion.symmetry, pose)
        return replace(moved, mocap_pos=turned.mocap_pos[0], mocap_quat=turned.mocap_quat[0])

    @property
    def axes(self) -> dict[str, Floats]:
        """What it does to the axes of bodies that it takes to themselves, by name."""
        symmetry = self.candidate.motion.symmetry
        assert symmetry is not None
        m = symmetry.model
        return {body_name(m, b): symmetry.frames[b, :3, :3] for b in range(1, m.nbody) if symmetry.bodies[b] == b}


@dataclass(frozen=True, eq=False)
class CounterpartSearch:
    """Looks for the counterpart of an element: the candidate that explains most of what is observed and done.

    Attributes:
        twin: where to look.
        g: the element.
    """

    twin: TypedTwin
    g: Element

    def best(self) -> Counterpart | None:
        """The counterpart; None if the model has no symmetry that moves the world so."""
        samples = self.twin.samples()
        before = self.twin.observed(samples)
        best: tuple[float, Counterpart] | None = None
        few = samples[:_FEW]
        for candidate in counterparts(derivation_of(self.twin.model), self.g.R.numpy()):
            lifted = self._lift(Counterpart(candidate), few, before[: len(few)])
            wrong = self._wrong_entries(lifted, samples, before)
            control = candidate.motion.control
            if len(control) == self.twin.actions.dim:
                wrong += float((np.abs(self.twin.actions.matrix(self.g).numpy() - control).max(axis=1) > 1e-6).sum())
            if best is None or wrong < best[0]:
                best = wrong, lifted
            if wrong == 0:
                break
        return None if best is None else best[1]

    def _wrong_entries(self, counterpart: Counterpart, samples: list[TwinState], before: Floats) -> float:
        after = self.twin.observed([counterpart.move(s) for s in samples])
        return float((~agreeing(before @ self.twin.observations.matrix(self.g).numpy().T, after)).sum())

    def _lift(self, plain: Counterpart, samples: list[TwinState], before: Floats) -> Counterpart:
        """What the element does to the environment's own variables, such as goals and last actions.

        Nobody says how these turn. One that is observed as it is turns as that field; of the others the first of a few
        ways is taken with which most of the observation and the reward agree.
        """
        lifts: dict[str, Lift] = {}
        wrong = self._disagreement(plain, samples, before)
        for path in self._turning_variables(samples):
            for lift in self._ways(plain.candidate, samples, before, path):
                tried = Counterpart(plain.candidate, {**lifts, path: lift})
                if (now := self._disagreement(tried, samples, before)) < wrong:
                    wrong, lifts = now, tried.lifts
        return Counterpart(plain.candidate, lifts)

    def _disagreement(self, counterpart: Counterpart, samples: list[TwinState], before: Floats) -> float:
        wrong = self._wrong_entries(counterpart, samples, before)
        idle = np.zeros(self.twin.actions.dim)
        for state in samples:
            rewards = [step_from(self.twin, start, idle).reward for start in (state, counterpart.move(state))]
            wrong += abs(rewards[0] - rewards[1]) > 1e-6 * max(1.0, abs(rewards[0]))
        return wrong

    def _turning_variables(self, samples: list[TwinState]) -> list[str]:
        turning = []
        for path, value in samples[0].variables.items():
            if isinstance(value, np.ndarray) and value.dtype.kind == "f" and 1 < value.size <= _LARGEST_VARIABLE:
                others = [s.variables[path] for s in samples[1:]]
                if any(np.shape(o) == value.shape and not np.array_equal(o, value) for o in others):
                    turning.append(path)
        return turning

    def _ways(self, candidate: Candidate, samples: list[TwinState], before: Floats, path: str) -> list[Lift]:
        values = [np.asarray(s.variables[path], dtype=np.float64) for s in samples]
        shape, R = values[0].shape, self.g.R.numpy()
        ways: list[Lift] = []
        flat = np.stack([v.ravel() for v in values]) if all(v.shape == shape for v in values) else np.zeros((0, 0))
        whole = self.twin.observations.matrix(self.g).numpy()
        for where in self.twin.observations.slices.values():
            if where.stop - where.start == flat.shape[1] and np.allclose(before[:, where], flat, atol=1e-6):
                ways.append(_linear(whole[where, where]))
        if shape == (self.twin.actions.dim,):
            ways.append(_linear(self.twin.actions.matrix(self.g).numpy()))
        symmetry = candidate.motion.symmetry
        shift = np.zeros(3) if symmetry is None else symmetry.t
        if (n := (shape or (0,))[-1]) in (2, 3):
            ways += [lambda x: x @ R[:n, :n].T, lambda x: x @ R[:n, :n].T + shift[:n]]
            ways += [lambda x: x @ (np.linalg.det(R) * R).T] if n == 3 else []
        return ways


def _linear(matrix: Floats) -> Lift:
    return lambda x: (np.asarray(x, dtype=np.float64).ravel() @ matrix.T).reshape(np.shape(x))
