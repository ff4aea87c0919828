"""Derive the symmetry of a MuJoCo model from the model itself.

A model's moving parts form trees: those that float (a free joint at the root) and the one of all that is fixed to the world.
An element of the symmetry group is a world isometry together with an isometry of every tree, all of the same handedness.
Trees are matched under candidate isometries (``candidates``, ``matching``), what connects them follows (``connections``),
and every attribute is compared with that of its image (``compare``).

Level *kinematic*: tree, joint frames, ranges, actuators and shapes agree within ``tolerance``. Level *dynamic*: these and all
masses, inertias, friction, gains and the rest agree within ``exact``. After Ordonez-Apraez et al., "On discrete symmetries
of robotics systems" (RSS 2023, arXiv 2302.10433), who state them; here they are found.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import mujoco
import numpy as np

from eqrl.derivation.actuation import refuse_several_controls
from eqrl.derivation.assembly import Assembly
from eqrl.derivation.candidates import Cloud, about, isometries
from eqrl.derivation.constraints import switched_off
from eqrl.derivation.derivation import (
    LEVELS,
    Derivation,
    Discrepancy,
    NearMiss,
    WorldPart,
    closure,
    identity,
    key,
    order_of,
)
from eqrl.derivation.exchange import Judgement, LikeTrees
from eqrl.derivation.exchangeable import listed
from eqrl.derivation.least_squares import refined
from eqrl.derivation.matching import Match, Matcher
from eqrl.derivation.model_parts import Parts
from eqrl.derivation.obstacles import Obstacles
from eqrl.derivation.shapes import Shapes
from eqrl.derivation.symmetry import Symmetry
from eqrl.derivation.terrain import hidden, terrain
from eqrl.derivation.world_part import world_part

Source: TypeAlias = mujoco.MjModel | mujoco.MjSpec | str | Path
# Two isometries this close that permute alike are one, found twice with different errors.
_TWIN = 0.3
_MOST_MATCHES = 128
# A product of near misses that does not return to where it began after so many steps is no symmetry of anything.
_LONGEST = 24
_MIRROR = np.diag([1.0, -1.0, 1.0, 1.0])


def derive(source: Source, *, tolerance: float = 1e-3, exact: float = 1e-7, near: float = 0.05) -> Derivation:
    """Find the symmetries of a model.

    Args:
        source: a compiled model, an ``MjSpec``, or the path of an MJCF or MJB file.
        tolerance: relative difference up to which the kinematic level accepts a part for its image; of positions it is
            relative to the size of the model.
        exact: the same for the dynamic level; what is below is rounding.
        near: distance between a part and its image, relative to the size of the model, up to which near misses are sought.

    Returns:
        Generators on both levels, near misses, and what may be done to the world.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is not a model that MuJoCo can compile; the message is MuJoCo's. Also if an actuator has
            several controls.
    """
    model, spec = load(source)
    refuse_several_controls(model)
    best = _Search(Parts.of(model), tolerance, exact, near).run()
    for reference in _other_references(model):
        found = _Search(Parts.of(model, reference), tolerance, exact, near).run()
        if _size(found) > _size(best):
            best = replace(found, notes=(*found.notes, "symmetric about another configuration than the zero one"))
    parts = Parts.of(model, best.identity.reference)
    if statics := terrain(parts):
        bare = _Search(replace(parts, ignoring=statics), tolerance, exact, near).run()
        best = replace(best, near_misses=(*best.near_misses, *hidden(best, bare, parts, tolerance)))
    return replace(best, spec=spec)


def load(source: Source) -> tuple[mujoco.MjModel, mujoco.MjSpec | None]:
    """Compile a model.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if MuJoCo cannot compile it.
    """
    if isinstance(source, mujoco.MjModel):
        return source, None
    if isinstance(source, mujoco.MjSpec):
        return source.compile(), source
    path = Path(source)
    if not path.is_file():
        raise FileNotFoundError(f"there is no model file {str(path)!r}")
    if path.suffix.lower() == ".mjb":
        return mujoco.MjModel.from_binary_path(str(path)), None
    spec = mujoco.MjSpec.from_file(str(path))
    return spec.compile(), spec


def _size(found: Derivation) -> float:
    try:
        listed = found.order("kinematic")
    except ValueError:  # more elements than are listed
        return np.inf
    return math.log(listed) + sum(math.log(like.size) for like in found.exchangeable("kinematic"))


def _other_references(model: mujoco.MjModel) -> Iterator[np.ndarray]:
    """Configurations in which a model may be symmetric that is not so at zero; bases stay where they are."""
    if (model.jnt_type == mujoco.mjtJoint.mjJNT_BALL).any():
        return
    for k in range(min(model.nkey, 3)):
        q = np.array(model.key_qpos[k])
        for j in range(model.njnt):
            if model.jnt_type[j] == mujoco.mjtJoint.mjJNT_FREE:
                a = model.jnt_qposadr[j]
                q[a : a + 7] = model.qpos0[a : a + 7]
        if not np.allclose(q, model.qpos0):
            yield q
    # what slides on the world has no place of its own: put it in the middle
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    q = model.qpos0.copy()
    for slide in np.flatnonzero(model.jnt_type == mujoco.mjtJoint.mjJNT_SLIDE):
        body = model.jnt_bodyid[slide]
        if model.body_weldid[model.body_parentid[body]] == 0:
            q[model.jnt_qposadr[slide]] -= data.xaxis[slide] @ data.xpos[body]
    if not np.allclose(q, model.qpos0):
        yield q


class _Search:
    """One search, about one reference configuration."""

    def __init__(self, parts: Parts, tolerance: float, exact: float, near: float) -> None:
        self.parts = parts
        self.tolerance = tolerance
        self.exact = exact
        self.shapes = Shapes(parts)
        self.slack = near * parts.size
        self.matcher = Matcher(parts, self.shapes, self.slack)
        self.assembly = Assembly(parts, self.shapes, self.slack, floor=1e-12)
        self.clouds = {root: Cloud(parts, self.shapes, root) for root in parts.trees}
        self.obstacles = Obstacles(parts, self.shapes, self.assembly, self.slack)
        self.judged: dict[tuple[float, ...], tuple[Discrepancy, ...]] = {}
        self.round: list[str] = []
        self.notes = [f"equality {name} is switched off and not compared" for name in switched_off(parts.model)]

    def run(self) -> Derivation:
        world = world_part(self.parts)
        one = replace(identity(self.parts.model), reference=self.parts.reference)
        matches = {root: self._automorphisms(root) for root in self.parts.floating}
        like = self._like_trees(matches, one)
        # where the world may be turned, what is fixed to it is nothing but level planes
        fixed = self._automorphisms(0) if world.connected == "1" else []
        crossed = self._crossed(matches)
        matches[0] = fixed
        elements = [(s, self._judge(s)) for s in (*like.elements(), *self._candidates(world, matches, crossed))]
        almost = self.obstacles.almost(matches, crossed, world.connected != "1")
        moves = [(s, self._judge(s)) for s in almost if _returns(s)]
        # masses may be so unlike that no match was found, though joints and shapes agree
        elements = _distinct([*elements, *((s, d) for s, d in moves if self._kinematic(d))], one)
        elements.sort(key=lambda e: _preference(e[0]))
        kinematic = _generators([s for s, d in elements if self._kinematic(d)], one)
        dynamic, misses = self._split(kinematic, one)
        # of what permutes nothing, a body about itself, the exact turns say it all
        moves += [(s, d) for s, d in elements if not (s.joints == one.joints).all() or (s.joint_signs < 0).any()]
        misses += [
            NearMiss(s, self._inexact(s)) for s, d in moves if not self._kinematic(d) and self.obstacles.worth_telling(s, d)
        ]
        if not any(np.linalg.det(s.R) < 0 for s in (*kinematic, *(m.symmetry for m in misses))):
            self.notes += self.obstacles.mirror(moves)
        sets = {
            level: like.exchangeable(level, lambda some: _generators(sorted(some, key=_preference), one)) for level in LEVELS
        }
        generators = (*kinematic, *(g for like_trees in sets["kinematic"] for g in like_trees.generators))
        if self.round:
            are, itself = ("is", "it about itself") if len(self.round) == 1 else ("are", "them about themselves")
            self.notes.insert(0, f"{listed(self.round)} {are} round: turning {itself} is not listed")
        lost = sorted({self.parts.name("sensor", int(i)) for s in generators for i in np.flatnonzero(s.sensors < 0)})
        if lost:
            self.notes.append("readings without a linear map, or without an image: sensors " + ", ".join(lost))
        notes = tuple(dict.fromkeys([*self.notes, *self.obstacles.notes(known=bool(kinematic or misses))]))
        return Derivation(
            self.parts.model,
            world,
            kinematic,
            dynamic,
            (*_independent(self.obstacles.closest(misses), dynamic, one), *like.near_misses()),
            notes,
            sets=sets,
        )

    # ------------------------------------------------------------------ candidates
    def _like_trees(self, own: Mapping[int, list[Match]], one: Symmetry) -> LikeTrees:
        """What floats and pieces that hang on one other, sorted by what may be exchanged."""

        def turns(head: int) -> list[Symmetry]:
            proper = [m for m in own.get(head, ()) if np.linalg.det(m.G[:3, :3]) > 0]
            elements = [self.assembly.element(np.eye(4), {head: m}, kind="morphology") for m in proper]
            return [s for s, _ in _distinct([(s, self._judge(s)) for s in elements], one)]

        groups = [self.parts.floating, *(below for below in self.parts.children.values() if len(below) > 1)]
        judgement = Judgement(
            self._judge,
            kinematic=lambda s: self._kinematic(self._judge(s)),
            exact=lambda s: not self._inexact(s),
            near=lambda s: self.obstacles.worth_telling(s, self._judge(s)),
        )
        return LikeTrees(self.parts, groups, turns, self._exchange, judgement)

    def _exchange(self, a: int, b: int) -> Symmetry | None:
        """The exchange of two floating trees, or of siblings that lie in the same place, as the legs of planar walkers do."""
        if self.parts.floats(a):
            if (across := self._between(a, b)) is None:
                return None
            return self.assembly.element(np.eye(4), {a: across, b: inverse(across)}, kind="exchange")
        there = self.matcher.match(a, b, np.eye(4))
        if there is None or there.cost > self.tolerance * self.parts.size * (len(there.joints) + len(there.geoms)):
            return None
        root = next(root for root, trees in self.parts.trees.items() if a in trees)
        match, moved = Match(np.eye(4)), {*there.pieces, *there.pieces.values()}
        for piece in self.parts.trees[root]:
            if piece not in moved:  # everything else stays where it is
                self._stay(match, piece)
        match.merge(there)
        match.merge(inverse(there))
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

    def _automorphisms(self, root: int) -> list[Match]:
        """Matches of a tree with itself, each once."""
        if root and self._round(root):
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
        found: dict[tuple[object, ...], list[Match]] = {}
        gravity = self.parts.model.opt.gravity
        for G in isometries(self.clouds[root], self.clouds[root], self.slack):
            if root == 0 and np.linalg.norm(G[:3, :3] @ gravity - gravity) > 0.1 * np.linalg.norm(gravity):
                continue
            match = self.matcher.match(root, root, G)
            if match is None:
                continue
            match = refined(self.parts, self.shapes, match)
            same = found.setdefault(match.key, [])
            twin = next((i for i, m in enumerate(same) if np.linalg.norm(m.G[:3, :3] - match.G[:3, :3]) < _TWIN), None)
            if twin is None:
                same.append(match)
            elif match.cost < same[twin].cost:
                same[twin] = match
            if sum(len(m) for m in found.values()) > _MOST_MATCHES:
                self.notes.append(f"{self.parts.body_name(root)}: more than {_MOST_MATCHES} symmetries, not all are listed")
                break
        return [m for same in found.values() for m in same]

    def _hangs(self) -> bool:
        """Whether all that is fixed to the world are ends of tendons on one vertical line."""
        points, solid = self.clouds[0].points, [g for g in self.parts.geoms[0] if len(self.shapes.points(g))]
        if not len(points) or solid or self.parts.children[0]:
            return False
        return bool(np.allclose(points[:, :2], points[0, :2], atol=1e-9))

    def _round(self, root: int) -> bool:
        """Whether a floating tree is one piece that every rotation about its centre leaves alone."""
        inertia = self.parts.inertials[root][2]
        ball = np.allclose(inertia, np.eye(3) * inertia[0, 0], rtol=1e-6, atol=1e-12)
        points = self.clouds[root].points
        return not self.parts.children[root] and ball and bool(np.allclose(points, self.clouds[root].centre, atol=1e-9))

    def _stay(self, match: Match, piece: int) -> None:
        match.pieces[piece] = piece
        match.joints |= {j: (j, 1.0) for j in self.parts.joints(piece)}
        match.geoms |= {g: g for g in self.parts.geoms[piece]}

    def _crossed(self, matches: Mapping[int, list[Match]]) -> dict[int, Match]:
        """Matches of trees that are no mirror images of themselves but of each other, as a left and a right hand."""
        inexact = self.tolerance * self.parts.size
        roots = [r for r in self.parts.floating if all(m.cost > inexact for m in matches[r] if np.linalg.det(m.G[:3, :3]) < 0)]
        out: dict[int, Match] = {}
        for i, a in enumerate(roots):
            for b in roots[i + 1 :]:
                if a in out or b in out:
                    continue
                if (across := self._between(a, b, proper=False)) is not None:
                    out[a], out[b] = across, inverse(across)
        return out

    def _between(self, a: int, b: int, proper: bool = True) -> Match | None:
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

    # ------------------------------------------------------------------ judgement
    def _judge(self, symmetry: Symmetry) -> tuple[Discrepancy, ...]:
        name = key(symmetry)
        if name not in self.judged:
            self.judged[name] = self.assembly.judge(symmetry)
        return self.judged[name]

    def _kinematic(self, discrepancies: tuple[Discrepancy, ...]) -> bool:
        gravity = [d for d in discrepancies if d.field == "gravity"]
        return all(d.relative <= self.tolerance for d in [*discrepancies, *gravity] if d.level == "kinematic" or d in gravity)

    def _split(self, kinematic: tuple[Symmetry, ...], one: Symmetry) -> tuple[tuple[Symmetry, ...], list[NearMiss]]:
        """Those elements of the kinematic group that are dynamic too, and near misses for the rest."""
        try:
            elements = closure(kinematic, one)[1:]
        except ValueError:
            self.notes.append("the kinematic group is too large to list; only its generators were examined")
            elements = kinematic
        if len(elements) > _MOST_MATCHES or not any(self._inexact(s) for s in kinematic):
            exact = [s for s in kinematic if not self._inexact(s)]
            return _generators(exact, one), [NearMiss(s, self._inexact(s)) for s in kinematic if self._inexact(s)]
        elements = tuple(replace(s, name=self.assembly.name(s)) for s in elements)
        judged = [(s, self._inexact(s)) for s in elements]
        exact = [s for s, d in judged if not d]
        exact.sort(key=_preference)
        return _generators(exact, one), [NearMiss(s, d) for s, d in judged if d]

    def _inexact(self, s: Symmetry) -> tuple[Discrepancy, ...]:
        return tuple(d for d in self._judge(s) if d.relative > self.exact)


def inverse(match: Match) -> Match:
    """The match in the other direction."""
    return Match(
        np.asarray(np.linalg.inv(match.G), dtype=np.float64),
        {b: a for a, b in match.pieces.items()},
        {b: (a, sign) for a, (b, sign) in match.joints.items()},
        {b: a for a, b in match.geoms.items()},
        match.cost,
    )


def _distinct(
    elements: list[tuple[Symmetry, tuple[Discrepancy, ...]]], one: Symmetry
) -> list[tuple[Symmetry, tuple[Discrepancy, ...]]]:
    """Each element once, the better of two, without those that do nothing."""
    nothing = key(one)
    best: dict[tuple[float, ...], tuple[Symmetry, tuple[Discrepancy, ...]]] = {}
    for symmetry, discrepancies in elements:
        name = key(symmetry)
        if name == nothing:
            continue
        worst = max((d.relative for d in discrepancies), default=0.0)
        known = max((d.relative for d in best[name][1]), default=0.0) if name in best else np.inf
        mirrors = np.linalg.det(symmetry.R) < 0 and worst <= known + 1e-9  # of equal ones the mirror is what people mean
        if name not in best or worst < known - 1e-9 or mirrors:
            best[name] = (symmetry, discrepancies)
    return list(best.values())


def _returns(s: Symmetry) -> bool:
    """Whether a few steps lead back to where it began."""
    return order_of(s, _LONGEST) < _LONGEST


def _preference(s: Symmetry) -> tuple[float, ...]:
    """Generators that people would choose come first: rotations of high order, then the sagittal mirror."""
    words = ("eighth", "sixth", "fifth", "quarter", "third", "turn by", "half", "sagittal", "frontal", "exchange", "mirror")
    rank = next((i for i, word in enumerate(words) if s.name.startswith(word)), len(words))
    return (float(rank), float(s.name.endswith("about z")) * -1.0, float(len(s.name)))


def _generators(elements: list[Symmetry], one: Symmetry) -> tuple[Symmetry, ...]:
    """A few of the elements that generate all of them."""
    chosen: list[Symmetry] = []
    known = {key(one)}
    for element in elements:
        if key(element) in known:
            continue
        chosen.append(element)
        try:
            known = {key(s) for s in closure(chosen, one)}
        except ValueError:
            break
    return _named(chosen)


def _independent(misses: list[NearMiss], exact: tuple[Symmetry, ...], one: Symmetry) -> tuple[NearMiss, ...]:
    """Near misses that do not follow from better ones."""
    chosen: list[NearMiss] = []
    try:
        known = {key(s) for s in closure(exact, one)}
    except ValueError:  # too many elements to list, and so to tell what follows from what
        known = {key(s) for s in (one, *exact)}
    misses.sort(key=lambda m: (len(m.discrepancies), _preference(m.symmetry)))
    for miss in misses:
        if key(miss.symmetry) in known:
            continue
        chosen.append(miss)
        try:
            known = {key(s) for s in closure((*exact, *(m.symmetry for m in chosen)), one)}
        except ValueError:
            break
    names = _named([m.symmetry for m in chosen])
    return tuple(replace(m, symmetry=s) for m, s in zip(chosen, names, strict=True))


def _named(symmetries: list[Symmetry]) -> tuple[Symmetry, ...]:
    """Different names for different elements."""
    seen: dict[str, int] = {}
    out = []
    for s in symmetries:
        seen[s.name] = seen.get(s.name, 0) + 1
        out.append(s if seen[s.name] == 1 else replace(s, name=f"{s.name} ({seen[s.name]})"))
    return tuple(out)
