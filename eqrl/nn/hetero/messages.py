"""Messages along typed edges."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from eqrl.nn.hetero.edges import Edges
from eqrl.nn.hetero.geometry import Algebra, cross, quarter_turn
from eqrl.nn.hetero.state import State
from eqrl.nn.perceptron import Activation, activation_type, linear


class Partners(nn.Module):
    """Vectors of a node whose inner products with the direction of an edge describe how the node sees that edge.

    The first ``n`` products are even, the others turn left or right: in the plane they are those with the vectors
    turned by 90 degrees, in space those with axial vectors. Without them no edge tells which sign a yaw error has.
    """

    def __init__(self, algebra: Algebra, channels: int) -> None:
        super().__init__()
        self.algebra = algebra
        single = not algebra.plane and not algebra.mirrors
        self.polar = linear(channels, 2 * channels if single else channels, 1.0, bias=False)
        self.axial = linear(channels, channels, 1.0, bias=False) if algebra.axial else None

    def forward(self, state: State) -> Tensor:
        """Map a state to vectors ``(B, n, space, 2 * channels)``."""
        mixed: Tensor = self.polar(state.polar)
        if self.algebra.plane:
            return torch.cat([mixed, quarter_turn(mixed)], dim=-1)
        return mixed if self.axial is None else torch.cat([mixed, self.axial(state.axial)], dim=-1)


class Message(nn.Module):
    """Messages of one type of edges.

    The hidden layer of an edge is the activation of ``A S_u + D S_v + I i``, with invariants S_u and S_v of receiver
    and sender and invariants i of the edge: distance, height, and products of its direction with vectors of both ends.
    A and D are computed once for each node. A message consists of the mean hidden layer, of the direction and the
    sender's vectors with coefficients from it, and of pseudoscalars or axial vectors likewise.
    """

    def __init__(
        self, algebra: Algebra, width: int, channels: int, invariants: int, activation: Activation, types: int = 0
    ) -> None:
        """Build the maps.

        Args:
            algebra: kind of vectors.
            width: number of invariants of a node.
            channels: number of vectors of each kind.
            invariants: number of the invariants of an edge, 0 where its ends have no positions.
            activation: of the hidden layer.
            types: number of types of edges that share these weights and are told apart by a code; 0 for one type.
        """
        super().__init__()
        self.algebra, self.channels = algebra, channels
        n = channels
        self.receiver = linear(width, width, 1.0)
        self.sender = linear(width, width, 1.0, bias=False)
        self.receiver_partners = Partners(algebra, n) if invariants else None
        self.sender_partners = Partners(algebra, n) if invariants else None
        self.edge = linear(invariants + 4 * n, width, 1.0, bias=False) if invariants else None
        self.types = nn.Parameter(torch.zeros(types, width)) if types else None
        self.activation = activation_type(activation)()
        # coefficients of: the direction, the sender's vectors, and what the algebra adds to them
        if algebra.plane:
            self.parts = [n, n] if algebra.mirrors else [n, n, n, n]
        else:
            self.parts = [n] * 6 if algebra.mirrors else [n] * 4
        self.parts += [n, 2 * n] if algebra.mirrors else []  # and of pseudoscalars: the sender's, and the edge's
        self.coefficients = linear(width, sum(self.parts), 1.0)
        self.polar = linear(n, n, 1.0, bias=False)
        self.turning = None if algebra.plane else linear(n, n, 1.0, bias=False)
        self.receiver_turning = None if algebra.plane else linear(n, n, 1.0, bias=False)
        self.axial = linear(n, n, 1.0, bias=False) if algebra.axial else None
        self.odd = linear(n, n, 1.0, bias=False) if algebra.mirrors else None
        self.odd_edge = linear(2 * n, n, 1.0, bias=False) if algebra.mirrors and invariants else None

    def forward(self, receiver: State, sender: State, edges: Edges, kind: int = 0) -> State:
        """Messages to all receivers, as a state.

        Args:
            receiver: states of the receivers.
            sender: states of the senders.
            edges: the edges between them.
            kind: which of the types of edges this is.
        """
        count = receiver.even.shape[1]
        base = self.receiver(receiver.even)
        if self.types is not None:
            base = base + self.types[kind]
        hidden = base.unsqueeze(2) + edges.of_senders(self.sender(sender.even), count)
        odd = None
        if (
            self.edge is not None
            and self.receiver_partners is not None
            and self.sender_partners is not None
            and edges.direction is not None
            and edges.invariants is not None
        ):
            direction = edges.direction.unsqueeze(-1)
            ours = (direction * self.receiver_partners(receiver).unsqueeze(2)).sum(3)
            theirs = (direction * edges.of_senders(self.sender_partners(sender), count)).sum(3)
            products = torch.cat([ours, theirs], dim=-1)
            if self.algebra.mirrors:
                even_ours, odd_ours = ours.chunk(2, dim=-1)
                even_theirs, odd_theirs = theirs.chunk(2, dim=-1)
                odd = torch.cat([odd_ours, odd_theirs], dim=-1)
                products = torch.cat([even_ours, even_theirs, odd.abs()], dim=-1)
            hidden = hidden + self.edge(torch.cat([edges.invariants, products], dim=-1))
        hidden = self.activation(hidden)
        coefficients = self.coefficients(hidden).split(self.parts, dim=-1)
        if self.algebra.plane:
            polar, axial = self._in_plane(coefficients, sender, edges, count), None
        else:
            polar, axial = self._in_space(coefficients, receiver, sender, edges, count)
        return State(
            edges.mean(hidden),
            self._pseudoscalars(coefficients, odd, sender, edges, count),
            edges.mean(polar),
            None if axial is None else edges.mean(axial),
        )

    def _in_plane(self, coefficients: tuple[Tensor, ...], sender: State, edges: Edges, count: int) -> Tensor:
        """Vectors ``(B, receivers, senders, 2, channels)``."""
        passed = edges.of_senders(self.polar(sender.polar), count)
        if self.algebra.mirrors:
            along, coefficient = coefficients[:2]
            polar = coefficient.unsqueeze(-2) * passed
            return polar if edges.direction is None else polar + along.unsqueeze(-2) * edges.direction.unsqueeze(-1)
        along, across, coefficient, turned = coefficients
        polar = coefficient.unsqueeze(-2) * passed + turned.unsqueeze(-2) * quarter_turn(passed)
        if edges.direction is None:
            return polar
        direction = edges.direction.unsqueeze(-1)
        return polar + along.unsqueeze(-2) * direction + across.unsqueeze(-2) * quarter_turn(direction)

    def _in_space(
        self, coefficients: tuple[Tensor, ...], receiver: State, sender: State, edges: Edges, count: int
    ) -> tuple[Tensor, Tensor | None]:
        """Polar and axial vectors ``(B, receivers, senders, 3, channels)``."""
        assert self.turning is not None
        assert self.receiver_turning is not None
        along, passed, ours, theirs = (c.unsqueeze(-2) for c in coefficients[:4])
        polar = passed * edges.of_senders(self.polar(sender.polar), count)
        turning = None
        if edges.direction is not None:
            direction = edges.direction.unsqueeze(-1)
            polar = polar + along * direction
            left = ours * self.receiver_turning(receiver.polar).unsqueeze(2)
            right = theirs * edges.of_senders(self.turning(sender.polar), count)
            turning = _crossed(direction, left + right)
        if self.axial is None:
            return (polar if turning is None else polar + turning), None
        axial_passed, about = (c.unsqueeze(-2) for c in coefficients[4:6])
        spin = edges.of_senders(self.axial(sender.axial), count)
        axial = axial_passed * spin
        if turning is not None and edges.direction is not None:
            axial = axial + turning
            polar = polar + _crossed(edges.direction.unsqueeze(-1), about * spin)
        return polar, axial

    def _pseudoscalars(
        self, coefficients: tuple[Tensor, ...], odd: Tensor | None, sender: State, edges: Edges, count: int
    ) -> Tensor | None:
        """Mean pseudoscalars ``(B, receivers, channels)``; None without mirrors."""
        if self.odd is None:
            return None
        passed, gates = coefficients[-2:]
        message = edges.mean(passed * edges.of_senders(self.odd(sender.odd), count))
        if odd is None or self.odd_edge is None:
            return message
        turned: Tensor = message + self.odd_edge(edges.mean(gates * odd))
        return turned


def _crossed(direction: Tensor, v: Tensor) -> Tensor:
    """Cross products of directions ``(..., 3, 1)`` with vectors ``(..., 3, channels)``."""
    return cross(direction.expand_as(v), v)
