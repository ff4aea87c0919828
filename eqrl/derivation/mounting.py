"""Pieces that are mounted elsewhere than their images: one displacement explains everything that hangs on them.

A leg whose body was put a centimetre too far out shows in every joint, geom and centre of mass below. Reporting it
once, where it can be repaired, is worth more than the list.
"""

from __future__ import annotations

import numpy as np

from eqrl.arrays import Bools, Floats
from eqrl.derivation.discrepancy import Discrepancy
from eqrl.derivation.least_squares import procrustes
from eqrl.derivation.model_parts import FREE, HINGE, SLIDE, Parts
from eqrl.derivation.shapes import Shapes
from eqrl.derivation.symmetry import Symmetry
from eqrl.symmetry.quaternions import matrix_to_quaternion

# Below this share of the model's size nothing is called mounted elsewhere.
_CLEAR = 1e-3
# What a displacement leaves over, relative to it, and the share of points that have to agree with it.
_LEFT = 0.05
_AGREE = 0.7
_FEWEST = 3


def mounts(parts: Parts, shapes: Shapes, symmetry: Symmetry, moved: Floats) -> tuple[Floats, list[Discrepancy]]:
    """Isometries of all bodies with displaced mountings taken out, and these as discrepancies.

    Args:
        parts: the model in its reference configuration.
        shapes: its geoms.
        symmetry: says which part goes where.
        moved: isometry of every body at the reference, ``(nbody, 4, 4)``.
    """
    corrected = moved.copy()
    displaced: list[Discrepancy] = []
    correction = {h: np.eye(4) for h in parts.heads}
    pairs = {h: _pairs(parts, shapes, symmetry, moved, h) for h in parts.heads[1:]}
    for head in parts.heads[1:]:
        if parts.floats(head):
            continue
        above = correction[int(parts.model.body_weldid[parts.model.body_parentid[head]])]
        correction[head] = above
        here, there, jointed = (np.concatenate([pairs[h][k] for h in _below(parts, head)]) for k in (0, 1, 2))
        here = here @ above[:3, :3].T + above[:3, 3]
        apart = np.linalg.norm(here - there, axis=1)
        # where no joint is elsewhere it is the shapes and masses that are
        if len(here) >= _FEWEST and min(np.median(apart), apart[jointed].max(initial=0.0)) > _CLEAR * parts.size:
            shift = _displacement(here, there)
            if shift is not None:
                correction[head] = shift @ above
                displaced += _displacements(parts, symmetry, head, shift, float(np.median(apart)) / parts.size)
        if correction[head] is not above or not np.array_equal(above, np.eye(4)):
            corrected[list(parts.members[head])] = correction[head] @ moved[list(parts.members[head])]
    return corrected, displaced


def _below(parts: Parts, head: int) -> list[int]:
    pieces = [head]
    for piece in pieces:
        pieces += parts.children[piece]
    return pieces


def _pairs(parts: Parts, shapes: Shapes, symmetry: Symmetry, moved: Floats, head: int) -> tuple[Floats, Floats, Bools]:
    """Points of a piece, moved, those of its image that they should meet, and which of them belong to joints."""
    m, d, G = parts.model, parts.data, moved[head]
    here, there = [parts.inertials[head][1]], [parts.inertials[int(symmetry.bodies[head])][1]]
    ends_here, ends_there = [], []
    jointed = [False]
    for i in parts.joints(head):
        j = int(symmetry.joints[i])
        if m.jnt_type[i] not in (FREE, SLIDE):
            here.append(d.xanchor[i])
            there.append(d.xanchor[j])
            jointed.append(True)
        if m.jnt_type[i] in (HINGE, SLIDE):  # the directions of axes count as places, so that turned mountings show
            det = np.linalg.det(G[:3, :3]) if m.jnt_type[i] == HINGE else 1.0
            axis = symmetry.joint_signs[i] * det * G[:3, :3] @ d.xaxis[i]
            at, image = (d.xanchor if m.jnt_type[i] == HINGE else d.xipos)[
                [i, j] if m.jnt_type[i] == HINGE else m.jnt_bodyid[[i, j]]
            ]
            ends_here.append(G[:3, :3] @ at + G[:3, 3] + 0.1 * parts.size * axis)
            ends_there.append(image + 0.1 * parts.size * d.xaxis[j])
    for g in parts.geoms[head]:
        if symmetry.geoms[g] >= 0 and len(shapes.points(g)):
            here.append(shapes.centre(g))
            there.append(shapes.centre(int(symmetry.geoms[g])))
            jointed.append(False)
    moved_here = np.array(here) @ G[:3, :3].T + G[:3, 3]
    marks = np.array([*jointed, *[True] * len(ends_here)])
    return np.array([*moved_here, *ends_here]), np.array([*there, *ends_there]), marks


def _displacement(here: Floats, there: Floats) -> Floats | None:
    """The rigid motion that takes nearly all points to their images: a shift if one will do."""
    shift = np.eye(4)
    shift[:3, 3] = np.median(there - here, axis=0)
    size = float(np.median(np.linalg.norm(here - there, axis=1)))
    for motion in (shift, procrustes(here, there, 1.0)):
        left = np.linalg.norm(here @ motion[:3, :3].T + motion[:3, 3] - there, axis=1)
        if np.quantile(left, _AGREE) <= _LEFT * size:
            return motion
    return None


def _displacements(parts: Parts, symmetry: Symmetry, head: int, shift: Floats, relative: float) -> list[Discrepancy]:
    """Where the image's body should be, and where it is, in the frame of its parent."""
    image = int(symmetry.bodies[head])
    of = (parts.body_name(head), parts.body_name(image))
    parent = np.linalg.inv(parts.poses[parts.model.body_parentid[image]])
    should, is_now = parent @ np.linalg.inv(shift) @ parts.poses[image], parent @ parts.poses[image]
    out = []
    if np.linalg.norm(should[:3, 3] - is_now[:3, 3]) > _CLEAR * parts.size:
        values = tuple(map(float, should[:3, 3])), tuple(map(float, is_now[:3, 3]))
        out.append(Discrepancy("kinematic", "pos", of, values, relative))
    if not out or np.linalg.norm(should[:3, :3] - is_now[:3, :3]) > _CLEAR:
        here, there = matrix_to_quaternion(np.stack([should[:3, :3], is_now[:3, :3]]))
        values = tuple(map(float, here if here @ there > 0 else -here)), tuple(map(float, there))
        out.append(Discrepancy("kinematic", "quat", of, values, relative))
    return out
