"""The policy for PPO (and A2C): an equivariant actor and an invariant value."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gymnasium
import torch
from gymnasium import spaces
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.type_aliases import PyTorchObs, Schedule
from torch import Tensor

from eqrl.agents.actions import ActionGeometry
from eqrl.agents.distributions import EquivariantGaussian
from eqrl.agents.errors import refuse_sde
from eqrl.agents.features import TypedFeatures
from eqrl.agents.symmetric_policy import SymmetricPolicy
from eqrl.nn import Backbone
from eqrl.symmetry import scalars

# a small last layer makes the first actions nearly independent of the observation (Andrychowicz et al., 2021)
_ACTION_GAIN = 0.01


class EquivariantPolicy(SymmetricPolicy, ActorCriticPolicy):
    """Drop-in policy: ``PPO(EquivariantPolicy, env)``, for typed box and dict observations.

    ``mode(g s) = g mode(s)``, ``log_prob(g a | g s) = log_prob(a | s)`` and ``V(g s) = V(s)`` hold for every g in
    ``policy.group`` and all weights, including normalisation, squashing and clipping.

    Statistics of the observations are collected in a rollout and take effect at the start of the next one, so that
    the log-probabilities of a rollout and of its training agree. ``predict`` never changes them.

    Args:
        observation_space: ``TypedBox``, or ``Dict`` of them.
        action_space: ``TypedBox``.
        lr_schedule: learning rate as a function of the remaining progress.
        network: backbone of the actor, a name in ``eqrl.nn.BACKBONES``.
        network_kwargs: options of the actor's backbone, such as ``{"hidden": (128, 128)}``.
        critic_network: backbone of the value, by default the actor's.
        critic_kwargs: options of the critic's backbone, by default the actor's if the backbone is the same.
        share_network: whether one backbone serves actor and value, which halves the cost of an expensive network. Both
            losses then train it, so that ``vf_coef`` and the scale of the rewards matter.
        group: ``"auto"`` for the largest group that the backbones honour cheaply, ``"full"`` for the whole group of the
            environment, or a subgroup of it.
        normalize: whether to normalise observations inside the policy.
        normalize_until: number of samples after which the statistics are frozen; None means never.
        relative_goal: whether to replace the desired goal of a dict by its difference from the achieved one.
        log_std_init: initial log-width of exploration, before squashing.
        share_features_extractor: whether actor and value share the normaliser.
        use_sde: refused.
        optimizer_class: class of the optimizer.
        optimizer_kwargs: arguments of the optimizer other than the learning rate.
        options: options of SB3's policies: ``net_arch`` and ``activation_fn`` become the backbones' ``hidden`` and
            ``activation``; options without a meaning here are refused, with the fix.

    Raises:
        UntypedSpaceError: if a space is not typed.
        BreaksSymmetryError: for ``use_sde``, an action box that the group does not map to itself, or unequal groups.
        ValueError: for an unknown backbone or group, or a group that the environment does not declare; for
            ``share_network`` with options of a separate critic.
    """

    critic_in_net_arch = "vf"
    action_net: Backbone
    value_net: Backbone | None  # type: ignore[assignment]

    def __init__(
        self,
        observation_space: gymnasium.Space[Any],
        action_space: gymnasium.Space[Any],
        lr_schedule: Schedule,
        *,
        log_std_init: float = 0.0,
        share_network: bool = False,
        use_sde: bool = False,
        **options: Any,
    ) -> None:
        refuse_sde(use_sde)
        self._constructor_options = {"log_std_init": log_std_init, "share_network": share_network}
        self._new_cycle = True
        super().__init__(observation_space, action_space, lr_schedule, **options)

    def _stock_arguments(self) -> dict[str, Any]:
        return {"ortho_init": False, "log_std_init": self._constructor_options["log_std_init"]}

    def _build(self, lr_schedule: Schedule) -> None:
        """Create networks and optimizer; called by the base class."""
        self.geometry = ActionGeometry(self.action_space, self.networks.widest_group, unit=False)
        distribution = EquivariantGaussian(self.geometry, self.networks.actor_group)
        self.action_dist = distribution
        assert isinstance(self.action_space, spaces.Box)
        self.action_padding = self.networks.action_padding(self.action_space, unit=False)
        self.log_std = distribution.proba_distribution_net(self.log_std_init)
        self._build_networks()
        self._choose_kernel()
        self.optimizer = self.optimizer_class(self.parameters(), lr=lr_schedule(1), **self.optimizer_kwargs)  # type: ignore[call-arg]

    def _build_networks(self) -> None:
        if not self._constructor_options["share_network"]:
            self.action_net = self.networks.actor(self.networks.action, _ACTION_GAIN)
            value = scalars("value", 1, self.networks.observation.group)
            self.value_net = self.networks.critic(self.networks.observation, value)
            return
        if not self.share_features_extractor:
            raise ValueError(
                "share_network=True uses one network for actor and value, which reads one observation; leave out"
                " share_features_extractor=False, or leave out share_network"
            )
        self.networks = replace(self.networks, shared=True)
        self.action_net = self.networks.actor_and_value(_ACTION_GAIN)
        self.value_net = None

    def forward(self, obs: PyTorchObs, deterministic: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        """Act in a rollout.

        Args:
            obs: batch of observations.
            deterministic: whether to return the mode.

        Returns:
            Actions ``(B, action_dim)``, values ``(B, 1)`` and log-probabilities ``(B,)``.
        """
        if self.training or torch.is_grad_enabled():
            pi, vf = self._features(obs)
        else:
            pi, vf = self._observe(obs)
        distribution, values = self._evaluated(pi, vf)
        actions = distribution.get_actions(deterministic=deterministic)
        # computed from the action and not from the noise, because training inverts the squash in the same way
        return actions, values, distribution.log_prob(actions)

    def set_training_mode(self, mode: bool) -> None:
        """Switch between training and acting; training ends a cycle of the statistics."""
        super().set_training_mode(mode)
        self._new_cycle = self._new_cycle or mode

    def evaluate_actions(self, obs: PyTorchObs, actions: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Values ``(B, 1)``, log-probabilities ``(B,)`` and entropies ``(B,)`` of given actions."""
        pi, vf = self._features(obs)
        distribution, values = self._evaluated(pi, vf)
        return values, distribution.log_prob(actions), distribution.entropy()

    def get_distribution(self, obs: PyTorchObs) -> EquivariantGaussian:
        """Distribution over actions."""
        features = self.pi_features_extractor(obs)
        return self._distribution(features, self.action_net(features))

    def predict_values(self, obs: PyTorchObs) -> Tensor:
        """Values, shape ``(B, 1)``."""
        features = self.vf_features_extractor(obs)
        if self.value_net is None:
            return self._value_of(self.action_net(features))
        values: Tensor = self.value_net(features)
        return values

    def _evaluated(self, pi: Tensor, vf: Tensor) -> tuple[EquivariantGaussian, Tensor]:
        """Distribution over actions, and values ``(B, 1)``, for the features of the actor and of the value."""
        outputs = self.action_net(pi)
        values = self._value_of(outputs) if self.value_net is None else self.value_net(vf)
        return self._distribution(pi, outputs), values

    def _value_of(self, outputs: Tensor) -> Tensor:
        """Values ``(B, 1)`` among the outputs of a shared network."""
        return outputs[:, self.geometry.dim :]

    def _distribution(self, features: Tensor, outputs: Tensor) -> EquivariantGaussian:
        """Distribution over actions, for the outputs of the actor's network or of a shared one."""
        assert isinstance(self.action_dist, EquivariantGaussian)
        means = outputs if self.value_net is not None else outputs[:, : self.geometry.dim]
        valid = None if self.action_padding is None else self.action_padding.valid(features)
        return self.action_dist.proba_distribution(self.geometry.bound(means), self.log_std, valid)

    def _features(self, obs: PyTorchObs) -> tuple[Tensor, Tensor]:
        pi = self.pi_features_extractor(obs)
        return pi, pi if self.share_features_extractor else self.vf_features_extractor(obs)

    def _observe(self, obs: PyTorchObs) -> tuple[Tensor, Tensor]:
        """Features of a batch in a rollout; the first batch after training starts a new cycle of the statistics."""
        commit, self._new_cycle = self._new_cycle, False
        pi = self._extractor("pi").observe(obs, commit)
        return pi, pi if self.share_features_extractor else self._extractor("vf").observe(obs, commit)

    def _extractor(self, part: str) -> TypedFeatures:
        extractor = self.pi_features_extractor if part == "pi" else self.vf_features_extractor
        assert isinstance(extractor, TypedFeatures)
        return extractor
