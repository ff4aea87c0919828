"""Typed edges, built from the sample: which nodes send to which, with what weight, and how they lie to each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from eqrl.nn.hetero.geometry import bounded_numbers, length, soft_clip_numbers

_NEAREST = 1e-9  # neighbours that coincide have no weight, so that none of them is preferred
_FAR = 1e30


class Places(NamedTuple):
    """Where the n nodes of a set are, and which of them are real.

    Attributes:
        position: ``(B, n, space)``, horizontal in the plane; None where the set has no positions.
        height: ``(B, n, 1)`` in the plane, where it is an invariant; else None.
        real: 1 for real nodes and 0 for padding, ``(B, n)``; None where all are real.
    """

    position: Tensor | None
    height: Tensor | None
    real: Tensor | None


class Edges(NamedTuple):
    """Edges from senders to each receiver, complete or to its neighbours.

    Attributes:
        direction: of the sender from the receiver, ``(B, receivers, senders, space)``: in units of the larger scale
            where it is short, of length below one where it is long. None where one end has no position.
        invariants: distance and difference of heights, ``(B, receivers, senders, n)``; None likewise.
        weight: of each sender's message, ``(B, receivers, senders)``; None if all count alike.
        neighbours: rows of the senders in a table of all ``B * n`` of them, ``(B * receivers * senders,)``; None if
            every node sends to every receiver.
    """

    direction: Tensor | None
    invariants: Tensor | None
    weight: Tensor | None
    neighbours: Tensor | None = None

    def of_senders(self, x: Tensor, receivers: int) -> Tensor:
        """Features ``(B, n, ...)`` of senders, as ``(B, receivers or 1, senders, ...)``."""
        if self.neighbours is None:
            return x.unsqueeze(1)
        batch = x.shape[0]
        rows = x.flatten(0, 1).index_select(0, self.neighbours)
        return rows.view(batch, receivers, -1, *x.shape[2:])

    def mean(self, x: Tensor) -> Tensor:
        """Weighted sum of messages ``(B, receivers, senders, ...)`` over the senders."""
        if self.weight is None:
            return x.squeeze(2) if x.shape[2] == 1 else x.mean(2)
        weight = self.weight.view(*self.weight.shape, *[1] * (x.dim() - 3))
        return (x * weight).sum(2)


def edge_invariants(plane: bool, scales: Sequence[float]) -> int:
    """Number of the invariants of an edge between nodes with positions."""
    return (1 + len(scales)) * (2 if plane else 1)


def complete(receivers: Places, senders: Places, scales: Sequence[float], *, itself: bool = True) -> Edges:
    """Edges from all senders to all receivers; a message counts one over the number of real senders.

    Args:
        receivers: where the receivers are.
        senders: where the senders are.
        scales: lengths at which distances are resolved, in ascending order.
        itself: whether a node sends to itself; False for edges within a set.
    """
    direction, invariants = _relative(receivers, senders, scales)
    weight = _shares(senders, receivers, itself)
    return Edges(direction, invariants, weight)


def nearest(places: Places, count: int, scales: Sequence[float]) -> Edges:
    """Edges from the nearest neighbours of each node, with weights that vanish where neighbours change.

    The weight of the j-th neighbour is 1 - d_j / d_(count + 1), over one plus the sum of all weights. On an outline
    with equal distances between its points, rounding errors decide which of several equally distant nodes belong to the
    neighbours; these have no weight, so that the network stays equivariant and continuous.

    Args:
        places: where the nodes are, with positions.
        count: number of neighbours; where there are fewer other nodes, all of them send and count fully.
        scales: as for :func:`complete`.
    """
    assert places.position is not None
    batch, n = places.position.shape[:2]
    with torch.no_grad():
        apart = places.position[:, None] - places.position[:, :, None]
        square = apart.square().sum(-1)
        if places.height is not None:
            square = square + (places.height[:, None] - places.height[:, :, None]).square().sum(-1)
        never = torch.eye(n, dtype=torch.bool, device=square.device)
        if places.real is not None:
            never = never | (places.real < 0.5)[:, None]
        square = torch.where(never, _FAR, square)
        chosen = square.topk(min(count + 1, n), dim=2, largest=False, sorted=True).indices
    members = chosen[:, :, :count]
    rows = (members + n * torch.arange(batch, device=members.device)[:, None, None]).flatten()

    def at(x: Tensor, rows: Tensor) -> Tensor:
        return x.flatten(0, 1).index_select(0, rows).view(batch, n, -1, x.shape[2])

    apart = at(places.position, rows) - places.position[:, :, None]
    heights = None if places.height is None else at(places.height, rows) - places.height[:, :, None]
    direction, invariants = _measured(apart, heights, scales)
    # distances again, with gradients, because the weights depend on them
    distance = length(apart if heights is None else torch.cat([apart, heights], dim=-1))[..., 0]
    there = square.gather(2, members) < 0.5 * _FAR
    weight = there.to(distance)
    if chosen.shape[2] > count:
        last = (chosen[:, :, count:] + n * torch.arange(batch, device=members.device)[:, None, None]).flatten()
        gap = at(places.position, last) - places.position[:, :, None]
        if places.height is not None:
            gap = torch.cat([gap, at(places.height, last) - places.height[:, :, None]], dim=-1)
        beyond = square.gather(2, chosen[:, :, count:]) < 0.5 * _FAR
        ratio = (distance + _NEAREST) / (length(gap)[..., 0] + _NEAREST)
        weight = torch.where(beyond, weight * (1.0 - ratio), weight)
    weight = weight / (1.0 + weight.sum(2, keepdim=True))
    return Edges(direction, invariants, weight, rows)


def reversed_edges(edges: Edges, senders: Places, receivers: Places, plane: bool) -> Edges:
    """The edges of :func:`complete` in the other direction, between other senders and receivers."""
    direction = None if edges.direction is None else -edges.direction.transpose(1, 2)
    invariants = edges.invariants
    if invariants is not None:
        invariants = invariants.transpose(1, 2)
        if plane:  # the second half are differences of heights
            distances, heights = invariants.chunk(2, dim=-1)
            invariants = torch.cat([distances, -heights], dim=-1)
    return Edges(direction, invariants, _shares(senders, receivers, itself=True))


def _relative(receivers: Places, senders: Places, scales: Sequence[float]) -> tuple[Tensor | None, Tensor | None]:
    if receivers.position is None or senders.position is None:
        return None, None
    apart = senders.position[:, None] - receivers.position[:, :, None]
    heights = None
    if receivers.height is not None and senders.height is not None:
        heights = senders.height[:, None] - receivers.height[:, :, None]
    return _measured(apart, heights, scales)


def _measured(apart: Tensor, heights: Tensor | None, scales: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Bounded directions, and distances and heights, beside bounded ones that resolve small ones."""
    distance = length(apart)
    values = [soft_clip_numbers(distance), *(bounded_numbers(distance, scale) for scale in scales)]
    if heights is not None:
        values += [soft_clip_numbers(heights), *(bounded_numbers(heights, scale) for scale in scales)]
    direction = apart * (distance.square() + scales[-1] ** 2).rsqrt()
    return direction, torch.cat(values, dim=-1)


def _shares(senders: Places, receivers: Places, itself: bool) -> Tensor | None:
    """Weight of each sender's message, ``(B, receivers, senders)``; None where all senders count alike."""
    if senders.real is None and itself:
        return None
    if senders.real is None:
        anchor = receivers.position
        assert anchor is not None
        n = anchor.shape[1]
        others = 1.0 - torch.eye(n, dtype=anchor.dtype, device=anchor.device)
        return (others / max(n - 1, 1)).expand(anchor.shape[0], n, n)
    real = senders.real[:, None]
    if not itself:
        n = real.shape[2]
        real = real * (1.0 - torch.eye(n, dtype=real.dtype, device=real.device))
    return real / real.sum(2, keepdim=True).clamp_min(1.0)
