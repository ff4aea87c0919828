"""The plain multilayer perceptron inside several backbones, initialised as in Stable-Baselines3."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from math import sqrt

import torch
from torch import Tensor, nn

Activation = type[nn.Module] | str

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "silu": nn.SiLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
}


def activation_type(activation: Activation) -> type[nn.Module]:
    """The module type of an activation that is given by name or as the type itself.

    Raises:
        ValueError: for an unknown name; the message lists the known ones.
    """
    if not isinstance(activation, str):
        return activation
    try:
        return ACTIVATIONS[activation]
    except KeyError:
        raise ValueError(f"unknown activation {activation!r}; the names are {sorted(ACTIVATIONS)}") from None


class BatchLast(nn.Linear):
    """A linear layer on inputs whose last axis is the batch.

    The weights ``(n_out, n_in)`` may have a leading axis of ensemble members, see :mod:`eqrl.nn.ensemble`. With the
    batch last, every product of the forward and backward pass is laid out as the next operation reads it, also for
    several members.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(n_in, B)`` to ``(n_out, B)``.

        Several members give ``(members, n_out, B)``, even for one common input.
        """
        if self.weight.dim() == 2:
            y = torch.mm(self.weight, x)
        else:
            y = torch.bmm(self.weight, x.expand(len(self.weight), *x.shape[-2:]))
        # added in place, while the product is in the cache; PyTorch's annotation says that there always is a bias
        bias: Tensor | None = self.bias
        return y if bias is None else y.add_(bias.unsqueeze(-1))


def linear(n_in: int, n_out: int, gain: float, bias: bool = True, kind: type[nn.Linear] = nn.Linear) -> nn.Linear:
    """A linear layer with orthogonal weights of the given gain and zero bias."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Initializing zero-element tensors")  # some layers have no inputs or outputs
        layer = kind(n_in, n_out, bias=bias)
    if n_in and n_out:
        nn.init.orthogonal_(layer.weight, gain)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


def hidden_layers(
    n_in: int, hidden: Sequence[int], activation: Activation, kind: type[nn.Linear] = nn.Linear
) -> tuple[list[nn.Module], int]:
    """Linear layers of the given widths, each with its activation, and the width of the last one."""
    function = activation_type(activation)
    layers: list[nn.Module] = []
    for width in hidden:
        # a ReLU may overwrite its input, which nothing else needs
        layers += [
            linear(n_in, width, sqrt(2.0), kind=kind),
            nn.ReLU(inplace=True) if function is nn.ReLU else function(),
        ]
        n_in = width
    return layers, n_in


def perceptron(
    n_in: int,
    hidden: Sequence[int],
    n_out: int,
    activation: Activation,
    output_gain: float,
) -> nn.Sequential:
    """A multilayer perceptron ``(B, n_in) -> (B, n_out)``.

    Args:
        n_in: width of the input.
        hidden: widths of the hidden layers; an empty sequence gives a linear map.
        n_out: width of the output.
        activation: activation after each hidden layer.
        output_gain: gain of the last layer; PPO uses 0.01 for actors and 1 for values.
    """
    layers, width = hidden_layers(n_in, hidden, activation)
    return nn.Sequential(*layers, linear(width, n_out, output_gain))
