"""The two message steps, on scalars and vectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from eqrl.nn.constants import ExactModule
from eqrl.nn.hetero.edges import Edges, Places, complete, edge_invariants, matching, middle, nearest
from eqrl.nn.hetero.geometry import Algebra
from eqrl.nn.hetero.graph import Graph
from eqrl.nn.hetero.inputs import Inputs
from eqrl.nn.hetero.messages import Gather, Message
from eqrl.nn.hetero.state import Counts, Embedding, State, Update, total
from eqrl.nn.perceptron import Activation
from eqrl.nn.tokens import GLOBALS
from eqrl.nn.transformer.tokens_in_frame import identities
from eqrl.symmetry import Representation


@dataclass(frozen=True)
class Settings:
    """What all layers have in common.

    Attributes:
        algebra: kind of vectors.
        width: number of invariants of a node.
        channels: number of vectors of each kind of a node.
        activation: of the invariants.
        scales: lengths at which distances are resolved, ascending.
        neighbours: number of nearest neighbours.
        homogeneous: whether all types of edges share their weights.
    """

    algebra: Algebra
    width: int
    channels: int
    activation: Activation
    scales: tuple[float, ...]
    neighbours: int
    homogeneous: bool


class Steps(ExactModule):
    """Embeddings of all nodes, and messages within objects, then to the effectors.

    Objects whose points and targets are separate sets match them before the first step, by messages from the targets
    that are closest once both have the same centre. In the second step, edges from an object's points also know its
    hub, and the hub sends a message of its own.
    """

    def __init__(self, graph: Graph, rep: Representation, counts: Mapping[str, Counts], settings: Settings) -> None:
        """Build embeddings, messages and updates.

        Args:
            graph: sets and edges.
            rep: representation of the input.
            counts: inputs of the nodes of each set, and of the scene under ``""``.
            settings: sizes and activation.
        """
        super().__init__()
        self.graph, self.settings = graph, settings
        self._build_embeddings(rep, counts)
        inner = [(name, name) for name in graph.near]
        outer = (*graph.outer, *graph.from_hubs)
        known = [sender in graph.hubs for _, sender in graph.outer] + [False] * len(graph.from_hubs)
        self.match_messages = self._messages(graph.matches)
        self.inner_messages = self._messages(inner)
        self.outer_messages = self._messages(outer, known)
        self.match_updates, self.inner_updates, self.outer_updates = map(self._updates, (graph.matches, inner, outer))

    def _build_embeddings(self, rep: Representation, counts: Mapping[str, Counts]) -> None:
        algebra, width, channels, activation = (
            getattr(self.settings, name) for name in ("algebra", "width", "channels", "activation")
        )
        outer = counts[GLOBALS]
        self.embeddings = nn.ModuleList()
        for k, name in enumerate(self.graph.sets):
            codes = identities(rep.entity_set(name))
            self.register_optional(f"codes_{k}", codes)
            own = counts[name]
            if name in self.graph.hubs and name in self.graph.placed:  # where they are around the hub
                around = edge_invariants(algebra.plane, self.settings.scales)
                own = own._replace(even=own.even + around, polar=own.polar + 1)
            number = 0 if codes is None else int(codes.max()) + 1
            self.embeddings.append(Embedding(algebra, own, outer, width, channels, activation, codes=number))
        gathered = Counts(width, *(channels * int(kind) for kind in (algebra.mirrors, True, algebra.axial)))
        hubs = len(self.graph.hubs)
        self.gathers = self._for_types(hubs, lambda: Gather(algebra, width, channels))
        self.hub_embeddings = self._for_types(
            hubs, lambda: Embedding(algebra, gathered, outer, width, channels, activation, clip=True)
        )

    def _for_types(self, count: int, make: Callable[[], nn.Module]) -> nn.ModuleList:
        """Modules for each of several types, or one module for all of them if the graph is homogeneous."""
        if self.settings.homogeneous:
            return nn.ModuleList([make()] * count if count else [])
        return nn.ModuleList(make() for _ in range(count))

    def _messages(self, ends: Sequence[tuple[str, str]], hubs: Sequence[bool] | None = None) -> nn.ModuleList:
        """Messages between these sets, receiver and sender of each, which may know the hub of the senders."""
        s = self.settings
        n = edge_invariants(s.algebra.plane, s.scales)
        invariants = [n if self.graph.placed.issuperset(pair) else 0 for pair in ends]
        hubs = [False] * len(ends) if hubs is None else hubs
        if s.homogeneous:
            invariants, hubs = [max(invariants, default=0)] * len(ends), [any(hubs)] * len(ends)
        types = len(ends) if s.homogeneous else 0
        kinds = iter(zip(invariants, hubs, strict=True))

        def message() -> Message:
            number, hub = next(kinds)
            return Message(s.algebra, s.width, s.channels, number, s.activation, context=hub, types=types)

        return self._for_types(len(ends), message)

    def _updates(self, ends: Sequence[tuple[str, str]]) -> nn.ModuleList:
        """What each receiver does with its messages, in the order of the graph's sets."""
        s = self.settings
        received = [n for name in self.graph.sets if (n := sum(receiver == name for receiver, _ in ends))]
        counts = iter([1] * len(received) if s.homogeneous else received)
        return self._for_types(
            len(received), lambda: Update(s.algebra, s.width, s.channels, next(counts), s.activation)
        )

    def forward(self, inputs: Mapping[str, Inputs]) -> tuple[dict[str, State], dict[str, State]]:
        """States of the nodes of all sets, and of the hubs, from the inputs of all sets and of the scene."""
        graph, scales, outer = self.graph, self.settings.scales, inputs[GLOBALS].values
        places = {name: inputs[name].places for name in graph.sets}
        centres = {name: middle(places[name]) for name in graph.hubs}
        around = {name: complete(centres[name], places[name], scales) for name in graph.hubs}
        states = {}
        for k, name in enumerate(graph.sets):
            values = inputs[name].values
            if name in around:
                values = _with_edges(values, around[name])
            states[name] = self.embeddings[k](values, outer, getattr(self, f"codes_{k}"))
        self._match(states, places)
        hubs = {}
        for name, gather, embedding in zip(graph.hubs, self.gathers, self.hub_embeddings, strict=True):
            hubs[name] = embedding(gather(states[name], around[name]), outer)
        self._step_inside(states, places)
        self._step_outside(states, places, hubs, centres)
        return states, hubs

    def _match(self, states: dict[str, State], places: Mapping[str, Places]) -> None:
        """Messages between different objects, before those within each."""
        received: dict[str, list[State]] = {}
        for k, (receiver, sender) in enumerate(self.graph.matches):
            edges = matching(places[receiver], places[sender], self.settings.neighbours, self.settings.scales)
            message = self.match_messages[k](states[receiver], states[sender], edges, kind=k)
            received.setdefault(receiver, []).append(message)
        self._update(self.match_updates, states, received)

    def _step_inside(self, states: dict[str, State], places: Mapping[str, Places]) -> None:
        """Messages between neighbours."""
        received = {}
        for k, name in enumerate(self.graph.near):
            edges = neighbour_edges(places[name], self.settings.neighbours, self.settings.scales)
            received[name] = [self.inner_messages[k](states[name], states[name], edges, kind=k)]
        self._update(self.inner_updates, states, received)

    def _step_outside(
        self,
        states: dict[str, State],
        places: Mapping[str, Places],
        hubs: Mapping[str, State],
        centres: Mapping[str, Places],
    ) -> None:
        """Messages of all objects and their hubs to the effectors, and among these."""
        received: dict[str, list[State]] = {}
        scales = self.settings.scales
        for k, (receiver, sender) in enumerate(self.graph.outer):
            edges = complete(places[receiver], places[sender], scales, itself=receiver != sender)
            message = self.outer_messages[k](states[receiver], states[sender], edges, hubs.get(sender), k)
            received.setdefault(receiver, []).append(message)
        for k, (receiver, hub) in enumerate(self.graph.from_hubs, start=len(self.graph.outer)):
            edges = complete(places[receiver], centres[hub], scales)
            message = self.outer_messages[k](states[receiver], hubs[hub], edges, None, k)
            received.setdefault(receiver, []).append(message)
        self._update(self.outer_updates, states, received)

    def _update(self, updates: nn.ModuleList, states: dict[str, State], received: Mapping[str, list[State]]) -> None:
        names = [name for name in self.graph.sets if name in received]
        for update, name in zip(updates, names, strict=True):
            messages = received[name]
            states[name] = update(states[name], [total(messages)] if self.settings.homogeneous else messages)


def neighbour_edges(places: Places, count: int, scales: Sequence[float]) -> Edges:
    """Edges between nearest neighbours, or between all nodes where nothing tells who is near."""
    if places.position is None:
        return complete(places, places, scales, itself=False)
    return nearest(places, count, scales)


def _with_edges(values: State, edges: Edges) -> State:
    """Inputs of nodes together with where they are around a hub."""
    if edges.direction is None or edges.invariants is None:
        return values
    even: Tensor = torch.cat([values.even, edges.invariants[:, 0]])
    return values._replace(even=even, polar=torch.cat([values.polar, edges.direction[None, :, 0]]))
