"""Whether a geom, moved by an isometry, covers another one.

Residuals that take each shape's own symmetry into account.
"""

from __future__ import annotations

import itertools

import mujoco
import numpy as np

from eqrl.arrays import Floats
from eqrl.derivation.model_parts import Parts

_G = mujoco.mjtGeom
_SPHERE, _CAPSULE, _CYLINDER = int(_G.mjGEOM_SPHERE), int(_G.mjGEOM_CAPSULE), int(_G.mjGEOM_CYLINDER)
_ELLIPSOID, _BOX, _MESH = int(_G.mjGEOM_ELLIPSOID), int(_G.mjGEOM_BOX), int(_G.mjGEOM_MESH)
_PLANE, _HFIELD, _SDF = int(_G.mjGEOM_PLANE), int(_G.mjGEOM_HFIELD), int(_G.mjGEOM_SDF)
_CORNERS = np.array(list(itertools.product((-1.0, 1.0), repeat=3)))
# Evenly spread directions (a Fibonacci lattice).
_N = 128
_Z = 1.0 - (2.0 * np.arange(_N) + 1.0) / _N
_PHI = np.pi * (1.0 + 5.0**0.5) * np.arange(_N)
_DIRECTIONS = np.stack([np.sqrt(1 - _Z**2) * np.cos(_PHI), np.sqrt(1 - _Z**2) * np.sin(_PHI), _Z], axis=1)


def shape_points(parts: Parts, geom: int) -> Floats:
    """Points that fix a geom's shape and pose up to its own symmetry, ``(n, 3)`` in world coordinates.

    A sphere is its centre, a capsule or cylinder the ends of its axis, a box its corners, an ellipsoid the ends of its
    axes, a mesh its vertices. Planes and height fields have none.
    """
    m = parts.model
    kind, size = int(m.geom_type[geom]), m.geom_size[geom]
    if kind == _SPHERE:
        local = np.zeros((1, 3))
    elif kind in (_CAPSULE, _CYLINDER):
        local = np.array([[0.0, 0.0, -size[1]], [0.0, 0.0, size[1]]])
    elif kind == _BOX:
        local = _CORNERS * size
    elif kind == _ELLIPSOID:
        local = np.concatenate([np.diag(size), -np.diag(size)])
    elif kind in (_MESH, _SDF) and m.geom_dataid[geom] >= 0:
        mesh = int(m.geom_dataid[geom])
        start, count = int(m.mesh_vertadr[mesh]), int(m.mesh_vertnum[mesh])
        local = m.mesh_vert[start : start + count].astype(np.float64)
    else:
        return np.zeros((0, 3))
    pose = parts.geom_poses[geom]
    points: Floats = local @ pose[:3, :3].T + pose[:3, 3]
    return points


class Shapes:
    """Compares geoms of one model."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self._points: dict[int, Floats] = {}

    def points(self, geom: int) -> Floats:
        """Shape points of a geom."""
        if geom not in self._points:
            self._points[geom] = shape_points(self.parts, geom)
        return self._points[geom]

    def centre(self, geom: int) -> Floats:
        """Middle of a geom, which moves with it; the origin of its frame for planes and height fields."""
        # MuJoCo puts the frame of a mesh into its centre of volume, which does not depend on how it is cut into
        # triangles
        return np.array(self.parts.geom_poses[geom][:3, 3])

    def alike(self, a: int, b: int) -> bool:
        """Whether two geoms are of the same type."""
        return bool(self.parts.model.geom_type[a] == self.parts.model.geom_type[b])

    def radius_gap(self, a: int, b: int) -> float:
        """Difference in radius, for the shapes that have one."""
        kind = int(self.parts.model.geom_type[a])
        if kind in (_SPHERE, _CAPSULE, _CYLINDER):
            return float(abs(self.parts.model.geom_size[a][0] - self.parts.model.geom_size[b][0]))
        return 0.0

    def gap(self, a: int, b: int, G: Floats) -> float:
        """Largest distance between geom ``a`` moved by ``G`` and geom ``b``; infinite for different types.

        For planes it is the angle between the normals plus the distance along them; height fields only fit themselves
        under the identity.
        """
        if not self.alike(a, b):
            return float("inf")
        kind = int(self.parts.model.geom_type[a])
        if kind == _PLANE:
            plane, image = G @ self.parts.geom_poses[a], self.parts.geom_poses[b]
            tilt = float(np.linalg.norm(plane[:3, 2] - image[:3, 2]))
            return tilt + float(abs((plane[:3, 3] - image[:3, 3]) @ image[:3, 2]))
        if kind == _HFIELD:
            return 0.0 if a == b and np.allclose(G, np.eye(4)) else float("inf")
        if kind in (_MESH, _SDF):
            here, there = self.farthest(a, b, G)
            return abs(here - there)
        moved = self.points(a) @ G[:3, :3].T + G[:3, 3]
        apart = np.linalg.norm(moved[:, None] - self.points(b)[None], axis=-1)
        return float(max(apart.min(0).max(), apart.min(1).max(), self.radius_gap(a, b)))

    def farthest(self, a: int, b: int, G: Floats) -> tuple[float, float]:
        """How far the hulls of two meshes reach in the direction in which they differ most; ``a`` is moved by ``G``."""
        # h(G a)(n) = h(a)(R^T n) + t n, measured from the centre of b
        moved = self._support(a, _DIRECTIONS @ G[:3, :3]) + _DIRECTIONS @ (G[:3, 3] - self.centre(b))
        still = self._support(b, _DIRECTIONS) - _DIRECTIONS @ self.centre(b)
        worst = int(np.abs(moved - still).argmax())
        return float(moved[worst]), float(still[worst])

    def _support(self, geom: int, directions: Floats) -> Floats:
        """How far the convex hull of a mesh reaches in given directions. Convex hulls are what MuJoCo collides."""
        reach: Floats = (directions @ self.points(geom).T).max(1)
        return reach
