"""How symmetric a trained agent acts in the world, measured without the maps that it was trained with.

Equivariance errors and mirror losses compare ``pi(g s)`` with ``g pi(s)`` by the map of observations and actions that
training uses too. A wrong map makes them zero for a policy that is visibly lopsided. Here the world is the judge: the
agent is put into a state and into the transformed state, sees what the environment shows it in each, acts, and the two
outcomes are compared as states, through the environment's own ``transform_state``. Neither the action map nor the
observation map occurs.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from eqrl.proof.worlds import SymmetricWorld
from eqrl.symmetry.element import Element
from eqrl.symmetry.group import Group
from eqrl.symmetry.spaces import representation_of

_NOTHING = 1e-12


@dataclass(frozen=True)
class Behaviour:
    """How alike an agent acts in a world and in its image under one generator.

    Attributes:
        name: of the generator.
        error: difference of the states after one step of the agent from ``s`` and from ``g s``, relative to that
            between two random actions: 0 for a symmetric agent, about 1 for one whose actions in the two worlds have
            nothing to do with each other, up to 2 for one that does the opposite. The root mean square over all visited
            states, of the part of the state where it is largest. An agent that hardly acts is symmetric too.
        part: that part.
        symmetry_index: ``200 |X - X'| / (X + X')`` in percent, where X and X' are the efforts (sums of the lengths of
            actions) of an episode from ``s`` and from ``g s``; the mean over episodes. 0 for a symmetric agent, 200 if
            it acts in one of the two only. It cannot see equal effort in a wrong direction.
        steps: states compared.
    """

    name: str
    error: float
    part: str
    symmetry_index: float
    steps: int


def measure_behaviour(
    model: Any,
    env: gymnasium.Env[Any, Any],
    *,
    episodes: int = 8,
    steps: int = 25,
    group: Group | None = None,
    seed: int = 0,
) -> list[Behaviour]:
    """Measure how symmetric an agent acts, through the environment's own transform of its state.

    The one-step ``error`` is taken at states along the agent's own way, so that chaos has no time to grow. The symmetry
    index (Robinson et al. 1987; for learnt gaits Yu et al. 2018 and Abdolhosseini et al. 2019) compares whole episodes
    from ``s`` and ``g s``; it sums over efforts and so sees less.

    Args:
        model: anything with SB3's ``predict``.
        env: an environment with the methods of :class:`SymmetricWorld`, which ``check_environment`` accepts; wrappers
            are ignored.
        episodes: number of random initial states for each generator.
        steps: control steps from each.
        group: the symmetry to measure, by default the one that the observation space declares. Give it where the
            declaration itself is in doubt.
        seed: of resets and random actions.

    Returns:
        One measurement for each generator.

    Raises:
        TypeError: if the environment lacks the methods.
        ValueError: if there is no symmetry to measure.
    """
    world = env.unwrapped
    if not isinstance(world, SymmetricWorld):
        raise TypeError(f"{type(world).__name__} cannot be measured: it lacks methods of eqrl.proof.SymmetricWorld")
    generators = (group or representation_of(world.observation_space).group).generators
    if not generators:
        raise ValueError("the spaces declare no symmetry (group 1), so there is nothing to measure; give a group")
    world.action_space.seed(seed)
    return [_measure(model, world, name, g, episodes, steps, seed) for name, g in generators]


def _measure(model: Any, world: Any, name: str, g: Element, episodes: int, steps: int, seed: int) -> Behaviour:
    broken: dict[str, float] = {}
    random: dict[str, float] = {}
    indices, compared = [], 0
    for episode in range(episodes):
        world.reset(seed=seed + episode)
        start = world.get_state()
        states, effort = _rollout(model, world, start, steps)
        _, image_effort = _rollout(model, world, world.transform_state(start, g), steps)
        indices.append(200.0 * abs(effort - image_effort) / max(effort + image_effort, _NOTHING))
        for here, after in pairwise(states):
            image = _step(world, world.transform_state(here, g), model)
            _add(broken, world.state_difference(world.transform_state(after, g), image))
            _add(random, world.state_difference(_step(world, here), _step(world, here)))
            compared += 1
    # what actions do not move within a step says nothing
    errors = {
        part: float(np.sqrt(broken[part] / size)) for part, size in random.items() if size > compared * _NOTHING**2
    }
    worst = max(errors, key=lambda part: errors[part], default="")
    return Behaviour(name, errors.get(worst, 0.0), worst, float(np.mean(indices)), compared)


def _rollout(model: Any, world: Any, start: Any, steps: int) -> tuple[list[Any], float]:
    """States along the agent's way, and the sum of the lengths of its actions."""
    world.set_state(start)
    states, effort = [world.get_state()], 0.0
    for _ in range(steps):
        action = _act(model, world)
        effort += float(np.linalg.norm(action))
        terminated = world.step(action)[2]
        states.append(world.get_state())
        if terminated:
            break
    return states, effort


def _step(world: Any, state: Any, model: Any = None) -> Any:
    """The state after one step: of the agent, or of a random action."""
    world.set_state(state)
    world.step(world.action_space.sample() if model is None else _act(model, world))
    return world.get_state()


def _act(model: Any, world: Any) -> NDArray[Any]:
    return np.asarray(model.predict(world.observe(), deterministic=True)[0])


def _add(total: dict[str, float], difference: dict[str, float]) -> None:
    for part, size in difference.items():
        total[part] = total.get(part, 0.0) + float(size) ** 2
