"""From a flat vector to the inputs of typed nodes: one gather for all sets."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from eqrl.nn.constants import ExactModule
from eqrl.nn.hetero.edges import Places
from eqrl.nn.hetero.geometry import Algebra, bounded, bounded_numbers, soft_clip, soft_clip_numbers
from eqrl.nn.hetero.state import Counts, State
from eqrl.nn.layout import Layout
from eqrl.nn.padding import is_real
from eqrl.nn.tokens import GLOBALS
from eqrl.symmetry import Block, Representation


@dataclass
class NodeTypes:
    """Coordinates of the nodes of one set, or of the whole scene as one node.

    Attributes:
        name: of the set.
        size: number of nodes.
        even, odd: coordinates of the invariants and pseudoscalars of each node.
        polar, axial: coordinates of the components of each vector of each node.
        positions: coordinates of positions, horizontal in the plane: those of the node, and further ones.
        heights: in the plane, the third coordinates of these positions; -1 where a position is horizontal.
        mask: coordinate of the mask of each node; empty where all are real.
    """

    name: str
    size: int
    even: list[list[int]] = field(default_factory=list)
    odd: list[list[int]] = field(default_factory=list)
    polar: list[list[tuple[int, ...]]] = field(default_factory=list)
    axial: list[list[tuple[int, ...]]] = field(default_factory=list)
    positions: list[list[tuple[int, ...]]] = field(default_factory=list)
    heights: list[list[int]] = field(default_factory=list)
    mask: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        for part in (self.even, self.odd, self.polar, self.axial, self.positions, self.heights):
            part += [[] for _ in range(self.size)]

    @property
    def counts(self) -> Counts:
        """Channels of one node, without those that its positions give."""
        return Counts(*(len(part[0]) for part in (self.even, self.odd, self.polar, self.axial)))


def node_types(rep: Representation, layout: Layout, algebra: Algebra, *, inputs: bool) -> list[NodeTypes]:
    """Sort all coordinates by set, node and kind; the scene comes last, under ``""``.

    Args:
        rep: representation of the vector.
        layout: how the group acts on each coordinate.
        algebra: kind of vectors.
        inputs: whether masks, positions and edges have a meaning of their own, as they have in an observation.
    """
    even, odd = set(layout.even), set(layout.odd)
    polar = {min(where): where for where in layout.polar}
    axial = {min(where): where for where in layout.axial}
    sets = {e.name: NodeTypes(e.name, e.size) for e in rep.entities if any(f.entities == e.name for f in rep.fields)}
    sets[GLOBALS] = NodeTypes(GLOBALS, 1)
    masks = {e.name: e.mask for e in rep.entities}
    # where no node has a position, a difference from one cannot be taken, and that of the scene is a vector
    placed = any(block.field.entities and _is_position(block) for block in rep.blocks())
    for block in rep.blocks():
        name = block.field.entities or GLOBALS
        types, node = sets[name], block.entity
        where = tuple(block.where)
        if inputs and name != GLOBALS and block.field.name == masks[name]:
            types.mask += where
        elif inputs and block.field.role == "parent":
            continue
        elif inputs and placed and _is_position(block):
            types.positions[node].append(where[: algebra.space])
            if algebra.plane:
                types.heights[node].append(where[2] if len(where) == 3 else -1)
        else:
            types.even[node] += [i for i in where if i in even]
            types.odd[node] += [i for i in where if i in odd]
            types.polar[node] += [polar[i] for i in where if i in polar]
            types.axial[node] += [axial[i] for i in where if i in axial]
    return list(sets.values())


def _is_position(block: Block) -> bool:
    return block.field.role == "position" and block.frame == "world"


class Inputs(NamedTuple):
    """Inputs of the nodes of one set: their numbers and vectors, and where they are."""

    values: State
    places: Places


class _Read(NamedTuple):
    """What is read of the nodes of one set, in the order of the table."""

    even: Tensor
    odd: Tensor
    heights: Tensor
    polar: Tensor
    axial: Tensor
    positions: Tensor
    mask: Tensor

    def with_positions_of(self, scene: _Read) -> _Read:
        """The same, where the positions of the scene are further positions of each node."""
        count = self.positions.shape[2]
        return self._replace(
            positions=torch.cat([self.positions, scene.positions.expand(-1, -1, count, -1)]),
            heights=torch.cat([self.heights, scene.heights.expand(-1, count, -1)]),
        )


class NodeInputs(ExactModule):
    """Reads the inputs of all nodes.

    Numbers and vectors are shortened to a length below 3. The first position of a node is where it is; every further
    one, such as the target of a point, is a vector from the first, which is also given in units of small scales, where
    it is bounded by one. So is every position of the scene for the nodes that know it. Where vectors are horizontal,
    heights are numbers that are treated likewise.

    Attributes:
        sets: the sets, by name; the scene as one node under ``""``.
        counts: channels of the nodes of each set.
    """

    gather: Tensor
    signs: Tensor | None

    def __init__(
        self,
        rep: Representation,
        layout: Layout,
        algebra: Algebra,
        scales: Sequence[float],
        receivers: Collection[str],
    ) -> None:
        """Build the table of coordinates.

        Args:
            rep: representation of the input.
            layout: how the group acts on each coordinate.
            algebra: kind of vectors.
            scales: lengths at which differences of positions are resolved.
            receivers: sets with positions whose nodes know where the positions of the scene are.
        """
        super().__init__()
        self.algebra, self.scales, self.receivers = algebra, tuple(scales), tuple(receivers)
        self.sets = {types.name: types for types in node_types(rep, layout, algebra, inputs=True)}
        self.counts = {name: self._counts(types) for name, types in self.sets.items()}
        index: list[int] = []
        self.shapes: list[tuple[int, ...]] = []
        for types in self.sets.values():
            for numbers in (types.even, types.odd, types.heights):
                channels = list(zip(*numbers, strict=True))
                index += [i for channel in channels for i in channel]
                self.shapes.append((len(channels), types.size))
            for vectors in (types.polar, types.axial, types.positions):
                columns = list(zip(*vectors, strict=True))
                index += [where[axis] for column in columns for axis in range(algebra.space) for where in column]
                self.shapes.append((len(columns), algebra.space, types.size))
            index += types.mask
            self.shapes.append((len(types.mask),))
        where = torch.tensor(index, dtype=torch.int64)
        signs = layout.sign_of(where.clamp_min(0))
        # -1 reads a zero that is appended behind the last coordinate: the height of what is horizontal
        self.register_constant("gather", torch.where(where < 0, rep.dim, where))
        self.register_optional("signs", None if bool((signs == 1).all()) else signs[:, None])
        self.padded = bool((where < 0).any())
        self.sizes = [torch.Size(shape).numel() for shape in self.shapes]

    def _counts(self, types: NodeTypes) -> Counts:
        even, odd, polar, axial = types.counts
        positions = len(types.positions[0])
        if types.name in self.receivers:
            positions += len(self.sets[GLOBALS].positions[0])
        further = max(positions - 1, 0) * (1 + len(self.scales))
        return Counts(even + (further if self.algebra.plane else 0), odd, polar + further, axial)

    def forward(self, x: Tensor) -> dict[str, Inputs]:
        """Inputs of each set from vectors ``(B, dim)`` with zeros in padded slots."""
        if self.padded:
            x = torch.cat([x, x.new_zeros(x.shape[0], 1)], dim=1)
        rows = x.index_select(1, self.gather).mT.contiguous()
        if self.signs is not None:
            rows = rows * self.signs
        parts = torch.split(rows, self.sizes)
        pieces = iter(part.view(*shape, x.shape[0]) for part, shape in zip(parts, self.shapes, strict=True))
        read = {name: _Read(*(next(pieces) for _ in range(7))) for name in self.sets}
        scene = read[GLOBALS]
        if len(scene.positions):
            read |= {name: read[name].with_positions_of(scene) for name in self.receivers}
        return {name: self._inputs(*parts) for name, parts in read.items()}

    def _inputs(
        self, even: Tensor, odd: Tensor, heights: Tensor, polar: Tensor, axial: Tensor, positions: Tensor, mask: Tensor
    ) -> Inputs:
        even, polar = soft_clip_numbers(even), soft_clip(polar)
        if len(positions) > 1:
            apart = positions[1:] - positions[:1]
            polar = torch.cat([polar, soft_clip(apart), *(bounded(apart, scale) for scale in self.scales)])
            if self.algebra.plane:
                above = heights[1:] - heights[:1]
                small = (bounded_numbers(above, scale) for scale in self.scales)
                even = torch.cat([even, soft_clip_numbers(above), *small])
        placed = len(positions) > 0
        real = is_real(mask).to(even) if len(mask) else None
        if real is None and not placed:  # so that the number of nodes can be read off
            real = even.new_ones(even.shape[1:])
        places = Places(positions[0] if placed else None, heights[:1] if placed and self.algebra.plane else None, real)
        return Inputs(State(even, soft_clip_numbers(odd), polar, soft_clip(axial)), places)
