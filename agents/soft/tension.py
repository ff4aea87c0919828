"""How much a world violates a candidate symmetry: from the simulator, or from logged transitions alone.

Only the world can tell a true symmetry from one that networks were fitted to; the consistency of the networks
themselves cannot.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from eqrl.agents.soft.refinement import Candidate
from eqrl.arrays import Floats
from eqrl.declare import WithSymmetry
from eqrl.discovery import Transitions
from eqrl.discovery.candidates import LinearMap
from eqrl.discovery.logged import LoggedEvidence
from eqrl.proof.declarations import declared_world
from eqrl.proof.worlds import Step, SymmetricWorld, play, random_episode, step_from
from eqrl.symmetry import Element, Representation, representation_of

Tension = Callable[[Candidate], float | None]  # None if the world has not told

_NOTHING = 1e-9
_STEADY = 1e-3
_WARM_UP = 20  # random steps before a state, at most
_ELEMENTS = 3  # of a candidate that data are asked about


class SimulatorTension:
    """``|T(g s, g a) - g T(s, a)|`` and ``|r(g s, g a) - r(s, a)|`` after one step, relative to what a step changes.

    The first is the root mean square over states, relative to that of the change of the state, of the part of the state
    where it is largest; the second is relative to the change of the reward from one step to the next. Their sum is
    returned. Ends of episodes that differ count with their fraction.

    Args:
        world: an environment that can be set to a state, as for ``eqrl.proof.check_environment``. It is reset.
        states: number of random states.
        seed: of states, actions and elements.
    """

    def __init__(self, world: gymnasium.Env[Any, Any], states: int = 16, seed: int = 0) -> None:
        self._world = declared_world(world)
        self._actions = representation_of(self._world.action_space)
        self._seed = seed
        self._world.action_space.seed(seed)
        warm_ups = np.random.default_rng(seed).integers(_WARM_UP, size=states)
        episodes = [random_episode(self._world, seed + i, int(steps), 2) for i, steps in enumerate(warm_ups)]
        traces = [play(self._world, episode.start, episode.actions) for episode in episodes]
        self._cases = [(e.start, e.actions[0], trace[1]) for e, trace in zip(episodes, traces, strict=True)]
        moved = [self._world.state_difference(start, after.state) for start, _, after in self._cases]
        self._moved = {part: _root_mean_square([m[part] for m in moved]) for part in moved[0]}
        changes = [trace[-1].reward - trace[1].reward for trace in traces]
        rewards = [after.reward for _, _, after in self._cases]
        # rounding of a reward that hardly changes is no violation
        self._reward_scale = max(_root_mean_square(changes), _STEADY * _root_mean_square(rewards)) + _NOTHING

    def __call__(self, candidate: Candidate) -> float | None:
        """The tension of a candidate, from one of its elements in each state; the same whenever it is asked.

        None if the world does not know how its state turns: the model of an environment that was typed from outside
        need not have a counterpart of an element.
        """
        elements = candidate.draw(len(self._cases), np.random.default_rng(self._seed))
        try:
            turned = [
                self._world.transform_state(start, g) for (start, *_), g in zip(self._cases, elements, strict=True)
            ]
        except ValueError:
            return None
        images = [
            self._step(state, action, g) for state, (_, action, _), g in zip(turned, self._cases, elements, strict=True)
        ]
        gaps, rewards, ends = [], [], []
        for (_, _, here), there, g in zip(self._cases, images, elements, strict=True):
            gaps.append(self._world.state_difference(self._world.transform_state(here.state, g), there.state))
            rewards.append(here.reward - there.reward)
            ends.append(here.terminated != there.terminated)
        states = max(
            _root_mean_square([gap[part] for gap in gaps]) / (moved + _NOTHING) for part, moved in self._moved.items()
        )
        return states + _root_mean_square(rewards) / self._reward_scale + float(np.mean(ends))

    def _step(self, state: Any, action: Any, g: Element) -> Step:
        """The step from a state with the image of an action."""
        return step_from(self._world, state, self._actions.transform(np.asarray(action, dtype=np.float64), g))


class DataTension:
    """What logged transitions say, where no state can be set: the residual that discovery measures in them.

    See :mod:`eqrl.discovery.logged`: a one-step model is fitted to the transitions, and what it misses on them is no
    violation. No network of the agent is used, since those that a loss made consistent would confirm whatever they
    were taught.

    Args:
        transitions: at least 200.
        observation: representation of the observations.
        action: representation of the actions.
        accept: residual up to which a candidate holds.
        seed: of the split of the data and of elements.

    Raises:
        UsageError: for too few transitions, or if nothing changes in them.
    """

    def __init__(
        self,
        transitions: Transitions,
        observation: Representation,
        action: Representation,
        accept: float = 0.05,
        seed: int = 0,
    ) -> None:
        self._spaces = observation, action
        self._evidence = LoggedEvidence(transitions, observation.slices, accept=accept, seed=seed)
        self._seed = seed

    def __call__(self, candidate: Candidate) -> float | None:
        """The largest residual of some elements, 0 where they hold; None if the data tell about none of them."""
        elements = candidate.draw(_ELEMENTS, np.random.default_rng(self._seed))
        measured = [self._evidence(LinearMap.of(*self._spaces, g)) for g in elements]
        told = [m.residual if m.holds is False else 0.0 for m in measured if m.holds is not None]
        return max(told, default=None)


def fresh_world(env: VecEnv | None) -> gymnasium.Env[Any, Any] | None:
    """Another instance of the environment of a model, if it is registered and can be set to a state.

    It has the layers up to the one that types it from outside, :class:`~eqrl.declare.WithSymmetry`, and none of those
    that watch or record.
    """
    try:
        spec = env.get_attr("spec", 0)[0] if env is not None else None
        if spec is None:
            return None
        layers = spec.additional_wrappers
        typed = max((i + 1 for i, layer in enumerate(layers) if layer.name == WithSymmetry.__name__), default=0)
        world = gymnasium.make(replace(spec, additional_wrappers=layers[:typed]), disable_env_checker=True)
        return world if isinstance(declared_world(world), SymmetricWorld) else None
    # not one of Gymnasium's, untyped inside, or with a layer that does not say how it was made
    except (AttributeError, TypeError, ValueError, gymnasium.error.Error):
        return None


def logged_transitions(model: BaseAlgorithm) -> Transitions:
    """What the buffer of a model holds; of on-policy algorithms, steps within episodes."""
    space: Any = model.action_space
    buffer: Any = model.rollout_buffer if isinstance(model, OnPolicyAlgorithm) else model.replay_buffer  # type: ignore[attr-defined]
    end = buffer.buffer_size if buffer.full else buffer.pos
    if isinstance(model, OnPolicyAlgorithm):
        observations = _flat(buffer.observations)[:end]
        same = _rows(buffer.episode_starts[1:end, :, None])[:, 0] == 0.0
        actions = np.clip(buffer.actions[:end], space.low, space.high)  # as SB3 does before the environment
        return Transitions(
            _rows(observations[:-1])[same],
            _rows(actions[:-1])[same],
            _rows(observations[1:])[same],
            _rows(buffer.rewards[: end - 1, :, None])[same, 0],
        )
    if getattr(buffer, "optimize_memory_usage", False):
        return _of_saving_buffer(buffer)
    return Transitions(
        _rows(_flat(buffer.observations)[:end]),
        _rows(buffer.actions[:end]),
        _rows(_flat(buffer.next_observations)[:end]),
        _rows(buffer.rewards[:end, :, None])[:, 0],
    )


def _of_saving_buffer(buffer: Any) -> Transitions:
    """Of a replay buffer that finds the next observation in the next row, which it has written over at the oldest."""
    size = buffer.buffer_size
    steps = (np.arange(1, size) + buffer.pos) % size if buffer.full else np.arange(buffer.pos)
    goes_on = _rows(buffer.dones[steps, :, None])[:, 0] == 0.0  # else the next row begins another episode
    return Transitions(
        _rows(buffer.observations[steps])[goes_on],
        _rows(buffer.actions[steps])[goes_on],
        _rows(buffer.observations[(steps + 1) % size])[goes_on],
        _rows(buffer.rewards[steps, :, None])[goes_on, 0],
    )


def _flat(observations: Any) -> Any:
    """Entries of a dict side by side in sorted order, shape ``(steps, envs, dim)``."""
    if isinstance(observations, dict):
        return np.concatenate([observations[key] for key in sorted(observations)], axis=-1)
    return observations


def _rows(array: Any) -> Floats:
    """One environment after another, so that neighbours in time stay together."""
    return np.asarray(array, dtype=np.float64).swapaxes(0, 1).reshape(-1, array.shape[-1])


def _root_mean_square(values: list[float]) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
