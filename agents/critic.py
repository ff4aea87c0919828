"""Invariant Q-functions of features and actions, for SAC and TD3."""

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

    The action is part of the input representation of each backbone, in units of its bounds. A vector action that
    reaches out of its ball is shortened first, as in the environment. SB3's TD3 clamps its target noise component by
    component, and an action in the corner of the cube must have the value of the point of the ball that it becomes.

    In a gradient step, the critic also collects the statistics of the observations, once for each minibatch.

    Actions with a gradient come from the actor, so the Q-values belong to the actor's loss. Its gradient then flows
    through the Q-functions to the actor, but their parameters get none: SB3 would discard it, and it takes a third of
    the time of the backward pass.

    Args:
        observation_space: typed observation space.
        action_space: ``TypedBox`` with finite bounds.
        networks: choice of backbones.
        features_extractor: extractor, perhaps shared with the actor.
        n_critics: number of Q-functions.
        outputs: number of invariants that each Q-function returns.
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
        """Values of all Q-functions as one tensor, shape ``(n_critics, B, outputs)``."""
        in_actor_loss = self._in_actor_loss(actions)
        features = self.features_extractor(obs) if in_actor_loss else features_in_step(self, obs)
        return self.ensemble(self.inputs(features, actions), constant=in_actor_loss)

    def q1_forward(self, obs: PyTorchObs, actions: Tensor) -> Tensor:
        """Value of the first Q-function alone, shape ``(B, 1)``."""
        x = self.inputs(self.features_extractor(obs), actions)
        with constants(self.q_networks[:1] if self._in_actor_loss(actions) else []):
            value: Tensor = self.q_networks[0](x)
        return value

    def _in_actor_loss(self, actions: Tensor) -> bool:
        return self.training and actions.grad_fn is not None

    def inputs(self, features: Tensor, actions: Tensor) -> Tensor:
        """Inputs of the Q-networks, for features and actions in units of their bounds, shape ``(B, in_rep.dim)``."""
        if self.padding is not None:
            # padded entries may be nonzero, for instance after TD3 has added noise to its target actions
            actions = cleared(actions, self.padding.valid(features))
        return torch.cat([features, self.geometry.project(actions)], dim=-1)


def features_in_step(model: BaseModel, obs: PyTorchObs) -> Tensor:
    """Features of a minibatch. In a gradient step, its statistics are collected and take effect at once.

    Target networks are always in evaluation mode; SB3 copies the statistics to them.
    """
    extractor = model.features_extractor
    assert isinstance(extractor, TypedFeatures)
    if model.training and torch.is_grad_enabled():
        return extractor.observe_minibatch(obs)
    features: Tensor = extractor(obs)
    return features
