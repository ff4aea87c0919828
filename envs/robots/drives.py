"""How actions from -1 to 1 become the controls of any robot's actuators."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import mujoco
import numpy as np

_DYNAMICS = mujoco.mjtDyn
_JOINTS = (int(mujoco.mjtTrn.mjTRN_JOINT), int(mujoco.mjtTrn.mjTRN_JOINTINPARENT))
_TENDON = int(mujoco.mjtTrn.mjTRN_TENDON)
# states that only delay or smooth the control, and that are left out; other dynamics would change its meaning
FORGOTTEN = tuple(int(d) for d in (_DYNAMICS.mjDYN_FILTER, _DYNAMICS.mjDYN_FILTEREXACT, _DYNAMICS.mjDYN_MUSCLE))
_MOVABLE = (int(mujoco.mjtJoint.mjJNT_HINGE), int(mujoco.mjtJoint.mjJNT_SLIDE))


@dataclass(frozen=True)
class Drive:
    """One actuator, which actions at joints control.

    With actions ``a`` at joints its control is ``middle + reach * sum(shares[j] * a[j])``, so that an action above 0
    pushes a joint the way in which its coordinate grows, and actions from -1 to 1 span the actuator's range.

    Attributes:
        name: of the actuator.
        shares: for each joint that it drives, the signed share of its action; their sizes add up to 1. An actuator on a
            tendon that adds up joints has several.
        strengths: for each of these joints, the size of the force or torque at action 1, N or N m; 0 if it is dead.
        middle: control at action 0.
        reach: from there to the control at action 1.
    """

    name: str
    shares: Mapping[str, float]
    strengths: Mapping[str, float]
    middle: float = 0.0
    reach: float = 1.0


def drives_of(model: mujoco.MjModel) -> tuple[Drive, ...]:
    """The actuators of a model, in its order; joints and actuators have names.

    Raises:
        ValueError: in one line, for an actuator that is not on joints or a tendon of joints, has no range, has a state,
            or shares its joint with another one.
    """
    if not model.nu:
        raise ValueError("it has no actuators; add <actuator> with one motor or position servo a joint")
    drives = tuple(_drive(model, i) for i in range(model.nu))
    on_joint: dict[str, str] = {}
    for drive in drives:
        if len(drive.shares) == 1:
            (joint,) = drive.shares
            if joint in on_joint:
                raise ValueError(f"actuators {on_joint[joint]} and {drive.name} drive joint {joint} both; remove one")
            on_joint[joint] = drive.name
    return drives


def joints_of(model: mujoco.MjModel, i: int) -> dict[str, float]:
    """Joints that an actuator drives, with what its length, before its gear, grows by with the coordinate of each.

    Nothing for an actuator that is neither on a hinge or slide nor on a tendon that adds up such joints.
    """
    kind, thing = int(model.actuator_trntype[i]), int(model.actuator_trnid[i, 0])
    if kind in _JOINTS and int(model.jnt_type[thing]) in _MOVABLE:
        return {model.joint(thing).name: 1.0}
    if kind == _TENDON:
        wraps = range(model.tendon_adr[thing], model.tendon_adr[thing] + model.tendon_num[thing])
        if all(model.wrap_type[w] == mujoco.mjtWrap.mjWRAP_JOINT for w in wraps):
            return {model.joint(int(model.wrap_objid[w])).name: float(model.wrap_prm[w]) for w in wraps}
    return {}


def _drive(model: mujoco.MjModel, i: int) -> Drive:
    name, gear = model.actuator(i).name, float(model.actuator_gear[i, 0])
    levers = {joint: gear * lever for joint, lever in joints_of(model, i).items()}
    if not levers:
        raise ValueError(
            f"actuator {name} is neither on a hinge or slide nor on a fixed tendon; actions are at joints, so put it on"
            " one"
        )
    if int(model.actuator_dyntype[i]) not in (int(_DYNAMICS.mjDYN_NONE), *FORGOTTEN):
        raise ValueError(f"actuator {name} has a state of its own, which policies cannot see; make it a motor or servo")
    low, high = _range(model, i, levers)
    middle, reach = (low + high) / 2, (high - low) / 2
    force = abs(float(model.actuator_gainprm[i, 0])) * reach
    if model.actuator_forcelimited[i]:
        force = min(force, float(np.abs(model.actuator_forcerange[i]).max()))
    total = sum(map(abs, levers.values())) or 1.0
    return Drive(
        name,
        {joint: lever / total for joint, lever in levers.items()} if gear else dict.fromkeys(levers, 1 / len(levers)),
        {joint: _at_most(model, joint, abs(lever) * force) for joint, lever in levers.items()},
        middle,
        reach,
    )


def _range(model: mujoco.MjModel, i: int, levers: Mapping[str, float]) -> tuple[float, float]:
    """Controls at actions -1 and 1."""
    ends = model.actuator_ctrlrange[i].tolist() if model.actuator_ctrllimited[i] else _ends(model, i, levers)
    if not len(ends) or not np.isfinite(ends).all() or ends[0] == ends[1]:
        raise ValueError(f"actuator {model.actuator(i).name} has no range of controls; give it ctrlrange")
    return min(ends), max(ends)


def _ends(model: mujoco.MjModel, i: int, levers: Mapping[str, float]) -> list[float]:
    """The range of a control without one: of a servo where its joint goes, of a motor what force it may have."""
    gain = float(model.actuator_gainprm[i, 0])
    if int(model.actuator_gaintype[i]) != int(mujoco.mjtGain.mjGAIN_FIXED) or not gain or len(levers) > 1:
        return []
    ((joint, lever),) = levers.items()
    j = model.joint(joint).id
    if int(model.actuator_biastype[i]) == int(mujoco.mjtBias.mjBIAS_NONE):
        if model.actuator_forcelimited[i]:
            return [float(force) / gain for force in model.actuator_forcerange[i]]
        if model.jnt_actfrclimited[j] and lever:
            return [float(force) / (gain * lever) for force in model.jnt_actfrcrange[j]]
    elif int(model.actuator_biastype[i]) == int(mujoco.mjtBias.mjBIAS_AFFINE) and model.jnt_limited[j]:
        offset, stiffness = model.actuator_biasprm[i, :2]
        return [float(-stiffness * lever * q - offset) / gain for q in model.jnt_range[j]] if stiffness else []
    return []


def _at_most(model: mujoco.MjModel, joint: str, strength: float) -> float:
    j = model.joint(joint).id
    return min(strength, float(np.abs(model.jnt_actfrcrange[j]).max())) if model.jnt_actfrclimited[j] else strength
