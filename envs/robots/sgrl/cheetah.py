"""The cheetahs: a long trunk with head and tail, four legs of three limbs with stiff springs."""

from __future__ import annotations

from math import inf

import mujoco

from eqrl.envs.robots.sgrl.family import Contact, Family, Member, Noise
from eqrl.envs.robots.sgrl.parts import LOCKED, Capsule, Hinge, Kind, Limb, Sphere, Vector, left_of

_TORSO = Limb(
    "torso",
    "",
    "torso",
    (0.0, 0.0, 0.0),
    (
        Capsule.crosswise(0.07, 0.08, 0.4, 0.0),
        Capsule.crosswise(0.06, 0.07, 0.28, -0.01),
        Capsule.crosswise(0.06, 0.07, 0.14, -0.01),
        Capsule.crosswise(0.06, 0.06, 0.0, -0.01),
        Capsule.crosswise(0.06, 0.06, -0.14, -0.01),
        Capsule.crosswise(0.06, 0.06, -0.28, -0.01),
        Capsule.crosswise(0.09, 0.09, -0.445, -0.02),
        Sphere(0.09, (0.5, 0.0, 0.1)),
    ),
)
_TAIL = Limb(
    "upper_tail",
    "torso",
    "tail",
    (-0.445, 0.0, 0.0),
    (
        Capsule.pitched(0.04, 0.25, (-0.25, 0.0, 0.0), -90.0),
        Capsule.pitched(0.04, 0.07, (-0.55, 0.0, 0.05), -45.0),
    ),
    {"x": Hinge((-20.0, 20.0), 70.0), "y": Hinge((-80.0, 80.0), 70.0), "z": LOCKED},
    damping=3.5,
    armature=0.1,
)


def _limb(
    name: str, parent: str, kind: Kind, position: Vector, shape: Capsule, spring: float, x: Hinge, y: Hinge, z: Hinge
) -> Limb:
    return Limb(
        f"right_{name}",
        parent,
        kind,
        position,
        (shape,),
        {"x": x, "y": y, "z": z},
        stiffness={"x": spring, "y": spring, "z": spring},
        damping=spring / 40,
        armature=0.1,
    )


_RIGHT_LEGS = (
    _limb(
        "bthigh", "torso", "thigh", (-0.445, -0.12, 0.0),
        Capsule.pitched(0.06, 0.145, (0.1, 0.0, -0.13), -217.7239621497), 240.0,
        Hinge((-10.0, 0.0), 120.0), Hinge((-60.0, 30.0), 120.0), Hinge((-15.0, 5.0), 120.0),
    ),
    _limb(
        "bshin", "right_bthigh", "shin", (0.16, 0.0, -0.25),
        Capsule.pitched(0.046, 0.15, (-0.14, 0.0, -0.07), -116.3104324116), 180.0,
        LOCKED, Hinge((-45.0, 45.0), 90.0), LOCKED,
    ),
    _limb(
        "bfoot", "right_bshin", "foot", (-0.28, 0.0, -0.14),
        Capsule.pitched(0.046, 0.094, (0.03, 0.0, -0.097), -15.4698604685), 120.0,
        LOCKED, Hinge((-45.0, 25.0), 60.0), Hinge((-15.0, 5.0), 60.0),
    ),
    _limb(
        "fthigh", "torso", "thigh", (0.4, -0.09, 0.0),
        Capsule.pitched(0.055, 0.133, (-0.07, 0.0, -0.12), 29.7938053468), 180.0,
        Hinge((-15.0, 5.0), 120.0), Hinge((-40.0, 60.0), 120.0), Hinge((-20.0, 10.0), 120.0),
    ),
    _limb(
        "fshin", "right_fthigh", "shin", (-0.14, 0.0, -0.24),
        Capsule.pitched(0.046, 0.106, (0.065, 0.0, -0.09), -34.3774677078), 120.0,
        LOCKED, Hinge((-50.0, 70.0), 60.0), LOCKED,
    ),
    _limb(
        "ffoot", "right_fshin", "foot", (0.13, 0.0, -0.18),
        Capsule.pitched(0.046, 0.07, (0.045, 0.0, -0.07), -34.3774677078), 60.0,
        LOCKED, Hinge((-30.0, 30.0), 30.0), Hinge((-20.0, 5.0), 30.0),
    ),
)  # fmt: skip


def _member(*lacks: str) -> Member:
    return Member(lacks, 0.7, (0.26, inf))


CHEETAH = Family(
    name="cheetah",
    limbs=(_TORSO, _TAIL, *_RIGHT_LEGS, *left_of(_RIGHT_LEGS)),
    members={
        "cheetah_10_tail_leftbleg": _member("upper_tail", "left_bthigh", "left_bshin", "left_bfoot"),
        "cheetah_11_leftbkneen_rightffoot": _member("right_ffoot", "left_bshin", "left_bfoot"),
        "cheetah_11_leftfleg": _member("left_fthigh", "left_fshin", "left_ffoot"),
        "cheetah_11_tail_rightfknee": _member("upper_tail", "right_fshin", "right_ffoot"),
        "cheetah_12_rightbknee": _member("right_bshin", "right_bfoot"),
        "cheetah_12_tail_leftbfoot": _member("upper_tail", "left_bfoot"),
        "cheetah_12_tail_leftffoot": _member("upper_tail", "left_ffoot"),
        "cheetah_13_rightffoot": _member("right_ffoot"),
        "cheetah_13_tail": _member("upper_tail"),
        "cheetah_14_full": _member(),
    },
    timestep=0.01,
    integrator=mujoco.mjtIntegrator.mjINT_EULER,
    contact=Contact((0.4, 0.1, 0.1), 0.4, solimp=(0.0, 0.8, 0.01)),
    limit_solimp=(0.0, 0.8, 0.03),
    noise=Noise(0.1, 0.1, gaussian=True),
    heading_reward=True,
    alive_reward=False,
    measured=("torso", "right_fthigh", "left_fthigh"),
    tilt_limit=1.35,
    idle_limit=1.0,
)
