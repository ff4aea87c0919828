"""A point in the plane with drag, a goal, and a wind along x that can be switched on: every breaking is known."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from plane import C4

from eqrl.symmetry import Element, Field, Group, Representation, TypedBox


class WindyPlane(gymnasium.Env[Any, Any]):
    """A force pushes the point towards a goal that is part of the state.

    Without wind all rotations and mirrors are symmetries; with it only the mirror y -> -y is.

    Args:
        wind: added to the velocity along x in every step.
        group: what the spaces declare.
    """

    def __init__(self, wind: float = 0.0, group: Group = C4, length: int = 20) -> None:
        fields = tuple(Field(name, "1x1o", horizontal=True) for name in ("position", "velocity", "goal"))
        self.observation_space = TypedBox(Representation(fields, group=group))
        force = Field("force", "1x1o", horizontal=True)
        self.action_space = TypedBox(Representation((force,), group=group), -1.0, 1.0)
        self.wind, self.length = wind, length

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.clock, self.state = 0, self.np_random.normal(size=6)
        return self.observe(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        x, v, goal = np.split(self.state, 3)
        v = 0.8 * v + 0.3 * np.asarray(action, dtype=np.float64) + np.array([self.wind, 0.0])
        x = x + 0.3 * v
        self.state, self.clock = np.concatenate([x, v, goal]), self.clock + 1
        return self.observe(), -float(np.linalg.norm(goal - x)), False, self.clock >= self.length, {}

    # ------------------------------------------------------------------ SymmetricWorld
    def get_state(self) -> Any:
        return self.state.copy()

    def set_state(self, state: Any) -> None:
        self.state, self.clock = state.copy(), 0

    def transform_state(self, state: Any, g: Element) -> Any:
        return (state.reshape(3, 2) @ g.R.numpy()[:2, :2].T).ravel()

    def state_difference(self, a: Any, b: Any) -> dict[str, float]:
        parts = np.split(np.abs(a - b), 3)
        return {name: float(part.max()) for name, part in zip(("position", "velocity", "goal"), parts, strict=True)}

    def nudge_state(self, state: Any, size: float) -> Any:
        return state + size

    def observe(self) -> Any:
        return self.state.astype(np.float32)

    def contacts(self) -> int:
        return 1
