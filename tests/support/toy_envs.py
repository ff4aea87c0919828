"""Small typed environments without a simulator, each exactly equivariant."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from eqrl.symmetry import O2, SO2, Element, EntitySet, Field, Generator, Group, Representation, TypedBox

Array = NDArray[np.float32]


class PointMass(gymnasium.Env[Array, Array]):
    """A mass in space that has to reach a goal; a force from a ball pushes it, and gravity pulls it down."""

    def __init__(self, radius: float = 2.0, length: int = 30) -> None:
        fields = (
            Field("height", "1x0e"),
            Field("to_goal", "1x1o", role="goal"),
            Field("velocity", "1x1o", role="heading"),
            Field("plane", "1x1o", horizontal=True),
        )
        self.observation_space = TypedBox(Representation(fields, group=O2))
        self.action_space = TypedBox(Representation((Field("force", "1x1o"),), group=O2), -radius, radius)
        self.radius, self.length = radius, length

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        super().reset(seed=seed)
        self.clock = 0
        self.x, self.v, self.goal = self.np_random.normal(size=(3, 3))
        return self._observe(), {}

    def step(self, action: Array) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        force = np.asarray(action, dtype=np.float64)
        force = force * min(1.0, self.radius / max(1e-12, float(np.linalg.norm(force))))
        self.clock += 1
        self.v = 0.9 * self.v + 0.1 * (force + np.array([0.0, 0.0, -0.2]))
        self.x = self.x + 0.3 * self.v
        reward = -float(np.linalg.norm(self.goal - self.x))
        return self._observe(), reward, False, self.clock >= self.length, {}

    # ------------------------------------------------------------------ what turning its state takes
    def get_state(self) -> Any:
        return self.x.copy(), self.v.copy(), self.goal.copy()

    def set_state(self, state: Any) -> None:
        self.x, self.v, self.goal = state

    def transform_state(self, state: Any, g: Element) -> Any:
        return tuple(g.R.numpy() @ vector for vector in state)

    def observe(self) -> Array:
        return self._observe()

    def _observe(self) -> Array:
        return np.concatenate([self.x[2:], self.goal - self.x, self.v, self.goal[:2]]).astype(np.float32)


_SWAP = np.eye(4)[[1, 0, 3, 2]]
MIRRORED_JOINTS = Group(
    "SO2 with mirror", "SO2", (Generator.of("mirror", np.diag([1.0, -1.0, 1.0]), {"joints": -_SWAP}),)
)


class Walker(gymnasium.Env[Array, Array]):
    """A body in the plane with four joints whose torques steer it: scalar actions, mirrored in pairs."""

    def __init__(self, length: int = 30) -> None:
        joints = EntitySet("joints", ("hip", "hip", "knee", "knee"))
        fields = (
            Field("goal", "1x1o", horizontal=True, role="goal"),
            Field("heading", "1x1o", horizontal=True, role="heading"),
            Field("angles", "1x0e", entities="joints"),
        )
        self.observation_space = TypedBox(Representation(fields, (joints,), MIRRORED_JOINTS))
        torques = Representation((Field("torques", "1x0e", entities="joints"),), (joints,), MIRRORED_JOINTS)
        self.action_space = TypedBox(torques, -1.0, 1.0)
        self.length = length

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        super().reset(seed=seed)
        self.clock = 0
        self.yaw = self.np_random.uniform(-np.pi, np.pi)
        self.q = self.np_random.normal(size=4)
        self.x, self.goal = self.np_random.normal(size=(2, 2))
        return self._observe(), {}

    def step(self, action: Array) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        torque = np.clip(np.asarray(action, dtype=np.float64), -1.0, 1.0)
        self.clock += 1
        self.q = 0.9 * self.q + 0.3 * torque
        self.yaw += 0.1 * float(self.q[0] + self.q[1])
        self.x = self.x + 0.1 * float(abs(self.q[2]) + abs(self.q[3])) * np.array([np.cos(self.yaw), np.sin(self.yaw)])
        return self._observe(), -float(np.linalg.norm(self.goal - self.x)), False, self.clock >= self.length, {}

    def _observe(self) -> Array:
        return np.concatenate([self.goal - self.x, [np.cos(self.yaw), np.sin(self.yaw)], self.q]).astype(np.float32)


class Reach(gymnasium.Env[dict[str, Array], Array]):
    """A goal-conditioned point with a gripper: dict observations, an action of one vector and one scalar."""

    def __init__(self, length: int = 20) -> None:
        place = Representation((Field("place", "1x1o"),), group=SO2)
        state = Representation((Field("velocity", "1x1o"), Field("gripper", "1x0e")), group=SO2)
        self.observation_space = spaces.Dict(
            {"observation": TypedBox(state), "achieved_goal": TypedBox(place), "desired_goal": TypedBox(place)}
        )
        action = Representation((Field("motion", "1x1o"), Field("grip", "1x0e")), group=SO2)
        self.action_space = TypedBox(action, np.float32([-0.5, -0.5, -0.5, 0.0]), np.float32([0.5, 0.5, 0.5, 1.0]))
        self.length = length

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Array], dict[str, Any]]:
        super().reset(seed=seed)
        self.clock, self.grip = 0, 0.0
        self.x, self.goal = self.np_random.normal(size=(2, 3)) * 0.3
        self.v = np.zeros(3)
        return self._observe(), {}

    def step(self, action: Array) -> tuple[dict[str, Array], float, bool, bool, dict[str, Any]]:
        motion = np.asarray(action[:3], dtype=np.float64)
        motion = motion * min(1.0, 0.5 / max(1e-12, float(np.linalg.norm(motion))))
        self.clock += 1
        self.v, self.grip = 0.5 * self.v + 0.5 * motion, float(action[3])
        self.x = self.x + 0.3 * self.v
        observation = self._observe()
        reward = float(self.compute_reward(observation["achieved_goal"], observation["desired_goal"], {}))
        return observation, reward, False, self.clock >= self.length, {"is_success": reward == 0.0}

    def compute_reward(self, achieved: Array, desired: Array, info: Any) -> Any:
        return -(np.linalg.norm(achieved - desired, axis=-1) > 0.1).astype(np.float32)

    def _observe(self) -> dict[str, Array]:
        state = np.concatenate([self.v, [self.grip]])
        parts = {"observation": state, "achieved_goal": self.x, "desired_goal": self.goal}
        return {key: value.astype(np.float32) for key, value in parts.items()}
