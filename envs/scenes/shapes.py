"""Flat shapes: named ones, random polygons, and a user's own, with the symmetry of their outline."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import mujoco
import numpy as np
from numpy.typing import ArrayLike, NDArray

from eqrl.arrays import Floats
from eqrl.envs.core.rendering import add_marker
from eqrl.envs.scenes import polygons
from eqrl.errors import suggestion

Box = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class Shape:
    """A flat shape whose centre of mass is the origin and whose +y axis is its direction.

    Attributes:
        outline: corners, counter-clockwise, shape ``(corners, 2)``, m.
        boxes: (x, y, half width, half depth) of each box that it is made of, m; they must not overlap.
        prisms: convex polygons that it is made of besides.
        order: number of turns about z that leave the shape as it is.
        mirror: whether x -> -x leaves the shape as it is, and its pieces touch a table as their mirror images do.
    """

    outline: Floats
    boxes: tuple[Box, ...]
    prisms: tuple[Floats, ...]
    order: int
    mirror: bool

    @property
    def radius(self) -> float:
        """Distance of the farthest corner from the origin, m."""
        return float(np.linalg.norm(self.outline, axis=1).max())

    @property
    def area(self) -> float:
        """Area, m^2."""
        return polygons.area(self.outline)

    def scaled_to(self, radius: float) -> Shape:
        """The same shape with its farthest corner ``radius`` m from the origin."""
        factor = radius / self.radius
        boxes = tuple((factor * x, factor * y, factor * w, factor * d) for x, y, w, d in self.boxes)
        return replace(self, outline=factor * self.outline, boxes=boxes, prisms=tuple(factor * p for p in self.prisms))

    def points(self, count: int) -> Floats:
        """Points evenly spaced along the outline, ``(count, 2)``, m."""
        return polygons.resampled(self.outline, count)

    def add_to(self, spec: mujoco.MjSpec, body: Any, half_height: float, **geom: object) -> None:
        """Add the shape to a body of a specification, in its x-y plane."""
        for x, y, w, d in self.boxes:
            body.add_geom(type=mujoco.mjtGeom.mjGEOM_BOX, pos=[x, y, 0], size=[w, d, half_height], **geom)
        for k, polygon in enumerate(self.prisms):
            add_prism(spec, body, f"{body.name} piece {k}", polygon, (-half_height, half_height), **geom)

    def draw(self, scene: mujoco.MjvScene, position: NDArray[Any], direction: NDArray[Any]) -> None:
        """Draw it flat and translucent on the table, its +y axis along a direction; both of shape ``(2,)``."""
        c, s = direction
        turn = np.array([[s, c, 0.0], [-c, s, 0.0], [0.0, 0.0, 1.0]])
        for x, y, w, d in self.boxes:
            at = np.array([*position, 0.004]) + turn @ np.array([x, y, 0.0])
            add_marker(scene, at, (w, d, 0.004), (0.2, 0.65, 0.35, 0.6), turn)
        if not self.boxes:
            for point in self.points(48):
                spot = np.array([*position, 0.004]) + turn @ np.array([*point, 0.0])
                add_marker(scene, spot, 0.004, (0.2, 0.65, 0.35, 0.6))


def add_prism(
    spec: mujoco.MjSpec, body: Any, name: str, polygon: Floats, heights: tuple[float, float], **geom: object
) -> None:
    """Add an upright prism over a convex polygon to a body of a specification, between two heights in m."""
    corners = np.concatenate([np.column_stack([polygon, np.full(len(polygon), z)]) for z in heights])
    mesh = spec.add_mesh(name=name, uservert=corners.flatten().tolist())
    body.add_geom(type=mujoco.mjtGeom.mjGEOM_MESH, meshname=mesh.name, **geom)


# ---------------------------------------------------------------------- what they are made of
def _boxes(outline: ArrayLike, boxes: Sequence[Box], order: int, mirror: bool) -> Shape:
    area = [4 * w * d for _, _, w, d in boxes]
    cx = sum(a * b[0] for a, b in zip(area, boxes, strict=True)) / sum(area)
    cy = sum(a * b[1] for a, b in zip(area, boxes, strict=True)) / sum(area)
    centred = tuple((x - cx, y - cy, w, d) for x, y, w, d in boxes)
    return Shape(polygons.checked(outline) - (cx, cy), centred, (), order, mirror)


def polygon_shape(corners: ArrayLike, name: str = "polygon") -> Shape:
    """The shape of a polygon, about its centre of area.

    Raises:
        ValueError: naming the polygon, if it crosses itself or is degenerate.
    """
    outline = polygons.centred(polygons.checked(corners, name))
    pieces = tuple(polygons.convex_pieces(outline))
    # pieces of a polygon with notches need not be mirror images of each other
    mirrored = len(pieces) == 1 and polygons.is_mirrored(outline)
    return Shape(outline, (), pieces, polygons.order(outline), mirrored and _touch_alike(pieces))


def _notched(corners: ArrayLike) -> Shape:
    """A polygon that is its own mirror image, made of mirrored pieces."""
    outline = polygons.centred(polygons.checked(corners))
    right = polygons.convex_pieces(polygons.right_half(outline))
    pieces = (*right, *((piece * (-1.0, 1.0))[::-1] for piece in right))
    return Shape(outline, (), pieces, polygons.order(outline), _touch_alike(pieces))


def _touch_alike(prisms: Sequence[Floats]) -> bool:
    """Whether mirror images touch a table alike: of more than four corners on it, MuJoCo chooses some."""
    return all(len(prism) <= 4 for prism in prisms)


def _regular(corners: int, radius: float = 0.08, inner: float = 1.0) -> Floats:
    """A regular polygon with a corner at the top; with ``inner`` < 1, a star."""
    count = corners if inner == 1.0 else 2 * corners
    angles = np.pi / 2 + 2 * np.pi * np.arange(count) / count
    radii = radius * np.where(np.arange(count) % 2 == 0, 1.0, inner)
    polygon: Floats = radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return polygon


def _heart(side: float = 0.09, corners: int = 7) -> Floats:
    """A square that stands on its corner, with half a disc on each of its upper sides."""
    arc = np.deg2rad(np.linspace(-45.0, 135.0, corners))
    right = side / np.sqrt(8.0) + 0.5 * side * np.stack([np.cos(arc), np.sin(arc)], axis=1)
    left = (right * (-1.0, 1.0))[-2::-1]
    return np.concatenate([[(0.0, -side / np.sqrt(2.0))], right, left])


_T = [
    (-0.02, -0.08),
    (0.02, -0.08),
    (0.02, 0.04),
    (0.08, 0.04),
    (0.08, 0.08),
    (-0.08, 0.08),
    (-0.08, 0.04),
    (-0.02, 0.04),
]
_L = [(-0.02, -0.08), (0.1, -0.08), (0.1, -0.04), (0.02, -0.04), (0.02, 0.08), (-0.02, 0.08)]
_BAR = [(-0.02, -0.08), (0.02, -0.08), (0.02, 0.08), (-0.02, 0.08)]
_PLUS = [
    (-0.08, -0.02), (-0.02, -0.02), (-0.02, -0.08), (0.02, -0.08), (0.02, -0.02), (0.08, -0.02),
    (0.08, 0.02), (0.02, 0.02), (0.02, 0.08), (-0.02, 0.08), (-0.02, 0.02), (-0.08, 0.02),
]  # fmt: skip
_SQUARE = [(-0.06, -0.06), (0.06, -0.06), (0.06, 0.06), (-0.06, 0.06)]
_E = [  # its arms point along +y, so that x -> -x is its mirror
    (-0.08, -0.06), (0.08, -0.06), (0.08, 0.06), (0.05, 0.06), (0.05, -0.025), (0.015, -0.025), (0.015, 0.06),
    (-0.015, 0.06), (-0.015, -0.025), (-0.05, -0.025), (-0.05, 0.06), (-0.08, 0.06),
]  # fmt: skip
_A = [
    (-0.08, -0.08),
    (-0.045, -0.08),
    (-0.03, -0.035),
    (0.03, -0.035),
    (0.045, -0.08),
    (0.08, -0.08),
    (0.02, 0.08),
    (-0.02, 0.08),
]
_DIAMOND = [(0.0, -0.09), (0.055, 0.0), (0.0, 0.09), (-0.055, 0.0)]

SHAPES: Mapping[str, Shape] = {
    "T": _boxes(_T, ((0.0, 0.06, 0.08, 0.02), (0.0, -0.02, 0.02, 0.06)), 1, True),
    "L": _boxes(_L, ((0.0, 0.0, 0.02, 0.08), (0.06, -0.06, 0.04, 0.02)), 1, False),
    "bar": _boxes(_BAR, ((0.0, 0.0, 0.02, 0.08),), 2, True),
    "plus": _boxes(_PLUS, ((0.0, 0.0, 0.08, 0.02), (0.0, 0.05, 0.02, 0.03), (0.0, -0.05, 0.02, 0.03)), 4, True),
    "square": _boxes(_SQUARE, ((0.0, 0.0, 0.06, 0.06),), 4, True),
    "E": _boxes(
        _E,
        (
            (0.0, -0.0425, 0.08, 0.0175), (0.065, 0.0175, 0.015, 0.0425), (0.0, 0.0175, 0.015, 0.0425),
            (-0.065, 0.0175, 0.015, 0.0425),
        ),
        1,
        True,
    ),
    "A": _notched(_A),
    "star": _notched(_regular(5, radius=0.09, inner=0.5)),
    "heart": _notched(_heart()),
    "pentagon": polygon_shape(_regular(5)),
    "hexagon": polygon_shape(_regular(6)),
    "triangle": polygon_shape(_regular(3)),
    "diamond": polygon_shape(_DIAMOND),
}  # fmt: skip

TRAIN = ("plus", "star", "pentagon")
SPLITS: Mapping[str, tuple[str, ...]] = {
    "train": TRAIN,
    "test": (*(name for name in SHAPES if name not in TRAIN), "random0", "random1", "random2"),
}


def shape_of(name: str, value: Any) -> Shape:
    """A shape as a user gives it: a name, ``"random7"`` for the random polygon of seed 7, or corners of a polygon.

    Args:
        name: of the argument, for messages.
        value: what the user wrote.

    Raises:
        ValueError: for an unknown name, with the closest one, or a polygon that is none.
    """
    if isinstance(value, str):
        if value in SHAPES:
            return SHAPES[value]
        if seed := re.fullmatch(r"random(\d{1,9})", value):
            return polygon_shape(0.08 * polygons.random_polygon(np.random.default_rng(int(seed[1]))))
        close = suggestion(value, SHAPES)
        hint = f"{close} The shapes are" if close.startswith("did") else "use one of"
        raise ValueError(
            f"{name}={value!r} is not known; {hint} {', '.join(map(repr, SHAPES))}, 'random0', 'random1', ..."
        )
    if isinstance(value, list | tuple) and any(isinstance(one, str) for one in value):
        raise ValueError(f"{name}={value!r} makes a fleet, and this is one task; give it one shape")
    return polygon_shape(value, f"{name}={value!r}")
