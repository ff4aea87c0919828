"""What a node knows, and the layers that act on a single node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from eqrl.nn.hetero.geometry import Algebra, Rows, cross, dot, quarter_turn, soft_clip, soft_clip_numbers, twist
from eqrl.nn.perceptron import Activation, activation_type, linear

_GAIN = 2.0**0.5


class State(NamedTuple):
    """Features of n nodes of one type in a batch. Batch and nodes are the last axes.

    Attributes:
        even: true invariants, ``(width, n, B)``.
        odd: pseudoscalars, ``(channels, n, B)``; None without mirrors, where they count as invariants.
        polar: polar vectors, ``(channels, space, n, B)``.
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


NOTHING = Counts(0, 0, 0, 0)


def rows(inputs: int, outputs: int, gain: float = 1.0, *, bias: bool = False) -> Rows:
    """A linear layer on the first axis."""
    layer = linear(inputs, outputs, gain, bias=bias, kind=Rows)
    assert isinstance(layer, Rows)
    return layer


def rectifier(activation: Activation) -> nn.Module:
    """An activation; a ReLU overwrites its input, which nothing else needs."""
    function = activation_type(activation)
    return nn.ReLU(inplace=True) if function is nn.ReLU else function()


class Mix(nn.Module):
    """Linear combinations of vectors; in the plane without mirrors, the vectors turned by 90 degrees take part."""

    def __init__(self, algebra: Algebra, inputs: int, outputs: int) -> None:
        super().__init__()
        self.turned = algebra.plane and not algebra.mirrors
        self.map = rows(inputs * (2 if self.turned else 1), outputs)

    def forward(self, v: Tensor) -> Tensor:
        """Map ``(inputs, space, *rest)`` to ``(outputs, space, *rest)``."""
        mixed: Tensor = self.map(torch.cat([v, quarter_turn(v)]) if self.turned else v)
        return mixed


class Products(nn.Module):
    """Products of the vectors of a node: inner ones, and those that turn left or right.

    The latter are inner products with vectors turned by 90 degrees in the plane. In space they are cross products,
    which join the vectors, and inner products of polar with axial vectors.

    Attributes:
        count: number of invariants.
    """

    def __init__(self, algebra: Algebra, channels: int, *, clip: bool) -> None:
        """Build the maps.

        Args:
            algebra: kind of vectors.
            channels: number of vectors of each kind.
            clip: whether to bound vectors and pseudoscalars first.
        """
        super().__init__()
        self.algebra, self.channels, self.clip = algebra, channels, clip
        n = channels
        self.factors = rows(n, 2 * n)
        self.axial_factors = rows(n, 2 * n) if algebra.axial else None
        self.crosses = None if algebra.plane else rows(n, n, 0.5)
        self.odd = rows(n, n) if algebra.mirrors else None
        # inner products of polar vectors; of axial ones; what turns, or its size under mirrors
        self.count = n * (1 + algebra.axial + (algebra.plane or algebra.axial))

    def forward(self, odd: Tensor | None, polar: Tensor, axial: Tensor | None) -> tuple[Tensor, State]:
        """Invariants ``(count, n, B)``, and a state whose invariants are left empty.

        Args:
            odd: pseudoscalars ``(channels, n, B)``, to which products are added.
            polar: polar vectors ``(channels, space, n, B)``.
            axial: axial vectors, likewise.
        """
        if self.clip:
            polar = soft_clip(polar)
            axial = None if axial is None else soft_clip(axial)
        left, right = self.factors(polar).chunk(2)
        invariants, turning = [dot(left, right)], None
        if self.algebra.plane:
            turning = twist(left, right)
        elif self.crosses is not None:
            products = self.crosses(cross(left, right))
            if axial is None or self.axial_factors is None:
                polar = polar + products
            else:
                axial = axial + products
                axial_left, axial_right = self.axial_factors(axial).chunk(2)
                invariants.append(dot(axial_left, axial_right))
                turning = dot(left, axial_left)
        if odd is not None and self.odd is not None:
            assert turning is not None
            odd = self.odd.added(odd, turning)
            if self.clip:
                odd = soft_clip_numbers(odd)
            invariants.append(odd.abs())
        elif turning is not None:
            invariants.append(turning)
        joined = torch.cat(invariants) if len(invariants) > 1 else invariants[0]
        return joined, State(polar[:0, 0], odd, polar, axial)


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
        *,
        codes: int = 0,
        clip: bool = False,
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
            clip: whether to bound vectors, for inputs that are not bounded.
        """
        super().__init__()
        self.products = Products(algebra, channels, clip=clip)
        self.even = rows(inputs.even, width, _GAIN, bias=True)
        self.invariants = rows(self.products.count, width, _GAIN)
        self.polar = Mix(algebra, inputs.polar, channels)
        self.axial = Mix(algebra, inputs.axial, channels) if algebra.axial else None
        self.odd = rows(inputs.odd, channels) if algebra.mirrors else None
        self.outer_even = rows(outer.even, width) if outer.even else None
        self.outer_polar = Mix(algebra, outer.polar, channels) if outer.polar else None
        self.outer_axial = Mix(algebra, outer.axial, channels) if algebra.axial and outer.axial else None
        self.outer_odd = rows(outer.odd, channels) if algebra.mirrors and outer.odd else None
        self.codes = nn.Parameter(torch.zeros(width, codes)) if codes else None
        self.activation = rectifier(activation)

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
        if self.codes is not None and code is not None:
            even = even + self.codes.index_select(1, code).unsqueeze(2)
        polar = self.polar(inputs.polar)
        if self.outer_polar is not None:
            polar = polar + self.outer_polar(outer.polar)
        axial = None if self.axial is None else self.axial(inputs.axial)
        if axial is not None and self.outer_axial is not None:
            axial = axial + self.outer_axial(outer.axial)
        odd = None if self.odd is None else self.odd(inputs.odd)
        if odd is not None and self.outer_odd is not None:
            odd = odd + self.outer_odd(outer.odd)
        invariants, state = self.products(odd, polar, axial)
        return State(self.activation(self.invariants.added(even, invariants)), *state[1:])


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
        self.products = Products(algebra, channels, clip=True)
        self.even = rows((1 + messages) * width + self.products.count, width, _GAIN, bias=True)
        self.polar = Mix(algebra, channels, channels)
        self.axial = Mix(algebra, channels, channels) if algebra.axial else None
        self.odd = rows(channels, channels) if algebra.mirrors else None
        self.activation = rectifier(activation)

    def forward(self, state: State, messages: Sequence[State]) -> State:
        """The new state, of the same shapes; every message is a state with one row for each node."""
        polar = self.polar(state.polar)
        axial = None if self.axial is None else self.axial(state.axial)
        odd = None if self.odd is None else self.odd(state.odd)
        for message in messages:
            polar = polar + message.polar
            axial = None if axial is None or message.axial is None else axial + message.axial
            odd = None if odd is None or message.odd is None else odd + message.odd
        invariants, new = self.products(odd, polar, axial)
        even = torch.cat([state.even, *(message.even for message in messages), invariants])
        return State(self.activation(self.even(even)), *new[1:])


def total(messages: Sequence[State]) -> State:
    """The sum of messages."""
    first = messages[0]
    for message in messages[1:]:
        odd = None if first.odd is None or message.odd is None else first.odd + message.odd
        axial = None if first.axial is None or message.axial is None else first.axial + message.axial
        first = State(first.even + message.even, odd, first.polar + message.polar, axial)
    return first
