"""The proximal step of a group lasso, in the metric in which the optimizer has just moved."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim import Optimizer

_STEPS = 50
_CLOSE = 1e-6


@torch.no_grad()
def proximal_step(part: Sequence[Tensor], optimizer: Optimizer, threshold: float) -> None:
    """Replace parameters ``w`` by the minimiser of ``sum h (z - w)^2 / 2 + threshold * ||z||``, in place.

    Adam divides its step by ``h``, the root of the mean square of the gradient. In the same metric, the result is zero
    if and only if ``||h w|| <= threshold``. After a step of Adam from zero this says that the mean gradient is at most
    the strength of the penalty, so noise in single gradients and their scale in the metric do not matter.

    Args:
        part: parameters with one common norm.
        optimizer: an Adam, or another optimizer, for which ``h`` is 1.
        threshold: learning rate times strength.
    """
    if threshold == 0.0:
        return
    w = torch.cat([parameter.flatten() for parameter in part])
    h = torch.cat([_metric(parameter, optimizer).flatten() for parameter in part])
    force = h * w
    if bool(force.norm() <= threshold):
        shrunk = torch.zeros_like(w)
    else:
        norm = _norm(force, h, threshold)
        shrunk = force * norm / (h * norm + threshold)
    for parameter, values in zip(part, torch.split(shrunk, [parameter.numel() for parameter in part]), strict=True):
        parameter.copy_(values.view_as(parameter))


def _norm(force: Tensor, h: Tensor, threshold: float) -> float:
    """The norm of the minimiser: where ``size = ||force / (h norm + threshold)||`` is 1.

    Newton's method on ``1 / size``, which is exact after one step where all ``h`` are equal, within a bracket.
    """
    low, high, norm = 0.0, float((force / h).norm()), 0.0
    for _ in range(_STEPS):
        scaled = h * norm + threshold
        unit = force / scaled
        size = float(unit.norm())
        low, high = (norm, high) if size > 1.0 else (low, norm)
        nearer = norm + (size - 1.0) * size**2 / float((unit.square() * h / scaled).sum())
        nearer = nearer if low < nearer < high else 0.5 * (low + high)
        if abs(nearer - norm) <= _CLOSE * nearer:
            break
        norm = nearer
    return nearer


def _metric(parameter: Tensor, optimizer: Optimizer) -> Tensor:
    state = optimizer.state.get(parameter, {})
    if "exp_avg_sq" not in state:
        return torch.ones_like(parameter)
    group = next(g for g in optimizer.param_groups if any(p is parameter for p in g["params"]))
    corrected = state["exp_avg_sq"] / (1.0 - group["betas"][1] ** float(state["step"]))
    metric: Tensor = corrected.sqrt() + group["eps"]
    return metric
