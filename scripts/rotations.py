"""Random directions and rotations, and rotations in the forms that MuJoCo reads."""

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def unit(rng: np.random.Generator) -> Floats:
    """A random direction."""
    v = rng.standard_normal(3)
    return v / np.linalg.norm(v)


def uniform_rotation(rng: np.random.Generator) -> Floats:
    """A rotation matrix drawn uniformly, by the QR decomposition of a normal matrix."""
    q, r = np.linalg.qr(rng.standard_normal((3, 3)))
    q = q * np.sign(np.diag(r))
    return q * np.linalg.det(q)


def about(axis: Floats, angle: float) -> Floats:
    """Rotation matrix about an axis by an angle in radians."""
    quat, out = np.empty(4), np.empty(9)
    mujoco.mju_axisAngle2Quat(quat, axis, angle)
    mujoco.mju_quat2Mat(out, quat)
    return out.reshape(3, 3)


def quat(rotation: ArrayLike) -> Floats:
    """Unit quaternion of a rotation matrix."""
    q = np.empty(4)
    mujoco.mju_mat2Quat(q, np.ascontiguousarray(rotation).ravel())
    return q
