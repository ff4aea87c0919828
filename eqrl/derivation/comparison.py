"""Where a symmetry does not hold: compare every attribute of every part with that of its image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import mujoco
import numpy as np
from numpy.typing import ArrayLike

from eqrl.arrays import Floats
from eqrl.derivation.axis_terms import turned, width
from eqrl.derivation.connections import Connections
from eqrl.derivation.discrepancy import NONE, Discrepancy, Level, Value, point_text
from eqrl.derivation.geom_differences import aspects
from eqrl.derivation.matching import anchor_gap
from eqrl.derivation.model_parts import FREE, HINGE, SLIDE, Parts
from eqrl.derivation.mounting import mounts
from eqrl.derivation.shapes import Shapes
from eqrl.derivation.symmetry import Symmetry

_GEOM = ("friction", "condim", "solmix", "solref", "solimp", "priority", "margin", "gap", "fluid", "adhesion", "surfacevel")
_JOINT = ("solref", "solimp", "margin", "stiffness", "stiffnesspoly", "actgravcomp", "springyield", "actfrclimited")
_DOF = ("armature", "damping", "frictionloss", "dampingpoly", "solref", "solimp")
_STILL = 1e-12


class Comparison:
    """Collects the discrepancies of one symmetry.

    Args:
        parts: the model in its reference configuration.
        shapes: its geoms.
        symmetry: what to examine.
        moved: the isometry of every body at the reference, ``(nbody, 4, 4)``.
        connections: images of what connects parts under the symmetry.
        floor: relative differences up to this are rounding.
    """

    def __init__(
        self, parts: Parts, shapes: Shapes, symmetry: Symmetry, moved: Floats, connections: Connections, floor: float
    ) -> None:
        self.parts = parts
        self.shapes = shapes
        self.symmetry = symmetry
        # what hangs on a piece that is mounted elsewhere is compared as if it were mounted where it should be
        self.moved, self.mounted = mounts(parts, shapes, symmetry, moved)
        self.connections = connections
        self.floor = floor
        # what stays where it is differs from itself in nothing, and most of a scene does when one of its bodies moves
        still = np.abs(moved - np.eye(4)).max((1, 2)) < _STILL
        self.still = still & (max(np.abs(symmetry.R - np.eye(3)).max(), np.abs(symmetry.t).max()) < _STILL)
        self.without_image = {(d.field, d.of[0]) for d in connections.broken if d.of[1] == NONE}

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
        compared += [*self._actuators(), *self._tendons()]
        differing = once(d for d in compared if d is not None and d.relative > self.floor)
        return tuple(sorted(differing, key=lambda d: (d.level != "kinematic", d not in self.mounted, -d.relative)))

    # ------------------------------------------------------------------ parts
    def _world(self) -> Iterator[Discrepancy | None]:
        option, R = self.parts.model.opt, self.symmetry.R
        for name, vector, det in (("gravity", option.gravity, 1.0), ("wind", option.wind, 1.0)):
            moved = det * R @ vector
            yield self._far("dynamic", name, ("world", "world"), moved, vector, max(float(np.linalg.norm(vector)), 1e-12))

    def _joints(self) -> Iterator[Discrepancy | None]:
        m, d = self.parts.model, self.parts.data
        for i, j in enumerate(self.symmetry.joints):
            kind, sign = int(m.jnt_type[i]), self.symmetry.joint_signs[i]
            if i == j and sign > 0 and self.still[m.jnt_bodyid[i]]:
                continue
            of, G, body = self._of("joint", i, j), self.moved[m.jnt_bodyid[i]], int(m.jnt_bodyid[j])
            if kind in (HINGE, SLIDE):
                axis = sign * G[:3, :3] @ d.xaxis[i] * (np.linalg.det(G[:3, :3]) if kind == HINGE else 1.0)
                yield self._far("kinematic", "axis", of, self._direction(body, axis), self._direction(body, d.xaxis[j]), 1.0)
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
                    "kinematic", aspect.field, of, values, aspect.gap / self.parts.size, self._types(aspect.field, of, i, j)
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

    def _lacks(self, kind: str, i: int, body: int, where: Floats, more: str = "", level: Level = "kinematic") -> Discrepancy:
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
            (mass_i, centre_i, inertia_i), (mass_j, centre_j, inertia_j) = self.parts.inertials[i], self.parts.inertials[j]
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

    def _actuators(self) -> Iterator[Discrepancy | None]:
        m, s = self.parts.model, self.symmetry
        for i, j in enumerate(s.actuators):
            of, sign = self._of("actuator", i, j), s.ctrl_signs[i]
            if ("actuator", of[0]) in self.without_image:
                continue
            actuation = self.connections.actuation
            sense = actuation.sense(i, int(j))
            if not sense:  # pushes something else
                yield self._sized("kinematic", "actuator", of, 1.0, 0.0, 1.0)
                continue
            for name in ("ctrlrange", "actrange"):
                offset = s.ctrl_offsets[i] if name == "actrange" or s.shifts_control[i] else 0.0
                limited = f"actuator_{name.replace('range', 'limited')}"
                yield self._same("kinematic", name.replace("range", "limited"), of, *getattr(m, limited)[[i, j]])
                if getattr(m, limited)[i] and getattr(m, limited)[j]:
                    here, there = getattr(m, f"actuator_{name}")[[i, j]]
                    mapped = np.sort(sign * here) + offset
                    yield self._range("kinematic", name, of, tuple(mapped), tuple(there))
            if m.actuator_forcelimited[i] or m.actuator_forcelimited[j]:
                here, there = m.actuator_forcerange[[i, j]]
                yield self._range("dynamic", "forcerange", of, tuple(np.sort(sense * here)), tuple(there))
            for name in ("forcelimited", "actearly", "cranklength", "delay", "dampingpoly"):
                yield self._same("dynamic", name, of, self._get("actuator", name, i), self._get("actuator", name, j))
            yield self._same("dynamic", "gear", of, *actuation.gears(i, int(j)))
            for name in ("gaintype", "biastype", "dyntype", "dynprm", "armature", "damping"):
                yield self._same("dynamic", name, of, self._get("actuator", name, i), self._get("actuator", name, j))
            yield self._same("dynamic", "gainprm", of, actuation.gain(i, int(j), sense, sign), m.actuator_gainprm[j])
            bias = actuation.bias(i, int(j), sense, s.ctrl_offsets[i])
            yield self._same("dynamic", "biasprm", of, bias, m.actuator_biasprm[j])

    def _tendons(self) -> Iterator[Discrepancy | None]:
        m = self.parts.model
        for i, j in enumerate(self.symmetry.tendons):
            of = self._of("tendon", i, j)
            if ("tendon", of[0]) in self.without_image:
                continue
            sign, shift = self.connections.tendon_signs[i], self.parts.fixed_length(j)
            shift -= sign * self.parts.fixed_length(i)
            moved, other = self.connections.coefficients(i, moved=True), self.connections.coefficients(int(j))
            if len(moved) == len(other):
                yield self._same("kinematic", "coef", of, sign * moved, other)
            yield self._same("kinematic", "limited", of, m.tendon_limited[i], m.tendon_limited[j])
            if m.tendon_limited[i] and m.tendon_limited[j]:
                mapped = np.sort(sign * m.tendon_range[i]) + shift
                yield self._range("kinematic", "range", of, tuple(mapped), tuple(m.tendon_range[j]))
            if m.tendon_stiffness[i] or m.tendon_stiffness[j]:
                mapped = np.sort(sign * m.tendon_lengthspring[i]) + shift
                yield self._same("dynamic", "springlength", of, mapped, m.tendon_lengthspring[j])
            if m.tendon_actfrclimited[i] and m.tendon_actfrclimited[j]:
                mapped = np.sort(sign * m.tendon_actfrcrange[i])
                yield self._range("dynamic", "actfrcrange", of, tuple(mapped), tuple(m.tendon_actfrcrange[j]))
            for name in (
                "stiffness",
                "damping",
                "frictionloss",
                "stiffnesspoly",
                "dampingpoly",
                "actfrclimited",
                "margin",
                "armature",
                "solref_lim",
                "solimp_lim",
                "solref_fri",
                "solimp_fri",
            ):
                yield self._same("dynamic", name, of, self._get("tendon", name, i), self._get("tendon", name, j))

    # ------------------------------------------------------------------ differences
    def _position(self, body: int, point: Floats) -> tuple[float, ...]:
        """A point of the world in a body's frame, as MJCF writes it."""
        pose = self.parts.poses[body]
        return tuple(float(v) for v in pose[:3, :3].T @ (point - pose[:3, 3]))

    def _direction(self, body: int, vector: Floats) -> tuple[float, ...]:
        return tuple(float(v) for v in self.parts.poses[body][:3, :3].T @ vector)

    def _get(self, kind: str, name: str, i: int) -> Any:
        table = getattr(self.parts.model, f"{kind}_{name}", None)
        return 0.0 if table is None else table[i]

    def _of(self, kind: str, i: int, j: int) -> tuple[str, str]:
        return self.parts.name(kind, int(i)), self.parts.name(kind, int(j))

    def _far(self, level: Level, field: str, of: tuple[str, str], a: ArrayLike, b: ArrayLike, scale: float) -> Discrepancy:
        return self._sized(level, field, of, a, b, float(np.linalg.norm(np.subtract(a, b)) / scale))

    def _same(self, level: Level, field: str, of: tuple[str, str], a: ArrayLike, b: ArrayLike) -> Discrepancy | None:
        if np.array_equal(a, b):
            return None
        x, y = np.ravel(np.asarray(a, dtype=np.float64)), np.ravel(np.asarray(b, dtype=np.float64))
        scale = max(float(np.abs(x).max(initial=0.0)), float(np.abs(y).max(initial=0.0)), 1e-12)
        return self._sized(level, field, of, x, y, float(np.abs(x - y).max(initial=0.0) / scale))

    def _range(self, level: Level, field: str, of: tuple[str, str], a: tuple[Any, ...], b: tuple[Any, ...]) -> Discrepancy:
        width = max(a[1] - a[0], b[1] - b[0], 1e-12)
        return self._sized(level, field, of, a, b, float(max(abs(a[0] - b[0]), abs(a[1] - b[1])) / width))

    @staticmethod
    def _sized(level: Level, field: str, of: tuple[str, str], a: ArrayLike, b: ArrayLike, relative: float) -> Discrepancy:
        return Discrepancy(level, field, of, (_value(a), _value(b)), relative)


def once(discrepancies: Iterable[Discrepancy]) -> list[Discrepancy]:
    """Each attribute of two parts once: a mirror compares right with left and left with right, and one of the two is enough."""
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


def _value(x: ArrayLike) -> Value:
    flat = np.ravel(np.asarray(x, dtype=np.float64)) + 0.0  # no minus before a zero
    return float(flat[0]) if len(flat) == 1 else tuple(float(v) for v in flat)
