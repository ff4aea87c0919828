"""Matches of the trees of a model: with themselves, with each other, and of pieces that hang side by side."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from eqrl.derivation.candidates import Cloud, about, isometries
from eqrl.derivation.least_squares import refined
from eqrl.derivation.matching import Match, Matcher
from eqrl.derivation.model_parts import Parts
from eqrl.derivation.shapes import Shapes

# Two isometries this close that permute alike are one, found twice with different errors.
_TWIN = 0.3
_MOST_MATCHES = 128


class TreeMatches:
    """Finds matches of trees under candidate isometries.

    Args:
        parts: the model in its reference configuration.
        shapes: its geoms.
        slack: largest distance between a part and its image.
        tolerance: largest relative difference of a match that is not only near.

    Attributes:
        clouds: points of every tree, by its root.
        round: names of floating bodies that every rotation leaves alone.
        notes: remarks, one line each.
    """

    def __init__(self, parts: Parts, shapes: Shapes, slack: float, tolerance: float) -> None:
        self.parts = parts
        self.shapes = shapes
        self.slack = slack
        self.matcher = Matcher(parts, shapes, slack)
        self.clouds = {root: Cloud(parts, shapes, root) for root in parts.trees}
        self.round: list[str] = []
        self.notes: list[str] = []
        self._inexact = tolerance * parts.size

    def automorphisms(self, root: int) -> list[Match]:
        """Matches of a tree with itself, each once."""
        if root and self._is_round(root):
            self.round.append(self.parts.body_name(root))
            return [
                Match(
                    about(R, c, c),
                    {root: root},
                    {j: (j, 1.0) for j in self.parts.joints(root)},
                    {g: g for g in self.parts.geoms[root]},
                )
                for R in (np.eye(3), np.diag([1.0, -1.0, 1.0]))
                for c in [self.clouds[root].centre]
            ]
        by_key: dict[tuple[object, ...], list[Match]] = {}
        gravity = self.parts.model.opt.gravity
        for G in isometries(self.clouds[root], self.clouds[root], self.slack):
            if root == 0 and np.linalg.norm(G[:3, :3] @ gravity - gravity) > 0.1 * np.linalg.norm(gravity):
                continue
            match = self.matcher.match(root, root, G)
            if match is None:
                continue
            match = refined(self.parts, self.shapes, match)
            same = by_key.setdefault(match.key, [])
            twin = next((i for i, m in enumerate(same) if np.linalg.norm(m.G[:3, :3] - match.G[:3, :3]) < _TWIN), None)
            if twin is None:
                same.append(match)
            elif match.cost < same[twin].cost:
                same[twin] = match
            if sum(len(m) for m in by_key.values()) > _MOST_MATCHES:
                self.notes.append(
                    f"{self.parts.body_name(root)}: more than {_MOST_MATCHES} symmetries, not all are listed"
                )
                break
        return [m for same in by_key.values() for m in same]

    def crossed(self, matches: Mapping[int, list[Match]]) -> dict[int, Match]:
        """Matches of trees that are no mirror images of themselves but of each other, as a left and a right hand."""
        roots = [
            r
            for r in self.parts.floating
            if all(m.cost > self._inexact for m in matches[r] if np.linalg.det(m.G[:3, :3]) < 0)
        ]
        out: dict[int, Match] = {}
        for i, a in enumerate(roots):
            for b in roots[i + 1 :]:
                if a in out or b in out:
                    continue
                if (across := self.between(a, b, proper=False)) is not None:
                    out[a], out[b] = across, inverse(across)
        return out

    def between(self, a: int, b: int, proper: bool = True) -> Match | None:
        """The best match of one tree with another.

        Args:
            a: root of a tree.
            b: root of another.
            proper: by a rotation, or by one with a mirror.
        """
        best: Match | None = None
        for G in isometries(self.clouds[a], self.clouds[b], self.slack):
            if (np.linalg.det(G[:3, :3]) > 0) != proper:
                continue
            match = self.matcher.match(a, b, G)
            if match is not None and (best is None or match.cost < best.cost):
                best = refined(self.parts, self.shapes, match)
                if best.cost < 1e-9:
                    break
        return best

    def siblings(self, a: int, b: int) -> tuple[int, Match] | None:
        """The exchange of two pieces that hang on the same piece at one place, as the legs of planar walkers do.

        Returns:
            Root of their tree and its match with itself, None where the two do not fit.
        """
        there = self.matcher.match(a, b, np.eye(4))
        if there is None or there.cost > self._inexact * (len(there.joints) + len(there.geoms)):
            return None
        root = next(root for root, trees in self.parts.trees.items() if a in trees)
        match, moved = Match(np.eye(4)), {*there.pieces, *there.pieces.values()}
        for piece in self.parts.trees[root]:
            if piece not in moved:  # everything else stays where it is
                self._stay(match, piece)
        match.merge(there)
        match.merge(inverse(there))
        return root, match

    def _is_round(self, root: int) -> bool:
        """Whether a floating tree is one piece that every rotation about its centre leaves alone."""
        inertia = self.parts.inertials[root][2]
        ball = np.allclose(inertia, np.eye(3) * inertia[0, 0], rtol=1e-6, atol=1e-12)
        points = self.clouds[root].points
        return not self.parts.children[root] and ball and bool(np.allclose(points, self.clouds[root].centre, atol=1e-9))

    def _stay(self, match: Match, piece: int) -> None:
        match.pieces[piece] = piece
        match.joints |= {j: (j, 1.0) for j in self.parts.joints(piece)}
        match.geoms |= {g: g for g in self.parts.geoms[piece]}


def inverse(match: Match) -> Match:
    """The match in the other direction."""
    return Match(
        np.asarray(np.linalg.inv(match.G), dtype=np.float64),
        {b: a for a, b in match.pieces.items()},
        {b: (a, sign) for a, (b, sign) in match.joints.items()},
        {b: a for a, b in match.geoms.items()},
        match.cost,
    )
