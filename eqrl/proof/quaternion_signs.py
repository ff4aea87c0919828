"""A quaternion and its opposite are the same orientation.

Where they are in positions, and how to give them equal signs.
"""

from __future__ import annotations

import mujoco
import numpy as np

from eqrl.arrays import Floats

_START = {int(mujoco.mjtJoint.mjJNT_FREE): 3, int(mujoco.mjtJoint.mjJNT_BALL): 0}


def quaternion_slices(model: mujoco.MjModel) -> list[slice]:
    """Where the quaternions of free and ball joints are in ``qpos``."""
    starts = [
        int(a) + _START[int(kind)]
        for a, kind in zip(model.jnt_qposadr, model.jnt_type, strict=True)
        if int(kind) in _START
    ]
    return [slice(start, start + 4) for start in starts]


def with_signs_of(model: mujoco.MjModel, qpos: Floats, like: Floats) -> Floats:
    """Positions ``(..., nq)`` with every quaternion on the side of that of ``like``, which may be a single one."""
    out = qpos.copy()
    for q in quaternion_slices(model):
        out[..., q] *= np.where((out[..., q] * like[..., q]).sum(-1, keepdims=True) < 0, -1.0, 1.0)
    return out
