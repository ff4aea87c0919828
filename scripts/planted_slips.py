"""Robots with one slip of the pen: an attribute of one part that is wrong on one side.

    python scripts/planted_models.py --models 0 --slips 500 --out results/check

plants them and counts how often ``derive`` names the part and the attribute, and whether it ever takes the slipped part for the image of another one. Robots have what real ones have: joints with everything that limits
and damps them, explicit inertias, capsules, boxes, meshes and feet, motors and servos, tendons, couplings, contact pairs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
from numpy.typing import ArrayLike, NDArray

from eqrl import derive

Floats = NDArray[np.float64]
_G, _J, _T = mujoco.mjtGeom, mujoco.mjtJoint, mujoco.mjtTrn
_SAGITTAL, _FRONTAL = np.diag([1.0, -1.0, 1.0]), np.diag([-1.0, 1.0, 1.0])


def _turns(n: int) -> list[Floats]:
    angles = 2 * np.pi * np.arange(n) / n
    return [np.array([[np.cos(a), -np.sin(a), 0.0], [np.sin(a), np.cos(a), 0.0], [0.0, 0.0, 1.0]]) for a in angles]


GROUPS: dict[str, list[Floats]] = {
    "mirror": [np.eye(3), _SAGITTAL],
    "two mirrors": [np.eye(3), _SAGITTAL, _FRONTAL, _SAGITTAL @ _FRONTAL],
    "C3": _turns(3),
    "C4": _turns(4),
}


@dataclass
class Robot:
    """A symmetric robot.

    Attributes:
        spec: the model.
        group: a key of ``GROUPS``.
        links: names of limbs' links; every part of a link is named after it.
        joints: number of hinges and slides.
    """

    spec: mujoco.MjSpec
    group: str
    links: list[str]
    joints: int


def robot(seed: int) -> Robot:
    """A random robot of 4 to 30 joints with a random group, its limbs named after the corner where they are."""
    rng = np.random.default_rng(seed)
    group = str(rng.choice(list(GROUPS), p=[0.5, 0.2, 0.2, 0.1]))
    elements = GROUPS[group]
    spec = mujoco.MjSpec()
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    spec.worldbody.add_geom(name="floor", type=_G.mjGEOM_PLANE, size=[0, 0, 1], contype=2, conaffinity=1)
    trunk = spec.worldbody.add_body(name="trunk", pos=[0, 0, 0.6])
    trunk.add_freejoint(name="root")
    trunk.add_geom(name="trunk_geom", type=_G.mjGEOM_CYLINDER, size=[0.12, 0.05, 0], contype=1, conaffinity=2)
    trunk.add_site(name="middle")
    out = Robot(spec, group, [], 0)
    most = 29 // len(elements)  # and a neck
    limbs: list[int] = []
    while sum(limbs) < most and (not limbs or len(elements) * sum(limbs) < 4 or rng.random() < 0.6):
        limbs.append(int(rng.integers(1, 1 + min(5, most - sum(limbs)))))
    for k, length in enumerate(limbs):
        links = [_link(rng) for _ in range(length)]
        start = np.array([0.2, 0.13, 0.02]) * np.array([1.0 - 0.7 * k, 1.0 + 0.15 * k, 1.0]) + 0.03 * rng.uniform(-1, 1, 3)
        for i, g in enumerate(elements):
            _limb(out, trunk, f"limb{k}_{i}", links, start, g, rng)
    if group == "mirror" and rng.random() < 0.5:
        neck = trunk.add_body(name="neck", pos=[0.2, 0.0, 0.1])
        neck.add_joint(name="neck_joint", axis=[0, 1, 0], range=[-30, 40], limited=True)
        neck.add_geom(name="neck_geom", type=_G.mjGEOM_SPHERE, size=[0.05, 0, 0], contype=1, conaffinity=2)
        out.joints += 1
    return out


@dataclass(frozen=True)
class _Link:
    step: Floats
    axis: Floats
    slides: bool
    numbers: Floats
    shape: str
    turn: Floats
    vertices: Floats


def _link(rng: np.random.Generator) -> _Link:
    step = np.array([0.0, 0.0, -0.18]) + 0.06 * rng.uniform(-1, 1, 3)
    axis = np.eye(3)[rng.integers(3)] + (0.2 * rng.uniform(-1, 1, 3) if rng.random() < 0.3 else 0.0)
    shape = str(rng.choice(["capsule", "box", "mesh", "ellipsoid"]))
    vertices = rng.uniform(-1, 1, (12, 3)) * np.array([0.03, 0.04, 0.08])
    return _Link(
        step, axis / np.linalg.norm(axis), bool(rng.random() < 0.1), rng.uniform(0.5, 1.0, 24), shape, _rotation(rng), vertices
    )


def _limb(out: Robot, trunk: Any, name: str, links: list[_Link], start: Floats, g: Floats, rng: np.random.Generator) -> None:
    """A limb moved by ``g``; one of three has body frames that point anywhere."""
    spec, parent, frame, origin, at = out.spec, trunk, np.eye(3), np.zeros(3), start
    last = 1.0
    plain, det = bool(rng.random() < 0.67), float(np.linalg.det(g))
    for i, link in enumerate(links):
        n, x, full = link.numbers, f"{name}_{i}", name
        own = np.eye(3) if plain else _rotation(rng)
        body = parent.add_body(name=x, pos=frame.T @ (g @ at - origin), quat=_quat(frame.T @ own))
        frame, origin = own, g @ at
        flip = float(rng.choice([-1.0, 1.0]))
        axis = flip * g @ link.axis * (1.0 if link.slides else det)
        # a sign of its own for every axis, as on robots whose motors are mounted the other way round
        ordered = _ordered(flip)
        unit = 0.1 if link.slides else 57.3
        body.add_joint(
            name=f"{x}_joint", type=_J.mjJNT_SLIDE if link.slides else _J.mjJNT_HINGE, axis=frame.T @ axis,
            limited=True, range=np.multiply(unit, ordered(-n[0], 0.6 * n[1])), springref=unit * flip * 0.2 * n[2],
            stiffness=2.0 * n[3], damping=0.4 * n[4], armature=0.02 * n[5], frictionloss=0.1 * n[6], margin=0.01 * n[7],
            solref_limit=[0.02 * n[8], 1.0], solimp_limit=[0.9, 0.95, 0.001 * n[9], 0.5, 2], solref_friction=[0.02 * n[10], 1.0],
            actfrclimited=True, actfrcrange=ordered(-20.0 * n[11], 30.0 * n[12]),
        )  # fmt: skip
        end = at + link.step
        _shape(spec, body, x, link, g, frame, at, end)
        body.explicitinertial, body.mass = True, 0.5 * n[13]
        body.ipos = frame.T @ g @ (0.5 * link.step + 0.01 * (n[14:17] - 0.75))
        body.inertia = 0.001 * np.array([2.0, 1.6, 1.0]) * n[13]
        body.iquat = _quat(frame.T @ g @ link.turn @ np.diag([1.0, 1.0, det]))
        body.gravcomp = 0.1 * n[17]
        body.add_site(name=f"{x}_site", pos=frame.T @ g @ link.step)
        _drive(spec, x, n, flip, ordered, servo=bool(n[18] > 0.75))
        if i:  # a coupling and a tendon over two joints, and a cable to the trunk
            before, sign = f"{full}_{i - 1}", flip * last
            e = spec.add_equality(
                name=f"{x}_equality", type=mujoco.mjtEq.mjEQ_JOINT, name1=f"{x}_joint", name2=f"{before}_joint"
            )
            e.objtype, e.active = mujoco.mjtObj.mjOBJ_JOINT, True
            e.data[:5] = [0.1 * flip * n[19], 0.5 * sign * n[20], 0.0, 0.0, 0.0]
            t = spec.add_tendon(name=f"{x}_tendon", stiffness=n[21], damping=0.1 * n[22], limited=True, margin=0.01 * n[23])
            t.range, t.springlength, t.frictionloss = [-1.0, 1.0], [-0.1, 0.1], 0.1 * n[0]
            t.wrap_joint(f"{x}_joint", flip * n[1])
            t.wrap_joint(f"{before}_joint", last * n[2])
            spec.add_pair(
                name=f"{x}_pair", geomname1="floor", geomname2=f"{x}_geom", friction=[n[3], n[3], 0.01, 0.001, 0.001]
            )
            spec.add_exclude(name=f"{x}_exclude", bodyname1="trunk", bodyname2=x)
        cable = spec.add_tendon(name=f"{x}_cable", stiffness=5.0 * n[5], damping=0.1 * n[6], springlength=[0.1, 0.1])
        cable.wrap_site("middle")
        cable.wrap_site(f"{x}_site")
        out.links.append(x)
        out.joints += 1
        parent, at, last = body, end, flip


def _ordered(sign: float) -> Callable[[float, float], list[float]]:
    return lambda low, high: [low, high] if sign > 0 else [-high, -low]


def _shape(spec: mujoco.MjSpec, body: Any, x: str, link: _Link, g: Floats, frame: Floats, at: Floats, end: Floats) -> None:
    n, det = link.numbers, np.linalg.det(g)
    common: dict[str, Any] = {
        "name": f"{x}_geom", "contype": 1, "conaffinity": 2, "friction": [n[0], 0.005 * n[1], 0.0001], "solmix": n[2], "condim": 3,
        "solref": [0.02 * n[3], 1.0], "solimp": [0.9, 0.95, 0.001 * n[4], 0.5, 2], "margin": 0.01 * n[5], "gap": 0.005 * n[6],
    }  # fmt: skip
    middle, turn = frame.T @ g @ (0.5 * link.step), _quat(frame.T @ g @ link.turn @ np.diag([1.0, 1.0, det]))
    if link.shape == "capsule":
        fromto = np.concatenate([np.zeros(3), frame.T @ g @ link.step])
        body.add_geom(type=_G.mjGEOM_CAPSULE, size=[0.03 * n[7], 0, 0], fromto=fromto, **common)
    elif link.shape == "mesh":
        spec.add_mesh(name=f"{x}_mesh", uservert=(link.vertices @ (frame.T @ g).T).ravel())
        body.add_geom(type=_G.mjGEOM_MESH, meshname=f"{x}_mesh", pos=middle, **common)
    else:
        kind = _G.mjGEOM_BOX if link.shape == "box" else _G.mjGEOM_ELLIPSOID
        body.add_geom(type=kind, size=np.array([0.02, 0.035, 0.07]) * (0.7 + 0.3 * n[7]), pos=middle, quat=turn, **common)
    body.add_geom(
        name=f"{x}_foot",
        type=_G.mjGEOM_SPHERE,
        size=[0.02 * n[8], 0, 0],
        pos=frame.T @ g @ link.step,
        contype=1,
        conaffinity=2,
    )


def _drive(
    spec: mujoco.MjSpec, x: str, n: Floats, flip: float, ordered: Callable[[float, float], list[float]], servo: bool
) -> None:
    a = spec.add_actuator(name=f"{x}_motor", target=f"{x}_joint", trntype=_T.mjTRN_JOINT)
    a.gear = [2.0 * n[0], 0, 0, 0, 0, 0]
    a.ctrllimited, a.ctrlrange = True, ordered(-n[1], 0.8 * n[2])
    a.forcelimited, a.forcerange = True, ordered(-10.0 * n[3], 12.0 * n[4])
    if servo:
        a.gainprm[0] = 20.0 * n[5]
        a.biastype = mujoco.mjtBias.mjBIAS_AFFINE
        a.biasprm[:3] = [0.0, -20.0 * n[5], -0.5 * n[6]]
    else:
        a.dyntype, a.dynprm[0] = mujoco.mjtDyn.mjDYN_FILTER, 0.05 * n[7]
        a.gainprm[0] = n[8]


# ---------------------------------------------------------------------- slips
@dataclass(frozen=True)
class Slip:
    """One thing that is wrong.

    Attributes:
        kind: which slip.
        part: what has it, or what it is that only one side has.
        field: words one of which has to be said.
        kinematic: whether it breaks the kinematic level, too.
    """

    kind: str
    part: str
    field: tuple[str, ...]
    kinematic: bool = False


def _scaled(
    of: str, name: str, index: int | None = None, said: str = "", kinematic: bool = False
) -> Callable[..., Slip | None]:
    """An attribute that is a few per cent or a factor off."""

    def slip(spec: mujoco.MjSpec, x: str, rng: np.random.Generator) -> Slip | None:
        thing = getattr(spec, of.split("_")[0])(f"{x}_{of.split('_')[-1]}" if of != "body" else x)
        if thing is None:
            return None
        value, factor = (
            np.array(getattr(thing, name), dtype=np.float64),
            float(rng.choice([1.2, 0.5, 2.5] if kinematic else [1.03, 1.2, 0.5, 2.5])),
        )
        if name in ("range", "ctrlrange", "forcerange", "actfrcrange") and factor > 1.0 and rng.random() < 0.5:
            value = -value[::-1]  # not mirrored
        elif index is None and value.ndim == 0:
            value = value * factor
        else:
            value[index or 0] *= factor
        if name == "solimp_limit" or name == "solimp":
            value = np.array([0.9, 0.97, *value[2:]])
        setattr(thing, name, value if value.ndim else float(value))
        return Slip(f"{of} {name}", thing.name, (said or name,), kinematic)

    return slip


def _moved(
    of: str, distance: tuple[float, ...], name: str = "pos", said: tuple[str, ...] = ("pos",)
) -> Callable[..., Slip | None]:
    """A part that sits elsewhere, by a little or far."""

    def slip(spec: mujoco.MjSpec, x: str, rng: np.random.Generator) -> Slip | None:
        thing = getattr(spec, of.split("_")[0])(f"{x}_{of.split('_')[-1]}" if of != "body" else x)
        if thing is None or (of == "joint" and thing.type == _J.mjJNT_SLIDE):
            return None
        if of == "geom" and thing.type == _G.mjGEOM_CAPSULE:
            thing.fromto = np.asarray(thing.fromto) + np.tile(float(rng.choice(distance)) * _unit(rng), 2)
        else:
            across = _unit(rng)
            if of == "joint":  # along its axis a hinge may lie anywhere
                across = np.cross(np.asarray(thing.axis), across)
                across /= np.linalg.norm(across)
            setattr(thing, name, np.asarray(getattr(thing, name)) + float(rng.choice(distance)) * across)
        return Slip(f"{of} {name}", thing.name, said, name != "ipos")

    return slip


def _turned(of: str, name: str, said: tuple[str, ...]) -> Callable[..., Slip | None]:
    def slip(spec: mujoco.MjSpec, x: str, rng: np.random.Generator) -> Slip | None:
        thing = spec.body(x) if of == "body" else getattr(spec, of)(f"{x}_{of}")
        if of == "geom" and thing.type not in (_G.mjGEOM_BOX, _G.mjGEOM_ELLIPSOID):
            return None
        out = np.empty(4)
        turn = _quat(_about(_unit(rng), float(rng.choice([0.03, 0.2, 0.8]))))
        mujoco.mju_mulQuat(out, np.asarray(getattr(thing, name), dtype=np.float64), turn)
        setattr(thing, name, out)
        return Slip(f"{of} {name}", thing.name, said, name != "iquat")

    return slip


def _axis(spec: mujoco.MjSpec, x: str, rng: np.random.Generator) -> Slip:
    joint = spec.joint(f"{x}_joint")
    across = np.cross(np.asarray(joint.axis), _unit(rng))
    angle = float(rng.choice([0.03, 0.15, 0.7, 1.57]))
    joint.axis = np.cos(angle) * np.asarray(joint.axis) + np.sin(angle) * across / np.linalg.norm(across)
    return Slip("joint axis", joint.name, ("axis",), True)


def _joint_kind(spec: mujoco.MjSpec, x: str, rng: np.random.Generator) -> Slip:
    joint = spec.joint(f"{x}_joint")
    joint.type = _J.mjJNT_HINGE if joint.type == _J.mjJNT_SLIDE else _J.mjJNT_SLIDE
    return Slip("joint type", joint.name, ("hinge", "slide"), True)


def _flag(of: str, name: str, value: Any, said: str = "", kinematic: bool = True) -> Callable[..., Slip | None]:
    def slip(spec: mujoco.MjSpec, x: str, rng: np.random.Generator) -> Slip | None:
        thing = getattr(spec, of.split("_")[0])(f"{x}_{of.split('_')[-1]}")
        if thing is None:
            return None
        setattr(thing, name, value)
        return Slip(f"{of} {name}", thing.name, (said or name,), kinematic)

    return slip


def _geom_type(spec: mujoco.MjSpec, x: str, rng: np.random.Generator) -> Slip:
    foot = spec.geom(f"{x}_foot")
    foot.type, foot.size = _G.mjGEOM_BOX, np.full(3, 0.02)
    return Slip("geom type", foot.name, ("type",), True)


def _mesh(spec: mujoco.MjSpec, x: str, rng: np.random.Generator) -> Slip | None:
    mesh = spec.mesh(f"{x}_mesh")
    if mesh is None:
        return None
    mesh.uservert = np.asarray(mesh.uservert) * float(rng.choice([1.03, 1.2, 0.6]))
    return Slip("mesh size", f"{x}_geom", ("size", "reach", "pos", "quat"), True)


def _extra(what: str) -> Callable[..., Slip | None]:
    """A part that only one side has."""

    def slip(spec: mujoco.MjSpec, x: str, rng: np.random.Generator) -> Slip | None:
        body, at, collides = spec.body(x), 0.08 * _unit(rng), {"contype": 1, "conaffinity": 2}
        if what == "geom":
            kind = [_G.mjGEOM_SPHERE, _G.mjGEOM_BOX, _G.mjGEOM_CYLINDER][rng.integers(3)]
            named = bool(rng.random() < 0.7)
            body.add_geom(name=f"{x}_guard" if named else "", type=kind, size=[0.02, 0.02, 0.02], pos=at, **collides)
            return Slip("geom on one side", f"{x}_guard" if named else x, ("geom",), True)
        if what == "shell":  # one that does not collide and weighs nothing changes nothing
            return None
        more = body.add_body(name=f"{x}_extra", pos=at)
        more.explicitinertial, more.mass, more.inertia = True, 0.1, np.full(3, 1e-4)
        if what == "joint":
            more.add_joint(name=f"{x}_extra_joint", axis=_unit(rng))
            return Slip("body with a joint on one side", f"{x}_extra", ("body",), True)
        return Slip("mass on one side", f"{x}_extra", ("body", "mass"))

    return slip


def _missing(of: str) -> Callable[..., Slip | None]:
    """A part that all sides but one have; the message can only name its counterparts and where they lack an image."""

    def slip(spec: mujoco.MjSpec, x: str, rng: np.random.Generator) -> Slip | None:
        thing = spec.body(x) if of == "body" else getattr(spec, of)(f"{x}_{of}" if of != "foot" else "")
        if thing is None:
            return None
        name = x if of == "exclude" else thing.name
        spec.delete(thing)
        return Slip(f"{of} missing", name, (of,), of in ("geom", "body", "exclude", "pair", "actuator", "equality", "tendon"))

    return slip


def _motor_missing(spec: mujoco.MjSpec, x: str, rng: np.random.Generator) -> Slip:
    spec.delete(spec.actuator(f"{x}_motor"))
    return Slip("actuator missing", f"{x}_motor", ("actuator",), True)


def _foot_missing(spec: mujoco.MjSpec, x: str, rng: np.random.Generator) -> Slip:
    spec.delete(spec.geom(f"{x}_foot"))
    return Slip("geom missing", f"{x}_foot", ("geom",), True)


def _coupling(spec: mujoco.MjSpec, x: str, rng: np.random.Generator) -> Slip | None:
    equality = spec.equality(f"{x}_equality")
    if equality is None:
        return None
    k = int(rng.integers(2))
    equality.data[k] *= float(rng.choice([1.2, -1.0]))
    return Slip("equality polycoef", equality.name, ("polycoef", "equality"), True)


SLIPS: tuple[Callable[..., Slip | None], ...] = (
    *(_scaled("joint", n) for n in ("stiffness", "springref", "damping", "armature", "frictionloss", "margin")),
    _scaled("joint", "range", 1, kinematic=True), _scaled("joint", "range", 0, kinematic=True), _scaled("joint", "actfrcrange", 1),
    _scaled("joint", "solref_limit", 0, "solref"), _scaled("joint", "solimp_limit", 1, "solimp"),
    _scaled("joint", "solref_friction", 0, "solref"), _flag("joint", "limited", False), _flag("joint", "actfrclimited", False, kinematic=False),
    _axis, _joint_kind, _moved("joint", (0.004, 0.02, 0.1)),
    _scaled("body", "mass"), _scaled("body", "inertia", 1), _scaled("body", "gravcomp"),
    _moved("body", (0.003, 0.02), "ipos", ("ipos",)), _turned("body", "iquat", ("inertia",)),
    _moved("body", (0.004, 0.02, 0.1)), _turned("body", "quat", ("quat", "pos", "axis")),
    _moved("geom", (0.002, 0.02, 0.1)), _moved("geom_foot", (0.002, 0.02, 0.1)), _scaled("geom", "size", 0, kinematic=True),
    _scaled("geom_foot", "size", 0, kinematic=True), _turned("geom", "quat", ("quat", "zaxis")), _geom_type, _mesh,
    _scaled("geom", "friction", 0), _scaled("geom", "friction", 1), *(_scaled("geom", n) for n in ("solmix", "margin", "gap")),
    _scaled("geom", "solref", 0), _scaled("geom", "solimp", 1),
    _flag("geom", "condim", 4, kinematic=False), _flag("geom", "priority", 1, kinematic=False), _flag("geom", "contype", 3),
    _flag("geom", "conaffinity", 3), _extra("geom"), _extra("joint"), _extra("mass"), _foot_missing, _missing("body"),
    _scaled("actuator_motor", "gear", 0), _scaled("actuator_motor", "ctrlrange", 1, kinematic=True), _scaled("actuator_motor", "forcerange", 1),
    _scaled("actuator_motor", "gainprm", 0), _scaled("actuator_motor", "biasprm", 1), _scaled("actuator_motor", "dynprm", 0),
    _flag("actuator_motor", "ctrllimited", False), _motor_missing,
    *(_scaled("tendon", n) for n in ("stiffness", "damping", "frictionloss", "margin")), _scaled("tendon", "range", 1, kinematic=True),
    _scaled("tendon", "springlength", 1), _missing("tendon"), _scaled("tendon_cable", "stiffness"), _moved("site", (0.004, 0.02, 0.1)),
    _coupling, _missing("equality"), _missing("exclude"), _missing("pair"), _scaled("pair", "friction", 0),
)  # fmt: skip


def slipped(seed: int) -> tuple[Robot, str, Slip]:
    """A robot with one slip, and the link that has it; slips come in turn."""
    plant, k = SLIPS[seed % len(SLIPS)], 0
    while True:
        made = robot(seed + 100003 * k)
        rng = np.random.default_rng(seed + k)
        k += 1
        at = str(rng.choice(made.links))
        slip = plant(made.spec, at, rng)
        if slip is None:
            continue
        try:
            unlike = _differs(made.spec, seed + 100003 * (k - 1))
        except ValueError:  # what was left out takes others with it
            continue
        if unlike:
            return made, at, slip


def _differs(spec: mujoco.MjSpec, seed: int) -> bool:
    """Whether the compiled model is another one: a factor times nothing, or a gain that the kind of servo ignores, is no slip."""
    before, after = robot(seed).spec.compile(), spec.compile()
    if (before.nbody, before.ngeom, before.nu, before.neq, before.ntendon) != (
        after.nbody,
        after.ngeom,
        after.nu,
        after.neq,
        after.ntendon,
    ):
        return True
    names = [n for n in dir(after) if isinstance(getattr(after, n), np.ndarray)]
    return any(not np.array_equal(getattr(before, n), getattr(after, n)) for n in names)


def examine(seed: int) -> dict[str, Any]:
    """Plant one slip, derive, and see what was said and what was accepted."""
    made, at, slip = slipped(seed)
    model = made.spec.compile()
    start = time.perf_counter()
    found = derive(model)
    seconds = time.perf_counter() - start
    said = [*map(str, found.near_misses), *found.notes]
    levels = {level: any(_moves(model, g, at) for g in found.generators(level)) for level in ("kinematic", "dynamic")}
    return {
        "seed": seed, "group": made.group, "joints": made.joints, "slip": slip.kind, "part": slip.part,
        "named": _named(said, slip),
        "accepted": levels["dynamic"] or (slip.kinematic and levels["kinematic"]), "seconds": seconds,
    }  # fmt: skip


def _named(lines: list[str], slip: Slip) -> bool:
    """Whether one message has the part (a counterpart, where it is missing) and the attribute."""
    clauses = [clause for line in lines for clause in line.split(";")]
    parts = {slip.part.replace("_pair", "_geom")}
    if slip.kind.endswith("missing"):  # what is not there cannot be named, only its counterparts
        limb, _, rest = slip.part.split("_", 2)
        parts |= {f"{limb}_{i}_{rest}".replace("_pair", "_geom") for i in range(4)}
    return any(any(_word(p, c) for p in parts) and any(w in c for w in slip.field) for c in clauses)


def _word(part: str, text: str) -> bool:
    return f" {part} " in f" {text} ".replace(",", " ").replace("-", " ")


def _moves(model: mujoco.MjModel, symmetry: Any, link: str) -> bool:
    """Whether a symmetry takes a link elsewhere; where the slip took the link away nothing can."""
    if mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_BODY, link) < 0:
        return False
    body = int(model.body(link).id)
    return bool(symmetry.bodies[body] != body)


def _unit(rng: np.random.Generator) -> Floats:
    v = rng.standard_normal(3)
    return v / np.linalg.norm(v)


def _about(axis: Floats, angle: float) -> Floats:
    quat, out = np.empty(4), np.empty(9)
    mujoco.mju_axisAngle2Quat(quat, axis, angle)
    mujoco.mju_quat2Mat(out, quat)
    return out.reshape(3, 3)


def _rotation(rng: np.random.Generator) -> Floats:
    return _about(_unit(rng), float(rng.uniform(0.0, np.pi)))


def _quat(rotation: ArrayLike) -> Floats:
    q = np.empty(4)
    mujoco.mju_mat2Quat(q, np.ascontiguousarray(rotation).ravel())
    return q


def summary(rows: list[dict[str, Any]], seconds: float) -> dict[str, Any]:
    """Counts, and the rows that were missed."""
    kinds = sorted({r["slip"] for r in rows})
    return {
        "slips": len(rows),
        "kinds": len(kinds),
        "named": sum(r["named"] for r in rows),
        "accepted": sum(r["accepted"] for r in rows),
        "joints": [min(r["joints"] for r in rows), max(r["joints"] for r in rows)],
        "seconds_median": float(np.median([r["seconds"] for r in rows])),
        "seconds_max": max(r["seconds"] for r in rows),
        "seconds_all": seconds,
        "named_of": {k: [sum(r["named"] for r in rows if r["slip"] == k), sum(r["slip"] == k for r in rows)] for k in kinds},
        "missed": [r for r in rows if not r["named"] or r["accepted"]],
    }
