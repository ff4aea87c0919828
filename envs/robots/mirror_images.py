"""A robot's mirror in words: which joint is the image of which."""

from __future__ import annotations

from collections.abc import Mapping

import mujoco
import numpy as np

from eqrl.envs.robots.limbs import Limbs

_MOST = 12


def images_of_joints(model: mujoco.MjModel, limbs: Limbs) -> Mapping[str, str]:
    """The image of each hinge by name, with a minus where its angle changes sign; empty without a mirror."""
    if limbs.derived is None:
        return {}
    matrix = np.asarray(dict(limbs.derived.h)["joints"])
    names = [str(model.joint(j).name) for j in range(model.njnt) if model.jnt_type[j] != mujoco.mjtJoint.mjJNT_FREE]
    rows = np.abs(matrix).argmax(axis=0)
    return {
        name: ("-" if matrix[row, k] < 0 else "") + names[row]
        for k, (name, row) in enumerate(zip(names, rows, strict=True))
    }


def symmetry_in_words(model: mujoco.MjModel, limbs: Limbs) -> tuple[str, ...]:
    """One line about the symmetry of a robot on flat ground, and one about its exchange of joints."""
    images = images_of_joints(model, limbs)
    if not images:
        return ("rotations about gravity; the robot is not its own mirror image",)
    order = list(images)
    pairs = [
        f"{name} -> {image}" for name, image in images.items() if order.index(image.lstrip("-")) >= order.index(name)
    ]
    more = f" and {len(pairs) - _MOST} more" if len(pairs) > _MOST else ""
    return ("rotations about gravity, and the sagittal mirror of the robot", ", ".join(pairs[:_MOST]) + more)
