"""Where a symmetry does not hold: compare every attribute of every part with that of its image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import mujoco
import numpy as np

from eqrl.arrays import Floats
from eqrl.derivation.axis_terms import turned, width
from eqrl.derivation.discrepancy import NONE, Discrepancy, Level, point_text
from eqrl.derivation.drives import Drives
from eqrl.derivation.geom_differences import aspects
from eqrl.derivation.matching import anchor_gap
from eqrl.derivation.model_parts import FREE, HINGE, SLIDE

_GEOM = (
    "friction",
    "condim",
    "solmix",
    "solref",
    "solimp",
    "priority",
    "margin",
    "gap",
    "fluid",
    "adhesion",
    "surfacevel",
)
_JOINT = ("solref", "solimp", "margin", "stiffness", "stiffnesspoly", "actgravcomp", "springyield", "actfrclimited")
_DOF = ("armature", "damping", "frictionloss", "dampingpoly", "solref", "solimp")


class Comparison(Drives):
    """All discrepancies of one symmetry."""

    def discrepancies(self) -> tuple[Discrepancy, ...]:
        """All of them, the worst first, kinematic ones before dynamic ones."""
        compared: list[Discrepancy | None] = [
            *self._world(),
            *self.mounted,
            *self._joints(),
            *self._geoms(),
            *self._sites(),
            *self._inertia(),
        ]
        compared += [*self.actuators(), *self.tendons()]
        differing = once(d for d in compared if d is not None and d.relative > self.floor)
        return tuple(sorted(differing, key=lambda d: (d.level != "kinematic", d not in self.mounted, -d.relative)))

    # ------------------------------------------------------------------ parts
    def _world(self) -> Iterator[Discrepancy | None]:
        option, R = self.parts.model.opt, self.symmetry.R
        for name, vector, det in (("gravity", option.gravity, 1.0), ("wind", option.wind, 1.0)):
            moved = det * R @ vector
            yield self._far(
                "dynamic", name, ("world", "world"), moved, vector, max(float(np.linalg.norm(vector)), 1e-12)
            )

    def _joints(self) -> Iterator[Discrepancy | None]:
        m, d = self.parts.model, self.parts.data
        for i, j in enumerate(self.symmetry.joints):
            kind, sign = int(m.jnt_type[i]), self.symmetry.joint_signs[i]
            if i == j and sign > 0 and self.still[m.jnt_bodyid[i]]:
                continue
            of, G, body = self._of("joint", i, j), self.moved[m.jnt_bodyid[i]], int(m.jnt_bodyid[j])
            if kind in (HINGE, SLIDE):
                axis = sign * G[:3, :3] @ d.xaxis[i] * (np.linalg.det(G[:3, :3]) if kind == HINGE else 1.0)
                yield self._far(
                    "kinematic", "axis", of, self._direction(body, axis), self._direction(body, d.xaxis[j]), 1.0
                )
            gap = anchor_gap(self.parts, i, j, G)
            anchor = self._position(body, G[:3, :3] @ d.xanchor[i] + G[:3, 3])
            yield self._sized("kinematic", "pos", of, anchor, self._position(body, d.xanchor[j]), gap / self.parts.size)
            yield self._same("kinematic", "limited", of, m.jnt_limited[i], m.jnt_limited[j])
            if m.jnt_limited[i] and m.jnt_limited[j]:
                yield self._range("kinematic", "range", of, self._bounds(i, sign), self._bounds(j, 1.0))
            for name in _JOINT:
                yield self._same("dynamic", name, of, self._get("jnt", name, i), self._get("jnt", name, j))
            if m.jnt_actfrclimited[i] and m.jnt_actfrclimited[j]:
                here, there = np.sort(sign * m.jnt_actfrcrange[i]), m.jnt_actfrcrange[j]
                yield self._range("dynamic", "actfrcrange", of, tuple(here), tuple(there))
            if any(np.any(self._get("jnt", name, k)) for name in ("stiffness", "stiffnesspoly") for k in (i, j)):
                yield self._rest(of, int(i), int(j))
            for name in _DOF:
                rows = [[self._get("dof", name, m.jnt_dofadr[k] + n) for n in range(width(kind))] for k in (i, j)]
                here, there = turned(self.symmetry, int(i), name, rows[0]), np.array(rows[1])
                yield self._same("dynamic", name, of, _plain(here.ravel()), _plain(there.ravel()))

    def _rest(self, of: tuple[str, str], i: int, j: int) -> Discrepancy | None:
        """Where a spring rests: of hinges and slides from the reference on, of balls and free joints a pose."""
        m, kind = self.parts.model, int(self.parts.model.jnt_type[i])
        a, b = int(m.jnt_qposadr[i]), int(m.jnt_qposadr[j])
        if kind in (HINGE, SLIDE):
            rest = self.symmetry.joint_signs[i] * (m.qpos_spring[a] - self.symmetry.reference[a])
            return self._same("dynamic", "springref", of, rest, m.qpos_spring[b] - self.symmetry.reference[b])
        size = 7 if kind == FREE else 4
        here, there = self.symmetry.qpos(m.qpos_spring)[b : b + size], m.qpos_spring[b : b + size]
        here[-4:] *= np.sign(here[-4:] @ there[-4:]) or 1.0  # both signs of a quaternion are one orientation
        return self._same("dynamic", "springref", of, here, there)

    def _bounds(self, joint: int, sign: float) -> tuple[float, float]:
        m = self.parts.model
        low, high = m.jnt_range[joint]
        if m.jnt_type[joint] in (HINGE, SLIDE):
            middle = self.symmetry.reference[m.jnt_qposadr[joint]]
            low, high = low - middle, high - middle
        return (float(low), float(high)) if sign > 0 else (float(-high), float(-low))

    def _geoms(self) -> Iterator[Discrepancy | None]:
        m = self.parts.model
        for i in self.parts.colliding:
            j = int(self.symmetry.geoms[i])
            if i == j and self.still[m.geom_bodyid[i]]:
                continue
            G = self.moved[m.geom_bodyid[i]]
            if j < 0:
                where = G[:3, :3] @ self.shapes.centre(int(i)) + G[:3, 3]
                yield self._lacks("geom", int(i), int(m.geom_bodyid[i]), where, f" ({_type(m, i)})")
                continue
            of = self._of("geom", int(i), j)
            for aspect in aspects(self.shapes, int(i), j, G, self.floor * self.parts.size):
                values = (aspect.here, aspect.there)
                yield Discrepancy(
                    "kinematic",
                    aspect.field,
                    of,
                    values,
                    aspect.gap / self.parts.size,
                    self._types(aspect.field, of, i, j),
                )
            for name in ("contype", "conaffinity"):
                yield self._same("kinematic", name, of, self._get("geom", name, i), self._get("geom", name, j))
            for name in _GEOM:
                yield self._same("dynamic", name, of, self._get("geom", name, i), self._get("geom", name, j))

    def _types(self, field: str, of: tuple[str, str], i: int, j: int) -> str:
        """Differing types, as words: to MuJoCo they are numbers."""
        m = self.parts.model
        return f"{of[0]} type {_type(m, i)} vs {of[1]} {_type(m, j)}" if field == "type" else ""

    def _sites(self) -> Iterator[Discrepancy | None]:
        m = self.parts.model
        for i in sorted(self.parts.driven_sites):
            j, G = int(self.connections.sites[i]), self.moved[m.site_bodyid[i]]
            where = G[:3, :3] @ self.parts.site_poses[i][:3, 3] + G[:3, 3]
            if j < 0:
                yield self._lacks("site", i, int(m.site_bodyid[i]), where)
                continue
            body = int(m.site_bodyid[j])
            here, there = self._position(body, where), self._position(body, self.parts.site_poses[j][:3, 3])
            yield self._far("kinematic", "pos", self._of("site", i, j), here, there, self.parts.size)

    def _lacks(
        self, kind: str, i: int, body: int, where: Floats, more: str = "", level: Level = "kinematic"
    ) -> Discrepancy:
        """A part without an image, and where the image should be."""
        image = int(self.symmetry.bodies[self.parts.model.body_weldid[body]])
        name, on, at = self.parts.name(kind, i), self.parts.body_name(image), self._position(image, where)
        owner = self.parts.body_name(body)
        what = f"{name}{more}" if name.startswith(f"{owner} ") else f"{kind} {name}{more} of {owner}"
        text = f"{what} has no image on {on}, where it should be at {point_text(at)}"
        return Discrepancy(level, kind, (name, NONE), (1.0, 0.0), 1.0, text)

    def _inertia(self) -> Iterator[Discrepancy | None]:
        m = self.parts.model
        for i in self.parts.heads[1:]:
            j = int(self.symmetry.bodies[i])
            if i == j and self.still[i]:
                continue
            of, G = self._of("body", i, j), self.moved[i]
            (mass_i, centre_i, inertia_i), (mass_j, centre_j, inertia_j) = (
                self.parts.inertials[i],
                self.parts.inertials[j],
            )
            yield self._same("dynamic", "mass", of, mass_i, mass_j)
            if abs(mass_i - mass_j) > self.floor * max(mass_i, mass_j):
                yield from self._welded(i, j)
            centre = self._position(j, G[:3, :3] @ centre_i + G[:3, 3])
            if mass_i > 0:
                yield self._far("dynamic", "ipos", of, centre, self._position(j, centre_j), self.parts.size)
            turned = G[:3, :3] @ inertia_i @ G[:3, :3].T
            scale = max(float(np.linalg.norm(turned)), float(np.linalg.norm(inertia_j)), 1e-300)
            gap = float(np.linalg.norm(turned - inertia_j) / scale)
            axes = self.parts.poses[j][:3, :3]
            here, there = (_six(axes.T @ x @ axes) for x in (turned, inertia_j))
            yield Discrepancy("dynamic", "inertia", of, (here, there), gap)
            yield self._same("dynamic", "gravcomp", of, m.body_gravcomp[i], m.body_gravcomp[j])

    def _welded(self, head: int, image: int) -> Iterator[Discrepancy]:
        """Massive bodies that are welded to a piece and have no image."""
        m = self.parts.model
        for i in self.parts.members[head][1:]:
            if m.body_mass[i] > 0 and self.symmetry.bodies[i] == image:
                where = self.moved[i][:3, :3] @ self.parts.data.xipos[i] + self.moved[i][:3, 3]
                yield self._lacks("body", i, int(m.body_parentid[i]), where, f" ({m.body_mass[i]:.4g} kg)", "dynamic")


def once(discrepancies: Iterable[Discrepancy]) -> list[Discrepancy]:
    """Each attribute of two parts once.

    A mirror compares right with left and left with right, and one of the two is enough.
    """
    worst: dict[tuple[str, frozenset[str]], Discrepancy] = {}
    for d in discrepancies:
        same = (d.field, frozenset(d.of) if d.of[1] != NONE else frozenset(d.of[:1]))
        if same not in worst or d.relative > worst[same].relative:
            worst[same] = d
    return list(worst.values())


def _type(model: mujoco.MjModel, geom: int) -> str:
    name: str = mujoco.mjtGeom(int(model.geom_type[geom])).name
    return name.removeprefix("mjGEOM_").lower()


def _six(inertia: Floats) -> tuple[float, ...]:
    """An inertia as MJCF's ``fullinertia`` writes it: xx, yy, zz, xy, xz, yz."""
    return tuple(float(inertia[k]) for k in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)))


def _plain(values: Floats) -> Floats | float:
    """One number where all entries are equal, as for a hinge."""
    return float(values[0]) if len(values) and (values == values[0]).all() else values
