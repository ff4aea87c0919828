"""Name the attributes that differ between a part and its image.

Make them equal to see whether that cures the violation.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from eqrl.arrays import Floats, Ints
from eqrl.derivation.assembly import Assembly
from eqrl.derivation.connections import actuation_of
from eqrl.derivation.discrepancy import Discrepancy
from eqrl.derivation.model_parts import Parts
from eqrl.derivation.shapes import Shapes
from eqrl.derivation.symmetry import Symmetry
from eqrl.proof.causes.interventions import Intervention
from eqrl.proof.verdict import Cause
from eqrl.symmetry.quaternions import matrix_to_quaternion, quaternion_to_matrix

Turn = Callable[[int, Floats], Floats]

_FLOOR = 1e-9
_SHOWN = 3
_PLAIN: dict[str, tuple[str, tuple[str, ...]]] = {
    "joints": ("jnt", ("stiffness", "solref", "solimp", "margin", "limited", "actgravcomp")),
    "geoms": (
        "geom",
        ("friction", "condim", "solmix", "solref", "solimp", "priority", "margin", "gap", "contype", "conaffinity"),
    ),
    "actuators": ("actuator", ("dynprm", "ctrllimited", "forcelimited", "actlimited")),
    "tendons": ("tendon", ("stiffness", "damping", "frictionloss", "lengthspring", "range", "margin", "armature")),
    "bodies": ("body", ("mass", "gravcomp")),
}
_DOF = ("armature", "damping", "frictionloss", "solref", "solimp")
_WIDTH = {int(mujoco.mjtJoint.mjJNT_FREE): 6, int(mujoco.mjtJoint.mjJNT_BALL): 3}
_WORLD = ("gravity", "wind")


def discrepancies(model: mujoco.MjModel, symmetry: Symmetry) -> tuple[Discrepancy, ...]:
    """Attributes that differ between parts and their images under a map, the worst first."""
    parts = Parts.of(model, symmetry.reference)
    differing = Assembly(parts, Shapes(parts), 0.05 * parts.size, floor=1e-12).compare(symmetry)
    return tuple(d for d in differing if d.relative > _FLOOR and d.field not in _WORLD)


def equalised(symmetry: Symmetry, fields: Collection[str]) -> Callable[[mujoco.MjModel], None]:
    """A change that gives every image the attributes of the part that goes there."""

    def change(model: mujoco.MjModel) -> None:
        for parts, (prefix, names) in _PLAIN.items():
            for name in set(fields) & set(names):
                _propagate(getattr(symmetry, parts), getattr(model, f"{prefix}_{name}"), lambda _, value: value)
        _joints(model, symmetry, set(fields))
        _actuators(model, symmetry, set(fields))
        if {"inertia", "ipos"} & set(fields):
            _inertia(model, symmetry)
        mujoco.mj_setConst(model, mujoco.MjData(model))

    return change


def attribute_intervention(symmetry: Symmetry, differing: Collection[Discrepancy]) -> Intervention:
    """Make attributes equal; the cause names them as ``"armature of right_hip_y"``."""
    names = list(dict.fromkeys(f"{d.field} of {d.of[0]}" for d in differing))
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    fix = "make equal: " + "; ".join(str(d) for d in list(differing)[:_SHOWN]) + more
    return Intervention(Cause(", ".join(names[:_SHOWN]) + more, fix), equalised(symmetry, {d.field for d in differing}))


def _propagate(images: Ints, table: NDArray[Any], turn: Turn) -> None:
    """Give images their sources' values, along every cycle from its first member on.

    What stays becomes its own image.
    """
    done: set[int] = set()
    for start in range(len(images)):
        i = start
        while i not in done:
            done.add(i)
            j = int(images[i])
            if j == i and np.issubdtype(table.dtype, np.floating):
                value = np.array(table[i])
                table[i] = 0.5 * (value + turn(i, value))
            if j < 0 or j in done:
                break
            table[j] = turn(i, np.array(table[i]))
            i = j


def _joints(model: mujoco.MjModel, symmetry: Symmetry, fields: set[str]) -> None:
    reference, signs = symmetry.reference, symmetry.joint_signs
    adr = model.jnt_qposadr

    def limits(j: int, value: Floats) -> Floats:
        image = int(symmetry.joints[j])
        if int(model.jnt_type[j]) in _WIDTH:
            return value
        mapped: Floats = np.sort(signs[j] * (value - reference[adr[j]])) + reference[adr[image]]
        return mapped

    if "range" in fields:
        _propagate(symmetry.joints, model.jnt_range, limits)
    if "actfrcrange" in fields:
        _propagate(symmetry.joints, model.jnt_actfrcrange, lambda j, value: np.sort(signs[j] * value))
    if "springref" in fields:
        rest = np.array([model.qpos_spring[a] for a in adr])
        zero = np.array([reference[a] for a in adr])
        _propagate(symmetry.joints, rest, lambda j, v: signs[j] * (v - zero[j]) + zero[symmetry.joints[j]])
        for j in symmetry.scalar_joints:
            model.qpos_spring[adr[j]] = rest[j]
    for name in fields & set(_DOF):
        table = getattr(model, f"dof_{name}")
        rows = np.zeros((model.njnt, 6, *table.shape[1:]))
        for j in range(model.njnt):
            width = _WIDTH.get(int(model.jnt_type[j]), 1)
            rows[j, :width] = table[model.jnt_dofadr[j] : model.jnt_dofadr[j] + width]
        _propagate(symmetry.joints, rows, lambda _, value: value)
        for j in range(model.njnt):
            width = _WIDTH.get(int(model.jnt_type[j]), 1)
            table[model.jnt_dofadr[j] : model.jnt_dofadr[j] + width] = rows[j, :width]


def _actuators(model: mujoco.MjModel, symmetry: Symmetry, fields: set[str]) -> None:
    signs, offsets, images = symmetry.ctrl_signs, symmetry.ctrl_offsets, symmetry.actuators
    for name in ("ctrlrange", "actrange"):
        if name in fields:
            _propagate(images, getattr(model, f"actuator_{name}"), lambda k, v: np.sort(signs[k] * v) + offsets[k])
    if not {"forcerange", "gear", "gainprm", "biasprm"} & fields:
        return
    # forces turn as lengths do; the control need not, where the gain depends on the velocity
    actuation = actuation_of(Parts.of(model, symmetry.reference), symmetry)
    senses = [actuation.sense(k, int(j)) or signs[k] for k, j in enumerate(images)]
    if "forcerange" in fields:
        _propagate(images, model.actuator_forcerange, lambda k, v: np.sort(senses[k] * v))
    # these read what stands in the model, which is what is carried on
    if "gear" in fields:
        _propagate(images, model.actuator_gear, lambda k, _: actuation.gears(k, int(images[k]))[0])
    if "gainprm" in fields:
        _propagate(images, model.actuator_gainprm, lambda k, _: actuation.gain(k, int(images[k]), senses[k], signs[k]))
    if "biasprm" in fields:
        _propagate(
            images, model.actuator_biasprm, lambda k, _: actuation.bias(k, int(images[k]), senses[k], offsets[k])
        )


def _inertia(model: mujoco.MjModel, symmetry: Symmetry) -> None:
    rows = np.zeros((model.nbody, 12))  # centre of mass, then the tensor about it, in the body's frame
    for b in range(model.nbody):
        axes = quaternion_to_matrix(model.body_iquat[b])
        rows[b] = [*model.body_ipos[b], *(axes @ np.diag(model.body_inertia[b]) @ axes.T).ravel()]

    def turn(b: int, row: Floats) -> Floats:
        frame = symmetry.frames[b]
        tensor = frame[:3, :3] @ row[3:].reshape(3, 3) @ frame[:3, :3].T
        return np.concatenate([frame[:3, :3] @ row[:3] + frame[:3, 3], tensor.ravel()])

    _propagate(symmetry.bodies, rows, turn)
    for b in range(1, model.nbody):
        values, axes = np.linalg.eigh(rows[b, 3:].reshape(3, 3))
        axes[:, 2] *= np.linalg.det(axes)
        model.body_inertia[b], model.body_ipos[b], model.body_iquat[b] = (
            values,
            rows[b, :3],
            matrix_to_quaternion(axes[None])[0],
        )
