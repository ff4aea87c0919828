"""The kinds of slips that are planted into a robot: a changed, moved, added or missing part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
from rotations import about, quat, unit

_G, _J, _T = mujoco.mjtGeom, mujoco.mjtJoint, mujoco.mjtTrn


@dataclass(frozen=True)
class Slip:
    """One planted error.

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
    """Change an attribute by a few per cent or by a factor."""

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
    """Move a part, by a little or far."""

    def slip(spec: mujoco.MjSpec, x: str, rng: np.random.Generator) -> Slip | None:
        thing = getattr(spec, of.split("_")[0])(f"{x}_{of.split('_')[-1]}" if of != "body" else x)
        if thing is None or (of == "joint" and thing.type == _J.mjJNT_SLIDE):
            return None
        if of == "geom" and thing.type == _G.mjGEOM_CAPSULE:
            thing.fromto = np.asarray(thing.fromto) + np.tile(float(rng.choice(distance)) * unit(rng), 2)
        else:
            across = unit(rng)
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
        turn = quat(about(unit(rng), float(rng.choice([0.03, 0.2, 0.8]))))
        mujoco.mju_mulQuat(out, np.asarray(getattr(thing, name), dtype=np.float64), turn)
        setattr(thing, name, out)
        return Slip(f"{of} {name}", thing.name, said, name != "iquat")

    return slip


def _axis(spec: mujoco.MjSpec, x: str, rng: np.random.Generator) -> Slip:
    joint = spec.joint(f"{x}_joint")
    across = np.cross(np.asarray(joint.axis), unit(rng))
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
    """Add a part to one side only."""

    def slip(spec: mujoco.MjSpec, x: str, rng: np.random.Generator) -> Slip | None:
        body, at, collides = spec.body(x), 0.08 * unit(rng), {"contype": 1, "conaffinity": 2}
        if what == "geom":
            kind = [_G.mjGEOM_SPHERE, _G.mjGEOM_BOX, _G.mjGEOM_CYLINDER][rng.integers(3)]
            named = bool(rng.random() < 0.7)
            body.add_geom(name=f"{x}_guard" if named else "", type=kind, size=[0.02, 0.02, 0.02], pos=at, **collides)
            return Slip("geom on one side", f"{x}_guard" if named else x, ("geom",), True)
        if what == "shell":  # a massless part that does not collide would change nothing
            return None
        more = body.add_body(name=f"{x}_extra", pos=at)
        more.explicitinertial, more.mass, more.inertia = True, 0.1, np.full(3, 1e-4)
        if what == "joint":
            more.add_joint(name=f"{x}_extra_joint", axis=unit(rng))
            return Slip("body with a joint on one side", f"{x}_extra", ("body",), True)
        return Slip("mass on one side", f"{x}_extra", ("body", "mass"))

    return slip


def _missing(of: str) -> Callable[..., Slip | None]:
    """Remove a part from one side; a message can only name its counterparts and where they lack an image."""

    def slip(spec: mujoco.MjSpec, x: str, rng: np.random.Generator) -> Slip | None:
        thing = spec.body(x) if of == "body" else getattr(spec, of)(f"{x}_{of}" if of != "foot" else "")
        if thing is None:
            return None
        name = x if of == "exclude" else thing.name
        spec.delete(thing)
        return Slip(
            f"{of} missing", name, (of,), of in ("geom", "body", "exclude", "pair", "actuator", "equality", "tendon")
        )

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
    _scaled("joint", "range", 1, kinematic=True), _scaled("joint", "range", 0, kinematic=True), _scaled("joint",
    "actfrcrange", 1),
    _scaled("joint", "solref_limit", 0, "solref"), _scaled("joint", "solimp_limit", 1, "solimp"),
    _scaled("joint", "solref_friction", 0, "solref"), _flag("joint", "limited", False), _flag("joint", "actfrclimited",
    False, kinematic=False),
    _axis, _joint_kind, _moved("joint", (0.004, 0.02, 0.1)),
    _scaled("body", "mass"), _scaled("body", "inertia", 1), _scaled("body", "gravcomp"),
    _moved("body", (0.003, 0.02), "ipos", ("ipos",)), _turned("body", "iquat", ("inertia",)),
    _moved("body", (0.004, 0.02, 0.1)), _turned("body", "quat", ("quat", "pos", "axis")),
    _moved("geom", (0.002, 0.02, 0.1)), _moved("geom_foot", (0.002, 0.02, 0.1)), _scaled("geom", "size", 0,
    kinematic=True),
    _scaled("geom_foot", "size", 0, kinematic=True), _turned("geom", "quat", ("quat", "zaxis")), _geom_type, _mesh,
    _scaled("geom", "friction", 0), _scaled("geom", "friction", 1), *(_scaled("geom", n) for n in ("solmix", "margin",
    "gap")),
    _scaled("geom", "solref", 0), _scaled("geom", "solimp", 1),
    _flag("geom", "condim", 4, kinematic=False), _flag("geom", "priority", 1, kinematic=False), _flag("geom",
    "contype", 3),
    _flag("geom", "conaffinity", 3), _extra("geom"), _extra("joint"), _extra("mass"), _foot_missing, _missing("body"),
    _scaled("actuator_motor", "gear", 0), _scaled("actuator_motor", "ctrlrange", 1, kinematic=True),
    _scaled("actuator_motor", "forcerange", 1),
    _scaled("actuator_motor", "gainprm", 0), _scaled("actuator_motor", "biasprm", 1), _scaled("actuator_motor",
    "dynprm", 0),
    _flag("actuator_motor", "ctrllimited", False), _motor_missing,
    *(_scaled("tendon", n) for n in ("stiffness", "damping", "frictionloss", "margin")), _scaled("tendon", "range", 1,
    kinematic=True),
    _scaled("tendon", "springlength", 1), _missing("tendon"), _scaled("tendon_cable", "stiffness"), _moved("site",
    (0.004, 0.02, 0.1)),
    _coupling, _missing("equality"), _missing("exclude"), _missing("pair"), _scaled("pair", "friction", 0),
)  # fmt: skip
