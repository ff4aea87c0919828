"""After a gradient was not finite: repeat the update without its steps, and see where the first bad gradient arises.

By the time the optimiser is called, PPO has clipped the gradients by their common length, and one bad entry has spoilt them
all. So the names come from a repetition in which every parameter reports as soon as its own gradient is there. The random
numbers are those of the original update and no optimiser steps, so that the failed minibatch comes again, with the parameters
that it failed with.
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
    """What the repetition showed.

    Attributes:
        parameter: the parameter whose gradient was the first that is not finite; empty if none was.
        operation: the operation that autograd blames for a NaN, empty if it blames none.
    """

    parameter: str = ""
    operation: str = ""


def autopsy(model: BaseAlgorithm, arguments: Mapping[str, Any], randomness: Randomness | None) -> Cause:
    """Repeat the last update, once for the parameter and once for the operation.

    The model has its parameters back afterwards, and no hooks stay on it.

    Args:
        model: stopped within ``train``.
        arguments: what ``train`` was called with.
        randomness: the global random numbers when it was called, None if they are not known.
    """
    before = Randomness.now(model.device)
    try:
        parameter = _repeat(model, arguments, randomness or before, anomaly=False)
        operation = _repeat(model, arguments, randomness or before, anomaly=True) if parameter else ""
    finally:
        before.restore(model.device)
    return Cause(parameter, operation)


class _Found(Exception):
    """Ends the repetition at the step that would have used a bad gradient."""


def _repeat(model: BaseAlgorithm, arguments: Mapping[str, Any], randomness: Randomness, anomaly: bool) -> str:
    """Name of the first parameter with a bad gradient, or with ``anomaly`` the operation; empty if there is none."""
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
            warnings.simplefilter("ignore")  # PyTorch announces that it is slow now
            stack.enter_context(torch.autograd.set_detect_anomaly(True))
        randomness.restore(model.device)
        try:
            model.train(**arguments)  # type: ignore[attr-defined]
        except _Found:
            return "" if anomaly else bad[0]
        except Exception as error:  # whatever goes wrong here, the first error is the one to tell
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
            raise _Found
        bad.clear()  # a gradient that no optimiser uses, as SAC's critic gets from the loss of its actor

    optimizer.step = step  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        del optimizer.step


@contextmanager
def _unchanged(model: BaseAlgorithm) -> Iterator[None]:
    """Updates move targets and running statistics besides; put everything back."""
    numbers = named_numbers(model)
    kept = {name: tensor.clone() for name, tensor in numbers.items()}
    updates = model._n_updates
    try:
        yield
    finally:
        with torch.no_grad():
            for name, tensor in kept.items():
                numbers[name].copy_(tensor)
        model._n_updates = updates
