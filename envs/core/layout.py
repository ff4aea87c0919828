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

from eqrl.symmetry import Element, EntitySet, Field, Group, Representation
from eqrl.symmetry.quaternions import matrix_to_quaternion, quaternion_to_matrix

Floats = NDArray[np.float64]
Reflection = tuple[float, float, float]


@dataclass(frozen=True)
class Body:
    """A body whose orientation is part of the state.

    Attributes:
        name: of the body, for messages.
        frame: entity set of size 3 whose matrix O_h moves the body's own axes, or None if no element names it.
        reflection: diagonal of the O_h that goes with every mirror of the world, for a body that is its own mirror
            image and has no frame; None if it is not.
    """

    name: str
    frame: str | None = None
    reflection: Reflection | None = None

    def moved_axes(self, g: Element) -> Floats:
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
class FreeBody:
    """A body on a free joint.

    Attributes:
        body: the body.
        qpos: address of its seven coordinates.
        dof: address of its six velocities.
    """

    body: Body
    qpos: int
    dof: int


@dataclass(frozen=True)
class BallJoint:
    """A ball joint, whose quaternion is relative to the parent.

    Attributes:
        body: the body that it turns.
        qpos: address of its quaternion.
        dof: address of its angular velocity, along the body's own axes.
        rest: the body's orientation in the world at quaternion 1 where its parent stands still, ``(3, 3)``; None where the
            parent moves, and turns as this body does.
    """

    body: Body
    qpos: int
    dof: int
    rest: Floats | None = None


@dataclass(frozen=True)
class YawHinge:
    """A hinge about the vertical on a body of the world: its coordinate measures from a fixed direction, so a turn adds to it.

    Attributes:
        name: of the joint.
        body: the body that it turns.
        qpos: address of its coordinate.
        dof: address of its velocity.
        sense: 1 for an axis that points up, -1 for one that points down.
        zero: the coordinate at which the body has its orientation ``rest``.
        rest: that orientation in the world, ``(3, 3)``.
    """

    name: str
    body: Body
    qpos: int
    dof: int
    sense: float
    zero: float
    rest: Floats

    def moved(self, g: Element) -> tuple[Floats, Floats]:
        """Sign and offset of the affine map of the angle, each of shape ``(*batch,)``."""
        turned = g.R.numpy() @ self.rest @ np.swapaxes(self.body.moved_axes(g), -1, -2) @ self.rest.T
        sign = np.sign(np.linalg.det(g.R.numpy()[..., :2, :2]))
        return sign, np.arctan2(turned[..., 1, 0], turned[..., 0, 0])


@dataclass(frozen=True)
class MocapBody:
    """A body whose pose is an input: a goal, a hole, a hanger.

    Attributes:
        body: the body.
        index: its number among the mocap bodies.
    """

    body: Body
    index: int


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
            group: the group that acts. Where it comes from :func:`eqrl.derive`, its entity sets say where joints go; otherwise slides of
                bodies of the world are vectors, hinges about the vertical there are angles, and other joints are scalars.
            entities: entity sets of ``members``.
            members: for an entity set, the bodies on slides that are its members, in order; ``{"hands": ("left", "right")}``.
            reflections: for a body that is its own mirror image, the diagonal that a mirror of the world applies to its
                own axes; it counts for the bodies that hang on it too.

        Raises:
            ValueError: naming a joint or body that the group cannot act on as it is declared.
        """
        from eqrl.envs.core.joints import read_layout

        return read_layout(model, group, tuple(entities), dict(members or {}), dict(reflections or {}))

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
        """Largest absolute difference of each part; a quaternion and its opposite are the same pose, so are full turns."""
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
