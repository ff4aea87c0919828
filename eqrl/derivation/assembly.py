"""From matches of trees to a symmetry of the whole model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from eqrl.arrays import Floats, Ints
from eqrl.derivation.comparison import Comparison, once
from eqrl.derivation.connections import Connections
from eqrl.derivation.discrepancy import Discrepancy
from eqrl.derivation.matching import Match
from eqrl.derivation.model_parts import Parts
from eqrl.derivation.naming import Named, exchange_of, isometry
from eqrl.derivation.sensors import sensors
from eqrl.derivation.shapes import Shapes
from eqrl.derivation.symmetry import Symmetry


class Assembly:
    """Builds symmetries of one model.

    Args:
        parts: the model in its reference configuration.
        shapes: its geoms.
        slack: largest distance between a part and its image.
        floor: relative differences up to this are rounding.
    """

    def __init__(self, parts: Parts, shapes: Shapes, slack: float, floor: float) -> None:
        self.parts = parts
        self.shapes = shapes
        self.slack = slack
        self.floor = floor
        self._connections: dict[Symmetry, Connections] = {}

    def element(self, G: Floats, matches: Mapping[int, Match], kind: str) -> Symmetry:
        """The symmetry that moves the world by ``G`` and trees as matched; other trees keep their labels.

        Args:
            G: isometry of the world, ``(4, 4)``.
            matches: what happens to trees, by their root; 0 for all that is fixed to the world.
            kind: the symmetry's kind.

        Returns:
            The symmetry, whether it holds or not.
        """
        m = self.parts.model
        moved = np.tile(np.eye(4), (m.nbody, 1, 1))
        bodies, joints, signs = np.arange(m.nbody), np.arange(m.njnt), np.ones(m.njnt)
        geoms = np.where(np.isin(np.arange(m.ngeom), self.parts.colliding), np.arange(m.ngeom), -1)
        for match in matches.values():
            for head, image in match.pieces.items():
                members = self.parts.members[head]
                moved[list(members)] = match.G
                bodies[list(members)] = self._members(head, image, match.G)
                for g in self.parts.geoms[head]:
                    geoms[g] = match.geoms.get(g, -1)
            for j, (image, sign) in match.joints.items():
                joints[j], signs[j] = image, sign
        connections = Connections(self.parts, moved, bodies, joints, signs, geoms, self.slack, G[:3, :3])
        images, matrix, offset, _ = sensors(connections, G[:3, :3], G[:3, 3])
        symmetry = Symmetry(
            name="",
            kind=kind,
            model=m,
            R=G[:3, :3].copy(),
            t=G[:3, 3].copy(),
            bodies=bodies,
            joints=joints,
            geoms=geoms,
            sites=connections.sites,
            tendons=connections.tendons,
            actuators=connections.actuation.images,
            sensors=images,
            frames=connections.frames,
            joint_signs=signs,
            ctrl_signs=connections.actuation.signs,
            ctrl_offsets=connections.actuation.offsets,
            sensor_matrix=matrix,
            sensor_offset=offset,
            reference=self.parts.reference,
        )
        if kind == "world" and not symmetry.relabels_nothing:
            kind = "morphology"  # what is bolted to the world is relabelled by what moves the world
        named = self.named(replace(symmetry, kind=kind))
        self._connections[named] = connections
        return named

    def judge(self, s: Symmetry) -> tuple[Discrepancy, ...]:
        """Parts without an image under a symmetry, and parts that differ from their images.

        The symmetry may be a product of others.
        """
        compared, broken = self.compare(s), self._related(s).broken
        # what lacks an image often does so because of something that sits elsewhere, so that comes first
        kinematic = [d for d in compared if d.level == "kinematic"]
        return (*kinematic, *once(broken), *compared[len(kinematic) :])

    def compare(self, s: Symmetry) -> tuple[Discrepancy, ...]:
        """Attributes in which parts differ from their images."""
        return Comparison(self.parts, self.shapes, s, self.moved(s), self._related(s), self.floor).discrepancies()

    def _related(self, s: Symmetry) -> Connections:
        """Images of what connects parts; for a symmetry that was built here they are known."""
        if s not in self._connections:
            moved = self.moved(s)
            self._connections[s] = Connections(
                self.parts, moved, s.bodies, s.joints, s.joint_signs, s.geoms, self.slack, s.R
            )
        return self._connections[s]

    def moved(self, s: Symmetry) -> Floats:
        """The isometry of every body at the reference, ``(nbody, 4, 4)``."""
        moved: Floats = self.parts.poses[s.bodies] @ s.frames @ np.linalg.inv(self.parts.poses)
        return moved

    def _members(self, head: int, image: int, G: Floats) -> Ints:
        """Images of the bodies of one piece; heads go to heads, what is welded to them to what is closest."""
        here, there = self.parts.members[head], self.parts.members[image]
        out = np.full(len(here), image, dtype=np.int64)
        if len(here) > 1 and len(there) > 1:
            # origins of welded bodies may coincide, as those of the ant's upper legs do; their masses do not
            gaps = np.zeros((len(here) - 1, len(there) - 1))
            for points in (self.parts.data.xpos, self.parts.data.xipos):
                moved = points[list(here[1:])] @ G[:3, :3].T + G[:3, 3]
                gaps += np.linalg.norm(moved[:, None] - points[list(there[1:])][None], axis=-1)
            rows, columns = linear_sum_assignment(gaps)
            out[1 + rows] = np.array(there[1:])[columns]
        return out

    def named(self, s: Symmetry) -> Symmetry:
        """A symmetry with its name and rank."""
        named = self._name(s)
        return replace(s, name=named.name, rank=named.rank)

    def _name(self, s: Symmetry) -> Named:
        """Name of a symmetry, by what it does to the root of the first tree that it touches."""
        roots = [r for r in self.parts.floating if not np.allclose(s.frames[r], np.eye(4), atol=1e-6)]
        roots = roots or [r for r in self.parts.floating if s.bodies[r] != r] or [0]
        root = roots[0]
        if s.bodies[root] != root:
            return exchange_of(self.parts.body_name(root), self.parts.body_name(int(s.bodies[root])))
        frame, image = self.parts.poses[root][:3, :3], self.moved(s)[root][:3, :3]
        if root == 0:
            image = s.R
        if (moves := isometry(frame.T @ image @ frame)) is not None:
            return moves
        moved = [h for h in self.parts.heads if s.bodies[h] != h]
        if not moved:
            return Named("identity")
        return exchange_of(self.parts.body_name(moved[0]), self.parts.body_name(int(s.bodies[moved[0]])))
