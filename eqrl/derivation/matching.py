"""Which piece goes where, under a given isometry: trees are matched from their roots, with some slack.

The slack is there so that what almost fits is found and can be reported; whether a match is exact is decided later, by
comparing attribute by attribute.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linear_sum_assignment

from eqrl.arrays import Floats
from eqrl.derivation.model_parts import BALL, FREE, HINGE, SLIDE, Parts
from eqrl.derivation.shapes import Shapes

_BAD = 1e6
# Axes this far apart (sine of the angle) are never taken for each other, however large the slack.
_AXIS_SLACK = 0.2
# Centres of mass of real robots are off by more than their joints are.
_MASS_SLACK = 3.0
# What a radian by which ranges differ weighs against distances, in slacks: enough to choose among pieces in one place.
_RANGE_WEIGHT = 1e-3


@dataclass
class Match:
    """Images of the pieces of a tree.

    Attributes:
        G: the isometry, ``(4, 4)``.
        pieces: image of every piece, by head body.
        joints: image and sign of every joint.
        geoms: image of every colliding geom.
        cost: sum of the distances by which parts miss their images.
        range_gap: sum of what ranges of joints differ by from their images', in radians and metres.
    """

    G: Floats
    pieces: dict[int, int] = field(default_factory=dict)
    joints: dict[int, tuple[int, float]] = field(default_factory=dict)
    geoms: dict[int, int] = field(default_factory=dict)
    cost: float = 0.0
    range_gap: float = 0.0

    def merge(self, other: Match) -> None:
        """Take over the images of another part of the tree."""
        self.pieces |= other.pieces
        self.joints |= other.joints
        self.geoms |= other.geoms
        self.cost += other.cost
        self.range_gap += other.range_gap

    @property
    def key(self) -> tuple[object, ...]:
        """What it permutes, and its handedness."""
        return (
            tuple(sorted(self.pieces.items())),
            tuple(sorted(self.joints.items())),
            tuple(sorted(self.geoms.items())),
            float(np.sign(np.linalg.det(self.G[:3, :3]))),
        )


class Matcher:
    """Matches trees of one model.

    Args:
        parts: the model in its reference configuration.
        shapes: for comparing its geoms.
        slack: largest distance between a part and its image, in units of length.
    """

    def __init__(self, parts: Parts, shapes: Shapes, slack: float) -> None:
        self.parts = parts
        self.shapes = shapes
        self.slack = slack

    def match(self, a: int, b: int, G: Floats) -> Match | None:
        """Match the tree that hangs on piece ``a`` to the one on piece ``b``; None if it does not fit."""
        if self._mass_gap(a, b, G) > _MASS_SLACK * self.slack:  # cheaper than joints, of which slides fit anywhere
            return None
        joints = self._joints(a, b, G)
        if joints is None:
            return None
        geoms = self._geoms(a, b, G)
        if geoms is None:
            return None
        out = Match(G, {a: b}, joints[0], geoms[0], joints[1] + geoms[1], self._range_gap(joints[0]))
        below_a, below_b = self.parts.children[a], self.parts.children[b]
        if len(below_a) != len(below_b):
            return None
        if not below_a:
            return out
        matches = [[self.match(x, y, G) for y in below_b] for x in below_a]
        # legs may lie in one place, and which is the image of which then shows in the ranges of their joints alone
        weight = _RANGE_WEIGHT * self.slack
        costs = np.array([[_BAD if m is None else m.cost + weight * m.range_gap for m in row] for row in matches])
        rows, columns = linear_sum_assignment(costs)
        for i, j in zip(rows, columns, strict=True):
            below = matches[i][j]
            if below is None:
                return None
            out.merge(below)
        return out

    def _joints(self, a: int, b: int, G: Floats) -> tuple[dict[int, tuple[int, float]], float] | None:
        m, d = self.parts.model, self.parts.data
        here, there = self.parts.joints(a), self.parts.joints(b)
        if len(here) != len(there) or any(m.jnt_type[i] != m.jnt_type[j] for i, j in zip(here, there, strict=True)):
            return None
        there_now = self._order_of_slides(here, there, G)
        images, cost = {}, 0.0
        det = float(_cross(G[:3, 0], G[:3, 1]) @ G[:3, 2])
        for i, j in zip(here, there_now, strict=True):
            kind, sign = int(m.jnt_type[i]), 1.0
            if kind in (HINGE, SLIDE):
                axis = G[:3, :3] @ d.xaxis[i] * (det if kind == HINGE else 1.0)
                sign = 1.0 if axis @ d.xaxis[j] > 0 else -1.0
                if np.linalg.norm(_cross(axis, d.xaxis[j])) > _AXIS_SLACK:
                    return None
            distance = anchor_gap(self.parts, i, j, G)
            if distance > self.slack:
                return None
            images[i], cost = (j, sign), cost + distance
        return images, cost

    def _range_gap(self, images: Mapping[int, tuple[int, float]]) -> float:
        m, gap = self.parts.model, 0.0
        for i, (j, sign) in images.items():
            if m.jnt_type[i] in (HINGE, SLIDE) and m.jnt_limited[i] and m.jnt_limited[j]:
                here, there = (m.jnt_range[k] - self.parts.reference[m.jnt_qposadr[k]] for k in (i, j))
                gap += float(np.abs(np.sort(sign * here) - there).max())
        return gap

    def _order_of_slides(self, here: range, there: range, G: Floats) -> list[int]:
        """Joints of a piece's image; neighbouring slides are put in the order of their axes, since they commute."""
        m, d = self.parts.model, self.parts.data
        out, start = list(there), 0
        for slides, run in itertools.groupby(here, key=lambda j: bool(m.jnt_type[j] == SLIDE)):
            n = len(list(run))
            if slides and n > 1:
                block = slice(start, start + n)
                along = np.abs(d.xaxis[list(here[block])] @ G[:3, :3].T @ d.xaxis[list(there[block])].T)
                out[block] = [there[start + int(k)] for k in linear_sum_assignment(-along)[1]]
            start += n
        return out

    def _mass_gap(self, a: int, b: int, G: Floats) -> float:
        (mass_a, here, _), (mass_b, there, _) = self.parts.inertials[a], self.parts.inertials[b]
        if not a or self.parts.floats(a) or not (mass_a > 0 and mass_b > 0):
            return 0.0
        return float(np.linalg.norm(G[:3, :3] @ here + G[:3, 3] - there))

    def _geoms(self, a: int, b: int, G: Floats) -> tuple[dict[int, int], float] | None:
        here, there = self.parts.geoms[a], self.parts.geoms[b]
        if len(here) != len(there):
            return None
        if not here:
            return {}, 0.0
        gaps = np.full((len(here), len(there)), _BAD)
        centres = np.array([self.shapes.centre(j) for j in there])
        for i, geom in enumerate(here):
            moved = G[:3, :3] @ self.shapes.centre(geom) + G[:3, 3]
            plain = [len(self.shapes.points(geom)) == 0 for _ in there]
            near = (np.linalg.norm(centres - moved, axis=1) <= self.slack) | np.array(plain)
            for j in np.flatnonzero(near):
                gap = self.shapes.gap(geom, there[j], G)
                gaps[i, j] = gap if gap <= self.slack else _BAD
        rows, columns = linear_sum_assignment(gaps)
        cost = float(gaps[rows, columns].sum())
        if cost >= _BAD:
            return None
        return {here[i]: there[j] for i, j in zip(rows, columns, strict=True)}, cost


def anchor_gap(parts: Parts, i: int, j: int, G: Floats) -> float:
    """Distance between a joint's anchor, moved by ``G``, and what it has to meet at its image.

    Of a hinge that is its axis, along which the anchor may lie anywhere; a slide and a free joint have no anchor.
    """
    kind = int(parts.model.jnt_type[i])
    if kind in (FREE, SLIDE):
        return 0.0
    gap = G[:3, :3] @ parts.data.xanchor[i] + G[:3, 3] - parts.data.xanchor[j]
    if kind == BALL:
        return float(np.linalg.norm(gap))
    return float(np.linalg.norm(_cross(gap, parts.data.xaxis[j])))


def _cross(a: Floats, b: Floats) -> Floats:
    """``np.cross`` of two single vectors, at a tenth of the cost."""
    return np.array([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]])
