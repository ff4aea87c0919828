"""Undo the usual slips in a map, one at a time: a wrong sign, two joints exchanged, the axial rule."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any

import mujoco
import numpy as np
from numpy.typing import ArrayLike, NDArray

from eqrl.arrays import Floats, Ints
from eqrl.derivation.symmetry import Symmetry
from eqrl.proof.differences import ON_JOINTS, actuator_name, joint_name
from eqrl.proof.verdict import Cause

AXIAL = Cause(
    "axial vector treated as polar",
    "angular velocities, torques and hinge axes are axial: under a mirror multiply by det R = -1 once more",
)
POLAR = Cause("polar vector treated as axial", "slides and linear velocities are polar: do not multiply by det R")
_HINGE, _SLIDE = int(mujoco.mjtJoint.mjJNT_HINGE), int(mujoco.mjtJoint.mjJNT_SLIDE)


@dataclass(frozen=True, eq=False)
class SpinFlipped(Symmetry):
    """A symmetry whose angular velocities of free bodies and balls have the other sign."""

    def qvel(self, qvel: ArrayLike, qpos: ArrayLike) -> Floats:
        """As of the symmetry, with the other sign on axial blocks."""
        out = super().qvel(qvel, qpos)
        m = self.model
        for j in range(m.njnt):
            d = m.jnt_dofadr[j]
            if m.jnt_type[j] == int(mujoco.mjtJoint.mjJNT_FREE):
                out[..., d + 3 : d + 6] *= -1.0
            elif m.jnt_type[j] == int(mujoco.mjtJoint.mjJNT_BALL):
                out[..., d : d + 3] *= -1.0
        return out


def joint_corrections(symmetry: Symmetry, suspects: Ints) -> Iterator[tuple[Cause, Symmetry]]:
    """Corrected maps of joints, the simplest first; controls stay as they are.

    Args:
        symmetry: the map.
        suspects: joints (as sources) whose images do not move as the map says.
    """
    model = symmetry.model
    if type(symmetry) is not Symmetry:
        yield AXIAL, as_plain(symmetry)
    scalar = np.intersect1d(suspects, symmetry.scalar_joints)
    hinges, slides = (
        symmetry.scalar_joints[model.jnt_type[symmetry.scalar_joints] == kind] for kind in (_HINGE, _SLIDE)
    )  # fmt: skip
    for j in scalar:
        yield _sign_cause("joint", [joint_name(model, int(j))]), with_signs(symmetry, [j])
    if len(hinges) > 1:
        yield AXIAL, with_signs(symmetry, hinges)
    if len(slides) > 1:
        yield POLAR, with_signs(symmetry, slides)
    yield AXIAL, SpinFlipped(**_fields(symmetry))
    for i, a in enumerate(scalar):
        for b in scalar[i + 1 :]:
            names = joint_name(model, int(a)), joint_name(model, int(b))
            for signs in (True, False):
                yield _swap_cause("joint", *names), swapped(symmetry, "joints", "joint_signs", a, b, signs)
    for i, a in enumerate(scalar):
        for b in scalar[i + 1 :]:
            names = joint_name(model, int(a)), joint_name(model, int(b))
            yield _sign_cause("joint", list(names)), with_signs(symmetry, [a, b])
            once = swapped(symmetry, "joints", "joint_signs", a, b, True)
            yield _swap_cause("joint", *names), swapped(once, "joints", "joint_signs", *symmetry.joints[[a, b]])


def signs_one_by_one(symmetry: Symmetry, wrong: Ints) -> tuple[Cause, Symmetry]:
    """The map with the signs of several joints changed, each of which is wrong on its own."""
    names = [joint_name(symmetry.model, int(j)) for j in wrong]
    return _sign_cause("joint", names), with_signs(symmetry, wrong)


def control_corrections(symmetry: Symmetry, suspects: Ints) -> Iterator[tuple[Cause, Symmetry]]:
    """Corrected maps of controls, the simplest first.

    Args:
        symmetry: the map.
        suspects: actuators (as sources) whose images do not push as the map says.
    """
    model, signs = symmetry.model, symmetry.ctrl_signs
    for k in map(int, suspects):
        yield _sign_cause("actuator", [actuator_name(model, k)]), symmetry.map(ctrl_signs=_flip([k]))
    if model.nu > 1:
        yield AXIAL, symmetry.map(ctrl_signs=lambda _: -signs)
    for i, a in enumerate(map(int, suspects)):
        for b in map(int, suspects[i + 1 :]):
            names = actuator_name(model, a), actuator_name(model, b)
            for carried in (True, False):
                yield _swap_cause("actuator", *names), swapped(symmetry, "actuators", "ctrl_signs", a, b, carried)


def with_controls(symmetry: Symmetry, before: Symmetry) -> Iterator[Symmetry]:
    """The corrected map with controls as they were, and with those of the corrected joints corrected likewise."""
    yield symmetry
    model = symmetry.model
    on = {int(model.actuator_trnid[k, 0]): k for k in range(model.nu) if int(model.actuator_trntype[k]) in ON_JOINTS}
    actuators, signs = symmetry.actuators.copy(), symmetry.ctrl_signs.copy()
    for j, k in on.items():
        image = int(symmetry.joints[j])
        if image in on:
            actuators[k] = on[image]
            signs[k] *= (
                symmetry.joint_signs[j] * before.joint_signs[j] if symmetry.joints[j] == before.joints[j] else 1.0
            )
    likewise = symmetry.map(actuators=lambda _: actuators, ctrl_signs=lambda _: signs)
    yield likewise
    # where two actuators were exchanged together with their signs
    yield likewise.map(ctrl_signs=lambda _: _signs_as_joints(symmetry, on))


def as_plain(symmetry: Symmetry) -> Symmetry:
    """The same data with the library's own rules."""
    return Symmetry(**_fields(symmetry))


def with_signs(symmetry: Symmetry, joints: ArrayLike) -> Symmetry:
    """The map with the other sign on some joints."""
    return symmetry.map(joint_signs=_flip(joints))


def swapped(symmetry: Symmetry, images: str, signs: str, a: int, b: int, carried: bool = True) -> Symmetry:
    """The map with the images of two entries exchanged, their signs too if ``carried``."""

    def exchange(values: NDArray[np.generic]) -> NDArray[np.generic]:
        out = values.copy()
        out[[a, b]] = values[[b, a]]
        return out

    changes = {images: exchange, **({signs: exchange} if carried else {})}
    return symmetry.map(**changes)


def _signs_as_joints(symmetry: Symmetry, on: dict[int, int]) -> Floats:
    signs = symmetry.ctrl_signs.copy()
    gear = symmetry.model.actuator_gear[:, 0]
    for j, k in on.items():
        if int(symmetry.joints[j]) in on:
            signs[k] = symmetry.joint_signs[j] * np.sign(gear[k] * gear[on[int(symmetry.joints[j])]] or 1.0)
    return signs


def _flip(which: ArrayLike) -> Callable[[Floats], Floats]:
    def change(values: Floats) -> Floats:
        out = values.copy()
        out[np.asarray(which, dtype=np.int64)] *= -1.0
        return out

    return change


def _fields(symmetry: Symmetry) -> dict[str, Any]:
    return {f.name: getattr(symmetry, f.name) for f in fields(Symmetry)}


def _sign_cause(kind: str, names: list[str]) -> Cause:
    plural = "s" if len(names) > 1 else ""
    return Cause(
        f"wrong sign of {kind}{plural} {', '.join(names)}", f"change the sign of {', '.join(names)} in the map"
    )


def _swap_cause(kind: str, a: str, b: str) -> Cause:
    return Cause(f"{kind}s {a} and {b} swapped", f"exchange the images of {a} and {b} in the map")
