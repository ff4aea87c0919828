"""Models of the 29 robots."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import mujoco

from eqrl.envs.robots.sgrl.family import Family
from eqrl.envs.robots.sgrl.members import family, limbs
from eqrl.envs.robots.sgrl.parts import Capsule, Limb, Sphere, joint_name
from eqrl.envs.scenes.floor import add_floor, add_light, look_at, new_spec

Parity = Literal["repaired", "published"]
Integrator = Literal["published", "implicitfast"]

_COLOURS: dict[str, list[float]] = {
    "torso": [0.24, 0.35, 0.52, 1.0],
    "thigh": [0.42, 0.56, 0.74, 1.0],
    "shin": [0.55, 0.67, 0.82, 1.0],
    "foot": [0.33, 0.46, 0.64, 1.0],
    "arm": [0.62, 0.72, 0.84, 1.0],
    "tail": [0.62, 0.72, 0.84, 1.0],
}
_NOSE = [0.93, 0.55, 0.2, 1.0]


def build(name: str, *, parity: Parity = "repaired", integrator: Integrator = "published") -> mujoco.MjSpec:
    """A robot of 3D-SGRL on a plane.

    Source: Chen et al. 2023, "Subequivariant Graph Reinforcement Learning in 3D Environments". Actuators that it left
    dead, with gear 0, are in the model, so that controls are the published ones.

    Args:
        name: one of ``NAMES``, the published name without its leading `3d_`.
        parity: `repaired` has elliptic friction cones, without which a robot with spherical feet runs faster along some
            directions of the world than along others, and equal armature on both sides of the humanoid. `published`
            has neither.
        integrator: `published` is fourth-order Runge-Kutta, for cheetahs Euler; `implicitfast` is about three times as
            fast as the former and close to it, meant for training.

    Raises:
        ValueError: an argument has none of these values.
    """
    kin = family(name)
    _one_of("parity", parity, ("repaired", "published"))
    _one_of("integrator", integrator, ("published", "implicitfast"))
    chosen = kin.integrator if integrator == "published" else mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec = new_spec(kin.timestep, chosen, shadow_clip=6.0, lit=False)
    if parity == "published":
        spec.option.cone = mujoco.mjtCone.mjCONE_PYRAMIDAL
    add_floor(spec, kin.contact.floor_friction, contype=1, conaffinity=1, condim=3, **_surface(kin))
    armature = kin.published_armature if parity == "published" else {}
    bodies: dict[str, Any] = {"": spec.worldbody}
    for limb in limbs(name):
        body = bodies[limb.name] = bodies[limb.parent].add_body(name=limb.name, pos=limb.position)
        for number, shape in enumerate(limb.shapes):
            _add_shape(body, limb, shape, f"{limb.name}_{number}", kin)
        for letter in limb.hinges:
            _add_hinge(spec, body, limb, letter, kin, armature)
    torso = bodies["torso"]
    torso.pos[2] = kin.members[name].start_height
    _finish_torso(spec, torso, kin)
    return spec


def _one_of(argument: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"{argument}: expected {' or '.join(map(repr, known))}, got {value!r}")


def _surface(kin: Family) -> dict[str, Any]:
    impedance = [*kin.contact.solimp, 0.5, 2.0]  # the last two are MuJoCo's own
    return {"margin": kin.contact.margin, "solimp": impedance}


def _add_shape(body: Any, limb: Limb, shape: Capsule | Sphere, name: str, kin: Family) -> None:
    common: dict[str, Any] = {
        "name": name,
        "contype": 1,
        "conaffinity": int(kin.contact.collides),
        "condim": kin.contact.condim,
        "friction": [limb.friction or kin.contact.friction[0], *kin.contact.friction[1:]],
        "rgba": _COLOURS[limb.kind],
        **_surface(kin),
    }
    if isinstance(shape, Capsule):
        ends = [*shape.start, *shape.end]
        body.add_geom(type=mujoco.mjtGeom.mjGEOM_CAPSULE, size=[shape.radius, 0, 0], fromto=ends, **common)
    else:
        body.add_geom(type=mujoco.mjtGeom.mjGEOM_SPHERE, size=[shape.radius, 0, 0], pos=shape.centre, **common)


def _add_hinge(
    spec: mujoco.MjSpec, body: Any, limb: Limb, letter: str, kin: Family, armature: Mapping[str, float]
) -> None:
    hinge, name = limb.hinges[letter], joint_name(limb, letter)
    body.add_joint(
        name=name,
        type=mujoco.mjtJoint.mjJNT_HINGE,
        pos=limb.anchor,
        axis=limb.axis(letter),
        range=hinge.range,
        limited=True,
        stiffness=[limb.stiffness.get(letter, 0.0), 0.0, 0.0],
        damping=[limb.damping, 0.0, 0.0],
        armature=armature.get(name, limb.armature if hinge.armature is None else hinge.armature),
        **({} if kin.limit_solimp is None else {"solimp_limit": [*kin.limit_solimp, 0.5, 2.0]}),
    )
    motor = spec.add_actuator(name=name, target=name, trntype=mujoco.mjtTrn.mjTRN_JOINT)
    motor.set_to_motor()
    motor.gear[0] = hinge.gear
    motor.ctrllimited, motor.ctrlrange = True, [-1.0, 1.0]


def _finish_torso(spec: mujoco.MjSpec, torso: Any, kin: Family) -> None:
    torso.add_freejoint(name="root")
    add_light(spec, torso)
    position = (0.0, -4.5, 1.5)
    torso.add_camera(
        name="track",
        mode=mujoco.mjtCamLight.mjCAMLIGHT_TRACK,
        pos=position,
        xyaxes=look_at(position, (0.0, 0.0, -0.5)),
        fovy=45,
    )
    if kin.nose is not None:  # massless and without contact: parity with the published masses must hold
        torso.add_geom(
            name="nose",
            type=mujoco.mjtGeom.mjGEOM_SPHERE,
            pos=kin.nose,
            size=[0.03, 0, 0],
            rgba=_NOSE,
            contype=0,
            conaffinity=0,
            mass=0.0,
        )
