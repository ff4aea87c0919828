"""SAC's target entropy where the number of action entries differs from sample to sample."""

from __future__ import annotations

import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from torch import Tensor, nn


class EntropyTarget(nn.Module):
    """Sets the target entropy of every minibatch by the action entries that its samples really have.

    SAC's temperature follows the mean of ``log_prob + target_entropy`` over a minibatch. An action without padding has
    the target of its algorithm, by default -1 an entry; a sample with n real entries has n shares of it. Since each
    minibatch is only ever averaged, the mean of its samples' targets serves as the number that Stable-Baselines3 reads.

    Args:
        dim: number of action entries, padding included.
    """

    shares: Tensor  # (2,) float64: the target of one entry, and the target that was set last; in the state, to be resumed

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.register_buffer("shares", torch.zeros(2, dtype=torch.float64))

    @torch.no_grad()
    def set(self, algorithm: BaseAlgorithm | None, valid: Tensor) -> None:
        """Set the target for a minibatch.

        Args:
            algorithm: whose target it is; one without a target is left alone.
            valid: entries of the actions that are no padding, shape ``(B, dim)``, bool.
        """
        target = getattr(algorithm, "target_entropy", None)
        if target is None:
            return
        if float(target) != float(self.shares[1]):
            # not the one that was set here: the algorithm's own, which is meant for all entries
            self.shares[0] = float(target) / self.dim
        self.shares[1] = self.shares[0] * valid.sum(1).double().mean()
        algorithm.target_entropy = float(self.shares[1])  # type: ignore[union-attr]
