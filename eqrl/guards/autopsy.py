"""After a gradient was not finite, repeat the update without optimiser steps to see where it arises.

When the optimiser is called, PPO has already clipped the gradients by their common norm, and one bad entry has spoilt
all of them. Therefore the update is repeated, and every parameter reports as soon as its gradient is computed. The
random numbers are those of the original update and no optimiser steps, so the failed minibatch recurs with the
parameters with which it failed.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from torch import Tensor
from torch.optim import Optimizer

from eqrl.checkpoint.parameters import optimizers_of
from eqrl.guards.parameters import Gradients, leaves, named_numbers
from eqrl.guards.randomness import Randomness


@dataclass(frozen=True)
class Cause:
    """The result of the repetition.

    Attributes:
        parameter: the first parameter whose gradient is not finite; empty if there is none.
        operation: the operation that autograd blames for a NaN; empty if it blames none.
    """

    parameter: str = ""
    operation: str = ""


def autopsy(model: BaseAlgorithm, arguments: Mapping[str, Any], randomness: Randomness | None) -> Cause:
    """Repeat the last update, once for the parameter and once for the operation.

    Afterwards the parameters are restored and all hooks removed.

    Args:
        model: the model, stopped within ``train``.
        arguments: arguments with which ``train`` was called.
        randomness: global random numbers at that call, or None if they are unknown.
    """
    before = Randomness.now(model.device)
    try:
        parameter = _repeat(model, arguments, randomness or before, anomaly=False)
        operation = _repeat(model, arguments, randomness or before, anomaly=True) if parameter else ""
    finally:
        before.restore(model.device)
    return Cause(parameter, operation)


class _BadGradientUsed(Exception):
    """Ends the repetition at the optimiser step that would use a bad gradient."""


def _repeat(model: BaseAlgorithm, arguments: Mapping[str, Any], randomness: Randomness, anomaly: bool) -> str:
    """The first parameter with a bad gradient, or with ``anomaly`` the blamed operation; empty if there is none."""
    bad: list[str] = []
    with ExitStack() as stack:
        stack.enter_context(_unchanged(model))
        for name, leaf in leaves(model).items():
            hook = leaf.register_post_accumulate_grad_hook(_reporter(name, bad))  # type: ignore[no-untyped-call]
            stack.callback(hook.remove)
        for optimizer in optimizers_of(model).values():
            stack.enter_context(_without_steps(optimizer, bad))
        if anomaly:
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")  # PyTorch warns that anomaly detection is slow
            stack.enter_context(torch.autograd.set_detect_anomaly(True))
        randomness.restore(model.device)
        try:
            model.train(**arguments)  # type: ignore[attr-defined]
        except _BadGradientUsed:
            return "" if anomaly else bad[0]
        except Exception as error:  # only the first error is reported, whatever fails here
            blamed = re.search(r"Function '(\w+)' returned nan", str(error))
            return blamed[1] if anomaly and blamed else ""
    return ""


def _reporter(name: str, bad: list[str]) -> Callable[[Tensor], None]:
    def report(leaf: Tensor) -> None:
        if leaf.grad is not None and not bool(leaf.grad.isfinite().all()):
            bad.append(name)

    return report


@contextmanager
def _without_steps(optimizer: Optimizer, bad: list[str]) -> Iterator[None]:
    gradients = Gradients(optimizer)

    def step(closure: object = None) -> None:
        if bad and not gradients.finite():
            raise _BadGradientUsed
        bad.clear()  # gradients that no optimiser uses, such as those of SAC's critic from the actor loss

    optimizer.step = step  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        del optimizer.step


@contextmanager
def _unchanged(model: BaseAlgorithm) -> Iterator[None]:
    """Restore everything that an update changes, target networks and running statistics included."""
    numbers = named_numbers(model)
    originals = {name: tensor.clone() for name, tensor in numbers.items()}
    updates = model._n_updates
    try:
        yield
    finally:
        with torch.no_grad():
            for name, tensor in originals.items():
                numbers[name].copy_(tensor)
        model._n_updates = updates
