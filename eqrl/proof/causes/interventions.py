"""Change one thing of a model, to see whether a violation goes away with it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import mujoco
import numpy as np

from eqrl.arrays import Floats
from eqrl.proof.verdict import Cause

Change = Callable[[mujoco.MjModel], None]
_DISABLE = mujoco.mjtDisableBit


@dataclass(frozen=True)
class Intervention:
    """A change to a model and what it means if that cures a violation."""

    cause: Cause
    change: Change

    def on(self, model: mujoco.MjModel) -> mujoco.MjModel:
        """The change, on a copy."""
        twin = copy.copy(model)
        self.change(twin)
        return twin


def world_interventions(model: mujoco.MjModel, R: Floats) -> Iterator[Intervention]:
    """What may be wrong with the world for an isometry R, the most usual first, as far as the model has it."""
    option = model.opt
    if option.cone == mujoco.mjtCone.mjCONE_PYRAMIDAL:
        yield Intervention(
            Cause(
                "pyramidal friction cone", 'use <option cone="elliptic"/>: the pyramid\'s edges are special directions'
            ),
            _set("cone", mujoco.mjtCone.mjCONE_ELLIPTIC),
        )
    if _turned(option.gravity, R):
        upright = _straightened(option.gravity, R)
        tilted = np.linalg.norm(upright) > 0.5 * np.linalg.norm(option.gravity) or not _turned(
            np.array([0.0, 0.0, 1.0]), R
        )
        straight = upright if np.linalg.norm(upright) > 0 else np.array([0.0, 0.0, -np.linalg.norm(option.gravity)])
        if tilted:
            yield Intervention(
                Cause("tilted gravity", f"gravity is ({_words(option.gravity)}); make it ({_words(straight)})"),
                _set_vector("gravity", straight),
            )
        else:
            yield Intervention(
                Cause("gravity", "gravity does not keep this motion; leave it out or switch gravity off"),
                _set_vector("gravity", np.zeros(3)),
            )
    if np.any(option.wind) and (option.density > 0 or option.viscosity > 0):
        yield Intervention(
            Cause("wind", f"wind is ({_words(option.wind)}); set it to zero"), _set_vector("wind", np.zeros(3))
        )
    if option.density > 0 or option.viscosity > 0:
        yield Intervention(
            Cause("fluid drag", "set density and viscosity to zero, or give shapes that are symmetric"), _no_fluid
        )
    if (model.sensor_type == int(mujoco.mjtSensor.mjSENS_MAGNETOMETER)).any() and _turned(option.magnetic, R):
        yield Intervention(
            Cause("magnetic field", "turn the magnetic field upright, or leave magnetometers out"),
            _set_vector("magnetic", _straightened(option.magnetic, R)),
        )


def part_interventions(model: mujoco.MjModel) -> Iterator[Intervention]:
    """Whole mechanisms switched off: the coarse answer, for when no finer one helps."""
    if model.neq:
        yield Intervention(
            _coarse("equality constraints", "compare their anchors and coefficients"), _off(_DISABLE.mjDSBL_EQUALITY)
        )
    if model.jnt_limited.any() or model.tendon_limited.any():
        yield Intervention(
            _coarse("joint limits", "give a joint and its image the same range"), _off(_DISABLE.mjDSBL_LIMIT)
        )
    if model.nu:
        clip = Cause(
            "actuator clip", "give an actuator and its image the same ctrlrange and forcerange, in the sense of the map"
        )
        yield Intervention(clip, _no_clip)
        yield Intervention(
            _coarse("actuators", "compare gains, gears and transmissions"), _off(_DISABLE.mjDSBL_ACTUATION)
        )
    if hasattr(_DISABLE, "mjDSBL_SPRING"):
        yield Intervention(_coarse("springs", "compare stiffness and springref"), _off(_DISABLE.mjDSBL_SPRING))
        yield Intervention(_coarse("dampers", "compare damping"), _off(_DISABLE.mjDSBL_DAMPER))
    if model.dof_frictionloss.any() or model.tendon_frictionloss.any():
        yield Intervention(_coarse("dry friction", "compare frictionloss"), _off(_DISABLE.mjDSBL_FRICTIONLOSS))
    yield Intervention(
        _coarse("contacts", "compare shapes, friction and contact filters"), _off(_DISABLE.mjDSBL_CONTACT)
    )


def all_of(interventions: Sequence[Intervention]) -> Intervention:
    """Several at once."""

    def change(model: mujoco.MjModel) -> None:
        for one in interventions:
            one.change(model)

    words = " and ".join(i.cause.id for i in interventions)
    return Intervention(Cause(words, "; ".join(i.cause.fix for i in interventions)), change)


def _coarse(name: str, advice: str) -> Cause:
    return Cause(name, f"the {name} differ from their images; {advice}")


def _set(name: str, value: object) -> Change:
    return lambda model: setattr(model.opt, name, value)


def _set_vector(name: str, value: Floats) -> Change:
    def change(model: mujoco.MjModel) -> None:
        getattr(model.opt, name)[:] = value

    return change


def _off(flag: mujoco.mjtDisableBit) -> Change:
    def change(model: mujoco.MjModel) -> None:
        model.opt.disableflags |= int(flag)

    return change


def _no_fluid(model: mujoco.MjModel) -> None:
    model.opt.density = model.opt.viscosity = 0.0


def _no_clip(model: mujoco.MjModel) -> None:
    model.opt.disableflags |= int(_DISABLE.mjDSBL_CLAMPCTRL)
    model.actuator_forcelimited[:] = 0
    model.jnt_actfrclimited[:] = 0


def _turned(vector: Floats, R: Floats) -> bool:
    return bool(np.linalg.norm(R @ vector - vector) > 1e-12 * max(1e-300, float(np.linalg.norm(vector))))


def _straightened(vector: Floats, R: Floats) -> Floats:
    """The part of a vector that R leaves alone, stretched to the length of the whole."""
    values, axes = np.linalg.eig(R)
    keep = np.real(axes[:, np.abs(values - 1.0) < 1e-9])
    if not keep.shape[1]:
        return np.zeros(3)
    q, _ = np.linalg.qr(keep)
    part: Floats = q @ (q.T @ vector)
    size = np.linalg.norm(part)
    return part if size < 1e-12 else part * (np.linalg.norm(vector) / size)


def _words(vector: Floats) -> str:
    return ", ".join(f"{v:.4g}" for v in vector)
