"""Flat shapes to push: unions of boxes, with the symmetry of their outline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from eqrl.envs.core.rendering import add_marker


@dataclass(frozen=True)
class Shape:
    """A flat shape whose centre of mass is the origin and whose +y axis is its direction.

    Attributes:
        boxes: (x, y, half width, half depth) of each box, m; they must not overlap.
        order: number of turns about z that leave the shape as it is.
        mirror: whether x -> -x leaves the shape as it is.
    """

    boxes: tuple[tuple[float, float, float, float], ...]
    order: int
    mirror: bool

    def add_to(self, body: Any, half_height: float, **geom: object) -> None:
        """Add the shape to a body of a specification, in its x-y plane."""
        for x, y, w, d in self.boxes:
            body.add_geom(type=mujoco.mjtGeom.mjGEOM_BOX, pos=[x, y, 0], size=[w, d, half_height], **geom)

    def draw(self, scene: mujoco.MjvScene, position: NDArray[Any], direction: NDArray[Any]) -> None:
        """Draw it flat and translucent on the table, its +y axis along a direction; both of shape ``(2,)``."""
        c, s = direction
        turn = np.array([[s, c, 0.0], [-c, s, 0.0], [0.0, 0.0, 1.0]])
        for x, y, w, d in self.boxes:
            at = np.array([*position, 0.004]) + turn @ np.array([x, y, 0.0])
            add_marker(scene, at, (w, d, 0.004), (0.2, 0.65, 0.35, 0.6), turn)


def _centred(boxes: tuple[tuple[float, float, float, float], ...], order: int, mirror: bool) -> Shape:
    area = [4 * w * d for _, _, w, d in boxes]
    cx = sum(a * b[0] for a, b in zip(area, boxes, strict=True)) / sum(area)
    cy = sum(a * b[1] for a, b in zip(area, boxes, strict=True)) / sum(area)
    return Shape(tuple((x - cx, y - cy, w, d) for x, y, w, d in boxes), order, mirror)


SHAPES: Mapping[str, Shape] = {
    "T": _centred(((0.0, 0.06, 0.08, 0.02), (0.0, -0.02, 0.02, 0.06)), 1, True),
    "L": _centred(((0.0, 0.0, 0.02, 0.08), (0.06, -0.06, 0.04, 0.02)), 1, False),
    "bar": _centred(((0.0, 0.0, 0.02, 0.08),), 2, True),
    "plus": _centred(((0.0, 0.0, 0.08, 0.02), (0.0, 0.05, 0.02, 0.03), (0.0, -0.05, 0.02, 0.03)), 4, True),
}
