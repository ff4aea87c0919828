"""Changes to a robot that users may ask for: nothing but its feet touches the floor, and it is its own mirror image."""

from __future__ import annotations

from dataclasses import replace

import mujoco
import numpy as np

from eqrl.arrays import Floats
from eqrl.derivation import Symmetry, derive
from eqrl.envs.robots.standing import feet

_SAME = 1e-6


def feet_alone(spec: mujoco.MjSpec, pose: Floats, base: str, floor: str) -> list[str]:
    """Let nothing but what a robot stands on collide, and that with the floor alone.

    Args:
        spec: the robot on its floor; it is changed.
        pose: in which it stands, ``(nq,)``.
        base: name of its floating body.
        floor: name of the floor.

    Returns:
        A remark.
    """
    model = spec.compile()
    standing = {model.geom(g).name for g in feet(model, pose, model.body(base).id, model.geom(floor).id)}
    left_out = 0
    for geom in spec.geoms:
        if geom.name == floor:
            geom.contype, geom.conaffinity = 1, 0
        elif geom.name in standing:
            geom.contype, geom.conaffinity = 0, 1
        else:
            left_out += bool(geom.contype or geom.conaffinity)
            geom.contype = geom.conaffinity = 0
    return [f"its feet alone touch the floor; {left_out} other shapes collide with nothing"] if left_out else []


def symmetric(spec: mujoco.MjSpec, pose: Floats) -> tuple[mujoco.MjSpec, list[str]]:
    """Make a robot's symmetries exact, those that keep its pose.

    Args:
        spec: the robot on its floor.
        pose: in which it stands, ``(nq,)``.

    Returns:
        The robot, changed where it had to be, and remarks.
    """
    derivation = derive(spec)
    kept = replace(
        derivation,
        kinematic=tuple(s for s in derivation.kinematic if _keeps(s, pose)),
        near_misses=tuple(m for m in derivation.near_misses if _keeps(m.symmetry, pose)),
        sets={},
    )
    if not kept.near_misses:
        return spec, []
    repaired, changes = kept.symmetrise()
    names = ", ".join(dict.fromkeys(m.name for m in kept.near_misses))
    return repaired, [f"{len(changes)} attributes averaged for an exact {names}, {changes[0]} for instance"]


def _keeps(symmetry: Symmetry, pose: Floats) -> bool:
    model = symmetry.model
    at = [int(model.jnt_qposadr[j]) for j in symmetry.scalar_joints]
    return bool(np.allclose(symmetry.qpos(pose)[at], pose[at], atol=_SAME))
