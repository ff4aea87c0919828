"""What the Unitree G1 has besides its MJCF: motors, their inertia, and how it stands.

The wheel of mjlab keeps these in Python. The numbers are Unitree's, as mjlab 1.6.0 (Apache-2.0) states them: a servo
has ten oscillations a second about its own reflected inertia, and twice the critical damping.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import mujoco

from eqrl.envs.robots.standing import add_pose

_FREQUENCY = 2.0 * math.pi * 10.0  # rad/s
_DAMPING_RATIO = 2.0


@dataclass(frozen=True)
class Motor:
    """A motor with a planetary gear of two stages.

    Attributes:
        rotors: inertia of the rotor and of what turns with each stage, kg m^2.
        gears: ratio of each stage.
        torque: the largest, N m.
        count: how many act on a joint together.
    """

    rotors: tuple[float, float, float]
    gears: tuple[float, float]
    torque: float
    count: int = 1

    @property
    def inertia(self) -> float:
        """Reflected to the joint, kg m^2."""
        first, second = self.gears
        rotor, middle, last = self.rotors
        return self.count * (rotor * (first * second) ** 2 + middle * second**2 + last)


_SMALL_ROTORS, _SMALL_GEARS = (1.39e-5, 1.7e-6, 1.69e-5), (1 + 46 / 18, 1 + 56 / 16)
_SMALL = Motor(_SMALL_ROTORS, _SMALL_GEARS, 25.0)
_PAIR = Motor(_SMALL_ROTORS, _SMALL_GEARS, 25.0, count=2)
_MIDDLE = Motor((4.89e-5, 9.8e-6, 5.33e-5), (4.5, 1 + 48 / 22), 88.0)
_LARGE = Motor((4.89e-5, 1.09e-5, 7.38e-5), (4.5, 5.0), 139.0)
_WRIST = Motor((6.8e-6, 0.0, 0.0), (5.0, 5.0), 5.0)
# by the end of a joint's name
MOTORS: Mapping[str, Motor] = {
    "hip_pitch": _MIDDLE, "hip_roll": _LARGE, "hip_yaw": _MIDDLE, "knee": _LARGE,
    "ankle_pitch": _PAIR, "ankle_roll": _PAIR, "waist_yaw": _MIDDLE, "waist_roll": _PAIR, "waist_pitch": _PAIR,
    "shoulder_pitch": _SMALL, "shoulder_roll": _SMALL, "shoulder_yaw": _SMALL, "elbow": _SMALL,
    "wrist_roll": _SMALL, "wrist_pitch": _WRIST, "wrist_yaw": _WRIST,
}  # fmt: skip
# knees bent; what is not here is 0
POSE: Mapping[str, float] = {
    "hip_pitch": -0.312, "knee": 0.669, "ankle_pitch": -0.363, "elbow": 0.6, "shoulder_pitch": 0.2,
    "left_shoulder_roll": 0.2, "right_shoulder_roll": -0.2,
}  # fmt: skip


def complete(spec: mujoco.MjSpec) -> None:
    """Add servos, the inertia of their motors, and the pose as a keyframe."""
    pose = {}
    for joint in spec.joints:
        if joint.type == mujoco.mjtJoint.mjJNT_FREE:
            continue
        name = joint.name.removesuffix("_joint")
        side_less = name.removeprefix("left_").removeprefix("right_")
        motor = MOTORS[side_less]
        joint.armature = motor.inertia
        servo = spec.add_actuator(name=name, target=joint.name, trntype=mujoco.mjtTrn.mjTRN_JOINT)
        servo.set_to_position(kp=motor.inertia * _FREQUENCY**2, kv=2.0 * _DAMPING_RATIO * motor.inertia * _FREQUENCY)
        servo.forcelimited, servo.forcerange = True, [-motor.torque, motor.torque]
        pose[joint.name] = POSE.get(name, POSE.get(side_less, 0.0))
    add_pose(spec, "knees bent", pose)
