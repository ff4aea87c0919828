"""Robots that can run: a model, what drives it, and the rules for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import mujoco

from eqrl.envs.locomotion.rules import Rules
from eqrl.envs.robots import sgrl

SGRL_KINDS = ("torso", "thigh", "shin", "foot", "arm", "tail")


@dataclass(frozen=True)
class Drive:
    """One actuator.

    Attributes:
        joint: name of the joint that it drives.
        strength: torque at action 1, N m; 0 if it is dead.
        middle: control at action 0.
        reach: from there to the control at action 1.
    """

    joint: str
    strength: float
    middle: float = 0.0
    reach: float = 1.0


@dataclass(frozen=True)
class Runner:
    """A robot that can run.

    Attributes:
        name: for messages.
        spec: the robot on a plane.
        base: name of its trunk.
        drives: its actuators, in the model's order.
        rules: start and end of its episodes.
        frame_skip: physics steps a control step.
        kind_of: kind of each limb, by the name of its body; None to take mirror images as one kind.
        kinds: all kinds of robots with equal spaces, in order; None for this robot's own.
        slots: of odd and even joints of robots with equal spaces; None for as many as this one needs.
        mirrored: whether it belongs to a family that is closed under mirrors.
    """

    name: str
    spec: mujoco.MjSpec
    base: str
    drives: Sequence[Drive]
    rules: Rules
    frame_skip: int
    kind_of: Mapping[str, str] | None = None
    kinds: tuple[str, ...] | None = None
    slots: tuple[int, int] | None = None
    mirrored: bool = False


def runner(robot: Any, *, parity: Any = "repaired", integrator: Any = "published") -> Runner:
    """The robot that a user names.

    Args:
        robot: name of one of 3D-SGRL's robots.
        parity: ``"repaired"`` or ``"published"``, see :func:`eqrl.envs.robots.sgrl.build`.
        integrator: ``"published"`` or ``"implicitfast"``.

    Raises:
        ValueError: in one line, for what cannot run.
    """
    spec = sgrl.build(robot, parity=parity, integrator=integrator)
    limbs = sgrl.limbs(robot)
    return Runner(
        name=robot,
        spec=spec,
        base="torso",
        drives=[Drive(a.target, float(a.gear[0])) for a in spec.actuators],
        rules=Rules.of_sgrl(robot, [limb.name for limb in limbs]),
        frame_skip=sgrl.FRAME_SKIP,
        kind_of={limb.name: limb.kind for limb in limbs},
        kinds=SGRL_KINDS,
        slots=(2, 1),
        mirrored=True,
    )
