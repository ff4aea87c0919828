"""How far two rollouts differ, column by column, and what the columns are called."""

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import NDArray

from eqrl.arrays import Floats
from eqrl.derivation.symmetry import Symmetry
from eqrl.proof.quaternion_signs import with_signs_of
from eqrl.proof.rollout import Trace

ON_JOINTS = (int(mujoco.mjtTrn.mjTRN_JOINT), int(mujoco.mjtTrn.mjTRN_JOINTINPARENT))
_FREE, _BALL = int(mujoco.mjtJoint.mjJNT_FREE), int(mujoco.mjtJoint.mjJNT_BALL)


def differences(a: Trace, b: Trace, symmetry: Symmetry) -> Floats:
    """Differences of two rollouts, shape ``(steps + 1, n, columns)``, as :func:`column_names` names the columns.

    Velocities, activations and sensor readings count relative to the largest of their kind in that simulation where
    that exceeds 1; quaternions count up to their sign. Sensors that the symmetry leaves out (image -1) are not
    compared.
    """
    model = symmetry.model
    qpos = a.qpos - with_signs_of(model, b.qpos, a.qpos)
    sensors = _relative(a.sensordata, b.sensordata)[..., _compared(symmetry)]
    poses = np.zeros((*a.qpos.shape[:2], 2 * model.nbody))
    gap = a.poses - b.poses
    poses[0, :, : model.nbody] = np.abs(gap[..., :3, 3]).max(-1)
    poses[0, :, model.nbody :] = np.abs(gap[..., :3, :3]).max((-1, -2))
    poses[..., ~np.tile(claimed_bodies(symmetry), 2)] = 0.0
    return np.concatenate(
        [np.abs(qpos), _relative(a.qvel, b.qvel), _relative(a.act, b.act), sensors, poses], axis=-1
    )  # fmt: skip


def column_names(symmetry: Symmetry) -> list[str]:
    """Names of the columns of :func:`differences`, such as ``"position of joint right_hip"``."""
    model = symmetry.model
    positions, velocities = [""] * model.nq, [""] * model.nv
    for j in range(model.njnt):
        a, d, kind = model.jnt_qposadr[j], model.jnt_dofadr[j], int(model.jnt_type[j])
        joint, body = f"joint {joint_name(model, j)}", f"body {body_name(model, int(model.jnt_bodyid[j]))}"
        if kind == _FREE:
            positions[a : a + 7] = [f"position of {body}"] * 3 + [f"orientation of {body}"] * 4
            velocities[d : d + 6] = [f"linear velocity of {body}"] * 3 + [f"angular velocity of {body}"] * 3
        elif kind == _BALL:
            positions[a : a + 4], velocities[d : d + 3] = [f"orientation of {joint}"] * 4, [f"velocity of {joint}"] * 3
        else:
            positions[a], velocities[d] = f"position of {joint}", f"velocity of {joint}"
    activations = [""] * model.na
    for k in np.flatnonzero(model.actuator_actadr >= 0):
        for i in range(model.actuator_actnum[k]):
            activations[model.actuator_actadr[k] + i] = f"activation of actuator {actuator_name(model, int(k))}"
    sensors = [""] * model.nsensordata
    for s in range(model.nsensor):
        where = slice(model.sensor_adr[s], model.sensor_adr[s] + model.sensor_dim[s])
        sensors[where] = [f"sensor {model.sensor(s).name or s}"] * int(model.sensor_dim[s])
    sensors = [name for name, compared in zip(sensors, _compared(symmetry), strict=True) if compared]
    bodies = [body_name(model, b) for b in range(model.nbody)]
    poses = [f"place of body {b}" for b in bodies] + [f"axes of body {b}" for b in bodies]
    return positions + velocities + activations + sensors + poses


def claimed_bodies(symmetry: Symmetry) -> NDArray[np.bool_]:
    """Images whose pose the symmetry predicts: bodies that move, and the first of each welded group, ``(nbody,)``."""
    model = symmetry.model
    heads = np.flatnonzero(
        (model.body_weldid == np.arange(model.nbody)) & (model.body_weldid > 0) & (symmetry.bodies >= 0)
    )
    claimed = np.zeros(model.nbody, dtype=bool)
    claimed[symmetry.bodies[heads]] = True
    return claimed


def joint_name(model: mujoco.MjModel, j: int) -> str:
    """Name of a joint, or its number."""
    return str(model.joint(j).name or j)


def body_name(model: mujoco.MjModel, b: int) -> str:
    """Name of a body, or its number."""
    return str(model.body(b).name or b)


def actuator_name(model: mujoco.MjModel, k: int) -> str:
    """Name of an actuator; where it has none, that of the joint that it moves, or its number."""
    if model.actuator(k).name:
        return str(model.actuator(k).name)
    if int(model.actuator_trntype[k]) in ON_JOINTS:
        return joint_name(model, int(model.actuator_trnid[k, 0]))
    return str(k)


def _compared(symmetry: Symmetry) -> NDArray[np.bool_]:
    model = symmetry.model
    compared = np.zeros(model.nsensordata, dtype=bool)
    for s in np.flatnonzero(symmetry.sensors >= 0):
        compared[model.sensor_adr[s] : model.sensor_adr[s] + model.sensor_dim[s]] = True
    return compared


def _relative(a: Floats, b: Floats) -> Floats:
    if not a.shape[-1]:
        return np.zeros(a.shape)
    scale = np.maximum(1.0, np.abs(a).max(-1, keepdims=True))
    gap: Floats = np.abs(a - b) / scale
    return gap
