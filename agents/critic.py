"""Invariant Q-functions of features and action, for SAC and TD3."""

from __future__ import annotations

from typing import Any

import gymnasium
import torch
from gymnasium import spaces
from stable_baselines3.common.policies import BaseModel
from stable_baselines3.common.type_aliases import PyTorchObs
from torch import Tensor

from eqrl.agents.actions import ActionGeometry
from eqrl.agents.features import TypedFeatures
from eqrl.agents.networks import Networks
from eqrl.nn import Ensemble, cleared, constants
from eqrl.symmetry import scalars


class EquivariantCritic(BaseModel):
    """Several invariant Q-functions, ``Q(g s, g a) = Q(s, a)``.

    The action enters each backbone as part of its input representation, in units of its bounds. A vector action that
    reaches out of its ball is shortened first, as the environment does: SB3's TD3 clamps its target noise component by
    component, and the corner of the cube must not be worth more than the point of the ball that it becomes.

    In a gradient step the critic also gathers the statistics of the observations, once per minibatch.

    Actions that the actor computed mark the actor's own loss. In a gradient step its gradient flows through the Q-functions
    to the actor and leaves none in their parameters: SB3 discards it, and it costs a third of the way back.

    Args:
        observation_space: typed observation space.
        action_space: ``TypedBox`` with finite bounds.
        networks: choice of backbones.
        features_extractor: extractor, perhaps shared with the actor.
        n_critics: number of Q-functions.
        outputs: invariants that each gives.
    """

    features_extractor: TypedFeatures

    def __init__(
        self,
        observation_space: gymnasium.Space[Any],
        action_space: spaces.Box,
        networks: Networks,
        features_extractor: TypedFeatures,
        n_critics: int = 2,
        outputs: int = 1,
    ) -> None:
        super().__init__(observation_space, action_space, features_extractor=features_extractor)
        self.geometry = ActionGeometry(action_space, networks.widest_group, unit=True)
        self.padding = networks.action_padding(action_space, unit=True)
        in_rep, out_rep = networks.observation_and_action, scalars("q", outputs, networks.observation.group)
        self.q_networks = []
        for i in range(n_critics):
            q_network = networks.critic(in_rep, out_rep)
            self.add_module(f"qf{i}", q_network)
            self.q_networks.append(q_network)
        self.ensemble = Ensemble(self.q_networks)

    def forward(self, obs: PyTorchObs, actions: Tensor) -> tuple[Tensor, ...]:
        """Values of all Q-functions, each of shape ``(B, outputs)``.

        Args:
            obs: batch of observations.
            actions: actions in units of their bounds, shape ``(B, action_dim)``.
        """
        return self.values(obs, actions).unbind(0)

    def values(self, obs: PyTorchObs, actions: Tensor) -> Tensor:
        """The same as one tensor, shape ``(n_critics, B, outputs)``."""
        of_actor = self._is_actors_loss(actions)
        features = self.features_extractor(obs) if of_actor else features_in_step(self, obs)
        return self.ensemble(self._input(features, actions), constant=of_actor)

    def q1_forward(self, obs: PyTorchObs, actions: Tensor) -> Tensor:
        """Value of the first Q-function alone, shape ``(B, 1)``."""
        x = self._input(self.features_extractor(obs), actions)
        with constants(self.q_networks[:1] if self._is_actors_loss(actions) else []):
            value: Tensor = self.q_networks[0](x)
        return value

    def _is_actors_loss(self, actions: Tensor) -> bool:
        return self.training and actions.grad_fn is not None

    def _input(self, features: Tensor, actions: Tensor) -> Tensor:
        if self.padding is not None:
            # where TD3 adds noise to its targets, for instance
            actions = cleared(actions, self.padding.valid(features))
        return torch.cat([features, self.geometry.project(actions)], dim=-1)


def features_in_step(model: BaseModel, obs: PyTorchObs) -> Tensor:
    """Features of a minibatch, whose statistics take effect at once if this is a gradient step.

    Target networks are always in evaluation mode and get their statistics copied by SB3.
    """
    extractor = model.features_extractor
    assert isinstance(extractor, TypedFeatures)
    if model.training and torch.is_grad_enabled():
        return extractor.observe_minibatch(obs)
    features: Tensor = extractor(obs)
    return features
