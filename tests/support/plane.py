"""A point in the plane whose whole state can be read, set and turned, with a declaration that may be wrong."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from eqrl.symmetry import Element, Field, Generator, Group, Representation, TypedBox, finite_group

MIRROR_Y = finite_group("mirror y", [Generator.of("mirror y", np.diag([1.0, -1.0, 1.0]))])
_QUARTER = [[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
C4 = finite_group("C4", [Generator.of("quarter turn", _QUARTER)])


class Plane(gymnasium.Env[Any, Any]):
    """A force pushes the point, which has to reach the origin, or to be fast along y in either direction.

    Args:
        group: what the spaces declare.
        wrong: whether the force is declared as two numbers that do not turn, which is the mistake of a map without its
            sign.
        race: whether it shall be fast.
        length: steps of an episode.
        patch: centre x, y and radius of the patch in which wind blows along +x.
        wind: what it adds to the velocity in a step.
    """

    def __init__(
        self,
        group: Group = MIRROR_Y,
        wrong: bool = False,
        race: bool = False,
        length: int = 30,
        patch: tuple[float, float, float] = (0.5, 0.3, 0.4),
        wind: float = 0.0,
    ) -> None:
        fields = (Field("position", "1x1o", horizontal=True), Field("velocity", "1x1o", horizontal=True))
        force = Field("force", "2x0e") if wrong else Field("force", "1x1o", horizontal=True)
        self.observation_space = TypedBox(Representation(fields, group=group))
        self.action_space = TypedBox(Representation((force,), group=group), -1.0, 1.0)
        self.race, self.length = race, length
        self.patch, self.wind = patch, wind

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.clock = 0
        self.state = np.concatenate([self.np_random.uniform(-1.0, 1.0, 2), np.zeros(2)])
        return self.observe(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        x, v = self.state[:2], self.state[2:]
        v = 0.8 * v + 0.2 * np.clip(np.asarray(action, dtype=np.float64), -1.0, 1.0)
        v[0] += self.wind * in_patch(x, self.patch)
        x = x + 0.3 * v
        self.state, self.clock = np.concatenate([x, v]), self.clock + 1
        reward = abs(float(v[1])) if self.race else -float(np.linalg.norm(x))
        return self.observe(), reward, False, self.clock >= self.length, {}

    # ------------------------------------------------------------------ SymmetricWorld
    def get_state(self) -> Any:
        return self.state.copy()

    def set_state(self, state: Any) -> None:
        self.state, self.clock = state.copy(), 0

    def transform_state(self, state: Any, g: Element) -> Any:
        turn = g.R.numpy()[:2, :2]
        return np.concatenate([turn @ state[:2], turn @ state[2:]])

    def state_difference(self, a: Any, b: Any) -> dict[str, float]:
        return {"position": float(np.abs(a - b)[:2].max()), "velocity": float(np.abs(a - b)[2:].max())}

    def nudge_state(self, state: Any, size: float) -> Any:
        return state + size

    def observe(self) -> Any:
        return self.state.astype(np.float32)

    def contacts(self) -> int:
        return 1


def in_patch(position: Any, patch: tuple[float, float, float]) -> Any:
    """Whether positions, shape ``(..., 2)``, lie in a patch."""
    return np.hypot(position[..., 0] - patch[0], position[..., 1] - patch[1]) < patch[2]
