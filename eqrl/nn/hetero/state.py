"""What a node knows, and the two kinds of layers that act on a single node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from eqrl.nn.hetero.geometry import Algebra, cross, dot, quarter_turn, soft_clip, soft_clip_numbers
from eqrl.nn.perceptron import Activation, activation_type, linear

GAIN = 2.0**0.5


class State(NamedTuple):
    """Features of n nodes, of one type, in a batch.

    Attributes:
        even: true invariants, ``(B, n, width)``.
        odd: pseudoscalars, ``(B, n, channels)``; None without mirrors, where they count as invariants.
        polar: polar vectors, ``(B, n, space, channels)``.
        axial: axial vectors, likewise; None in the plane and without mirrors.
    """

    even: Tensor
    odd: Tensor | None
    polar: Tensor
    axial: Tensor | None


class Counts(NamedTuple):
    """Numbers of true invariants, pseudoscalars, polar and axial vectors."""

    even: int
    odd: int
    polar: int
    axial: int


class Mix(nn.Module):
    """Linear combinations of vectors; in the plane without mirrors, the vectors turned by 90 degrees take part."""

    def __init__(self, algebra: Algebra, inputs: int, outputs: int, gain: float = 1.0) -> None:
        super().__init__()
        self.turned = algebra.plane and not algebra.mirrors
        self.map = linear(inputs * (2 if self.turned else 1), outputs, gain, bias=False)

    def forward(self, v: Tensor) -> Tensor:
        """Map ``(..., space, inputs)`` to ``(..., space, outputs)``."""
        mixed: Tensor = self.map(torch.cat([v, quarter_turn(v)], dim=-1) if self.turned else v)
        return mixed


class Products(nn.Module):
    """Bounds the vectors of a node and takes their products: inner ones, and those that turn left or right.

    In the plane these are inner products with vectors turned by 90 degrees, in space cross products, and inner products
    of polar with axial vectors.

    Attributes:
        count: number of invariants.
    """

    def __init__(self, algebra: Algebra, channels: int) -> None:
        super().__init__()
        self.algebra, n = algebra, channels
        self.n = n
        self.factors = linear(n, 2 * n, 1.0, bias=False)
        self.axial_factors = linear(n, 2 * n, 1.0, bias=False) if algebra.axial else None
        self.crosses = None if algebra.plane else linear(n, n, 0.5, bias=False)
        self.odd = linear(n, n, 1.0, bias=False) if algebra.mirrors else None
        # even products of polar and of axial vectors, or even and odd ones in the plane; sizes of pseudoscalars
        self.count = n * (1 + (algebra.plane or algebra.axial))

    def forward(self, odd: Tensor | None, polar: Tensor, axial: Tensor | None) -> tuple[Tensor, State]:
        """Invariants, and the bounded features in a state whose invariants are left empty.

        Args:
            odd: pseudoscalars ``(B, n, channels)`` before products are added to them.
            polar: polar vectors of any length, ``(B, n, space, channels)``.
            axial: axial vectors, likewise.
        """
        polar = soft_clip(polar)
        left, right = self.factors(polar).split(self.n, dim=-1)
        if self.crosses is not None:
            turning = self.crosses(cross(left, right))
            if axial is None:
                polar = soft_clip(polar + turning)
            else:
                axial = soft_clip(axial + turning)
        invariants = [dot(left, right)]
        twist = None
        if self.algebra.plane:
            twist = dot(quarter_turn(left), right)
        elif axial is not None and self.axial_factors is not None:
            axial_left, axial_right = self.axial_factors(axial).split(self.n, dim=-1)
            invariants.append(dot(axial_left, axial_right))
            twist = dot(left, axial_left)
        if odd is not None and self.odd is not None:
            assert twist is not None
            odd = soft_clip_numbers(odd + self.odd(twist))
            if self.algebra.plane:
                invariants.append(odd.abs())
            else:
                invariants[1] = invariants[1] + odd.abs()
        elif twist is not None:
            invariants.append(twist)
        joined = torch.cat(invariants, dim=-1) if len(invariants) > 1 else invariants[0]
        return joined, State(polar[..., :0, 0], odd, polar, axial)


class Embedding(nn.Module):
    """From the inputs of a node, and those of the whole scene, to its state."""

    def __init__(
        self,
        algebra: Algebra,
        inputs: Counts,
        outer: Counts,
        width: int,
        channels: int,
        activation: Activation,
        codes: int = 0,
    ) -> None:
        """Build the maps.

        Args:
            algebra: kind of vectors.
            inputs: what each node has.
            outer: what the scene has.
            width: number of invariants.
            channels: number of vectors of each kind.
            activation: of the invariants.
            codes: number of learnt codes that tell nodes apart.
        """
        super().__init__()
        self.products = Products(algebra, channels)
        self.even = linear(inputs.even, width, GAIN)
        self.invariants = linear(self.products.count, width, GAIN, bias=False)
        self.outer_even = linear(outer.even, width, 1.0, bias=False) if outer.even else None
        self.polar = Mix(algebra, inputs.polar, channels)
        self.outer_polar = Mix(algebra, outer.polar, channels) if outer.polar else None
        self.axial = Mix(algebra, inputs.axial, channels) if algebra.axial else None
        self.outer_axial = Mix(algebra, outer.axial, channels) if algebra.axial and outer.axial else None
        self.odd = linear(inputs.odd, channels, 1.0, bias=False) if algebra.mirrors else None
        self.outer_odd = linear(outer.odd, channels, 1.0, bias=False) if algebra.mirrors and outer.odd else None
        self.codes = nn.Parameter(torch.zeros(codes, width)) if codes else None
        self.activation = activation_type(activation)()

    def forward(self, inputs: State, outer: State, code: Tensor | None = None) -> State:
        """Embed.

        Args:
            inputs: inputs of n nodes; the numbers of channels are those of the constructor.
            outer: inputs of the scene, as those of one node.
            code: which code each node has, ``(n,)``.
        """
        even = self.even(inputs.even)
        if self.outer_even is not None:
            even = even + self.outer_even(outer.even)
        if self.codes is not None:
            even = even + (self.codes if code is None else self.codes[code])
        polar = self.polar(inputs.polar)
        if self.outer_polar is not None:
            polar = polar + self.outer_polar(outer.polar)
        axial, odd = None, None
        if self.axial is not None:
            axial = self.axial(inputs.axial)
            if self.outer_axial is not None:
                axial = axial + self.outer_axial(outer.axial)
        if self.odd is not None:
            odd = self.odd(inputs.odd)
            if self.outer_odd is not None:
                odd = odd + self.outer_odd(outer.odd)
        invariants, state = self.products(odd, polar, axial)
        return state._replace(even=self.activation(even + self.invariants(invariants)))


class Update(nn.Module):
    """The state of a node after it has received messages."""

    def __init__(self, algebra: Algebra, width: int, channels: int, messages: int, activation: Activation) -> None:
        """Build the maps.

        Args:
            algebra: kind of vectors.
            width: number of invariants.
            channels: number of vectors of each kind.
            messages: number of messages that a node receives.
            activation: of the invariants.
        """
        super().__init__()
        self.products = Products(algebra, channels)
        self.even = linear((1 + messages) * width + self.products.count, width, GAIN)
        self.polar = Mix(algebra, channels, channels)
        self.axial = Mix(algebra, channels, channels) if algebra.axial else None
        self.odd = linear(channels, channels, 1.0, bias=False) if algebra.mirrors else None
        self.activation = activation_type(activation)()

    def forward(self, state: State, messages: Sequence[State]) -> State:
        """The new state, of the same shapes; every message is a state with one row for each node."""
        polar, axial, odd = self.polar(state.polar), None, None
        if self.axial is not None:
            axial = self.axial(state.axial)
        if self.odd is not None:
            odd = self.odd(state.odd)
        for message in messages:
            polar = polar + message.polar
            if axial is not None and message.axial is not None:
                axial = axial + message.axial
            if odd is not None and message.odd is not None:
                odd = odd + message.odd
        invariants, new = self.products(odd, polar, axial)
        even = torch.cat([state.even, *(message.even for message in messages), invariants], dim=-1)
        return new._replace(even=self.activation(self.even(even)))
