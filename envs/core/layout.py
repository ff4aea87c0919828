"""How a MuJoCo state turns: the typed layout of ``qpos`` and ``qvel``.

MuJoCo mixes conventions that a symmetry has to keep apart: the position and linear velocity of a free joint
are world vectors, its quaternion is a pose, its angular velocity lies in the body's own frame and is axial,
hinges are (pseudo)scalars that a relabelling may exchange.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from eqrl.symmetry import Element, EntitySet, Field, Group, Representation

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class FreeBody:
    """A body on a free joint.

    Attributes:
        name: of the body, for messages.
        qpos: address of its seven coordinates.
        dof: address of its six velocities.
        frame: entity set of size 3 whose matrix O_h moves the body's own axes, or None if no element names it.
        reflection: diagonal of the O_h that goes with every mirror of the world, for a body that is its own mirror
            image and has no frame; None if it is not.
    """

    name: str
    qpos: int
    dof: int
    frame: str | None = None
    reflection: tuple[float, float, float] | None = None

    def own_axes(self, g: Element) -> Floats:
        """The matrices O_h that move the body's axes, shape ``(*batch, 3, 3)``.

        Raises:
            ValueError: for a mirror that the body's shape does not allow.
        """
        if self.frame is not None:
            frame: Floats = g.matrix(self.frame, 3).numpy()
            return frame
        mirrored = (np.linalg.det(g.R.numpy()) < 0)[..., None, None]
        if self.reflection is None:
            if mirrored.any():
                raise ValueError(f"body {self.name!r} is not its own mirror image, so no mirror can act on it")
            return np.broadcast_to(np.eye(3), g.R.shape)
        return np.where(mirrored, np.diag(self.reflection), np.eye(3))


@dataclass(frozen=True)
class Coordinates:
    """Hinges or slides that a field describes.

    Attributes:
        field: name and irreps; three slides along x, y, z are one ``1x1o``, a set of hinges over limbs
            ``1x0e`` or ``1x0o`` (if a mirror flips them) over their entity set.
        qpos: addresses in ``qpos``, in the order of the field.
        dof: addresses in ``qvel``, likewise.
    """

    field: Field
    qpos: tuple[int, ...]
    dof: tuple[int, ...]


@dataclass(frozen=True)
class StateLayout:
    """The typed layout of one model's state.

    Attributes:
        bodies: free bodies.
        coordinates: all other joints.
        entities: entity sets that the coordinates repeat over.
        group: the group that acts.
    """

    bodies: Sequence[FreeBody]
    coordinates: Sequence[Coordinates]
    entities: Sequence[EntitySet]
    group: Group

    @cached_property
    def _joints(self) -> Representation:
        return Representation(tuple(c.field for c in self.coordinates), tuple(self.entities), self.group)

    @cached_property
    def _qpos(self) -> NDArray[np.int64]:
        return np.array([a for c in self.coordinates for a in c.qpos], dtype=np.int64)

    @cached_property
    def _dof(self) -> NDArray[np.int64]:
        return np.array([a for c in self.coordinates for a in c.dof], dtype=np.int64)

    def transform_qpos(self, qpos: Floats, g: Element) -> Floats:
        """Positions of the transformed world, shape ``(n, nq)``."""
        out = np.array(np.broadcast_to(qpos, (*_batch(qpos, g), qpos.shape[-1])))
        if self.coordinates:
            out[..., self._qpos] = self._joints.transform(qpos[..., self._qpos], g)
        R = g.R.numpy()
        for body in self.bodies:
            at = body.qpos
            out[..., at : at + 3] = _apply(R, qpos[..., at : at + 3])
            axes = R @ quaternion_to_matrix(qpos[..., at + 3 : at + 7]) @ np.swapaxes(body.own_axes(g), -1, -2)
            out[..., at + 3 : at + 7] = matrix_to_quaternion(axes)
        return out

    def qpos_difference(self, a: Floats, b: Floats) -> dict[str, float]:
        """Largest absolute difference of each part; a quaternion and its opposite are the same pose."""
        found = {c.field.name: _largest(a[..., list(c.qpos)] - b[..., list(c.qpos)]) for c in self.coordinates}
        for body in self.bodies:
            p, q = slice(body.qpos, body.qpos + 3), slice(body.qpos + 3, body.qpos + 7)
            sign = np.where((a[..., q] * b[..., q]).sum(-1, keepdims=True) < 0, -1.0, 1.0)
            found[f"{body.name} position"] = _largest(a[..., p] - b[..., p])
            found[f"{body.name} orientation"] = _largest(a[..., q] - sign * b[..., q])
        return found

    def transform_qvel(self, qvel: Floats, g: Element) -> Floats:
        """Velocities (or accelerations) of the transformed world, shape ``(n, nv)``."""
        out = np.array(np.broadcast_to(qvel, (*_batch(qvel, g), qvel.shape[-1])))
        if self.coordinates:
            out[..., self._dof] = self._joints.transform(qvel[..., self._dof], g)
        R = g.R.numpy()
        for body in self.bodies:
            at = body.dof
            out[..., at : at + 3] = _apply(R, qvel[..., at : at + 3])
            own = body.own_axes(g)
            axial = np.sign(np.linalg.det(own))[..., None, None] * own
            out[..., at + 3 : at + 6] = _apply(axial, qvel[..., at + 3 : at + 6])
        return out


def _batch(x: Floats, g: Element) -> tuple[int, ...]:
    return np.broadcast_shapes(x.shape[:-1], tuple(g.batch_shape))


def _apply(matrix: Floats, x: Floats) -> Floats:
    moved: Floats = np.einsum("...ij,...j->...i", matrix, x)
    return moved


def _largest(x: Floats) -> float:
    return float(np.abs(x).max(initial=0.0))


def quaternion_to_matrix(q: Floats) -> Floats:
    """Rotation matrices ``(*batch, 3, 3)`` of unit quaternions ``(*batch, 4)`` in MuJoCo's order w, x, y, z."""
    w, x, y, z = np.moveaxis(q / np.linalg.norm(q, axis=-1, keepdims=True), -1, 0)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return np.stack(rows, axis=-1).reshape(*q.shape[:-1], 3, 3)


def matrix_to_quaternion(matrix: Floats) -> Floats:
    """Unit quaternions ``(*batch, 4)`` of rotation matrices ``(*batch, 3, 3)``, accurate for every angle.

    Takes the eigenvector of the largest eigenvalue of the 4x4 form of Bar-Itzhack (2000), which has no branch to lose
    digits in.
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
    q: Floats = np.linalg.eigh(k)[1][..., -1]  # eigh reads the lower triangle only
    return q * np.where(q[..., :1] < 0, -1.0, 1.0)


def yaw_quaternion(angle: float) -> Floats:
    """Quaternion of a rotation about +z by ``angle`` radians."""
    return np.array([np.cos(angle / 2), 0.0, 0.0, np.sin(angle / 2)])
