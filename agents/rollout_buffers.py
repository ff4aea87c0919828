"""Orbit augmentation for PPO: rollout buffers that return transformed samples, and its pitfall.

PPO compares the new probability of a sample with the one under which it was drawn. A transformed sample ``(g s, g a)``
was drawn from the *transformed* policy ``g pi``, with density ``pi_old(a | s)``. The surrogate is unbiased with that
density, so reusing the old log-probability is correct. But the ratio ``pi(g a | g s) / pi_old(a | s)`` is initially one
only if the policy is already equivariant. For an ordinary network it is far from one before the first gradient step.
Clipping is meant to keep the new policy close to the old one; here it discards samples and keeps the policy close to
``g pi`` instead. ``first_ratios`` measures how many. A network that is augmented from its first rollout on stays close
enough to equivariance to learn; a network that has learnt without augmentation is far from it.

``log_prob="recompute"`` uses ``log pi_old(g a | g s)`` instead. All ratios are one and the trust region surrounds the
right policy, but the actions were not drawn from that density, so the gradient is biased to the extent that the policy
is not equivariant. As measured by ``scripts/measure_clipping.py``, this bias does far more harm than the clipping; the
option is here for comparison. No unbiased choice has all ratios at one; for an equivariant policy both choices agree.
"""

from __future__ import annotations

from typing import Any, Literal

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import DictRolloutBuffer, RolloutBuffer
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.vec_env import VecNormalize

from eqrl.agents.algorithm import calling_algorithm
from eqrl.agents.networks import GroupChoice
from eqrl.agents.orbit import Orbit
from eqrl.agents.replay_buffers import Mode, check_mode, turned
from eqrl.agents.rewriting import refuse_normalised_observations, refuse_rewritten
from eqrl.symmetry import Element

LogProb = Literal["reuse", "recompute"]
_CHUNK = 4096


class SymmetricRolloutBuffer(RolloutBuffer):
    """SB3's rollout buffer, with every sample transformed by an element of a group.

    ``PPO("MlpPolicy", env, rollout_buffer_class=SymmetricRolloutBuffer)``. Advantages, returns and values are
    invariant. Each sample of a rollout has one element for all epochs.

    Args:
        buffer_size: number of steps.
        observation_space: a ``TypedBox``.
        action_space: a ``TypedBox``.
        args: further arguments of SB3's class.
        group: a subgroup of the environment's group, by name or as a ``Group``; None means the whole group.
        probability: probability with which each sample is transformed at all (mode ``"random"``).
        mode: ``"random"``, or, for finite groups, ``"all"``: every minibatch holds the orbits of its samples, starting
            with the samples themselves, and so grows by the order of the group.
        log_prob: ``"reuse"`` keeps the old log-probabilities. ``"recompute"`` evaluates the policy at the transformed
            samples once in each rollout and needs ``model.rollout_buffer.bind(model.policy)``. The module's docstring
            compares them.
        kwargs: further arguments of SB3's class.

    Raises:
        UntypedSpaceError: if a space is not typed.
        BreaksSymmetryError: if the group does not map the box of actions to itself, or a wrapper has rewritten the
            observations.
        ValueError: for a wrong group, probability, mode or log_prob, or if the class does not fit the observation
            space.
    """

    def __init__(
        self,
        buffer_size: int,
        observation_space: gymnasium.Space[Any],
        action_space: gymnasium.Space[Any],
        *args: Any,
        group: GroupChoice | None = None,
        probability: float = 1.0,
        mode: Mode = "random",
        log_prob: LogProb = "reuse",
        **kwargs: Any,
    ) -> None:
        _check_kind(self, observation_space)
        if (algorithm := calling_algorithm(self)) is not None and algorithm.env is not None:
            refuse_rewritten(algorithm.env)
        if log_prob not in ("reuse", "recompute"):
            raise ValueError(f"log_prob={log_prob!r} is unknown; use 'reuse' or 'recompute'")
        self.orbit = Orbit(observation_space, action_space, group)
        check_mode(self.orbit, probability, mode)
        self.probability = probability
        self.mode = mode
        self.log_prob = log_prob
        self._policy: ActorCriticPolicy | None = None
        super().__init__(buffer_size, observation_space, action_space, *args, **kwargs)

    def bind(self, policy: ActorCriticPolicy) -> None:
        """Give ``log_prob="recompute"`` the policy that it evaluates."""
        self._policy = policy

    def reset(self) -> None:
        """Discard the rollout and its elements."""
        super().reset()
        self._elements: Element | None = None
        self._which: NDArray[np.bool_] | None = None
        self._old_log_probs: torch.Tensor | None = None

    def _get_samples(self, batch_inds: NDArray[np.intp], env: VecNormalize | None = None) -> Any:
        refuse_normalised_observations(env)
        if self._elements is None:
            self._begin()
        rows, elements = batch_inds, batch_inds
        if self.mode == "all":
            order = len(self.orbit.group.elements().R)
            rows, elements = np.tile(batch_inds, order), np.repeat(np.arange(order), len(batch_inds))
        samples = self._turned_samples(rows, elements)
        if self._old_log_probs is not None:
            at = (elements, rows) if self.mode == "all" else (rows,)
            samples = samples._replace(old_log_prob=self._old_log_probs[at].to(samples.old_log_prob.device))
        return samples

    def _turned_samples(self, rows: NDArray[np.intp], elements: NDArray[np.intp]) -> Any:
        assert self._elements is not None  # _begin has set it
        which = None if self._which is None else torch.as_tensor(self._which[rows])
        return turned(self.orbit, super()._get_samples(rows), self._elements[elements], which)

    def _begin(self) -> None:
        """Sample the elements of a rollout before its first minibatch, while the policy is still the one that acted."""
        n = self.buffer_size * self.n_envs
        if self.mode == "all":
            self._elements = self.orbit.group.elements()
        else:
            self._elements = self.orbit.draw(n)
            if self.probability < 1.0:
                self._which = np.random.random(n) < self.probability
        if self.log_prob == "recompute":
            rows = np.arange(n)
            if self.mode == "all":
                copies = [np.full(n, i) for i in range(len(self._elements.R))]
                self._old_log_probs = torch.stack([self._evaluate(rows, copy) for copy in copies])
            else:
                self._old_log_probs = self._evaluate(rows, rows)

    @torch.no_grad()
    def _evaluate(self, rows: NDArray[np.intp], elements: NDArray[np.intp]) -> torch.Tensor:
        policy = self._policy
        if policy is None:
            raise RuntimeError(
                "log_prob='recompute' evaluates the policy, which a rollout buffer does not know; "
                "write model.rollout_buffer.bind(model.policy) before learn()"
            )
        training = policy.training
        policy.set_training_mode(False)  # as in the rollout
        log_probs = []
        for start in range(0, len(rows), _CHUNK):
            part = slice(start, start + _CHUNK)
            samples = self._turned_samples(rows[part], elements[part])
            log_probs.append(policy.evaluate_actions(samples.observations, samples.actions)[1])
        policy.set_training_mode(training)
        return torch.cat(log_probs)


class SymmetricDictRolloutBuffer(SymmetricRolloutBuffer, DictRolloutBuffer):
    """:class:`SymmetricRolloutBuffer` for ``Dict`` observations."""


@torch.no_grad()
def first_ratios(model: PPO) -> NDArray[np.float32]:
    """Importance ratios at the start of the next update, before any gradient step.

    Args:
        model: a PPO model whose rollout buffer is full, as in a callback's ``on_rollout_end``.

    Returns:
        ``pi(a | s) / pi_old`` of every sample, shape ``(n,)``. All are one for SB3's buffer, and for an augmented one
        if the policy is equivariant. PPO clips those outside ``1 +- clip_range`` before it has learnt anything.
    """
    training = model.policy.training
    model.policy.set_training_mode(False)
    ratios = []
    for samples in model.rollout_buffer.get(_CHUNK):
        log_prob = model.policy.evaluate_actions(samples.observations, samples.actions)[1]
        ratios.append((log_prob - samples.old_log_prob).exp())
    model.policy.set_training_mode(training)
    return torch.cat(ratios).cpu().numpy()


def _check_kind(buffer: RolloutBuffer, space: gymnasium.Space[Any]) -> None:
    given, needed = isinstance(buffer, DictRolloutBuffer), isinstance(space, spaces.Dict)
    if given != needed:
        fitting = "SymmetricDictRolloutBuffer" if needed else "SymmetricRolloutBuffer"
        raise ValueError(
            f"{type(buffer).__name__} does not fit observations of a {type(space).__name__}; use {fitting}"
        )
