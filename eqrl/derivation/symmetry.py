"""One symmetry of a MuJoCo model: a world isometry, and where it takes every part of the model.

A body's pose X (a rigid motion) at image body ``b'`` becomes ``G X O_b^-1``, where G is the world isometry and O_b
tells how the body's own frame sits in that of its image. Of a free body this is all; a hinge or slide turns this into a
sign, for its coordinate measures along an axis that G may reverse. Positions are those relative to a reference
configuration.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import mujoco
import numpy as np
from numpy.typing import ArrayLike, NDArray

from eqrl.arrays import Floats, Ints
from eqrl.symmetry.quaternions import matrix_to_quaternion, quaternion_to_matrix

_FREE, _BALL = int(mujoco.mjtJoint.mjJNT_FREE), int(mujoco.mjtJoint.mjJNT_BALL)
_INTEGRATOR, _DC_MOTOR = int(mujoco.mjtDyn.mjDYN_INTEGRATOR), int(mujoco.mjtDyn.mjDYN_DCMOTOR)

Rank: TypeAlias = tuple[int, bool, int]
_UNRANKED: Rank = (1_000, True, 0)


@dataclass(frozen=True, eq=False)
class Symmetry:
    """One element of a model's symmetry group.

    Attributes:
        name: for people, for instance ``"sagittal mirror"``.
        kind: ``"world"`` (relabels nothing), ``"morphology"`` (relabels the joints of a robot or the axes of a body) or
            ``"exchange"`` (of like trees).
        model: the model.
        R: orthogonal part of the world isometry, ``(3, 3)``.
        t: its translation, ``(3,)``: points go to ``R x + t``.
        bodies: image of every body, ``(nbody,)``; the same for joints, geoms, sites, tendons, actuators and sensors.
            Geoms that neither collide nor weigh are not compared and have image -1 where none fits.
        frames: ``O_b`` for every body, ``(nbody, 4, 4)``.
        joint_signs: sign of every hinge and slide, ``(njnt,)``; 1 for ball and free joints.
        ctrl_signs: sign of every actuator, ``(nu,)``.
        ctrl_offsets: what is added to the image's control, ``(nu,)``; zero unless a position servo's joint has an
            offset.
        sensor_matrix: linear part of the action on sensor data, ``(nsensordata, nsensordata)``.
        sensor_offset: its offset, ``(nsensordata,)``.
        reference: configuration relative to which positions are measured, ``(nq,)``.
        rank: how soon people would choose it as a generator, smaller ones first.
    """

    name: str
    kind: str
    model: mujoco.MjModel
    R: Floats
    t: Floats
    bodies: Ints
    joints: Ints
    geoms: Ints
    sites: Ints
    tendons: Ints
    actuators: Ints
    sensors: Ints
    frames: Floats
    joint_signs: Floats
    ctrl_signs: Floats
    ctrl_offsets: Floats
    sensor_matrix: Floats
    sensor_offset: Floats
    reference: Floats
    rank: Rank = _UNRANKED

    # ------------------------------------------------------------------ what it does to a state
    def qpos(self, qpos: ArrayLike) -> Floats:
        """Turn positions of shape ``(..., nq)``."""
        q = np.asarray(qpos, dtype=np.float64)
        out = np.empty_like(q)
        m, ref = self.model, self.reference
        for j, image in enumerate(self.joints):
            a, b = m.jnt_qposadr[j], m.jnt_qposadr[image]
            if m.jnt_type[j] == _FREE:
                frame, body = self.frames[m.jnt_bodyid[j]], slice(a + 3, a + 7)
                E = quaternion_to_matrix(q[..., body])
                origin = np.linalg.inv(frame)[:3, 3]
                out[..., b : b + 3] = (q[..., a : a + 3] + E @ origin) @ self.R.T + self.t
                length = np.linalg.norm(q[..., body], axis=-1, keepdims=True)
                out[..., b + 3 : b + 7] = length * matrix_to_quaternion(self.R @ E @ frame[:3, :3].T)
            elif m.jnt_type[j] == _BALL:
                frame = self.frames[m.jnt_bodyid[j], :3, :3]
                out[..., b] = q[..., a]
                out[..., b + 1 : b + 4] = np.linalg.det(frame) * q[..., a + 1 : a + 4] @ frame.T
            else:
                out[..., b] = ref[b] + self.joint_signs[j] * (q[..., a] - ref[a])
        return out

    def qvel(self, qvel: ArrayLike, qpos: ArrayLike) -> Floats:
        """Turn velocities of shape ``(..., nv)`` at positions ``(..., nq)`` (needed by free bodies alone)."""
        v, q = np.asarray(qvel, dtype=np.float64), np.asarray(qpos, dtype=np.float64)
        out = np.empty_like(v)
        m = self.model
        for j, image in enumerate(self.joints):
            a, b = m.jnt_dofadr[j], m.jnt_dofadr[image]
            if m.jnt_type[j] == _FREE:
                frame = self.frames[m.jnt_bodyid[j]]
                E = quaternion_to_matrix(q[..., m.jnt_qposadr[j] + 3 : m.jnt_qposadr[j] + 7])
                spin = v[..., a + 3 : a + 6]
                arm = np.cross(spin, np.linalg.inv(frame)[:3, 3])
                out[..., b : b + 3] = (v[..., a : a + 3] + (E @ arm[..., None])[..., 0]) @ self.R.T
                out[..., b + 3 : b + 6] = np.linalg.det(frame[:3, :3]) * spin @ frame[:3, :3].T
            elif m.jnt_type[j] == _BALL:
                frame = self.frames[m.jnt_bodyid[j], :3, :3]
                out[..., b : b + 3] = np.linalg.det(frame) * v[..., a : a + 3] @ frame.T
            else:
                out[..., b] = self.joint_signs[j] * v[..., a]
        return out

    def ctrl(self, ctrl: ArrayLike) -> Floats:
        """Turn controls of shape ``(..., nu)``."""
        u = np.asarray(ctrl, dtype=np.float64)
        out = np.empty_like(u)
        out[..., self.actuators] = self.ctrl_signs * u + np.where(self.shifts_control, self.ctrl_offsets, 0.0)
        return out

    @property
    def shifts_control(self) -> NDArray[np.bool_]:
        """Whether an offset is one of the control.

        Where the control is integrated, only its integral has one, ``(nu,)``.
        """
        return np.asarray(self.model.actuator_dyntype[: self.model.nu] != _INTEGRATOR)

    def act(self, act: ArrayLike) -> Floats:
        """Turn activations of shape ``(..., na)``."""
        a = np.asarray(act, dtype=np.float64)
        out = np.empty_like(a)
        m = self.model
        for k in np.flatnonzero(m.actuator_actadr >= 0):
            image = self.actuators[k]
            for i in range(m.actuator_actnum[k]):
                last = i == m.actuator_actnum[k] - 1  # only the last one plays the part of the control
                offset = self.ctrl_offsets[k] if last else 0.0
                sign = 1.0 if i == _temperature(m, int(k)) else self.ctrl_signs[k]
                out[..., m.actuator_actadr[image] + i] = sign * a[..., m.actuator_actadr[k] + i] + offset
        return out

    def sensordata(self, data: ArrayLike) -> Floats:
        """Turn sensor readings of shape ``(..., nsensordata)``."""
        return np.asarray(data, dtype=np.float64) @ self.sensor_matrix.T + self.sensor_offset

    def vectors(self, v: ArrayLike, axial: bool = False) -> Floats:
        """Turn world vectors of shape ``(..., 3)``; contact forces are polar, contact torques axial."""
        sign = np.linalg.det(self.R) if axial else 1.0
        return sign * np.asarray(v, dtype=np.float64) @ self.R.T

    # ------------------------------------------------------------------ as matrices
    @property
    def scalar_joints(self) -> Ints:
        """Ids of hinges and slides, the joints that a signed permutation describes."""
        return np.flatnonzero((self.model.jnt_type != _FREE) & (self.model.jnt_type != _BALL))

    @property
    def joint_matrix(self) -> Floats:
        """Signed permutation of the hinges and slides, in the order of the model: ``(n, n)``."""
        return signed_permutation(self.joints, self.joint_signs, self.scalar_joints)

    @property
    def ctrl_matrix(self) -> Floats:
        """Signed permutation of the actuators, ``(nu, nu)``."""
        return signed_permutation(self.actuators, self.ctrl_signs, np.arange(self.model.nu))

    @property
    def is_identity(self) -> bool:
        """Whether it moves nothing that a state, a control or a world vector would show."""
        return bool(np.allclose(self.R, np.eye(3), atol=1e-6) and self.relabels_nothing)

    @property
    def relabels_nothing(self) -> bool:
        """Whether every joint, actuator and moving body keeps its place, its sign and its own frame."""
        moving = np.flatnonzero(self.model.body_dofnum > 0)
        rotates = self.frames[
            [b for b in moving if self.model.jnt_type[self.model.body_jntadr[b]] in (_FREE, _BALL)], :3, :3
        ]
        return bool(
            (self.joints == np.arange(len(self.joints))).all()
            and (self.actuators == np.arange(len(self.actuators))).all()
            and (self.joint_signs > 0).all()
            and (self.ctrl_signs > 0).all()
            and np.allclose(rotates, np.eye(3), atol=1e-6)
        )

    def compose(self, other: Symmetry, name: str | None = None) -> Symmetry:
        """The product: first ``other`` acts, then this one."""
        then: dict[str, Any] = {}
        for part in ("bodies", "joints", "geoms", "sites", "tendons", "actuators", "sensors"):
            first, second = getattr(other, part), getattr(self, part)
            then[part] = np.where(first >= 0, second[first], -1)
        signs = self.ctrl_signs[other.actuators]
        return replace(
            self,
            name=name or f"{self.name} * {other.name}",
            R=self.R @ other.R,
            t=self.R @ other.t + self.t,
            frames=self.frames[other.bodies] @ other.frames,
            joint_signs=self.joint_signs[other.joints] * other.joint_signs,
            ctrl_signs=signs * other.ctrl_signs,
            ctrl_offsets=signs * other.ctrl_offsets + self.ctrl_offsets[other.actuators],
            sensor_matrix=self.sensor_matrix @ other.sensor_matrix,
            sensor_offset=self.sensor_matrix @ other.sensor_offset + self.sensor_offset,
            **then,
        )

    def map(self, **changes: Callable[[Any], Any]) -> Symmetry:
        """A copy in which single attributes are changed; for planting wrong maps in tests of checks."""
        return replace(self, **{name: change(getattr(self, name)) for name, change in changes.items()})


def _temperature(model: mujoco.MjModel, k: int) -> int:
    """Which activation of a DC motor is its temperature, which has no sign; -1 if none is."""
    prm = model.actuator_dynprm[k]
    if model.actuator_dyntype[k] != _DC_MOTOR or prm[2] <= 0:  # the thermal resistance
        return -1
    # a limited voltage slope and an integral gain come first, each with a state
    return int(prm[7] > 0) + int(model.actuator_gainprm[k][5] > 0)


def signed_permutation(images: Ints, signs: Floats, members: Ints) -> Floats:
    """Matrix of a signed permutation restricted to some members, which it maps among themselves."""
    row = {int(member): i for i, member in enumerate(members)}
    matrix = np.zeros((len(members), len(members)))
    for i, member in enumerate(members):
        matrix[row[int(images[member])], i] = signs[member]
    return matrix
