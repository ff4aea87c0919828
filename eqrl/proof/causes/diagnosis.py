"""Why a symmetry does not hold: change one thing at a time and see whether the violation disappears."""

from __future__ import annotations

from collections.abc import Sequence

import mujoco
import numpy as np
from numpy.typing import NDArray

from eqrl.arrays import Floats, Ints
from eqrl.derivation.discrepancy import Discrepancy, Level
from eqrl.derivation.symmetry import Symmetry
from eqrl.proof.causes.attributes import attribute_intervention, discrepancies
from eqrl.proof.causes.corrections import (
    AXIAL,
    control_corrections,
    joint_corrections,
    signs_one_by_one,
    with_controls,
    with_signs,
)
from eqrl.proof.causes.forces import misdirected
from eqrl.proof.causes.interventions import (
    Intervention,
    all_of,
    part_interventions,
    world_interventions,
)
from eqrl.proof.causes.kinematics import glide
from eqrl.proof.causes.root_terms import root_interventions
from eqrl.proof.comparison import Violation
from eqrl.proof.differences import body_name, column_names
from eqrl.proof.errors import NonFiniteRolloutError
from eqrl.proof.rollout import turn_poses, turn_starts
from eqrl.proof.trial import Trial
from eqrl.proof.verdict import Cause

_EXACT = 1e-8
_DT = 0.05
_MORE_STEPS = 5


def diagnose(trial: Trial, symmetry: Symmetry, violation: Violation, level: Level = "dynamic") -> Cause:
    """Find the cause of a violation.

    First the map is tried on bare kinematics: if bodies do not go where it says, signs, exchanges and the axial rule
    are tried. If they do, the world (friction cone, gravity, wind, ...), the controls' map, single attributes and whole
    mechanisms follow.

    Args:
        trial: the experiment that showed it.
        symmetry: the map.
        violation: the first difference.
        level: on the kinematic one only the map can be wrong.
    """
    if level == "kinematic":
        few = _smaller(trial, violation)
        wrong = misplaced(few, symmetry)
        return (
            _map_cause(few, symmetry, wrong, level)
            if wrong.any()
            else _map_of(violation, "compare the map with the model")
        )
    shown = _shortened(trial, symmetry, violation)
    if shown is None:
        return _unknown(violation)
    wrong = misplaced(shown, symmetry)
    if wrong.any():
        return _map_cause(shown, symmetry, wrong, level)
    unread = symmetry.map(sensors=lambda images: np.full_like(images, -1))
    moved = trial.violation(unread)
    if moved is None:
        return _sensor_cause(shown, symmetry, violation)
    # what cures motion and readings; else what cures the motion, whatever is wrong with the readings
    if finer := _world_cause(shown, symmetry, coarse=False):
        return finer
    physics = _shortened(trial, unread, moved)
    return (_world_cause(physics, unread) if physics else None) or _unknown(moved)


def _smaller(trial: Trial, violation: Violation) -> Trial:
    """A few of the states, that of the violation among them, and not many steps more than it took."""
    return trial.shorter(max(2, min(violation.step + _MORE_STEPS, len(trial.controls))), trial.around(violation.state))


def _shortened(trial: Trial, symmetry: Symmetry, violation: Violation) -> Trial | None:
    """A smaller experiment that still shows a violation.

    In one that shows none, every change would seem to be a cure.
    """
    return next((t for t in (_smaller(trial, violation), trial) if t.violation(symmetry) is not None), None)


def _unknown(violation: Violation) -> Cause:
    return Cause("unknown", f"{violation.field} differs first, at step {violation.step}, by {violation.size:.1e}")


def _map_of(violation: Violation, advice: str) -> Cause:
    return Cause(f"map of {violation.field}", advice)


# ---------------------------------------------------------------------- the map
def misplaced(trial: Trial, symmetry: Symmetry) -> NDArray[np.bool_]:
    """Images that are not where the map puts them relative to their parents, or move differently, ``(nbody,)``."""
    model = trial.model
    here = glide(model, trial.starts, 1, _DT)
    there = glide(model, turn_starts(symmetry, trial.starts), 1, _DT)
    predicted = turn_poses(symmetry, here)
    moving = np.flatnonzero(model.body_dofnum > 0)
    wrong = np.zeros(model.nbody, dtype=bool)
    parents = _moving_parents(model)
    for body in moving:
        if symmetry.bodies[body] < 0:
            continue
        image = int(symmetry.bodies[body])
        parent = int(parents[image])
        a, b = predicted[:, :, image], there[:, :, image]
        if parent > 0 and parent in symmetry.bodies:
            a, b = np.linalg.inv(predicted[:, :, parent]) @ a, np.linalg.inv(there[:, :, parent]) @ b
        wrong[image] = not np.abs(a - b).max() <= _EXACT * max(1.0, model.stat.extent)
    return wrong


def _moving_parents(model: mujoco.MjModel) -> Ints:
    """For every body the next one towards the root that has joints, 0 if there is none."""
    parents = np.zeros(model.nbody, dtype=np.int64)
    for b in range(1, model.nbody):
        above = int(model.body_parentid[b])
        parents[b] = above if model.body_dofnum[above] > 0 else parents[above]
    return parents


def _map_cause(trial: Trial, symmetry: Symmetry, wrong: NDArray[np.bool_], level: Level) -> Cause:
    on_wrong = np.flatnonzero(wrong[trial.model.jnt_bodyid])
    suspects = np.flatnonzero(np.isin(symmetry.joints, on_wrong))
    kinematic: tuple[Cause, Symmetry] | None = None
    for cause, corrected in joint_corrections(symmetry, suspects):
        if _dynamic_fit(trial, symmetry, corrected) is not None:
            return cause
        if kinematic is None and not misplaced(trial, corrected).any():
            kinematic = cause, corrected
    single = [j for j in suspects if misplaced(trial, with_signs(symmetry, [j])).sum() < wrong.sum()]
    if kinematic is None and single:
        cause, corrected = signs_one_by_one(symmetry, np.array(single))
        kinematic = (cause, corrected) if not misplaced(trial, corrected).any() else None
    if kinematic is None:
        names = ", ".join(body_name(trial.model, int(b)) for b in np.flatnonzero(wrong)[:3])
        return Cause(f"map of the joints of {names}", "the joints do not move their bodies as the map says")
    cause, corrected = kinematic
    if level == "kinematic":
        return cause
    # the map has one slip, and something else is wrong too
    more = None
    for candidate in with_controls(corrected, symmetry):
        more = more or _world_cause(trial, candidate, coarse=False)
    return Cause(f"{cause.id} and {more.id}", f"{cause.fix}; {more.fix}") if more else cause


def _dynamic_fit(trial: Trial, before: Symmetry, corrected: Symmetry) -> Symmetry | None:
    if misplaced(trial, corrected).any():
        return None
    for candidate in with_controls(corrected, before):
        if _fits(trial, candidate):
            return candidate
    return None


# ---------------------------------------------------------------------- the world and the parts
def _world_cause(trial: Trial, symmetry: Symmetry, coarse: bool = True) -> Cause | None:
    model = trial.model
    if not coarse and _fits(trial, symmetry):
        return None
    world = [*world_interventions(model, symmetry.R), *root_interventions(model)]
    if single := _first_cure(trial, symmetry, world):
        return single.cause
    if model.nu and _cured(trial, symmetry, Intervention(Cause("actuators"), _no_actuation)):
        short = trial.shorter(2)
        for cause, corrected in control_corrections(symmetry, misdirected(trial, symmetry)):
            if _fits(short, corrected) and _fits(trial, corrected):
                return cause
    differing = discrepancies(model, symmetry)
    if differing and _cured(trial, symmetry, attribute_intervention(symmetry, differing)):
        return _fewest(trial, symmetry, differing).cause
    together = [*world, *_by_field(symmetry, differing)]
    if combined := _combination(trial, symmetry, together):
        return combined.cause
    if not coarse:
        return None
    parts = list(part_interventions(model))
    # whole mechanisms last: where something finer does as well, it is named
    cure = _first_cure(trial, symmetry, parts) or _combination(trial, symmetry, [*together, *parts])
    return cure.cause if cure else None


def _first_cure(trial: Trial, symmetry: Symmetry, interventions: Sequence[Intervention]) -> Intervention | None:
    return next((one for one in interventions if _cured(trial, symmetry, one)), None)


def _combination(trial: Trial, symmetry: Symmetry, together: Sequence[Intervention]) -> Intervention | None:
    """The fewest of several interventions that cure together; of two that do as well, the earlier in the list."""
    if len(together) < 2 or not _cured(trial, symmetry, all_of(together)):
        return None
    needed = list(together)
    for one in reversed(together):
        rest = [i for i in needed if i is not one]
        if rest and _cured(trial, symmetry, all_of(rest)):
            needed = rest
    return all_of(needed)


def _by_field(symmetry: Symmetry, differing: Sequence[Discrepancy]) -> list[Intervention]:
    fields = dict.fromkeys(d.field for d in differing)
    return [attribute_intervention(symmetry, [d for d in differing if d.field == field]) for field in fields]


def _fewest(trial: Trial, symmetry: Symmetry, differing: Sequence[Discrepancy]) -> Intervention:
    """Make equal only the fields that matter."""
    chosen = list(differing)
    for field in dict.fromkeys(d.field for d in differing):
        rest = [d for d in chosen if d.field != field]
        if rest and _cured(trial, symmetry, attribute_intervention(symmetry, rest)):
            chosen = rest
    return attribute_intervention(symmetry, chosen)


def _sensor_cause(trial: Trial, symmetry: Symmetry, violation: Violation) -> Cause:
    model = trial.model
    if cure := _first_cure(trial, symmetry, [*world_interventions(model, symmetry.R), *root_interventions(model)]):
        return cure.cause
    for s in range(model.nsensor):
        if violation.field == f"sensor {model.sensor(s).name or s}":
            rows = slice(model.sensor_adr[s], model.sensor_adr[s] + model.sensor_dim[s])

            def other_sign(matrix: Floats, rows: slice = rows) -> Floats:
                out = matrix.copy()
                out[rows] *= -1.0
                return out

            if model.sensor_dim[s] == 3 and not _same_field(trial, symmetry.map(sensor_matrix=other_sign), violation):
                return AXIAL
    return _map_of(violation, "compare the map of the sensor with its kind and its frame")


def _same_field(trial: Trial, symmetry: Symmetry, violation: Violation) -> bool:
    others = [i for i, name in enumerate(column_names(symmetry)) if name != violation.field]
    gaps = trial.gaps(symmetry)
    gaps[..., others] = 0.0
    return trial.compare(symmetry, gaps, decisive=False).violation is not None


def _cured(trial: Trial, symmetry: Symmetry, intervention: Intervention) -> bool:
    changed = intervention.on(trial.model)
    return _fits(trial.on(changed), symmetry.map(model=lambda _: changed))


def _fits(trial: Trial, symmetry: Symmetry) -> bool:
    try:
        return trial.violation(symmetry) is None
    except NonFiniteRolloutError:
        return False


def _no_actuation(model: mujoco.MjModel) -> None:
    model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_ACTUATION)
