"""Isometries that may take one tree of a model to another, from labelled points and not from a list of mirrors.

Two points that stay where their labels allow, besides the common centre, leave two isometries, a proper and an improper
one. Labels say what may be exchanged at all: the place in the tree, the kinds of joints, what hangs below. Where all
points lie on a line or in one place, directions come from axes of joints, shapes and inertia, and from the frames of
root and world. Candidates may be wrong; matching and comparison decide.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator

import numpy as np
from scipy.spatial import cKDTree

from eqrl.arrays import Floats
from eqrl.derivation.model_parts import FREE, HINGE, PLANE, SLIDE, Parts
from eqrl.derivation.shapes import Shapes

Label = tuple[object, ...]
_MOST = 20000
_FLAT = 1e-3

# the 48 symmetries of a cube
AXIAL = tuple(
    np.eye(3)[:, list(order)] * np.array(signs)
    for order in itertools.permutations(range(3))
    for signs in itertools.product((1.0, -1.0), repeat=3)
)


class Cloud:
    """Labelled points of a tree.

    Args:
        parts: the model in its reference configuration.
        shapes: its geoms.
        root: root of the tree, 0 for all that is fixed to the world.
    """

    def __init__(self, parts: Parts, shapes: Shapes, root: int) -> None:
        self.parts = parts
        self.shapes = shapes
        self.root = root
        self.labels: list[Label] = []
        self.lines: list[Floats] = []
        points: list[Floats] = []
        for head, prefix in self._pieces(root, ()):
            for label, point in self._of_piece(head, prefix):
                self.labels.append(label)
                points.append(point)
        self.points = np.array(points).reshape(-1, 3)
        self.centre = self.points.mean(0) if points else parts.poses[root][:3, 3]

    @property
    def frames(self) -> list[Floats]:
        """Frames whose axes are likely axes of symmetry: the world's, the root's, and that of inertia."""
        frames = [np.eye(3), self.parts.poses[self.root][:3, :3]]
        if len(self.points) > 1:
            frames.append(np.linalg.eigh(np.cov(self.points.T))[1])
        if self.root:
            frames.append(np.linalg.eigh(self.parts.inertials[self.root][2])[1])
        else:
            frames += self._slopes()
        return frames

    def _slopes(self) -> list[Floats]:
        """Upright frames along which gravity and planes are inclined."""
        m = self.parts.model
        planes = [g for g in self.parts.geoms[0] if m.geom_type[g] == PLANE]
        out = []
        for direction in (m.opt.gravity, *(self.parts.geom_poses[g][:3, 2] for g in planes)):
            along = direction * np.array([1.0, 1.0, 0.0])
            if (size := np.linalg.norm(along)) > _FLAT * np.linalg.norm(direction):
                x, z = along / size, np.array([0.0, 0.0, 1.0])
                out.append(np.stack([x, np.cross(z, x), z], axis=1))
        return out

    def _pieces(self, head: int, prefix: Label) -> Iterator[tuple[int, Label]]:
        label = (*prefix, self._class(head))
        yield head, label
        for child in self.parts.children[head]:
            yield from self._pieces(child, label)

    def _class(self, head: int) -> Label:
        """What two pieces must share to be images of each other: joints, shapes, and the same below."""
        m = self.parts.model
        joints = tuple(int(m.jnt_type[j]) for j in self.parts.joints(head))
        kinds = tuple(sorted(int(m.geom_type[g]) for g in self.parts.geoms[head]))
        return (joints, kinds, tuple(sorted((self._class(c) for c in self.parts.children[head]), key=repr)))

    def _of_piece(self, head: int, prefix: Label) -> Iterator[tuple[Label, Floats]]:
        m, d = self.parts.model, self.parts.data
        reach = 0.3 * self.parts.size
        for k, j in enumerate(self.parts.joints(head)):
            if m.jnt_type[j] == FREE:
                continue
            axis = d.xaxis[j] if m.jnt_type[j] in (HINGE, SLIDE) else np.zeros(3)
            # a slide has no place of its own but where its piece is now
            anchor = self.parts.inertials[head][1] if m.jnt_type[j] == SLIDE else d.xanchor[j]
            if m.jnt_type[j] != SLIDE:
                yield (*prefix, "anchor", k), anchor.copy()
            # an axis is a line without direction: both ends have one label
            if axis.any():
                which = "slide" if m.jnt_type[j] == SLIDE else k  # slides of one piece commute
                self.lines.append(axis.copy())
                yield (*prefix, "axis", which), anchor + reach * axis
                yield (*prefix, "axis", which), anchor - reach * axis
        for g in self.parts.geoms[head]:
            shape = self.shapes.points(g)
            if len(shape):
                yield (*prefix, "geom", int(m.geom_type[g])), self.shapes.centre(g)
                if len(shape) <= 8:
                    yield from (((*prefix, "shape", int(m.geom_type[g])), p) for p in shape if len(shape) > 1)
        for s in self.parts.sites[head]:
            if s in self.parts.driven_sites:
                yield (*prefix, "site"), d.site_xpos[s].copy()
        if head and not self.parts.geoms[head] and self.parts.inertials[head][0] > 0:
            yield (*prefix, "mass"), self.parts.inertials[head][1]


def isometries(a: Cloud, b: Cloud, slack: float) -> Iterator[Floats]:
    """Candidates for isometries that take cloud ``a`` to cloud ``b``, as ``(4, 4)`` matrices; the most likely first.

    Args:
        a: points of one tree.
        b: points of another one, or the same.
        slack: by how much a point may miss its image.
    """
    if Counter(a.labels) != Counter(b.labels):
        return
    seen: set[tuple[float, ...]] = set()
    here, there = a.points - a.centre, b.points - b.centre
    nearest = cKDTree(there) if len(there) else None
    for R in itertools.islice(_rotations(a, b, slack), _MOST):
        key = tuple((R.round(3) + 0.0).ravel())
        if key in seen:
            continue
        seen.add(key)
        # cheap, and it spares matching nearly all that is wrong; the ends of axes may miss by more than the slack
        if nearest is None or nearest.query(here @ R.T)[0].max() <= 2.0 * slack:
            yield about(R, a.centre, b.centre)


def about(R: Floats, centre: Floats, image: Floats) -> Floats:
    """The isometry with orthogonal part ``R`` that takes ``centre`` to ``image``."""
    G = np.eye(4)
    G[:3, :3] = R
    G[:3, 3] = image - R @ centre
    return G


def _rotations(a: Cloud, b: Cloud, slack: float) -> Iterator[Floats]:
    for here in a.frames:
        for there in b.frames:
            yield from (there @ R @ here.T for R in AXIAL)
    p, q = a.points - a.centre, b.points - b.centre
    size = max(a.parts.size, 1e-9)
    first = _rarest(a.labels, np.linalg.norm(p, axis=1) > 0.05 * size, -np.linalg.norm(p, axis=1))
    if first is None:
        return
    x1 = p[first]
    off_line = np.linalg.norm(np.cross(p, x1 / np.linalg.norm(x1)), axis=1)
    second = _rarest(a.labels, off_line > 0.05 * size, -off_line)
    for i in _alike(b, q, a.labels[first], float(np.linalg.norm(x1)), slack):
        if second is None:
            yield from _about_line(a, b, x1, q[i])
            continue
        x2 = p[second]
        apart = np.linalg.norm(x1 - x2)
        for j in _alike(b, q, a.labels[second], float(np.linalg.norm(x2)), slack):
            if abs(np.linalg.norm(q[i] - q[j]) - apart) <= 2 * slack and i != j:
                before, after = triad(x1, x2), triad(q[i], q[j])
                if after is not None and before is not None:
                    yield after @ before.T
                    yield after @ np.diag([1.0, 1.0, -1.0]) @ before.T


def _rarest(labels: list[Label], allowed: Floats, order: Floats) -> int | None:
    """The allowed point with the fewest namesakes, the first by ``order`` among equals."""
    counts = Counter(labels)
    candidates = [i for i in range(len(labels)) if allowed[i]]
    return min(candidates, key=lambda i: (counts[labels[i]], order[i]), default=None)


def _alike(cloud: Cloud, q: Floats, label: Label, length: float, slack: float) -> list[int]:
    return [i for i in range(len(q)) if cloud.labels[i] == label and abs(np.linalg.norm(q[i]) - length) <= slack]


def triad(x: Floats, y: Floats) -> Floats | None:
    """Orthonormal axes, the first along ``x``, the second in the plane of ``x`` and ``y``.

    None where these have one line.
    """
    e1 = x / np.linalg.norm(x)
    rest = y - (y @ e1) * e1
    if (length := np.linalg.norm(rest)) < _FLAT * np.linalg.norm(x):
        return None
    e2 = rest / length
    return np.stack([e1, e2, np.cross(e1, e2)], axis=1)


def _about_line(a: Cloud, b: Cloud, x: Floats, y: Floats) -> Iterator[Floats]:
    """Isometries that take one line to another, where only axes of joints and frames tell how far to turn about it."""
    sides_a = [f[:, k] for f in a.frames for k in range(3)] + a.lines
    sides_b = [f[:, k] for f in b.frames for k in range(3)] + b.lines
    for u in sides_a:
        here = triad(x, u)
        if here is None:
            continue
        for v in sides_b:
            for sign in (1.0, -1.0):
                there = triad(y, sign * v)
                if there is not None:
                    yield there @ here.T
                    yield there @ np.diag([1.0, 1.0, -1.0]) @ here.T
        return
