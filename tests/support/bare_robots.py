"""Environments with a MuJoCo model that were not written for eqrl, for tests of what eqrl derives from them."""

import re
from pathlib import Path

import gymnasium.envs.mujoco
import numpy as np
from gymnasium.envs.mujoco import MujocoEnv
from gymnasium.spaces import Box

ASSETS = Path(gymnasium.envs.mujoco.__file__).parent / "assets"


class Crawler(MujocoEnv):
    """Gymnasium's ant without a direction: it shall be high and lazy.

    ``observe`` chooses what is seen: ``"axes"`` types under rotations, ``"odd"`` has an entry that follows nothing,
    ``"nan"`` one that becomes NaN, ``"mixed"`` names its actions in another order with another sign.
    """

    metadata = {"render_modes": ["human", "rgb_array", "depth_array", "rgbd_tuple"], "render_fps": 20}

    def __init__(self, observe="axes", xml_file="ant.xml", **kwargs):
        self.observe = observe
        super().__init__(xml_file, 5, observation_space=None, **kwargs)
        self.data.qpos[2] = 0.75
        size = len(self._get_obs())
        self.observation_space = Box(-np.inf, np.inf, (size,), np.float64)

    def _get_obs(self):
        d = self.data
        axes = d.body("torso").xmat.reshape(3, 3).T.ravel()
        parts = [d.qpos[2:3], axes, d.qvel[:3], d.qvel[3:6], d.qpos[7:], d.qvel[6:]]
        if self.observe == "odd":
            parts.insert(1, [d.qpos[7] ** 2 + d.qpos[8]])
        if self.observe == "nan":
            parts.append([np.nan])
        return np.concatenate(parts)

    def step(self, action):
        action = np.asarray(action, dtype=np.float64)
        if self.observe == "mixed":
            action = -action[::-1]
        self.do_simulation(action, self.frame_skip)
        reward = float(self.data.qpos[2] - 0.1 * np.square(action).sum())
        return self._get_obs(), reward, False, False, {}

    def reset_model(self):
        qpos = self.init_qpos + self.np_random.uniform(-0.1, 0.1, self.model.nq)
        self.set_state(qpos, self.init_qvel + 0.1 * self.np_random.standard_normal(self.model.nv))
        return self._get_obs()


def patched(folder, name, *changes):
    """Path of one of Gymnasium's models with texts replaced; every text must occur."""
    text = (ASSETS / name).read_text()
    for old, new in changes:
        assert re.search(old, text), old
        text = re.sub(old, new, text, count=1)
    path = folder / name
    path.write_text(text)
    return str(path)
