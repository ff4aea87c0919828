"""Isometries that take most of a tree to itself or to another one, whatever the rest does.

``candidates`` requires every point to have an image, and so fails where one part is wrong. Here a tree is no more than
the places of its joints and masses, and half of them are enough.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.spatial import cKDTree

from eqrl.arrays import Floats, Ints
from eqrl.derivation.candidates import AXIAL, about, triad
from eqrl.derivation.least_squares import settled
from eqrl.derivation.model_parts import FREE, SLIDE, Parts

# Share of the points that have to come close to points of the same kind.
_MOST = 0.5
_ENOUGH_POINTS = 80
_ANCHORS = 4
_ROTATIONS = 1500
# Isometries along plain axes are kept as they are if most points are as close as this, relative to the size of the
# model.
_PLAIN = 1e-3


class Skeleton:
    """Places of the joints and masses of a tree.

    Args:
        parts: the model in its reference configuration.
        root: root of the tree, 0 for all that is fixed to the world.

    Attributes:
        points: ``(n, 3)``.
        labels: depth in the tree and kind of point, as a number, ``(n,)``.
        centres: places that a symmetry of the tree is likely to keep, ``(3, 3)``.
        frame: orientation of the root, ``(3, 3)``.
    """

    def __init__(self, parts: Parts, root: int) -> None:
        self.size = parts.size
        points, labels = [], []
        for head, depth in _depths(parts, root):
            mass, centre, _ = parts.inertials[head]
            if head and mass > 0:
                points.append(centre)
                labels.append(2 * depth)
            for j in parts.joints(head):
                if parts.model.jnt_type[j] not in (FREE, SLIDE):
                    points.append(parts.data.xanchor[j].copy())
                    labels.append(2 * depth + 1)
        self.points: Floats = np.array(points).reshape(-1, 3)
        self.labels: Ints = np.array(labels, dtype=np.int64)
        middle = self.points.mean(0) if len(points) else np.zeros(3)
        self.centres: Floats = np.stack(
            [parts.poses[root][:3, 3], parts.inertials[root][1] if root else middle, middle]
        )
        self.frame: Floats = parts.poses[root][:3, :3]


def _depths(parts: Parts, root: int) -> Iterator[tuple[int, int]]:
    level, depth = [root], 0
    while level:
        yield from ((head, depth) for head in level)
        level, depth = [c for head in level for c in parts.children[head]], depth + 1


def most_fit(a: Skeleton, b: Skeleton, slack: float) -> list[Floats]:
    """Isometries, ``(4, 4)``, under which most points of ``a`` meet points of ``b``; those that fit best come first.

    Args:
        a: places of one tree.
        b: those of another one, or of the same.
        slack: by how much a point may miss its image.
    """
    if not len(a.points) or not len(b.points):
        return []
    some = np.arange(0, len(a.points), max(1, len(a.points) // _ENOUGH_POINTS))
    apart = 1e3 * a.size  # what has another label is far away
    nearest = cKDTree(np.column_stack([b.points, apart * b.labels]))
    scored: dict[tuple[float, ...], tuple[float, Floats]] = {}
    for here, there in zip(a.centres, b.centres, strict=True):
        turns = np.array(list(_turns(a, b, here, there, slack)))
        plain = len(AXIAL) * 4
        moved = np.einsum("rij,nj->rni", turns, a.points[some] - here) + there
        labels = np.broadcast_to(apart * a.labels[some, None], (*moved.shape[:2], 1))
        gaps, images = nearest.query(np.concatenate([moved, labels], axis=-1), distance_upper_bound=2.0 * slack)
        close = np.isfinite(gaps)
        for k in np.flatnonzero(close.mean(1) >= _MOST):
            fits = close[k]
            G = settled(
                about(turns[k], here, there), a.points[some][fits], b.points[images[k][fits]], bool(k < plain), a.size
            )
            left = np.minimum(
                np.linalg.norm(a.points[some] @ G[:3, :3].T + G[:3, 3] - b.points[images[k] % len(b.points)], axis=1),
                slack,
            )
            score = float(np.where(fits, left, slack).mean())
            name = tuple((np.concatenate([G[:3, :3].ravel(), G[:3, 3] / (10.0 * slack)]).round(1) + 0.0).tolist())
            if name not in scored or score < scored[name][0] - 1e-9 * a.size:
                scored[name] = (score, G)
    return [G for _, G in sorted(scored.values(), key=lambda x: x[0])]


def _turns(a: Skeleton, b: Skeleton, here: Floats, there: Floats, slack: float) -> Iterator[Floats]:
    for frame_a in (np.eye(3), a.frame):
        for frame_b in (np.eye(3), b.frame):
            yield from (frame_b @ R @ frame_a.T for R in AXIAL)
    p, q = a.points - here, b.points - there
    lengths, images = np.linalg.norm(p, axis=1), np.linalg.norm(q, axis=1)
    count = 0
    for first in _spread(p, lengths, a.size):
        across = np.linalg.norm(np.cross(p, p[first] / lengths[first]), axis=1)
        for second in _spread(p, across, a.size)[:2]:
            apart = np.linalg.norm(p[first] - p[second])
            for i in np.flatnonzero((b.labels == a.labels[first]) & (np.abs(images - lengths[first]) <= slack)):
                fits = (b.labels == a.labels[second]) & (np.abs(images - lengths[second]) <= slack)
                fits &= np.abs(np.linalg.norm(q - q[i], axis=1) - apart) <= 2.0 * slack
                for j in np.flatnonzero(fits):
                    before, after = triad(p[first], p[second]), triad(q[i], q[j])
                    if before is None or after is None:
                        continue
                    yield after @ before.T
                    yield after @ np.diag([1.0, 1.0, -1.0]) @ before.T
                    count += 2
                    if count > _ROTATIONS:
                        return


def _spread(points: Floats, distances: Floats, size: float) -> list[int]:
    """A few points, far out, and far from each other, so that not all of them are wrong."""
    chosen: list[int] = []
    worth = np.where(distances > 0.05 * size, distances, 0.0)
    while len(chosen) < _ANCHORS and worth.max(initial=0.0) > 0:
        chosen.append(int(worth.argmax()))
        worth = np.minimum(worth, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return chosen
