"""What a robot's own symmetry would be on open ground, and which parts of the terrain are in its way.

Static shapes hide the mirror of what moves among them. So the search is made again without them; what it finds in
addition is reported as a near miss, with the shapes that have no image.
"""

from __future__ import annotations

from collections.abc import Iterator

import mujoco
import numpy as np

from eqrl.arrays import Floats
from eqrl.derivation.candidates import AXIAL
from eqrl.derivation.derivation import Derivation
from eqrl.derivation.discrepancy import NONE, Discrepancy, NearMiss
from eqrl.derivation.elements import closure, key, world_motion
from eqrl.derivation.model_parts import HFIELD, PLANE, Parts
from eqrl.derivation.shapes import Shapes
from eqrl.derivation.symmetry import Symmetry

_WRAPPED = (int(mujoco.mjtWrap.mjWRAP_SPHERE), int(mujoco.mjtWrap.mjWRAP_CYLINDER))
_NAMES = {int(value): name.removeprefix("mjGEOM_").lower() for name, value in mujoco.mjtGeom.__members__.items()}
_LEVEL = 1e-9
# Static shapes through whose centres mirrors are tried.
_CENTRES = 12


def terrain(parts: Parts) -> frozenset[int]:
    """Static shapes on which things move: all that collide, but level ground and what tendons wrap around."""
    m = parts.model
    wrapped = {int(g) for g in m.wrap_objid[np.isin(m.wrap_type, _WRAPPED)]}
    level = {g for g in parts.geoms[0] if m.geom_type[g] == PLANE and abs(parts.geom_poses[g][2, 2]) > 1.0 - _LEVEL}
    return frozenset(parts.geoms[0]) - wrapped - level


def hidden(whole: Derivation, bare: Derivation, parts: Parts, tolerance: float) -> tuple[NearMiss, ...]:
    """What would hold without the terrain.

    Args:
        whole: with the terrain.
        bare: without it.
        parts: of the model with its terrain.
        tolerance: on places, relative to the size of the model.
    """
    known = _relabellings((*whole.kinematic, *(m.symmetry for m in whole.near_misses)), whole.identity)
    shapes, statics = Shapes(parts), sorted(terrain(parts))
    out = []
    candidates = [(s, ()) for s in bare.dynamic] + [(m.symmetry, m.discrepancies) for m in bare.near_misses]
    for symmetry, discrepancies in candidates:
        if _relabelling(symmetry) in known:
            continue
        placed = [
            (s, _without_image(parts, shapes, statics, s, tolerance))
            for s in _placements(symmetry, bare, parts, statics)
        ]
        best, lacking = min(placed, key=lambda pair: len(pair[1]))
        if lacking:
            out.append(NearMiss(best, (*(_in_the_way(parts, g) for g in lacking), *discrepancies)))
    return tuple(out)


def _placements(symmetry: Symmetry, bare: Derivation, parts: Parts, statics: list[int]) -> Iterator[Symmetry]:
    """The same relabelling with other motions of the world, as far as open ground leaves them free."""
    yield symmetry
    if bare.world.connected == "1" or len(bare.world.translations) < 2:
        return
    centres = parts.geom_poses[statics][:, :3, 3]
    middles = [centres.mean(0), *(parts.poses[root][:3, 3] for root in parts.floating), *centres[:_CENTRES]]
    for R in AXIAL:
        turn = R @ symmetry.R.T
        if R[2, 2] < 1.0 - _LEVEL or np.linalg.det(turn) < 0:
            continue
        for middle in middles:
            flat = middle * np.array([1.0, 1.0, 0.0])
            shift = flat - R @ flat - turn @ symmetry.t
            yield world_motion(symmetry.model, turn, shift).compose(symmetry, symmetry.name)


def _without_image(parts: Parts, shapes: Shapes, statics: list[int], symmetry: Symmetry, tolerance: float) -> list[int]:
    """Static shapes that a motion of the world does not take to others."""
    G: Floats = np.eye(4)
    G[:3, :3], G[:3, 3] = symmetry.R, symmetry.t
    slack = tolerance * parts.size
    centres = parts.geom_poses[statics][:, :3, 3]
    out = []
    for g, centre in zip(statics, centres @ G[:3, :3].T + G[:3, 3], strict=True):
        far = np.linalg.norm(centres - centre, axis=1) > slack
        if parts.model.geom_type[g] == PLANE:  # wherever its frame is
            far[:] = False
        others = [other for other, away in zip(statics, far, strict=True) if not away]
        if min((shapes.gap(g, other, G) for other in others), default=np.inf) > slack:
            out.append(g)
    return out


def _in_the_way(parts: Parts, geom: int) -> Discrepancy:
    kind = int(parts.model.geom_type[geom])
    field = {HFIELD: "height field", PLANE: "tilted plane"}.get(kind, f"static {_NAMES[kind]}")
    return Discrepancy("kinematic", field, (parts.name("geom", geom), NONE), (1.0, 0.0), 1.0)


def _relabellings(generators: tuple[Symmetry, ...], one: Symmetry) -> set[tuple[float, ...]]:
    try:
        return {_relabelling(s) for s in closure(generators, one)}
    except ValueError:  # too many to list
        return {_relabelling(s) for s in (one, *generators)}


def _relabelling(symmetry: Symmetry) -> tuple[float, ...]:
    """What an element does to the robot, however it moves the world; its handedness is part of it."""
    return key(symmetry.map(R=lambda R: np.eye(3) * np.linalg.det(R), t=lambda _: np.zeros(3)))
