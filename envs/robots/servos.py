"""Position servos: what holds a robot in a pose, read from its model or made from its motors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import mujoco
import numpy as np

from eqrl.arrays import Floats, Ints
from eqrl.envs.robots.drives import drives_of

# of a servo that is made from a motor: its full torque at this angle from the target, rad, and this time over which
# it damps, s. With full torque at 1 rad, legs give way under the robot's weight as soon as targets jitter by 0.1 rad.
FULL_AT = 0.4
DAMPED_OVER = 0.025
_TURN = 2.0 * np.pi


def make_servos(spec: mujoco.MjSpec) -> list[str]:
    """Turn every actuator that is no position servo into one with the same largest force.

    Args:
        spec: a robot whose actuators are on joints; it is changed.

    Returns:
        A remark where anything was changed.

    Raises:
        ValueError: in one line, for an actuator on a tendon.
    """
    model = spec.compile()
    made = []
    for i, drive in enumerate(drives_of(model)):
        if len(drive.shares) > 1 or int(model.actuator_trntype[i]) == int(mujoco.mjtTrn.mjTRN_TENDON):
            raise ValueError(
                f"actuator {drive.name} pulls the tendon of {len(drive.shares)} joints, and only single joints can be"
                " held in a pose; give each joint an actuator of its own"
            )
        if _holds(model, i):
            continue
        ((joint, force),) = drive.strengths.items()
        actuator = spec.actuator(drive.name)
        actuator.set_to_position(kp=force / FULL_AT, kv=force / FULL_AT * DAMPED_OVER)
        actuator.gear[:] = (1.0, 0.0, 0.0, 0.0, 0.0, 0.0)
        actuator.forcelimited, actuator.forcerange = True, [-force, force]
        limited = bool(
            model.jnt_limited[model.joint(joint).id]
        )  # then the range of the controls follows from the joint's
        actuator.ctrllimited, actuator.ctrlrange = (False, [0.0, 0.0]) if limited else (True, [-_TURN, _TURN])
        made.append(force)
    if not made:
        return []
    stiffness = " to ".join(f"{v / FULL_AT:g}" for v in dict.fromkeys((min(made), max(made))))
    return [
        f"{len(made)} motors became position servos with their largest torque at {FULL_AT:g} rad: {stiffness} N m/rad,"
        f" damping over {DAMPED_OVER:g} s"
    ]


@dataclass(frozen=True, eq=False)
class Servos:
    """The position servos of a robot.

    Attributes:
        joints: joint of each, ``(nu,)``.
        qpos: address of its coordinate, ``(nu,)``.
        offset: control of the target 0, ``(nu,)``.
        slope: by how much the control grows with the target, ``(nu,)``.
    """

    joints: Ints
    qpos: Ints
    offset: Floats
    slope: Floats

    @classmethod
    def of(cls, model: mujoco.MjModel) -> Servos:
        """Those of a model whose actuators are all position servos on joints."""
        joints = model.actuator_trnid[: model.nu, 0].astype(np.int64)
        gain, gear = model.actuator_gainprm[:, 0], model.actuator_gear[:, 0]
        constant, stiffness = model.actuator_biasprm[:, 0], model.actuator_biasprm[:, 1]
        return cls(joints, model.jnt_qposadr[joints].astype(np.int64), -constant / gain, -stiffness * gear / gain)

    def controls(self, targets: Floats) -> Floats:
        """Controls with which joints are held at targets, both ``(*batch, nu)``."""
        return self.offset + self.slope * targets


def driven(matrix: Floats, servos: Servos, hinges: Sequence[int]) -> Floats:
    """A signed permutation of hinges, restricted to those that servos drive, in the servos' order."""
    at = {int(joint): k for k, joint in enumerate(hinges)}
    rows = [at[int(joint)] for joint in servos.joints]
    part: Floats = matrix[np.ix_(rows, rows)]
    return part


def _holds(model: mujoco.MjModel, i: int) -> bool:
    """Whether an actuator is a position servo: its force falls with the length that it measures."""
    return (
        int(model.actuator_gaintype[i]) == int(mujoco.mjtGain.mjGAIN_FIXED)
        and int(model.actuator_biastype[i]) == int(mujoco.mjtBias.mjBIAS_AFFINE)
        and float(model.actuator_gainprm[i, 0]) != 0.0
        and float(model.actuator_biasprm[i, 1]) * float(model.actuator_gainprm[i, 0]) < 0.0
    )
