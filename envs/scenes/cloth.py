"""A square cloth with a hole: vertices on slides, edges that hardly stretch, effectors as its corners."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from eqrl.arrays import Floats
from eqrl.envs.scenes.effectors import add_effector
from eqrl.envs.scenes.goals import dot, length, total
from eqrl.symmetry import EntitySet

_VERTICES = "cloth"
# neighbours of the hole: its centre and the four vertices beside it are cut out, these eight go round it
_ROUND = ((2, 0), (1, 1), (0, 2), (-1, 1), (-2, 0), (-1, -1), (0, -2), (1, -1))
_CUT = ((0, 0), (1, 0), (0, 1), (-1, 0), (0, -1))


@dataclass(frozen=True)
class Cloth:
    """A cloth of ``grid`` times ``grid`` vertices whose corners are effectors, so that nothing has to grasp it.

    Coordinates are positions in the world, and a position is a vector: rotations and mirrors need no more.

    Attributes:
        hole: row and column of the vertex at the middle of the hole.
        grid: vertices along a side.
        side: length of a side, m.
        mass: of all vertices together, kg.
        radius: half its thickness, m.
        corners: names of the effectors' bodies.
    """

    hole: tuple[int, int] = (3, 3)
    grid: int = 8
    side: float = 1.0
    mass: float = 0.05
    radius: float = 0.01
    corners: tuple[str, ...] = ("corner_0", "corner_1", "corner_2", "corner_3")

    def __post_init__(self) -> None:
        """Refuse a hole that does not fit."""
        if not all(2 <= at <= self.grid - 3 for at in self.hole):
            raise ValueError(
                f"hole={self.hole} does not fit into {self.grid} x {self.grid} vertices; give a row and a column from 2"
                f" to {self.grid - 3}"
            )

    @cached_property
    def _cells(self) -> list[tuple[int, int]]:
        """Rows and columns of all vertices, corners first."""
        last, (row, column) = self.grid - 1, self.hole
        corners = [(0, 0), (0, last), (last, last), (last, 0)]
        cut = {(row + i, column + j) for i, j in _CUT}
        every = [(i, j) for i in range(self.grid) for j in range(self.grid)]
        return [*corners, *(cell for cell in every if cell not in cut and cell not in corners)]

    @property
    def vertices(self) -> tuple[str, ...]:
        """Names of the bodies of its vertices, but for the corners."""
        return tuple(f"vertex_{i}_{j}" for i, j in self._cells[4:])

    @property
    def entities(self) -> EntitySet:
        """The vertices as an entity set of a task."""
        return EntitySet(_VERTICES, ("vertex",) * len(self.vertices))

    @property
    def members(self) -> dict[str, tuple[str, ...]]:
        """The bodies that are its members."""
        return {_VERTICES: self.vertices}

    @cached_property
    def rest(self) -> Floats:
        """Positions in the plane of the cloth at rest, from the middle of the cloth; corners first, ``(n, 2)``, m."""
        return self.side * (np.array(self._cells) / (self.grid - 1) - 0.5)

    @cached_property
    def centre(self) -> Floats:
        """Middle of the hole there, ``(2,)``, m."""
        return self.side * (np.array(self.hole) / (self.grid - 1) - 0.5)

    @cached_property
    def ring(self) -> NDArray[np.int64]:
        """Which of its vertices, without the corners, go round the hole, in order, ``(8,)``."""
        row, column = self.hole
        return np.array([self._cells.index((row + i, column + j)) - 4 for i, j in _ROUND])

    @cached_property
    def triangles(self) -> NDArray[np.int64]:
        """Its elements, ``(n, 3)``: two for each square of four vertices, one where the hole has cut off the fourth."""
        number = {cell: k for k, cell in enumerate(self._cells)}
        out = []
        for i in range(self.grid - 1):
            for j in range(self.grid - 1):
                square = [(i, j), (i + 1, j), (i + 1, j + 1), (i, j + 1)]
                there = [number[cell] for cell in square if cell in number]
                if len(there) == 4:
                    out += [there[:3], [there[0], there[2], there[3]]]
                elif len(there) == 3:
                    out.append(there)
        return np.array(out)

    def add_to(self, spec: mujoco.MjSpec, gain: float, effector_mass: float, **contact: Any) -> None:
        """Add the cloth and the effectors at its corners.

        Args:
            spec: the model.
            gain: of the effectors' servos, N s/m.
            effector_mass: kg.
            contact: contact attributes of the cloth, such as ``contype`` and ``solref``.
        """
        timestep = float(spec.option.timestep)
        for name in self.corners:
            add_effector(
                spec, dims=3, radius=0.025, height=0.0, gain=gain, mass=effector_mass, name=name, contype=0,
                conaffinity=0,
            )  # fmt: skip
        mass = self.mass / len(self.rest)
        for name in self.vertices:
            body = spec.worldbody.add_body(
                name=name, mass=mass, inertia=[0.4 * mass * self.radius**2] * 3, explicitinertial=True
            )
            for k, letter in enumerate("xyz"):
                body.add_joint(name=f"{name}_{letter}", type=mujoco.mjtJoint.mjJNT_SLIDE, axis=np.eye(3)[k])
        for name, (x, y) in zip((*self.corners, *self.vertices), self.rest, strict=True):
            body = spec.body(name)
            body.pos = [x, y, 0.0]
            for joint, at in zip(body.joints, (x, y, 0.0), strict=True):
                joint.ref = at  # so that coordinates are positions in the world
        flex = spec.add_flex(
            name=_VERTICES, dim=2, radius=self.radius, rgba=[0.45, 0.58, 0.75, 1], selfcollide=0,
            vertbody=[*self.corners, *self.vertices], vert=np.zeros(3 * len(self.rest)),
            elem=self.triangles.ravel().astype(np.int32), **contact,
        )  # fmt: skip
        spec.add_equality(
            name="threads", type=mujoco.mjtEq.mjEQ_FLEX, objtype=mujoco.mjtObj.mjOBJ_FLEX, name1=flex.name,
            solref=[2.0 * timestep, 1.0],
        )  # fmt: skip

    def placed(self, position: Floats, axes: Floats) -> Floats:
        """Where its vertices are with the cloth flat.

        Args:
            position: of the middle of the hole, ``(3,)``, m.
            axes: directions of its rows, its columns and its normal, ``(3, 3)``.

        Returns:
            Corners first, ``(n, 3)``.
        """
        points: Floats = position + (self.rest - self.centre) @ axes[:2]
        return points


def ring_normal(ring: Floats) -> Floats:
    """Unit normal of a closed line of points in order, by its area, ``(*batch, n, 3)`` to ``(*batch, 3)``."""
    area = total(np.cross(ring, np.roll(ring, -1, axis=-2)).swapaxes(-1, -2))
    normal: Floats = area / np.maximum(length(area), 1e-12)[..., None]
    return normal


def crossings(ring: Floats, first: Floats, second: Floats) -> Floats:
    """How often a segment passes through a closed line, counted with its sense.

    The line is spanned by triangles from its mean. Where they are thrown into folds, opposite crossings cancel.

    Args:
        ring: points of the closed line in order, ``(*batch, n, 3)``.
        first: an end of the segment, ``(*batch, 3)``.
        second: the other end.

    Returns:
        Signed number of crossings, ``(*batch,)``.
    """
    middle = (total(ring.swapaxes(-1, -2)) / ring.shape[-2])[..., None, :]
    a, b, start = ring - middle, np.roll(ring, -1, axis=-2) - middle, first[..., None, :] - middle
    along = np.broadcast_to((second - first)[..., None, :], a.shape)
    normal = np.cross(a, b)
    speed = dot(normal, along)
    sense = np.sign(speed)
    # the crossing start + t along = u a + v b by Cramer's rule, all multiplied by the determinant
    across = np.cross(start, along)
    t, u, v = -dot(normal, start), -dot(b, across), dot(a, across)
    size = np.abs(speed)
    t, u, v = sense * t, sense * u, sense * v
    through = (size > 0) & (t >= 0) & (t <= size) & (u >= 0) & (v >= 0) & (u + v <= size)
    number: Floats = total(np.where(through, sense, 0.0))
    return number


def piercings(points: Floats, triangles: NDArray[np.int64], middle: Floats, axes: Floats, half: float) -> Floats:
    """How many triangles of a surface a segment crosses.

    Args:
        points: vertices of the surface, ``(n, vertices, 3)``.
        triangles: indices of its triangles' corners, ``(triangles, 3)``.
        middle: of the segment, ``(n, 3)``.
        axes: orthonormal axes of which the last one is the segment's direction, ``(n, 3 axes, 3)``.
        half: half its length.

    Returns:
        Number of triangles crossed, ``(n,)``; a segment through a common edge crosses both triangles.
    """
    away = points - middle[:, None]
    # seen along the segment, a triangle is crossed if the origin lies on the same side of its three edges
    x, y, z = (dot(away, axes[:, None, k])[:, triangles.T] for k in range(3))
    first, second, third = (x[:, i] * y[:, j] - x[:, j] * y[:, i] for i, j in ((1, 2), (2, 0), (0, 1)))
    inside = ((first >= 0) & (second >= 0) & (third >= 0)) | ((first <= 0) & (second <= 0) & (third <= 0))
    row, which = np.nonzero(inside)  # few
    shares = np.stack([part[row, which] for part in (first, second, third)], axis=1)
    size = shares[:, 0] + shares[:, 1] + shares[:, 2]
    height = dot(shares, z[row, :, which])  # of the crossing, times the size
    crossed = (size != 0) & (np.abs(height) <= half * np.abs(size))
    number: Floats = np.bincount(row[crossed], minlength=len(points)).astype(np.float64)
    return number
