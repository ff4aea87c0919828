"""Metropolis-Hastings over group elements: samples that are drawn in proportion to their loss."""

from __future__ import annotations

import torch
from torch import Tensor


def metropolis_hastings(losses: Tensor) -> Tensor:
    """The states of chains whose proposals do not depend on where the chain is.

    A chain starts at its first proposal and moves to the next one with probability ``min(1, l(g') / l(g))``. Uniform
    proposals give a stationary distribution in proportion to the loss. All losses are known in advance, so that one
    pass of a network serves all chains.

    Args:
        losses: those of the proposals, at least 0, shape ``(states, chains)``.

    Returns:
        At which proposal each chain is after each of them, shape ``(states, chains)``, int64.
    """
    thresholds = torch.rand_like(losses)
    here, at = losses[0], torch.zeros(losses.shape[1:], dtype=torch.int64, device=losses.device)
    path = [at]
    for k in range(1, len(losses)):
        accepted = thresholds[k] * here <= losses[k]  # a loss of 0 lets every proposal through
        here = torch.where(accepted, losses[k], here)
        at = torch.where(accepted, k, at)
        path.append(at)
    return torch.stack(path)
