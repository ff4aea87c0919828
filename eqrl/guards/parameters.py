"""Parameters, running statistics and gradients of a model, looked at all at once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from torch import Tensor
from torch.optim import Optimizer

from eqrl.checkpoint.parameters import variables_of
from eqrl.guards.errors import Finding


def named_numbers(model: BaseAlgorithm) -> dict[str, Tensor]:
    """Everything that the training changes: parameters, buffers such as running statistics, SAC's ``log_ent_coef``."""
    found: dict[str, Tensor] = {k: v for k, v in model.policy.state_dict().items() if v.is_floating_point()}
    return found | {name: value.detach() for name, value in variables_of(model).items()}


def leaves(model: BaseAlgorithm) -> dict[str, Tensor]:
    """The tensors that get gradients, by name; one that has two names has the first."""
    found: dict[str, Tensor] = {**dict(model.policy.named_parameters()), **variables_of(model)}
    return {name: leaf for name, leaf in found.items() if leaf.requires_grad}


class Gradients:
    """The gradients of an optimiser: whether all are finite, at the least price, since SAC asks thrice an update.

    PyTorch's own ``GradScaler`` asks in this way in every step. Its operation multiplies the gradients by one besides.

    Args:
        optimizer: its parameters are read once.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        parameters: dict[tuple[torch.dtype, torch.device], list[Tensor]] = {}
        for parameter in (p for group in optimizer.param_groups for p in group["params"]):
            parameters.setdefault((parameter.dtype, parameter.device), []).append(parameter)
        self._kinds = [
            (kind, torch.zeros(1, device=device), torch.ones(1, device=device)) for (_, device), kind in parameters.items()
        ]

    def finite(self) -> bool:
        """Whether all gradients that the next step would use are finite; one wait for the device."""
        good = True
        for parameters, found, one in self._kinds:
            gradients = [gradient for p in parameters if (gradient := p.grad) is not None]
            torch._amp_foreach_non_finite_check_and_unscale_(gradients, found, one)
            if found.item() != 0.0:
                found.zero_()
                good = False
        return good


def all_finite(tensors: Sequence[Tensor]) -> bool:
    """Whether all numbers of some tensors are finite; one pass, and one wait for the device."""
    kinds: dict[tuple[torch.dtype, torch.device], list[Tensor]] = {}
    for tensor in tensors:
        kinds.setdefault((tensor.dtype, tensor.device), []).append(tensor)
    for kind in kinds.values():
        # a length is finite unless an entry is not, or it overflows; then every entry is looked at
        length = torch.stack(torch._foreach_norm(kind)).sum().item()
        if not math.isfinite(length) and not all(bool(tensor.isfinite().all()) for tensor in kind):
            return False
    return True


def bad_parameter(numbers: Iterable[tuple[str, Tensor]]) -> Finding | None:
    """The first parameter or statistic that is not finite, by name."""
    bad: dict[int, tuple[str, Tensor]] = {}
    for name, tensor in numbers:
        if not bool(tensor.isfinite().all()):
            bad.setdefault(tensor.data_ptr(), (name, tensor))  # PPO's shared feature extractor has three names
    if not bad:
        return None
    name, tensor = next(iter(bad.values()))
    value = tensor[~tensor.isfinite()].flatten()[0].item()
    others = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
    return Finding("parameter", f"parameter {name}{others} is {value}", name)
