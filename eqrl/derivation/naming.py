"""Names of isometries, as roboticists call them, and which of them people would choose as generators."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eqrl.arrays import Floats
from eqrl.derivation.symmetry import Rank

_AXES = {"x": np.array([1.0, 0, 0]), "y": np.array([0, 1.0, 0]), "z": np.array([0, 0, 1.0])}
_MIRRORS = {"y": "sagittal mirror", "x": "frontal mirror", "z": "horizontal mirror"}
_TURNS = {2: "half turn", 3: "third turn", 4: "quarter turn", 5: "fifth turn", 6: "sixth turn", 8: "eighth turn"}
# which generators people would choose first: rotations of high order, then the sagittal mirror
_RANK_OF_TURN = {8: 0, 6: 1, 5: 2, 4: 3, 3: 4, 2: 6}
_RANK_OF_OTHER_TURN, _RANK_OF_EXCHANGE, _RANK_OF_OTHER_MIRROR, _LAST = 5, 9, 10, 11
_RANK_OF_MIRROR = {"y": 7, "x": 8, "z": _LAST}


@dataclass(frozen=True)
class Named:
    """The name of an element, and how soon people would choose it as a generator.

    Attributes:
        name: for people.
        kind: rank of its kind, the first ones are chosen first.
        upright: whether it turns about the vertical axis alone, which comes before other turns of its kind.
    """

    name: str
    kind: int = _LAST
    upright: bool = False

    @property
    def rank(self) -> Rank:
        """Smaller ones are chosen first; of those that are alike the one that is described in fewer words."""
        return (self.kind, not self.upright, len(self.name))


def exchange_of(a: str, b: str) -> Named:
    """The exchange of two bodies."""
    return Named(f"exchange of {a} and {b}", _RANK_OF_EXCHANGE)


def isometry(R: Floats) -> Named | None:
    """Name and rank of an orthogonal matrix in the frame of a robot's root: x forward, y to the left, z up.

    None if it does nothing.
    """
    if np.allclose(R, np.eye(3), atol=1e-2):
        return None
    if np.allclose(R, -np.eye(3), atol=1e-2):
        return Named("inversion")
    det = np.linalg.det(R)
    angle, axis = angle_axis(det * R)
    if det > 0:
        return Named(f"{_turn(angle)} about {_axis(axis)}", _rank_of_turn(angle), upright=_closest(axis) == "z")
    # minus a half turn about n is the mirror with normal n
    if abs(angle - np.pi) < 2e-2:
        closest = _closest(axis)
        if closest:
            return Named(_MIRRORS[closest], _RANK_OF_MIRROR[closest])
        if abs(axis[2]) < 2e-2:
            along = np.rad2deg(np.arctan2(axis[1], axis[0])) + 90.0
            return Named(f"mirror in the vertical plane at {round(along % 180.0):g} degrees", _RANK_OF_OTHER_MIRROR)
        return Named(f"mirror with normal {_axis(axis)}", _RANK_OF_OTHER_MIRROR)
    # a turn by the angle times an inversion is a turn by the angle plus a half, times the mirror across its axis
    return Named(f"{_turn(np.pi - angle)} about {_axis(axis)} with a mirror across it", _rank_of_turn(np.pi - angle))


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


def _order(angle: float) -> int | None:
    """After how many turns by this angle all is as before, where that has a name."""
    return next((n for n in _TURNS if abs(abs(angle) - 2 * np.pi / n) < 2e-2), None)


def _turn(angle: float) -> str:
    n = _order(angle)
    return _TURNS[n] if n else f"turn by {round(np.rad2deg(abs(angle)), 1):g} degrees"


def _rank_of_turn(angle: float) -> int:
    n = _order(angle)
    return _RANK_OF_TURN[n] if n else _RANK_OF_OTHER_TURN


def _axis(axis: Floats) -> str:
    closest = _closest(axis)
    if closest:
        return closest
    axis = axis * np.sign(axis[np.argmax(np.abs(axis))])
    return "(" + ", ".join(f"{v:.2g}" for v in axis + 0.0) + ")"


def _closest(axis: Floats) -> str | None:
    return next((name for name, unit in _AXES.items() if abs(axis @ unit) > 1 - 1e-3), None)
