"""Compare how bodies move with how a map of positions and velocities claims they do.

There is no dynamics: positions are integrated under constant velocities.
"""

from __future__ import annotations

import mujoco
import numpy as np

from eqrl.arrays import Floats
from eqrl.derivation.symmetry import Symmetry
from eqrl.proof.differences import claimed_bodies
from eqrl.proof.rollout import turn_poses, turn_starts
from eqrl.proof.states import Starts
from eqrl.proof.trial import Trial

_LEAST_DT = 1e-3


def kinematic_gaps(trial: Trial, symmetry: Symmetry) -> Floats:
    """Differences of poses while everything moves on at its first velocity; columns as in ``differences``."""
    model, steps = trial.model, len(trial.controls)
    dt = max(model.opt.timestep * trial.frame_skip, _LEAST_DT)
    a = glide(model, trial.starts, steps, dt)
    b = glide(model, turn_starts(symmetry, trial.starts), steps, dt)
    gap = pose_gaps(symmetry, a, b)
    columns = model.nq + model.nv + model.na + _sensors(symmetry)
    return np.concatenate([np.zeros((*gap.shape[:2], columns)), gap], axis=-1)


def glide(model: mujoco.MjModel, starts: Starts, steps: int, dt: float) -> Floats:
    """Poses of the bodies, ``(steps + 1, n, nbody, 4, 4)``, under constant velocities."""
    data = mujoco.MjData(model)
    poses = np.tile(np.eye(4), (steps + 1, len(starts), model.nbody, 1, 1))
    for i in range(len(starts)):
        q = starts.qpos[i].copy()
        if model.nmocap:
            data.mocap_pos[:], data.mocap_quat[:] = starts.mocap_pos[i], starts.mocap_quat[i]
        for k in range(steps + 1):
            data.qpos[:] = q
            mujoco.mj_kinematics(model, data)
            poses[k, i, :, :3, :3] = data.xmat.reshape(-1, 3, 3)
            poses[k, i, :, :3, 3] = data.xpos
            mujoco.mj_integratePos(model, q, starts.qvel[i], dt)
    return poses


def pose_gaps(symmetry: Symmetry, a: Floats, b: Floats) -> Floats:
    """Differences between the images of poses ``a`` and poses ``b``: places, then axes, ``(steps, n, 2 * nbody)``."""
    gap = turn_poses(symmetry, a) - b
    gap[..., ~claimed_bodies(symmetry), :, :] = 0.0
    return np.concatenate([np.abs(gap[..., :3, 3]).max(-1), np.abs(gap[..., :3, :3]).max((-1, -2))], axis=-1)


def _sensors(symmetry: Symmetry) -> int:
    return int(symmetry.model.sensor_dim[symmetry.sensors >= 0].sum())
