"""The linear layers of ordinary networks, with the representations between them.

Ordinary are SB3's ``MlpPolicy`` and ``MultiInputPolicy``, and the policies of eqrl with network ``mlp``. The latter
normalise each entry of an observation by its own statistics, and layers are compared behind that.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from functools import reduce
from operator import add
from typing import Any

from gymnasium import spaces
from stable_baselines3.common.distributions import DiagGaussianDistribution
from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy
from stable_baselines3.common.torch_layers import CombinedExtractor, FlattenExtractor, MlpExtractor
from stable_baselines3.sac.policies import SACPolicy
from stable_baselines3.td3.policies import TD3Policy
from torch import nn

from eqrl.agents.networks import Networks
from eqrl.agents.soft.candidates import generated_by
from eqrl.agents.soft.hidden import HiddenChannels, invariant, log_std_matrices, matrices, side_by_side
from eqrl.agents.soft.projection import Action, Tensors
from eqrl.agents.symmetric_policy import SymmetricPolicy
from eqrl.nn.mlp import MLP
from eqrl.symmetry import Group, Representation, representation_of

Actions = Sequence[Action]  # one action for each candidate


class PlainLayers:
    """Says how groups act around the parameters of perceptrons of plain linear layers.

    Args:
        candidates: finite groups; hidden layers carry regular representations of the group that they generate.
        observation: representation of the input.
        action: representation of the actions.
    """

    def __init__(self, candidates: Sequence[Group], observation: Representation, action: Representation) -> None:
        self._candidates = candidates
        self._hidden = HiddenChannels(generated_by(candidates))
        self.observation: Actions = [matrices(observation, c) for c in candidates]
        self.action: Actions = [matrices(action, c) for c in candidates]
        self.log_std: Actions = [log_std_matrices(action, c) for c in candidates]
        self.value: Actions = [invariant(1, c) for c in candidates]

    def perceptron(self, layers: Sequence[nn.Linear], source: Actions, target: Actions) -> list[Tensors]:
        """The parameters of consecutive layers.

        Raises:
            ValueError: if a hidden layer is too narrow.
        """
        parts = []
        for layer in layers:
            after = target if layer is layers[-1] else self._regular(layer.out_features)
            parts.append(Tensors(layer.weight, after, source))
            if layer.bias is not None:
                parts.append(Tensors(layer.bias, after))
            source = after
        return parts

    def of(self, policy: BasePolicy) -> tuple[list[Tensors], list[Tensors]]:
        """The parameters of actor and critic of a policy.

        Raises:
            ValueError: if its networks are not plain perceptrons, or too narrow.
        """
        if getattr(policy, "use_sde", False):
            raise ValueError("use_sde=True mixes features into the noise, which has no symmetry; leave it out")
        if isinstance(policy, SymmetricPolicy):
            if _is_mlp(policy.networks):
                return self._of_mlp(policy)
        elif isinstance(policy, ActorCriticPolicy) and _is_plain(policy):
            return self._stacked_for(policy)._of_actor_critic(policy)
        elif isinstance(policy, SACPolicy | TD3Policy) and _extracts_nothing(policy.actor):
            return self._stacked_for(policy)._of_off_policy(policy)
        raise ValueError(
            f"the layers of this {type(policy).__name__} are not those of plain perceptrons, so they cannot be"
            " projected; take 'MlpPolicy', or a policy of eqrl with network 'mlp' for actor and critic, or a prior that"
            " looks at outputs, such as 'symmetry_loss'"
        )

    def _stacked_for(self, policy: BasePolicy) -> PlainLayers:
        """The same for SB3's features, where the entries of a dict keep the order of its space."""
        space = policy.observation_space
        if not isinstance(space, spaces.Dict):
            return self
        stacked = reduce(add, (representation_of(part).prefixed(key) for key, part in space.items()))
        layers = copy(self)
        layers.observation = [matrices(stacked, c) for c in self._candidates]
        return layers

    def _of_mlp(self, policy: Any) -> tuple[list[Tensors], list[Tensors]]:
        """Of a policy of eqrl without symmetry."""
        if isinstance(policy, ActorCriticPolicy):
            actor = self.perceptron(linear_layers(policy.action_net), self.observation, self.action)
            actor.append(Tensors(policy.log_std, self._widths(policy.action_dist)))
            critic = self.perceptron(linear_layers(policy.value_net), self.observation, self.value)
            return actor, critic
        target = self.action
        if isinstance(policy, SACPolicy):
            target = _sum(self.action, self._widths(policy.actor.action_dist))
        actor = self.perceptron(linear_layers(policy.actor.backbone), self.observation, target)
        return actor, self._critics(policy)

    def _of_actor_critic(self, policy: Any) -> tuple[list[Tensors], list[Tensors]]:
        extractor = policy.mlp_extractor
        actor_layers = [*linear_layers(extractor.policy_net), policy.action_net]
        actor = self.perceptron(actor_layers, self.observation, self.action)
        actor.append(Tensors(policy.log_std, self.log_std))
        critic_layers = [*linear_layers(extractor.value_net), policy.value_net]
        return actor, self.perceptron(critic_layers, self.observation, self.value)

    def _of_off_policy(self, policy: Any) -> tuple[list[Tensors], list[Tensors]]:
        actor = policy.actor
        if isinstance(policy, SACPolicy):
            latent = linear_layers(actor.latent_pi)
            parts = self.perceptron([*latent, actor.mu], self.observation, self.action)
            inside = self._regular(latent[-1].out_features) if latent else self.observation
            parts += self.perceptron([actor.log_std], inside, self.log_std)
        else:
            parts = self.perceptron(linear_layers(actor.mu), self.observation, self.action)
        return parts, self._critics(policy)

    def _critics(self, policy: Any) -> list[Tensors]:
        both = _sum(self.observation, self.action)
        networks = map(linear_layers, policy.critic.q_networks)
        return [part for layers in networks for part in self.perceptron(layers, both, self.value)]

    def _widths(self, distribution: Any) -> Actions:
        """On the log-widths of a policy of eqrl; where entries share widths, these are left alone."""
        if distribution.orbits == distribution.geometry.dim:
            return self.log_std
        return [invariant(distribution.orbits, c) for c in self._candidates]

    def _regular(self, width: int) -> Actions:
        return [self._hidden.permutations(c, width) for c in self._candidates]


def linear_layers(net: nn.Module) -> list[nn.Linear]:
    """The layers of a perceptron.

    Raises:
        ValueError: if something else in it has parameters.
    """
    layers = [module for module in net.modules() if isinstance(module, nn.Linear)]
    if sum(p.numel() for layer in layers for p in layer.parameters()) != sum(p.numel() for p in net.parameters()):
        raise ValueError(f"a network has parameters besides its linear layers, which cannot be projected: {net}")
    return layers


def _sum(*parts: Actions) -> Actions:
    return [side_by_side(actions) for actions in zip(*parts, strict=True)]


def _is_mlp(networks: Networks) -> bool:
    return networks.network == networks.critic_network == MLP.label and not networks.shared


def _is_plain(policy: Any) -> bool:
    return (
        type(policy.mlp_extractor) is MlpExtractor
        and isinstance(policy.action_dist, DiagGaussianDistribution)
        and _extracts_nothing(policy)
    )


def _extracts_nothing(network: Any) -> bool:
    """Whether features are the observations."""
    return type(network.features_extractor) in (FlattenExtractor, CombinedExtractor)
