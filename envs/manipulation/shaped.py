"""What tasks share that bring a rigid shape to a goal pose: its outline as points, goals, several shapes at once."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import mujoco
import numpy as np
from numpy.typing import NDArray

from eqrl.arrays import Floats
from eqrl.envs.core import Task, World, add_marker, choice
from eqrl.envs.core.arguments import Argument, flag, whole
from eqrl.envs.scenes.shapes import SPLITS, shape_of
from eqrl.symmetry import SO2, Element, EntitySet, Field, Group


class Shaped(Task):
    """A rigid shape that shall come to lie in a goal pose, shown by points on its outline.

    The points have no order that means anything, so they may be exchanged. The mirror image of a shape is another
    shape: the world's group has rotations alone, and networks on tokens may honour mirrors
    (:func:`eqrl.symmetry.family`).

    Goals hold the shape's centre and its points. What compares two of them needs nothing else, so rewards can be
    computed for any goals.

    Attributes:
        dims: 2 for positions in the plane, 3 for positions with a height.
        hands: number of effectors.
        radius: distance of the farthest corner from the centre, m; 0 for shapes as large as they are.
        outline: points on its outline in its own frame, ``(resolution, 2 or 3)``, m.
        targets: name of the entity set of the goal's points.
    """

    dims: ClassVar[int]
    hands: ClassVar[int] = 1
    radius: ClassVar[float] = 0.05
    fleet_arguments = ("shape", "split")

    shape = Argument("T", shape_of, "a name, corners `[(x, y), ...]` of a polygon, or a list of names for a fleet")
    split = choice("none", *SPLITS, description="no fleet, a fleet of the shapes to train on")
    resolution = whole(24, "number of points on the outline", least=3)
    slots = whole(0, "number of slots for points, of which a mask tells the real ones; 0 for no more slots than points")
    correspondence = flag(True, "whether a point of the goal belongs to each point of the object, or to none")

    outline: Floats
    targets: str

    # ------------------------------------------------------------------ shapes and points
    @classmethod
    def fleet(cls, arguments: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]] | None:
        """A member for each shape, where the arguments ask for several.

        Raises:
            ValueError: for an unknown shape or split, or for both.
        """
        shape, split = arguments.get("shape"), cls.arguments["split"].value(arguments.get("split", "none"))
        if split != "none":
            if shape is not None:
                raise ValueError(f"shape={shape!r} and split={split!r} both say which shapes; leave one of them out")
            shape = SPLITS[split]
        if not (isinstance(shape, list | tuple) and all(isinstance(name, str) for name in shape)):
            return None
        for name in shape:
            shape_of("shape", name)
        return {name: {"shape": name, "split": "none"} for name in shape}

    def declare_shape(self) -> None:
        """Read the arguments on the shape and declare the entity sets; ``build`` begins with this."""
        if self.split != "none":
            raise ValueError(f"split={self.split!r} makes a fleet, and this is one task; give it one shape")
        if self.slots and self.slots < self.resolution:
            raise ValueError(
                f"resolution={self.resolution} points do not fit into slots={self.slots}; give at least"
                f" slots={self.resolution}"
            )
        if self.radius > 0.0:
            self.shape = self.shape.scaled_to(self.radius)
        self.outline = self.shape.points(self.resolution)
        self.targets = "points" if self.correspondence else "targets"
        self._count = self.slots or self.resolution

        def points(name: str, mask: str) -> EntitySet:
            kinds = ("point",) * self._count
            return EntitySet(name, kinds, mask=mask if self.slots else None, exchangeable=True, mirrored=True)

        effectors = EntitySet("effectors", ("effector",) * self.hands, exchangeable=True, mirrored=True)
        targets = () if self.correspondence else (points("targets", "real_target"),)
        self.entities = (points("points", "real"), effectors, *targets)

    @property
    def group(self) -> Group:
        """Rotations about gravity."""
        return SO2

    def position_field(self, name: str, description: str, over: str | None = None, role: Any = "") -> Field:
        """A field of positions in m, in the plane or in space."""
        return Field(name, "1x1o", over, horizontal=self.dims == 2, role=role, unit="m", description=description)

    def masks(self) -> tuple[Field, ...]:
        """Fields that tell which points are real, where there may be fewer than slots."""
        sets = [e for e in self.entities if e.mask is not None]
        return tuple(
            Field(str(e.mask), "1x0e", e.name, description=f"1 for {e.name} that are real, 0 for padding") for e in sets
        )

    def mask_values(self, n: int) -> dict[str, Floats]:
        """Values of these fields."""
        real = np.broadcast_to(np.arange(self._count) < self.resolution, (n, self._count)).astype(np.float64)
        return {f.name: real for f in self.masks()}

    def points_at(self, position: Floats, axes: Floats) -> Floats:
        """The outline's points in the world, and zeros in further slots, ``(*batch, slots, dims)``.

        Args:
            position: of the shape's centre, ``(*batch, dims)``.
            axes: its own axes, ``(*batch, 3 axes, 3)``.
        """
        points = np.zeros((*position.shape[:-1], self._count, self.dims))
        real = points[..., : self.resolution, :]
        real[...] = position[..., None, :]
        for k in range(self.outline.shape[1]):
            real += self.outline[:, k, None] * axes[..., k, None, : self.dims]
        return points

    # ------------------------------------------------------------------ goals
    def goal_fields(self, of: str, over: str) -> tuple[Field, ...]:
        """Fields of an achieved or desired goal, whose points are an entity set."""
        return (
            self.position_field("centre", f"centre of the {of}", role="position" if of == "object" else "goal"),
            self.position_field("points", f"points on the outline of the {of}", over, role="position"),
        )

    def goal_variables(self) -> tuple[Field, Field]:
        """The same as part of the task's own state."""
        return (
            self.position_field("goal_centre", "centre of the goal"),
            self.position_field("goal_points", "points of the goal", self.targets),
        )

    def set_goal(self, sim: World, centre: Floats, axes: Floats, rng: np.random.Generator) -> None:
        """Write the goal of one simulation, a centre ``(dims,)`` and axes ``(3, 3)``."""
        sim.variables.goal_centre = centre
        sim.variables.goal_points = self.shuffled(self.points_at(centre, axes), rng)

    def shuffled(self, points: Floats, rng: np.random.Generator) -> Floats:
        """Points ``(slots, dims)`` of a goal, in a random order where they do not belong to points of the object."""
        if not self.correspondence:
            points[: self.resolution] = rng.permutation(points[: self.resolution])
        return points

    def rotate_goal(self, sim: World, g: Element) -> None:
        """Turn the goal about the world's origin."""
        R = g.R.numpy()[: self.dims, : self.dims]
        sim.variables.goal_centre = R @ sim.variables.goal_centre
        sim.variables.goal_points = sim.variables.goal_points @ R.T

    def draw_markers(self, scene: mujoco.MjvScene, sim: World) -> None:
        """The points of the goal as small balls."""
        for point in sim.variables.goal_points[: self.resolution]:
            add_marker(scene, (*point, 0.004)[:3], 0.004, (0.2, 0.65, 0.35, 0.6))

    def outline_angle(self, achieved: NDArray[Any], desired: NDArray[Any]) -> Floats:
        """Angle between two outlines in the plane, rad, modulo the shape's own symmetry.

        It compares moments of the points, which need no order: the n-th one turns n times as far as the shape.

        Args:
            achieved: points relative to the centre, ``(*batch, resolution, >= 2)``.
            desired: likewise.
        """
        turn = self._moment(achieved) * self._moment(desired).conj()
        angle: Floats = np.abs(np.angle(turn)) / self.shape.order
        return angle

    def _moment(self, points: NDArray[Any]) -> NDArray[np.complex128]:
        z = (points[..., 0] + 1j * points[..., 1]) / self.shape.radius
        power = (z.real * z.real + z.imag * z.imag).astype(np.complex128)  # far points tell more
        for _ in range(self.shape.order):
            power = power * z
        moment: NDArray[np.complex128] = np.ascontiguousarray(power).sum(axis=-1)
        return moment

    def goal_parts(self, goal: NDArray[Any]) -> tuple[Floats, Floats]:
        """Centre and real points relative to it of goals ``(*batch, size)``, in double precision."""
        goal = np.asarray(goal, dtype=np.float64)
        centre = goal[..., : self.dims]
        points = goal[..., self.dims : self.dims * (1 + self._count)]
        points = points.reshape(*goal.shape[:-1], self._count, self.dims)[..., : self.resolution, :]
        return centre, points - centre[..., None, :]

    @abstractmethod
    def achieved(self, world: World) -> tuple[Floats, ...]:
        """Fields of the achieved goal: centre ``(n, dims)`` and points ``(n, slots, dims)``, and what follows them."""

    def desired(self, world: World) -> tuple[Floats, ...]:
        """The same of the desired goal."""
        return world.variables.goal_centre, world.variables.goal_points


def joined(*fields: Floats) -> NDArray[np.float32]:
    """A goal as it stands in an observation."""
    return np.concatenate([field.reshape(len(field), -1) for field in fields], axis=1).astype(np.float32)


def upright_axes(heading: float) -> Floats:
    """Axes ``(3 axes, 3)`` of an upright body whose +y axis points along a heading in rad."""
    c, s = np.cos(heading), np.sin(heading)
    return np.array([[s, -c, 0.0], [c, s, 0.0], [0.0, 0.0, 1.0]])
