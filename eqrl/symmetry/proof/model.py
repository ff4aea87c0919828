"""Prove symmetries of a model, with what it derives or with what is declared."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import mujoco
import numpy as np

from eqrl.symmetry.morphology.derivation import Derivation, Level, world_motion, world_rotation
from eqrl.symmetry.morphology.symmetry import Symmetry
from eqrl.symmetry.proof.diagnosis import diagnose
from eqrl.symmetry.proof.errors import NonFiniteRolloutError
from eqrl.symmetry.proof.interventions import converged
from eqrl.symmetry.proof.kinematics import kinematic_gaps
from eqrl.symmetry.proof.trial import Trial, first_violation
from eqrl.symmetry.proof.verdict import Verdict, Verdicts

ROTATION = "rotation about gravity"
ANGLE = np.deg2rad(37.0)  # generic: 90 degrees hide pyramidal cones


def generators_of(derivation: Derivation, level: Level = "dynamic") -> tuple[Symmetry, ...]:
    """Generators of the full group: the world's continuous part at generic angles, and those of the finite part.

    Where everything may be turned about gravity, the first is named ``"rotation about gravity"``; without gravity a
    ``"rotation about x"`` follows; both have kind ``"world"``. Of each set of like trees that may be exchanged freely the
    exchange of two and the cycle of all come last, for they generate all others. Where nothing but terms of free joints
    breaks the rotation about gravity it is among them too, unclaimed, so that the proof can show what it costs.
    """
    model = derivation.model
    found: list[Symmetry] = []
    if derivation.world.connected != "1" or derivation.world.is_broken_by_joints:
        found.append(named(world_rotation(model, ANGLE), ROTATION))
    if derivation.world.connected == "SO3":
        found.append(named(tilt(model, ANGLE), "rotation about x"))
    exchanges = [g for like in derivation.exchangeable(level) for g in like.generators]
    return (*found, *derivation.generators(level), *exchanges)


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
    """Step a model from related states and compare; see :func:`eqrl.symmetry.verify`."""
    exact = converged(model)
    trial = Trial.random(exact, states=states, steps=max(steps), frame_skip=frame_skip, tolerance=tolerance, seed=seed)
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
        if turned is None and verdict.holds and symmetry.kind == "world" and symmetry.relabels_nothing and _turns(symmetry):
            turned = symmetry
        if verdict.holds and level == "dynamic":
            verdict = replace(verdict, remarks=(*_own_solver(trial.on(model), check), *_unseen_cone(model, symmetry)))
        verdicts.append(verdict)
    return Verdicts(tuple(verdicts))


def _judge(trial: Trial, check: Symmetry, symmetry: Symmetry, level: Level, steps: Sequence[int], diagnosing: bool) -> Verdict:
    if level == "kinematic":
        gaps = kinematic_gaps(trial, check)
        allowed = np.full(gaps.shape[:2], trial.tolerance)
    else:
        gaps = trial.gaps(check)
        allowed = np.full(gaps.shape[:2], trial.tolerance) if _small(gaps, trial.tolerance) else trial.allowed(check)
    violation = first_violation(gaps, allowed, check)
    finite = np.nan_to_num(gaps, nan=np.inf, posinf=np.inf)
    return Verdict(
        name=symmetry.name,
        kind=symmetry.kind,
        errors={int(k): float(finite[k].max(initial=0.0)) for k in steps},
        holds=violation is None,
        contacts=int(trial.original.contacts.max(initial=0)),
        field=violation.field if violation else None,
        step=violation.step if violation else None,
        cause=diagnose(trial, check, violation, level) if violation and diagnosing else None,
    )


def _unseen_cone(model: mujoco.MjModel, symmetry: Symmetry) -> tuple[str, ...]:
    """A pyramidal cone that no contact felt, under a motion that is not its own."""
    if model.opt.cone != mujoco.mjtCone.mjCONE_PYRAMIDAL or symmetry.kind != "world" or not symmetry.relabels_nothing:
        return ()
    return ("no contact felt the pyramidal friction cone, as where capsules meet a plane; others would, so make it elliptic",)


def _own_solver(trial: Trial, symmetry: Symmetry) -> tuple[str, ...]:
    """What the model's own solver leaves of the symmetry, where that is more than rounding."""
    try:
        if (excess := trial.excess(symmetry)) <= 1.0:
            return ()
    except NonFiniteRolloutError:
        return ("diverges with the model's own solver",)
    size = excess * trial.tolerance
    return (f'solver tolerance: with the model\'s own solver the error is {size:.1e}; use Newton and tolerance="1e-12"',)


def _small(gaps: np.ndarray, tolerance: float) -> bool:
    return bool((np.nan_to_num(gaps, nan=np.inf) <= tolerance).all())


def _turns(symmetry: Symmetry) -> bool:
    return not np.allclose(symmetry.R, np.eye(3), atol=1e-6)
