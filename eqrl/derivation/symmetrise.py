"""Make an almost symmetric model symmetric: every attribute becomes the average over its orbit.

What is averaged: joint frames, ranges, springs, damping, friction and armature, masses, centres and inertias, friction
and primitive shapes of colliding geoms, gains, gears and ranges of actuators, gravity. Meshes are left as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import mujoco
import numpy as np

from eqrl.arrays import Floats
from eqrl.derivation.connections import actuation_of
from eqrl.derivation.model_parts import HINGE, SLIDE, Parts
from eqrl.derivation.shapes import Shapes
from eqrl.derivation.symmetry import Symmetry
from eqrl.symmetry.quaternions import matrix_to_quaternion

_JOINT = ("margin", "frictionloss", "armature")
_CHANGED = 1e-9
_LINES = (int(mujoco.mjtGeom.mjGEOM_CAPSULE), int(mujoco.mjtGeom.mjGEOM_CYLINDER))
_SPHERE, _BOX, _ELLIPSOID = (int(getattr(mujoco.mjtGeom, f"mjGEOM_{n}")) for n in ("SPHERE", "BOX", "ELLIPSOID"))


def symmetrised(
    spec: mujoco.MjSpec, elements: Sequence[Symmetry], moved: Sequence[Floats]
) -> tuple[mujoco.MjSpec, tuple[str, ...]]:
    """Average a model over a group.

    Args:
        spec: what the model was compiled from; it is not changed.
        elements: the whole group, the identity among them.
        moved: isometry of every body for each of them, ``(nbody, 4, 4)``.

    Returns:
        A changed copy, and what was changed, one line for each attribute.
    """
    copy = spec.copy()
    model = copy.compile()
    averages = _Averages(copy, Parts.of(model, elements[0].reference), elements, moved)
    averages.run()
    copy.compile()
    return copy, tuple(averages.changes)


class _Averages:
    def __init__(
        self, spec: mujoco.MjSpec, parts: Parts, elements: Sequence[Symmetry], moved: Sequence[Floats]
    ) -> None:
        self.spec = spec
        self.parts = parts
        self.shapes = Shapes(parts)
        self.pairs = list(zip(elements, moved, strict=True))
        self.actuations = [actuation_of(parts, s) for s in elements]
        self.changes: list[str] = []
        self.angle = 180.0 / np.pi if spec.compiler.degree else 1.0
        self.bodies = {int(b.id): b for b in spec.bodies}
        self.joints = {int(j.id): j for j in spec.joints}
        self.geoms = {int(g.id): g for g in spec.geoms}

    def run(self) -> None:
        """Average everything; inertias last, for they replace what geoms weigh."""
        for j in range(self.parts.model.njnt):
            self._joint(j)
        for g in self.parts.colliding:
            self._geom(int(g))
        for k in range(self.parts.model.nu):
            self._actuator(k)
        self._inertias()
        gravity = np.mean([s.R @ self.parts.model.opt.gravity for s, _ in self.pairs], axis=0)
        self._set(self.spec.option, "gravity", gravity, "world")

    # ------------------------------------------------------------------ parts
    def _joint(self, target: int) -> None:
        m, d, joint = self.parts.model, self.parts.data, self.joints[target]
        here = [(s, G, int(i)) for s, G in self.pairs for i in np.flatnonzero(s.joints == target)]
        name = self.parts.name("joint", target)
        for field in _JOINT:
            self._set(joint, field, np.mean([self._of_joint(field, i) for _, _, i in here], axis=0), name)
        for field in ("stiffness", "damping"):  # with the coefficients of their polynomials behind the first entry
            values = np.asarray(getattr(joint, field), dtype=np.float64)
            mean = np.mean([np.asarray(getattr(self.joints_before[i], field)) for _, _, i in here], axis=0)
            self._set(joint, field, mean.reshape(values.shape), name)
        if m.jnt_type[target] not in (HINGE, SLIDE):
            return
        unit = self.angle if m.jnt_type[target] == HINGE else 1.0
        middle = {i: self.parts.reference[m.jnt_qposadr[i]] for _, _, i in here} | {
            target: self.parts.reference[m.jnt_qposadr[target]]
        }
        if m.jnt_limited[target]:
            ranges = [np.sort(s.joint_signs[i] * (m.jnt_range[i] - middle[i])) for s, _, i in here]
            self._set(joint, "range", unit * (np.mean(ranges, axis=0) + middle[target]), name)
        springs = [s.joint_signs[i] * (m.qpos_spring[m.jnt_qposadr[i]] - middle[i]) for s, _, i in here]
        self._set(joint, "springref", unit * (np.mean(springs) + middle[target]), name)
        axes, anchors = [], []
        for s, G, i in here:
            R = G[m.jnt_bodyid[i], :3, :3]
            det = np.linalg.det(R) if m.jnt_type[i] == HINGE else 1.0
            axes.append(s.joint_signs[i] * det * R @ d.xaxis[i])
            anchors.append(R @ d.xanchor[i] + G[m.jnt_bodyid[i], :3, 3])
        axis = np.mean(axes, axis=0)
        pose = self.parts.poses[m.jnt_bodyid[target]]
        self._set(joint, "axis", pose[:3, :3].T @ axis / np.linalg.norm(axis), name)
        self._set(joint, "pos", pose[:3, :3].T @ (np.mean(anchors, axis=0) - pose[:3, 3]), name)

    @cached_property
    def joints_before(self) -> dict[int, Any]:
        return {int(j.id): j for j in self._original.joints}

    @cached_property
    def _original(self) -> mujoco.MjSpec:
        spec = self.spec.copy()
        spec.compile()
        return spec

    def _of_joint(self, field: str, i: int) -> Floats:
        return np.asarray(getattr(self.joints_before[int(i)], field), dtype=np.float64)

    def _geom(self, target: int) -> None:
        m, geom = self.parts.model, self.geoms[target]
        kind, name = int(m.geom_type[target]), self.parts.name("geom", target)
        here = [(G[m.geom_bodyid[i]], int(i)) for s, G in self.pairs for i in np.flatnonzero(s.geoms == target)]
        self._set(geom, "friction", np.mean([m.geom_friction[i] for _, i in here], axis=0), name)
        if kind not in (_SPHERE, _BOX, _ELLIPSOID, *_LINES):
            return
        self._set(geom, "size", np.mean([m.geom_size[i] for _, i in here], axis=0), name)
        poses = [G @ self.parts.geom_poses[i] for G, i in here]
        centre = np.mean([p[:3, 3] for p in poses], axis=0)
        pose = self.parts.geom_poses[target]
        turn = _mean_rotation(pose[:3, :3], [p[:3, :3] for p in poses], kind, m.geom_size[target])
        body = self.parts.poses[m.geom_bodyid[target]]
        local = body[:3, :3].T @ (centre - body[:3, 3])
        if np.linalg.norm(centre - pose[:3, 3]) > _CHANGED or np.linalg.norm(turn - pose[:3, :3]) > _CHANGED:
            geom.fromto = np.full(6, np.nan)
            self._set(geom, "pos", local, name)
            geom.alt.type = mujoco.mjtOrientation.mjORIENTATION_QUAT
            geom.quat = matrix_to_quaternion(body[:3, :3].T @ turn)

    def _actuator(self, target: int) -> None:
        m, actuator = self.parts.model, list(self.spec.actuators)[target]
        here = [
            (s, a, int(i), a.sense(int(i), target))
            for (s, _), a in zip(self.pairs, self.actuations, strict=True)
            for i in np.flatnonzero(s.actuators == target)
        ]
        name = self.parts.name("actuator", target)
        self._set(actuator, "gear", np.mean([a.gears(i, target)[0] for _, a, i, _ in here], axis=0), name)
        gains = [a.gain(i, target, sense, s.ctrl_signs[i]) for s, a, i, sense in here]
        self._set(actuator, "gainprm", np.mean(gains, axis=0), name)
        biases = [a.bias(i, target, sense, s.ctrl_offsets[i]) for s, a, i, sense in here]
        self._set(actuator, "biasprm", np.mean(biases, axis=0), name)
        self._set(actuator, "dynprm", np.mean([m.actuator_dynprm[i] for _, _, i, _ in here], axis=0), name)
        if m.actuator_ctrllimited[target]:
            offsets = [s.ctrl_offsets[i] if s.shifts_control[i] else 0.0 for s, _, i, _ in here]
            ranges = [np.sort(s.ctrl_signs[i] * m.actuator_ctrlrange[i]) for s, _, i, _ in here]
            self._set(
                actuator, "ctrlrange", np.mean([r + o for r, o in zip(ranges, offsets, strict=True)], axis=0), name
            )
        if m.actuator_forcelimited[target]:
            ranges = [np.sort(sense * m.actuator_forcerange[i]) for _, _, i, sense in here]
            self._set(actuator, "forcerange", np.mean(ranges, axis=0), name)

    def _inertias(self) -> None:
        """Explicit inertias for all; what is welded to a head gives it its mass."""
        self.spec.compiler.inertiafromgeom = mujoco.mjtInertiaFromGeom.mjINERTIAFROMGEOM_AUTO
        self.spec.compiler.settotalmass = -1.0
        for head in self.parts.heads[1:]:
            here = [(G[i], int(i)) for s, G in self.pairs for i in self.parts.heads if s.bodies[i] == head]
            masses, centres, inertias = zip(*(self._moved_inertia(G, i) for G, i in here), strict=True)
            mass, centre, inertia = np.mean(masses), np.mean(centres, axis=0), np.mean(inertias, axis=0)
            pose, body = self.parts.poses[head], self.bodies[head]
            before = self.parts.inertials[head]
            scale = max(float(np.linalg.norm(before[2])), 1e-12)
            for field, change in (
                ("mass", abs(mass - before[0]) / max(before[0], 1e-12)),
                ("ipos", float(np.linalg.norm(centre - before[1]))),
                ("inertia", float(np.linalg.norm(inertia - before[2])) / scale),
            ):
                if change > _CHANGED:
                    self.changes.append(f"{self.parts.body_name(head)} {field} by {change:.3g}")
            local = pose[:3, :3].T @ inertia @ pose[:3, :3]
            body.explicitinertial = True
            body.mass = float(mass)
            body.ipos = pose[:3, :3].T @ (centre - pose[:3, 3])
            body.iquat = [1.0, 0.0, 0.0, 0.0]
            body.inertia = [0.0, 0.0, 0.0]
            body.ialt.type = mujoco.mjtOrientation.mjORIENTATION_QUAT
            body.fullinertia = [local[0, 0], local[1, 1], local[2, 2], local[0, 1], local[0, 2], local[1, 2]]
            for member in self.parts.members[head][1:]:
                light = self.bodies[member]
                light.explicitinertial, light.mass, light.inertia = True, 0.0, [0.0, 0.0, 0.0]
                light.fullinertia = np.full(6, np.nan)

    def _moved_inertia(self, G: Floats, head: int) -> tuple[float, Floats, Floats]:
        mass, centre, inertia = self.parts.inertials[head]
        return mass, G[:3, :3] @ centre + G[:3, 3], G[:3, :3] @ inertia @ G[:3, :3].T

    # ------------------------------------------------------------------ writing
    def _set(self, thing: Any, field: str, value: Any, name: str) -> None:
        before = np.asarray(getattr(thing, field), dtype=np.float64)
        value = np.asarray(value, dtype=np.float64).reshape(before.shape)
        if np.allclose(before, value, rtol=_CHANGED, atol=1e-12, equal_nan=True):
            return
        self.changes.append(f"{name} {field} {_shown(before)} -> {_shown(value)}")
        setattr(thing, field, value if before.ndim else float(value))


def _mean_rotation(reference: Floats, others: Iterable[Floats], kind: int, size: Floats) -> Floats:
    """The rotation closest to all, each taken modulo the symmetry of the shape."""
    if kind == _SPHERE:
        return reference
    total = np.zeros((3, 3))
    for other in others:
        if kind in _LINES:
            axis = other[:, 2] * np.sign(other[:, 2] @ reference[:, 2])
            total += _to_axis(reference, axis)
        else:
            total += max((other * np.array(s) for s in _FLIPS), key=lambda x: float(np.trace(reference.T @ x)))
    u, _, vt = np.linalg.svd(total)
    mean: Floats = u @ np.diag([1.0, 1.0, np.linalg.det(u @ vt)]) @ vt
    return mean


_FLIPS = ((1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1), (-1, 1, 1), (1, -1, 1), (1, 1, -1), (-1, -1, -1))


def _to_axis(rotation: Floats, axis: Floats) -> Floats:
    """``rotation`` turned on the shortest way so that its z axis becomes ``axis``."""
    z = rotation[:, 2]
    v, c = np.cross(z, axis), float(z @ axis)
    k = np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])
    turned: Floats = (np.eye(3) + k + k @ k / (1.0 + c)) @ rotation
    return turned


def _shown(value: Floats) -> str:
    return np.array2string(value, precision=5, suppress_small=True) if value.ndim else f"{float(value):.6g}"
