"""Mirror loss: a term in the loss pulls an ordinary network towards equivariance (Yu et al., 2018).

The loss measures a policy by the map that it is trained with. With a wrong map, the loss still goes to zero;
``eqrl.proof.measure_behaviour`` measures equivariance in the world instead.
"""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from eqrl.agents.networks import GroupChoice
from eqrl.agents.soft.consistency import Function, images_of, length, policy_difference, value_difference
from eqrl.agents.soft.prior import SymmetryPrior, weight


class MirrorLoss(SymmetryPrior):
    """``strength * mean || mean(g s) - g mean(s) ||^2`` in the policy's loss.

    For a finite group, the loss is a mean over its generators. For a continuous group, each observation is compared
    with its image under a random element. The cost is one more pass of the actor for each generator.

    Args:
        group: a subgroup of the environment's group, by name or as a ``Group``; None means the whole group.
        strength: weight of the policy's term. Actions are in the algorithm's units (PPO: those of the environment, SAC
            and TD3: those of the bounds), and the square is a mean over entries.
        value_strength: weight of ``(V(g s) - V(s))^2``, or of the same for the Q-functions.

    Raises:
        ValueError: for a weight that is negative or not finite.
    """

    name: ClassVar[str] = "mirror_loss"

    def __init__(self, group: GroupChoice | None = None, strength: float = 1.0, value_strength: float = 0.0) -> None:
        super().__init__(group, strength)
        self.value_strength = weight("value_strength", value_strength)

    def policy_term(self, mean: Function, observations: Any) -> Tensor | None:
        """See the base class."""
        images = images_of(self.orbit, length(observations))
        term = policy_difference(mean, observations, self.orbit, images)
        self.record("policy", float(term.detach()))
        return self.strength * term

    def value_term(self, value: Function, observations: Any, actions: Tensor | None = None) -> Tensor | None:
        """See the base class."""
        if not self.value_strength:
            return None
        images = images_of(self.orbit, length(observations))
        term = value_difference(value, observations, actions, self.orbit, images)
        self.record("value", float(term.detach()))
        return self.value_strength * term
