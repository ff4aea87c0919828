"""How much a world violates a candidate symmetry: from the simulator, or from logged transitions alone.

Only the world can tell a true symmetry from one that networks were fitted to; the consistency of the networks
themselves cannot.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from eqrl.agents.soft.refinement import Candidate
from eqrl.arrays import Floats
from eqrl.proof.declarations import declared_world
from eqrl.proof.worlds import Step, SymmetricWorld, play, random_episode, step_from
from eqrl.symmetry import Element, Representation, representation_of

Tension = Callable[[Candidate], float]

_NOTHING = 1e-9
_STEADY = 1e-3
_WARM_UP = 20  # random steps before a state, at most
_FEATURES = 256
_RIDGE = 1e-3
_MOST = 4000  # transitions that are fitted


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

    def __call__(self, candidate: Candidate) -> float:
        """The tension of a candidate, from one of its elements in each state; the same whenever it is asked."""
        elements = candidate.draw(len(self._cases), np.random.default_rng(self._seed))
        images = [self._image(start, action, g) for (start, action, _), g in zip(self._cases, elements, strict=True)]
        gaps, rewards, ends = [], [], []
        for (_, _, here), there, g in zip(self._cases, images, elements, strict=True):
            gaps.append(self._world.state_difference(self._world.transform_state(here.state, g), there.state))
            rewards.append(here.reward - there.reward)
            ends.append(here.terminated != there.terminated)
        states = max(
            _root_mean_square([gap[part] for gap in gaps]) / (moved + _NOTHING) for part, moved in self._moved.items()
        )
        return states + _root_mean_square(rewards) / self._reward_scale + float(np.mean(ends))

    def _image(self, state: Any, action: Any, g: Element) -> Step:
        turned = self._actions.transform(np.asarray(action, dtype=np.float64), g)
        return step_from(self._world, self._world.transform_state(state, g), turned)


@dataclass(frozen=True)
class Transitions:
    """Logged transitions.

    Attributes:
        observations: shape ``(n, dim)``.
        actions: shape ``(n, action_dim)``, as far as the environment took them.
        rewards: shape ``(n,)``.
        following: observations after the step, shape ``(n, dim)``.
    """

    observations: Floats
    actions: Floats
    rewards: Floats
    following: Floats


class DataTension:
    """The residual of transformed transitions beyond that of the logged ones, where no state can be set.

    One half of the transitions fits reward and change of observation as functions of observation and action, linear in
    random features: temporal differences for a discount of zero. On the other half, and on its image under a candidate,
    the squared residuals are compared. The root of their mean excess relative to the variance is returned, less two
    standard errors, of the field where it is largest. A discount above zero would add the critic's own error. No
    network of the agent is used, since those that a loss made consistent would confirm whatever they were taught.

    Data can only tell about what they hold: where the image of the visited states is not visited, a true symmetry looks
    violated; what never changes cannot refute anything.

    Args:
        transitions: at least some hundred.
        observation: representation of the observations.
        action: representation of the actions.
        seed: of features and elements.
    """

    def __init__(
        self, transitions: Transitions, observation: Representation, action: Representation, seed: int = 0
    ) -> None:
        self._rng = np.random.default_rng(seed)
        chosen = self._rng.permutation(len(transitions.rewards))[:_MOST]
        self._observation, self._action = observation, action
        self._data = Transitions(*(array[chosen] for array in vars(transitions).values()))
        inputs, targets = self._inputs(self._data), self._targets(self._data)
        self._centre, self._scale = inputs.mean(axis=0), inputs.std(axis=0) + _NOTHING
        width = inputs.shape[1]
        self._directions = self._rng.standard_normal((width, _FEATURES)) / np.sqrt(width)
        self._offsets = self._rng.standard_normal(_FEATURES)
        half = len(chosen) // 2
        features = self._features(inputs[:half])
        gram = features.T @ features + _RIDGE * half * np.eye(features.shape[1])
        self._weights = np.linalg.solve(gram, features.T @ targets[:half])
        self._test = Transitions(*(array[half:] for array in vars(self._data).values()))
        self._variance = targets.var(axis=0)
        self._squares_here = self._squares(inputs[half:], targets[half:])

    def __call__(self, candidate: Candidate) -> float:
        """The tension of a candidate."""
        test = self._test
        groups = np.array_split(np.arange(len(test.rewards)), min(8, len(test.rewards)))
        images = []
        for rows, g in zip(groups, candidate.draw(len(groups), self._rng), strict=True):
            images.append(
                Transitions(
                    np.asarray(self._observation.transform(test.observations[rows], g), dtype=np.float64),
                    np.asarray(self._action.transform(test.actions[rows], g), dtype=np.float64),
                    test.rewards[rows],
                    np.asarray(self._observation.transform(test.following[rows], g), dtype=np.float64),
                )
            )
        moved = Transitions(*(np.concatenate(parts) for parts in zip(*(vars(i).values() for i in images), strict=True)))
        excess = self._squares(self._inputs(moved), self._targets(moved)) - self._squares_here
        parts = [*self._observation.slices.values(), slice(self._observation.dim, self._observation.dim + 1)]
        varying = [part for part in parts if self._variance[part].sum() > _NOTHING]
        return max((self._relative(excess[:, p].sum(axis=1), self._variance[p].sum()) for p in varying), default=0.0)

    @staticmethod
    def _relative(excess: Floats, variance: float) -> float:
        sure = excess.mean() - 2.0 * excess.std() / np.sqrt(len(excess))
        return float(np.sqrt(max(0.0, sure) / variance))

    def _features(self, inputs: Floats) -> Floats:
        x = (inputs - self._centre) / self._scale
        return np.concatenate([np.tanh(x @ self._directions + self._offsets), x, np.ones((len(x), 1))], axis=1)

    def _squares(self, inputs: Floats, targets: Floats) -> Floats:
        """Squared residuals of every target, shape ``(n, dim + 1)``."""
        squares: Floats = np.square(self._features(inputs) @ self._weights - targets)
        return squares

    @staticmethod
    def _inputs(data: Transitions) -> Floats:
        return np.concatenate([data.observations, data.actions], axis=1)

    @staticmethod
    def _targets(data: Transitions) -> Floats:
        return np.concatenate([data.following - data.observations, data.rewards[:, None]], axis=1)


def fresh_world(env: VecEnv | None) -> gymnasium.Env[Any, Any] | None:
    """Another instance of the environment of a model, if it is registered and can be set to a state."""
    try:
        spec = env.get_attr("spec", 0)[0] if env is not None else None
        if spec is None:
            return None
        world = gymnasium.make(spec.id, disable_env_checker=True, **spec.kwargs)
        return world if isinstance(declared_world(world), SymmetricWorld) else None
    except (AttributeError, TypeError, gymnasium.error.Error):  # not one of Gymnasium's, or untyped inside
        return None


def logged_transitions(model: BaseAlgorithm) -> Transitions:
    """What the buffer of a model holds; of on-policy algorithms, steps within episodes."""
    space: Any = model.action_space
    buffer: Any = model.rollout_buffer if isinstance(model, OnPolicyAlgorithm) else model.replay_buffer  # type: ignore[attr-defined]
    end = buffer.buffer_size if buffer.full else buffer.pos
    if isinstance(model, OnPolicyAlgorithm):
        observations = _flat(buffer.observations)[:end]
        same = buffer.episode_starts[1:end].ravel() == 0.0
        actions = np.clip(buffer.actions[:end], space.low, space.high)  # as SB3 does before the environment
        return Transitions(
            _rows(observations[:-1])[same],
            _rows(actions[:-1])[same],
            buffer.rewards[: end - 1].ravel()[same].astype(np.float64),
            _rows(observations[1:])[same],
        )
    return Transitions(
        _rows(_flat(buffer.observations)[:end]),
        _rows(buffer.actions[:end]),
        buffer.rewards[:end].ravel().astype(np.float64),
        _rows(_flat(buffer.next_observations)[:end]),
    )


def _flat(observations: Any) -> Any:
    """Entries of a dict side by side in sorted order, shape ``(steps, envs, dim)``."""
    if isinstance(observations, dict):
        return np.concatenate([observations[key] for key in sorted(observations)], axis=-1)
    return observations


def _rows(array: Any) -> Floats:
    return np.asarray(array, dtype=np.float64).reshape(-1, array.shape[-1])


def _root_mean_square(values: list[float]) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
