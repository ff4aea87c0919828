"""The hoppers: one leg of three to five limbs, which may touch each other."""

from __future__ import annotations

from math import inf

import mujoco

from eqrl.envs.robots.sgrl.family import Contact, Family, Member, Noise
from eqrl.envs.robots.sgrl.parts import Capsule, Hinge, Limb, Vector

_TURN = Hinge((-10.0, 10.0), 200.0)
_KNEE = {"x": _TURN, "y": Hinge((-150.0, 0.0), 200.0), "z": _TURN}
_ANKLE = {"x": _TURN, "y": Hinge((-45.0, 45.0), 200.0), "z": _TURN}


def _vertical(radius: float, top: float, bottom: float) -> tuple[Capsule]:
    return (Capsule(radius, (0.0, 0.0, top), (0.0, 0.0, bottom)),)


def _shin(name: str, parent: str, position: Vector) -> Limb:
    shape = _vertical(0.04, 0.25, -0.25)
    return Limb(name, parent, "shin", position, shape, _KNEE, anchor=(0.0, 0.0, 0.25), damping=1.0, armature=1.0)


HOPPER = Family(
    name="hopper",
    limbs=(
        Limb("torso", "", "torso", (0.0, 0.0, 0.0), _vertical(0.05, 0.2, -0.2)),
        Limb(
            "thigh", "torso", "thigh", (0.0, 0.0, -0.2), _vertical(0.05, 0.0, -0.45), _KNEE, damping=1.0, armature=1.0
        ),
        _shin("shin", "thigh", (0.0, 0.0, -0.7)),
        _shin("lower_shin", "shin", (0.0, 0.0, -0.5)),
        Limb(
            "foot",
            "lower_shin",
            "foot",
            (0.065, 0.0, -0.25),
            (Capsule(0.06, (-0.195, 0.0, 0.0), (0.195, 0.0, 0.0)),),
            _ANKLE,
            anchor=(-0.065, 0.0, 0.0),
            damping=1.0,
            armature=1.0,
            friction=2.0,
        ),
    ),
    members={
        "hopper_3_shin": Member(
            ("shin", "lower_shin"), 1.25, (0.45, inf), joined={"foot": ("thigh", (0.065, 0.0, -0.45))}
        ),
        "hopper_4_lower_shin": Member(
            ("lower_shin",), 1.25, (0.6, inf), joined={"foot": ("shin", (0.065, 0.0, -0.25))}
        ),
        "hopper_5_full": Member((), 1.75, (0.95, inf)),
    },
    timestep=0.002,
    integrator=mujoco.mjtIntegrator.mjINT_RK4,
    contact=Contact((0.9, 0.005, 0.0001), 1.0, collides=True, condim=1, margin=0.001, solimp=(0.8, 0.8, 0.01)),
    noise=Noise(0.005, 0.005),
    heading_reward=False,
    alive_reward=True,
    tilt="total",
    tilt_limit=1.0,
    state_limit=100.0,
    nose=(0.05, 0.0, 0.17),
)
