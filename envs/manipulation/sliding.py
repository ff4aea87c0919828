"""Sliding: a held shape is moved in the plane to a goal pose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mujoco
import numpy as np

from eqrl.arrays import Bools, Floats
from eqrl.envs.core import World, angle, number
from eqrl.envs.manipulation.held import Held
from eqrl.envs.manipulation.shaped import upright_axes
from eqrl.envs.scenes.effectors import clipped, kept_inside
from eqrl.envs.scenes.floor import add_camera, add_floor, new_spec
from eqrl.symmetry import Field


class Sliding(Held):
    """A held shape is moved in the plane to a goal pose.

    ## Description
    An effector that is fixed to a shape moves it in the plane and turns it about the vertical; nothing touches it. The
    goal lies near the world's origin. The symmetry group is SO(2): the mirror image of a shape is another shape, so
    networks on tokens may honour mirrors too. Goal environment with a dict observation, ready for hindsight experience
    replay.

    ## Rewards
    Solved: within `success_distance` and `success_angle`. Angles count modulo the shape's own symmetry. `"paper"` is
    the reward of Hoang et al. (HEPi, ICLR 2025), which depends on a clock that no observation shows:
    `compute_reward` takes it from `info`, and the terms of motion too.

    ## Starting state
    Goal within 2 cm of the origin, with a direction from `heading` turned by at most `goal_turn`; object with a
    direction from `heading`, at a distance from `goal_distance` of the goal, which it sees in a direction from
    `target_sector`. Then the scene turns by `scene_rotation` degrees and the goal alone by `goal_rotation`.

    ## Episode end
    Never terminated; truncated after 100 steps (4 s).

    ## Version history
    * v0: first version.
    """

    frame_skip = 4
    dims = 2
    half_height = 0.02
    motion_names = ("motion", "smoothness")
    rewards = {
        "distance": '`-2` times the distance, m (`"paper"`: `-0.032`, 5 times as much in the last 2 steps)',
        "angle": '`-0.1` times the angle, rad (`"paper"`: `-0.016`, likewise)',
        "success": '1 while solved (`"markov"`); -1 until solved, then 0 (`"sparse"`, which has no other term)',
        "motion": '`-0.004` times the sum of speed, m/s, and yaw rate, rad/s (`"paper"` only)',
        "smoothness": '`-0.00008` times the squared change of the action (`"paper"` only)',
    }
    metrics = {"distance": "m", "angle": "rad", "steps_left": "of 100 steps"}

    success_distance = number(0.02, "distance at which the pose is reached", "m")
    success_angle = angle(5.0, "angle at which the pose is reached")

    def build(self) -> mujoco.MjSpec:
        """The object above a table that it does not touch."""
        self.declare_shape()
        self.declare_fields()
        if self.reward_type == "paper":
            self.variables = (
                *self.variables,
                Field("last_velocity", "1x1o", horizontal=True, description="of the last action"),
                Field("last_yaw_rate", "1x0o", description="of the last action"),
            )
        spec = new_spec(0.01, mujoco.mjtIntegrator.mjINT_IMPLICITFAST)
        add_floor(spec, 1.0, check=0.1, pos=[0, 0, -self.half_height - 0.001], contype=0, conaffinity=0)
        self.add_object(spec, contype=0, conaffinity=0)
        add_camera(spec, (0.0, -0.75, 0.75), (0.0, 0.0, 0.0), fovy=32)
        return spec

    def reset(self, sim: World, rng: np.random.Generator, options: Mapping[str, Any]) -> None:
        """Draw the poses of goal and object."""
        around, off = rng.uniform(-np.pi, np.pi), 0.02 * np.sqrt(rng.random())
        goal = off * np.array([np.cos(around), np.sin(around)])
        aside, heading = self.draw_pose(sim, rng, options)
        self.set_goal(sim, goal, upright_axes(heading), rng)
        sim.positions.object = goal + aside

    def control(self, world: World, action: Floats) -> None:
        """Velocities are clipped to a disc of length 1, and lead no further out of the workspace."""
        world.data.ctrl[:, :2] = kept_inside(clipped(action[:, :2], self.speed), world.positions.object, reach=0.5)
        world.data.ctrl[:, 2] = self.yaw_speed * np.clip(action[:, 2], -1.0, 1.0)

    def solved(self, errors: Mapping[str, Floats]) -> Bools:
        """Near enough in distance and angle."""
        solved: Bools = (errors["distance"] < self.success_distance) & (errors["angle"] < self.success_angle)
        return solved

    def markov_terms(self, errors: Mapping[str, Floats]) -> dict[str, Floats]:
        """Minus the errors."""
        return {"distance": -2.0 * errors["distance"], "angle": -0.1 * errors["angle"]}

    def paper_terms(self, errors: Mapping[str, Floats], left: Any) -> dict[str, Floats]:
        """The published terms, in metres and radians."""
        weight = np.where(np.asarray(left) < 2, -4.0, -0.8)
        return {"distance": weight * errors["distance"], "angle": 0.5 * weight * errors["angle"]}

    def motion_terms(self, world: World, action: Floats) -> dict[str, Floats]:
        """The published costs of motion and of changes of the action."""
        velocity, last = world.velocities.object, world.variables
        speed = np.sqrt(velocity[:, 0] * velocity[:, 0] + velocity[:, 1] * velocity[:, 1])
        change = action - np.column_stack([last.last_velocity, last.last_yaw_rate])
        last.last_velocity, last.last_yaw_rate = action[:, :2], action[:, 2]
        squares = change[:, 0] * change[:, 0] + change[:, 1] * change[:, 1] + change[:, 2] * change[:, 2]
        return {"motion": -0.1 * (speed + np.abs(world.velocities.yaw)), "smoothness": -0.002 * squares}
