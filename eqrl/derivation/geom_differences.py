"""How a geom differs from its image: in type, position, size or orientation, with the values that show it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import mujoco
import numpy as np

from eqrl.arrays import Floats
from eqrl.derivation.candidates import AXIAL
from eqrl.derivation.discrepancy import Value
from eqrl.derivation.model_parts import PLANE
from eqrl.derivation.shapes import Shapes
from eqrl.symmetry.quaternions import matrix_to_quaternion

_G = mujoco.mjtGeom
_SPHERE = int(_G.mjGEOM_SPHERE)
_LINES = (int(_G.mjGEOM_CAPSULE), int(_G.mjGEOM_CYLINDER))
_MESHES = (int(_G.mjGEOM_MESH), int(_G.mjGEOM_SDF))
# With the inversion, each of the improper symmetries of a cube is one of the proper ones.
_PROPER = np.array([R for R in AXIAL if np.linalg.det(R) > 0])
# An aspect with less than this share of the whole gap is a consequence, not a cause.
_SHARE = 0.3


class Aspect(NamedTuple):
    """One respect in which two geoms differ.

    Attributes:
        field: the attribute of MJCF that shows it; ``"reach"`` for meshes of another form.
        here: its value at the geom, moved onto its image.
        there: its value at the image.
        gap: how far it takes surfaces apart, in units of length.
    """

    field: str
    here: Value
    there: Value
    gap: float


def aspects(shapes: Shapes, a: int, b: int, G: Floats, floor: float = 0.0) -> list[Aspect]:
    """What makes geom ``a``, moved by ``G``, miss geom ``b``, in the frame of the body of ``b``; the worst first.

    Gaps up to ``floor`` are none.

    The gap of the first is what ``Shapes.gap`` gives for the whole, so that nothing is accepted that this would refuse.
    """
    m = shapes.parts.model
    whole = shapes.gap(a, b, G)
    if whole <= floor:
        return []
    if not shapes.alike(a, b):
        kinds = float(m.geom_type[a]), float(m.geom_type[b])
        return [Aspect("type", *kinds, shapes.parts.size), *_displacement(shapes, a, b, G, whole)]
    if not np.isfinite(whole):  # height fields fit themselves alone
        return [Aspect("hfield", float(m.geom_dataid[a]), float(m.geom_dataid[b]), shapes.parts.size)]
    tried = [*_displacement(shapes, a, b, G, whole), *_sizes(shapes, a, b, G), *_turned(shapes, a, b, G)]
    tried = sorted((x for x in tried if x.here != x.there), key=lambda x: -x.gap)
    if not tried or tried[0].gap < _SHARE * whole:
        tried = [_reach(shapes, a, b, G) if m.geom_type[b] in _MESHES else _frames(shapes, a, b, G)]
    return [
        x._replace(gap=whole if not k else min(x.gap, whole))
        for k, x in enumerate(tried)
        if not k or x.gap > _SHARE * whole
    ]


def _displacement(shapes: Shapes, a: int, b: int, G: Floats, whole: float) -> Iterator[Aspect]:
    body = shapes.parts.poses[shapes.parts.model.geom_bodyid[b]]
    here, there = G[:3, :3] @ shapes.centre(a) + G[:3, 3], shapes.centre(b)
    if shapes.parts.model.geom_type[a] == PLANE:  # along itself a plane may lie anywhere
        normal = shapes.parts.geom_poses[b][:3, 2]
        here = there + normal * (normal @ (here - there))
    gap = float(np.linalg.norm(here - there))
    yield Aspect("pos", _local(body, here), _local(body, there), min(gap, whole))


def _sizes(shapes: Shapes, a: int, b: int, G: Floats) -> Iterator[Aspect]:
    m = shapes.parts.model
    kind = int(m.geom_type[a])
    if kind == PLANE:
        return
    if kind == _SPHERE or kind in _LINES:
        n = 1 if kind == _SPHERE else 2
        here, there = m.geom_size[a, :n], m.geom_size[b, :n]
    else:
        turn = _alignment(shapes, a, b, G)
        moved, other = _half_widths(shapes, a), _half_widths(shapes, b)
        here, there = np.abs(turn) @ moved, other
    yield Aspect("size", _value(here), _value(there), float(np.abs(here - there).max()))


def _half_widths(shapes: Shapes, g: int) -> Floats:
    """Half of a geom's extent along the axes of its own frame, ``(3,)``."""
    m = shapes.parts.model
    if m.geom_type[g] not in _MESHES:
        return np.array(m.geom_size[g])
    local = (shapes.points(g) - shapes.centre(g)) @ shapes.parts.geom_poses[g][:3, :3]
    width: Floats = (local.max(0) - local.min(0)) / 2.0
    return width


def _alignment(shapes: Shapes, a: int, b: int, G: Floats) -> Floats:
    """The symmetry of a cube that takes the axes of ``a``, moved, closest to those of ``b``, ``(3, 3)``."""
    between = shapes.parts.geom_poses[b][:3, :3].T @ G[:3, :3] @ shapes.parts.geom_poses[a][:3, :3]
    turns = _PROPER if np.linalg.det(between) > 0 else -_PROPER
    closest: Floats = turns[np.einsum("rij,ij->r", turns, between).argmax()]
    return closest


def _turned(shapes: Shapes, a: int, b: int, G: Floats) -> Iterator[Aspect]:
    parts = shapes.parts
    kind, body = int(parts.model.geom_type[a]), parts.poses[parts.model.geom_bodyid[b]][:3, :3]
    if kind == _SPHERE:
        return
    moved, other = G[:3, :3] @ parts.geom_poses[a][:3, :3], parts.geom_poses[b][:3, :3]
    if kind == PLANE or kind in _LINES:
        here, there = moved[:, 2], other[:, 2]
        if kind != PLANE and here @ there < 0:
            here = -here
        reach = 1.0 if kind == PLANE else float(parts.model.geom_size[b, 1])
        yield Aspect(
            "zaxis", _value(body.T @ here), _value(body.T @ there), reach * float(np.linalg.norm(here - there))
        )
        return
    yield _frames(shapes, a, b, G)


def _frames(shapes: Shapes, a: int, b: int, G: Floats) -> Aspect:
    parts = shapes.parts
    body = parts.poses[parts.model.geom_bodyid[b]][:3, :3]
    moved, other = G[:3, :3] @ parts.geom_poses[a][:3, :3], parts.geom_poses[b][:3, :3]
    aligned = moved @ _alignment(shapes, a, b, G).T
    here, there = matrix_to_quaternion(np.stack([body.T @ aligned, body.T @ other]))
    here = here if here @ there > 0 else -here
    gap = float(np.abs((aligned - other) * _half_widths(shapes, b)).sum(1).max())
    return Aspect("quat", _value(here), _value(there), gap)


def _reach(shapes: Shapes, a: int, b: int, G: Floats) -> Aspect:
    """How far two hulls reach in the direction in which they differ most, from the centre of the image."""
    here, there = shapes.farthest(a, b, G)
    return Aspect("reach", here, there, abs(here - there))


def _local(pose: Floats, point: Floats) -> tuple[float, ...]:
    return tuple(float(v) for v in pose[:3, :3].T @ (point - pose[:3, 3]))


def _value(x: Floats) -> Value:
    return float(x[0]) if len(x) == 1 else tuple(float(v) for v in x)
