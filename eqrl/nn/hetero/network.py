"""A heterogeneous graph network on typed entity sets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal, Unpack

import torch
from torch import Tensor, nn

from eqrl.nn.backbone import Backbone, BackboneOptions, largest_standard_subgroup, standard_group
from eqrl.nn.hetero.edges import Edges, Places, complete, edge_invariants, nearest, reversed_edges
from eqrl.nn.hetero.geometry import Algebra, soft_clip, soft_clip_numbers
from eqrl.nn.hetero.graph import choose_graph
from eqrl.nn.hetero.inputs import NodeInputs, node_types
from eqrl.nn.hetero.messages import Message
from eqrl.nn.hetero.pooling import Pool, Pooling
from eqrl.nn.hetero.read_outs import ReadOut
from eqrl.nn.hetero.state import Counts, Embedding, State, Update
from eqrl.nn.layout import layout
from eqrl.nn.tokens import GLOBALS
from eqrl.nn.transformer.tokens_in_frame import identities
from eqrl.symmetry import SO2, SO3, Group, Representation, family
from eqrl.symmetry.group import TRIVIAL

_NOTHING = Counts(0, 0, 0, 0)


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
        self.internal, self.neighbours, self.scales = internal, neighbours, tuple(scales)
        self.homogeneous = edges == "homogeneous"
        self.width, self.channels = self.hidden[0], channels
        self.inputs = NodeInputs(in_rep, layout(in_rep, standard, self.label), self.algebra, self.scales)
        self.sizes = {name: types.size for name, types in self.inputs.sets.items()}
        self._build_embeddings()
        self._build_messages()
        self._build_read_outs(layout_out=layout(out_rep, standard, self.label), pooling=pooling)

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
            raise ValueError(f"scales={tuple(scales)} must be positive lengths in ascending order, such as (0.005, 0.05)")

    def _build_embeddings(self) -> None:
        outer = self.inputs.counts[GLOBALS]
        self.embeddings = nn.ModuleList()
        for k, name in enumerate(self.graph.sets):
            rows = identities(self.in_rep.entity_set(name))
            codes = 0 if rows is None else int(rows.max()) + 1
            self.register_optional(f"codes_{k}", rows)
            self.embeddings.append(self._embedding(self.inputs.counts[name], outer, codes))
        self.hub_embeddings = nn.ModuleList()
        if self.internal == "hub":
            self.hub_embeddings.extend(self._embedding(_NOTHING, outer, 0) for _ in self.graph.inner)

    def _build_messages(self) -> None:
        graph = self.graph
        # matches: receiver, sender; inner: to and from the hub, or between neighbours; outer: receiver, sender
        inner = [(name, name) for name in graph.inner for _ in range(2 if self.internal == "hub" else 1)]
        self.outer = tuple((name, sender) for name in graph.effectors for sender in graph.senders(name, self.sizes))
        self.match_messages = self._messages(graph.matches)
        self.inner_messages = self._messages(inner)
        self.outer_messages = self._messages(self.outer)
        matched = [sum(receiver == name for receiver, _ in graph.matches) for name in graph.inner]
        received = [sum(receiver == name for receiver, _ in self.outer) for name in graph.effectors]
        self.match_updates = self._updates([n for n in matched if n])
        self.inner_updates = self._updates([1] * len(graph.inner))
        self.outer_updates = self._updates([n for n in received if n])

    def _build_read_outs(self, layout_out: object, pooling: Pooling) -> None:
        out_rep, write, start = self.out_rep, torch.zeros(self.out_rep.dim, dtype=torch.int64), 0
        types = node_types(out_rep, layout_out, self.algebra, inputs=False)  # type: ignore[arg-type]
        self.read_from: list[str] = []
        self.read_outs = nn.ModuleList()
        for part in types:
            counts = part.counts
            columns = [
                [[i] for row in rows for i in row] if k < 2 else [list(w) for row in rows for w in row]
                for k, rows in enumerate((part.even, part.odd, part.polar, part.axial))
            ]
            if not any(columns):
                continue
            of_nodes = part.name in self.graph.sets
            alike = part.name == GLOBALS or out_rep.entity_set(part.name).exchangeable
            if not of_nodes and not alike:  # each entity has outputs of its own
                counts = Counts(*(n * part.size for n in counts))
            copies = part.size if not of_nodes and alike else 1
            for column, n in zip(columns, counts, strict=True):
                space = len(column[0]) if column else 1
                length = len(column) * space // copies
                where = torch.tensor(column, dtype=torch.int64).flatten()
                write[where] = start + torch.arange(length).repeat(copies)
                start += length
            self.read_from.append(part.name if of_nodes else GLOBALS)
            self.read_outs.append(ReadOut(self.algebra, self.width, self.channels, counts, self.output_gain))
        self.pool: Pool | None = None
        if GLOBALS in self.read_from:
            n = len(self.graph.sets) + len(self.hub_embeddings)
            self.pool = Pool(self.algebra, self.width, self.channels, n, pooling, self.activation)
        self.register_constant("write", write)
        signs = layout_out.sign_of(torch.arange(out_rep.dim))  # type: ignore[attr-defined]
        self.register_optional("out_signs", None if bool((signs == 1).all()) else signs)

    def _embedding(self, inputs: Counts, outer: Counts, codes: int) -> Embedding:
        return Embedding(self.algebra, inputs, outer, self.width, self.channels, self.activation, codes)

    def _messages(self, ends: Sequence[tuple[str, str]]) -> nn.ModuleList:
        """Messages between these sets: receiver and sender of each."""
        n = edge_invariants(self.algebra.plane, self.scales)
        placed = [all(self.inputs.sets[name].positions[0] for name in pair) for pair in ends]
        if self.homogeneous:
            shared = [self._message(n if any(placed) else 0, len(ends))] if ends else []
            return nn.ModuleList(shared * len(ends))
        return nn.ModuleList(self._message(n if there else 0, 0) for there in placed)

    def _message(self, invariants: int, types: int) -> Message:
        return Message(self.algebra, self.width, self.channels, invariants, self.activation, types)

    def _updates(self, messages: Sequence[int]) -> nn.ModuleList:
        if self.homogeneous:
            return nn.ModuleList([self._update(1)] * len(messages) if messages else [])
        return nn.ModuleList(self._update(n) for n in messages)

    def _update(self, messages: int) -> Update:
        return Update(self.algebra, self.width, self.channels, messages, self.activation)

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
        states = {
            name: self.embeddings[k](inputs[name].values, outer, getattr(self, f"codes_{k}"))
            for k, name in enumerate(self.graph.sets)
        }
        self._match(states, places)
        hubs = self._step_inside(states, places, outer)
        self._step_outside(states, places)
        pieces: list[Tensor] = []
        if self.pool is not None:
            sets = [(states[name], places[name].real) for name in self.graph.sets]
            states[GLOBALS] = self.pool([*sets, *((hub, None) for hub in hubs)])
        for name, read_out in zip(self.read_from, self.read_outs, strict=True):
            pieces += read_out(states[name])
        y = torch.cat(pieces, dim=1).index_select(1, self.write)
        return y if self.out_signs is None else y * self.out_signs

    def _match(self, states: dict[str, State], places: dict[str, Places]) -> None:
        """Messages between different objects, before those within each."""
        received: dict[str, list[State]] = {}
        for k, (receiver, sender) in enumerate(self.graph.matches):
            edges = complete(places[receiver], places[sender], self.scales)
            message = self.match_messages[k](states[receiver], states[sender], edges, k)
            received.setdefault(receiver, []).append(message)
        self._updated(self.match_updates, states, received)

    def _step_inside(self, states: dict[str, State], places: dict[str, Places], outer: State) -> list[State]:
        """Messages within each object; returns the states of the hubs."""
        hubs = []
        for k, name in enumerate(self.graph.inner):
            if self.internal == "neighbours":
                edges = self._neighbours(places[name])
                message = self.inner_messages[k](states[name], states[name], edges, k)
                states[name] = self.inner_updates[k](states[name], [message])
                continue
            middle = _middle(places[name])
            gather = complete(middle, places[name], self.scales)
            spread = reversed_edges(gather, middle, places[name], self.algebra.plane)
            nothing = _none_of(outer)
            hub = self.hub_embeddings[k](nothing, outer)
            hub = self.inner_updates[k](hub, [self.inner_messages[2 * k](hub, states[name], gather, 2 * k)])
            message = self.inner_messages[2 * k + 1](states[name], hub, spread, 2 * k + 1)
            states[name] = _added(states[name], message)
            hubs.append(hub)
        return hubs

    def _neighbours(self, places: Places) -> Edges:
        if places.position is None:  # nothing tells who is near
            return complete(places, places, self.scales, itself=False)
        return nearest(places, self.neighbours, self.scales)

    def _step_outside(self, states: dict[str, State], places: dict[str, Places]) -> None:
        """Messages of all objects to the effectors, and among these."""
        received: dict[str, list[State]] = {}
        for k, (receiver, sender) in enumerate(self.outer):
            edges = complete(places[receiver], places[sender], self.scales, itself=receiver != sender)
            message = self.outer_messages[k](states[receiver], states[sender], edges, k)
            received.setdefault(receiver, []).append(message)
        self._updated(self.outer_updates, states, received)

    def _updated(self, updates: nn.ModuleList, states: dict[str, State], received: dict[str, list[State]]) -> None:
        new = {}
        for update, (name, messages) in zip(updates, received.items(), strict=True):
            if self.homogeneous and len(messages) > 1:
                messages = [_sum(messages)]
            new[name] = update(states[name], messages)
        states.update(new)


def _middle(places: Places) -> Places:
    """The centre of the real nodes, as one node."""
    real = places.real

    def mean(x: Tensor | None) -> Tensor | None:
        if x is None:
            return None
        if real is None:
            return x.mean(1, keepdim=True)
        share = real / real.sum(1, keepdim=True).clamp_min(1.0)
        return (x * share.unsqueeze(2)).sum(1, keepdim=True)

    return Places(mean(places.position), mean(places.height), None)


def _added(state: State, message: State) -> State:
    """A state whose hidden layer is that of the message, and whose vectors are moved by it."""
    odd, axial = state.odd, state.axial
    if odd is not None and message.odd is not None:
        odd = soft_clip_numbers(odd + message.odd)
    if axial is not None and message.axial is not None:
        axial = soft_clip(axial + message.axial)
    return State(message.even, odd, soft_clip(state.polar + message.polar), axial)


def _none_of(state: State) -> State:
    """A node of the scene without inputs of its own."""
    assert state.odd is not None
    assert state.axial is not None
    return State(state.even[..., :0], state.odd[..., :0], state.polar[..., :0], state.axial[..., :0])


def _sum(messages: Sequence[State]) -> State:
    total = messages[0]
    for message in messages[1:]:
        odd = None if total.odd is None or message.odd is None else total.odd + message.odd
        axial = None if total.axial is None or message.axial is None else total.axial + message.axial
        total = State(total.even + message.even, odd, total.polar + message.polar, axial)
    return total
