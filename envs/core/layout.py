"""How a MuJoCo state turns: the typed layout of ``qpos``, ``qvel`` and the poses of mocap bodies.

MuJoCo mixes conventions that a symmetry has to keep apart: the position and linear velocity of a free joint
are world vectors, its quaternion is a pose, its angular velocity lies in the body's own frame and is axial,
slides along the world's axes are a vector, a hinge about the vertical measures an angle from a fixed direction, all
other hinges are (pseudo)scalars that a relabelling may exchange.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import mujoco
import numpy as np
from numpy.typing import NDArray

from eqrl.arrays import Floats
from eqrl.envs.core.coordinates import BallJoint, Body, Coordinates, FreeBody, MocapBody, Reflection, YawHinge
from eqrl.envs.core.joints import read_joints
from eqrl.symmetry import Element, EntitySet, Group, Representation
from eqrl.symmetry.quaternions import matrix_to_quaternion, quaternion_to_matrix


@dataclass(frozen=True)
class StateLayout:
    """The typed layout of one model's state.

    Attributes:
        bodies: free bodies.
        coordinates: hinges and slides, but for those in ``yaws``.
        entities: entity sets that the coordinates repeat over.
        group: the group that acts.
        yaws: hinges about the vertical on bodies of the world.
        balls: ball joints.
        mocap: mocap bodies.
    """

    bodies: Sequence[FreeBody]
    coordinates: Sequence[Coordinates]
    entities: Sequence[EntitySet]
    group: Group
    yaws: Sequence[YawHinge] = ()
    balls: Sequence[BallJoint] = ()
    mocap: Sequence[MocapBody] = ()

    @classmethod
    def of(
        cls,
        model: mujoco.MjModel,
        group: Group,
        *,
        entities: Sequence[EntitySet] = (),
        members: Mapping[str, Sequence[str]] | None = None,
        reflections: Mapping[str, Reflection] | None = None,
    ) -> StateLayout:
        """The layout of a model, read from its joints.

        Args:
            model: the model.
            group: the group that acts. Where it comes from :func:`eqrl.derive`, its entity sets say where joints go;
                otherwise slides of bodies of the world are vectors, hinges about the vertical there are angles, and
                other joints are scalars.
            entities: entity sets of ``members``.
            members: for an entity set, its members in order: bodies on slides of the world, ``{"hands": ("left",
                "right")}``, or bodies that hang on a moving one by one joint each, as the fingers of a gripper do.
            reflections: for a body that is its own mirror image, the diagonal that a mirror of the world applies to its
                own axes; it counts for the bodies that hang on it too.

        Raises:
            ValueError: naming a joint or body that the group cannot act on as it is declared.
        """
        found = read_joints(model, group, tuple(entities), dict(members or {}), dict(reflections or {}))
        return cls(found.bodies, found.coordinates, found.entities, group, found.yaws, found.balls, found.mocap)

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
        for free in self.bodies:
            at = free.qpos
            position, pose = slice(at, at + 3), slice(at + 3, at + 7)
            out[..., position], out[..., pose] = _moved(free.body, qpos[..., position], qpos[..., pose], g)
        for ball in self.balls:
            pose, frame = slice(ball.qpos, ball.qpos + 4), ball.body.moved_axes(g)
            parent = frame if ball.rest is None else ball.rest.T @ g.R.numpy() @ ball.rest
            turned = parent @ quaternion_to_matrix(qpos[..., pose]) @ np.swapaxes(frame, -1, -2)
            out[..., pose] = matrix_to_quaternion(turned)
        for yaw in self.yaws:
            sign, offset = yaw.moved(g)
            out[..., yaw.qpos] = yaw.zero + sign * (qpos[..., yaw.qpos] - yaw.zero) + yaw.sense * offset
        return out

    def transform_qvel(self, qvel: Floats, g: Element) -> Floats:
        """Velocities (or accelerations) of the transformed world, shape ``(n, nv)``."""
        out = np.array(np.broadcast_to(qvel, (*_batch(qvel, g), qvel.shape[-1])))
        if self.coordinates:
            out[..., self._dof] = self._joints.transform(qvel[..., self._dof], g)
        R = g.R.numpy()
        for free in self.bodies:
            at = free.dof
            out[..., at : at + 3] = _apply(R, qvel[..., at : at + 3])
            out[..., at + 3 : at + 6] = _apply(_axial(free.body.moved_axes(g)), qvel[..., at + 3 : at + 6])
        for ball in self.balls:
            spin = slice(ball.dof, ball.dof + 3)
            out[..., spin] = _apply(_axial(ball.body.moved_axes(g)), qvel[..., spin])
        for yaw in self.yaws:
            out[..., yaw.dof] = yaw.moved(g)[0] * qvel[..., yaw.dof]
        return out

    def transform_mocap(self, position: Floats, quaternion: Floats, g: Element) -> tuple[Floats, Floats]:
        """Poses of the mocap bodies in the transformed world, shapes ``(n, nmocap, 3)`` and ``(n, nmocap, 4)``."""
        position, quaternion = position.copy(), quaternion.copy()
        for mocap in self.mocap:
            at = (..., mocap.index, slice(None))
            position[at], quaternion[at] = _moved(mocap.body, position[at], quaternion[at], g)
        return position, quaternion

    def qpos_difference(self, a: Floats, b: Floats) -> dict[str, float]:
        """Largest absolute difference of each part.

        A quaternion and its opposite are the same pose, so are full turns.
        """
        differences = {c.field.name: _largest(a[..., list(c.qpos)] - b[..., list(c.qpos)]) for c in self.coordinates}
        for yaw in self.yaws:
            turn = a[..., yaw.qpos] - b[..., yaw.qpos]
            differences[yaw.name] = _largest(turn - 2 * np.pi * np.round(turn / (2 * np.pi)))
        for free in self.bodies:
            p = slice(free.qpos, free.qpos + 3)
            differences[f"{free.body.name} position"] = _largest(a[..., p] - b[..., p])
            q = slice(free.qpos + 3, free.qpos + 7)
            differences[f"{free.body.name} orientation"] = _pose_difference(a[..., q], b[..., q])
        for ball in self.balls:
            q = slice(ball.qpos, ball.qpos + 4)
            differences[f"{ball.body.name} orientation"] = _pose_difference(a[..., q], b[..., q])
        return differences


def _moved(body: Body, position: Floats, quaternion: Floats, g: Element) -> tuple[Floats, Floats]:
    R = g.R.numpy()
    axes = R @ quaternion_to_matrix(quaternion) @ np.swapaxes(body.moved_axes(g), -1, -2)
    return _apply(R, position), matrix_to_quaternion(axes)


def _batch(x: Floats, g: Element) -> tuple[int, ...]:
    return np.broadcast_shapes(x.shape[:-1], tuple(g.batch_shape))


def _apply(matrix: Floats, x: Floats) -> Floats:
    moved: Floats = np.einsum("...ij,...j->...i", matrix, x)
    return moved


def _axial(matrix: Floats) -> Floats:
    axial: Floats = np.sign(np.linalg.det(matrix))[..., None, None] * matrix
    return axial


def _largest(x: Floats) -> float:
    return float(np.abs(x).max(initial=0.0))


def _pose_difference(a: Floats, b: Floats) -> float:
    sign = np.where((a * b).sum(-1, keepdims=True) < 0, -1.0, 1.0)
    return _largest(a - sign * b)
