"""Names of isometries, as roboticists say them."""

from __future__ import annotations

import numpy as np

from eqrl.derivation.symmetry import Floats

_AXES = {"x": np.array([1.0, 0, 0]), "y": np.array([0, 1.0, 0]), "z": np.array([0, 0, 1.0])}
_MIRRORS = {"y": "sagittal mirror", "x": "frontal mirror", "z": "horizontal mirror"}
_TURNS = {2: "half turn", 3: "third turn", 4: "quarter turn", 5: "fifth turn", 6: "sixth turn", 8: "eighth turn"}


def name_of(R: Floats) -> str:
    """Name of an orthogonal matrix in the frame of a robot's root: x forward, y to the left, z up."""
    if np.allclose(R, np.eye(3), atol=1e-2):
        return "exchange"
    if np.allclose(R, -np.eye(3), atol=1e-2):
        return "inversion"
    det = np.linalg.det(R)
    angle, axis = angle_axis(det * R)
    if det > 0:
        return f"{_turn(angle)} about {_axis(axis)}"
    # minus a half turn about n is the mirror with normal n
    if abs(angle - np.pi) < 2e-2:
        closest = _closest(axis)
        if closest:
            return _MIRRORS[closest]
        if abs(axis[2]) < 2e-2:
            along = np.rad2deg(np.arctan2(axis[1], axis[0])) + 90.0
            return f"mirror in the vertical plane at {round(along % 180.0):g} degrees"
        return f"mirror with normal {_axis(axis)}"
    # a turn by the angle times an inversion is a turn by the angle plus a half, times the mirror across its axis
    return f"{_turn(np.pi - angle)} about {_axis(axis)} with a mirror across it"


def angle_axis(R: Floats) -> tuple[float, Floats]:
    """Angle in [0, pi] and axis of a rotation matrix."""
    angle = float(np.arccos(np.clip((np.trace(R) - 1.0) / 2.0, -1.0, 1.0)))
    if abs(angle - np.pi) < 1e-4:
        values, vectors = np.linalg.eigh((R + np.eye(3)) / 2.0)
        axis = vectors[:, np.argmax(values)]
    else:
        axis = np.array([R[2, 1] - R[1, 2], R[0, 2] - R[2, 0], R[1, 0] - R[0, 1]])
        axis = axis / max(np.linalg.norm(axis), 1e-12)
    # of the two directions of an axis the one with a positive largest entry
    return angle, axis


def _turn(angle: float) -> str:
    for n, name in _TURNS.items():
        if abs(abs(angle) - 2 * np.pi / n) < 2e-2:
            return name
    return f"turn by {round(np.rad2deg(abs(angle)), 1):g} degrees"


def _axis(axis: Floats) -> str:
    closest = _closest(axis)
    if closest:
        return closest
    axis = axis * np.sign(axis[np.argmax(np.abs(axis))])
    return "(" + ", ".join(f"{v:.2g}" for v in axis + 0.0) + ")"


def _closest(axis: Floats) -> str | None:
    return next((name for name, unit in _AXES.items() if abs(axis @ unit) > 1 - 1e-3), None)
