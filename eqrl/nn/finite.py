"""A multilayer perceptron that commutes with a finite group and has regular representations in its hidden layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import ceil, sqrt
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from eqrl.nn.perceptron import Activation, activation_type
from eqrl.nn.tied import Average, Convolve, Lift, Project, Tied, relations
from eqrl.symmetry import Group


class FinitePerceptron(nn.Module):
    """Tied linear layers with activations in between, which may act on each channel of a regular representation.

    Every forward pass builds the dense weights, so that gradients reach the free ones; this costs little compared with
    a batch. ``freeze`` caches the dense weights, and a forward pass is then that of a plain perceptron. The cache is
    never part of the state dict, follows ``.to()`` and ``load_state_dict``, and is dropped by ``train()``.

    Attributes:
        frozen: whether the dense weights are cached.
    """

    def __init__(
        self,
        group: Group,
        in_matrices: Tensor,
        out_matrices: Tensor,
        hidden: Sequence[int],
        activation: Activation,
        output_gain: float,
    ) -> None:
        """Build the layers.

        Args:
            group: a finite group.
            in_matrices: matrices of its elements on the input, shape ``(order, in, in)``, float64.
            out_matrices: matrices of its elements on the output, shape ``(order, out, out)``, float64.
            hidden: widths of the hidden layers; each is rounded up to a multiple of the group's order.
            activation: activation, by name or type.
            output_gain: gain of the last layer's initial weights.
        """
        super().__init__()
        order = len(in_matrices)
        copies = [ceil(width / order) for width in hidden]
        layers: list[Tied] = []
        if not copies:
            layers.append(Average(in_matrices, out_matrices, output_gain))
        else:
            relative = relations(group)
            layers.append(Lift(in_matrices, copies[0], sqrt(2.0)))
            layers += [Convolve(relative, a, b, sqrt(2.0)) for a, b in pairwise(copies)]
            layers.append(Project(out_matrices, copies[-1], output_gain))
        self.layers = nn.ModuleList(layers)
        self.activation = activation_type(activation)()
        # a plain attribute: neither a parameter nor a buffer, and cheap to read
        self._dense: list[tuple[Tensor, Tensor | None]] | None = None
        self.register_load_state_dict_post_hook(_renew)  # type: ignore[no-untyped-call]

    def replace(self, change: Callable[[Tied], Tied]) -> None:
        """Put in the place of each layer what a function makes of it."""
        self.layers = nn.ModuleList(change(layer) for layer in self._tied())

    @property
    def frozen(self) -> bool:
        """Whether the dense weights are cached."""
        return self._dense is not None

    def freeze(self) -> Self:
        """Switch to evaluation mode and cache the dense weights; parameters then get no gradients."""
        self.eval()
        self.renew()
        return self

    @torch.no_grad()
    def renew(self) -> None:
        """Compute the cached dense weights from the parameters again."""
        self._dense = [(w.contiguous(), b) for w, b in (layer.dense() for layer in self._tied())]

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, in)`` to ``(B, out)``."""
        dense = [layer.dense() for layer in self._tied()] if self._dense is None else self._dense
        for weight, bias in dense[:-1]:
            x = self.activation(functional.linear(x, weight, bias))
        return functional.linear(x, *dense[-1])

    def train(self, mode: bool = True) -> Self:
        """Switch to training mode, which drops the cache of ``freeze``, or to evaluation mode, which keeps it."""
        if mode:
            self._dense = None
        return super().train(mode)

    def _tied(self) -> list[Tied]:
        return [layer for layer in self.layers if isinstance(layer, Tied)]

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if self.frozen:
            self.renew()
        return self


def _renew(module: nn.Module, _incompatible_keys: Any) -> None:
    """Renew the cache after new weights have been loaded."""
    if isinstance(module, FinitePerceptron) and module.frozen:
        module.renew()
