"""The backbones of a policy, and the group that the policy as a whole commutes with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces

from eqrl.agents.errors import BreaksSymmetryError
from eqrl.agents.options import network_options, representation_in
from eqrl.agents.output_gain import take_last_layer
from eqrl.errors import suggestion
from eqrl.nn import BACKBONES, Backbone, Padding, build
from eqrl.nn.mlp import MLP
from eqrl.symmetry import GROUPS, TRIVIAL, Field, Group, Representation, family, mask_index
from eqrl.symmetry.bounds import check_padding

GroupChoice = Group | str


@dataclass(frozen=True)
class Networks:
    """The choice of backbones for actor and critic, resolved against the spaces of an environment.

    Attributes:
        observation: representation of the features.
        action: representation of the action.
        network: backbone of the actor, a name in ``eqrl.nn.BACKBONES``.
        network_kwargs: options of the actor's backbone, such as ``hidden``.
        critic_network: backbone of the critic.
        critic_kwargs: options of the critic's backbone.
        actor_group: group that the actor, or its exact pathway, commutes with.
        critic_group: group under which the critic, or its exact pathway, is invariant.
        shared: whether one network serves actor and value, see :meth:`actor_and_value`.
    """

    observation: Representation
    action: Representation
    network: str
    network_kwargs: Mapping[str, Any]
    critic_network: str
    critic_kwargs: Mapping[str, Any]
    actor_group: Group
    critic_group: Group
    shared: bool = False
    groups: tuple[Group, Group] = field(init=False)

    def __post_init__(self) -> None:
        """Order the two groups by inclusion, the smaller one first."""
        if self.shared and (self.network, self.network_kwargs) != (self.critic_network, self.critic_kwargs):
            raise ValueError(
                "share_network=True uses one network for actor and value, but the critic's"
                f" ({_call(self.critic_network, self.critic_kwargs)}) differs from the actor's"
                f" ({_call(self.network, self.network_kwargs)}); leave out critic_network and critic_kwargs (and give"
                " net_arch the same widths for both), or leave out share_network"
            )
        if self.actor_group.is_subgroup_of(self.critic_group):
            small, large = self.actor_group, self.critic_group
        elif self.critic_group.is_subgroup_of(self.actor_group):
            small, large = self.critic_group, self.actor_group
        else:
            raise ValueError(
                f"the actor ({self.network!r}) commutes with {self.actor_group} and the critic"
                f" ({self.critic_network!r}) with {self.critic_group}, and neither contains the other; name one group"
                " for both with group="
            )
        object.__setattr__(self, "groups", (small, large))

    @property
    def group(self) -> Group:
        """The group that the policy as a whole commutes with, whatever its weights."""
        return self.groups[0] if self.guarantees else TRIVIAL

    @property
    def guarantees(self) -> bool:
        """Whether neither network has a free pathway, which may break the symmetry."""
        return all(name not in BACKBONES or BACKBONES[name].guarantees for name in (self.network, self.critic_network))

    @property
    def widest_group(self) -> Group:
        """The larger of the two groups. A normaliser for both networks has to commute with it."""
        return self.groups[1]

    @property
    def takes_positions(self) -> bool:
        """Whether one of the networks takes differences of positions itself."""
        chosen = ((self.network, self.network_kwargs), (self.critic_network, self.critic_kwargs))
        return any(name in BACKBONES and BACKBONES[name].takes_positions_with(options) for name, options in chosen)

    @property
    def observation_and_action(self) -> Representation:
        """Direct sum of features and action, the input of a Q-function.

        Entity sets of the action are those of the same name in the observation, which alone has masks.
        """
        known = {e.name: e for e in self.action.entities}
        for entity_set in self.observation.entities:
            other = known.get(entity_set.name, entity_set)
            if replace(other, mask=None) != replace(entity_set, mask=None):
                raise ValueError(f"entity set {entity_set.name!r} differs between the observation and the action")
            known[entity_set.name] = entity_set
        fields = (*self.observation.fields, *(replace(f, name=f"action/{f.name}", role="") for f in self.action.fields))
        return Representation(fields, tuple(known.values()), self.observation.group)

    def action_padding(self, action_space: spaces.Box, *, unit: bool) -> Padding | None:
        """The padding of actions, by the masks of the observation; None if nothing is masked.

        Args:
            action_space: the box of actions.
            unit: whether the algorithm's actions are in units of their bounds.

        Raises:
            ValueError: if the bounds do not allow padded entries to be zero, or if sets differ in size.
        """
        index = mask_index(self.action, self.observation)
        check_padding(action_space, np.any(index >= 0, axis=1), self.action, unit)
        return Padding.of(self.action, self.observation)

    def actor(self, out_rep: Representation, gain: float) -> Backbone:
        """A network from the features to ``out_rep``, whose last layer is initialised with the given gain."""
        options = {"output_gain": gain, **self.network_kwargs}
        return build(self.network, self.observation, out_rep, self.actor_group, **options)

    def critic(self, in_rep: Representation, out_rep: Representation) -> Backbone:
        """A network from ``in_rep`` (features, perhaps with the action) to invariants."""
        return build(self.critic_network, in_rep, out_rep, self.critic_group, **self.critic_kwargs)

    def actor_and_value(self, gain: float) -> Backbone:
        """One network from the features to the action and, last, an invariant value.

        Args:
            gain: gain of the last layer's initial weights towards the action; towards the value it is 1.
        """
        value = Field("value", "1x0e")
        out_rep = Representation((*self.action.fields, value), self.action.entities, self.action.group)
        random_state = torch.get_rng_state()
        full = build(self.network, self.observation, out_rep, self.actor_group, **self.network_kwargs)
        torch.set_rng_state(random_state)
        backbone = self.actor(out_rep, gain)
        take_last_layer(backbone, full, self.action.dim)
        return backbone

    def describe(self) -> str:
        """Networks, options and groups of actor and critic, one line each."""
        actor = ("actor", self.network, self.network_kwargs, self.actor_group)
        critic = ("critic", self.critic_network, self.critic_kwargs, self.critic_group)
        parts = [("actor and critic", *actor[1:])] if self.shared else [actor, critic]
        return "\n".join(
            f"{part + ': ':<8}{_call(name, options)}, {_promise(name, group)}"
            f"{_exchange(name, options, self.observation)}"
            for part, name, options, group in parts
        )


def choose_networks(
    observation_space: gymnasium.Space[Any],
    action_space: gymnasium.Space[Any],
    network: str,
    network_kwargs: Mapping[str, Any] | None,
    critic_network: str | None,
    critic_kwargs: Mapping[str, Any] | None,
    group: GroupChoice,
) -> Networks:
    """Resolve a policy's options against the spaces of its environment.

    Args:
        observation_space: typed box, or dict of typed boxes.
        action_space: typed box.
        network: backbone of the actor.
        network_kwargs: options of the actor's backbone.
        critic_network: backbone of the critic; None means that of the actor.
        critic_kwargs: options of the critic's backbone; None means those of the actor if the backbone is the same.
        group: ``"auto"`` for the largest group that each backbone honours cheaply, ``"full"`` for the whole group of
            the environment, or a subgroup of it, by name or as a ``Group``.

    Raises:
        UntypedSpaceError: if a space is not typed.
        BreaksSymmetryError: if observation and action declare different groups, or no symmetry where one is expected.
        ValueError: for an unknown backbone, option or group, or a group that the environment does not have.
    """
    observation = representation_in(observation_space, "observation")
    action = representation_in(action_space, "action")
    if observation.group != action.group:
        raise BreaksSymmetryError(
            f"observations turn with group {observation.group} and actions with {action.group}; "
            "give both representations the same group, Representation(fields, group=...)"
        )
    critic_network = critic_network or network
    actor_options = network_options("network_kwargs", network, network_kwargs)
    if critic_kwargs is None and critic_network == network:
        critic_options = actor_options
    else:
        critic_options = network_options("critic_kwargs", critic_network, critic_kwargs)
    chosen = ((network, actor_options), (critic_network, critic_options))
    actor_group, critic_group = (_choose_group(group, *pair, observation) for pair in chosen)
    return Networks(
        observation, action, network, actor_options, critic_network, critic_options, actor_group, critic_group
    )


def _call(network: str, options: Mapping[str, Any]) -> str:
    """A network with its options, as text."""
    return f"{network}({', '.join(f'{name}={value}' for name, value in options.items())})"


def _promise(network: str, group: Group) -> str:
    """What a network commutes with, in words."""
    if network in BACKBONES and not BACKBONES[network].guarantees:
        return f"whose exact pathway commutes with {group} and whose free one with nothing"
    return f"commutes with {group}"


def _exchange(network: str, options: Mapping[str, Any], observation: Representation) -> str:
    """Whether a network honours the exchange of exchangeable sets, in words."""
    names = [repr(e.name) for e in observation.entities if e.exchangeable]
    if not names or network not in BACKBONES:
        return ""
    statement = (
        "and with every exchange"
        if BACKBONES[network].exchanges_with(options)
        else "but gives each slot weights of its own, not exchange"
    )
    return f", {statement} of {', '.join(names)}"


def _choose_group(choice: GroupChoice, network: str, options: Mapping[str, Any], observation: Representation) -> Group:
    if choice in ("auto", "full"):
        cheap = choice == "auto" and network in BACKBONES
        chosen = BACKBONES[network].default_group_with(observation, options) if cheap else observation.group
        if not chosen.generators and network != MLP.label:
            raise BreaksSymmetryError(_without_symmetry(network, observation.group))
        return chosen
    if isinstance(choice, str):
        if choice not in GROUPS:
            known = ("auto", "full", *GROUPS)
            raise ValueError(
                f"unknown group {choice!r}; {suggestion(choice, known)} Known are {known} and Group objects"
            )
        choice = GROUPS[choice]
    exchanging = network in BACKBONES and BACKBONES[network].exchanges
    if not choice.is_subgroup_of(observation.group) and not (exchanging and choice.is_subgroup_of(family(observation))):
        raise ValueError(
            f"group {choice} is not a subgroup of {observation.group}, which is all that the environment declares; "
            "a policy cannot keep a symmetry that its world does not have"
        )
    return choice


def _without_symmetry(network: str, declared: Group) -> str:
    """Message for a network that is meant to keep a symmetry but has none to keep, with the fix."""
    if not declared.generators:
        return (
            f"the spaces declare the trivial group, so {network!r} would have no symmetry to keep; declare one on every"
            " Representation, Representation(fields, group=SO2) for instance, or say that none is meant: network='mlp'"
            " or group='1'"
        )
    return (
        f"{network!r} honours nothing of group {declared} without being asked, since all of it relabels the body; "
        "ask with group='full', or say that no symmetry is meant: network='mlp' or group='1'"
    )
