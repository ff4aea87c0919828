"""Messages along typed edges."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from eqrl.nn.hetero.edges import Edges
from eqrl.nn.hetero.geometry import Algebra, cross, dot, quarter_turn, twist
from eqrl.nn.hetero.state import State, rectifier, rows
from eqrl.nn.perceptron import Activation


class Gather(nn.Module):
    """What a hub receives from the nodes around it, which know where they are relative to it.

    The mean of their invariants, and means of their other features with coefficients from these.
    """

    def __init__(self, algebra: Algebra, width: int, channels: int) -> None:
        super().__init__()
        self.coefficients = rows(width, channels * (1 + algebra.mirrors + algebra.axial), bias=True)
        self.channels = channels

    def forward(self, state: State, edges: Edges) -> State:
        """A message to one receiver, as a state."""
        parts = list(self.coefficients(state.even).split(self.channels))
        polar = edges.mean((parts.pop(0).unsqueeze(1) * state.polar).unsqueeze(-3))
        odd, axial = None, None
        if state.odd is not None:
            odd = edges.mean((parts.pop(0) * state.odd).unsqueeze(-3))
        if state.axial is not None:
            axial = edges.mean((parts.pop(0).unsqueeze(1) * state.axial).unsqueeze(-3))
        return State(edges.mean(state.even.unsqueeze(-3)), odd, polar, axial)


class Message(nn.Module):
    """Messages of one type of edges.

    The hidden layer of an edge is the activation of ``A S_u + D S_v + I i``, with invariants S_u and S_v of receiver
    and sender and invariants i of the edge: distance, height, and products of its direction with vectors of both ends.
    A and D are computed once for each node. Half of the products are even; the others turn left or right, and without
    them no edge tells which sign a yaw error has. A message consists of the mean hidden layer, of the direction and the
    sender's vectors with coefficients from it, and of pseudoscalars or axial vectors likewise.
    """

    def __init__(
        self,
        algebra: Algebra,
        width: int,
        channels: int,
        invariants: int,
        activation: Activation,
        *,
        context: bool = False,
        types: int = 0,
    ) -> None:
        """Build the maps.

        Args:
            algebra: kind of vectors.
            width: number of invariants of a node.
            channels: number of vectors of each kind.
            invariants: number of the invariants of an edge, 0 where its ends have no positions.
            activation: of the hidden layer.
            context: whether the hub of the senders is known to the edge.
            types: number of types of edges that share these weights and are told apart by a code; 0 for one type.
        """
        super().__init__()
        self.algebra, self.channels = algebra, channels
        n = channels
        self.receiver = rows(width, width, bias=True)
        self.sender = rows(width, width)
        self.context = rows(width, width) if context else None
        # vectors of receiver, sender and hub whose products with the direction the edge knows
        kinds = 2 if not algebra.plane and not algebra.mirrors else 1
        self.seen = nn.ModuleList(rows(n, kinds * n) for _ in range(2 + context)) if invariants else None
        self.seen_axial = None
        if invariants and algebra.axial:
            self.seen_axial = nn.ModuleList(rows(n, n) for _ in range(2 + context))
        self.edge = rows(invariants + 4 * n, width) if invariants else None
        self.types = nn.Parameter(torch.zeros(types, width)) if types else None
        self.activation = rectifier(activation)
        # coefficients of: the direction, the sender's vectors, and what the algebra adds to them
        vectors = 2 if algebra.plane and algebra.mirrors else 6 if algebra.axial else 4
        self.parts = [n] * vectors + ([n, 2 * n] if algebra.mirrors else [])  # at last those of pseudoscalars
        self.coefficients = rows(width, sum(self.parts), bias=True)
        self.polar = rows(n, n)
        self.turning = None if algebra.plane else rows(n, n)
        self.receiver_turning = None if algebra.plane else rows(n, n)
        self.axial = rows(n, n) if algebra.axial else None
        self.odd = rows(n, n) if algebra.mirrors else None
        self.odd_edge = rows(2 * n, n) if algebra.mirrors and invariants else None

    def forward(
        self, receiver: State, sender: State, edges: Edges, context: State | None = None, kind: int = 0
    ) -> State:
        """Messages to all receivers, as a state.

        Args:
            receiver: states of the receivers.
            sender: states of the senders.
            edges: the edges between them.
            context: state of the hub of the senders, if they have one.
            kind: which of the types of edges this is.
        """
        base = self.receiver(receiver.even)
        if context is not None and self.context is not None:
            base = base + self.context(context.even)
        if self.types is not None:
            base = base + self.types[kind][:, None, None]
        hidden = base.unsqueeze(2) + edges.of_senders(self.sender(sender.even))
        odd = None
        if self.edge is not None and edges.direction is not None and edges.invariants is not None:
            even, odd = self._products(receiver, sender, edges, edges.direction, context)
            sizes = odd.abs() if self.algebra.mirrors else odd
            hidden = self.edge.added(hidden, torch.cat([edges.invariants, even, sizes]))
        hidden = self.activation(hidden)
        coefficients = self.coefficients(hidden).split(self.parts)
        if self.algebra.plane:
            polar, axial = self._in_plane(coefficients, sender, edges), None
        else:
            polar, axial = self._in_space(coefficients, receiver, sender, edges)
        return State(edges.mean(hidden), self._pseudoscalars(coefficients, odd, sender, edges), polar, axial)

    def _products(
        self, receiver: State, sender: State, edges: Edges, direction: Tensor, context: State | None
    ) -> tuple[Tensor, Tensor]:
        """Even products of the direction with vectors of receiver and sender, and those that turn left or right."""
        assert self.seen is not None
        ends = self._seen(self.seen, (receiver.polar, sender.polar, None if context is None else context.polar), edges)
        along = direction.unsqueeze(0)
        if self.algebra.plane:
            return torch.cat([dot(along, v) for v in ends]), torch.cat([twist(along, v) for v in ends])
        products = [dot(along, v) for v in ends]
        if self.seen_axial is None:
            halves = [product.chunk(2) for product in products]
            return torch.cat([even for even, _ in halves]), torch.cat([turning for _, turning in halves])
        axial = (receiver.axial, sender.axial, None if context is None else context.axial)
        return torch.cat(products), torch.cat([dot(along, v) for v in self._seen(self.seen_axial, axial, edges)])

    def _seen(self, maps: nn.ModuleList, vectors: Sequence[Tensor | None], edges: Edges) -> tuple[Tensor, Tensor]:
        """Vectors of the receiver, to which those of the hub are added, and of the sender."""
        receiver, sender, hub = vectors
        ours = maps[0](receiver)
        if hub is not None and len(maps) > 2:
            ours = ours + maps[2](hub)
        return ours.unsqueeze(-2), edges.of_senders(maps[1](sender))

    def _in_plane(self, coefficients: Sequence[Tensor], sender: State, edges: Edges) -> Tensor:
        """Vectors ``(channels, 2, receivers, B)``."""
        passed = edges.of_senders(self.polar(sender.polar))
        message = _along(coefficients[0], edges, coefficients[1].unsqueeze(1) * passed)
        if self.algebra.mirrors:
            return message
        return message + quarter_turn(_along(coefficients[2], edges, coefficients[3].unsqueeze(1) * passed))

    def _in_space(
        self, coefficients: Sequence[Tensor], receiver: State, sender: State, edges: Edges
    ) -> tuple[Tensor, Tensor | None]:
        """Polar and axial vectors ``(channels, 3, receivers, B)``."""
        assert self.turning is not None
        assert self.receiver_turning is not None
        along, passed, ours, theirs, *further = coefficients[:6] if self.algebra.mirrors else coefficients
        polar = passed.unsqueeze(1) * edges.of_senders(self.polar(sender.polar))
        turning = None
        if edges.direction is not None:
            left = ours.unsqueeze(1) * self.receiver_turning(receiver.polar).unsqueeze(-2)
            right = theirs.unsqueeze(1) * edges.of_senders(self.turning(sender.polar))
            turning = _crossed(edges.direction, left + right)
        if self.axial is None:
            return _along(along, edges, polar if turning is None else polar + turning), None
        spin = edges.of_senders(self.axial(sender.axial))
        axial = further[0].unsqueeze(1) * spin
        if turning is not None and edges.direction is not None:
            axial = axial + turning
            polar = polar + _crossed(edges.direction, further[1].unsqueeze(1) * spin)
        return _along(along, edges, polar), edges.mean(axial)

    def _pseudoscalars(
        self, coefficients: Sequence[Tensor], odd: Tensor | None, sender: State, edges: Edges
    ) -> Tensor | None:
        """Mean pseudoscalars ``(channels, receivers, B)``; None without mirrors."""
        if self.odd is None:
            return None
        passed, gates = coefficients[-2:]
        message = edges.mean(passed * edges.of_senders(self.odd(sender.odd)))
        if odd is None or self.odd_edge is None:
            return message
        return self.odd_edge.added(message, edges.mean(gates * odd))


def _along(coefficient: Tensor, edges: Edges, vectors: Tensor) -> Tensor:
    """Mean of vectors and of the directions of edges with these coefficients."""
    if edges.direction is None:
        return edges.mean(vectors)
    return edges.mean(torch.addcmul(vectors, coefficient.unsqueeze(1), edges.direction.unsqueeze(0)))


def _crossed(direction: Tensor, v: Tensor) -> Tensor:
    """Cross products of directions ``(3, *rest)`` with vectors ``(channels, 3, *rest)``."""
    return cross(direction.expand_as(v), v)
