"""Priors on networks of two pathways: finding these networks in a policy, and what was not taken for granted there."""

from __future__ import annotations

from typing import Any, TypeVar

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

from eqrl.nn import SoftBackbone

Kind = TypeVar("Kind", bound=SoftBackbone)


def actor_and_critic(model: BaseAlgorithm, kind: type[Kind], prior: str) -> tuple[list[Kind], list[Kind]]:
    """The networks of a kind in the actor and in the critic of a policy; target networks are not among them.

    Args:
        model: an algorithm of SB3.
        kind: the backbone.
        prior: name of the prior that needs it, for messages.

    Raises:
        ValueError: if there is none, naming the option that gives one.
    """
    policy: Any = model.policy
    names = ("action_net", "value_net") if isinstance(model, OnPolicyAlgorithm) else ("actor", "critic")
    parts = [getattr(policy, name) for name in names]  # a network that serves both is the actor's
    actor, critic = ([net for net in part.modules() if isinstance(net, kind)] if part else [] for part in parts)
    if not actor and not critic:
        name = type(policy).__name__ if not hasattr(policy, "networks") else f"network {policy.networks.network!r}"
        raise ValueError(
            f"prior {prior!r} works on the pathways of network {kind.label!r}, and this policy has {name}; make it with"
            f" policy_kwargs={{'network': {kind.label!r}}} and a policy of eqrl, or --network {kind.label}"
        )
    return actor, critic
