"""What may be done to the world alone, whatever moves in it."""

from __future__ import annotations

from collections.abc import Iterator

import mujoco
import numpy as np

from eqrl.arrays import Floats
from eqrl.derivation.derivation import WorldPart
from eqrl.derivation.model_parts import FREE, HFIELD, PLANE, Parts
from eqrl.symmetry.group import Connected

_VERTICAL = 1e-12
_ON_JOINTS = (int(mujoco.mjtTrn.mjTRN_JOINT), int(mujoco.mjtTrn.mjTRN_JOINTINPARENT))
_IN_PARENT = _ON_JOINTS[1]


def world_part(parts: Parts) -> WorldPart:
    """Continuous rotations and translations that gravity, the static geometry, fixed bases and free joints permit."""
    m = parts.model
    if reasons := list(_standing(parts)):
        return WorldPart("1", np.zeros((0, 3)), tuple(reasons))
    springs = tuple(_springs(parts))
    normals = np.array([parts.geom_poses[g][:3, 2] for g in parts.geoms[0] if m.geom_type[g] == PLANE]).reshape(-1, 3)
    free = np.eye(3) if not len(normals) else _complement(normals)
    drag = m.opt.density > 0 or m.opt.viscosity > 0
    vectors = {"gravity": m.opt.gravity, **({"wind": m.opt.wind} if drag else {})}
    reasons = []
    if any(abs(abs(n[2]) - 1.0) > _VERTICAL for n in normals):
        reasons.append("a plane is not horizontal")
    lateral = [name for name, v in vectors.items() if np.linalg.norm(v[:2]) > _VERTICAL * float(np.linalg.norm(v))]
    reasons += [f"{name} is not vertical" for name in lateral]
    if reasons:
        return WorldPart("1", free, tuple(reasons))
    still = all(not np.any(v) for v in vectors.values())
    ground: Connected = "SO3" if still and not len(normals) else "SO2"
    if springs:
        return WorldPart("1", np.zeros((0, 3)), springs, ground)
    special = list(_special_axes(parts))
    if lateral := [reason for connected, reason in special if connected == "1"]:
        return WorldPart("1", free, tuple(lateral), ground)
    upright = tuple(reason for _, reason in special) if ground == "SO3" else ()
    return WorldPart("SO2" if upright else ground, free, upright, ground)


def _standing(parts: Parts) -> Iterator[str]:
    """What stands in one place and ties what floats to it."""
    m = parts.model
    # a mocap body that nothing is tied to and that nothing touches is a marker
    fixed = [
        h for h in parts.children[0] if m.body_mocapid[h] < 0 or parts.tied & {*parts.members[h]} or parts.geoms[h]
    ]
    if tied := [b for b in parts.members[0] if b in parts.tied]:
        yield f"something is tied to {parts.body_name(tied[0])}"
    if fixed:
        base = min(fixed, key=lambda h: m.body_mocapid[h] >= 0)  # an arm before the mocap body that leads it
        yield f"{parts.body_name(base)} is fixed to the world"
    if solid := [g for g in parts.geoms[0] if m.geom_type[g] != PLANE]:
        kind = "a height field" if any(m.geom_type[g] == HFIELD for g in solid) else "a static shape"
        yield f"geom {parts.name('geom', solid[0])} is {kind}"


def _springs(parts: Parts) -> Iterator[str]:
    """Free joints that are drawn to one pose."""
    m = parts.model
    for j in np.flatnonzero(m.jnt_type == FREE):
        if m.jnt_stiffness[j] or np.any(m.jnt_stiffnesspoly[j]):
            yield (
                f"joint {parts.name('joint', int(j))} is free and has stiffness {m.jnt_stiffness[j]:g}, "
                "a spring that draws it to one pose of the world: set stiffness 0 on it"
            )


def _special_axes(parts: Parts) -> Iterator[tuple[Connected, str]]:
    """What distinguishes axes of the world at free joints: the rotations that remain, and what to do about it."""
    m = parts.model
    for j in np.flatnonzero(m.jnt_type == FREE):
        start = int(m.jnt_dofadr[j])
        along = slice(start, start + 3)
        joint = f"joint {parts.name('joint', int(j))}"
        for name, values in (
            ("frictionloss", m.dof_frictionloss[along, None]),
            ("the polynomial of its damping", m.dof_dampingpoly[along]),
        ):
            if (connected := _kept_by_each_axis(values)) is not None:
                yield (
                    connected,
                    (
                        f"{joint} is free and has {name} {_words(values)}, which acts along each axis of the world"
                        f" apart: set {'it' if name != 'frictionloss' else 'frictionloss'} to 0"
                    ),
                )
        for name in ("damping", "armature"):
            values = getattr(m, f"dof_{name}")[along]
            if np.ptp(values):
                connected = "SO2" if values[0] == values[1] else "1"
                yield (
                    connected,
                    (
                        f"{joint} is free and has {name} {_words(values)} along the axes of the world: give it the same"
                        " along all"
                    ),
                )
    for k in range(m.nu):
        kind, thing, gear = int(m.actuator_trntype[k]), int(m.actuator_trnid[k][0]), m.actuator_gear[k]
        if kind not in _ON_JOINTS or m.jnt_type[thing] != FREE:
            continue
        vectors = gear.reshape(2, 3) if kind == _IN_PARENT else gear[None, :3]
        if vectors.any():
            yield (
                "1" if vectors[:, :2].any() else "SO2",
                (
                    f"actuator {parts.name('actuator', k)} pushes joint {parts.name('joint', thing)} along a direction"
                    " of the world: let it push a site of the body instead"
                ),
            )


def _kept_by_each_axis(values: Floats) -> Connected | None:
    """Rotations under which terms that act along each axis apart stay as they are, None if these are all."""
    if not values.any():
        return None
    return "1" if values[:2].any() else "SO2"


def _words(values: Floats) -> str:
    same = (values == values[0]).all()  # along all axes
    return " ".join(f"{v:g}" for v in np.ravel(values[0] if same else values))


def _complement(normals: Floats) -> Floats:
    """Directions along all planes, ``(n, 3)``."""
    _, size, vt = np.linalg.svd(normals)
    rank = int((size > 1e-9).sum())
    out: Floats = vt[rank:]
    return out
