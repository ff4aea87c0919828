"""Check a declared symmetry against the simulator: ``step(g s, g a) = g step(s, a)``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np

from eqrl.proof.causes.environments import diagnose_world
from eqrl.proof.declarations import declared_world
from eqrl.proof.declared.declared_world import DeclaredWorld
from eqrl.proof.verdict import NOT_COMPARED, UNCLEAR, Cause
from eqrl.proof.worlds import WorldTrial, random_episode
from eqrl.symmetry.errors import SymmetryError
from eqrl.symmetry.group import Group
from eqrl.symmetry.spaces import representation_of


@dataclass(frozen=True)
class GeneratorReport:
    """How well the world keeps one generator.

    Attributes:
        name: of the generator.
        error: largest difference of any part of the state after any step.
        contacts: largest number of contacts at any time; a check without contacts proves little.
        steps: control steps compared, over all episodes.
    """

    name: str
    error: float
    contacts: int
    steps: int


def check_environment(
    env: gymnasium.Env[Any, Any],
    *,
    steps: int = 50,
    episodes: int = 4,
    atol: float = 1e-8,
    group: Group | None = None,
    seed: int = 0,
) -> list[GeneratorReport]:
    """Check that the world obeys the symmetry that its spaces declare, in the manner of SB3's ``check_env``.

    From random states and with random actions the environment is stepped twice, as it is and transformed by each
    generator (rotations by a generic 37 degrees), and state, observation, reward and termination are compared after
    every step. An environment that was typed from outside, by ``with_symmetry`` or with ``TypedBox``, is checked on a
    twin of its MuJoCo simulation: states are turned by the model's own symmetry, observations and actions as they are
    declared.

    Args:
        env: an environment with typed spaces that has the methods of :class:`~eqrl.proof.SymmetricWorld` or a MuJoCo
            simulation. Of an environment with these methods wrappers are ignored; otherwise the outermost layer with
            typed spaces is checked.
        steps: control steps to compare from each state.
        episodes: number of random states for each generator.
        atol: tolerance on the state (float64). Where a robot is chaotic, 100 times the divergence after a nudge of
            1e-14 is allowed instead; where that nudge grows beyond 1e-4 the comparison of an episode ends.
        group: the group to check, by default the one that the observation space declares.
        seed: of resets and actions.

    Returns:
        One report for each generator.

    Raises:
        UntypedSpaceError: if a space does not say how it turns.
        TypeError: if the environment has neither these methods nor a simulation that can be set, or its actions are
            discrete.
        ValueError: if the spaces declare no symmetry, or the same state and actions give different outcomes.
        SymmetryError: naming the generator, the field, the step and the size of the first violation, and its cause
            where changing one thing of the world makes it disappear.
    """
    world = declared_world(env)
    observation_rep = representation_of(world.observation_space)
    action_rep = representation_of(world.action_space)
    if observation_rep.group != action_rep.group:
        raise ValueError(
            f"the observation space declares group {observation_rep.group}, the action space {action_rep.group};"
            " declare one group on both"
        )
    generators = (group or observation_rep.group).generators
    if not generators:
        raise ValueError(
            "the spaces declare no symmetry (group 1), so there is nothing to check; give their Representation a group"
        )
    rng = np.random.default_rng(seed)
    world.action_space.seed(seed)
    reports = []
    for name, g in generators:
        if isinstance(world, DeclaredWorld) and (objection := world.examine(name, g)) is not None:
            raise SymmetryError(objection.field, name, 0, objection.size, _hint(objection.cause))
        error, contacts, steps_compared, comparable = 0.0, 0, 0, False
        for number in range(episodes):
            episode = random_episode(world, seed + number, int(rng.integers(0, 20)), steps)
            trial = WorldTrial(world, [episode], atol)
            trial.check_deterministic()
            compared = trial.compare(g)
            if (violation := compared.violation) is not None:
                cause = diagnose_world(world, episode, g, violation, atol)
                hint = _hint(cause) if cause else ""
                raise SymmetryError(violation.field, name, violation.step, violation.size, hint)
            comparable |= not compared.is_empty
            error = max(error, compared.largest)
            contacts = max(contacts, trial.contacts)
            steps_compared += len(trial.original[0])
        if not comparable:
            raise SymmetryError(NOT_COMPARED.field, name, NOT_COMPARED.step, NOT_COMPARED.size, _hint(UNCLEAR))
        reports.append(GeneratorReport(name, error, contacts, steps_compared))
    return reports


def _hint(cause: Cause) -> str:
    return f"cause: {cause.id}; {cause.fix}"
