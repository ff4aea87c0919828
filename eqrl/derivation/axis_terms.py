"""Attributes of the degrees of freedom of free and ball joints, which a symmetry turns as it turns their axes.

A free joint moves along the axes of the world and turns, as a ball does, about those of its body. Dry friction and
polynomial damping act on each axis separately: only what takes these axes to each other keeps them. Armature and linear
damping form a tensor.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from eqrl.arrays import Floats
from eqrl.derivation.model_parts import BALL, FREE
from eqrl.derivation.symmetry import Symmetry

_TENSORS = ("armature", "damping")
_EACH_AXIS = ("frictionloss", "dampingpoly")


def width(kind: int) -> int:
    """Number of degrees of freedom of a type of joint."""
    return {FREE: 6, BALL: 3}.get(kind, 1)


def turned(symmetry: Symmetry, joint: int, name: str, values: ArrayLike) -> Floats:
    """An attribute as it stands at the image of a joint.

    Args:
        symmetry: what turns it.
        joint: the joint, before.
        name: of the attribute.
        values: one row for each degree of freedom, ``(width, ...)``.

    Returns:
        The same shape. Of dry friction it is the largest force along each axis of the image, which is more than that
        along the joint's own axes unless these go to each other.
    """
    m, out = symmetry.model, np.array(values, dtype=np.float64)
    if int(m.jnt_type[joint]) not in (FREE, BALL):
        return out
    for block in range(0, len(out), 3):
        along_world = block == 0 and m.jnt_type[joint] == FREE
        axes = np.abs(symmetry.R if along_world else symmetry.frames[m.jnt_bodyid[joint], :3, :3])
        rows = out[block : block + 3]
        if name in _TENSORS:
            out[block : block + 3] = axes**2 @ rows
        elif name in _EACH_AXIS:
            out[block : block + 3] = axes @ rows
        else:
            out[block : block + 3] = rows[axes.argmax(1)]
    return out
