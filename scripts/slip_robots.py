"""Random symmetric robots with the elements of real ones.

They have joints with limits, damping and friction, explicit inertias, capsules, boxes, meshes and feet, motors and
servos, tendons, couplings and contact pairs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray
from rotations import about, quat, unit

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
    """A random robot of 4 to 30 joints with a random group, its limbs named after their corners."""
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
        start = np.array([0.2, 0.13, 0.02]) * np.array([1.0 - 0.7 * k, 1.0 + 0.15 * k, 1.0]) + 0.03 * rng.uniform(
            -1, 1, 3
        )
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
        step,
        axis / np.linalg.norm(axis),
        bool(rng.random() < 0.1),
        rng.uniform(0.5, 1.0, 24),
        shape,
        rotation(rng),
        vertices,
    )


def _limb(
    out: Robot, trunk: Any, name: str, links: list[_Link], start: Floats, g: Floats, rng: np.random.Generator
) -> None:
    """A limb moved by ``g``; one in three has random body frames."""
    spec, parent, frame, origin, at = out.spec, trunk, np.eye(3), np.zeros(3), start
    last = 1.0
    plain, det = bool(rng.random() < 0.67), float(np.linalg.det(g))
    for i, link in enumerate(links):
        n, x, full = link.numbers, f"{name}_{i}", name
        orientation = np.eye(3) if plain else rotation(rng)
        body = parent.add_body(name=x, pos=frame.T @ (g @ at - origin), quat=quat(frame.T @ orientation))
        frame, origin = orientation, g @ at
        flip = float(rng.choice([-1.0, 1.0]))
        axis = flip * g @ link.axis * (1.0 if link.slides else det)
        # a random sign for every axis, as on robots with motors mounted the other way round
        ordered = _ordered(flip)
        unit = 0.1 if link.slides else 57.3
        body.add_joint(
            name=f"{x}_joint", type=_J.mjJNT_SLIDE if link.slides else _J.mjJNT_HINGE, axis=frame.T @ axis,
            limited=True, range=np.multiply(unit, ordered(-n[0], 0.6 * n[1])), springref=unit * flip * 0.2 * n[2],
            stiffness=2.0 * n[3], damping=0.4 * n[4], armature=0.02 * n[5], frictionloss=0.1 * n[6], margin=0.01 * n[7],
            solref_limit=[0.02 * n[8], 1.0], solimp_limit=[0.9, 0.95, 0.001 * n[9], 0.5, 2],
            solref_friction=[0.02 * n[10], 1.0],
            actfrclimited=True, actfrcrange=ordered(-20.0 * n[11], 30.0 * n[12]),
        )  # fmt: skip
        end = at + link.step
        _shape(spec, body, x, link, g, frame, at, end)
        body.explicitinertial, body.mass = True, 0.5 * n[13]
        body.ipos = frame.T @ g @ (0.5 * link.step + 0.01 * (n[14:17] - 0.75))
        body.inertia = 0.001 * np.array([2.0, 1.6, 1.0]) * n[13]
        body.iquat = quat(frame.T @ g @ link.turn @ np.diag([1.0, 1.0, det]))
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
            t = spec.add_tendon(
                name=f"{x}_tendon", stiffness=n[21], damping=0.1 * n[22], limited=True, margin=0.01 * n[23]
            )
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


def _shape(
    spec: mujoco.MjSpec, body: Any, x: str, link: _Link, g: Floats, frame: Floats, at: Floats, end: Floats
) -> None:
    n, det = link.numbers, np.linalg.det(g)
    common: dict[str, Any] = {
        "name": f"{x}_geom", "contype": 1, "conaffinity": 2, "friction": [n[0], 0.005 * n[1], 0.0001], "solmix": n[2],
        "condim": 3,
        "solref": [0.02 * n[3], 1.0], "solimp": [0.9, 0.95, 0.001 * n[4], 0.5, 2], "margin": 0.01 * n[5],
        "gap": 0.005 * n[6],
    }  # fmt: skip
    middle, turn = frame.T @ g @ (0.5 * link.step), quat(frame.T @ g @ link.turn @ np.diag([1.0, 1.0, det]))
    if link.shape == "capsule":
        fromto = np.concatenate([np.zeros(3), frame.T @ g @ link.step])
        body.add_geom(type=_G.mjGEOM_CAPSULE, size=[0.03 * n[7], 0, 0], fromto=fromto, **common)
    elif link.shape == "mesh":
        spec.add_mesh(name=f"{x}_mesh", uservert=(link.vertices @ (frame.T @ g).T).ravel())
        body.add_geom(type=_G.mjGEOM_MESH, meshname=f"{x}_mesh", pos=middle, **common)
    else:
        kind = _G.mjGEOM_BOX if link.shape == "box" else _G.mjGEOM_ELLIPSOID
        body.add_geom(
            type=kind, size=np.array([0.02, 0.035, 0.07]) * (0.7 + 0.3 * n[7]), pos=middle, quat=turn, **common
        )
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


def rotation(rng: np.random.Generator) -> Floats:
    """A random rotation matrix: a uniform angle of up to half a turn about a uniform axis."""
    return about(unit(rng), float(rng.uniform(0.0, np.pi)))
