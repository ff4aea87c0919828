"""Residual pathway priors: two weight decays decide how freely the free pathway may be used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from torch import Tensor

from eqrl.agents.networks import GroupChoice
from eqrl.agents.soft.consistency import Function
from eqrl.agents.soft.pathways import actor_and_critic
from eqrl.agents.soft.prior import SymmetryPrior, weight
from eqrl.nn import Residual


class ResidualPathway(SymmetryPrior):
    """``strength / 2 * ||W_free||^2 + exact_strength / 2 * ||W_exact||^2`` in the losses of actor and critic.

    These are the Gaussian priors of Finzi, Benton and Wilson (arXiv 2112.01388) on the parameters of both pathways of
    network ``residual``. Their values for reinforcement learning, 1e-6 for both, are the defaults, which hardly act:
    what favours symmetry is that free weights begin small and, in the layers of a finite group, move slowly
    (:data:`eqrl.nn.residual.FREE_RATE`). In supervised learning they use 1 and 1e-5. They leave the critic
    unconstrained by default; here it has the actor's network, unless ``critic_network`` says otherwise.

    Args:
        group: a subgroup of the environment's group; the network's exact pathway decides what is favoured.
        strength: weight decay of the free pathway.
        exact_strength: weight decay of the exact pathway.

    Raises:
        ValueError: for a weight that is negative or not finite.
    """

    name: ClassVar[str] = "residual"
    network: ClassVar[str | None] = Residual.label

    def __init__(self, group: GroupChoice | None = None, strength: float = 1e-6, exact_strength: float = 1e-6) -> None:
        super().__init__(group, strength)
        self.exact_strength = weight("exact_strength", exact_strength)

    def bind(self, model: BaseAlgorithm) -> None:
        """Look up the pathways.

        Raises:
            ValueError: if no network of the policy is a ``residual`` one.
        """
        self.actor, self.critic = actor_and_critic(model, Residual, self.name)

    def policy_term(self, mean: Function, observations: Any) -> Tensor | None:
        """See the base class."""
        return self._decay(self.actor)

    def value_term(self, value: Function, observations: Any, actions: Tensor | None = None) -> Tensor | None:
        """See the base class."""
        return self._decay(self.critic)

    def after_update(self) -> None:
        """Log the share of what breaks the symmetry in the weights."""
        self.record("free_share", free_share([*self.actor, *self.critic]))

    def _decay(self, networks: Sequence[Residual]) -> Tensor | None:
        terms = [
            0.5 * factor * parameter.square().sum()
            for net in networks
            for factor, parameters in (
                (self.strength, net.free_parameters()),
                (self.exact_strength, net.exact_parameters()),
            )
            for parameter in parameters
        ]
        return torch.stack(terms).sum() if terms else None


@torch.no_grad()
def free_share(networks: Sequence[Residual]) -> float:
    """``||B|| / (||B|| + ||W_exact||)``, where B are the free weights without what is equivariant about them.

    Where an mlp is the free pathway, B is its last layer, and the share tells no more than whether it grows.
    """
    breaking = [tensor for net in networks for tensor in net.breaking()]
    exact = [tensor for net in networks for tensor in net.exact_weights()]
    a, b = (float(torch.stack([p.square().sum() for p in some]).sum().sqrt()) for some in (breaking, exact))
    return a / (a + b) if a + b > 0.0 else 0.0
