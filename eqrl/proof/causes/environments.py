"""Why an environment does not keep a symmetry that its spaces declare."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from eqrl.proof.causes.declared_types import typing_cause
from eqrl.proof.causes.interventions import part_interventions, world_interventions
from eqrl.proof.causes.root_terms import root_interventions
from eqrl.proof.comparison import Violation
from eqrl.proof.converged import converged, with_exact_solver
from eqrl.proof.verdict import Cause
from eqrl.proof.worlds import Episode, ModelledWorld, WorldTrial, observe_at, play
from eqrl.symmetry.element import Element
from eqrl.symmetry.representation import Representation
from eqrl.symmetry.spaces import representation_of

_MORE_STEPS = 5
_GENTLE = 0.05


def diagnose_world(world: Any, episode: Episode, g: Element, violation: Violation, atol: float) -> Cause | None:
    """Change one thing of an environment at a time and see whether its violation disappears.

    Args:
        world: the environment, a :class:`~eqrl.proof.worlds.SymmetricWorld`; only one that is a ``ModelledWorld``
            can be changed.
        episode: what showed the violation.
        g: the group element.
        violation: the first one.
        atol: tolerance on the state.
    """
    short = replace(episode, actions=episode.actions[: violation.step + _MORE_STEPS])
    if violation.field.startswith("observation "):
        return _typing_cause(world, short, g, violation.field.removeprefix("observation "))
    if violation.field in ("reward", "terminated"):
        word = {"reward": "reward", "terminated": "termination"}[violation.field]
        return Cause(
            f"{word} not invariant", f"the {word} singles out a direction or a side; declare the subgroup that keeps it"
        )
    for cause, twin in _twins(world, g):
        if _state_fits(twin, short, g, atol):
            return cause
    gentle = replace(short, actions=[_GENTLE * np.asarray(a) for a in short.actions])
    if _has_vectors(representation_of(world.action_space)) and _state_fits(world, gentle, g, atol):
        return Cause("componentwise clip", "clip vector actions by their length, not component by component")
    return None


def _twins(world: Any, g: Element) -> Iterator[tuple[Cause, Any]]:
    if not isinstance(world, ModelledWorld):
        return
    model = world.model
    R = g.R.numpy()
    for one in (*world_interventions(model, R), *root_interventions(model)):
        yield one.cause, world.on_model(one.on(model))
    yield Cause("wind", "a constant external force blows on a body; switch it off"), world.on_model(model, forces=False)
    yield (
        Cause("solver tolerance", 'use the Newton solver and tolerance="1e-12"'),
        world.on_model(with_exact_solver(model)),
    )
    yield (
        Cause("collider", "of the points that flat faces share MuJoCo chooses some; use spheres or capsules"),
        world.on_model(converged(model)),
    )
    for one in part_interventions(model):
        yield one.cause, world.on_model(one.on(model))


def _state_fits(world: Any, episode: Episode, g: Element, atol: float) -> bool:
    compared = WorldTrial(world, [episode], atol).compare(g, outcomes=False)
    return compared.violation is None and bool(np.isfinite(compared.gaps).all())


def _has_vectors(rep: Representation) -> bool:
    return any(not field.irreps.lstrip("0123456789").startswith("x0") for field in rep.fields)


def _typing_cause(world: Any, episode: Episode, g: Element, name: str) -> Cause:
    """What explains the observations of the episode's states."""
    rep = representation_of(world.observation_space)
    states = [step.state for step in play(world, episode.start, episode.actions)]
    before = np.stack([observe_at(world, state) for state in states])
    after = np.stack([observe_at(world, world.transform_state(state, g)) for state in states])
    return typing_cause(rep, name, g, before, after)
