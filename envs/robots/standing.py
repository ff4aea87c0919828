"""How a robot stands: its joints as in the model's first keyframe, its lowest shape on the ground."""

from __future__ import annotations

from collections.abc import Mapping

import mujoco
import numpy as np

from eqrl.arrays import Floats

_GEOM = mujoco.mjtGeom
_SOLE = 0.03  # of the standing height
_MOVABLE = (int(mujoco.mjtJoint.mjJNT_HINGE), int(mujoco.mjtJoint.mjJNT_SLIDE))


def lowest_point(model: mujoco.MjModel, data: mujoco.MjData, geom: int) -> float:
    """Height of a geom's lowest point, in metres.

    Raises:
        ValueError: for a shape that has none, as a plane.
    """
    up = data.geom_xmat[geom].reshape(3, 3)[2]  # the vertical in the geom's own axes
    size, kind = model.geom_size[geom], int(model.geom_type[geom])
    if kind == _GEOM.mjGEOM_SPHERE:
        reach = size[0]
    elif kind == _GEOM.mjGEOM_CAPSULE:
        reach = size[0] + size[1] * abs(up[2])
    elif kind == _GEOM.mjGEOM_CYLINDER:
        reach = size[0] * np.hypot(up[0], up[1]) + size[1] * abs(up[2])
    elif kind == _GEOM.mjGEOM_ELLIPSOID:
        reach = np.linalg.norm(size * up)
    elif kind == _GEOM.mjGEOM_BOX:
        reach = np.abs(size * up).sum()
    elif kind == _GEOM.mjGEOM_MESH:
        mesh = int(model.geom_dataid[geom])
        start = int(model.mesh_vertadr[mesh])
        reach = -(model.mesh_vert[start : start + int(model.mesh_vertnum[mesh])] @ up).min()
    else:
        raise ValueError(f"geom {model.geom(geom).name or geom} is of a kind that cannot stand on the ground")
    return float(data.geom_xpos[geom, 2] - reach)


def pose_of(model: mujoco.MjModel) -> tuple[Floats, tuple[str, ...]]:
    """Positions in the first keyframe, or else the default ones, with joints moved into their ranges.

    Returns:
        Positions, ``(nq,)``, and the names of the joints that were moved.
    """
    qpos = np.array(model.key_qpos[0] if model.nkey else model.qpos0)
    moved = []
    for j in np.flatnonzero(model.jnt_limited):
        if int(model.jnt_type[j]) in _MOVABLE:
            at, (low, high) = int(model.jnt_qposadr[j]), model.jnt_range[j]
            if not low <= qpos[at] <= high:
                qpos[at] = np.clip(qpos[at], low, high)
                moved.append(str(model.joint(int(j)).name))
    return qpos, tuple(moved)


def add_pose(spec: mujoco.MjSpec, name: str, angles: Mapping[str, float]) -> None:
    """Make a pose the first keyframe of a model, and its only one.

    Args:
        spec: the model; it is changed.
        name: of the keyframe.
        angles: of hinges by their names; the others stay as they are by default.
    """
    for key in list(spec.keys):
        spec.delete(key)
    model = spec.compile()
    qpos = np.array(model.qpos0)
    for joint, angle in angles.items():
        qpos[model.jnt_qposadr[model.joint(joint).id]] = angle
    spec.add_key(name=name, qpos=qpos)


def standing_height(model: mujoco.MjModel, qpos: Floats, base: int, floor: int) -> float:
    """Height of a body's frame above the floor when the lowest geom below it touches the floor.

    Args:
        model: compiled model.
        qpos: positions, ``(nq,)``; the height in them does not matter.
        base: the body, which floats.
        floor: the geom to stand on, horizontal.

    Raises:
        ValueError: if none of its geoms can touch the floor.
    """
    data, low = _lowest_points(model, qpos, base, floor)
    return float(data.xpos[base, 2]) - min(low.values())


def feet(model: mujoco.MjModel, qpos: Floats, base: int, floor: int) -> list[int]:
    """The geoms that a robot stands on: those that end within 3 % of its height above the lowest one.

    Arguments and errors as of :func:`standing_height`.
    """
    data, low = _lowest_points(model, qpos, base, floor)
    ground = min(low.values())
    sole = ground + _SOLE * (float(data.xpos[base, 2]) - ground)
    return [geom for geom, height in low.items() if height <= sole]


def _lowest_points(
    model: mujoco.MjModel, qpos: Floats, base: int, floor: int
) -> tuple[mujoco.MjData, dict[int, float]]:
    """A robot in a pose, and the height of the lowest point of each of its geoms that can touch the floor."""
    data = mujoco.MjData(model)
    data.qpos[:] = qpos
    mujoco.mj_kinematics(model, data)
    touches = (model.geom_contype & model.geom_conaffinity[floor]) | (
        model.geom_contype[floor] & model.geom_conaffinity
    )
    solid = np.flatnonzero((touches != 0) & (model.body_rootid[model.geom_bodyid] == base))
    if not len(solid):
        raise ValueError("none of its geoms touches the floor; give some contype and conaffinity 1")
    return data, {int(g): lowest_point(model, data, int(g)) for g in solid}
