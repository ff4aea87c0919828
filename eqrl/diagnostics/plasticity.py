"""Plasticity: units that no longer respond, and units that have become the same.

Symmetries of the loss in the parameters (rescaling, exchange of units) have stationary points at which units are dead
or identical, and strong weight decay or noise drives a network there ("Symmetry induces structure and constraint of
learning", arXiv 2309.16932). In an equivariant network identical units may be meant.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from eqrl.diagnostics.sample import Functions, Sample

_SAME = 1e-5


@dataclass(frozen=True)
class Plasticity:
    """Numbers of units after activations.

    Attributes:
        units: all of them.
        dead: those whose output is the same for all observations.
        identical: those that do the same as an earlier unit of their layer, dead ones left out.
    """

    units: int
    dead: int
    identical: int


@torch.no_grad()
def plasticity(functions: Functions, sample: Sample) -> Plasticity:
    """Count units of actor and critic after their activation modules.

    Args:
        functions: of the policy.
        sample: observations to try; a few hundred tell dead from rare.
    """
    functions.policy.set_training_mode(False)
    with _recorded(functions.policy) as outputs:
        functions.actor(sample.observations)
        functions.value(sample.observations, sample.actions)
    counts = [count(x) for x in outputs if x.shape[0] == len(sample)]
    return Plasticity(*(sum(c) for c in zip(*counts, strict=True))) if counts else Plasticity(0, 0, 0)


def count(activations: Tensor) -> tuple[int, int, int]:
    """Units of one layer, dead ones, and those that repeat an earlier one.

    Args:
        activations: ``(B, ...)``; all axes but the first are units.
    """
    x = activations.flatten(1).double()
    size = float(x.square().mean().sqrt()) or 1.0
    alive = (x.amax(0) - x.amin(0)) > _SAME * size
    living = x[:, alive]
    apart = torch.cdist(living.T, living.T) <= _SAME * size * x.shape[0] ** 0.5
    repeated = torch.tril(apart, diagonal=-1).any(dim=1)
    return x.shape[1], int((~alive).sum()), int(repeated.sum())


@contextmanager
def _recorded(policy: nn.Module) -> Iterator[list[Tensor]]:
    """Outputs of all activation modules, in the order in which they are computed."""
    outputs: list[Tensor] = []

    def keep(_: nn.Module, __: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.ndim > 1:
            outputs.append(output.detach())

    handles = [
        module.register_forward_hook(keep)
        for module in policy.modules()
        if type(module).__module__ == "torch.nn.modules.activation" and not isinstance(module, nn.MultiheadAttention)
    ]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()
