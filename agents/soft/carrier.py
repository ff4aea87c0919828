"""How a term enters a loss that a library computes in one piece.

SB3's ``train()`` has no hook for additional terms. A term is attached to a tensor from which the loss is computed, by
an identity whose backward pass also starts the gradient of the term. Gradient clipping and the optimiser then see the
sum, no code of SB3 is copied, and SB3's classes stay unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

Function = Callable[..., Any]


class _Carrier(torch.autograd.Function):
    """The identity, whose backward pass also starts that of a loss."""

    @staticmethod
    def forward(ctx: Any, carrier: Tensor, loss: Tensor) -> Tensor:
        return carrier.view_as(carrier)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        return grad, grad.new_ones(())


def carry(carrier: Tensor, loss: Tensor | None) -> Tensor:
    """The carrier, equal to the bit, whose backward pass adds the gradient of a scalar loss."""
    if loss is None:
        return carrier
    carried: Tensor = _Carrier.apply(carrier, loss)  # type: ignore[no-untyped-call]
    return carried


@contextmanager
def replaced(owner: Any, method: str, wrapper: Callable[[Function], Function]) -> Iterator[None]:
    """Replace a method of one object temporarily."""
    instance_attribute = vars(owner).get(method)  # usually None, because methods belong to the class
    setattr(owner, method, wrapper(getattr(owner, method)))
    try:
        yield
    finally:
        if instance_attribute is None:
            delattr(owner, method)
        else:
            setattr(owner, method, instance_attribute)
