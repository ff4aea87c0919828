"""Check all parameters, running statistics and gradients of a model together."""

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
    """Tensors that the training changes: parameters, buffers such as running statistics, and SAC's ``log_ent_coef``."""
    numbers: dict[str, Tensor] = {k: v for k, v in model.policy.state_dict().items() if v.is_floating_point()}
    return numbers | {name: value.detach() for name, value in variables_of(model).items()}


def leaves(model: BaseAlgorithm) -> dict[str, Tensor]:
    """The tensors that receive gradients, by name; a tensor with two names has the first."""
    tensors: dict[str, Tensor] = {**dict(model.policy.named_parameters()), **variables_of(model)}
    return {name: leaf for name, leaf in tensors.items() if leaf.requires_grad}


class Gradients:
    """Checks at low cost whether all gradients of an optimiser are finite; SAC checks three times per update.

    PyTorch's ``GradScaler`` uses the same operation in every step; here it multiplies the gradients by one.

    Args:
        optimizer: the optimiser, whose parameters are read once.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        parameters: dict[tuple[torch.dtype, torch.device], list[Tensor]] = {}
        for parameter in (p for group in optimizer.param_groups for p in group["params"]):
            parameters.setdefault((parameter.dtype, parameter.device), []).append(parameter)
        self._kinds = [
            (kind, torch.zeros(1, device=device), torch.ones(1, device=device))
            for (_, device), kind in parameters.items()
        ]

    def finite(self) -> bool:
        """Whether all gradients that the next step would use are finite.

        Waits for the device once per dtype and device.
        """
        good = True
        for parameters, flag, one in self._kinds:
            gradients = [gradient for p in parameters if (gradient := p.grad) is not None]
            torch._amp_foreach_non_finite_check_and_unscale_(gradients, flag, one)
            if flag.item() != 0.0:
                flag.zero_()
                good = False
        return good


def all_finite(tensors: Sequence[Tensor]) -> bool:
    """Whether all numbers of some tensors are finite; waits for the device once per dtype and device."""
    kinds: dict[tuple[torch.dtype, torch.device], list[Tensor]] = {}
    for tensor in tensors:
        kinds.setdefault((tensor.dtype, tensor.device), []).append(tensor)
    for kind in kinds.values():
        # a norm is finite unless an entry is not or the norm overflows; only then is every entry checked
        length = torch.stack(torch._foreach_norm(kind)).sum().item()
        if not math.isfinite(length) and not all(bool(tensor.isfinite().all()) for tensor in kind):
            return False
    return True


def bad_parameter(numbers: Iterable[tuple[str, Tensor]]) -> Finding | None:
    """The first parameter or statistic that is not finite, by name."""
    bad: dict[int, tuple[str, Tensor]] = {}
    for name, tensor in numbers:
        if not bool(tensor.isfinite().all()):
            bad.setdefault(tensor.data_ptr(), (name, tensor))  # the feature extractor that PPO shares has three names
    if not bad:
        return None
    name, tensor = next(iter(bad.values()))
    value = tensor[~tensor.isfinite()].flatten()[0].item()
    others = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
    return Finding("parameter", f"parameter {name}{others} is {value}", name)
