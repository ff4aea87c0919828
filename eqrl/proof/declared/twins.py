"""Twins of other people's environments, whose states can be read and set, so that symmetries can be tried on them.

The user's environment is never stepped: a twin with a simulation and random numbers of its own is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import gymnasium
import mujoco
import numpy as np

from eqrl.arrays import Floats
from eqrl.proof.declared.copies import copy_environment, simulation_of, without_arguments
from eqrl.proof.declared.motion import TwinState
from eqrl.proof.quaternion_signs import with_signs_of
from eqrl.symmetry.errors import DeclarationError

_OBSERVERS = ("_get_obs", "_get_ob", "_get_observation", "get_obs")
_POSES = (int(mujoco.mjtJoint.mjJNT_FREE), int(mujoco.mjtJoint.mjJNT_BALL))


def twin_of(env: gymnasium.Env[Any, Any]) -> Twin:
    """The twin on which symmetries of an environment can be tried.

    Raises:
        DeclarationError: if the state can be neither read nor set.
    """
    base = env.unwrapped
    if simulation_of(base) is not None:
        return MujocoTwin(base)
    if hasattr(base, "state") or type(base).__module__.startswith("gymnasium.envs.classic_control"):
        return VectorTwin(base)
    raise DeclarationError(
        f"{type(base).__name__} has neither a MuJoCo `model` and `data` nor a `state` vector, so that no symmetry can"
        " be tried on it; declare its fields: with_symmetry(env, observation=[Field(...), ...], action=[...],"
        " group=...)"
    )


class Twin(ABC):
    """A copy of an environment that can be set to a state.

    Attributes:
        env: the copy, without wrappers.
        observer: what observes the current state, None where only a step does.
    """

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        self.env = env
        env.action_space = _plain(env.action_space)
        self.observer: Callable[[], Any] | None = next(
            (getattr(env, name) for name in _OBSERVERS if without_arguments(getattr(env, name, None))), None
        )

    @abstractmethod
    def get_state(self) -> TwinState:
        """The current state."""

    @abstractmethod
    def set_state(self, state: TwinState) -> None:
        """Continue from a state."""

    def contacts(self) -> int:
        """Number of contacts now."""
        return 0

    def random_action(self) -> Any:
        """A random action."""
        return self.env.action_space.sample()

    def draw(self, rng: np.random.Generator) -> TwinState:
        """A random state that the environment reaches."""
        seed = int(rng.integers(2**31))
        self.env.reset(seed=seed)
        self.env.action_space.seed(seed)
        for _ in range(int(rng.integers(1, 12))):
            if self.env.step(self.random_action())[2]:
                break
        return self.get_state()

    def spread(self, rng: np.random.Generator, n: int) -> list[TwinState]:
        """Random states, some of them far from what the environment usually reaches."""
        return [self.draw(rng) for _ in range(n)]

    def observe(self) -> Any:
        """The observation of the current state."""
        if self.observer is None:
            raise DeclarationError(
                f"{type(self.env).__name__} has no method that observes a state without arguments"
                f" ({', '.join(_OBSERVERS)}), which inference needs"
            )
        return self._finite(self.observer())

    def step(self, action: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Take one step, as a Gymnasium environment does."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        return self._finite(observation), reward, terminated, truncated, info

    def difference(self, a: TwinState, b: TwinState) -> float:
        """Largest difference of two states, relative to entries that are larger than one."""
        # relative to what is large: a body pushed out of the ground is fast
        sizes = [
            (np.abs(x - y) / np.maximum(1.0, np.abs(y))).max(initial=0.0)
            for x, y in ((a.qpos, b.qpos), (a.qvel, b.qvel), (a.act, b.act))
        ]
        return float(max(sizes))

    def _finite(self, observation: Any) -> Floats:
        if isinstance(observation, dict):
            raise DeclarationError(
                "the observation is a dict; declare the fields of each entry: observation={'key': [Field(...)]}"
            )
        flat = np.asarray(observation, dtype=np.float64).ravel()
        if not np.isfinite(flat).all():
            i = int(np.flatnonzero(~np.isfinite(flat))[0])
            raise DeclarationError(
                f"{type(self.env).__name__}: observation entry {i} became {flat[i]} in a rollout with random actions; "
                "a symmetry can be tried only on finite observations"
            )
        return flat


class MujocoTwin(Twin):
    """A twin with a MuJoCo simulation, held as ``model`` and ``data`` or anywhere else in the environment.

    Attributes:
        model: the twin's model.
        data: the twin's simulation.
        stack: the twin with the wrappers that were given.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], model: mujoco.MjModel | None = None) -> None:
        self.stack, data = copy_environment(env, model)
        assert data is not None
        self.data: mujoco.MjData = data
        self.model: mujoco.MjModel = data.model
        # the solver's usual accuracy differs by 5e-7 between mirror images of a humanoid that lies on the ground
        self.model.opt.tolerance, self.model.opt.iterations = 1e-15, 500
        super().__init__(self.stack.unwrapped)

    def get_state(self) -> TwinState:
        """The state of the simulation."""
        d = self.data
        return TwinState(d.qpos.copy(), d.qvel.copy(), d.act.copy(), d.ctrl.copy())

    def set_state(self, state: TwinState) -> None:
        """Continue from a state, with everything that MuJoCo derives from it, and a cold solver."""
        m, d = self.model, self.data
        mujoco.mj_resetData(m, d)
        d.qpos[:], d.qvel[:], d.act[:], d.ctrl[:] = state.qpos, state.qvel, state.act, state.ctrl
        mujoco.mj_forward(m, d)
        mujoco.mj_rnePostConstraint(m, d)  # contact forces; MuJoCo computes them on demand only
        d.qacc_warmstart[:] = 0.0

    def contacts(self) -> int:
        """Number of contacts now."""
        return int(self.data.ncon)

    def spread(self, rng: np.random.Generator, n: int) -> list[TwinState]:
        """Random states; a third of them fast, another third in any pose, with joints at their limits and beyond."""
        return [self.disturbed(self.draw(rng), k, rng) for k in range(n)]

    def disturbed(self, state: TwinState, k: int, rng: np.random.Generator) -> TwinState:
        """A state disturbed as :meth:`spread` disturbs its k-th."""
        m, qpos = self.model, state.qpos.copy()
        if k % 3 == 2:
            for j in range(m.njnt):
                at = int(m.jnt_qposadr[j])
                if m.jnt_type[j] == _POSES[0]:  # any side up and close to the ground, so that every body touches it
                    qpos[at + 2] *= rng.uniform(0.4, 1.0)
                    qpos[at + 3 : at + 7] = rng.standard_normal(4)
                    qpos[at + 3 : at + 7] /= np.linalg.norm(qpos[at + 3 : at + 7])
                elif m.jnt_limited[j] and m.jnt_type[j] != _POSES[1]:
                    low, high = m.jnt_range[j]
                    # past a limit more often than not: a force that only limits show has to be seen
                    qpos[m.jnt_qposadr[j]] = 0.5 * (low + high) + rng.uniform(-0.7, 0.7) * (high - low)
        # entries that differ by noise alone would look alike
        qvel = state.qvel + (0.3 if k % 3 == 1 else 0.05) * rng.standard_normal(m.nv)
        return replace(state, qpos=qpos, qvel=qvel)

    def difference(self, a: TwinState, b: TwinState) -> float:
        """As for vectors, but a quaternion and its opposite are the same pose."""
        return super().difference(a, replace(b, qpos=with_signs_of(self.model, b.qpos, a.qpos)))


class VectorTwin(Twin):
    """A twin with a ``state`` vector, as in Gymnasium's classic control."""

    def __init__(self, base: gymnasium.Env[Any, Any]) -> None:
        super().__init__(copy_environment(base)[0])
        self.env.action_space.seed(0)
        observation = self.env.reset(seed=0)[0]
        # many observe the state itself, and have no method for that
        if self.observer is None and np.array_equal(observation, np.asarray(self.get_state().qpos, dtype=np.float32)):
            self.observer = lambda: self.get_state().qpos

    def get_state(self) -> TwinState:
        """The vector as positions."""
        return TwinState(np.array(self.env.state, dtype=np.float64))  # type: ignore[attr-defined]

    def set_state(self, state: TwinState) -> None:
        """Continue from a state."""
        self.env.state = state.qpos.copy()  # type: ignore[attr-defined]
        if hasattr(self.env, "steps_beyond_terminated"):
            self.env.steps_beyond_terminated = None


def _plain(space: gymnasium.Space[Any]) -> gymnasium.Space[Any]:
    # its own random numbers, and components drawn independently: a ball would hide a clip
    if isinstance(space, gymnasium.spaces.Box):
        return gymnasium.spaces.Box(space.low, space.high, dtype=space.dtype)
    if isinstance(space, gymnasium.spaces.Discrete):
        return gymnasium.spaces.Discrete(int(space.n), start=int(space.start))
    return space
