"""Where a symmetry takes every body, including those that are welded to others.

Which of several bodies welded to the same parent goes where matters to nothing but what is kept per body, such as
contact forces. Their frames often coincide (the four upper legs of Gymnasium's Ant), so they are told apart by their
centres of mass.
"""

from __future__ import annotations

import mujoco
import numpy as np
from scipy.optimize import linear_sum_assignment

from eqrl.arrays import Floats, Ints
from eqrl.derivation import Symmetry


def link_images(symmetry: Symmetry) -> Ints:
    """Image of every body, ``(nbody,)``."""
    m = symmetry.model
    d = mujoco.MjData(m)
    d.qpos[:] = symmetry.reference
    mujoco.mj_kinematics(m, d)
    images = np.array(symmetry.bodies, dtype=np.int64)
    for head in np.flatnonzero(m.body_weldid == np.arange(m.nbody)):
        image = int(symmetry.bodies[head])
        here = np.flatnonzero((m.body_weldid == head) & (np.arange(m.nbody) != head))
        there = np.flatnonzero((m.body_weldid == image) & (np.arange(m.nbody) != image))
        if not len(here) or len(here) != len(there):
            continue
        rotation, shift = _moved(d, symmetry, int(head), image)
        gaps = sum(
            np.linalg.norm((points[here] @ rotation.T + shift)[:, None] - points[there][None], axis=-1)
            for points in (d.xipos, d.xpos)
        )
        rows, columns = linear_sum_assignment(gaps)
        images[here[rows]] = there[columns]
    return images


def _moved(d: mujoco.MjData, s: Symmetry, head: int, image: int) -> tuple[Floats, Floats]:
    """The isometry of the world by which a body goes to its image, in the reference configuration."""
    if head == 0:
        return s.R, s.t
    frame = s.frames[head]
    rotation = d.xmat[image].reshape(3, 3) @ frame[:3, :3] @ d.xmat[head].reshape(3, 3).T
    there = d.xpos[image] + d.xmat[image].reshape(3, 3) @ frame[:3, 3]
    return rotation, there - rotation @ d.xpos[head]
