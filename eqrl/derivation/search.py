"""The search for the symmetries of a model in one configuration.

Candidates, judgement, and a few generators of what holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from operator import attrgetter

import numpy as np

from eqrl.derivation.assembly import Assembly
from eqrl.derivation.choice import distinct, generators_of, independent, returns
from eqrl.derivation.constraints import switched_off
from eqrl.derivation.derivation import Derivation, WorldPart
from eqrl.derivation.discrepancy import LEVELS, NearMiss
from eqrl.derivation.elements import closure, identity
from eqrl.derivation.exchange import Judgement, LikeTrees
from eqrl.derivation.exchangeable import listed
from eqrl.derivation.judge import Judge
from eqrl.derivation.matching import Match
from eqrl.derivation.model_parts import Parts
from eqrl.derivation.obstacles import Obstacles
from eqrl.derivation.shapes import Shapes
from eqrl.derivation.symmetry import Symmetry
from eqrl.derivation.tree_matches import TreeMatches, inverse
from eqrl.derivation.world_part import world_part

_MOST_ELEMENTS = 128
_MIRROR = np.diag([1.0, -1.0, 1.0, 1.0])


class Search:
    """One search, about one reference configuration.

    Args:
        parts: the model in that configuration.
        tolerance: relative difference up to which the kinematic level accepts a part for its image.
        exact: the same for the dynamic level.
        near: distance between a part and its image, relative to the size of the model, up to which near misses are
            sought.
    """

    def __init__(self, parts: Parts, tolerance: float, exact: float, near: float) -> None:
        self.parts = parts
        self.shapes, slack = Shapes(parts), near * parts.size
        self.trees = TreeMatches(parts, self.shapes, slack, tolerance)
        self.assembly = Assembly(parts, self.shapes, slack, floor=1e-12)
        self.obstacles = Obstacles(parts, self.shapes, self.assembly, slack)
        self.judge = Judge(self.assembly, tolerance, exact)
        self.notes = self.trees.notes  # in the order in which they come up
        self.notes += [f"equality {name} is switched off and not compared" for name in switched_off(parts.model)]

    def run(self) -> Derivation:
        """Search, judge, and choose what to show."""
        world = world_part(self.parts)
        one = replace(identity(self.parts.model), reference=self.parts.reference)
        matches = {root: self.trees.automorphisms(root) for root in self.parts.floating}
        like = self._like_trees(matches, one)
        # where the world may be turned, what is fixed to it is nothing but level planes
        fixed = self.trees.automorphisms(0) if world.connected == "1" else []
        crossed = self.trees.crossed(matches)
        matches[0] = fixed
        elements = [
            (s, self.judge.differing(s)) for s in (*like.elements(), *self._candidates(world, matches, crossed))
        ]
        almost = self.obstacles.almost(matches, crossed, world.connected != "1")
        moves = [(s, self.judge.differing(s)) for s in almost if returns(s)]
        # masses may be so unlike that no match was found, though joints and shapes agree
        elements = distinct([*elements, *((s, d) for s, d in moves if self.judge.kinematic(d))], one)
        elements.sort(key=lambda e: e[0].rank)
        kinematic = generators_of([s for s, d in elements if self.judge.kinematic(d)], one)
        dynamic, misses = self._split(kinematic, one)
        # of what permutes nothing, a body about itself, the exact turns say it all
        moves += [(s, d) for s, d in elements if not (s.joints == one.joints).all() or (s.joint_signs < 0).any()]
        misses += [
            NearMiss(s, self.judge.inexact(s))
            for s, d in moves
            if not self.judge.kinematic(d) and self.obstacles.worth_telling(s, d)
        ]
        if not any(np.linalg.det(s.R) < 0 for s in (*kinematic, *(m.symmetry for m in misses))):
            self.notes += self.obstacles.mirror(moves)
        sets = {
            level: like.exchangeable(level, lambda some: generators_of(sorted(some, key=attrgetter("rank")), one))
            for level in LEVELS
        }
        generators = (*kinematic, *(g for like_trees in sets["kinematic"] for g in like_trees.generators))
        if self.trees.round:
            are, itself = ("is", "it about itself") if len(self.trees.round) == 1 else ("are", "them about themselves")
            self.notes.insert(0, f"{listed(self.trees.round)} {are} round: turning {itself} is not listed")
        lost = sorted({self.parts.name("sensor", int(i)) for s in generators for i in np.flatnonzero(s.sensors < 0)})
        if lost:
            self.notes.append("readings without a linear map, or without an image: sensors " + ", ".join(lost))
        notes = tuple(dict.fromkeys([*self.notes, *self.obstacles.notes(known=bool(kinematic or misses))]))
        return Derivation(
            self.parts.model,
            world,
            kinematic,
            dynamic,
            (*independent(self.obstacles.closest(misses), dynamic, one), *like.near_misses()),
            notes,
            sets=sets,
        )

    def _like_trees(self, to_themselves: Mapping[int, list[Match]], one: Symmetry) -> LikeTrees:
        """What floats and pieces that hang on one other, sorted by what may be exchanged."""

        def turns(head: int) -> list[Symmetry]:
            proper = [m for m in to_themselves.get(head, ()) if np.linalg.det(m.G[:3, :3]) > 0]
            elements = [self.assembly.element(np.eye(4), {head: m}, kind="morphology") for m in proper]
            return [s for s, _ in distinct([(s, self.judge.differing(s)) for s in elements], one)]

        groups = [self.parts.floating, *(below for below in self.parts.children.values() if len(below) > 1)]
        judgement = Judgement(
            self.judge.differing,
            kinematic=lambda s: self.judge.kinematic(self.judge.differing(s)),
            exact=lambda s: not self.judge.inexact(s),
            near=lambda s: self.obstacles.worth_telling(s, self.judge.differing(s)),
        )
        return LikeTrees(self.parts, groups, turns, self._exchange, judgement)

    def _exchange(self, a: int, b: int) -> Symmetry | None:
        """The exchange of two floating trees, or of siblings."""
        if self.parts.floats(a):
            if (across := self.trees.between(a, b)) is None:
                return None
            return self.assembly.element(np.eye(4), {a: across, b: inverse(across)}, kind="exchange")
        if (siblings := self.trees.siblings(a, b)) is None:
            return None
        root, match = siblings
        return self.assembly.element(np.eye(4), {root: match}, kind="morphology")

    def _candidates(
        self, world: WorldPart, matches: Mapping[int, list[Match]], crossed: Mapping[int, Match]
    ) -> Iterator[Symmetry]:
        roots, fixed = self.parts.floating, matches[0]
        if self._hangs():
            # it may be turned about this line by any angle; quarters of a turn and all mirrors are not listed
            fixed = [m for m in fixed if np.allclose(m.G[:3, :3], _MIRROR[:3, :3], atol=1e-9)]
        for match in fixed:
            if np.linalg.det(match.G[:3, :3]) > 0:
                yield self.assembly.element(match.G, {0: match}, kind="world")
        mirrored = {r: [m for m in matches[r] if np.linalg.det(m.G[:3, :3]) < 0] for r in roots}
        if lacking := [r for r in roots if not mirrored[r] and r not in crossed]:
            self.notes += [f"{self.parts.body_name(r)} is not its own mirror image" for r in lacking]
            return
        chosen = {r: crossed[r] if r in crossed else min(mirrored[r], key=lambda m: m.cost) for r in roots}
        mirrors = [m for m in fixed if np.linalg.det(m.G[:3, :3]) < 0]
        if world.connected == "1":
            for match in mirrors:
                yield self.assembly.element(match.G, {0: match, **chosen}, kind="world")
        elif len(roots) == 1:
            for match in mirrored[roots[0]]:
                # one and the same mirror of the world for all, so that products of two of them move the world no more
                yield self.assembly.element(_MIRROR, {roots[0]: match}, kind="morphology")
        elif roots:
            yield self.assembly.element(_MIRROR, chosen, kind="world")
        else:
            self.notes.append("nothing in the model moves")

    def _hangs(self) -> bool:
        """Whether all that is fixed to the world are ends of tendons on one vertical line."""
        points, solid = self.trees.clouds[0].points, [g for g in self.parts.geoms[0] if len(self.shapes.points(g))]
        if not len(points) or solid or self.parts.children[0]:
            return False
        return bool(np.allclose(points[:, :2], points[0, :2], atol=1e-9))

    def _split(self, kinematic: tuple[Symmetry, ...], one: Symmetry) -> tuple[tuple[Symmetry, ...], list[NearMiss]]:
        """Those elements of the kinematic group that are dynamic too, and near misses for the rest."""
        try:
            elements = closure(kinematic, one)[1:]
        except ValueError:
            self.notes.append("the kinematic group is too large to list; only its generators were examined")
            elements = kinematic
        if len(elements) > _MOST_ELEMENTS or not any(self.judge.inexact(s) for s in kinematic):
            exact = [s for s in kinematic if not self.judge.inexact(s)]
            return generators_of(exact, one), [
                NearMiss(s, self.judge.inexact(s)) for s in kinematic if self.judge.inexact(s)
            ]
        elements = tuple(self.assembly.named(s) for s in elements)
        judged = [(s, self.judge.inexact(s)) for s in elements]
        exact = [s for s, d in judged if not d]
        exact.sort(key=attrgetter("rank"))
        return generators_of(exact, one), [NearMiss(s, d) for s, d in judged if d]
