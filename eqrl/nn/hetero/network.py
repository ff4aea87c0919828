"""A heterogeneous graph network on typed entity sets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Literal, Unpack

import torch
from torch import Tensor, nn

from eqrl.nn.backbone import Backbone, BackboneOptions, largest_standard_subgroup, standard_group
from eqrl.nn.hetero.edges import Edges, Places, complete, edge_invariants, middle, nearest
from eqrl.nn.hetero.geometry import Algebra
from eqrl.nn.hetero.graph import choose_graph
from eqrl.nn.hetero.inputs import NodeInputs
from eqrl.nn.hetero.messages import Gather, Message
from eqrl.nn.hetero.pooling import Pool, Pooling
from eqrl.nn.hetero.read_outs import ReadOuts
from eqrl.nn.hetero.state import Counts, Embedding, State, Update, total
from eqrl.nn.layout import layout
from eqrl.nn.tokens import GLOBALS
from eqrl.nn.transformer.tokens_in_frame import identities
from eqrl.symmetry import Group, Representation, family
from eqrl.symmetry.group import TRIVIAL


class Hetero(Backbone):
    """A graph of typed nodes, the entities of all sets, with typed edges between them; no frame, no grid.

    In a first step, the nodes of each object exchange messages with a hub at their centre, or with their nearest
    neighbours. In a second one, all objects send to the effectors, and these to each other. Where a set has positions,
    edges know their direction and length, so that moving the scene changes nothing; further positions of a node, such
    as its target, enter as differences. Nodes and messages have invariants, vectors and, under groups with mirrors,
    pseudoscalars and axial vectors.

    The graph is that of HEPi (Hoang et al., arXiv 2502.07005). Its features on a grid of orientations, which make it
    equivariant up to an error, are replaced by scalars and vectors, which are exact (Schuett et al., arXiv 2102.03150;
    Satorras et al., arXiv 2102.09844).
    """

    label: ClassVar[str] = "hetero"
    exchanges: ClassVar[bool] = True
    takes_positions: ClassVar[bool] = True
    default_hidden: ClassVar[tuple[int, ...]] = (32, 32)

    def __init__(
        self,
        in_rep: Representation,
        out_rep: Representation,
        group: Group | None = None,
        *,
        internal: Literal["hub", "neighbours"] = "hub",
        neighbours: int = 3,
        edges: Literal["heterogeneous", "homogeneous"] = "heterogeneous",
        effectors: Sequence[str] | None = None,
        pooling: Pooling = "mean",
        channels: int = 4,
        scales: Sequence[float] = (0.005, 0.05),
        **common: Unpack[BackboneOptions],
    ) -> None:
        """Build embeddings, messages and read-outs.

        Args:
            in_rep: representation of the input, with at least one entity set.
            out_rep: representation of the output.
            group: group to commute with; None means the largest of SO2, O2, SO3 and O3 within the input's group up to
                exchange (:func:`eqrl.symmetry.family`).
            internal: edges within an object: to and from a hub at its centre, or between nearest neighbours.
            neighbours: their number.
            edges: ``"homogeneous"`` shares the weights of all messages of a step between all types of edges, which are
                told apart by a code (the baseline EMPN of HEPi).
            effectors: sets that receive from all others; None means those that the output has fields over, for a value
                those of kind ``"effector"``, else all.
            pooling: how nodes are pooled for outputs without entities, such as a value.
            channels: number of vectors of each kind of a node.
            scales: lengths in units of the positions, ascending, at which differences are resolved. Without a small
                one, errors of millimetres drown in distances of decimetres.
            common: see :class:`~eqrl.nn.backbone.BackboneOptions`; ``hidden`` holds the number of invariants in both
                steps, all equal.

        Raises:
            ValueError: for inputs without entity sets, for irreps with ``l >= 2``, for other groups, and for unknown
                or impossible options.
        """
        super().__init__(in_rep, out_rep, group, **common)
        self._check(internal, neighbours, edges, pooling, channels, scales)
        standard = standard_group(self.group)
        assert standard is not None
        self.algebra = Algebra(2 if standard.fixes_gravity else 3, standard.has_mirrors)
        self.graph = choose_graph(in_rep, out_rep, effectors)
        self.hubs = self.graph.inner if internal == "hub" else ()
        self.neighbours, self.scales, self.homogeneous = neighbours, tuple(scales), edges == "homogeneous"
        self.width, self.channels = self.hidden[0], channels
        self.inputs = NodeInputs(in_rep, layout(in_rep, standard, self.label), self.algebra, self.scales)
        self.sizes = {name: types.size for name, types in self.inputs.sets.items()}
        self._build_embeddings()
        self._build_messages()
        out_layout = layout(out_rep, standard, self.label)
        sizes = (self.width, channels)
        self.read_outs = ReadOuts(out_rep, out_layout, self.algebra, self.graph.sets, *sizes, self.output_gain)
        self.pool: Pool | None = None
        if self.read_outs.pooled:
            self.pool = Pool(self.algebra, *sizes, len(self.graph.sets), pooling, self.activation)

    def _check(
        self, internal: str, neighbours: int, edges: str, pooling: str, channels: int, scales: Sequence[float]
    ) -> None:
        choices = (
            ("internal", internal, ("hub", "neighbours")),
            ("edges", edges, ("heterogeneous", "homogeneous")),
            ("pooling", pooling, ("mean", "sum", "attention")),
        )
        for name, value, known in choices:
            if value not in known:
                raise ValueError(f"{name}={value!r} is unknown; choose one of {list(known)}")
        if len(set(self.hidden)) != 1:
            raise ValueError(f"hidden={self.hidden} must hold one width for both steps, such as (32, 32)")
        if neighbours < 1 or channels < 1:
            raise ValueError(f"neighbours={neighbours} and channels={channels} must be at least 1")
        if not scales or min(scales) <= 0 or list(scales) != sorted(scales):
            raise ValueError(
                f"scales={tuple(scales)} must be positive lengths in ascending order, such as (0.005, 0.05)"
            )

    def _build_embeddings(self) -> None:
        outer, width = self.inputs.counts[GLOBALS], self.width
        around = edge_invariants(self.algebra.plane, self.scales)
        self.embeddings = nn.ModuleList()
        for k, name in enumerate(self.graph.sets):
            codes = identities(self.in_rep.entity_set(name))
            self.register_optional(f"codes_{k}", codes)
            counts = self.inputs.counts[name]
            if name in self.hubs and self._placed(name):  # where they are around the hub
                counts = counts._replace(even=counts.even + around, polar=counts.polar + 1)
            number = 0 if codes is None else int(codes.max()) + 1
            self.embeddings.append(
                Embedding(self.algebra, counts, outer, width, self.channels, self.activation, codes=number)
            )
        vectors = [int(there) * self.channels for there in (self.algebra.mirrors, True, self.algebra.axial)]
        gathered = Counts(width, *vectors)
        self.gathers = self._for_types(len(self.hubs), lambda: Gather(self.algebra, width, self.channels))
        self.hub_embeddings = self._for_types(
            len(self.hubs),
            lambda: Embedding(self.algebra, gathered, outer, width, self.channels, self.activation, clip=True),
        )

    def _build_messages(self) -> None:
        graph = self.graph
        self.outer = tuple((name, sender) for name in graph.effectors for sender in graph.senders(name, self.sizes))
        self.from_hubs = tuple((name, hub) for name in graph.effectors for hub in self.hubs)
        near = () if self.hubs else graph.inner
        self.match_messages = self._messages(graph.matches, hubs=False)
        self.inner_messages = self._messages([(name, name) for name in near], hubs=False)
        self.outer_messages = self._messages((*self.outer, *self.from_hubs), hubs=bool(self.hubs))
        self.match_updates = self._updates(graph.matches, graph.inner)
        self.inner_updates = self._updates([(name, name) for name in near], near)
        self.outer_updates = self._updates((*self.outer, *self.from_hubs), graph.effectors)

    def _placed(self, name: str) -> bool:
        return bool(self.inputs.sets[name].positions[0])

    def _for_types(self, count: int, make: Callable[[], nn.Module]) -> nn.ModuleList:
        """Modules for each of several types, or one module for all of them if the graph is homogeneous."""
        if self.homogeneous:
            return nn.ModuleList([make()] * count if count else [])
        return nn.ModuleList(make() for _ in range(count))

    def _messages(self, ends: Sequence[tuple[str, str]], *, hubs: bool) -> nn.ModuleList:
        """Messages between these sets: receiver and sender of each."""
        n = edge_invariants(self.algebra.plane, self.scales)
        invariants = [n if all(map(self._placed, pair)) else 0 for pair in ends]
        if self.homogeneous:
            invariants = [max(invariants, default=0)] * len(ends)
        kinds = iter(invariants)
        types = len(ends) if self.homogeneous else 0
        return self._for_types(
            len(ends),
            lambda: Message(
                self.algebra, self.width, self.channels, next(kinds), self.activation, context=hubs, types=types
            ),
        )

    def _updates(self, ends: Sequence[tuple[str, str]], receivers: Sequence[str]) -> nn.ModuleList:
        """What these receivers do with their messages; those that receive nothing are left out."""
        received = [n for name in receivers if (n := sum(receiver == name for receiver, _ in ends))]
        counts = iter([1] * len(received) if self.homogeneous else received)
        return self._for_types(
            len(received), lambda: Update(self.algebra, self.width, self.channels, next(counts), self.activation)
        )

    @classmethod
    def default_group(cls, in_rep: Representation) -> Group:
        """The largest of SO2, O2, SO3 and O3 within the input's group up to exchange."""
        return largest_standard_subgroup(family(in_rep).world_part())

    @classmethod
    def check_group(cls, group: Group) -> None:
        """Refuse groups other than SO2, O2, SO3 and O3."""
        standard = standard_group(group)
        if standard is None or standard == TRIVIAL:
            raise ValueError(
                f"backbone 'hetero' honours SO2, O2, SO3 and O3 and cannot honour group {group}; leave group=None for"
                " the largest of these within the environment's group, or take 'frame', which averages over any finite"
                " part, or 'transformer', which needs no group"
            )

    def compute(self, x: Tensor) -> Tensor:
        """Map ``(B, in_rep.dim)`` to ``(B, out_rep.dim)``, where padding is zero."""
        inputs = self.inputs(x)
        outer = inputs[GLOBALS].values
        places = {name: inputs[name].places for name in self.graph.sets}
        around = {name: complete(middle(places[name]), places[name], self.scales) for name in self.hubs}
        states = {}
        for k, name in enumerate(self.graph.sets):
            values = inputs[name].values
            if name in around:
                values = _with_edges(values, around[name])
            states[name] = self.embeddings[k](values, outer, getattr(self, f"codes_{k}"))
        self._match(states, places)
        hubs = self._step_inside(states, places, around, outer)
        self._step_outside(states, places, hubs)
        if self.pool is not None:
            states[GLOBALS] = self.pool(self._pooled(states, places, hubs))
        y: Tensor = self.read_outs(states)
        return y

    def _match(self, states: dict[str, State], places: Mapping[str, Places]) -> None:
        """Messages between different objects, before those within each."""
        received: dict[str, list[State]] = {}
        for k, (receiver, sender) in enumerate(self.graph.matches):
            edges = complete(places[receiver], places[sender], self.scales)
            message = self.match_messages[k](states[receiver], states[sender], edges, kind=k)
            received.setdefault(receiver, []).append(message)
        self._update(self.match_updates, states, received)

    def _step_inside(
        self, states: dict[str, State], places: Mapping[str, Places], around: Mapping[str, Edges], outer: State
    ) -> dict[str, State]:
        """Messages within each object; returns the states of the hubs."""
        hubs = {}
        for k, name in enumerate(self.hubs):
            hubs[name] = self.hub_embeddings[k](self.gathers[k](states[name], around[name]), outer)
        received = {}
        for k, message in enumerate(self.inner_messages):
            name = self.graph.inner[k]
            edges = nearest(places[name], self.neighbours, self.scales) if self._placed(name) else None
            if edges is None:  # nothing tells who is near
                edges = complete(places[name], places[name], self.scales, itself=False)
            received[name] = [message(states[name], states[name], edges, kind=k)]
        self._update(self.inner_updates, states, received)
        return hubs

    def _step_outside(self, states: dict[str, State], places: Mapping[str, Places], hubs: Mapping[str, State]) -> None:
        """Messages of all objects and their hubs to the effectors, and among these."""
        received: dict[str, list[State]] = {}
        for k, (receiver, sender) in enumerate(self.outer):
            edges = complete(places[receiver], places[sender], self.scales, itself=receiver != sender)
            message = self.outer_messages[k](states[receiver], states[sender], edges, hubs.get(sender), k)
            received.setdefault(receiver, []).append(message)
        for k, (receiver, hub) in enumerate(self.from_hubs, start=len(self.outer)):
            edges = complete(places[receiver], middle(places[hub]), self.scales)
            message = self.outer_messages[k](states[receiver], hubs[hub], edges, None, k)
            received.setdefault(receiver, []).append(message)
        self._update(self.outer_updates, states, received)

    def _update(self, updates: nn.ModuleList, states: dict[str, State], received: Mapping[str, list[State]]) -> None:
        new = {}
        for update, name in zip(updates, (name for name in self.graph.sets if name in received), strict=True):
            messages = received[name]
            new[name] = update(states[name], [total(messages)] if self.homogeneous else messages)
        states.update(new)

    def _pooled(
        self, states: Mapping[str, State], places: Mapping[str, Places], hubs: Mapping[str, State]
    ) -> list[tuple[State, Tensor | None]]:
        """What is pooled: hubs, which are means over their nodes, and the nodes of all other sets."""
        through_hub = self.pool is not None and self.pool.pooling == "mean"
        return [
            (hubs[name], None)
            if through_hub and name in hubs and name not in self.graph.effectors
            else (states[name], places[name].real)
            for name in self.graph.sets
        ]


def _with_edges(values: State, edges: Edges) -> State:
    """Inputs of nodes together with where they are around a hub."""
    if edges.direction is None or edges.invariants is None:
        return values
    even = torch.cat([values.even, edges.invariants[:, 0]])
    return values._replace(even=even, polar=torch.cat([values.polar, edges.direction[None, :, 0]]))
