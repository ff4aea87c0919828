"""What one symmetry does to the state of an environment, and to poses as linear maps.

A unit quaternion and its opposite are the same pose, so that a symmetry acts on quaternions up to a sign only. Here the
sign is chosen once for each symmetry, which makes the action linear: ``q -> p_R q p_O^-1`` with fixed p. The group that
such matrices generate may then hold "every quaternion changes its sign" besides, which moves nothing and is a true
symmetry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import mujoco
import numpy as np

from eqrl.arrays import Floats
from eqrl.derivation import Symmetry
from eqrl.proof.quaternion_signs import with_signs_of
from eqrl.symmetry.quaternions import matrix_to_quaternion

_FREE, _BALL = int(mujoco.mjtJoint.mjJNT_FREE), int(mujoco.mjtJoint.mjJNT_BALL)


def _none() -> Floats:
    return np.zeros(0)


@dataclass(frozen=True, eq=False)
class TwinState:
    """State of a twin: that of its simulation, or one vector of positions.

    Attributes:
        qpos: positions, ``(nq,)``.
        qvel: velocities, ``(nv,)``.
        act: activations, ``(na,)``.
        ctrl: last controls, ``(nu,)``.
        mocap_pos: of bodies that are moved by hand, ``(nmocap, 3)``; only of typed twins, as all that follows.
        mocap_quat: their orientations, ``(nmocap, 4)``.
        variables: numbers that the environment keeps itself, by path.
    """

    qpos: Floats
    qvel: Floats = field(default_factory=_none)
    act: Floats = field(default_factory=_none)
    ctrl: Floats = field(default_factory=_none)
    mocap_pos: Floats = field(default_factory=_none)
    mocap_quat: Floats = field(default_factory=_none)
    variables: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Motion:
    """One element of a symmetry group, as it acts on the state of an environment.

    Attributes:
        name: for people.
        R: what it does to world vectors, ``(3, 3)``.
        state: what it does to a state.
        control: its matrix on controls, ``(nu, nu)``.
        symmetry: where it comes from, None where there is no MuJoCo model.
    """

    name: str
    R: Floats
    state: Callable[[TwinState], TwinState]
    control: Floats
    symmetry: Symmetry | None = None


def motion_of(symmetry: Symmetry, name: str | None = None) -> Motion:
    """The action of a model's symmetry on the states of its simulation."""
    matrix = qpos_map(symmetry)[0]

    def act_on(state: TwinState) -> TwinState:
        # of the two quaternions of a pose the one that the linear map gives
        qpos = with_signs_of(symmetry.model, symmetry.qpos(state.qpos), matrix @ state.qpos)
        qvel = symmetry.qvel(state.qvel, state.qpos)
        return replace(state, qpos=qpos, qvel=qvel, act=symmetry.act(state.act), ctrl=symmetry.ctrl(state.ctrl))

    return Motion(name or symmetry.name, symmetry.R, act_on, symmetry.ctrl_matrix, symmetry)


def vector_motion(name: str, matrix: Floats, control: Floats) -> Motion:
    """The action on an environment whose state is one vector, ``(n,)``: a matrix ``(n, n)``, and one on controls."""
    return Motion(name, np.eye(3), lambda state: TwinState(matrix @ state.qpos), control)


def qpos_map(symmetry: Symmetry) -> tuple[Floats, Floats]:
    """Positions go to ``matrix @ qpos + offset``.

    Returns:
        The matrix ``(nq, nq)``, orthogonal, and the offset ``(nq,)``. A free body whose own frame shifts has no such
        map; its offset is NaN.
    """
    m = symmetry.model
    matrix, offset = np.zeros((m.nq, m.nq)), np.zeros(m.nq)
    for j, image in enumerate(symmetry.joints):
        a, b = int(m.jnt_qposadr[j]), int(m.jnt_qposadr[image])
        frame = symmetry.frames[m.jnt_bodyid[j]]
        if m.jnt_type[j] == _FREE:
            matrix[b : b + 3, a : a + 3] = symmetry.R
            offset[b : b + 3] = symmetry.t if np.abs(frame[:3, 3]).max() < 1e-9 else np.nan
            matrix[b + 3 : b + 7, a + 3 : a + 7] = pose_matrix(symmetry.R, frame[:3, :3])
        elif m.jnt_type[j] == _BALL:
            matrix[b, a] = 1.0
            matrix[b + 1 : b + 4, a + 1 : a + 4] = np.linalg.det(frame[:3, :3]) * frame[:3, :3]
        else:
            matrix[b, a] = symmetry.joint_signs[j]
            offset[b] = symmetry.reference[b] - symmetry.joint_signs[j] * symmetry.reference[a]
    return matrix, offset


def qvel_map(symmetry: Symmetry) -> Floats:
    """Velocities go to ``matrix @ qvel``, shape ``(nv, nv)``; where a free body's own frame shifts this is not all."""
    m = symmetry.model
    matrix = np.zeros((m.nv, m.nv))
    for j, image in enumerate(symmetry.joints):
        a, b = int(m.jnt_dofadr[j]), int(m.jnt_dofadr[image])
        frame = symmetry.frames[m.jnt_bodyid[j], :3, :3]
        if m.jnt_type[j] == _FREE:
            matrix[b : b + 3, a : a + 3] = symmetry.R
            matrix[b + 3 : b + 6, a + 3 : a + 6] = np.linalg.det(frame) * frame
        elif m.jnt_type[j] == _BALL:
            matrix[b : b + 3, a : a + 3] = np.linalg.det(frame) * frame
        else:
            matrix[b, a] = symmetry.joint_signs[j]
    return matrix


def pose_matrix(R: Floats, frame: Floats) -> Floats:
    """Matrix of ``E -> R E frame^T`` on quaternions w, x, y, z, shape ``(4, 4)``; exact zeros where there are any."""
    # -R and -frame do the same to E, so that two mirrors can be written as two rotations
    sign = np.sign(np.linalg.det(R))
    left, right = matrix_to_quaternion(sign * R), matrix_to_quaternion(np.sign(np.linalg.det(frame)) * frame)
    rw, rx, ry, rz = right * (1.0, -1.0, -1.0, -1.0)
    times_right = np.array([[rw, -rx, -ry, -rz], [rx, rw, rz, -ry], [ry, -rz, rw, rx], [rz, ry, -rx, rw]])
    lw, lx, ly, lz = left
    left_times = np.array([[lw, -lx, -ly, -lz], [lx, lw, -lz, ly], [ly, lz, lw, -lx], [lz, -ly, lx, lw]])
    product: Floats = left_times @ times_right
    product[np.abs(product) < 1e-12] = 0.0
    # the lift that fixes as much as it can: a mirror then is its own inverse
    if np.trace(product) < 0 or (np.trace(product) == 0 and product[np.nonzero(product)][0] < 0):
        product = -product
    return product
