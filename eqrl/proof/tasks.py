"""Does a Gymnasium environment's task keep a symmetry of its model: action bounds, reward, termination and reset?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import mujoco
import numpy as np
from gymnasium.spaces import Box

from eqrl.arrays import Floats
from eqrl.derivation.symmetry import Symmetry
from eqrl.proof.differences import actuator_name, column_names
from eqrl.proof.quaternion_signs import with_signs_of
from eqrl.proof.resets import SAMPLES, reset_difference
from eqrl.proof.verdict import Cause, Verdict

_STEPS = 3
_STATES = 8
_RELATIVE = 1e-5


def is_mujoco_env(env: Any) -> bool:
    """Whether an (unwrapped) environment has a model and data, and can be set to a state, as Gymnasium's can."""
    return (
        isinstance(getattr(env, "model", None), mujoco.MjModel)
        and isinstance(getattr(env, "data", None), mujoco.MjData)
        and callable(getattr(env, "set_state", None))
    )


class TaskProof:
    """Tries symmetries of the model on the task.

    Args:
        env: the unwrapped environment; it is reset and stepped.
        seed: of resets and actions.
    """

    def __init__(self, env: Any, seed: int = 0) -> None:
        self.env = env
        env.action_space.seed(seed)
        self.resets = np.stack([self._reset(seed + i) for i in range(SAMPLES)])
        self.states = [self._somewhere(seed + i) for i in range(_STATES)]
        self.direct = self._actions_are_controls()

    def examine(self, symmetry: Symmetry, verdict: Verdict) -> Verdict:
        """A verdict on the physics, extended by what the task adds.

        Bounds of actions, reward and termination make it fail; another distribution of resets is a remark.
        """
        remarks = list(verdict.remarks)
        if difference := reset_difference(self.resets, lambda x: self._turned(symmetry, x)):
            name = column_names(symmetry)[difference[0]]
            remarks.append(f"reset not invariant: {name} is distributed otherwise in the transformed world")
        if not self.direct:
            remarks.append("actions are not the model's controls, so that reward and termination were not compared")
        verdict = replace(verdict, remarks=tuple(remarks))
        if not verdict.holds or not self.direct:
            return verdict
        wrong = self._bounds(symmetry) or self._outcome(symmetry)
        if wrong is None:
            return verdict
        field, cause = wrong
        return replace(verdict, holds=False, field=field, step=1, cause=cause)

    def _bounds(self, symmetry: Symmetry) -> tuple[str, Cause] | None:
        space = self.env.action_space
        one, other = symmetry.ctrl(space.low), symmetry.ctrl(space.high)
        wrong = ~(np.isclose(np.minimum(one, other), space.low) & np.isclose(np.maximum(one, other), space.high))
        if not wrong.any():
            return None
        names = ", ".join(actuator_name(symmetry.model, int(k)) for k in np.flatnonzero(wrong))
        clip = "componentwise clip"
        return clip, Cause(clip, f"the bounds of actions {names} are not those of the actions that are mapped to them")

    def _outcome(self, symmetry: Symmetry) -> tuple[str, Cause] | None:
        for state, actions in self.states:
            here = self._play(*state, actions)
            there = self._play(
                symmetry.qpos(state[0]),
                symmetry.qvel(state[1], state[0]),
                symmetry.act(state[2]),
                symmetry.ctrl(actions),
            )
            for a, b in zip(here, there, strict=False):
                if not abs(a[0] - b[0]) <= _RELATIVE * max(1.0, abs(a[0])):
                    return "reward", Cause(
                        "reward not invariant",
                        f"a step pays {a[0]:.4g}, its image {b[0]:.4g}: the reward singles out a direction or a side",
                    )
                if a[1] != b[1]:
                    return "termination", Cause("termination not invariant", "an episode ends and its image does not")
        return None

    def _play(self, qpos: Floats, qvel: Floats, act: Floats, actions: Floats) -> list[tuple[float, bool]]:
        env = self.env
        env.reset(seed=0)
        mujoco.mj_resetData(env.model, env.data)
        env.data.act[:] = act
        env.set_state(qpos, qvel)
        mujoco.mj_rnePostConstraint(env.model, env.data)  # contact forces, which MuJoCo computes on demand only
        env.data.qacc_warmstart[:] = 0.0
        seen = []
        for action in actions:
            _, reward, terminated, _, _ = env.step(action)
            seen.append((float(reward), bool(terminated)))
        return seen

    def _reset(self, seed: int) -> Floats:
        self.env.reset(seed=seed)
        return np.concatenate([self.env.data.qpos, self.env.data.qvel])

    def _somewhere(self, seed: int) -> tuple[tuple[Floats, Floats, Floats], Floats]:
        env = self.env
        env.reset(seed=seed)
        rng = np.random.default_rng(seed)
        for _ in range(seed % 5):
            env.step(env.action_space.sample())
        qvel = env.data.qvel + 0.3 * rng.standard_normal(env.model.nv)
        state = env.data.qpos.copy(), qvel, env.data.act.copy()
        return state, np.stack([env.action_space.sample() for _ in range(_STEPS)]).astype(np.float64)

    def _actions_are_controls(self) -> bool:
        space, model = self.env.action_space, self.env.model
        if not isinstance(space, Box) or space.shape != (model.nu,):
            return False
        self.env.reset(seed=0)
        action = space.sample()
        self.env.step(action)
        return bool(np.allclose(self.env.data.ctrl, action))

    @staticmethod
    def _turned(symmetry: Symmetry, states: Floats) -> Floats:
        nq = symmetry.model.nq
        qpos, qvel = states[:, :nq], states[:, nq:]
        turned = with_signs_of(symmetry.model, symmetry.qpos(qpos), qpos.mean(0))
        return np.concatenate([turned, symmetry.qvel(qvel, qpos)], axis=1)
