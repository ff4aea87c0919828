"""Insertion: a held shape is put into a hole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mujoco
import numpy as np

from eqrl.arrays import Bools, Floats
from eqrl.envs.core import World, number
from eqrl.envs.manipulation.held import Held
from eqrl.envs.manipulation.shaped import upright_axes
from eqrl.envs.scenes.effectors import clipped, kept_between, kept_inside
from eqrl.envs.scenes.floor import add_camera, add_floor, new_spec
from eqrl.envs.scenes.holes import BLOCK, DEPTH, add_hole, is_seated
from eqrl.symmetry import Element
from eqrl.symmetry.quaternions import yaw_quaternion

_OBJECT, _HOLE = 1, 2  # contact bits


class Insertion(Held):
    """A held shape is put into a hole.

    ## Description
    An effector holds a shape upright, moves it in space and turns it about the vertical, and brings it into a hole that
    is wider by `clearance` on every side. The hole lies somewhere near the world's origin, turned by any angle. All
    weights are compensated. The symmetry group is SO(2): the mirror image of a shape is another shape, so networks on
    tokens may honour mirrors too. Goal environment with a dict observation, ready for hindsight experience replay.

    ## Rewards
    Solved: the object is seated to 75 % of the depth, less than `2 clearance + 2 mm` off sideways, and less than 10
    degrees off its angle. Angles count modulo the shape's own symmetry. `"paper"` is the reward of Hoang et al. (HEPi,
    ICLR 2025), which depends on a clock that no observation shows: `compute_reward` takes it from `info`.

    ## Starting state
    Hole within 2 cm of the origin and up to 4 cm above the floor, with a direction from `heading` turned by at most
    `goal_turn`; object with a direction from `heading`, at a horizontal distance from `goal_distance` of the hole,
    which it sees in a direction from `target_sector`, and 20-100 mm above the rim. Then the scene turns by
    `scene_rotation` degrees and the hole alone by `goal_rotation`.

    ## Episode end
    Never terminated; truncated after 100 steps (4 s).

    ## Version history
    * v0: first version.
    """

    frame_skip = 8
    main_body = "object"
    dims = 3
    rewards = {
        "distance": '`-2` times the distance sideways, m (`"paper"`: `-0.032`, 5 times as much in the last 2 steps)',
        "angle": '`-0.1` times the angle, rad (`"paper"`: `-0.016`, 5 times as much in the last 2 steps)',
        "height": '`-1` times the height above the seat, m (`"paper"`: `-0.016`)',
        "success": '1 while solved (`"markov"`); -1 until solved, then 0 (`"sparse"`, which has no other term)',
    }
    metrics = {
        "distance": "sideways, m",
        "angle": "rad",
        "height": "above the seat, m",
        "steps_left": "of 100 steps",
    }

    clearance = number(0.002, "between the walls of the hole and a shape in its middle", "m", least=1e-4)

    def build(self) -> mujoco.MjSpec:
        """The object on its effector, and the hole."""
        self.declare_shape()
        self.declare_fields()
        spec = new_spec(0.005, mujoco.mjtIntegrator.mjINT_IMPLICITFAST)
        add_floor(spec, 1.0, check=0.1, contype=0, conaffinity=0)
        touch: dict[str, Any] = {"solref": [0.01, 1.0], "friction": [0.3, 0.005, 0.0001]}
        hole = {"contype": _HOLE, "conaffinity": _OBJECT, "rgba": [0.75, 0.72, 0.66, 1], **touch}
        add_hole(spec, self.shape, self.clearance, DEPTH, BLOCK, **hole)
        self.add_object(spec, contype=_OBJECT, conaffinity=_HOLE, **touch)
        add_camera(spec, (0.0, -0.6, 0.5), (0.0, 0.0, 0.08), fovy=36)
        return spec

    def reset(self, sim: World, rng: np.random.Generator, options: Mapping[str, Any]) -> None:
        """Draw the poses of hole and object."""
        around, off, height = rng.uniform(-np.pi, np.pi), 0.02 * np.sqrt(rng.random()), rng.uniform(0.0, 0.04)
        hole = np.array([off * np.cos(around), off * np.sin(around), height])
        aside, heading = self.draw_pose(sim, rng, options)
        sim.bodies.hole.position, sim.bodies.hole.quaternion = hole, yaw_quaternion(heading - np.pi / 2)
        seat = hole + np.array([0.0, 0.0, self.half_height])
        self.set_goal(sim, seat, upright_axes(heading), rng)
        sim.positions.object = seat + np.array([*aside, DEPTH + rng.uniform(0.02, 0.1)])

    def rotate_goal(self, sim: World, g: Element) -> None:
        """Turn the hole about the world's origin."""
        super().rotate_goal(sim, g)
        R, hole = g.R.numpy(), sim.bodies.hole
        turn = np.arctan2(R[1, 0], R[0, 0]) + 2.0 * np.arctan2(hole.quaternion[3], hole.quaternion[0])
        hole.position, hole.quaternion = R @ hole.position, yaw_quaternion(turn)

    def control(self, world: World, action: Floats) -> None:
        """Velocities are clipped to a ball of length 1, and lead no further out of the workspace."""
        position, velocity = world.positions.object, clipped(action[:, :3], self.speed)
        world.data.ctrl[:, :2] = kept_inside(velocity[:, :2], position[:, :2], reach=0.4)
        world.data.ctrl[:, 2] = kept_between(velocity[:, 2], position[:, 2], low=self.half_height, high=0.3)
        world.data.ctrl[:, 3] = self.yaw_speed * np.clip(action[:, 3], -1.0, 1.0)

    def solved(self, errors: Mapping[str, Floats]) -> Bools:
        """Seated to 75 % of the depth, at the right angle."""
        return is_seated(errors["distance"], errors["height"], errors["angle"], self.clearance)

    def markov_terms(self, errors: Mapping[str, Floats]) -> dict[str, Floats]:
        """Minus the errors; a height that counted only near the hole would reward a rest on its rim."""
        return {"distance": -2.0 * errors["distance"], "angle": -0.1 * errors["angle"], "height": -errors["height"]}

    def paper_terms(self, errors: Mapping[str, Floats], left: Any) -> dict[str, Floats]:
        """The published terms, in metres and radians."""
        more = np.where(np.asarray(left) < 2, 5.0, 1.0)
        return {
            "distance": -0.8 * more * errors["distance"],
            "angle": -0.4 * more * errors["angle"],
            "height": -0.4 * errors["height"],
        }
