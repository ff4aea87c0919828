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
        position: ``(space, n, B)``, horizontal in the plane; None where the set has no positions.
        height: ``(1, n, B)`` in the plane, where it is an invariant; else None.
        real: 1 for real nodes and 0 for padding, ``(n, B)``; None where all are real.
    """

    position: Tensor | None
    height: Tensor | None
    real: Tensor | None


class Edges(NamedTuple):
    """Edges from senders to each receiver, complete or to its neighbours.

    Attributes:
        direction: of the sender from the receiver, ``(space, receivers, senders, B)``: in units of the largest scale
            where it is short, of length below one where it is long. None where one end has no position.
        invariants: distance and difference of heights, ``(n, receivers, senders, B)``; None likewise.
        weight: of each sender's message, ``(receivers or 1, senders, B or 1)``; None if all count alike.
        neighbours: numbers of the senders, ``(receivers, senders, B)``; None if every node sends to every receiver.
    """

    direction: Tensor | None
    invariants: Tensor | None
    weight: Tensor | None
    neighbours: Tensor | None = None

    def of_senders(self, x: Tensor) -> Tensor:
        """Features ``(..., n, B)`` of senders, as ``(..., receivers, senders, B)``, or with 1 in place of receivers."""
        return x.unsqueeze(-3) if self.neighbours is None else _chosen(x, self.neighbours)

    def mean(self, x: Tensor) -> Tensor:
        """Weighted sum of messages ``(..., receivers, senders, B)`` over the senders."""
        if self.weight is None:
            return x.squeeze(-2) if x.shape[-2] == 1 else x.mean(-2)
        return (x * self.weight).sum(-2)


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
    weight = _shares(senders, itself)
    if receivers.position is None or senders.position is None:
        return Edges(None, None, weight)
    apart = senders.position.unsqueeze(1) - receivers.position.unsqueeze(2)
    heights = None
    if receivers.height is not None and senders.height is not None:
        heights = senders.height.unsqueeze(1) - receivers.height.unsqueeze(2)
    return Edges(*_measured(apart, heights, scales), weight)


def nearest(places: Places, count: int, scales: Sequence[float]) -> Edges:
    """Edges from the nearest neighbours of each node, as :func:`closest` weighs them.

    Args:
        places: where the nodes are, with positions.
        count: number of neighbours; where there are fewer other nodes, all of them send and count fully.
        scales: as for :func:`complete`.
    """
    return closest(places, places, count, scales, itself=False)


def matching(receivers: Places, senders: Places, count: int, scales: Sequence[float]) -> Edges:
    """Edges from the senders that would be closest to each receiver if both sets had the same centre.

    An outline that has to be turned onto another one sees by how much: these are the pairs of the iterative closest
    point method (Besl and McKay, 1992). Where nothing tells who is close, every node sends to every other.
    """
    if receivers.position is None or senders.position is None:
        return complete(receivers, senders, scales)
    return closest(_centred(receivers), _centred(senders), count, scales)


def closest(receivers: Places, senders: Places, count: int, scales: Sequence[float], *, itself: bool = True) -> Edges:
    """Edges from the closest senders of each receiver, with weights that vanish where these change.

    The weight of the j-th one is 1 - d_j / d_(count + 1), over one plus the sum of all weights. On an outline with
    equal distances between its points, rounding errors decide which of several equally distant nodes are among the
    closest; these have no weight, so that the network stays equivariant and continuous.

    Args:
        receivers: where the receivers are, with positions.
        senders: where the senders are, with positions.
        count: number of senders; where there are fewer, all of them send and count fully.
        scales: as for :func:`complete`.
        itself: whether a node sends to itself; False for edges within a set.
    """
    ends, spots = _spots(receivers), _spots(senders)
    n = spots.shape[1]
    with torch.no_grad():
        square = (spots.unsqueeze(1) - ends.unsqueeze(2)).square().sum(0)
        if not itself:
            never = torch.eye(n, dtype=torch.bool, device=square.device).unsqueeze(2)
            square = torch.where(never, _FAR, square)
        if senders.real is not None:
            square = torch.where(senders.real < 0.5, _FAR, square)
        chosen = square.topk(min(count + 1, n), dim=1, largest=False, sorted=True).indices
        there = square.gather(1, chosen) < 0.5 * _FAR
    apart = _chosen(spots, chosen) - ends.unsqueeze(2)
    distance = length(apart)[0]
    weight = there[:, :count].to(distance)
    if chosen.shape[1] > count:
        ratio = (distance[:, :count] + _NEAREST) / (distance[:, count:] + _NEAREST)
        weight = torch.where(there[:, count:], weight * (1.0 - ratio), weight)
    weight = weight / (1.0 + weight.sum(1, keepdim=True))
    apart = apart[:, :, :count]
    heights = apart[-1:] if receivers.height is not None and senders.height is not None else None
    direction, invariants = _measured(apart if heights is None else apart[:-1], heights, scales)
    return Edges(direction, invariants, weight, chosen[:, :count])


def _spots(places: Places) -> Tensor:
    assert places.position is not None
    return places.position if places.height is None else torch.cat([places.position, places.height])


def _centred(places: Places) -> Places:
    """The same nodes around their centre, which is horizontal in the plane: heights stay."""
    centre = middle(places).position
    assert places.position is not None
    assert centre is not None
    return places._replace(position=places.position - centre)


def middle(places: Places) -> Places:
    """The centre of the real nodes, as one node, which is not real if there are none."""
    share = None if places.real is None else places.real / places.real.sum(0, keepdim=True).clamp_min(1.0)

    def mean(x: Tensor | None) -> Tensor | None:
        if x is None:
            return None
        return x.mean(1, keepdim=True) if share is None else (x * share).sum(1, keepdim=True)

    there = None if places.real is None else places.real.amax(0, keepdim=True)
    return Places(mean(places.position), mean(places.height), there)


def _chosen(x: Tensor, neighbours: Tensor) -> Tensor:
    """Features ``(..., n, B)`` of the nodes with these numbers, ``(..., receivers, senders, B)``."""
    index = neighbours.flatten(0, 1).expand(*x.shape[:-2], -1, -1)
    return x.gather(-2, index).view(*x.shape[:-2], *neighbours.shape)


def _measured(apart: Tensor, heights: Tensor | None, scales: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Bounded directions, and distances and heights, beside bounded ones that resolve small ones."""
    distance = length(apart)
    lengths = distance if heights is None else torch.cat([distance, heights])
    values = [soft_clip_numbers(lengths), *(bounded_numbers(lengths, scale) for scale in scales)]
    direction = apart * (distance.square() + scales[-1] ** 2).rsqrt()
    return direction, torch.cat(values)


def _shares(senders: Places, itself: bool) -> Tensor | None:
    """Weight of each sender's message, ``(receivers or 1, senders, B or 1)``; None where all senders count alike."""
    if senders.real is None and itself:
        return None
    if itself:
        assert senders.real is not None
        real = senders.real.unsqueeze(0)
    else:
        like = senders.real if senders.real is not None else senders.position
        assert like is not None
        real = 1.0 - torch.eye(like.shape[-2], dtype=like.dtype, device=like.device).unsqueeze(2)
        real = real if senders.real is None else real * senders.real
    return real / real.sum(1, keepdim=True).clamp_min(1.0)
