"""A gripper with two fingers on a free wrist: slides along x, y, z, a yaw hinge, and fingers on mirrored slides.

All joints are driven by velocity servos with the same gain along every axis, and weights are compensated, so that a
turn about the vertical, a mirror, and the exchange of the two fingers are exact symmetries.
"""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np

from eqrl.arrays import Floats
from eqrl.envs.core.coordinates import Reflection
from eqrl.envs.scenes.effectors import velocity_command
from eqrl.symmetry import Generator, Group, finite_group

FINGERS = ("left finger", "right finger")
TIP_RADIUS = 0.012  # of the pads, m
OPENING = 0.045  # largest distance of a pad's surface from the middle, m
REFLECTION: Reflection = (-1.0, 1.0, 1.0)  # what a mirror of the world does to the gripper's own axes: fingers stay
_STEEL, _RUBBER = [0.35, 0.38, 0.42, 1.0], [0.93, 0.55, 0.2, 1.0]
_AXES = np.eye(3)


def add_gripper(
    spec: mujoco.MjSpec,
    height: float,
    gain: float = 60.0,
    yaw_gain: float = 0.4,
    squeeze: float = 30.0,
    friction: float = 1.0,
    **pad: Any,
) -> None:
    """Add a gripper that points down, whose origin lies between the tips of its fingers.

    The fingers are bodies of their own, which an equality holds at equal distances from the middle: two servos alone
    would let them drift sideways together. Their pads are upright capsules: where two faces of boxes touch, rounding
    decides about the contact points, and a turned world would go another way.

    Args:
        spec: the model; it gets a body ``"gripper"``, the bodies ``FINGERS``, the joint ``"gripper_yaw"``, and servos
            of x, y, z, yaw and the two fingers, in this order.
        height: of its origin at the origin of the slides, m.
        gain: N a m/s of velocity error of the wrist, which sinks at the weight of what it holds over ``gain``. The
            force limit is ``gain`` times the commanded speed; a force range an axis would break the rotation symmetry.
        yaw_gain: N m a rad/s.
        squeeze: N a m/s of each finger.
        friction: sliding friction of the pads.
        pad: further attributes of the pads' geoms.
    """
    wrist = spec.worldbody.add_body(name="gripper", pos=[0, 0, height], gravcomp=1.0)
    for i, axis in enumerate("xyz"):
        wrist.add_joint(name=f"gripper_{axis}", type=mujoco.mjtJoint.mjJNT_SLIDE, axis=_AXES[i])
    wrist.add_joint(name="gripper_yaw", type=mujoco.mjtJoint.mjJNT_HINGE, axis=[0, 0, 1], armature=2e-3)
    box, capsule = mujoco.mjtGeom.mjGEOM_BOX, mujoco.mjtGeom.mjGEOM_CAPSULE
    wrist.add_geom(
        name="palm", type=box, pos=[0, 0, 0.105], size=[0.018, 0.075, 0.015], mass=0.4, rgba=_STEEL,
        contype=0, conaffinity=0,
    )  # fmt: skip
    for name, side in zip(FINGERS, (1.0, -1.0), strict=True):
        finger = wrist.add_body(name=name, pos=[0, side * TIP_RADIUS, 0], gravcomp=1.0)
        finger.add_joint(
            name=name, type=mujoco.mjtJoint.mjJNT_SLIDE, axis=[0, side, 0], limited=True, range=[0.0, OPENING],
            armature=0.02,
        )  # fmt: skip
        finger.add_geom(
            name=name, type=capsule, fromto=[0, 0, 0, 0, 0, 0.06], size=[TIP_RADIUS, 0, 0], mass=0.05, rgba=_RUBBER,
            condim=4, friction=[friction, 0.02, 0.0001], **pad,
        )  # fmt: skip
        finger.add_geom(
            type=box, pos=[0, 0, 0.075], size=[0.008, 0.008, 0.02], mass=0.02, rgba=_STEEL, contype=0, conaffinity=0,
        )  # fmt: skip
    coupled = spec.add_equality(
        name="fingers", type=mujoco.mjtEq.mjEQ_JOINT, name1=FINGERS[0], name2=FINGERS[1], solref=[0.01, 1.0]
    )
    coupled.objtype = mujoco.mjtObj.mjOBJ_JOINT
    coupled.data[:5] = (0.0, 1.0, 0.0, 0.0, 0.0)
    gains = {**{f"gripper_{axis}": gain for axis in "xyz"}, "gripper_yaw": yaw_gain, **dict.fromkeys(FINGERS, squeeze)}
    for joint, strength in gains.items():
        servo = spec.add_actuator(name=joint, target=joint, trntype=mujoco.mjtTrn.mjTRN_JOINT)
        servo.gainprm[0] = strength
        servo.biastype = mujoco.mjtBias.mjBIAS_AFFINE
        servo.biasprm[2] = -strength


def half_turn(entities: str) -> Group:
    """The group of the gripper itself: half a turn of it, which exchanges its fingers.

    Args:
        entities: name of the entity set of the fingers.
    """
    h = {entities: np.eye(2)[::-1], "gripper axes": np.diag([-1.0, -1.0, 1.0])}
    return finite_group("C2", [Generator.of("half a turn of the gripper", None, h)])


def gripper_command(
    action: Floats, position: Floats, speed: float, yaw_speed: float, grip_speed: float, reach: float
) -> Floats:
    """Controls of the gripper's servos, shape ``(n, 6)``.

    Args:
        action: linear velocity (3), yaw rate and grip, shape ``(n, 5)``. The velocity is clipped to the unit ball, the
            two others to [-1, 1]; a grip of 1 closes, -1 opens.
        position: of the gripper relative to the workspace's centre, ``(n, 3)``, m.
        speed: of the wrist at a velocity of length 1, m/s.
        yaw_speed: at a yaw rate of 1, rad/s.
        grip_speed: of each finger at a grip of 1, m/s; pressed against an object they squeeze with ``squeeze`` times
            this force.
        reach: radius of the workspace, m.
    """
    turn, grip = np.clip(action[:, 3:4], -1.0, 1.0), np.clip(action[:, 4:5], -1.0, 1.0)
    linear = velocity_command(action[:, :3], position, speed, reach)
    return np.concatenate([linear, yaw_speed * turn, np.repeat(-grip_speed * grip, 2, axis=1)], axis=1)
