"""A tiny typed environment for tests: a point in the plane that has to reach the origin."""

import gymnasium
import numpy as np

from eqrl.symmetry import SO2, Field, Representation, TypedBox

POSITION = Representation((Field("position", "1x1o", horizontal=True),), group=SO2)


class Point(gymnasium.Env):
    """Moves by its action; returns a NaN at step ``nan_at``; draws from NumPy's global generator if ``leaky``."""

    def __init__(self, nan_at=-1, leaky=False, cube=False, turned=True):
        self.observation_space = TypedBox(POSITION)
        self.action_space = TypedBox(POSITION, -1.0, 1.0)
        if cube:
            self.action_space = gymnasium.spaces.Box(
                -np.array([1.0, 2.0], np.float32), np.array([1.0, 2.0], np.float32)
            )
        self.nan_at, self.leaky, self.steps = nan_at, leaky, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time = 0
        self.x = self.np_random.uniform(-1, 1, 2)
        return self.x.astype(np.float32), {}

    def step(self, action):
        if self.leaky:
            np.random.random()
        self.steps += 1
        self.time += 1
        self.x = self.x + 0.1 * np.asarray(action)
        observed = self.x.astype(np.float32)
        if self.steps == self.nan_at:
            observed = np.full(2, np.nan, np.float32)
        distance = float(np.linalg.norm(self.x))
        return observed, -distance, False, self.time >= 20, {"is_success": distance < 0.2}

    def get_state(self):
        return self.x.copy()

    def set_state(self, state):
        self.x = state

    def transform_state(self, state, g):
        return g.R.numpy()[:2, :2] @ state

    def observe(self):
        return self.x.astype(np.float32)


def register():
    if "tests/Point-v0" not in gymnasium.registry:
        gymnasium.register("tests/Point-v0", entry_point=Point)
