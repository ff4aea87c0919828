"""Augmentation: the algorithm learns from transformed minibatches."""

from __future__ import annotations

from typing import Any, ClassVar

from eqrl.agents.networks import GroupChoice
from eqrl.agents.replay_buffers import coins, turned
from eqrl.agents.soft.prior import SymmetryPrior


class Augmentation(SymmetryPrior):
    """Every sample of a minibatch is transformed by a random element of the group.

    Each epoch of PPO draws new elements. Old log-probabilities are used again, which keeps the gradient unbiased but
    lets clipping discard samples of networks that are far from equivariant (see
    :class:`~eqrl.agents.SymmetricRolloutBuffer`, which also has the form with one element for all epochs).

    Args:
        group: a subgroup of the environment's group, by name or as a ``Group``; None means the whole group.
        strength: fraction of the samples that are transformed, at most 1.

    Raises:
        ValueError: for a strength above 1.
    """

    name: ClassVar[str] = "augmentation"

    def __init__(self, group: GroupChoice | None = None, strength: float = 1.0) -> None:
        super().__init__(group, strength)
        if strength > 1.0:
            raise ValueError(f"strength={strength} is not a fraction of the samples; give a number from 0 to 1")

    def samples(self, samples: Any) -> Any:
        """The samples, transformed."""
        n = len(samples.actions)
        return turned(self.orbit, samples, self.orbit.draw(n), coins(self.strength, n))
