"""The targets of SB3's critics, put together from what ``train`` computes anyway."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from torch import Tensor

from eqrl.agents.soft.carrier import Function, replaced


class Targets:
    """What the values of a minibatch are fitted to: returns in PPO, temporal-difference targets in SAC and TD3.

    No network is evaluated again: the target networks and the policy are listened to while ``train`` asks them about
    the next observations. SAC's temperature is read after its own step in the same minibatch.

    Args:
        model: the algorithm.
    """

    def __init__(self, model: BaseAlgorithm) -> None:
        self._model: Any = model
        self._next_values: Tensor | None = None
        self._next_log_prob: Tensor | None = None

    def contexts(self) -> Iterator[AbstractContextManager[Any]]:
        """Contexts in which the networks are listened to."""
        if isinstance(self._model, OnPolicyAlgorithm):
            return
        policy: Any = self._model.policy
        yield replaced(policy.critic_target, "forward", self._listen_to_critic)
        if hasattr(policy.actor, "action_log_prob"):
            yield replaced(policy.actor, "action_log_prob", self._listen_to_actor)

    @torch.no_grad()
    def of(self, samples: Any) -> Tensor:
        """The targets of a minibatch, shape ``(B, 1)``."""
        if isinstance(self._model, OnPolicyAlgorithm):
            returns: Tensor = samples.returns
            return returns[:, None]
        assert self._next_values is not None  # train has asked the target networks before the critic
        values = self._next_values
        if self._next_log_prob is not None:
            values = values - self._temperature() * self._next_log_prob.reshape(-1, 1)
        discounts = self._model.gamma if samples.discounts is None else samples.discounts
        target: Tensor = samples.rewards + (1 - samples.dones) * discounts * values
        return target

    def _temperature(self) -> Any:
        model = self._model
        return model.ent_coef_tensor if model.ent_coef_optimizer is None else model.log_ent_coef.exp()

    def _listen_to_critic(self, original: Function) -> Function:
        def forward(*inputs: Any) -> Any:
            values = original(*inputs)
            self._next_values = torch.cat(values, dim=1).min(dim=1, keepdim=True).values
            return values

        return forward

    def _listen_to_actor(self, original: Function) -> Function:
        def action_log_prob(observations: Any) -> Any:
            actions, log_prob = original(observations)
            if not torch.is_grad_enabled():
                self._next_log_prob = log_prob
            return actions, log_prob

        return action_log_prob
