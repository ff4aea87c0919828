"""Reach: a free end effector in space moves to a point."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from eqrl.arrays import Floats
from eqrl.envs.core import Outcome, Task, World, add_marker, choice, number, sector
from eqrl.envs.scenes.effectors import add_effector, velocity_command
from eqrl.envs.scenes.floor import add_camera, add_floor, new_spec
from eqrl.envs.scenes.goals import distance, in_ball
from eqrl.symmetry import O3, Element, Field

_CENTRE = np.array([0.0, 0.0, 0.6])  # of the workspace, above the floor that is only drawn


class Reach(Task):
    """A free end effector in space, driven by its velocity, moves to a point.

    ## Description
    The effector floats (its weight is compensated), so the symmetry group is O(3): all rotations and mirrors about the
    centre of the workspace. Goal environment with a dict observation, ready for hindsight experience replay. Positions
    are relative to the workspace's centre.

    ## Rewards
    `compute_reward(achieved, desired, info)` gives the same for any goals.

    ## Starting state
    Effector uniform in a ball of `start_radius`, goal uniform in a ball of `goal_radius` with azimuth in
    `target_sector`; then the scene turns by `scene_rotation` degrees and the goal alone by `goal_rotation`, about the
    vertical axis.

    ## Episode end
    Never terminated; truncated after 50 steps (2 s).

    ## Version history
    * v0: first version.
    """

    frame_skip = 4
    main_body = "effector"
    group = O3
    observation = {
        "observation": (Field("velocity", "1x1o", unit="m/s", description="velocity of the effector"),),
        "achieved_goal": (Field("position", "1x1o", unit="m", description="position of the effector"),),
        "desired_goal": (Field("position", "1x1o", role="goal", unit="m", description="the goal"),),
    }
    action = (Field("velocity", "1x1o", unit="0.5 m/s", description="velocity of the effector"),)
    variables = (Field("goal", "1x1o"),)
    rewards = {
        "distance": (
            '-1 until the goal is within `success_radius`, then 0 (`"sparse"`), or minus the distance in m (`"dense"`)'
        )
    }
    metrics = {"distance": "m"}

    reward_type = choice("sparse", "dense", description="reward")
    goal_radius = number(0.3, "goals lie in a ball of this radius", "m")
    start_radius = number(0.15, "the effector starts in a ball of this radius", "m")
    target_sector = sector("azimuths of goals")
    success_radius = number(0.05, "distance at which the goal is reached", "m")

    def build(self) -> mujoco.MjSpec:
        """The effector above a floor that it cannot touch."""
        spec = new_spec(0.01, mujoco.mjtIntegrator.mjINT_IMPLICITFAST, shadow_clip=6.0)
        add_floor(spec, 1.0, check=0.25, contype=0, conaffinity=0)
        add_effector(spec, dims=3, radius=0.03, height=float(_CENTRE[2]), gain=20.0, mass=0.5, contype=0, conaffinity=0)
        add_camera(spec, (0.0, -1.5, 1.1), (0.0, 0.0, 0.55), fovy=45)
        return spec

    def break_symmetry(self) -> None:
        """A tilt of gravity pulls sideways on an effector that is compensated for upright gravity only."""
        self.model.body_gravcomp[:] = 0.0 if self.breaking == "gravity" else 1.0
        if self.breaking == "gravity":
            tilt = self.breaking_size
            self.model.opt.gravity[:] = 9.81 * np.array([np.sin(tilt), 0.0, 1.0 - np.cos(tilt)])

    def reset(self, sim: World, rng: np.random.Generator, options: Mapping[str, Any]) -> None:
        """Draw start and goal, each uniformly from a ball; the goal's azimuth lies in the sector."""
        sim.positions.effector = in_ball(rng, self.start_radius, (-np.pi, np.pi))
        sim.variables.goal = in_ball(rng, self.goal_radius, options["target_sector"])

    def rotate_goal(self, sim: World, g: Element) -> None:
        """Turn the goal about the centre of the workspace."""
        sim.variables.goal = g.R.numpy() @ sim.variables.goal

    def control(self, world: World, action: Floats) -> None:
        """Actions are velocities in units of 0.5 m/s, clipped to a ball of length 1."""
        world.data.ctrl[:] = velocity_command(action, world.positions.effector, speed=0.5, reach=0.6)

    def observe(self, world: World) -> dict[str, dict[str, Floats]]:
        """Where the effector is and how it moves, and the goal."""
        return {
            "observation": {"velocity": world.velocities.effector},
            "achieved_goal": {"position": world.positions.effector},
            "desired_goal": {"position": world.variables.goal},
        }

    def compute_reward(self, achieved_goal: NDArray[Any], desired_goal: NDArray[Any], info: Any) -> Any:
        """Reward of any achieved goals for any desired ones, for hindsight replay.

        Args:
            achieved_goal: positions, shape ``(*batch, 3)``, m.
            desired_goal: likewise.
            info: ignored.

        Returns:
            Rewards of shape ``(*batch,)``; a float for a single pair.
        """
        far = distance(achieved_goal, desired_goal)
        reward: Any = -far if self.reward_type == "dense" else -(far >= self.success_radius).astype(np.float64)
        return reward if reward.ndim else float(reward)

    def evaluate(self, world: World, action: Floats) -> Outcome:
        """Reward from the distance to the goal."""
        achieved, desired = world.positions.effector.astype(np.float32), world.variables.goal.astype(np.float32)
        far = distance(achieved, desired)
        return Outcome(
            {"distance": self.compute_reward(achieved, desired, {})},
            far < self.success_radius,
            metrics={"distance": far},
        )

    def draw_markers(self, scene: mujoco.MjvScene, sim: World) -> None:
        """The goal as a translucent red ball of the size of success."""
        add_marker(scene, sim.variables.goal + _CENTRE, self.success_radius, (0.85, 0.2, 0.2, 0.5))
