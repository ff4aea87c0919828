"""Mirror loss: a term in the loss pulls an ordinary network towards equivariance (Yu et al., 2018).

``coef * mean || mean(g s) - g mean(s) ||^2`` is added to the loss of SB3's algorithms. Their ``train()`` computes the
loss in one piece and has no hook for additional terms. The term is therefore attached to a tensor from which the loss
is computed, by an identity whose backward pass also starts the gradient of the term. Gradient clipping and the
optimiser then see the sum, no code of SB3 is copied, and SB3's classes stay unchanged.

The loss measures a policy by the map that it is trained with. With a wrong map, the loss still goes to zero;
``eqrl.proof.measure_behaviour`` measures equivariance in the world instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from stable_baselines3 import PPO, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.type_aliases import GymEnv
from torch import Tensor
from torch.nn.functional import mse_loss

from eqrl.agents.networks import GroupChoice
from eqrl.agents.orbit import Orbit
from eqrl.agents.rewriting import refuse_rewritten
from eqrl.symmetry import Element

Function = Callable[..., Any]


class MirrorLoss(BaseAlgorithm):
    """Mixin for algorithms with a mirror loss. It precedes SB3's class, or a similar one such as TQC, among the bases.

    For a finite group, the loss is a mean over its generators. For a continuous group, each observation is compared
    with its image under a random element. The cost is one more pass of the actor for each generator.
    ``train/mirror_loss`` logs the term without its weight; SB3's ``train/loss`` does not contain it.

    Args:
        args: arguments of SB3's class.
        mirror_coef: weight of the loss of the policy. Actions are in the algorithm's units (PPO: those of the
            environment, SAC and TD3: those of the bounds), and the square is a mean over entries.
        mirror_value_coef: weight of the loss of the value, ``(V(g s) - V(s))^2``, or of the Q-functions.
        mirror_group: a subgroup of the environment's group, by name or as a ``Group``; None means the whole group.
        kwargs: arguments of SB3's class.

    Raises:
        UntypedSpaceError: if a space is not typed.
        BreaksSymmetryError: if observations are normalised outside the policy, or the group does not keep the box of
            actions.
        ValueError: for a negative weight, or a group that the environment does not declare.
    """

    def __init__(
        self,
        *args: Any,
        mirror_coef: float = 1.0,
        mirror_value_coef: float = 0.0,
        mirror_group: GroupChoice | None = None,
        **kwargs: Any,
    ) -> None:
        for name, value in (("mirror_coef", mirror_coef), ("mirror_value_coef", mirror_value_coef)):
            if not value >= 0.0:
                raise ValueError(f"{name}={value} is not a weight; give a number of at least 0")
        self.mirror_coef = mirror_coef
        self.mirror_value_coef = mirror_value_coef
        self.mirror_group = mirror_group
        super().__init__(*args, **kwargs)

    def _setup_model(self) -> None:
        super()._setup_model()  # type: ignore[safe-super]
        if self.env is not None:
            refuse_rewritten(self.env)
        self._orbit = Orbit(self.observation_space, self.action_space, self.mirror_group)

    def set_env(self, env: GymEnv, force_reset: bool = True) -> None:
        """Continue in another environment.

        Raises:
            BreaksSymmetryError: if its observations or actions no longer turn as their space says.
        """
        wrapped = self._wrap_env(env, self.verbose)
        refuse_rewritten(wrapped)
        super().set_env(wrapped, force_reset)

    def train(self, *args: Any, **kwargs: Any) -> None:
        """SB3's ``train``, with the mirror loss as a term of its loss."""
        losses: dict[str, list[Tensor]] = {"mirror_loss": [], "mirror_value_loss": []}
        with ExitStack() as stack:
            for owner, method, wrapper in self._carriers(losses):
                stack.enter_context(_replaced(owner, method, wrapper))
            super().train(*args, **kwargs)  # type: ignore[misc]
        for name, values in losses.items():
            if values:
                self.logger.record(f"train/{name}", float(torch.stack(values).mean()))

    def _carriers(self, losses: dict[str, list[Tensor]]) -> Iterator[tuple[Any, str, Callable[[Function], Function]]]:
        """(object, method, wrapper) for every method whose results carry the term into SB3's loss."""
        raise NotImplementedError

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "_orbit"]

    def _images(self, n: int) -> list[Element]:
        """The elements by which ``n`` observations are transformed for the comparison."""
        group = self._orbit.group
        return [g for _, g in group.generators] if group.order is not None else [self._orbit.draw(n)]

    def _policy_loss(self, mean: Function, observations: Any) -> Tensor:
        """``|| mean(g s) - g mean(s) ||^2``, a mean over entries, observations and elements."""
        images = self._images(_length(observations))
        turned = [self._orbit.observations(observations, g) for g in images]
        here, *there = mean(_joined([observations, *turned])).chunk(1 + len(images))
        losses = [
            _mean_square(a, self._orbit.actions(here, g), self._orbit.valid(x))
            for a, g, x in zip(there, images, turned, strict=True)
        ]
        return torch.stack(losses).mean()

    def _value_loss(self, value: Function, observations: Any, actions: Tensor | None = None) -> Tensor:
        """``(V(g s) - V(s))^2``, or with actions ``(Q(g s, g a) - Q(s, a))^2``."""
        images = self._images(_length(observations))
        inputs = [_joined([observations, *(self._orbit.observations(observations, g) for g in images)])]
        if actions is not None:
            inputs.append(torch.cat([actions, *(self._orbit.actions(actions, g) for g in images)]))
        values = value(*inputs)
        values = torch.cat(values, dim=-1) if isinstance(values, tuple) else values
        here, *there = values.chunk(1 + len(images))
        return torch.stack([mse_loss(v, here) for v in there]).mean()


class MirrorLossPPO(MirrorLoss, PPO):
    """``MirrorLossPPO("MlpPolicy", env, mirror_coef=1.0)``: PPO with a mirror loss, see :class:`MirrorLoss`."""

    def _carriers(self, losses: dict[str, list[Tensor]]) -> Iterator[tuple[Any, str, Callable[[Function], Function]]]:
        def wrapper(original: Function) -> Function:
            def evaluate_actions(observations: Any, actions: Tensor) -> Any:
                values, log_prob, entropy = original(observations, actions)
                if torch.is_grad_enabled():
                    term = self._policy_loss(lambda x: self.policy.get_distribution(x).mode(), observations)
                    losses["mirror_loss"].append(term.detach())
                    log_prob = _carry(log_prob, self.mirror_coef * term)
                    if self.mirror_value_coef:
                        term = self._value_loss(self.policy.predict_values, observations)
                        losses["mirror_value_loss"].append(term.detach())
                        values = _carry(values, self.mirror_value_coef * term)
                return values, log_prob, entropy

            return evaluate_actions

        yield self.policy, "evaluate_actions", wrapper


class OffPolicyMirrorLoss(MirrorLoss):
    """Mirror loss for algorithms with an actor and Q-functions; mixed in before SAC, TQC, TD3 or DDPG."""

    actor: Any
    critic: Any

    def _carriers(self, losses: dict[str, list[Tensor]]) -> Iterator[tuple[Any, str, Callable[[Function], Function]]]:
        def of_sac(original: Function) -> Function:
            def action_log_prob(observations: Any) -> Any:
                actions, log_prob = original(observations)
                if torch.is_grad_enabled():
                    term = self._policy_loss(lambda x: self.actor(x, True), observations)
                    losses["mirror_loss"].append(term.detach())
                    log_prob = _carry(log_prob, self.mirror_coef * term)
                return actions, log_prob

            return action_log_prob

        def of_td3(original: Function) -> Function:
            def forward(observations: Any) -> Any:
                actions = original(observations)
                if torch.is_grad_enabled():
                    term = self._policy_loss(original, observations)
                    losses["mirror_loss"].append(term.detach())
                    actions = _carry(actions, self.mirror_coef * term)
                return actions

            return forward

        def of_critic(original: Function) -> Function:
            def forward(observations: Any, actions: Tensor) -> Any:
                values = original(observations, actions)
                # actions from the replay buffer carry no gradient, which marks the critic's update
                if torch.is_grad_enabled() and not actions.requires_grad:
                    term = self._value_loss(original, observations, actions)
                    losses["mirror_value_loss"].append(term.detach())
                    term = self.mirror_value_coef * term
                    if isinstance(values, tuple):
                        return (_carry(values[0], term), *values[1:])
                    return _carry(values, term)
                return values

            return forward

        if hasattr(self.actor, "action_log_prob"):
            yield self.actor, "action_log_prob", of_sac
        else:
            yield self.actor, "forward", of_td3
        if self.mirror_value_coef:
            yield self.critic, "forward", of_critic


class MirrorLossSAC(OffPolicyMirrorLoss, SAC):
    """``MirrorLossSAC("MlpPolicy", env, mirror_coef=1.0)``: SAC with a mirror loss, see :class:`MirrorLoss`."""


class MirrorLossTD3(OffPolicyMirrorLoss, TD3):
    """``MirrorLossTD3("MlpPolicy", env, mirror_coef=1.0)``: TD3 with a mirror loss, see :class:`MirrorLoss`."""


class _Carrier(torch.autograd.Function):
    """The identity, whose backward pass also starts that of a loss."""

    @staticmethod
    def forward(ctx: Any, carrier: Tensor, loss: Tensor) -> Tensor:
        return carrier.view_as(carrier)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        return grad, grad.new_ones(())


def _carry(carrier: Tensor, loss: Tensor) -> Tensor:
    carried: Tensor = _Carrier.apply(carrier, loss)  # type: ignore[no-untyped-call]
    return carried


@contextmanager
def _replaced(owner: Any, method: str, wrapper: Callable[[Function], Function]) -> Iterator[None]:
    """Replace a method of one object temporarily."""
    instance_attribute = vars(owner).get(method)  # usually None, because methods belong to the class
    setattr(owner, method, wrapper(getattr(owner, method)))
    try:
        yield
    finally:
        if instance_attribute is None:
            delattr(owner, method)
        else:
            setattr(owner, method, instance_attribute)


def _mean_square(a: Tensor, b: Tensor, valid: Tensor | None) -> Tensor:
    """Mean square difference of the entries that are not padding."""
    return mse_loss(a, b) if valid is None else mse_loss(a[valid], b[valid])


def _length(observations: Any) -> int:
    return len(next(iter(observations.values())) if isinstance(observations, dict) else observations)


def _joined(batches: list[Any]) -> Any:
    if isinstance(batches[0], dict):
        return {key: torch.cat([batch[key] for batch in batches]) for key in batches[0]}
    return torch.cat(batches)
