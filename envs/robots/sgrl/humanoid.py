"""The humanoids: a stiff trunk with head, two legs that end in balls, two arms that end in balls."""

from __future__ import annotations

import mujoco

from eqrl.envs.robots.sgrl.family import Contact, Family, Member, Noise
from eqrl.envs.robots.sgrl.parts import LOCKED, Capsule, Hinge, Limb, Sphere, Vector, left_of

_ORIGIN: Vector = (0.0, 0.0, 0.0)
_SHOULDER = (-85.0, 60.0)

_TORSO = Limb(
    "torso",
    "",
    "torso",
    _ORIGIN,
    (
        Capsule.crosswise(0.07, 0.07, 0.0, 0.165375),
        Sphere(0.09, (0.0, 0.0, 0.355375)),
        Capsule.crosswise(0.06, 0.06, -0.01, 0.045375),
        Capsule.crosswise(0.06, 0.06, -0.01, -0.094625),
        Capsule.crosswise(0.09, 0.07, -0.02, -0.259625),
    ),
)
_RIGHT_LEG = (
    Limb(
        "right_thigh",
        "torso",
        "thigh",
        (0.0, -0.1, -0.299625),
        (Capsule(0.06, _ORIGIN, (0.0, 0.01, -0.34)),),
        {"x": Hinge((-25.0, 5.0), 100.0), "y": Hinge((-20.0, 110.0), 300.0), "z": Hinge((-60.0, 35.0), 100.0)},
        stiffness={"x": 10.0, "y": 20.0, "z": 10.0},
        damping=5.0,
        armature=0.01,
    ),
    Limb(
        "right_shin",
        "right_thigh",
        "shin",
        (0.0, 0.01, -0.403),
        (Capsule(0.049, _ORIGIN, (0.0, 0.0, -0.3)), Sphere(0.075, (0.0, 0.0, -0.35))),
        {"x": LOCKED, "y": Hinge((-160.0, -2.0), 200.0), "z": LOCKED},
        anchor=(0.0, 0.0, 0.02),
        stiffness={"x": 1.0, "y": 1.0, "z": 1.0},
        damping=1.0,
        armature=0.006,
    ),
)
_RIGHT_ARM = (
    Limb(
        "right_upper_arm",
        "torso",
        "arm",
        (0.0, -0.17, 0.225375),
        (Capsule(0.04, _ORIGIN, (0.16, -0.16, -0.16)),),
        {
            "x": Hinge(_SHOULDER, 25.0, axis=(2.0, 1.0, 1.0), armature=0.0068, reversed_by_mirror=True),
            "y": Hinge(_SHOULDER, 25.0, axis=(0.0, -1.0, 1.0), reversed_by_mirror=True),
            "z": LOCKED,
        },
        stiffness={"x": 1.0, "y": 1.0, "z": 1.0},
        damping=1.0,
        armature=0.0051,
    ),
    Limb(
        "right_lower_arm",
        "right_upper_arm",
        "arm",
        (0.18, -0.18, -0.18),
        (Capsule(0.031, (0.01, 0.01, 0.01), (0.17, 0.17, 0.17)), Sphere(0.04, (0.18, 0.18, 0.18))),
        {"x": LOCKED, "y": Hinge((-90.0, 50.0), 25.0, axis=(0.0, -1.0, 1.0)), "z": LOCKED},
        damping=1.0,
        armature=0.0028,
    ),
)


def _member(*lacks: str) -> Member:
    return Member(lacks, 1.234625, (0.8346, 1.8346))


HUMANOID = Family(
    name="humanoid",
    limbs=(_TORSO, *_RIGHT_LEG, *left_of(_RIGHT_LEG), *_RIGHT_ARM, *left_of(_RIGHT_ARM)),
    members={
        "humanoid_7_left_arm": _member("left_upper_arm", "left_lower_arm"),
        "humanoid_7_left_leg": _member("left_thigh", "left_shin"),
        "humanoid_7_lower_arms": _member("right_lower_arm", "left_lower_arm"),
        "humanoid_7_right_arm": _member("right_upper_arm", "right_lower_arm"),
        "humanoid_7_right_leg": _member("right_thigh", "right_shin"),
        "humanoid_8_left_knee": _member("left_shin"),
        "humanoid_8_right_knee": _member("right_shin"),
        "humanoid_9_full": _member(),
    },
    timestep=0.002,
    integrator=mujoco.mjtIntegrator.mjINT_RK4,
    contact=Contact((0.7, 0.1, 0.1), 0.7),
    noise=Noise(0.005, 0.005),
    heading_reward=True,
    alive_reward=True,
    tilt_limit=1.0,
    # the other thigh has 0.01, the other upper arm 0.0051
    published_armature={"right_thigh_joint_y": 0.008, "left_upper_arm_joint_z": 0.0028},
    nose=(0.085, 0.0, 0.355375),
)
