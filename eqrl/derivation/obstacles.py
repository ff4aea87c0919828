"""What is in the way of symmetries that almost hold: near misses where every joint has an image, notes where not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Set
from dataclasses import dataclass, field

import numpy as np

from eqrl.arrays import Floats
from eqrl.derivation.assembly import Assembly
from eqrl.derivation.discrepancy import Discrepancy, NearMiss, listed
from eqrl.derivation.matching import Match, anchor_gap
from eqrl.derivation.model_parts import FREE, HINGE, SLIDE, Parts
from eqrl.derivation.naming import isometry
from eqrl.derivation.partial_matching import PartialMatch, PartialMatcher
from eqrl.derivation.shapes import Shapes
from eqrl.derivation.skeleton import Skeleton, most_fit
from eqrl.derivation.symmetry import Symmetry

_TRIED = 48
_KEPT = 6
# Differences in attributes (a range, a radius) up to this are small; in positions it is the search's slack.
_SMALL = 0.25
_PLACES = ("pos", "axis", "zaxis", "quat", "size", "reach")
# Joints that are this close, relative to the model's size, meet.
_MEETS = 1e-3
# So many parts without an image are always told.
_FEWEST = 2
# The share of parts that may differ grossly in a symmetry that is worth reporting; half of it where robots are put
# upside down.
_FEW = {"joint": 1.0 / 2.0, "other": 1.0 / 3.0}
_MIRROR = np.diag([1.0, -1.0, 1.0, 1.0])


@dataclass
class Obstacles:
    """Looks for symmetries that do not quite hold, and explains why.

    Attributes:
        parts: the model in its reference configuration.
        shapes: its geoms.
        assembly: builds symmetries of it.
        slack: largest distance between a part and its image that is small.
        lacks: what is in the way where parts of a tree have no image: how many parts, and one line.
    """

    parts: Parts
    shapes: Shapes
    assembly: Assembly
    slack: float
    lacks: list[tuple[int, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._matcher = PartialMatcher(self.parts, self.shapes, self.slack)

    # ------------------------------------------------------------------ which almost symmetries there are
    def almost(
        self, strict: Mapping[int, list[Match]], crossed: Mapping[int, Match], turnable: bool
    ) -> Iterator[Symmetry]:
        """Symmetries that give every joint an image and do not hold.

        Args:
            strict: matches of trees with themselves in which all parts have images, by root.
            crossed: matches of trees that are mirror images of each other.
            turnable: whether the world may be turned about gravity, so that nothing is fixed to it.
        """
        roots = self.parts.floating
        best = {r: min((m for m in strict[r] if _mirrors(m)), key=lambda m: m.cost, default=None) for r in roots}
        chosen: dict[int, Match] = {r: m for r, m in best.items() if m is not None} | dict(crossed)
        almost = {r: self._matches(r, strict[r]) for r in roots if self.parts.children[r] or r not in chosen}
        for root, matches in almost.items():
            self._note(root, matches, lacks_mirror=root not in chosen)
        complete = {r: [m for m in matches if not m.lacking] for r, matches in almost.items()}
        for root, matches in complete.items():
            yield from (self.assembly.element(np.eye(4), {root: m}, "morphology") for m in matches if not _mirrors(m))
        nearly = {r: [m for m in matches if _mirrors(m)] for r, matches in complete.items()}
        closest = {r: m[0] for r, m in nearly.items() if m} | chosen
        if turnable:
            for root, mirrors in nearly.items():
                if closest.keys() == set(roots):
                    for m in mirrors:
                        yield self.assembly.element(
                            _MIRROR, {**closest, root: m}, "morphology" if len(roots) == 1 else "world"
                        )
            return
        yield from self._of_the_world(strict.get(0, []), closest, lacking=bool(closest.keys() - chosen.keys()))

    def _of_the_world(self, strict: list[Match], closest: Mapping[int, Match], lacking: bool) -> Iterator[Symmetry]:
        matches = self._matches(0, strict)
        self._note(0, matches, lacks_mirror=bool(self.parts.children[0]) and not any(_mirrors(m) for m in strict))
        complete = [m for m in matches if not m.lacking]
        yield from (self.assembly.element(m.G, {0: m}, "world") for m in complete if not _mirrors(m))
        if closest.keys() == set(self.parts.floating):
            mirrors = [m for m in (*complete, *(strict if lacking else ())) if _mirrors(m)]
            yield from (self.assembly.element(m.G, {0: m, **closest}, "world") for m in mirrors)

    def _matches(self, root: int, strict: Collection[Match]) -> list[PartialMatch]:
        """Partial matches of a tree with itself, besides those where all fits, the most complete first."""
        seen = {m.key for m in strict}
        skeleton = Skeleton(self.parts, root)
        out: list[PartialMatch] = []
        gravity = self.parts.model.opt.gravity
        for G in most_fit(skeleton, skeleton, self.slack)[:_TRIED]:
            if root == 0 and np.linalg.norm(G[:3, :3] @ gravity - gravity) > 1e-6 * np.linalg.norm(gravity):
                continue
            match = self._matcher.match(root, root, G)
            if match.key not in seen and not self._stays(match):
                seen.add(match.key)
                out.append(match)
        return sorted(out, key=lambda m: (len(m.lacking), m.cost))[:_KEPT]

    def _stays(self, match: PartialMatch) -> bool:
        """Whether a match moves nothing."""
        still = all(a == b for a, b in match.pieces.items()) and all(
            i == j and s > 0 for i, (j, s) in match.joints.items()
        )
        return still and not _mirrors(match)

    # ------------------------------------------------------------------ what to tell of them
    def worth_telling(self, symmetry: Symmetry, discrepancies: tuple[Discrepancy, ...]) -> bool:
        """Whether this looks like a slip and not like another robot, as it does where nothing differs grossly.

        Otherwise few parts of every kind may be to blame, and more must be exchanged and agree: a robot that has
        nothing to exchange proves little, and one to which a mirror was fitted even less.
        """
        if any(d.field == "gravity" and d.relative > _SMALL for d in discrepancies):
            return False
        spoilt, plain = self._spoilt(discrepancies), self._plain(symmetry)
        if not plain:  # what was fitted to a few limbs and still needs to move one of them explains nothing
            bodies = {self.parts.body_name(h) for h in self.parts.heads}
            spoilt |= {frozenset(d.of) for d in discrepancies if d.level == "kinematic" and bodies >= {*d.of}}
        if not spoilt:
            return True
        agreeing, blamed = 0, 0
        kinds = self._pairs(symmetry)
        kinds["other"] = spoilt - set().union(*kinds.values())
        for kind, pairs in kinds.items():
            parts = len(self.parts.heads) if kind == "other" else len(set().union(*pairs))
            share = _FEW.get(kind, _FEW["other"]) * (1.0 if self._upright(symmetry) else 0.5)
            wrong = _to_blame(pairs & spoilt)
            if wrong > max(1.0, share * parts / 2.0):
                return False
            blamed += wrong
            if kind == "joint" or plain:
                agreeing += sum(len(p) > 1 for p in pairs - spoilt)
        return agreeing >= blamed + (not plain)

    def closest(self, misses: list[NearMiss]) -> list[NearMiss]:
        """Near misses without those that lack all that another one lacks, and more."""
        of = [{frozenset(d.of) for d in m.discrepancies} for m in misses]
        gross = [bool(self._spoilt(m.discrepancies)) for m in misses]
        return [m for k, m in enumerate(misses) if not (gross[k] and any(x < of[k] for x in of))]

    def mirror(self, tried: list[tuple[Symmetry, tuple[Discrepancy, ...]]]) -> Iterator[str]:
        """Where no mirror holds or nearly does.

        What is in the way of the one that exchanges limbs with the fewest faults.
        """
        mirrors = [
            (s, d)
            for s, d in tried
            if d
            and any(j != i for i, j in enumerate(s.joints))
            and self._mirrors_roots(s)
            and self._upright(s)
            and self._plain(s)
        ]
        if mirrors:
            closest, wrong = min(mirrors, key=lambda x: len(self._spoilt(x[1])))
            yield f"in the way of the {closest.name}, the closest mirror: {listed(wrong)}"

    def _mirrors_roots(self, s: Symmetry) -> bool:
        G = self.assembly.moved(s)
        return all(np.linalg.det(G[r][:3, :3]) < 0 for r in self.parts.floating) and bool(np.linalg.det(s.R) < 0)

    def notes(self, known: bool) -> Iterator[str]:
        """What is in the way, one line each.

        Where a symmetry is ``known``, perhaps nearly, only what one part alone prevents.
        """
        yield from (line for count, line in self.lacks if count == 1 or not known)

    def _spoilt(self, discrepancies: tuple[Discrepancy, ...]) -> set[frozenset[str]]:
        return {frozenset(d.of) for d in discrepancies if d.level == "kinematic" and self._gross(d)}

    def _gross(self, d: Discrepancy) -> bool:
        return d.relative > (self.slack / self.parts.size if d.field in _PLACES else _SMALL)

    def _pairs(self, s: Symmetry) -> dict[str, set[frozenset[str]]]:
        """Parts and their images, each pair once, by kind."""
        m = self.parts.model
        solid = [i for i in self.parts.colliding if m.body_weldid[m.geom_bodyid[i]]]
        images = {
            "joint": ((i, s.joints[i]) for i in range(m.njnt) if m.jnt_type[i] != FREE),
            "geom": ((i, s.geoms[i]) for i in solid),
            "actuator": enumerate(s.actuators),
        }
        named = {k: {frozenset(self.parts.name(k, int(x)) for x in p) for p in pairs} for k, pairs in images.items()}
        # a motor often has the name of its joint, and discrepancies tell parts by name
        return {**named, "actuator": named["actuator"] - named["joint"] - named["geom"]}

    def _upright(self, s: Symmetry) -> bool:
        """Whether robots stay the right way up."""
        G = self.assembly.moved(s)
        return all(G[r][2, 2] > 0.0 for r in self.parts.floating)

    def _plain(self, s: Symmetry) -> bool:
        """Whether trees move along axes of the world or of their root, and not along some that were fitted to them."""
        G, poses = self.assembly.moved(s), self.parts.poses
        frames = [(poses[r][:3, :3], G[r][:3, :3]) for r in self.parts.floating] or [(np.eye(3), s.R)]
        return all(_axial(R) or _axial(frame.T @ R @ frame) for frame, R in frames)

    def _note(self, root: int, matches: list[PartialMatch], lacks_mirror: bool) -> None:
        """Name the parts without images: of the closest mirror where there is none, else of the best match if few."""
        few = max(_FEWEST, _FEW["other"] * len(self.parts.trees[root]))
        lacking = [m for m in matches if 0 < len(m.lacking) <= few and self._supported(m)]
        if lacking:
            self._say(root, min(lacking, key=lambda m: (len(m.lacking), lacks_mirror and not _mirrors(m))))

    def _supported(self, match: PartialMatch) -> bool:
        """Whether as many joints meet other ones exactly as parts lack an image."""
        m, d, G = self.parts.model, self.parts.data, match.G
        meeting = 0
        for i, (j, sign) in match.joints.items():
            det = np.linalg.det(G[:3, :3]) if m.jnt_type[i] == HINGE else 1.0
            tilt = (
                np.linalg.norm(sign * det * G[:3, :3] @ d.xaxis[i] - d.xaxis[j])
                if m.jnt_type[i] in (HINGE, SLIDE)
                else 0.0
            )
            meeting += i != j and max(float(tilt), anchor_gap(self.parts, i, j, G) / self.parts.size) < _MEETS
        return meeting >= len(match.lacking)

    def _say(self, root: int, match: PartialMatch) -> None:
        frame = self.parts.poses[root][:3, :3]
        moves = isometry(frame.T @ match.G[:3, :3] @ frame)
        name = moves.name if moves else "exchange"
        what = f"{self.parts.body_name(root)}: {name}" if root else name
        self.lacks.append((len(match.lacking), f"in the way of the {what}: {listed(tuple(match.lacking))}"))


def _axial(R: Floats) -> bool:
    return bool(np.allclose(np.abs(R).max(0), 1.0, atol=1e-6))


def _to_blame(spoilt: Set[frozenset[str]]) -> int:
    """The smallest number of parts that explains all pairs that disagree.

    One wrong leg of three spoils two of three pairs.
    """
    left, blamed = set(spoilt), 0
    while left:
        counts = Counter(part for pair in left for part in pair)
        worst = max(counts, key=lambda part: counts[part])
        left = {pair for pair in left if worst not in pair}
        blamed += 1
    return blamed


def _mirrors(match: Match) -> bool:
    G: Floats = match.G
    return bool(np.linalg.det(G[:3, :3]) < 0)
