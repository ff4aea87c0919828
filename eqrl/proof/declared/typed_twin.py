"""A twin of a typed environment: what it shows, and states that hold everything it depends on."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import gymnasium
import mujoco
import numpy as np

from eqrl.arrays import Floats
from eqrl.derivation.elements import identity
from eqrl.proof.declared.copies import simulation_of, variables_of
from eqrl.proof.declared.layers import layer_names, observing_layers, without_bookkeeping
from eqrl.proof.declared.motion import TwinState
from eqrl.proof.declared.twins import MujocoTwin
from eqrl.proof.differences import column_names
from eqrl.proof.quaternion_signs import with_signs_of
from eqrl.proof.worlds import observe_at
from eqrl.symmetry import representation_of
from eqrl.symmetry.errors import DeclarationError

_SAMPLES = 48


class TypedTwin(MujocoTwin):
    """A twin of an environment with typed spaces: Gymnasium's methods, and those of a world that need no group element.

    Args:
        env: the layer whose spaces are typed; what is below it, other wrappers included, is tried as it is.
        model: another version of its model.

    Raises:
        TypeError: if its state cannot be set or does not say what is observed.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], model: mujoco.MjModel | None = None) -> None:
        self._source = env
        self.name = type(env.unwrapped).__name__
        self.observation_space, self.action_space = env.observation_space, copy.deepcopy(env.action_space)
        self.observations, self.actions = (
            representation_of(self.observation_space),
            representation_of(self.action_space),
        )
        try:
            if simulation_of(env.unwrapped) is None:
                raise TypeError(
                    f"{self.name} is typed from outside, but cannot be checked: it has no MuJoCo simulation that could"
                    " be set to a state and its image. Give it the methods of eqrl.proof.SymmetricWorld (get_state,"
                    " set_state, transform_state, state_difference, nudge_state, observe, contacts)"
                )
            super().__init__(without_bookkeeping(env), model)
        except DeclarationError as error:
            raise TypeError(f"{self.name} cannot be checked: {error}") from error
        space = self.env.action_space
        if isinstance(space, gymnasium.spaces.Box):  # images of actions are not rounded to float32
            self.env.action_space = gymnasium.spaces.Box(
                space.low.astype(np.float64), space.high.astype(np.float64), dtype=np.float64
            )
        self._variables = variables_of(self.stack, (self.model, self.data))
        self._views = None if self.observer is None else observing_layers(self.stack)
        self._samples: list[TwinState] = []

    def reset(self, *, seed: int | None = None) -> tuple[Any, dict[str, Any]]:
        """Reset the twin."""
        return self.stack.reset(seed=seed)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Step the twin; actions are float64, for float32 would round an action and its image differently."""
        observation, reward, terminated, truncated, info = self.stack.step(np.asarray(action, dtype=np.float64))
        return observation, float(reward), bool(terminated), bool(truncated), info

    def get_state(self) -> TwinState:
        """The simulation's state and the environment's own variables."""
        return replace(
            super().get_state(),
            mocap_pos=self.data.mocap_pos.copy(),
            mocap_quat=self.data.mocap_quat.copy(),
            variables={path: copy.copy(getattr(holder, name)) for path, holder, name in self._variables},
        )

    def set_state(self, state: TwinState) -> None:
        """Continue from a state, with a cold solver."""
        super().set_state(state)
        if self.model.nmocap:
            self.data.mocap_pos[:], self.data.mocap_quat[:] = state.mocap_pos, state.mocap_quat
            mujoco.mj_forward(self.model, self.data)
            self.data.qacc_warmstart[:] = 0.0
        for path, holder, name in self._variables:
            object.__setattr__(holder, name, copy.copy(state.variables[path]))

    def state_difference(self, a: TwinState, b: TwinState) -> dict[str, float]:
        """Largest difference of every joint's position and velocity, and of activations.

        Velocities relative to the fastest.
        """
        m = self.model
        names = column_names(identity(m))[: m.nq + m.nv + m.na]
        qpos, other = a.qpos, with_signs_of(m, b.qpos, a.qpos)
        fastest = max(1.0, float(np.abs(a.qvel).max(initial=0.0)))
        gaps = np.concatenate([np.abs(qpos - other), np.abs(a.qvel - b.qvel) / fastest, np.abs(a.act - b.act)])
        largest: dict[str, float] = {}
        for name, gap in zip(names, gaps, strict=True):
            largest[name] = max(largest.get(name, 0.0), float(gap)) if gap == gap else np.inf
        return largest or {"nothing moves": 0.0}

    def nudge_state(self, state: TwinState, size: float) -> TwinState:
        """Every position and velocity a little larger."""
        return replace(state, qpos=state.qpos + size, qvel=state.qvel + size)

    def observe(self) -> Any:
        """The observation of the current state; where nothing computes one, that after a step without action."""
        if self._views is None:
            state = self.get_state()
            observation = self.step(np.zeros(self.actions.dim))[0]
            self.set_state(state)
            return observation
        observation = self.observer()  # type: ignore[misc]
        for layer in self._views:
            observation = layer.observation(observation)
        return observation

    # ------------------------------------------------------------------ samples
    def samples(self) -> list[TwinState]:
        """States that the environment reaches, some of them disturbed; always the same ones."""
        if not self._samples:
            rng = np.random.default_rng(0)
            self.action_space.seed(0)
            for k in range(_SAMPLES):
                self.reset(seed=int(rng.integers(2**31)))
                for _ in range(int(rng.integers(1, 12))):
                    if self.step(self.action_space.sample())[2]:
                        break
                self._samples.append(self.disturbed(self.get_state(), k, rng))
        return self._samples

    def observed(self, states: list[TwinState]) -> Floats:
        """Observations of states, ``(n, dim)``."""
        return np.stack([observe_at(self, state) for state in states])

    def check_function_of_state(self) -> None:
        """Refuse observations that depend on what was seen before.

        Raises:
            TypeError: naming the field.
        """
        samples = self.samples()[:4]
        first, again = self.observed(samples), self.observed(samples[::-1])[::-1]
        if not np.isfinite(first).all():
            field = self._field_at(int(np.flatnonzero(~np.isfinite(first).all(axis=0))[0]))
            raise TypeError(f"{self.name} cannot be checked: its observation {field} is not finite")
        if (changed := np.flatnonzero((first != again).any(axis=0))).size:
            layers = ", ".join(layer_names(self._source))
            raise TypeError(
                f"{self.name} cannot be checked: its observation {self._field_at(int(changed[0]))} depends on more than"
                " the simulation's state and the environment's own numbers, such as what was seen before or chance"
                f" (layers: {layers}); check the environment below such wrappers"
            )

    def _field_at(self, entry: int) -> str:
        return next(n for n, where in self.observations.slices.items() if where.start <= entry < where.stop)
