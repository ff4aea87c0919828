"""Outputs that are read off nodes, or off the whole graph."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn

from eqrl.nn.constants import ExactModule
from eqrl.nn.hetero.geometry import Algebra, quarter_turn
from eqrl.nn.hetero.inputs import NodeTypes, node_types
from eqrl.nn.hetero.state import Counts, State, rows
from eqrl.nn.layout import Layout
from eqrl.nn.tokens import GLOBALS
from eqrl.symmetry import Representation


class ReadOut(nn.Module):
    """Numbers and vectors of the output, read off a state.

    Invariants are linear in the invariants of the node, and vectors are combinations of its vectors whose coefficients
    are. Pseudoscalars of the node, gated by its invariants, give pseudoscalars and the coefficients that turn polar
    vectors into axial ones.
    """

    def __init__(self, algebra: Algebra, width: int, channels: int, outputs: Counts, gain: float) -> None:
        """Build the maps.

        Args:
            algebra: kind of vectors.
            width: number of invariants of a node.
            channels: number of vectors of each kind.
            outputs: what is read off.
            gain: gain of the initial weights.
        """
        super().__init__()
        self.algebra, self.outputs, n = algebra, outputs, channels
        # the vectors that a polar and an axial output combine: with even coefficients, with odd ones
        even, odd = n, n if algebra.mirrors else 0
        if algebra.plane and not algebra.mirrors:
            even = 2 * n
        vectors = outputs.polar + outputs.axial
        self.even_parts = [outputs.even, vectors * even]
        self.even = rows(width, sum(self.even_parts), gain, bias=True) if sum(self.even_parts) else None
        self.odd_parts = [outputs.odd, vectors * odd]
        reads_odd = algebra.mirrors and sum(self.odd_parts) > 0
        self.gate = rows(width, n, bias=True) if reads_odd else None
        self.odd = rows(n, sum(self.odd_parts), gain) if reads_odd else None

    def forward(self, state: State) -> list[Tensor]:
        """Even numbers, odd numbers, polar and axial vectors, each as rows ``(n, B)``: features, components, nodes."""
        polar, axial = state.polar, state.axial
        bases = polar, polar
        if self.algebra.plane:
            # turned vectors have odd coefficients with mirrors, and even ones without
            bases = (torch.cat([polar, quarter_turn(polar)]),) * 2
        elif axial is not None:
            bases = torch.cat([polar, axial]), torch.cat([axial, polar])
        rest = state.even.shape[1:]
        count = self.outputs.polar + self.outputs.axial
        even, coefficients, odd = (state.even[:0],) * 3
        if self.even is not None:
            even, coefficients = torch.split(self.even(state.even), self.even_parts)
        coefficients = coefficients.reshape(count, self.even_parts[1] // max(count, 1), *rest)
        if self.odd is not None and self.gate is not None and state.odd is not None:
            odd, more = self.odd(state.odd * self.gate(state.even).sigmoid()).split(self.odd_parts)
            more = more.reshape(count, self.odd_parts[1] // max(count, 1), *rest)
            coefficients = torch.cat([coefficients, more], dim=1)
        pieces = [even.flatten(0, 1), odd.flatten(0, 1)]
        for basis, part in zip(bases, torch.split(coefficients, [self.outputs.polar, self.outputs.axial]), strict=True):
            if len(part):
                pieces.append((part.unsqueeze(2) * basis.unsqueeze(0)).sum(1).flatten(0, 2))
        return pieces


class ReadOuts(ExactModule):
    """The whole output: what lives on a set of nodes is read off these, everything else off the graph.

    Attributes:
        sources: for each part of the output, the set of nodes that it is read off; ``""`` for the graph.
    """

    write: Tensor
    signs: Tensor | None

    def __init__(
        self,
        rep: Representation,
        layout: Layout,
        algebra: Algebra,
        sets: Collection[str],
        width: int,
        channels: int,
        gain: float,
    ) -> None:
        """Build the maps, and the table that puts their numbers in order.

        Args:
            rep: representation of the output.
            layout: how the group acts on each of its coordinates.
            algebra: kind of vectors.
            sets: names of the sets of nodes.
            width: number of invariants of a node.
            channels: number of vectors of each kind.
            gain: gain of the initial weights.
        """
        super().__init__()
        self.sources: list[str] = []
        self.parts = nn.ModuleList()
        write = torch.zeros(rep.dim, dtype=torch.int64)
        start = 0
        for types in node_types(rep, layout, algebra, inputs=False):
            counts, size = types.counts, types.size
            if not any(counts):
                continue
            of_nodes = types.name in sets
            # nothing tells exchangeable entities apart that are no nodes, so they get the same
            alike = not of_nodes and types.name != GLOBALS and rep.entity_set(types.name).exchangeable
            for where in _coordinates(types):  # (features, nodes)
                numbers = len(where) if alike else where.numel()
                rows_of = start + torch.arange(numbers)
                write[where] = rows_of[:, None] if alike else rows_of.view_as(where)
                start += numbers
            if not of_nodes and not alike:
                counts = Counts(*(n * size for n in counts))
            self.sources.append(types.name if of_nodes else GLOBALS)
            self.parts.append(ReadOut(algebra, width, channels, counts, gain))
        self.register_constant("write", write)
        signs = layout.sign_of(torch.arange(rep.dim))
        self.register_optional("signs", None if bool((signs == 1).all()) else signs)

    @property
    def pooled(self) -> bool:
        """Whether anything is read off the whole graph."""
        return GLOBALS in self.sources

    def forward(self, states: Mapping[str, State]) -> Tensor:
        """Outputs ``(B, dim)`` from the states of the nodes of all sets, and of the graph under ``""``."""
        pieces = [piece for name, part in zip(self.sources, self.parts, strict=True) for piece in part(states[name])]
        y = torch.cat(pieces).mT.index_select(1, self.write)
        return y if self.signs is None else y * self.signs


def _coordinates(types: NodeTypes) -> list[Tensor]:
    """Coordinates of the invariants of a set, ``(features, nodes)``, and likewise of the other kinds of numbers."""
    numbers = [list(zip(*rows, strict=True)) for rows in (types.even, types.odd)]
    vectors = [
        [axis for column in zip(*rows, strict=True) for axis in zip(*column, strict=True)]
        for rows in (types.polar, types.axial)
    ]
    return [torch.tensor(where, dtype=torch.int64).view(len(where), types.size) for where in numbers + vectors]
