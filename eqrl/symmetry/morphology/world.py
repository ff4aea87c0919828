"""What may be done to the world alone, whatever moves in it."""

from __future__ import annotations

import numpy as np

from eqrl.symmetry.morphology.derivation import WorldPart
from eqrl.symmetry.morphology.parts import HFIELD, PLANE, Parts

_VERTICAL = 1e-12


def world_part(parts: Parts) -> WorldPart:
    """Continuous rotations and translations that gravity, the static geometry and fixed bases permit."""
    m = parts.model
    reasons = []
    statics = parts.geoms[0]
    solid = [g for g in statics if m.geom_type[g] != PLANE]
    normals = np.array([parts.geom_poses[g][:3, 2] for g in statics if m.geom_type[g] == PLANE]).reshape(-1, 3)
    # a mocap body that nothing is tied to and that nothing touches is a marker
    fixed = [h for h in parts.children[0] if m.body_mocapid[h] < 0 or parts.tied & {*parts.members[h]} or parts.geoms[h]]
    if tied := [b for b in parts.members[0] if b in parts.tied]:
        reasons.append(f"something is tied to {parts.body_name(tied[0])}")
    if fixed:
        reasons.append(f"{parts.body_name(fixed[0])} is fixed to the world")
    if solid:
        kind = "a height field" if any(m.geom_type[g] == HFIELD for g in solid) else "a static shape"
        reasons.append(f"geom {parts.name('geom', solid[0])} is {kind}")
    if reasons:
        return WorldPart("1", np.zeros((0, 3)), tuple(reasons))
    free = np.eye(3) if not len(normals) else _complement(normals)
    drag = m.opt.density > 0 or m.opt.viscosity > 0
    vectors = {"gravity": m.opt.gravity, **({"wind": m.opt.wind} if drag else {})}
    level = [n for n in normals if abs(abs(n[2]) - 1.0) > _VERTICAL]
    if level:
        return WorldPart("1", free, ("a plane is not horizontal",))
    lateral = [name for name, v in vectors.items() if np.linalg.norm(v[:2]) > _VERTICAL * float(np.linalg.norm(v))]
    if lateral:
        return WorldPart("1", free, tuple(f"{name} is not vertical" for name in lateral))
    still = all(not np.any(v) for v in vectors.values())
    return WorldPart("SO3" if still and not len(normals) else "SO2", free)


def _complement(normals: np.ndarray) -> np.ndarray:
    """Directions along all planes, ``(n, 3)``."""
    _, size, vt = np.linalg.svd(normals)
    rank = int((size > 1e-9).sum())
    out: np.ndarray = vt[rank:]
    return out
