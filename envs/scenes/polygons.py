"""Simple polygons in the plane: checks, symmetry, even outlines, offsets, and convex pieces.

Polygons are arrays of corners, shape ``(n, 2)``, counter-clockwise.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import ConvexHull

from eqrl.arrays import Floats

_SAME = 1e-9  # of the size of a polygon: closer corners are one
_EXACT = 1e-6  # likewise, for corners of a mirror image, which networks take for exact
_ALIKE = 1e-3  # likewise, for corners of a turned polygon: nobody tells such poses apart


def checked(corners: ArrayLike, name: str = "polygon") -> Floats:
    """A polygon from what a user wrote, counter-clockwise and without corners on straight lines.

    Raises:
        ValueError: naming the polygon, if it has too few corners, crosses itself or has no area.
    """
    try:
        polygon = np.array(corners, dtype=np.float64)
    except (TypeError, ValueError):
        polygon = np.zeros(0)
    if polygon.ndim != 2 or polygon.shape[-1] != 2 or not np.isfinite(polygon).all():
        raise ValueError(f"{name} must hold finite pairs (x, y), one for each corner")
    size = float(np.ptp(polygon, axis=0).max(initial=0.0))
    if len(polygon) < 3 or size == 0.0:
        raise ValueError(f"{name} is degenerate: it needs at least three corners that do not lie on one line")
    # the extent across the line that fits the corners best
    if np.linalg.svd(polygon - polygon.mean(axis=0), compute_uv=False)[1] < 1e-6 * size:
        raise ValueError(f"{name} is degenerate: all its corners lie on one line")
    if (np.linalg.norm(np.roll(polygon, -1, axis=0) - polygon, axis=1) < 1e-6 * size).any():
        raise ValueError(f"{name} is degenerate: two corners in a row are the same point; leave one of them out")
    if abs(area(polygon)) < 1e-6 * size * size and not _crossing(polygon):
        raise ValueError(f"{name} is degenerate: it encloses no area")
    if (crossing := _crossing(polygon)) is not None:
        raise ValueError(
            f"{name} crosses itself: edge {crossing[0]} meets edge {crossing[1]}; give it a simple outline"
        )
    if area(polygon) < 0.0:
        polygon = polygon[::-1].copy()
    return polygon[np.abs(_turning(polygon)) > _SAME * size * size]


def area(polygon: Floats) -> float:
    """Area, m^2; negative for a clockwise polygon."""
    following = np.roll(polygon, -1, axis=0)
    return 0.5 * float((polygon[:, 0] * following[:, 1] - polygon[:, 1] * following[:, 0]).sum())


def centred(polygon: Floats) -> Floats:
    """The polygon with its centre of area at the origin."""
    following = np.roll(polygon, -1, axis=0)
    cross = polygon[:, 0] * following[:, 1] - polygon[:, 1] * following[:, 0]
    moved: Floats = polygon - ((polygon + following) * cross[:, None]).sum(axis=0) / (3.0 * cross.sum())
    return moved


def order(polygon: Floats) -> int:
    """Number of turns about the origin that leave the polygon as it is, but for a thousandth of its size.

    Poses closer than that are one for a task. So a triangle whose corners are given with three digits has three turns,
    and its angle is told modulo 120 degrees, although it is regular only nearly.
    """
    orders = [k for k in range(2, len(polygon) + 1) if len(polygon) % k == 0]
    return max([1, *(k for k in orders if _same(_turned(polygon, 2 * np.pi / k), polygon, _ALIKE))])


def is_mirrored(polygon: Floats) -> bool:
    """Whether x -> -x leaves the polygon as it is."""
    return _same((polygon * (-1.0, 1.0))[::-1], polygon, _EXACT)


def is_convex(polygon: Floats) -> bool:
    """Whether no corner points inwards."""
    return bool((_turning(polygon) > -_SAME * np.ptp(polygon) ** 2).all())


def resampled(polygon: Floats, count: int) -> Floats:
    """Points evenly spaced along the outline, the first one at the first corner, shape ``(count, 2)``."""
    closed = np.concatenate([polygon, polygon[:1]])
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(closed, axis=0), axis=1))])
    spots = along[-1] * np.arange(count) / count
    return np.stack([np.interp(spots, along, closed[:, i]) for i in range(2)], axis=1)


def widened(polygon: Floats, clearance: float) -> Floats:
    """The polygon with every edge moved outwards by a clearance in m."""
    edges = np.roll(polygon, -1, axis=0) - polygon
    normals = np.stack([edges[:, 1], -edges[:, 0]], axis=1) / np.linalg.norm(edges, axis=1, keepdims=True)
    before = np.roll(normals, 1, axis=0)
    # the corner moves by the one vector whose products with both normals are the clearance
    shift = (before + normals) / (1.0 + (before * normals).sum(axis=1, keepdims=True))
    moved: Floats = polygon + clearance * shift
    return moved


def convex_pieces(polygon: Floats) -> list[Floats]:
    """Convex polygons that make up a simple one: triangles, joined as long as the union is convex."""
    if is_convex(polygon):
        return [polygon]
    pieces = _triangles(polygon)
    joined = True
    while joined:
        joined = False
        for one, other in combinations(pieces, 2):
            union = _union(polygon, one, other)
            if union is not None:
                pieces = [*(piece for piece in pieces if piece is not one and piece is not other), union]
                joined = True
                break
    return [polygon[piece] for piece in pieces]


def right_half(polygon: Floats) -> Floats:
    """The part with x >= 0 of a polygon of which the y axis cuts out one piece."""
    corners = []
    for a, b in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if a[0] >= -_SAME:
            corners.append((max(a[0], 0.0), a[1]))
        if (a[0] > _SAME and b[0] < -_SAME) or (a[0] < -_SAME and b[0] > _SAME):
            corners.append((0.0, a[1] + (b[1] - a[1]) * a[0] / (a[0] - b[0])))
    return checked(corners)


def surroundings(polygon: Floats, radius: float) -> list[Floats]:
    """Convex polygons that fill the space between a polygon about the origin and a circle of ``radius`` m around it.

    They are one for each edge of the convex hull, radial, and the pieces of each pocket between polygon and hull.
    """
    planes = ConvexHull(polygon).equations
    depth = (planes[:, :2] @ polygon.T + planes[:, 2:]).max(axis=0)
    hull = np.flatnonzero(depth > -_SAME * np.ptp(polygon))  # corners on its edges too
    pieces = []
    for i, j in zip(hull, np.roll(hull, -1), strict=True):
        a, b = polygon[i], polygon[j]
        pieces.append(np.array([b, a, radius * a / np.linalg.norm(a), radius * b / np.linalg.norm(b)]))
        chain = np.arange(i, j + 1 if j > i else j + 1 + len(polygon)) % len(polygon)
        if len(chain) > 2:
            pieces += convex_pieces(polygon[chain[::-1]])
    return pieces


def random_polygon(rng: np.random.Generator) -> Floats:
    """A random polygon without symmetry, with 5 to 8 corners at distances 0.5 to 1 from the origin."""
    count = int(rng.integers(5, 9))
    angles = 2 * np.pi * (np.arange(count) + rng.uniform(-0.25, 0.25, size=count)) / count
    radii = rng.uniform(0.5, 1.0, size=count)
    return centred(checked(radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)))


# ---------------------------------------------------------------------- parts of the above
def _cross(a: Any, b: Any) -> Any:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def _turning(polygon: Floats) -> Floats:
    """Twice the area of the triangle at each corner, positive where the outline turns left."""
    turning: Floats = _cross(polygon - np.roll(polygon, 1, axis=0), np.roll(polygon, -1, axis=0) - polygon)
    return turning


def _turned(polygon: Floats, angle: float) -> Floats:
    c, s = np.cos(angle), np.sin(angle)
    turned: Floats = polygon @ np.array([[c, s], [-s, c]])
    return turned


def _same(a: Floats, b: Floats, tolerance: float) -> bool:
    """Whether two lists of corners are the same outline up to a part of its size, wherever they begin."""
    apart = np.abs(a[:, None] - b[None]).max(axis=-1)
    start = int(apart[0].argmin())
    return bool(np.abs(a - np.roll(b, -start, axis=0)).max() < tolerance * np.abs(b).max())


def _crossing(polygon: Floats) -> tuple[int, int] | None:
    """The first two edges that meet elsewhere than in a common corner, or None."""
    n = len(polygon)
    a, b = polygon, np.roll(polygon, -1, axis=0)
    for i in range(n):
        for j in range(i + 1, n):
            neighbours = (j - i) % n in (1, n - 1)
            if not neighbours and _meet(a[i], b[i], a[j], b[j]):
                return i, j
            # neighbours meet in one corner, unless one folds back on the other
            if neighbours and abs(_cross(b[i] - a[i], b[j] - a[j])) < 1e-12 and (b[i] - a[i]) @ (b[j] - a[j]) < 0.0:
                return i, j
    return None


def _meet(a: Floats, b: Floats, c: Floats, d: Floats) -> bool:
    sides = [_cross(b - a, c - a), _cross(b - a, d - a), _cross(d - c, a - c), _cross(d - c, b - c)]
    if sides[0] * sides[1] < 0.0 and sides[2] * sides[3] < 0.0:
        return True
    ends = ((c, a, b), (d, a, b), (a, c, d), (b, c, d))
    return any(
        side == 0.0 and bool(((np.minimum(u, v) <= end) & (end <= np.maximum(u, v))).all())
        for side, (end, u, v) in zip(sides, ends, strict=True)
    )


def _triangles(polygon: Floats) -> list[NDArray[np.intp]]:
    """Indices of the corners of triangles, by cutting off the ear with the widest smallest angle."""
    left, triangles = list(range(len(polygon))), []
    while len(left) > 3:
        ears = [(_roundness(polygon[[left[k - 1], left[k], left[(k + 1) % len(left)]]]), k) for k in range(len(left))]
        for roundness, k in sorted(ears, reverse=True):
            ear = [left[k - 1], left[k], left[(k + 1) % len(left)]]
            others = polygon[[i for i in left if i not in ear]]
            if roundness > _SAME and not _inside(others, polygon[ear]).any():
                triangles.append(np.array(ear))
                del left[k]
                break
        else:
            raise ValueError("the polygon cannot be cut into triangles; its corners lie too close to its edges")
    return [*triangles, np.array(left)]


def _roundness(triangle: Floats) -> float:
    """Area over the squared longest edge, negative for a corner that points inwards."""
    longest = np.square(triangle - np.roll(triangle, 1, axis=0)).sum(axis=1).max()
    return area(triangle) / float(longest)


def _inside(points: Floats, triangle: Floats) -> NDArray[np.bool_]:
    sides = [_cross(triangle[k] - triangle[k - 1], points - triangle[k - 1]) for k in range(3)]
    return np.logical_and.reduce([side >= 0.0 for side in sides])  # type: ignore[no-any-return]


def _union(polygon: Floats, one: NDArray[np.intp], other: NDArray[np.intp]) -> NDArray[np.intp] | None:
    """The indices of two pieces' union if they share an edge and it is convex."""
    a, b = one.tolist(), other.tolist()
    for k, (start, end) in enumerate(zip(a, a[1:] + a[:1], strict=True)):
        if start in b and end in b and b[(b.index(end) + 1) % len(b)] == start:
            at = b.index(start)
            rest = (b[at:] + b[:at])[1:-1]
            union = np.array(a[: k + 1] + rest + a[k + 1 :])
            return union if is_convex(polygon[union]) else None
    return None
