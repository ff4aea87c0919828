"""Which piece goes where if not everything fits: each part gets the image that suits it best, and the rest is reported.

``matching`` gives up where one part has no image; its matches are those that may hold. Matches here never hold: they
show what is in the way.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linear_sum_assignment

from eqrl.arrays import Floats
from eqrl.derivation.discrepancy import NONE, Discrepancy, point_text
from eqrl.derivation.matching import Match, anchor_gap
from eqrl.derivation.model_parts import HINGE, SLIDE, Parts
from eqrl.derivation.shapes import Shapes

_FAR = 1e6
# A piece this far from another one, in sizes of the model and summed over its three places, is not its image.
_ELSEWHERE = 1.0
_KINDS = {0: "free", 1: "ball", 2: "slide", 3: "hinge"}


@dataclass
class PartialMatch(Match):
    """Images of those parts of a tree that have one.

    Attributes:
        lacking: bodies and joints that have no image, on either side.
    """

    lacking: list[Discrepancy] = field(default_factory=list)


class PartialMatcher:
    """Matches trees of one model as well as possible.

    Args:
        parts: the model in its reference configuration.
        shapes: its geoms.
        slack: a distance that is far for what should coincide.
    """

    def __init__(self, parts: Parts, shapes: Shapes, slack: float) -> None:
        self.parts = parts
        self.shapes = shapes
        self.slack = slack
        self._landmarks = {h: self._landmarks_of(h) for h in parts.heads}

    def match(self, a: int, b: int, G: Floats) -> PartialMatch:
        """Match the tree that hangs on piece ``a`` to the one on piece ``b``.

        What lacks an image is only told for ``a``: a symmetry lists every part as one that needs an image.
        """
        out = PartialMatch(G, {a: b})
        self._joints(a, b, out)
        self._geoms(a, b, out)
        below_a, below_b = self.parts.children[a], self.parts.children[b]
        costs = np.array([[self._unlike(x, y, G) for y in below_b] for x in below_a]).reshape(
            len(below_a), len(below_b)
        )
        images = {
            i: j
            for i, j in zip(*linear_sum_assignment(costs), strict=True)
            if costs[i, j] < _ELSEWHERE * self.parts.size
        }
        for i, j in images.items():
            below = self.match(below_a[i], below_b[j], G)
            out.merge(below)
            out.lacking += below.lacking
        for i in sorted(set(range(len(below_a))) - images.keys()):
            out.lacking.append(
                self._lacks("body", below_a[i], a, b, G[:3, :3] @ self._landmarks[below_a[i]][0] + G[:3, 3])
            )
        return out

    def _landmarks_of(self, head: int) -> Floats:
        """Where a piece hangs, and where its mass and that of all below is, ``(3, 3)``."""
        todo, total, moment = [head], 0.0, np.zeros(3)
        while todo:
            piece = todo.pop()
            mass, centre, _ = self.parts.inertials[piece]
            total, moment = total + mass, moment + mass * centre
            todo += self.parts.children[piece]
        joints = self.parts.joints(head)
        centre_of_mass = self.parts.inertials[head][1]
        anchor = (
            self.parts.data.xanchor[joints[0]]
            if len(joints) and self.parts.model.jnt_type[joints[0]] != SLIDE
            else centre_of_mass
        )
        return np.stack([anchor, centre_of_mass, moment / total if total > 0 else centre_of_mass])

    def _unlike(self, a: int, b: int, G: Floats) -> float:
        """How badly a piece suits another one: by its place, its joints and what hangs below."""
        m = self.parts.model
        apart = np.linalg.norm(self._landmarks[a] @ G[:3, :3].T + G[:3, 3] - self._landmarks[b], axis=1).sum()
        kinds = [sorted(int(m.jnt_type[j]) for j in self.parts.joints(h)) for h in (a, b)]
        unlike = 2.0 * (kinds[0] != kinds[1]) + abs(len(self.parts.children[a]) - len(self.parts.children[b]))
        return float(apart + self.slack * unlike)

    def _joints(self, a: int, b: int, out: PartialMatch) -> None:
        m, d, G = self.parts.model, self.parts.data, out.G
        here, there = list(self.parts.joints(a)), list(self.parts.joints(b))
        det = float(np.linalg.det(G[:3, :3]))
        costs, signs = np.full((len(here), len(there)), _FAR), np.ones((len(here), len(there)))
        for row, i in enumerate(here):
            for column, j in enumerate(there):
                if m.jnt_type[i] != m.jnt_type[j]:
                    continue
                tilt = 0.0
                if m.jnt_type[i] in (HINGE, SLIDE):
                    along = float(G[:3, :3] @ d.xaxis[i] @ d.xaxis[j]) * (det if m.jnt_type[i] == HINGE else 1.0)
                    tilt, signs[row, column] = 1.0 - abs(along), -1.0 if along < 0 else 1.0
                # all else alike, joints go in their order
                costs[row, column] = anchor_gap(self.parts, i, j, G) + self.slack * (
                    4.0 * tilt + 0.1 * abs(row - column)
                )
        for row, column in zip(*linear_sum_assignment(costs), strict=True):
            if costs[row, column] < _FAR:
                out.joints[here[row]] = (there[column], float(signs[row, column]))
                out.cost += float(costs[row, column])
        for i in here:
            if i not in out.joints:
                kind = f" ({_KINDS[int(m.jnt_type[i])]})"
                out.lacking.append(self._lacks("joint", i, a, b, G[:3, :3] @ d.xanchor[i] + G[:3, 3], kind))

    def _geoms(self, a: int, b: int, out: PartialMatch) -> None:
        here, there = self.parts.geoms[a], self.parts.geoms[b]
        if not here or not there:
            return
        G, costs = out.G, np.zeros((len(here), len(there)))
        for row, i in enumerate(here):
            for column, j in enumerate(there):
                apart = float(np.linalg.norm(G[:3, :3] @ self.shapes.centre(i) + G[:3, 3] - self.shapes.centre(j)))
                alike = self.shapes.alike(i, j) and (not self.is_near(apart) or np.isfinite(self.shapes.gap(i, j, G)))
                gap = self.shapes.gap(i, j, G) if alike and self.is_near(apart) else apart
                costs[row, column] = gap + (0.0 if alike else 4.0 * self.slack)
        for row, column in zip(*linear_sum_assignment(costs), strict=True):
            out.geoms[here[row]] = there[column]
            out.cost += float(costs[row, column])

    def is_near(self, apart: float) -> bool:
        """Whether a distance is small enough for two shapes to be compared in full."""
        return apart <= 4.0 * self.slack

    def _lacks(self, kind: str, i: int, a: int, b: int, where: Floats, more: str = "") -> Discrepancy:
        pose = self.parts.poses[b]
        local = tuple(float(v) for v in pose[:3, :3].T @ (where - pose[:3, 3]))
        at, name = point_text(local), self.parts.name(kind, i)
        joins = "of" if kind == "joint" else "on"
        text = (
            f"{kind} {name}{more} {joins} {self.parts.body_name(a)} has no image on {self.parts.body_name(b)}, where it"
            f" should be at {at}"
        )
        return Discrepancy("kinematic", kind, (name, NONE), (1.0, 0.0), 1.0, text)
