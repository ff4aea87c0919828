"""SAC's target entropy where the number of real action entries differs between samples."""

from __future__ import annotations

import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from torch import Tensor, nn


class EntropyTarget(nn.Module):
    """Sets the target entropy of every minibatch from the number of real action entries in its samples.

    SAC's temperature follows the mean of ``log_prob + target_entropy`` over a minibatch. An action without padding has
    the algorithm's target, by default -1 per entry; a sample with n real entries has n times the target of one entry.
    SAC only uses the mean over the minibatch, so the mean of the samples' targets is the number that Stable-Baselines3
    reads.

    Args:
        dim: number of action entries, padding included.
    """

    shares: Tensor  # (2,) float64: target of one entry, and the target set last; saved, so that runs can resume

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.register_buffer("shares", torch.zeros(2, dtype=torch.float64))

    @torch.no_grad()
    def set(self, algorithm: BaseAlgorithm | None, valid: Tensor) -> None:
        """Set the target for a minibatch.

        Args:
            algorithm: the algorithm that has the target; without one, nothing happens.
            valid: entries of the actions that are not padding, shape ``(B, dim)``, bool.
        """
        target = getattr(algorithm, "target_entropy", None)
        if target is None:
            return
        if float(target) != float(self.shares[1]):
            # the target was not set here: it is the algorithm's own, which holds for all entries together
            self.shares[0] = float(target) / self.dim
        self.shares[1] = self.shares[0] * valid.sum(1).double().mean()
        algorithm.target_entropy = float(self.shares[1])  # type: ignore[union-attr]
