"""Unit quaternions in MuJoCo's order w, x, y, z, and the rotation matrices that they represent."""

from __future__ import annotations

import numpy as np

from eqrl.arrays import Floats


def quaternion_to_matrix(q: Floats) -> Floats:
    """Rotation matrices ``(*batch, 3, 3)`` of quaternions ``(*batch, 4)`` of any length, ordered w, x, y, z."""
    w, x, y, z = np.moveaxis(q / np.linalg.norm(q, axis=-1, keepdims=True), -1, 0)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return np.stack(rows, axis=-1).reshape(*q.shape[:-1], 3, 3)


def matrix_to_quaternion(matrix: Floats) -> Floats:
    """Unit quaternions ``(*batch, 4)`` of rotation matrices ``(*batch, 3, 3)``, accurate for every angle.

    The quaternion is the eigenvector of the largest eigenvalue of a 4x4 matrix (Bar-Itzhack, 2000). This method has no
    case distinctions, and so no angles at which digits cancel.
    """
    m = matrix
    t = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    k = np.zeros((*m.shape[:-2], 4, 4))
    k[..., 0, 0] = t[0] + t[1] + t[2]
    k[..., 1, 1] = t[0] - t[1] - t[2]
    k[..., 2, 2] = t[1] - t[0] - t[2]
    k[..., 3, 3] = t[2] - t[0] - t[1]
    k[..., 1, 0] = m[..., 2, 1] - m[..., 1, 2]
    k[..., 2, 0] = m[..., 0, 2] - m[..., 2, 0]
    k[..., 3, 0] = m[..., 1, 0] - m[..., 0, 1]
    k[..., 2, 1] = m[..., 1, 0] + m[..., 0, 1]
    k[..., 3, 1] = m[..., 2, 0] + m[..., 0, 2]
    k[..., 3, 2] = m[..., 2, 1] + m[..., 1, 2]
    q: Floats = np.linalg.eigh(k)[1][..., -1]  # eigh reads only the lower triangle
    return q * np.where(q[..., :1] < 0, -1.0, 1.0)


def yaw_quaternion(angle: float) -> Floats:
    """Quaternion of a rotation about +z by ``angle`` radians."""
    return np.array([np.cos(angle / 2), 0.0, 0.0, np.sin(angle / 2)])
