"""The effective group of a world: from its simulator, or from logged transitions alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import mujoco
import numpy as np

from eqrl.derivation import Derivation, derive
from eqrl.derivation.elements import key as symmetry_key
from eqrl.discovery.candidates import (
    Candidate,
    LinearMap,
    candidates_of_group,
    candidates_of_maps,
    candidates_of_model,
    candidates_of_spaces,
)
from eqrl.discovery.logged import LoggedEvidence
from eqrl.discovery.refinement import EffectiveGroup, refine
from eqrl.discovery.simulator import of_model, of_world
from eqrl.discovery.transitions import Transitions
from eqrl.errors import UsageError
from eqrl.proof.declarations import declared_world
from eqrl.proof.silence import silenced
from eqrl.proof.tasks import is_mujoco_env
from eqrl.proof.verify import is_typed_world
from eqrl.symmetry import Element, Representation, representation_of

_REWARDS = "rewards are not compared: the environment does not say how its observations turn"


@silenced()
def discover(
    target: mujoco.MjModel | gymnasium.Env[Any, Any] | str,
    candidates: Sequence[Candidate[Element]] | None = None,
    *,
    accept: float = 0.05,
    transitions: int = 64,
    seed: int = 0,
) -> EffectiveGroup:
    """Find the group that a simulated world obeys up to an accepted breaking.

    Args:
        target: a model or the path of one, or an environment: with typed spaces and a state that can be set, or
            with a MuJoCo model.
        candidates: what to try in an environment with typed spaces; by default its declared generators, other motions
            of the world, and decoys. For a model these are what ``derive`` proposes, its near misses, and decoys.
        accept: largest residual that is accepted; 1e-6 for exact symmetries only.
        transitions: number of random transitions to compare.
        seed: of states and actions.

    Raises:
        TypeError: if there is no state that can be set.
        ValueError: for a model that does not compile.
        NonFiniteRolloutError: if the model diverges by itself.
    """
    if not isinstance(target, gymnasium.Env):
        return of_derivation(derive(target), accept=accept, transitions=transitions, seed=seed)
    if not is_typed_world(target):
        world: Any = target.unwrapped
        if not is_mujoco_env(world):
            raise TypeError(
                f"{type(world).__name__} has neither a MuJoCo model nor typed spaces and a state that can be set;"
                " record transitions of it, and use discover_in_data"
            )
        skip = int(getattr(world, "frame_skip", 1))
        found = derive(world.model)
        return of_derivation(
            found, accept=accept, transitions=transitions, seed=seed, frame_skip=skip, notes=(_REWARDS,)
        )
    group = representation_of(declared_world(target).observation_space).group
    return refine(
        candidates if candidates is not None else candidates_of_group(group),
        of_world(target, transitions=transitions, accept=accept, seed=seed),
        _element_key,
        accept=accept,
    )


def of_derivation(
    derivation: Derivation,
    *,
    accept: float = 0.05,
    transitions: int = 64,
    seed: int = 0,
    frame_skip: int = 1,
    notes: Sequence[str] = (),
) -> EffectiveGroup:
    """The effective group of a model; arguments as of :func:`discover`."""
    measure = of_model(derivation.model, frame_skip=frame_skip, states=transitions, accept=accept, seed=seed)
    return refine(candidates_of_model(derivation), measure, symmetry_key, accept=accept, notes=notes)


def discover_in_data(
    transitions: Transitions,
    spaces: tuple[Representation, Representation] | None = None,
    candidates: Sequence[Candidate[LinearMap]] | None = None,
    *,
    accept: float = 0.05,
    seed: int = 0,
) -> EffectiveGroup:
    """Find the group that logged transitions obey up to an accepted breaking, and say what they cannot tell.

    Args:
        transitions: the log.
        spaces: representations of observations and actions; by default the maps in the log are what is tried.
        candidates: what to try; by default what the spaces declare, other motions of the world, and decoys.
        accept: largest residual that is accepted.
        seed: of the split of the data.

    Raises:
        UsageError: if there is nothing to try, the spaces do not fit the log, or there are too few transitions.
    """
    fields = None
    if spaces is not None:
        widths = transitions.observations.shape[1], transitions.actions.shape[1]
        for what, width, representation in zip(("observations", "actions"), widths, spaces, strict=True):
            if width != representation.dim:
                raise UsageError(
                    f"array {what!r} has rows of {width} numbers, but the environment's have {representation.dim}"
                )
        fields = spaces[0].slices
        candidates = candidates_of_spaces(*spaces) if candidates is None else candidates
    elif candidates is None:
        if transitions.names is None or transitions.observation_maps is None or transitions.action_maps is None:
            raise UsageError(
                "the transitions say nothing about what may be a symmetry: give --env ID with typed spaces, or the"
                " arrays names, observation_maps and action_maps"
            )
        names = [str(n) for n in transitions.names]
        candidates = candidates_of_maps(names, list(transitions.observation_maps), list(transitions.action_maps))
    evidence = LoggedEvidence(transitions, fields, accept=accept, seed=seed)
    return refine(candidates, evidence, lambda g: g.key, accept=accept, notes=evidence.notes)


def _element_key(g: Element) -> bytes:
    """What distinguishes an element, whether it names the sets that it leaves alone or not."""
    parts = [(name, m.numpy()) for name, m in sorted(g.h.items()) if not np.allclose(m, np.eye(m.shape[-1]))]
    rounded = [np.round(m, 6) + 0.0 for m in (g.R.numpy(), *(m for _, m in parts))]
    return b"".join([",".join(name for name, _ in parts).encode(), *(m.tobytes() for m in rounded)])
