"""What a MuJoCo state consists of: bodies with an orientation, and hinges and slides that a field describes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eqrl.arrays import Floats
from eqrl.symmetry import Element, Field

Reflection = tuple[float, float, float]


@dataclass(frozen=True)
class Body:
    """A body whose orientation is part of the state.

    Attributes:
        name: of the body, for messages.
        frame: entity set of size 3 whose matrix O_h moves the body's own axes, or None if no element names it.
        reflection: diagonal of the O_h that goes with every mirror of the world, for a body that is its own mirror
            image; None if it is not. Where the body has a frame too, it goes with those mirrors of the world that the
            frame does not follow with a mirror of its own.
    """

    name: str
    frame: str | None = None
    reflection: Reflection | None = None

    def moved_axes(self, g: Element) -> Floats:
        """The matrices O_h that move the body's axes, shape ``(*batch, 3, 3)``.

        Raises:
            ValueError: for a mirror that the body's shape does not allow.
        """
        frame = np.broadcast_to(np.eye(3), g.R.shape) if self.frame is None else g.matrix(self.frame, 3).numpy()
        mirrored = (np.linalg.det(g.R.numpy()) * np.linalg.det(frame) < 0)[..., None, None]
        if self.reflection is None:
            if mirrored.any():
                raise ValueError(f"body {self.name!r} is not its own mirror image, so no mirror can act on it")
            return frame
        return np.where(mirrored, frame @ np.diag(self.reflection), frame)


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
        rest: the body's orientation in the world at quaternion 1 where its parent stands still or only slides, ``(3,
            3)``; None where the parent turns, and is turned as this body is.
    """

    body: Body
    qpos: int
    dof: int
    rest: Floats | None = None


@dataclass(frozen=True)
class YawHinge:
    """A hinge about the vertical on a body of the world.

    Its coordinate measures from a fixed direction, so a turn adds to it.

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
