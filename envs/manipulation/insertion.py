"""Insertion: a held shape is put into a hole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from eqrl.arrays import Bools, Floats
from eqrl.envs.core import World, angle, lengths, number, sector
from eqrl.envs.manipulation.shaped import Shaped
from eqrl.envs.scenes.effectors import add_slides, add_yaw, clipped, kept_between, kept_inside
from eqrl.envs.scenes.floor import add_camera, add_floor, new_spec
from eqrl.envs.scenes.goals import distance, flat_direction
from eqrl.envs.scenes.holes import add_hole
from eqrl.symmetry import Element, Field
from eqrl.symmetry.quaternions import yaw_quaternion

_HALF_HEIGHT, _DEPTH, _BLOCK = 0.025, 0.04, 0.1  # of the object, of the hole, and the radius of the block, m
_TO_MIDDLE = np.array([0.0, 0.0, _HALF_HEIGHT])  # from the object's bottom, and from its middle to its top
_SPEED, _YAW_SPEED, _GAIN = 0.4, 4.0, 20.0
_OBJECT, _HOLE = 1, 2  # contact bits


class Insertion(Shaped):
    """A held shape is put into a hole.

    ## Description
    An effector holds a shape upright, moves it in space and turns it about the vertical, and brings it into a hole that
    is wider by `clearance` on every side. The hole lies somewhere near the world's origin, turned by any angle. All
    weights are compensated. The symmetry group is SO(2): the mirror image of a shape is another shape, so networks on
    tokens may honour mirrors too. Goal environment with a dict observation, ready for hindsight experience replay.

    ## Rewards
    Solved: the object is seated to 75 % of the depth, and less than `2 clearance + 2 mm` off sideways; so deep it fits
    in one angle only. Angles count modulo the shape's own symmetry. `"paper"` is the reward of Hoang et al. (HEPi, ICLR
    2025), which depends on a clock that no observation shows: `compute_reward` takes it from `info`.

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
    metrics = {"distance": "sideways, m", "angle": "rad", "height": "above the seat, m"}

    clearance = number(0.002, "between the walls of the hole and a shape in its middle", "m", least=1e-4)
    goal_distance = lengths((0.1, 0.3), "range of initial distances from the hole")
    goal_turn = angle(180.0, "the hole is turned from the object by at most this angle")
    target_sector = sector("directions from the object to the hole")
    heading = sector("initial directions of the object")

    def build(self) -> mujoco.MjSpec:
        """The object on its effector, and the hole."""
        self.declare_shape()
        self.declare_fields()
        spec = new_spec(0.005, mujoco.mjtIntegrator.mjINT_IMPLICITFAST)
        add_floor(spec, 1.0, check=0.1, contype=0, conaffinity=0)
        touch: dict[str, Any] = {"solref": [0.01, 1.0], "friction": [0.3, 0.005, 0.0001]}
        hole = {"contype": _HOLE, "conaffinity": _OBJECT, "rgba": [0.75, 0.72, 0.66, 1], **touch}
        add_hole(spec, self.held, self.clearance, _DEPTH, _BLOCK, **hole)
        body = spec.worldbody.add_body(name="object", gravcomp=1.0)
        add_slides(spec, body, dims=3, gain=_GAIN)
        add_yaw(spec, body, gain=2.0 * _GAIN * self.radius * self.radius)
        density = 0.5 / (self.held.area * 2 * _HALF_HEIGHT)
        self.held.add_to(
            spec, body, _HALF_HEIGHT, density=density, rgba=[0.24, 0.35, 0.52, 1], contype=_OBJECT, conaffinity=_HOLE,
            **touch,
        )  # fmt: skip
        body.add_geom(
            name="effector", type=mujoco.mjtGeom.mjGEOM_SPHERE, pos=[0, 0, _HALF_HEIGHT], size=[0.012, 0, 0], mass=0,
            rgba=[0.93, 0.55, 0.2, 1], contype=0, conaffinity=0,
        )  # fmt: skip
        add_camera(spec, (0.0, -0.6, 0.5), (0.0, 0.0, 0.08), fovy=45)
        return spec

    def declare_fields(self) -> None:
        """What the policy sees and does."""
        over = "effectors"
        self.observation = {
            "observation": (
                Field("direction", "1x1o", horizontal=True, role="heading", description="of the object, a unit vector"),
                self.position_field("effector", "where the object is held", over, role="position"),
                Field("effector_velocity", "1x1o", over, unit="m/s", description="velocity of the effector"),
                Field("yaw_rate", "1x0o", over, unit="rad/s", description="how fast it turns about the vertical"),
                *self.masks(),
            ),
            "achieved_goal": self.goal_fields("object", "points"),
            "desired_goal": self.goal_fields("seated object", self.targets),
        }
        self.action = (
            Field("velocity", "1x1o", over, unit=f"{_SPEED} m/s", description="velocity of the effector"),
            Field("yaw_rate", "1x0o", over, unit=f"{_YAW_SPEED:g} rad/s", description="how fast it turns"),
        )
        self.variables = self.goal_variables()

    def break_symmetry(self) -> None:
        """All weights are compensated for upright gravity."""
        self.asymmetry.apply_to_floating_model(self.model)

    def reset(self, sim: World, rng: np.random.Generator, options: Mapping[str, Any]) -> None:
        """Draw the poses of hole and object."""
        around, heading = rng.uniform(-np.pi, np.pi), rng.uniform(*options["heading"])
        off, height = 0.02 * np.sqrt(rng.random()), rng.uniform(0.0, 0.04)
        hole = np.array([off * np.cos(around), off * np.sin(around), height])
        hole_heading = heading + rng.uniform(-self.goal_turn, self.goal_turn)
        sim.bodies.hole.position = hole
        sim.bodies.hole.quaternion = yaw_quaternion(hole_heading - np.pi / 2)  # the shape's direction is its +y axis
        seat = hole + _TO_MIDDLE
        self.set_goal(sim, seat, _upright_axes(hole_heading), rng)
        direction, far = rng.uniform(*options["target_sector"]), rng.uniform(*self.goal_distance)
        above = _DEPTH + rng.uniform(0.02, 0.1)
        sim.positions.object = seat + np.array([-far * np.cos(direction), -far * np.sin(direction), above])
        sim.positions.yaw = heading - np.pi / 2

    def rotate_goal(self, sim: World, g: Element) -> None:
        """Turn the hole about the world's origin."""
        super().rotate_goal(sim, g)
        R, hole = g.R.numpy(), sim.bodies.hole
        turn = np.arctan2(R[1, 0], R[0, 0]) + 2.0 * np.arctan2(hole.quaternion[3], hole.quaternion[0])
        hole.position, hole.quaternion = R @ hole.position, yaw_quaternion(turn)

    def control(self, world: World, action: Floats) -> None:
        """Velocities are clipped to a ball of length 1, and lead no further out of the workspace."""
        position, velocity = world.positions.object, clipped(action[:, :3], _SPEED)
        world.data.ctrl[:, :2] = kept_inside(velocity[:, :2], position[:, :2], reach=0.4)
        world.data.ctrl[:, 2] = kept_between(velocity[:, 2], position[:, 2], low=_HALF_HEIGHT, high=0.3)
        world.data.ctrl[:, 3] = _YAW_SPEED * np.clip(action[:, 3], -1.0, 1.0)

    def achieved(self, world: World) -> tuple[Floats, Floats]:
        """Centre and points of the object."""
        position = world.positions.object
        return position, self.points_at(position, world.bodies.object.axes)

    def observe(self, world: World) -> dict[str, dict[str, Floats]]:
        """How the effector moves, and where the points are and shall be."""
        centre, points = self.achieved(world)
        return {
            "observation": {
                "direction": flat_direction(world.bodies.object.axes[:, 1]),
                "effector": centre + _TO_MIDDLE,
                "effector_velocity": world.velocities.object,
                "yaw_rate": world.velocities.yaw,
                **self.mask_values(len(centre)),
            },
            "achieved_goal": {"centre": centre, "points": points},
            "desired_goal": {"centre": world.variables.goal_centre, "points": world.variables.goal_points},
        }

    def errors(self, achieved_goal: NDArray[Any], desired_goal: NDArray[Any]) -> dict[str, Floats]:
        """Distance sideways, angle and height above the seat."""
        (here, points), (there, targets) = self.goal_parts(achieved_goal), self.goal_parts(desired_goal)
        return {
            "distance": distance(here[..., :2], there[..., :2]),
            "angle": self.outline_angle(points, targets),
            "height": np.abs(here[..., 2] - there[..., 2]),
        }

    def solved(self, errors: Mapping[str, Floats]) -> Bools:
        """Seated to 75 % of the depth."""
        solved: Bools = (errors["height"] < 0.25 * _DEPTH) & (errors["distance"] < 2 * self.clearance + 0.002)
        return solved

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


def _upright_axes(heading: float) -> Floats:
    """Axes ``(3 axes, 3)`` of an upright body whose +y axis points along a heading in rad."""
    c, s = np.cos(heading), np.sin(heading)
    return np.array([[s, -c, 0.0], [c, s, 0.0], [0.0, 0.0, 1.0]])
