"""Anyone's robot, made ready to run: from an MJCF or URDF file, an ``MjSpec``, or by name."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import mujoco
import numpy as np

from eqrl.arrays import Floats
from eqrl.envs.robots import catalogue, quadruped, sgrl
from eqrl.envs.robots.derived import derivation_of
from eqrl.envs.robots.drives import FORGOTTEN, Drive, drives_of, joints_of
from eqrl.envs.robots.repair import feet_alone, symmetric
from eqrl.envs.robots.servos import make_servos
from eqrl.envs.robots.standing import pose_of, standing_height
from eqrl.envs.scenes.floor import add_floor, add_light, add_sky, look_at
from eqrl.errors import suggestion

NAMES = ("quadruped", *sgrl.NAMES)
_FREE = mujoco.mjtJoint.mjJNT_FREE
_PLANE = mujoco.mjtGeom.mjGEOM_PLANE


class RobotWarning(UserWarning):
    """What was changed in a robot to make it run, or what keeps it from being symmetric."""


@dataclass(frozen=True, eq=False)
class Robot:
    """A robot alone on flat ground.

    Attributes:
        name: for messages.
        spec: the robot on a plane of height 0; its default pose has the base above the origin at the standing height,
            and its one keyframe, ``stand``, is ``pose``.
        base: name of the floating body.
        pose: in which it stands, ``(nq,)``.
        standing_height: of the base's frame in that pose, m.
        drives: its actuators, in the model's order.
        remarks: what was changed, and by what it misses symmetries; one line each.
    """

    name: str
    spec: mujoco.MjSpec
    base: str
    pose: Floats
    standing_height: float
    drives: tuple[Drive, ...]
    remarks: tuple[str, ...]


def load(
    robot: str | Path | mujoco.MjSpec, *, servos: bool = False, symmetrise: bool = False, contacts: str = "all"
) -> Robot:
    """Make a robot ready to run.

    What stands around it is left out, and so are its cameras and sensors, which nobody reads. The friction cone becomes
    elliptic; actuators lose what gives them a state.

    Args:
        robot: path of an MJCF or URDF file, an ``MjSpec``, which stays as it is, a name in ``NAMES`` or
            :data:`eqrl.envs.robots.catalogue.NAMES`, or one of the menagerie, see
            :func:`eqrl.envs.robots.catalogue.in_menagerie`.
        servos: whether actuators become position servos where they are none.
        symmetrise: whether the symmetries that it nearly has, and that keep its pose, are made exact.
        contacts: ``"all"``, or ``"feet"`` to let nothing but what it stands on touch the floor.

    Raises:
        ValueError: in one line that names what is wrong and how to repair it.
    """
    name, spec, remarks = _read(robot)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecated attributes: whoever trains a robot may not be its author
            return _prepared(name, spec, remarks, servos, symmetrise, contacts)
    except ValueError as error:
        raise ValueError(f"robot {name}: {' '.join(str(error).split())}") from None


def _prepared(
    name: str, spec: mujoco.MjSpec, remarks: list[str], servos: bool, symmetrise: bool, contacts: str
) -> Robot:
    _name_parts(spec)
    scene = spec.compile()
    base = _base(spec, scene)
    angles, moved = pose_of(scene)
    if moved and name not in NAMES:
        remarks.append(f"joints start at the ends of their ranges: {_listed(moved)}")
    start = {str(scene.joint(j).name): angles[_where(scene, j)] for j in range(scene.njnt)}
    remarks += _physics(spec)
    floor, added = _put_on_floor(spec, _floor(spec))
    remarks += _without_others(spec, base.name, floor) + added
    if servos:
        made = make_servos(spec)
        remarks += made if name not in NAMES else []  # ours are no strangers' work that was changed
    model = spec.compile()
    pose = np.concatenate([start[str(model.joint(j).name)] for j in range(model.njnt)])
    if contacts == "feet":
        remarks += feet_alone(spec, pose, str(base.name), floor)
    if symmetrise:
        spec, averaged = symmetric(spec, pose)
        base, remarks = spec.body(base.name), remarks + averaged
    model = spec.compile()
    drives = drives_of(model)
    height = standing_height(model, pose, model.body(base.name).id, model.geom(floor).id)
    pose[:3] = 0.0, 0.0, height
    _place(spec, base, pose)
    _light(spec, base, height)
    spec.add_key(name="stand", qpos=pose)
    derivation = derivation_of(spec.compile())
    if derivation.world.connected == "1":
        raise ValueError(f"it may not be turned about gravity: {'; '.join(derivation.world.reasons)}")
    remarks += [f"nearly symmetric: {miss}" for miss in derivation.near_misses]
    return Robot(name, spec, str(base.name), pose, height, drives, tuple(remarks))


# ------------------------------------------------------------------ reading
def _read(robot: str | Path | mujoco.MjSpec) -> tuple[str, mujoco.MjSpec, list[str]]:
    if isinstance(robot, mujoco.MjSpec):
        return str(robot.modelname or "MjSpec"), robot.copy(), []
    text = str(robot)
    if text == "quadruped":
        return text, quadruped.build(60.0, mujoco.mjtIntegrator.mjINT_RK4, 0.01), []
    if text in sgrl.NAMES:
        return text, sgrl.build(text), []
    if text in catalogue.NAMES:
        return text, catalogue.published(text), []
    path = Path(text)
    if not path.is_file() and not path.suffix and (known := catalogue.in_menagerie(text)):
        path = known
    if not path.is_file():
        if path.suffix or path.name != text:
            raise ValueError(f"robot {text}: there is no such file")
        everything = (*catalogue.NAMES, *NAMES)
        raise ValueError(f"robot {text}: it is neither a file nor one of ours; {suggestion(text, everything)}")
    if path.suffix.lower() == ".mjb":
        raise ValueError(f"robot {text}: a compiled model cannot be edited; give the MJCF that it was made from")
    try:
        spec = mujoco.MjSpec.from_file(str(path))
        return text, spec, _driven(spec) if _is_urdf(path) else []
    except (ValueError, UnicodeDecodeError) as error:
        raise ValueError(f"robot {text}: {' '.join(str(error).split())}") from None


def _is_urdf(path: Path) -> bool:
    return path.suffix.lower() == ".urdf" or b"<robot" in path.read_bytes()[:4096]


def _driven(spec: mujoco.MjSpec) -> list[str]:
    """Give a URDF what the format lacks: a floating base and motors."""
    spec.compiler.fusestatic = False  # or the base would become a part of the world
    remarks = []
    for root in spec.worldbody.bodies:
        if not root.joints:
            root.add_freejoint()
            remarks.append(f"link {root.name} floats")
    strong = [joint for joint in spec.joints if joint.type != _FREE and joint.actfrcrange[1] > 0]
    for joint in strong:
        motor = spec.add_actuator(name=joint.name, target=joint.name, trntype=mujoco.mjtTrn.mjTRN_JOINT)
        motor.set_to_motor()
        motor.gear[0] = joint.actfrcrange[1]
        motor.ctrllimited, motor.ctrlrange = True, [-1.0, 1.0]
    return [*remarks, f"motors added to the {len(strong)} joints with an effort limit"]


# ------------------------------------------------------------------ the robot alone
def _name_parts(spec: mujoco.MjSpec) -> None:
    """Name nameless parts, so that they can be told apart."""
    kinds = {"body": spec.bodies[1:], "joint": spec.joints, "geom": spec.geoms, "actuator": spec.actuators}
    for kind, parts in kinds.items():
        taken = {part.name for part in parts}
        for i, part in enumerate(parts):
            if not part.name:
                part.name = next(n for k in count() if (n := f"{kind}{i}" + "_" * k) not in taken)


def _base(spec: mujoco.MjSpec, model: mujoco.MjModel) -> Any:
    """The floating body on which driven joints hang."""
    floating = [body for body in spec.worldbody.bodies if any(joint.type == _FREE for joint in body.joints)]
    if not floating:
        raise ValueError("no body of it floats, so that it cannot run; give its trunk a <freejoint/>")
    if not model.nu:
        raise ValueError("it has no actuators; add <actuator> with one motor or position servo a joint")
    joints = {joint for i in range(model.nu) for joint in joints_of(model, i)}
    driven = {int(model.body_rootid[model.joint(joint).bodyid[0]]) for joint in joints}
    moving = [body for body in floating if model.body(body.name).id in driven]
    if len(moving) != 1:
        listed = _listed(body.name for body in moving or floating)
        raise ValueError(
            f"bodies {listed} float and have actuators, but one robot runs; remove the others"
            if moving
            else f"no actuator is on a joint below {listed}, the part that floats"
        )
    return moving[0]


def _without_others(spec: mujoco.MjSpec, base: str, floor: str) -> list[str]:
    """Leave out what stands around the robot."""
    # what refers to other parts goes first: MuJoCo deletes it along with them, and must not delete it twice
    for kind in ("keys", "sensors", "cameras"):
        for part in list(getattr(spec, kind)):
            spec.delete(part)
    names = []
    for kind, kept in (("sites", None), ("geoms", floor), ("bodies", base)):
        for part in [part for part in getattr(spec.worldbody, kind) if part.name != kept]:
            names += [part.name] if kind != "sites" else []
            spec.delete(part)
    return [f"left out of the scene: {_listed(names)}"] if names else []


def _floor(spec: mujoco.MjSpec) -> str:
    """Name of the highest level plane, empty if there is none."""
    model = spec.compile()
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    planes = [model.geom(geom.name).id for geom in spec.worldbody.geoms if geom.type == _PLANE]
    level = [g for g in planes if data.geom_xmat[g, 8] > 1.0 - 1e-9]
    return str(model.geom(max(level, key=lambda g: data.geom_xpos[g, 2])).name) if level else ""


def _put_on_floor(spec: mujoco.MjSpec, name: str) -> tuple[str, list[str]]:
    """An endless floor at height 0: the model's own, or a new one that whatever is solid can touch."""
    if name:
        floor = spec.geom(name)
        floor.pos, floor.size = [0.0, 0.0, 0.0], [0.0, 0.0, floor.size[2] or 1.0]
        return name, []
    types, affinities = (
        int(np.bitwise_or.reduce([getattr(g, kind) for g in spec.geoms])) for kind in ("contype", "conaffinity")
    )
    add_floor(spec, 1.0, name="eqrl floor", look="eqrl floor", contype=affinities, conaffinity=types)
    return "eqrl floor", ["a floor added"]


def _physics(spec: mujoco.MjSpec) -> list[str]:
    """Options without which no symmetry is exact, and actuators without states."""
    remarks = []
    option = spec.option
    if abs(option.gravity[0]) + abs(option.gravity[1]) > 0.0 or option.gravity[2] >= 0.0:
        raise ValueError(f"gravity {tuple(option.gravity.tolist())} does not point straight down; set it to 0 0 -9.81")
    if option.cone != mujoco.mjtCone.mjCONE_ELLIPTIC:
        option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
        remarks.append("friction cones made elliptic: pyramidal ones have directions of their own")
    option.tolerance = min(option.tolerance, 1e-12)
    option.disableflags |= mujoco.mjtDisableBit.mjDSBL_AUTORESET  # a diverged simulation must show as NaN
    slow = [actuator for actuator in spec.actuators if int(actuator.dyntype) in FORGOTTEN]
    for actuator in slow:
        actuator.dyntype = mujoco.mjtDyn.mjDYN_NONE
    if slow:
        remarks.append(f"controls act without delay, whose state policies do not see: {_listed(a.name for a in slow)}")
    return remarks


def _place(spec: mujoco.MjSpec, base: Any, pose: Floats) -> None:
    """Make the standing pose of the base its default pose."""
    base.alt.type = mujoco.mjtOrientation.mjORIENTATION_QUAT
    position, quaternion = pose[:3].copy(), pose[3:7].copy()
    if base.frame is not None:  # poses count from the frame that the model wrote it in
        base.pos, base.quat = np.zeros(3), np.eye(4)[0]
        frame = spec.compile().body(base.name)
        back = np.zeros(7)
        mujoco.mju_negPose(back[:3], back[3:], frame.pos, frame.quat)
        mujoco.mju_mulPose(position, quaternion, back[:3], back[3:], pose[:3], pose[3:7])
    base.pos, base.quat = position, quaternion


def _light(spec: mujoco.MjSpec, base: Any, height: float) -> None:
    """A camera that follows the robot, and light and sky where the model has none."""
    position = (0.0, -6.0 * height, 3.0 * height)
    base.add_camera(
        name="track",
        mode=mujoco.mjtCamLight.mjCAMLIGHT_TRACK,
        pos=position,
        xyaxes=look_at(position, (0.0, 0.0, 0.0)),
        fovy=50,
    )
    if not spec.lights:
        add_light(spec, base)
        spec.visual.map.shadowclip = 6.0
    if not any(texture.type == mujoco.mjtTexture.mjTEXTURE_SKYBOX for texture in spec.textures):
        add_sky(spec, "eqrl sky")
    view = spec.visual.global_
    view.offwidth, view.offheight = max(view.offwidth, 1280), max(view.offheight, 960)


def _where(model: mujoco.MjModel, joint: int) -> slice:
    start = int(model.jnt_qposadr[joint])
    width = {int(_FREE): 7, int(mujoco.mjtJoint.mjJNT_BALL): 4}.get(int(model.jnt_type[joint]), 1)
    return slice(start, start + width)


def _listed(names: Iterable[str], most: int = 6) -> str:
    words = list(names)
    return ", ".join(words[:most]) + (f" and {len(words) - most} more" if len(words) > most else "")
