"""What the robots of one family share: physics, start, reward terms and the end of an episode."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Literal

import mujoco

from eqrl.envs.robots.sgrl.parts import Limb, Vector

FRAME_SKIP = 4


@dataclass(frozen=True)
class Contact:
    """Attributes of all geoms of a family; of a pair that touches, the larger friction counts.

    Attributes:
        friction: sliding, torsional and rolling, of the limbs.
        floor_friction: sliding, of the floor.
        collides: limbs touch each other, and not the floor alone.
        condim: of the limbs; the floor has 3.
        margin: metres.
        solimp: impedance.
    """

    friction: Vector
    floor_friction: float
    collides: bool = False
    condim: int = 3
    margin: float = 0.0
    solimp: tuple[float, float, float] = (0.9, 0.95, 0.001)


@dataclass(frozen=True)
class Noise:
    """What is added to positions, the quaternion's four numbers among them, and to velocities at reset.

    Attributes:
        position: half width of a uniform distribution.
        velocity: half width, or standard deviation where ``gaussian``.
        gaussian: the distribution of velocities.
    """

    position: float
    velocity: float
    gaussian: bool = False


@dataclass(frozen=True)
class Member:
    """How a robot differs from the full one of its family.

    Attributes:
        lacks: limbs that are cut off, those that hang on them too.
        start_height: of the torso's frame at reset, in metres.
        heights: the episode goes on while all heights that count lie strictly between these, in metres.
        joined: limbs that hang on another limb than in the full robot, with their position there.
    """

    lacks: tuple[str, ...]
    start_height: float
    heights: tuple[float, float]
    joined: Mapping[str, tuple[str, Vector]] = field(default_factory=dict)


@dataclass(frozen=True)
class Family:
    """One of the four kinds of robot of 3D-SGRL.

    Attributes:
        name: hopper, walker, humanoid or cheetah.
        limbs: of the full robot, parents first.
        members: robots by name, the full one among them.
        timestep: seconds; a control step has 4.
        integrator: as published.
        contact: attributes of geoms.
        limit_solimp: impedance of joint limits; None is MuJoCo's own.
        noise: of the reset.
        heading_reward: whether speed along the robot's own heading is paid, wherever the target is.
        alive_reward: whether each step is paid 1.
        measured: limbs whose heights count; where one is cut off, the others do.
        tilt: `total` is the angle between the torso's z axis and the vertical, `pitch and roll` the larger of the two.
        tilt_limit: radians; an episode ends when the tilt reaches it.
        state_limit: an episode ends when a number of the state behind the torso's position reaches it.
        idle_limit: an episode ends when the sum of all squared velocities is no more than this.
        published_armature: kg m^2 of joints whose published value is a typing error, which breaks the mirror.
        nose: where a mark shows which way the torso looks; None where its shape does.
    """

    name: str
    limbs: tuple[Limb, ...]
    members: Mapping[str, Member]
    timestep: float
    integrator: mujoco.mjtIntegrator
    contact: Contact
    noise: Noise
    heading_reward: bool
    alive_reward: bool
    tilt_limit: float
    tilt: Literal["total", "pitch and roll"] = "pitch and roll"
    limit_solimp: tuple[float, float, float] | None = None
    measured: tuple[str, ...] = ("torso",)
    state_limit: float = inf
    idle_limit: float = -inf
    published_armature: Mapping[str, float] = field(default_factory=dict)
    nose: Vector | None = None
