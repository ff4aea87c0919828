"""Prove symmetries of a model, with what it derives or with what is declared."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import mujoco
import numpy as np

from eqrl.derivation.derivation import Derivation
from eqrl.derivation.discrepancy import Level
from eqrl.derivation.elements import world_motion, world_rotation
from eqrl.derivation.symmetry import Symmetry
from eqrl.proof.causes.diagnosis import diagnose
from eqrl.proof.causes.kinematics import kinematic_gaps
from eqrl.proof.comparison import Comparison, first_violation
from eqrl.proof.converged import converged, with_exact_solver
from eqrl.proof.differences import column_names
from eqrl.proof.errors import NonFiniteRolloutError
from eqrl.proof.trial import Trial
from eqrl.proof.verdict import Verdict, Verdicts, judge

ROTATION = "rotation about gravity"
_GENTLE = 0.1
ANGLE = np.deg2rad(37.0)  # generic: 90 degrees hide pyramidal cones


def generators_of(derivation: Derivation, level: Level = "dynamic") -> tuple[Symmetry, ...]:
    """Generators of the full group: the world's continuous part at generic angles, and those of the finite part.

    Where everything may be turned about gravity, the first is named ``"rotation about gravity"``; without gravity a
    ``"rotation about x"`` follows; both have kind ``"world"``. Of each set of like trees that may be exchanged freely
    the exchange of two and the cycle of all come last, for they generate all others. Where nothing but terms of free
    joints breaks the rotation about gravity it is among them too, unclaimed, so that the proof can show what it costs.
    """
    model = derivation.model
    of_world: list[Symmetry] = []
    if derivation.world.connected != "1" or derivation.world.is_broken_by_joints:
        of_world.append(named(world_rotation(model, ANGLE), ROTATION))
    if derivation.world.connected == "SO3":
        of_world.append(named(tilt(model, ANGLE), "rotation about x"))
    exchanges = [g for like in derivation.exchangeable(level) for g in like.generators]
    return (*of_world, *derivation.generators(level), *exchanges)


def tilt(model: mujoco.MjModel, angle: float) -> Symmetry:
    """Everything turned about the x axis; nothing is relabelled."""
    c, s = np.cos(angle), np.sin(angle)
    R = np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])
    return world_motion(model, R, name="rotation about x")


def named(symmetry: Symmetry, name: str) -> Symmetry:
    """The same element under another name."""
    return symmetry.map(name=lambda _: name)


def prove(
    model: mujoco.MjModel,
    symmetries: Iterable[Symmetry],
    *,
    level: Level = "dynamic",
    states: int = 24,
    steps: Sequence[int] = (1, 10, 50),
    frame_skip: int = 1,
    seed: int = 0,
    tolerance: float = 1e-8,
    diagnosing: bool = True,
) -> Verdicts:
    """Step a model from related states and compare; see :func:`eqrl.proof.verify`."""
    exact = converged(model)
    common: dict[str, Any] = {"states": states, "steps": max(steps), "tolerance": tolerance, "seed": seed}
    trial = (
        Trial.posed(exact, **common) if level == "kinematic" else Trial.random(exact, frame_skip=frame_skip, **common)
    )
    as_given = trial.on(model)
    verdicts: list[Verdict] = []
    turned: Symmetry | None = None
    for symmetry in symmetries:
        check = symmetry
        if turned is not None and symmetry.kind != "world":
            # the world may be turned, so nothing is to be special about the axes of its coordinates
            check = turned.compose(symmetry, symmetry.name)
        verdict = _judge(trial, check, symmetry, level, steps, diagnosing)
        if check is not symmetry and not verdict.holds:
            verdict = _judge(trial, symmetry, symmetry, level, steps, diagnosing)
        if (
            turned is None
            and verdict.holds
            and symmetry.kind == "world"
            and symmetry.relabels_nothing
            and _turns(symmetry)
        ):
            turned = symmetry
        if verdict.holds and level == "dynamic":
            verdict = replace(
                verdict,
                remarks=(
                    *verdict.remarks,
                    *_gentle(trial),
                    *_as_it_is(trial, as_given, check),
                    *_unseen_cone(model, symmetry),
                ),
            )
        verdicts.append(verdict)
    return Verdicts(tuple(verdicts))


def _judge(
    trial: Trial, check: Symmetry, symmetry: Symmetry, level: Level, steps: Sequence[int], diagnosing: bool
) -> Verdict:
    if level == "kinematic":
        gaps = kinematic_gaps(trial, check)
        allowed = np.full(gaps.shape[:2], trial.tolerance)
        compared = Comparison(gaps, allowed, first_violation(gaps, allowed, column_names(check)))
    else:
        compared = trial.compare(check)
    return judge(
        compared,
        symmetry.name,
        symmetry.kind,
        steps=steps,
        contacts=int((trial.shorter(0) if level == "kinematic" else trial).original.contacts.max(initial=0)),
        explain=(lambda violation: diagnose(trial, check, violation, level)) if diagnosing else None,
    )


def _gentle(trial: Trial) -> tuple[str, ...]:
    """A model that diverges from all but the gentlest states."""
    if trial.calm >= _GENTLE:
        return ()
    return (
        (
            f"tried from gentle states only, {trial.calm:g} of the usual distances, speeds and controls: it diverges"
            " from others; a smaller timestep, more damping or armature would help"
        ),
    )


def _unseen_cone(model: mujoco.MjModel, symmetry: Symmetry) -> tuple[str, ...]:
    """A pyramidal cone that no contact felt, under a motion that is not its own."""
    if model.opt.cone != mujoco.mjtCone.mjCONE_PYRAMIDAL or symmetry.kind != "world" or not symmetry.relabels_nothing:
        return ()
    return (
        (
            "no contact felt the pyramidal friction cone, as where capsules meet a plane; others would, so make it"
            " elliptic"
        ),
    )


def _as_it_is(trial: Trial, as_given: Trial, symmetry: Symmetry) -> tuple[str, ...]:
    """What the model's own solver and collider leave of the symmetry, where that is more than rounding.

    Args:
        trial: on the converged model, which says what rounding may do.
        as_given: on the model as it is.
        symmetry: what holds on the converged model.
    """
    try:
        compared = trial.compare(symmetry, as_given.gaps(symmetry), decisive=False)
        if compared.violation is None:
            return ()
        few = trial.shorter(len(trial.controls), trial.around(compared.violation.state))
        solved = few.on(with_exact_solver(as_given.model))
        size = compared.largest
        if few.compare(symmetry, solved.gaps(symmetry)).violation is None:
            advice = 'use Newton, tolerance="1e-12" and no noslip_iterations'
            return (f"solver tolerance: with the model's own solver the error is {size:.1e}; {advice}",)
    except NonFiniteRolloutError:
        return ("diverges with the model's own solver",)
    return (
        (
            f"collider: with the model's own contact points the error is {size:.1e}; it stops at ccd_tolerance, and of"
            " the points that flat faces share it chooses some, others in the transformed world: use spheres or"
            " capsules where this matters"
        ),
    )


def _turns(symmetry: Symmetry) -> bool:
    return not np.allclose(symmetry.R, np.eye(3), atol=1e-6)
