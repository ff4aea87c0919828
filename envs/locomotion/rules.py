"""How a run starts, what is paid besides running, and when the robot has fallen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Literal

import numpy as np

from eqrl.arrays import Bools, Floats
from eqrl.envs.core import World
from eqrl.envs.robots.limbs import Limbs
from eqrl.envs.robots.sgrl import Noise, family


@dataclass(frozen=True)
class Rules:
    """The rules for one robot.

    Attributes:
        noise: of the reset.
        measured: bodies whose heights count.
        heights: the robot stands while all these heights lie strictly between these, m.
        tilt_limit: radians at which the robot has fallen.
        tilt: angle between its up and the vertical, or the larger of pitch and roll.
        heading_reward: whether 3D-SGRL pays the speed along the robot's own heading.
        alive_reward: paid for every step.
        state_limit: a number of the state behind the trunk's position that ends the episode.
        idle_limit: sum of all squared velocities that ends the episode.
    """

    noise: Noise
    measured: Sequence[str]
    heights: tuple[float, float]
    tilt_limit: float
    tilt: Literal["total", "pitch and roll"] = "total"
    heading_reward: bool = False
    alive_reward: float = 0.0
    state_limit: float = inf
    idle_limit: float = -inf

    @classmethod
    def of_sgrl(cls, name: str, present: Sequence[str]) -> Rules:
        """The published rules of one of 3D-SGRL's robots.

        Args:
            name: of the robot.
            present: names of its limbs.
        """
        kin = family(name)
        return cls(
            noise=kin.noise,
            measured=[limb for limb in kin.measured if limb in present],
            heights=kin.members[name].heights,
            tilt_limit=kin.tilt_limit,
            tilt=kin.tilt,
            heading_reward=kin.heading_reward,
            alive_reward=float(kin.alive_reward),
            state_limit=kin.state_limit,
            idle_limit=kin.idle_limit,
        )

    def disturb(self, sim: World, rng: np.random.Generator) -> None:
        """Add the noise of the reset to one simulation."""
        qpos, qvel = sim.data.qpos, sim.data.qvel
        qpos += rng.uniform(-self.noise.position, self.noise.position, len(qpos))
        draw = rng.standard_normal if self.noise.gaussian else lambda n: rng.uniform(-1.0, 1.0, n)
        qvel[:] = self.noise.velocity * draw(len(qvel))

    def fallen(self, world: World, limbs: Limbs) -> Bools:
        """Which simulations end, ``(n,)``."""
        data = world.data
        low, high = self.heights
        heights = np.stack([world.bodies[name].position[:, 2] for name in self.measured], axis=1)
        fallen = (
            (heights <= low).any(axis=1) | (heights >= high).any(axis=1) | (self._tilt(world, limbs) >= self.tilt_limit)
        )
        if np.isfinite(self.state_limit):
            fallen |= (np.abs(data.qpos[:, 3:]) >= self.state_limit).any(axis=1)
            fallen |= (np.abs(data.qvel) >= self.state_limit).any(axis=1)
        if np.isfinite(self.idle_limit):
            fallen |= (data.qvel * data.qvel).sum(axis=1) <= self.idle_limit
        return np.asarray(fallen)

    def _tilt(self, world: World, limbs: Limbs) -> Floats:
        vertical = world.data.xmat[:, limbs.bodies[0], 6:9]  # of the trunk's own axes
        forward, left, up = (vertical @ axis for axis in (limbs.forward, limbs.left, limbs.up))
        if self.tilt == "total":
            return np.asarray(np.arccos(np.clip(up, -1.0, 1.0)))
        pitch, roll = np.arcsin(np.clip(forward, -1.0, 1.0)), np.arctan2(left, up)
        return np.asarray(np.maximum(np.abs(pitch), np.abs(roll)))
