"""Robots that can run: a model, what drives it, and the rules for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import mujoco

from eqrl.arrays import Floats
from eqrl.envs.locomotion.rules import Rules
from eqrl.envs.robots import sgrl
from eqrl.envs.robots.drives import Drive, drives_of
from eqrl.envs.robots.loading import Robot, load
from eqrl.envs.robots.sgrl import Noise

SGRL_KINDS = ("torso", "thigh", "shin", "foot", "arm", "tail")
# of robots that nobody published rules for
_CONTROL_STEP = 0.02  # seconds
_NOISE = 0.01
_FALLEN = 0.5  # of the standing height
_TILTED = 1.35  # radians


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
        pose: in which it starts, ``(nq,)``; None for the model's default one.
        remarks: what was changed in a model that is not ours, and what keeps it from being symmetric.
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
    pose: Floats | None = None
    remarks: tuple[str, ...] = ()
    kind_of: Mapping[str, str] | None = None
    kinds: tuple[str, ...] | None = None
    slots: tuple[int, int] | None = None
    mirrored: bool = False


def runner(robot: Any, *, parity: Any = "repaired", integrator: Any = "published", symmetrise: bool = False) -> Runner:
    """The robot that a user names.

    Args:
        robot: a name, the path of an MJCF or URDF file, or an ``MjSpec``; see :func:`eqrl.envs.robots.loading.load`.
        parity: ``"repaired"`` or ``"published"``, of 3D-SGRL's robots, see :func:`eqrl.envs.robots.sgrl.build`.
        integrator: ``"published"``, the model's own, or ``"implicitfast"``.
        symmetrise: of other robots, whether symmetries that they nearly have are made exact.

    Raises:
        ValueError: in one line, for what cannot run.
    """
    if isinstance(robot, str) and robot in sgrl.NAMES:
        return _published(robot, parity, integrator)
    return stranger(load(robot, symmetrise=symmetrise), integrator)


def _published(name: str, parity: Any, integrator: Any) -> Runner:
    spec = sgrl.build(name, parity=parity, integrator=integrator)
    limbs = sgrl.limbs(name)
    return Runner(
        name=name,
        spec=spec,
        base="torso",
        drives=drives_of(spec.compile()),
        rules=Rules.of_sgrl(name, [limb.name for limb in limbs]),
        frame_skip=sgrl.FRAME_SKIP,
        kind_of={limb.name: limb.kind for limb in limbs},
        kinds=SGRL_KINDS,
        slots=(2, 1),
        mirrored=True,
    )


def stranger(robot: Robot, integrator: Any = "published") -> Runner:
    """A robot that nobody published rules for: they follow from how it stands.

    Args:
        robot: alone on flat ground; its integrator is changed as asked.
        integrator: as of :func:`runner`.
    """
    if integrator == "implicitfast":
        robot.spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    return Runner(
        name=robot.name,
        spec=robot.spec,
        base=robot.base,
        drives=robot.drives,
        rules=Rules(
            noise=Noise(_NOISE, _NOISE),
            measured=[robot.base],
            heights=(_FALLEN * robot.standing_height, inf),
            tilt_limit=_TILTED,
        ),
        frame_skip=max(1, round(_CONTROL_STEP / robot.spec.option.timestep)),
        pose=robot.pose,
        remarks=robot.remarks,
    )
