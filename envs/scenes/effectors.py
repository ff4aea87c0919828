"""End effectors and held objects: bodies on slides, driven by velocity servos of the same gain along every axis."""

from __future__ import annotations

from typing import Any

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
    add_slides(spec, body, dims, gain, "" if name == "effector" else f"{name}_")


def add_slides(spec: mujoco.MjSpec, body: Any, dims: int, gain: float, prefix: str = "") -> None:
    """Add slides along x, y (and z), and a velocity servo of the same gain for each.

    Args:
        spec: the model.
        body: a body of the world.
        dims: 2 for slides along x and y, 3 for a free point in space.
        gain: N of force a m/s of velocity error.
        prefix: of the names of joints and servos, which are ``x``, ``y`` and ``z``.
    """
    for i, letter in enumerate("xyz"[:dims]):
        axis = f"{prefix}{letter}"
        body.add_joint(name=axis, type=mujoco.mjtJoint.mjJNT_SLIDE, axis=_AXES[i])
        _add_servo(spec, axis, gain)


def add_yaw(spec: mujoco.MjSpec, body: Any, gain: float, name: str = "yaw") -> None:
    """Add a hinge about the vertical and its velocity servo.

    Args:
        spec: the model.
        body: on slides of the world.
        gain: N m of torque a rad/s of velocity error.
        name: of the joint and its servo.
    """
    body.add_joint(name=name, type=mujoco.mjtJoint.mjJNT_HINGE, axis=_AXES[2])
    _add_servo(spec, name, gain)


def add_grip(
    spec: mujoco.MjSpec, body: Any, name: str, position: tuple[float, float, float], gain: float, spin_gain: float
) -> None:
    """Add a site at which a hand holds a free body, and its velocity servos along the world's axes.

    Args:
        spec: the model.
        body: on a free joint.
        name: of the site; its servos are this name and ``x``, ``y``, ``z``, then ``roll``, ``pitch``, ``yaw``.
        position: in the body's frame, m.
        gain: N of force a m/s of velocity error.
        spin_gain: N m of torque a rad/s; 0 for a ball joint, which leaves turns to the forces.
    """
    if not any(site.name == "world" for site in spec.worldbody.sites):
        spec.worldbody.add_site(name="world", rgba=[0, 0, 0, 0])
    body.add_site(name=name, pos=position, size=[0.012] * 3, rgba=[0.93, 0.55, 0.2, 1])
    words = ("x", "y", "z", "roll", "pitch", "yaw")
    for i, (word, size) in enumerate(zip(words, [gain] * 3 + [spin_gain] * 3, strict=True)):
        if size == 0.0:
            continue
        site = mujoco.mjtTrn.mjTRN_SITE
        servo = spec.add_actuator(name=f"{name}_{word}", target=name, refsite="world", trntype=site)
        servo.gear = np.eye(6)[i]
        _set_gain(servo, size)


def _add_servo(spec: mujoco.MjSpec, joint: str, gain: float) -> None:
    servo = spec.add_actuator(name=joint, target=joint, trntype=mujoco.mjtTrn.mjTRN_JOINT)
    _set_gain(servo, gain)


def _set_gain(servo: Any, gain: float) -> None:
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
    return kept_inside(clipped(action, speed), position, reach)


def clipped(action: Floats, speed: float) -> Floats:
    """Velocities of actions that are clipped to the unit ball, ``(*batch, dims)``, in units of ``speed``."""
    length = np.sqrt((action * action).sum(axis=-1, keepdims=True))
    velocity: Floats = speed * action / np.maximum(length, 1.0)
    return velocity


def kept_inside(velocity: Floats, position: Floats, reach: float) -> Floats:
    """Velocities ``(*batch, dims)`` without what leads further out of a ball of radius ``reach`` m, or a disc."""
    distance = np.sqrt((position * position).sum(axis=-1, keepdims=True))
    outward = position / np.maximum(distance, 1e-9)
    leaving = np.maximum((velocity * outward).sum(axis=-1, keepdims=True), 0.0)
    inside: Floats = velocity - np.where(distance > reach, leaving, 0.0) * outward
    return inside


def kept_between(velocity: Floats, height: Floats, low: float, high: float) -> Floats:
    """Vertical velocities that lead no further below ``low`` m nor above ``high``, same shapes."""
    upward = np.where(height < low, np.maximum(velocity, 0.0), velocity)
    kept: Floats = np.where(height > high, np.minimum(upward, 0.0), upward)
    return kept
