"""The policy for TD3 (and DDPG): an equivariant deterministic actor and invariant twin Q-functions."""

from __future__ import annotations

from typing import Any

import gymnasium
from gymnasium import spaces
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import PyTorchObs
from stable_baselines3.td3.policies import TD3Policy
from torch import Tensor

from eqrl.agents.actions import ActionGeometry
from eqrl.agents.critic import features_in_step
from eqrl.agents.features import TypedFeatures
from eqrl.agents.networks import Networks
from eqrl.agents.symmetric_policy import OffPolicyMixin


class EquivariantTD3Actor(BasePolicy):
    """TD3's actor: a backbone followed by the radial squash.

    Args:
        observation_space: typed observation space.
        action_space: ``TypedBox`` with finite bounds.
        networks: choice of backbones.
        features_extractor: extractor, perhaps shared with the critic.
        shared: whether the critic shares the extractor and collects its statistics.
    """

    def __init__(
        self,
        observation_space: gymnasium.Space[Any],
        action_space: spaces.Box,
        networks: Networks,
        features_extractor: TypedFeatures,
        shared: bool,
    ) -> None:
        super().__init__(observation_space, action_space, features_extractor=features_extractor, squash_output=True)
        self.geometry = ActionGeometry(action_space, networks.widest_group, unit=True)
        self.shared = shared
        self.backbone = networks.actor(networks.action, gain=0.1)

    def forward(self, obs: PyTorchObs) -> Tensor:
        """Actions in units of their bounds, shape ``(B, action_dim)``."""
        features = self.features_extractor(obs) if self.shared else features_in_step(self, obs)
        return self.geometry.squash(self.backbone(features))

    def _predict(self, observation: PyTorchObs, deterministic: bool = False) -> Tensor:
        actions: Tensor = self(observation)
        return actions


class EquivariantTD3Policy(OffPolicyMixin, TD3Policy):  # type: ignore[misc]  # its features are typed
    """Drop-in policy: ``TD3(EquivariantTD3Policy, env, action_noise=BallNoise(...))``, also with ``HerReplayBuffer``.

    ``pi(g s) = g pi(s)`` and ``Q(g s, g a) = Q(s, a)`` hold for every g in ``policy.group`` and all weights. SB3 clamps
    TD3's target noise component by component. The Q-functions shorten actions outside the ball and so stay invariant,
    but the clamped noise itself is isotropic only up to the corners of the clamp.

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
        n_critics: number of Q-functions.
        share_features_extractor: whether actor and critic share the normaliser.
        optimizer_class: class of the optimizer.
        optimizer_kwargs: arguments of the optimizer other than the learning rate.
        stock: options of SB3's policies: ``net_arch`` and ``activation_fn`` become the backbones' ``hidden`` and
            ``activation``; options without a meaning here are refused, with the fix.

    Raises:
        UntypedSpaceError: if a space is not typed.
        BreaksSymmetryError: for an action box that the group does not map to itself, or unequal groups.
        ValueError: for an unknown backbone or group, or a group that the environment does not declare.
    """

    action_space: spaces.Box  # SB3's annotation is wider

    def make_actor(self, features_extractor: TypedFeatures | None = None) -> EquivariantTD3Actor:  # type: ignore[override]
        """Create the actor; called by the base class."""
        return EquivariantTD3Actor(
            self.observation_space,
            self.action_space,
            self.networks,
            features_extractor or self._make_extractor(),
            shared=self.share_features_extractor,
        ).to(self.device)
