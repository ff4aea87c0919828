"""Insertion with two hands: a shape is put into a hole that points anywhere upwards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from eqrl.arrays import Bools, Floats
from eqrl.envs.core import World, angle, choice, number, sector
from eqrl.envs.manipulation.posed import Posed
from eqrl.envs.scenes.effectors import add_grip, clipped, kept_inside
from eqrl.envs.scenes.floor import add_camera, add_floor, new_spec
from eqrl.envs.scenes.goals import dot
from eqrl.envs.scenes.holes import BLOCK, DEPTH, add_hole, is_seated
from eqrl.symmetry import SO2, SO3, Element, Field, Group
from eqrl.symmetry.quaternions import matrix_to_quaternion, quaternion_to_matrix

_HALF_HEIGHT = 0.025  # of the object, m
_FLOOR = -0.6  # far below, and only drawn, m
_SPEED, _SPIN, _GAIN, _MASS = 0.4, 4.0, 10.0, 0.5
_OBJECT, _HOLE = 1, 2  # contact bits
_HANDS = {"left": -0.05, "right": 0.05}  # where they hold the object along its x axis, m


class InsertionTwoHands(Posed):
    """Two hands put a shape into a hole that points anywhere upwards.

    ## Description
    Two hands hold a free shape on its two sides. Each commands the velocity of its point, and with `grip="weld"` an
    angular velocity too. In the published form, `grip="ball"`, they hold it in ball joints: then nothing turns it about
    the line between them, and holes that need such a turn are out of reach. Without weight (`weight=0`) no direction
    is special: the symmetry group is SO(3), and SO(2) with weight. Goal environment with a dict observation, ready for
    hindsight experience replay.

    ## Rewards
    Solved: the object is seated to 75 % of the depth, less than `2 clearance + 2 mm` off sideways, and turned less than
    10 degrees from its pose in the hole, so not upside down. Angles are those of rotations in space, modulo the turns
    of the shape about its own axis. `"paper"` is the reward of Hoang et al. (HEPi, ICLR 2025), which depends on a clock
    that no observation shows: `compute_reward` takes it from `info`.

    ## Starting state
    Hole within 2 cm of the origin, its axis tilted by at most `hole_tilt` from the vertical (uniform on the sphere)
    in a direction from `target_sector`, and turned about this axis by an angle from `heading`; object 20-100 mm above
    the rim and up to 100 mm aside as the hole sees it, turned by at most `goal_turn` about the hole's axis and tilted
    from it by at most `object_tilt`; where that is more than 30 degrees it starts up to 11 mm higher, so that no corner
    reaches the rim. Then the scene turns by `scene_rotation` degrees and the hole alone by `goal_rotation`.

    ## Episode end
    Never terminated; truncated after 100 steps (4 s).

    ## Version history
    * v0: first version.
    """

    frame_skip = 8
    main_body = "object"
    dims = 3
    hands = 2
    rewards = {
        "distance": '`-2` times the distance from the hole\'s axis, m (`"paper"`: `-0.032` times the distance from the '
        "seat, 5 times as much in the last 2 steps)",
        "angle": '`-0.1` times the angle, rad (`"paper"`: `-0.0032`, 7.5 times as much in the last 2 steps)',
        "height": '`-1` times the distance from the seat along the axis, m (not in `"paper"`)',
        "success": '1 while solved (`"markov"`); -1 until solved, then 0 (`"sparse"`, which has no other term)',
    }
    metrics = {
        "distance": "from the hole's axis, m",
        "angle": "rad",
        "height": "distance from the seat along the axis, m",
        "aligned": "cosine of the angle between the axes of object and hole",
        "steps_left": "of 100 steps",
    }

    clearance = number(0.002, "between the walls of the hole and a shape in its middle", "m", least=1e-4)
    grip = choice("weld", "ball", description="whether hands command angular velocities")
    weight = number(0.0, "what part of its weight the object feels")
    hole_tilt = angle(90.0, "the hole's axis is tilted from the vertical by at most this angle")
    object_tilt = angle(30.0, "the object is tilted from the hole's axis by at most this angle")
    goal_turn = angle(180.0, "the object is turned about the hole's axis by at most this angle")
    target_sector = sector("directions in which the hole's axis is tilted")
    heading = sector("turns of the hole about its own axis")

    @property
    def group(self) -> Group:
        """All rotations, or those about gravity where it acts."""
        return SO2 if self.weight > 0.0 else SO3

    def build(self) -> mujoco.MjSpec:
        """The object with its grips, and the hole."""
        self.declare_shape()
        self.declare_fields()
        spec = new_spec(0.005, mujoco.mjtIntegrator.mjINT_IMPLICITFAST, shadow_clip=6.0)
        add_floor(spec, 1.0, check=0.2, pos=[0, 0, _FLOOR], contype=0, conaffinity=0)
        touch: dict[str, Any] = {"solref": [0.01, 1.0], "friction": [0.3, 0.005, 0.0001]}
        hole = {"contype": _HOLE, "conaffinity": _OBJECT, "rgba": [0.75, 0.72, 0.66, 1], **touch}
        add_hole(spec, self.shape, self.clearance, DEPTH, BLOCK, **hole)
        body = spec.worldbody.add_body(name="object", gravcomp=1.0 - self.weight)
        body.add_freejoint(name="object")
        density = _MASS / (self.shape.area * 2.0 * _HALF_HEIGHT)
        self.shape.add_to(
            spec, body, _HALF_HEIGHT, density=density, rgba=[0.24, 0.35, 0.52, 1], contype=_OBJECT, conaffinity=_HOLE,
            **touch,
        )  # fmt: skip
        spin_gain = _GAIN * self.radius * self.radius if self.grip == "weld" else 0.0
        for name, aside in _HANDS.items():
            add_grip(spec, body, name, (aside, 0.0, _HALF_HEIGHT), _GAIN, spin_gain)
        add_camera(spec, (0.0, -0.7, 0.4), (0.0, 0.0, 0.02), fovy=45)
        return spec

    def declare_fields(self) -> None:
        """What the policy sees and does."""
        over = "effectors"
        self.observation = {
            "observation": (
                Field("direction", "1x1o", role="heading", description="of the object, a unit vector"),
                Field("axis", "1x1o", description="of the object, a unit vector away from its bottom"),
                self.position_field("effectors", "where the hands hold the object", over, role="position"),
                Field("velocity", "1x1o", over, unit="m/s", description="velocities there"),
                Field("angular_velocity", "1x1e", unit="rad/s", description="of the object"),
                *self.masks(),
            ),
            "achieved_goal": self.goal_fields("object", "points"),
            "desired_goal": self.goal_fields("seated object", self.targets),
        }
        linear = Field("velocity", "1x1o", over, unit=f"{_SPEED} m/s", description="velocities of the hands")
        spin = Field("angular_velocity", "1x1e", over, unit=f"{_SPIN:g} rad/s", description="how fast they turn")
        self.action = (linear, spin) if self.grip == "weld" else (linear,)
        self.variables = (*self.goal_variables(), Field("goal_axis", "1x1o", description="axis of the hole"))

    def goal_fields(self, of: str, over: str) -> tuple[Field, ...]:
        """Centre, points and axis."""
        axis = Field("axis", "1x1o", description=f"axis of the {of}, a unit vector away from its bottom")
        return (*super().goal_fields(of, over), axis)

    def break_symmetry(self) -> None:
        """What is compensated of the weight is so for upright gravity."""
        self.asymmetry.apply_to_floating_model(self.model, self.weight)

    def reset(self, sim: World, rng: np.random.Generator, options: Mapping[str, Any]) -> None:
        """Draw the poses of hole and object."""
        tilt = np.arccos(rng.uniform(np.cos(self.hole_tilt), 1.0))
        azimuth, roll = rng.uniform(*options["target_sector"]), rng.uniform(*options["heading"])
        pose = _rotation(2, azimuth) @ _rotation(1, tilt) @ _rotation(2, roll)
        off = rng.standard_normal(3)
        place = 0.02 * rng.random() ** (1 / 3) * off / np.linalg.norm(off)
        sim.bodies.hole.position, sim.bodies.hole.quaternion = place, matrix_to_quaternion(pose)
        seat = place + _HALF_HEIGHT * pose[:, 2]
        self.set_goal(sim, seat, pose.T, rng)
        sim.variables.goal_axis = pose[:, 2]
        turn, lean, way = rng.uniform(-1.0, 1.0), rng.random(), rng.uniform(-np.pi, np.pi)
        leaning = _rotation(2, way) @ _rotation(1, self.object_tilt * np.sqrt(lean)) @ _rotation(2, -way)
        around, aside = rng.uniform(-np.pi, np.pi), 0.1 * np.sqrt(rng.random())
        above = DEPTH + rng.uniform(0.02, 0.1) + self._lift
        sim.bodies.object.position = seat + pose @ np.array([aside * np.cos(around), aside * np.sin(around), above])
        turned = pose @ leaning @ _rotation(2, turn * self.goal_turn)
        sim.bodies.object.quaternion = matrix_to_quaternion(turned)

    @property
    def _lift(self) -> float:
        """How much higher the object starts where it may be tilted so far that its corners would reach the rim, m."""
        if self.object_tilt <= np.deg2rad(30.0):
            return 0.0
        steepest = min(self.object_tilt, np.arctan2(self.radius, _HALF_HEIGHT))
        return float(self.radius * np.sin(steepest) + _HALF_HEIGHT * np.cos(steepest)) - 0.02 - _HALF_HEIGHT

    def rotate_goal(self, sim: World, g: Element) -> None:
        """Turn the hole about the world's origin."""
        super().rotate_goal(sim, g)
        R, hole = g.R.numpy(), sim.bodies.hole
        sim.variables.goal_axis = R @ sim.variables.goal_axis
        pose = R @ quaternion_to_matrix(hole.quaternion)
        hole.position, hole.quaternion = R @ hole.position, matrix_to_quaternion(pose)

    def control(self, world: World, action: Floats) -> None:
        """Velocities of each hand are clipped to a ball of length 1, and lead no further out of the workspace."""
        by_hand = action.reshape(len(action), -1, 2, 3)  # kind, hand, axis
        linear = kept_inside(clipped(by_hand[:, 0], _SPEED), self._hands_at(world), reach=0.35)
        spin = [clipped(by_hand[:, 1], _SPIN)] if self.grip == "weld" else []
        world.data.ctrl[:] = np.concatenate([linear, *spin], axis=-1).reshape(len(action), -1)

    def achieved(self, world: World) -> tuple[Floats, Floats, Floats]:
        """Centre, points and axis of the object."""
        thing = world.bodies.object
        return thing.position, self.points_at(thing.position, thing.axes), thing.axes[:, 2]

    def desired(self, world: World) -> tuple[Floats, ...]:
        """The same of the goal."""
        return (*super().desired(world), world.variables.goal_axis)

    def observe(self, world: World) -> dict[str, dict[str, Floats]]:
        """How the object moves, and where its points are and shall be."""
        thing, hands = world.bodies.object, self._hands_at(world)
        local = thing.angular_velocity
        x, y, z = (local[:, k, None] * thing.axes[:, k] for k in range(3))
        spin = x + y + z
        keys = ("centre", "points", "axis")
        return {
            "observation": {
                "direction": thing.axes[:, 1],
                "axis": thing.axes[:, 2],
                "effectors": hands,
                "velocity": thing.velocity[:, None] + _cross(spin[:, None], hands - thing.position[:, None]),
                "angular_velocity": spin,
                **self.mask_values(len(hands)),
            },
            "achieved_goal": dict(zip(keys, self.achieved(world), strict=True)),
            "desired_goal": dict(zip(keys, self.desired(world), strict=True)),
        }

    def _hands_at(self, world: World) -> Floats:
        thing = world.bodies.object
        x, z = thing.axes[:, None, 0], thing.axes[:, None, 2]
        sides = np.array(list(_HANDS.values()))[:, None]
        places: Floats = thing.position[:, None] + sides * x + _HALF_HEIGHT * z
        return places

    def errors(self, achieved_goal: NDArray[Any], desired_goal: NDArray[Any]) -> dict[str, Floats]:
        """Distances from the hole's axis and along it, the angle in space, and the cosine of that between the axes."""
        (here, points), (there, targets) = self.goal_parts(achieved_goal), self.goal_parts(desired_goal)
        mine, axis = (_unit(np.asarray(goal, dtype=np.float64)[..., -3:]) for goal in (achieved_goal, desired_goal))
        along = dot(here - there, axis)
        aside = here - there - along[..., None] * axis
        aligned = np.clip(dot(mine, axis), -1.0, 1.0)
        first, second = _plane(axis)
        level = _carried(points, mine, axis)  # what is left of the turn is about the axis
        flat = [np.stack([dot(p, first[..., None, :]), dot(p, second[..., None, :])], -1) for p in (level, targets)]
        turn = self.outline_angle(*flat)
        # both turns are about perpendicular axes
        angle = 2.0 * np.arccos(np.clip(np.sqrt(0.5 * (1.0 + aligned)) * np.cos(0.5 * turn), -1.0, 1.0))
        return {"distance": np.sqrt(dot(aside, aside)), "angle": angle, "height": np.abs(along), "aligned": aligned}

    def solved(self, errors: Mapping[str, Floats]) -> Bools:
        """Seated to 75 % of the depth, at the right angle: a shape that is its own mirror image fits upside down."""
        return is_seated(errors["distance"], errors["height"], errors["angle"], self.clearance)

    def markov_terms(self, errors: Mapping[str, Floats]) -> dict[str, Floats]:
        """Minus the errors."""
        return {"distance": -2.0 * errors["distance"], "angle": -0.1 * errors["angle"], "height": -errors["height"]}

    def paper_terms(self, errors: Mapping[str, Floats], left: Any) -> dict[str, Floats]:
        """The published terms, in metres and radians."""
        late = np.asarray(left) < 2
        far = np.sqrt(errors["distance"] * errors["distance"] + errors["height"] * errors["height"])
        return {
            "distance": -0.8 * np.where(late, 5.0, 1.0) * far,
            "angle": -0.08 * np.where(late, 7.5, 1.0) * errors["angle"],
        }


def _rotation(axis: int, angle: float) -> Floats:
    """Matrix of a turn about the y or z axis."""
    c, s = np.cos(angle), np.sin(angle)
    i, j = ((1, 2), (2, 0), (0, 1))[axis]
    matrix = np.eye(3)
    matrix[[i, i, j, j], [i, j, i, j]] = c, -s, s, c
    return matrix


def _cross(a: Floats, b: Floats) -> Floats:
    """Cross products, without the checks that make NumPy's slow for small arrays."""
    (x, y, z), (u, v, w) = ((c[..., 0], c[..., 1], c[..., 2]) for c in (a, b))
    return np.stack([y * w - z * v, z * u - x * w, x * v - y * u], axis=-1)


def _carried(points: Floats, mine: Floats, axis: Floats) -> Floats:
    """Points ``(*batch, k, 3)`` after the smallest turn that brings one axis to another, ``(*batch, 3)`` each."""
    mine, axis = mine[..., None, :], axis[..., None, :]
    middle = mine + axis
    along = dot(points, middle) / (1.0 + dot(mine, axis) + 1e-9)
    return points - along[..., None] * middle + 2.0 * dot(points, mine)[..., None] * axis


def _unit(vector: Floats) -> Floats:
    unit: Floats = vector / np.maximum(np.sqrt(dot(vector, vector)), 1e-9)[..., None]
    return unit


def _plane(axis: Floats) -> tuple[Floats, Floats]:
    """Two directions at right angles to an axis and to each other, ``(*batch, 3)`` each."""
    smallest = np.abs(axis).argmin(axis=-1)
    first = _unit(_cross(axis, np.eye(3)[smallest]))
    return first, _cross(axis, first)
