"""SB3's algorithms with priors: ``train`` is SB3's, and the terms of the priors ride on the tensors of its loss."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any

import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.type_aliases import GymEnv
from torch import Tensor

from eqrl.agents.rewriting import refuse_rewritten
from eqrl.agents.soft.carrier import Function, carry, replaced
from eqrl.agents.soft.hooks import Hooks


class WithPriors(BaseAlgorithm):
    """Mixin that precedes an algorithm of SB3 among the bases; attaching a prior to a model makes it one of these."""

    priors: tuple[Hooks, ...] = ()  # none in a model that was loaded by the class of one with priors

    def set_env(self, env: GymEnv, force_reset: bool = True) -> None:
        """Continue in another environment.

        Raises:
            BreaksSymmetryError: if its observations or actions no longer turn as their space says.
        """
        wrapped = self._wrap_env(env, self.verbose)
        refuse_rewritten(wrapped)
        super().set_env(wrapped, force_reset)

    def _setup_learn(self, *args: Any, **kwargs: Any) -> Any:
        for prior in self.priors:
            prior.before_learning()
        return super()._setup_learn(*args, **kwargs)

    def train(self, *args: Any, **kwargs: Any) -> None:
        """SB3's ``train``, with the terms of the priors in its loss."""
        for prior in self.priors:
            prior.before_update()
        with ExitStack() as stack:
            for context in _hooks(self):
                stack.enter_context(context)
            super().train(*args, **kwargs)  # type: ignore[misc]
        for prior in self.priors:
            prior.after_update()

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "priors"]


def priors_of(model: BaseAlgorithm) -> tuple[Hooks, ...]:
    """The priors that are attached to a model, in the order in which they were attached."""
    return model.priors if isinstance(model, WithPriors) else ()


def add_prior(model: BaseAlgorithm, prior: Hooks) -> None:
    """Make a model one with priors, if it is not yet, and add one."""
    if not isinstance(model, WithPriors):
        model.__class__ = _with_priors(type(model))
        assert isinstance(model, WithPriors)
    model.priors = (*model.priors, prior)


@cache
def _with_priors(algorithm: type[BaseAlgorithm]) -> type[BaseAlgorithm]:
    """A subclass of the same name, so that messages and files keep naming the algorithm that the user chose."""
    return type(algorithm.__name__, (WithPriors, algorithm), {"__module__": algorithm.__module__})


def _hooks(model: WithPriors) -> Iterator[Any]:
    """Contexts in which the terms of the priors reach SB3's loss."""
    policy: Any = model.policy
    if isinstance(model, OnPolicyAlgorithm):
        yield replaced(policy, "evaluate_actions", _of_ppo(model.priors, policy))
        yield replaced(model.rollout_buffer, "_get_samples", _samples(model.priors))
        optimizers = [policy.optimizer]
    else:
        if hasattr(policy.actor, "action_log_prob"):
            yield replaced(policy.actor, "action_log_prob", _of_sac_actor(model.priors, policy.actor))
        else:
            yield replaced(policy.actor, "forward", _of_td3_actor(model.priors))
        yield replaced(policy.critic, "forward", _of_critic(model.priors))
        yield replaced(model.replay_buffer, "sample", _samples(model.priors))  # type: ignore[attr-defined]
        optimizers = [policy.actor.optimizer, policy.critic.optimizer]
    for optimizer in optimizers:
        yield _after_steps(optimizer, model.priors)
    for prior in model.priors:
        yield from prior.contexts()


def _of_ppo(priors: Sequence[Hooks], policy: Any) -> Any:
    def wrapper(original: Function) -> Function:
        def evaluate_actions(observations: Any, actions: Tensor) -> Any:
            values, log_prob, entropy = original(observations, actions)
            if torch.is_grad_enabled():
                mean = lambda x: policy.get_distribution(x).mode()  # noqa: E731
                log_prob = carry(log_prob, _sum(p.policy_term(mean, observations) for p in priors))
                values = carry(values, _sum(p.value_term(policy.predict_values, observations) for p in priors))
            return values, log_prob, entropy

        return evaluate_actions

    return wrapper


def _of_sac_actor(priors: Sequence[Hooks], actor: Any) -> Any:
    def wrapper(original: Function) -> Function:
        def action_log_prob(observations: Any) -> Any:
            actions, log_prob = original(observations)
            if torch.is_grad_enabled():
                mean = lambda x: actor(x, True)  # noqa: E731
                log_prob = carry(log_prob, _sum(p.policy_term(mean, observations) for p in priors))
            return actions, log_prob

        return action_log_prob

    return wrapper


def _of_td3_actor(priors: Sequence[Hooks]) -> Any:
    def wrapper(original: Function) -> Function:
        def forward(observations: Any) -> Any:
            actions = original(observations)
            if torch.is_grad_enabled():
                actions = carry(actions, _sum(p.policy_term(original, observations) for p in priors))
            return actions

        return forward

    return wrapper


def _of_critic(priors: Sequence[Hooks]) -> Any:
    def wrapper(original: Function) -> Function:
        def forward(observations: Any, actions: Tensor) -> Any:
            values = original(observations, actions)
            # actions from the replay buffer carry no gradient, which marks the critic's update
            if torch.is_grad_enabled() and not actions.requires_grad:
                term = _sum(p.value_term(original, observations, actions) for p in priors)
                return (carry(values[0], term), *values[1:]) if isinstance(values, tuple) else carry(values, term)
            return values

        return forward

    return wrapper


def _samples(priors: Sequence[Hooks]) -> Any:
    def wrapper(original: Function) -> Function:
        def sample(*args: Any, **kwargs: Any) -> Any:
            samples = drawn = original(*args, **kwargs)
            for prior in priors:
                samples = prior.samples(samples)
            for prior in priors:
                prior.see(drawn, samples)
            return samples

        return sample

    return wrapper


@contextmanager
def _after_steps(optimizer: torch.optim.Optimizer, priors: Sequence[Hooks]) -> Iterator[None]:
    def after(optimizer: torch.optim.Optimizer, *_: Any) -> None:
        for prior in priors:
            prior.after_step(optimizer)

    handle = optimizer.register_step_post_hook(after)
    try:
        yield
    finally:
        handle.remove()


def _sum(terms: Iterable[Tensor | None]) -> Tensor | None:
    given = [term for term in terms if term is not None]
    return torch.stack(given).sum() if given else None
