"""The four-legged robot: a spherical torso with four like legs at 45, 135, 225 and 315 degrees.

Its shape is that of Gymnasium's Ant (Schulman et al. 2016), but every leg is written in its own frame, so that all
hips and all ankles have the same axis, range and sign, and the exchange of legs is a plain permutation.
"""

from __future__ import annotations

import mujoco
import numpy as np

from eqrl.envs.core.coordinates import Body, Coordinates, FreeBody
from eqrl.envs.core.layout import StateLayout
from eqrl.envs.scenes.floor import add_floor, look_at, new_spec
from eqrl.symmetry import EntitySet, Field, Generator, Group

N_LEGS = 4
LEGS = EntitySet("legs", ("leg",) * N_LEGS, edges=((0, 1), (1, 2), (2, 3), (3, 0)))
BODY = EntitySet("body", ("axis",) * 3)

_SEGMENT = 0.2 * np.sqrt(2.0)  # metres from the torso's centre to the hip and from the hip to the ankle
_HIP_RANGE = (-30.0, 30.0)
_ANKLE_RANGE = (30.0, 70.0)


def _group() -> Group:
    quarter = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    mirror = np.diag([1.0, -1.0, 1.0])
    turn = np.roll(np.eye(N_LEGS), 1, axis=0)  # leg i takes the place of leg i + 1
    swap = np.eye(N_LEGS)[::-1]  # legs at 45 and 315 degrees, and at 135 and 225, change places
    return Group(
        "SO2 x D4",
        "SO2",
        (
            Generator.of("quarter turn of the body", None, {"legs": turn, "body": quarter}),
            Generator.of("sagittal mirror", mirror, {"legs": swap, "body": mirror}),
        ),
    )


GROUP = _group()


def build(gear: float, integrator: mujoco.mjtIntegrator, timestep: float) -> mujoco.MjSpec:
    """The robot on a plane.

    Args:
        gear: N m of torque a unit of control.
        integrator: of the simulation.
        timestep: seconds.
    """
    spec = new_spec(timestep, integrator, shadow_clip=6.0)
    add_floor(spec, 1.0, contype=1, conaffinity=1, margin=0.01)
    torso = spec.worldbody.add_body(name="torso", pos=[0, 0, 0.55])
    torso.add_freejoint(name="root")
    shared = {"contype": 1, "conaffinity": 0, "density": 5.0, "friction": [1.0, 0.5, 0.5], "margin": 0.01}
    capsule, sphere = mujoco.mjtGeom.mjGEOM_CAPSULE, mujoco.mjtGeom.mjGEOM_SPHERE
    torso.add_geom(name="torso", type=sphere, size=[0.25, 0, 0], rgba=[0.24, 0.35, 0.52, 1], **shared)
    # which way the body points; massless and without contact, or it would break the exchange of legs
    torso.add_geom(
        type=sphere,
        pos=[0.21, 0, 0.08],
        size=[0.07, 0, 0],
        rgba=[0.93, 0.55, 0.2, 1],
        contype=0,
        conaffinity=0,
        mass=0.0,
    )
    torso.add_camera(
        name="track",
        mode=mujoco.mjtCamLight.mjCAMLIGHT_TRACK,
        pos=[0, -5.0, 4.0],
        xyaxes=look_at((0, -5.0, 4.0), (0, 0, 0)),
        fovy=55,
    )
    for i in range(N_LEGS):
        angle = np.pi / 4 + i * np.pi / 2
        leg = torso.add_body(name=f"leg_{i}", quat=[np.cos(angle / 2), 0, 0, np.sin(angle / 2)])
        leg.add_geom(type=capsule, fromto=[0, 0, 0, _SEGMENT, 0, 0], size=[0.08, 0, 0], rgba=[0.33, 0.46, 0.64, 1], **shared)
        thigh = leg.add_body(name=f"thigh_{i}", pos=[_SEGMENT, 0, 0])
        thigh.add_joint(name=f"hip_{i}", axis=[0, 0, 1], range=_HIP_RANGE, limited=True, armature=1.0, damping=1.0)
        thigh.add_geom(type=capsule, fromto=[0, 0, 0, _SEGMENT, 0, 0], size=[0.08, 0, 0], rgba=[0.42, 0.56, 0.74, 1], **shared)
        shin = thigh.add_body(name=f"shin_{i}", pos=[_SEGMENT, 0, 0])
        shin.add_joint(name=f"ankle_{i}", axis=[0, 1, 0], range=_ANKLE_RANGE, limited=True, armature=1.0, damping=1.0)
        shin.add_geom(
            type=capsule, fromto=[0, 0, 0, 2 * _SEGMENT, 0, 0], size=[0.08, 0, 0], rgba=[0.55, 0.67, 0.82, 1], **shared
        )
    for joint in ("hip", "ankle"):
        for i in range(N_LEGS):
            motor = spec.add_actuator(name=f"{joint}_{i}", target=f"{joint}_{i}", trntype=mujoco.mjtTrn.mjTRN_JOINT)
            motor.set_to_motor()
            motor.gear[0] = gear
            motor.ctrllimited, motor.ctrlrange = True, [-1.0, 1.0]
    return spec


def layout(model: mujoco.MjModel) -> StateLayout:
    """How the robot's state turns."""
    joints = []
    for name, irreps in (("hip", "1x0o"), ("ankle", "1x0e")):
        ids = [model.joint(f"{name}_{i}").id for i in range(N_LEGS)]
        qpos, dof = tuple(int(model.jnt_qposadr[j]) for j in ids), tuple(int(model.jnt_dofadr[j]) for j in ids)
        joints.append(Coordinates(Field(name, irreps, entities="legs"), qpos, dof))
    return StateLayout((FreeBody(Body("torso", "body"), 0, 0),), tuple(joints), (LEGS, BODY), GROUP)
