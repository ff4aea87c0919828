"""Soft symmetry with a threshold: a group lasso on free weights, which makes layers exact to the bit or leaves them.

With ``W = P V + u (I - P) V'`` and weight decay on ``u`` and ``V'``, the symmetry of the loss under a change of sign of
both collapses them together (Ziyin, "Symmetry induces structure and constraint of learning", arXiv 2309.16932). The
minimum over all ``u V' = M`` of ``(u^2 + ||V'||^2) / 2`` is ``||M||``, so the decay is a group lasso: at its optimum a
layer is exactly equivariant if and only if the gradient with respect to its free weights is at most the strength.
Gradient steps approach that zero slowly. A proximal step reaches it; that use of the paper's idea is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from stable_baselines3.common.base_class import BaseAlgorithm
from torch import nn
from torch.optim import Optimizer

from eqrl.agents.networks import GroupChoice
from eqrl.agents.soft.pathways import actor_and_critic
from eqrl.agents.soft.prior import SymmetryPrior
from eqrl.agents.soft.proximal import proximal_step
from eqrl.nn import Residual


class Thresholded(SymmetryPrior):
    """``strength * sum of ||W_free||`` over the layers of network ``residual``, by a proximal step after each step.

    A layer whose free weights the loss does not want by more than ``strength``, the norm of the gradient with respect
    to them, gets weights of exactly zero. What is equivariant about free weights moves to the exact ones first. Where a
    whole mlp is the free pathway, its last layer is the one that counts.

    Args:
        group: a subgroup of the environment's group; the network's exact pathway decides what is favoured.
        strength: weight of the norms, in units of the gradient of the loss.

    Raises:
        ValueError: for a weight that is negative or not finite.
    """

    name: ClassVar[str] = "thresholded"
    network: ClassVar[str | None] = Residual.label

    def __init__(self, group: GroupChoice | None = None, strength: float = 0.03) -> None:
        super().__init__(group, strength)

    def bind(self, model: BaseAlgorithm) -> None:
        """Look up the free weights.

        Raises:
            ValueError: if no network of the policy is a ``residual`` one.
        """
        self.networks = [net for part in actor_and_critic(model, Residual, self.name) for net in part]

    def after_step(self, optimizer: Optimizer) -> None:
        """Shrink the free weights that the optimizer has moved."""
        groups = {id(p): group for group in optimizer.param_groups for p in group["params"]}
        for net in self.networks:
            parts = net.free_parts()
            if (group := groups.get(id(parts[0][0]))) is not None:
                net.absorb()
                for part in parts:
                    proximal_step(part, optimizer, group["lr"] * self.strength * net.free_rate)

    def after_update(self) -> None:
        """Log the share of layers that are exact."""
        parts = [part for net in self.networks for part in net.free_parts()]
        self.record("exact_layers", sum(map(_vanishes, parts)) / len(parts))


def _vanishes(part: Sequence[nn.Parameter]) -> bool:
    return not any(bool(parameter.any()) for parameter in part)
