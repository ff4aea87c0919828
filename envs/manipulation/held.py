"""A shape that an effector holds upright, moves and turns about the vertical: what Sliding and Insertion share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import mujoco
import numpy as np
from numpy.typing import NDArray

from eqrl.arrays import Floats
from eqrl.envs.core import World, angle, lengths, sector
from eqrl.envs.manipulation.posed import Posed
from eqrl.envs.scenes.effectors import add_slides, add_yaw
from eqrl.envs.scenes.goals import distance, flat_direction
from eqrl.symmetry import Field

_GAIN, _MASS = 20.0, 0.5  # N a m/s, kg


class Held(Posed):
    """A shape on slides and a yaw hinge, driven by velocity; all weights are compensated.

    Attributes:
        speed: of the effector at an action of length 1, m/s.
        yaw_speed: at an action of 1, rad/s.
        half_height: of the shape, m.
    """

    main_body = "object"
    speed: ClassVar[float] = 0.4
    yaw_speed: ClassVar[float] = 4.0
    half_height: ClassVar[float] = 0.025

    goal_distance = lengths((0.1, 0.3), "range of initial distances from the goal")
    goal_turn = angle(180.0, "the goal is turned from the object by at most this angle")
    target_sector = sector("directions from the object to the goal")
    heading = sector("initial directions of the object")

    def add_object(self, spec: mujoco.MjSpec, **geom: Any) -> None:
        """The shape, its joints and servos, and the effector as a ball on its top."""
        body = spec.worldbody.add_body(name="object", gravcomp=1.0)
        add_slides(spec, body, self.dims, _GAIN)
        add_yaw(spec, body, 2.0 * _GAIN * self.radius * self.radius)
        density = _MASS / (self.shape.area * 2.0 * self.half_height)
        self.shape.add_to(spec, body, self.half_height, density=density, rgba=[0.24, 0.35, 0.52, 1], **geom)
        body.add_geom(
            name="effector", type=mujoco.mjtGeom.mjGEOM_SPHERE, pos=[0, 0, self.half_height], size=[0.012, 0, 0],
            mass=0, rgba=[0.93, 0.55, 0.2, 1], contype=0, conaffinity=0,
        )  # fmt: skip

    def declare_fields(self) -> None:
        """What the policy sees and does."""
        over, flat = "effectors", self.dims == 2
        motion: dict[str, Any] = {"entities": over, "horizontal": flat}
        self.observation = {
            "observation": (
                Field("direction", "1x1o", horizontal=True, role="heading", description="of the object, a unit vector"),
                self.position_field("effector", "where the object is held", over, role="position"),
                Field("effector_velocity", "1x1o", unit="m/s", description="velocity of the effector", **motion),
                Field("yaw_rate", "1x0o", over, unit="rad/s", description="how fast it turns about the vertical"),
                *self.masks(),
            ),
            "achieved_goal": self.goal_fields("object", "points"),
            "desired_goal": self.goal_fields("goal", self.targets),
        }
        self.action = (
            Field("velocity", "1x1o", unit=f"{self.speed} m/s", description="velocity of the effector", **motion),
            Field("yaw_rate", "1x0o", over, unit=f"{self.yaw_speed:g} rad/s", description="how fast it turns"),
        )
        self.variables = self.goal_variables()

    def break_symmetry(self) -> None:
        """All weights are compensated for upright gravity."""
        self.asymmetry.apply_to_floating_model(self.model)

    def draw_pose(
        self, sim: World, rng: np.random.Generator, options: Mapping[str, Any]
    ) -> tuple[tuple[float, float], float]:
        """Turn the object, and draw where it is relative to the goal, in m, and the goal's direction, in rad."""
        heading, direction = rng.uniform(*options["heading"]), rng.uniform(*options["target_sector"])
        far, turn = rng.uniform(*self.goal_distance), rng.uniform(-self.goal_turn, self.goal_turn)
        sim.positions.yaw = heading - np.pi / 2  # the shape's direction is its +y axis
        return (-far * np.cos(direction), -far * np.sin(direction)), heading + turn

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
                "effector": centre + np.array([0.0, 0.0, self.half_height])[: self.dims],
                "effector_velocity": world.velocities.object,
                "yaw_rate": world.velocities.yaw,
                **self.mask_values(len(centre)),
            },
            "achieved_goal": {"centre": centre, "points": points},
            "desired_goal": {"centre": world.variables.goal_centre, "points": world.variables.goal_points},
        }

    def errors(self, achieved_goal: NDArray[Any], desired_goal: NDArray[Any]) -> dict[str, Floats]:
        """Horizontal distance, angle, and in space the difference of heights."""
        (here, points), (there, targets) = self.goal_parts(achieved_goal), self.goal_parts(desired_goal)
        flat = {"distance": distance(here[..., :2], there[..., :2]), "angle": self.outline_angle(points, targets)}
        return flat if self.dims == 2 else {**flat, "height": np.abs(here[..., 2] - there[..., 2])}
