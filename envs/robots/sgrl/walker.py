"""The walkers: two legs that hang on one point and pass through each other."""

from __future__ import annotations

import mujoco

from eqrl.envs.robots.sgrl.family import Contact, Family, Member, Noise
from eqrl.envs.robots.sgrl.parts import LOCKED, Capsule, Hinge, Limb, Vector, left_of

_HIP = {"x": Hinge((-25.0, 5.0), 100.0), "y": Hinge((-20.0, 110.0), 100.0), "z": Hinge((-60.0, 35.0), 100.0)}
_KNEE = {"x": LOCKED, "y": Hinge((-160.0, -2.0), 100.0), "z": LOCKED}
_ANKLE = {"x": LOCKED, "y": Hinge((-45.0, 45.0), 100.0), "z": Hinge((-30.0, 5.0), 100.0)}
_ORIGIN: Vector = (0.0, 0.0, 0.0)

_TORSO = Limb("torso", "", "torso", _ORIGIN, (Capsule(0.07, _ORIGIN, (0.0, 0.0, -0.6)),))
_RIGHT_LEG = (
    Limb(
        "right_thigh",
        "torso",
        "thigh",
        (0.0, 0.0, -0.6),
        (Capsule(0.056, _ORIGIN, (0.0, 0.0, -0.48)),),
        _HIP,
        damping=0.1,
        armature=0.01,
    ),
    Limb(
        "right_shin",
        "right_thigh",
        "shin",
        (0.0, 0.0, -0.48),
        (Capsule(0.0448, _ORIGIN, (0.0, 0.0, -0.384)),),
        _KNEE,
        damping=0.1,
        armature=0.01,
    ),
    Limb(
        "right_foot",
        "right_shin",
        "foot",
        (0.0, 0.0, -0.384),
        (Capsule(0.06, _ORIGIN, (0.2, 0.0, 0.0)),),
        _ANKLE,
        damping=0.1,
        armature=0.01,
    ),
)


def _member(lowest: float, highest: float, *lacks: str) -> Member:
    return Member(lacks, 1.6, (lowest, highest))


WALKER = Family(
    name="walker",
    limbs=(_TORSO, *_RIGHT_LEG, *left_of(_RIGHT_LEG)),
    members={
        "walker_2_right_leg_left_knee": _member(
            0.54, 1.74, "right_thigh", "right_shin", "right_foot", "left_shin", "left_foot"
        ),
        "walker_3_left_knee_right_knee": _member(0.54, 1.74, "right_shin", "right_foot", "left_shin", "left_foot"),
        "walker_3_left_leg_right_foot": _member(0.664, 2.0, "right_foot", "left_thigh", "left_shin", "left_foot"),
        "walker_4_right_knee_left_foot": _member(0.664, 1.864, "right_shin", "right_foot", "left_foot"),
        "walker_5_foot": _member(0.8, 2.0, "right_foot", "left_foot"),
        "walker_5_left_knee": _member(0.664, 2.0, "left_shin", "left_foot"),
        "walker_6_right_foot": _member(0.8, 2.0, "right_foot"),
        "walker_7_full": _member(0.8, 2.0),
    },
    timestep=0.002,
    integrator=mujoco.mjtIntegrator.mjINT_RK4,
    contact=Contact((0.9, 0.1, 0.1), 0.7),
    noise=Noise(0.005, 0.005),
    heading_reward=True,
    alive_reward=True,
    tilt_limit=1.0,
    nose=(0.07, 0.0, -0.03),
)
