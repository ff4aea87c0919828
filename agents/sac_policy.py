"""The policy for SAC: an equivariant actor with invariant widths, and invariant twin Q-functions."""

from __future__ import annotations

from typing import Any

import gymnasium
import torch
from gymnasium import spaces
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import PyTorchObs, Schedule
from stable_baselines3.sac.policies import LOG_STD_MAX, LOG_STD_MIN, SACPolicy
from torch import Tensor

from eqrl.agents.actions import ActionGeometry
from eqrl.agents.algorithm import calling_algorithm
from eqrl.agents.critic import features_in_step
from eqrl.agents.distributions import EquivariantGaussian
from eqrl.agents.entropy_target import EntropyTarget
from eqrl.agents.errors import refuse_sde
from eqrl.agents.features import TypedFeatures
from eqrl.agents.networks import Networks
from eqrl.agents.symmetric_policy import OffPolicyMixin
from eqrl.symmetry import Field, Representation


class EquivariantSACActor(BasePolicy):
    """SAC's actor: one backbone returns the mean and, as invariants, one log-width for each orbit of the action.

    Args:
        observation_space: typed observation space.
        action_space: ``TypedBox`` with finite bounds.
        networks: choice of backbones.
        features_extractor: extractor, perhaps shared with the critic.
        log_std_init: initial log-width.
    """

    def __init__(
        self,
        observation_space: gymnasium.Space[Any],
        action_space: spaces.Box,
        networks: Networks,
        features_extractor: TypedFeatures,
        log_std_init: float,
    ) -> None:
        super().__init__(observation_space, action_space, features_extractor=features_extractor, squash_output=True)
        self.geometry = ActionGeometry(action_space, networks.widest_group, unit=True)
        self.action_dist = EquivariantGaussian(self.geometry, networks.actor_group)
        self.log_std_init = log_std_init
        self.padding = networks.action_padding(action_space, unit=True)
        self.entropy_target = None if self.padding is None else EntropyTarget(self.geometry.dim)
        widths = Field("log_std", f"{self.action_dist.orbits}x0e")
        action = networks.action
        self.backbone = networks.actor(
            Representation((*action.fields, widths), action.entities, action.group), gain=0.1
        )

    def forward(self, obs: PyTorchObs, deterministic: bool = False) -> Tensor:
        """Actions in units of their bounds, shape ``(B, action_dim)``."""
        mean, log_std, padding = self.get_action_dist_params(obs)
        return self.action_dist.actions_from_params(mean, log_std, deterministic=deterministic, **padding)

    def action_log_prob(self, obs: PyTorchObs) -> tuple[Tensor, Tensor]:
        """Reparameterised actions ``(B, action_dim)`` and their log-probabilities ``(B,)``."""
        features = features_in_step(self, obs)
        padding = self._padding_of(features)
        if self.entropy_target is not None and self.training and torch.is_grad_enabled():
            self.entropy_target.set(calling_algorithm(self), padding["valid"])
        return self.action_dist.log_prob_from_params(*self._parameters_of(features), **padding)

    def get_action_dist_params(self, obs: PyTorchObs) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Means ``(B, action_dim)`` before squashing, log-widths ``(B, orbits)``, and as ``valid`` the real entries."""
        features: Tensor = self.features_extractor(obs)
        return *self._parameters_of(features), self._padding_of(features)

    def _padding_of(self, features: Tensor) -> dict[str, Tensor]:
        return {} if self.padding is None else {"valid": self.padding.valid(features)}

    def _parameters_of(self, features: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_std = self.backbone(features).split([self.geometry.dim, self.action_dist.orbits], dim=-1)
        return mean, (log_std + self.log_std_init).clamp(LOG_STD_MIN, LOG_STD_MAX)

    def _predict(self, observation: PyTorchObs, deterministic: bool = False) -> Tensor:
        actions: Tensor = self(observation, deterministic)
        return actions


class EquivariantSACPolicy(OffPolicyMixin, SACPolicy):  # type: ignore[misc]  # its features are typed
    """Drop-in policy: ``SAC(EquivariantSACPolicy, env)``, also with ``HerReplayBuffer``.

    ``mode(g s) = g mode(s)``, ``log_prob(g a | g s) = log_prob(a | s)`` and ``Q(g s, g a) = Q(s, a)`` hold for every g
    in
    ``policy.group`` and all weights. SAC's ``target_entropy="auto"`` is minus the number of action entries, a value
    meant for a cube. A ball is smaller, so the same randomness corresponds to a somewhat lower target. Where slots of
    the action are padded, the target of each sample is the share of its real entries.

    Statistics of the observations are collected from the minibatches of gradient steps.

    Args:
        observation_space: ``TypedBox``, or ``Dict`` of them.
        action_space: ``TypedBox`` with finite bounds.
        lr_schedule: learning rate as a function of the remaining progress.
        network: backbone of the actor, a name in ``eqrl.nn.BACKBONES``.
        network_kwargs: options of the actor's backbone, such as ``{"hidden": (256, 256)}``.
        critic_network: backbone of the Q-functions, by default the actor's.
        critic_kwargs: options of the critic's backbone, by default the actor's if the backbone is the same.
        group: ``"auto"`` for the largest group that the backbones honour cheaply, ``"full"`` for the whole group of the
            environment, or a subgroup of it.
        normalize: whether to normalise observations inside the policy.
        normalize_until: number of samples after which the statistics are frozen; None means never.
        relative_goal: whether to replace the desired goal of a dict by its difference from the achieved one.
        log_std_init: initial log-width of exploration, before squashing.
        n_critics: number of Q-functions.
        share_features_extractor: whether actor and critic share the normaliser.
        use_sde: refused.
        optimizer_class: class of the optimizer.
        optimizer_kwargs: arguments of the optimizer other than the learning rate.
        options: options of SB3's policies: ``net_arch`` and ``activation_fn`` become the backbones' ``hidden`` and
            ``activation``; options without a meaning here are refused, with the fix.

    Raises:
        UntypedSpaceError: if a space is not typed.
        BreaksSymmetryError: for ``use_sde``, an action box that the group does not map to itself, or unequal groups.
        ValueError: for an unknown backbone or group, or a group that the environment does not declare.
    """

    action_space: spaces.Box  # SB3's annotation is wider

    def __init__(
        self,
        observation_space: gymnasium.Space[Any],
        action_space: spaces.Box,
        lr_schedule: Schedule,
        *,
        log_std_init: float = 0.0,
        use_sde: bool = False,
        **options: Any,
    ) -> None:
        refuse_sde(use_sde)
        self._constructor_options = {"log_std_init": log_std_init}
        super().__init__(observation_space, action_space, lr_schedule, **options)

    def _stock_arguments(self) -> dict[str, Any]:
        return {**super()._stock_arguments(), "log_std_init": self._constructor_options["log_std_init"]}

    def make_actor(self, features_extractor: TypedFeatures | None = None) -> EquivariantSACActor:  # type: ignore[override]
        """Create the actor; called by the base class."""
        return EquivariantSACActor(
            self.observation_space,
            self.action_space,
            self.networks,
            features_extractor or self._make_extractor(),
            log_std_init=self._constructor_options["log_std_init"],
        ).to(self.device)
