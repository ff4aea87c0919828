"""Differences of one symmetry: how an attribute of a part is held against that of its image."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from eqrl.arrays import Floats
from eqrl.derivation.connections import Connections
from eqrl.derivation.discrepancy import NONE, Discrepancy, Level, Value
from eqrl.derivation.model_parts import Parts
from eqrl.derivation.mounting import mounts
from eqrl.derivation.shapes import Shapes
from eqrl.derivation.symmetry import Symmetry

_STILL = 1e-12


class Differences:
    """One symmetry, and where it takes what.

    Args:
        parts: the model in its reference configuration.
        shapes: its geoms.
        symmetry: what to examine.
        moved: the isometry of every body at the reference, ``(nbody, 4, 4)``.
        connections: images of what connects parts under the symmetry.
        floor: relative differences up to this are rounding.
    """

    def __init__(
        self, parts: Parts, shapes: Shapes, symmetry: Symmetry, moved: Floats, connections: Connections, floor: float
    ) -> None:
        self.parts = parts
        self.shapes = shapes
        self.symmetry = symmetry
        # what hangs on a piece that is mounted elsewhere is compared as if it were mounted where it should be
        self.moved, self.mounted = mounts(parts, shapes, symmetry, moved)
        self.connections = connections
        self.floor = floor
        # what stays where it is differs from itself in nothing, and most of a scene does when one of its bodies moves
        still = np.abs(moved - np.eye(4)).max((1, 2)) < _STILL
        self.still = still & (max(np.abs(symmetry.R - np.eye(3)).max(), np.abs(symmetry.t).max()) < _STILL)
        self.without_image = {(d.field, d.of[0]) for d in connections.broken if d.of[1] == NONE}

    def _position(self, body: int, point: Floats) -> tuple[float, ...]:
        """A point of the world in a body's frame, as MJCF writes it."""
        pose = self.parts.poses[body]
        return tuple(float(v) for v in pose[:3, :3].T @ (point - pose[:3, 3]))

    def _direction(self, body: int, vector: Floats) -> tuple[float, ...]:
        return tuple(float(v) for v in self.parts.poses[body][:3, :3].T @ vector)

    def _get(self, kind: str, name: str, i: int) -> Any:
        table = getattr(self.parts.model, f"{kind}_{name}", None)
        return 0.0 if table is None else table[i]

    def _of(self, kind: str, i: int, j: int) -> tuple[str, str]:
        return self.parts.name(kind, int(i)), self.parts.name(kind, int(j))

    def _far(
        self, level: Level, field: str, of: tuple[str, str], a: ArrayLike, b: ArrayLike, scale: float
    ) -> Discrepancy:
        return self._sized(level, field, of, a, b, float(np.linalg.norm(np.subtract(a, b)) / scale))

    def _same(self, level: Level, field: str, of: tuple[str, str], a: ArrayLike, b: ArrayLike) -> Discrepancy | None:
        if np.array_equal(a, b):
            return None
        x, y = np.ravel(np.asarray(a, dtype=np.float64)), np.ravel(np.asarray(b, dtype=np.float64))
        scale = max(float(np.abs(x).max(initial=0.0)), float(np.abs(y).max(initial=0.0)), 1e-12)
        return self._sized(level, field, of, x, y, float(np.abs(x - y).max(initial=0.0) / scale))

    def _range(
        self, level: Level, field: str, of: tuple[str, str], a: tuple[Any, ...], b: tuple[Any, ...]
    ) -> Discrepancy:
        width = max(a[1] - a[0], b[1] - b[0], 1e-12)
        return self._sized(level, field, of, a, b, float(max(abs(a[0] - b[0]), abs(a[1] - b[1])) / width))

    @staticmethod
    def _sized(
        level: Level, field: str, of: tuple[str, str], a: ArrayLike, b: ArrayLike, relative: float
    ) -> Discrepancy:
        return Discrepancy(level, field, of, (_value(a), _value(b)), relative)


def _value(x: ArrayLike) -> Value:
    flat = np.ravel(np.asarray(x, dtype=np.float64)) + 0.0  # no minus before a zero
    return float(flat[0]) if len(flat) == 1 else tuple(float(v) for v in flat)
