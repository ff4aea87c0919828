"""A free end effector: a sphere on slides, driven by a velocity servo that has the same gain along every axis."""

from __future__ import annotations

import mujoco
import numpy as np

from eqrl.arrays import Floats

_AXES = np.eye(3)


def add_effector(
    spec: mujoco.MjSpec,
    dims: int,
    radius: float,
    height: float,
    gain: float,
    mass: float,
    name: str = "effector",
    **geom: object,
) -> None:
    """Add the effector and its servos.

    Args:
        spec: the model.
        dims: 2 for slides along x and y, 3 for a free point in space.
        radius: of the sphere, m.
        height: of its centre at the origin of the slides, m.
        gain: N of force a m/s of velocity error. The force limit is ``gain`` times the commanded speed; a per-axis
            force range would break the rotation symmetry.
        mass: kg.
        name: of the body; its joints and servos are ``x``, ``y`` and ``z`` with this name before them where it is
            another one.
        geom: further attributes of the sphere.
    """
    body = spec.worldbody.add_body(name=name, pos=[0, 0, height], gravcomp=1.0)
    sphere = mujoco.mjtGeom.mjGEOM_SPHERE
    body.add_geom(name=name, type=sphere, size=[radius, 0, 0], mass=mass, rgba=[0.93, 0.55, 0.2, 1], **geom)
    for i, letter in enumerate("xyz"[:dims]):
        axis = letter if name == "effector" else f"{name}_{letter}"
        body.add_joint(name=axis, type=mujoco.mjtJoint.mjJNT_SLIDE, axis=_AXES[i])
        servo = spec.add_actuator(name=axis, target=axis, trntype=mujoco.mjtTrn.mjTRN_JOINT)
        servo.gainprm[0] = gain
        servo.biastype = mujoco.mjtBias.mjBIAS_AFFINE
        servo.biasprm[2] = -gain


def velocity_command(action: Floats, position: Floats, speed: float, reach: float) -> Floats:
    """Commanded velocities: actions clipped to the unit ball, and no further out than the workspace.

    Args:
        action: shape ``(*batch, dims)``.
        position: of the effector relative to the workspace's centre, same shape, m.
        speed: at an action of length 1, m/s.
        reach: radius of the workspace, m.
    """
    length = np.sqrt((action * action).sum(axis=-1, keepdims=True))
    velocity = speed * action / np.maximum(length, 1.0)
    distance = np.sqrt((position * position).sum(axis=-1, keepdims=True))
    outward = position / np.maximum(distance, 1e-9)
    leaving = np.maximum((velocity * outward).sum(axis=-1, keepdims=True), 0.0)
    inside: Floats = velocity - np.where(distance > reach, leaving, 0.0) * outward
    return inside
