"""A multilayer perceptron that commutes with a finite group, with regular representations inside."""

from __future__ import annotations

from collections.abc import Sequence
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
    """Tied linear layers with activations between them, which regular representations allow to act on each channel.

    Dense weights are built in every forward pass, so that gradients reach the free ones, at a small share of the cost of a
    batch. ``freeze`` keeps them, and a forward pass is then that of a plain perceptron. What is kept is never part of the
    state dict, follows ``.to()`` and ``load_state_dict``, and is dropped by ``train()``.

    Attributes:
        frozen: whether the dense weights are kept.
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
            hidden: widths of the hidden layers; each is rounded up to whole regular representations.
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
        self._kept: list[tuple[Tensor, Tensor | None]] | None = None
        self.register_load_state_dict_post_hook(_renew)  # type: ignore[no-untyped-call]

    @property
    def frozen(self) -> bool:
        """Whether the dense weights are kept."""
        return self._kept is not None

    def freeze(self) -> Self:
        """Switch to evaluation and keep the dense weights from now on; parameters get no gradients then."""
        self.eval()
        self.renew()
        return self

    @torch.no_grad()
    def renew(self) -> None:
        """Take the dense weights from the parameters anew."""
        self._kept = [(w.contiguous(), b) for w, b in (layer.dense() for layer in self._tied())]

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, in)`` to ``(B, out)``."""
        kept = self._kept
        dense = [layer.dense() for layer in self._tied()] if kept is None else kept
        for weight, bias in dense[:-1]:
            x = self.activation(functional.linear(x, weight, bias))
        return functional.linear(x, *dense[-1])

    def train(self, mode: bool = True) -> Self:
        """Switch to training, which drops what ``freeze`` keeps, or to evaluation, which does not."""
        if mode:
            self._kept = None
        return super().train(mode)

    def _tied(self) -> list[Tied]:
        return [layer for layer in self.layers if isinstance(layer, Tied)]

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if self.frozen:
            self.renew()
        return self


def _renew(module: nn.Module, _incompatible_keys: Any) -> None:
    """After new weights have been loaded."""
    if isinstance(module, FinitePerceptron) and module.frozen:
        module.renew()
