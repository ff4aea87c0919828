"""Terms that act on each axis of a free or ball joint separately: no rotation of these axes keeps them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import mujoco
import numpy as np

from eqrl.arrays import Ints
from eqrl.proof.causes.interventions import Change, Intervention
from eqrl.proof.differences import joint_name
from eqrl.proof.verdict import Cause

_FREE, _BALL = int(mujoco.mjtJoint.mjJNT_FREE), int(mujoco.mjtJoint.mjJNT_BALL)
_KINDS = {_FREE: "free joint", _BALL: "ball joint"}


def root_interventions(model: mujoco.MjModel) -> Iterator[Intervention]:
    """Terms of free and ball joints that act axis by axis, as far as the model has them."""
    for kind, word in _KINDS.items():
        joints = np.flatnonzero(model.jnt_type == kind)
        yield from _removed(
            model,
            _with(joints, lambda j: model.dof_frictionloss[_dofs(model, j)].any()),
            Cause(f"dry friction on a {word}", "set frictionloss 0 on {}: it acts on each axis apart"),
            _zero("dof_frictionloss"),
        )
        yield from _removed(
            model,
            _with(joints, lambda j: model.dof_dampingpoly[_dofs(model, j)].any()),
            Cause(
                f"nonlinear damping of a {word}",
                "give {} a single damping coefficient: higher powers act on each axis apart",
            ),
            _zero("dof_dampingpoly"),
        )
        for name in ("damping", "armature"):
            yield from _removed(
                model,
                _with(joints, lambda j, name=name: _uneven(model, name, j)),  # type: ignore[misc]
                Cause(f"uneven {name} of a {word}", f"give the axes of {{}} the same {name}"),
                _level(name),
            )
    springs = _with(
        np.flatnonzero(model.jnt_type == _FREE),
        lambda j: model.jnt_stiffness[j] > 0 or model.jnt_stiffnesspoly[j].any(),
    )
    yield from _removed(model, springs, Cause("spring on the root", "set stiffness 0 on {}"), _loosen)


def _removed(
    model: mujoco.MjModel, joints: Ints, cause: Cause, change: Callable[[mujoco.MjModel, Ints], None]
) -> Iterator[Intervention]:
    if len(joints):
        names = "joint " + ", ".join(joint_name(model, int(j)) for j in joints)
        yield Intervention(Cause(cause.id, cause.fix.format(names)), _on(joints, change))


def _on(joints: Ints, change: Callable[[mujoco.MjModel, Ints], None]) -> Change:
    return lambda model: change(model, joints)


def _with(joints: Ints, has: Callable[[int], object]) -> Ints:
    return np.array([j for j in joints if has(int(j))], dtype=np.int64)


def _triples(model: mujoco.MjModel, j: int) -> list[slice]:
    """The axes that a rotation mixes: three along, three about."""
    start, width = int(model.jnt_dofadr[j]), 6 if model.jnt_type[j] == _FREE else 3
    return [slice(start + k, start + k + 3) for k in range(0, width, 3)]


def _dofs(model: mujoco.MjModel, j: int) -> slice:
    triples = _triples(model, j)
    return slice(triples[0].start, triples[-1].stop)


def _uneven(model: mujoco.MjModel, name: str, j: int) -> bool:
    values = getattr(model, f"dof_{name}")
    return any(np.ptp(values[axes]) > 0 for axes in _triples(model, j))


def _zero(name: str) -> Callable[[mujoco.MjModel, Ints], None]:
    def change(model: mujoco.MjModel, joints: Ints) -> None:
        for j in joints:
            getattr(model, name)[_dofs(model, int(j))] = 0.0

    return change


def _level(name: str) -> Callable[[mujoco.MjModel, Ints], None]:
    def change(model: mujoco.MjModel, joints: Ints) -> None:
        values = getattr(model, f"dof_{name}")
        for j in joints:
            for axes in _triples(model, int(j)):
                values[axes] = values[axes].mean()

    return change


def _loosen(model: mujoco.MjModel, joints: Ints) -> None:
    model.jnt_stiffness[joints] = 0.0
    model.jnt_stiffnesspoly[joints] = 0.0
