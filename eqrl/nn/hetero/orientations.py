"""The published features of HEPi: numbers on a grid of orientations, which make the network approximately equivariant.

Every node has a number for each channel and orientation o, and a vector enters as its product with o. A message
multiplies the features of the sender with a kernel of the products of the edge with o, and a second kernel mixes
orientations by their angles (PONITA: Bekkers et al., arXiv 2310.02970; HEPi: Hoang et al., arXiv 2502.07005, whose
positions here are bounded as everywhere in this network). Rotations that map the grid to itself are exact: in the plane
those by multiples of 360 degrees over the number of orientations, in space none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from eqrl.nn.constants import ExactModule
from eqrl.nn.hetero.edges import Edges, complete, edge_invariants
from eqrl.nn.hetero.graph import Graph
from eqrl.nn.hetero.inputs import Inputs
from eqrl.nn.hetero.state import Counts, State, rows
from eqrl.nn.hetero.steps import Settings, neighbour_edges
from eqrl.nn.tokens import GLOBALS
from eqrl.nn.transformer.tokens_in_frame import identities
from eqrl.symmetry import TRIVIAL, Generator, Group, Representation, finite_group

_EPS = 1e-5
_KERNEL = 64  # width of the bases of the kernels, as published


def orientations(space: int, count: int) -> Tensor:
    """Unit vectors ``(count, space)``: a regular polygon in the plane, a Fibonacci lattice in space. Float64."""
    k = torch.arange(count, dtype=torch.float64)
    if space == 2:
        angle = 2 * math.pi * k / count
        return torch.stack([angle.cos(), angle.sin()], dim=1)
    z = 1.0 - (2.0 * k + 1.0) / count
    angle = math.pi * (1.0 + 5.0**0.5) * k
    across = (1.0 - z.square()).sqrt()
    return torch.stack([across * angle.cos(), across * angle.sin(), z], dim=1)


def exact_group(space: int, count: int) -> Group:
    """The rotations that map the orientations to themselves."""
    if space == 3 or count == 1:
        return TRIVIAL
    (c, s) = orientations(2, count)[1].tolist()
    turn = [[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]]
    return finite_group(f"C{count}", [Generator.of(f"rotation by 360/{count} degrees", turn)])


class Kernels(nn.Module):
    """Bases of the kernels, which all types of edges share."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            rows(inputs, _KERNEL, bias=True), nn.GELU(), rows(_KERNEL, _KERNEL, bias=True), nn.GELU()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(inputs, *rest)`` to ``(64, *rest)``."""
        basis: Tensor = self.layers(x)
        return basis


class Convolution(nn.Module):
    """Messages of one type of edges, and what the receiver adds to its features."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.kernel = rows(_KERNEL, width)
        self.fibre_kernel = rows(_KERNEL, width)
        self.bias = nn.Parameter(torch.zeros(width, 1, 1, 1))
        self.scale = nn.Parameter(torch.ones(width, 1, 1, 1))
        self.layers = nn.Sequential(rows(width, 4 * width, bias=True), nn.GELU(), rows(4 * width, width, bias=True))

    def forward(self, sender: Tensor, basis: Tensor | None, fibre: Tensor, edges: Edges) -> Tensor:
        """What receivers add to features ``(width, orientations, n, B)``.

        Args:
            sender: features of the senders.
            basis: basis of the kernel, ``(64, orientations, receivers, senders, B)``; None for edges without geometry.
            fibre: basis of the kernel of orientations, ``(64, orientations, orientations)``.
            edges: the edges.
        """
        x = edges.of_senders(sender)
        message = edges.mean(x if basis is None else self.kernel(basis) * x)
        width, count = message.shape[:2]
        mixed = torch.bmm(self.fibre_kernel(fibre), message.flatten(2)) / count
        mixed = mixed.view(width, count, *message.shape[2:]) + self.bias
        mixed = mixed - mixed.mean(0, keepdim=True)
        y: Tensor = self.layers(mixed * (mixed.square().mean(0, keepdim=True) + _EPS).rsqrt() * self.scale)
        return y


class OrientationSteps(ExactModule):
    """The two message steps on a grid: between neighbours in each object, then to the effectors and among them."""

    grid: Tensor
    angles: Tensor

    def __init__(
        self, graph: Graph, rep: Representation, counts: Mapping[str, Counts], settings: Settings, count: int
    ) -> None:
        """Build lifts and convolutions.

        Args:
            graph: sets and edges, between neighbours within objects.
            rep: representation of the input.
            counts: inputs of the nodes of each set, and of the scene under ``""``.
            settings: sizes; the activation is GELU, as published.
            count: number of orientations.
        """
        super().__init__()
        self.graph, self.settings = graph, settings
        grid = orientations(settings.algebra.space, count)
        self.register_constant("grid", grid)
        self.register_constant("angles", _powers(grid @ grid.mT))
        width, outer = settings.width, counts[GLOBALS]
        self.lifts, self.outer_lifts = nn.ModuleList(), nn.ModuleList()
        self.codes = nn.ParameterDict()
        for k, name in enumerate(graph.sets):
            self.lifts.append(rows(counts[name].even + counts[name].polar, width, bias=True))
            self.outer_lifts.append(rows(outer.even + outer.polar, width))
            codes = identities(rep.entity_set(name))
            self.register_optional(f"codes_{k}", codes)
            if codes is not None:
                self.codes[str(k)] = nn.Parameter(torch.zeros(width, int(codes.max()) + 1))
        self.space_basis = Kernels(5 + edge_invariants(settings.algebra.plane, settings.scales))
        self.fibre_basis = Kernels(3)
        types = (len(graph.matches), len(graph.near), len(graph.outer))
        self.match, self.inner, self.outer = map(self._convolutions, types)
        self.scalars = rows(width, settings.width, bias=True)
        self.vectors = rows(width, settings.channels)

    def _convolutions(self, count: int) -> nn.ModuleList:
        width = self.settings.width
        if self.settings.homogeneous:
            return nn.ModuleList([Convolution(width)] * count if count else [])
        return nn.ModuleList(Convolution(width) for _ in range(count))

    def forward(self, inputs: Mapping[str, Inputs]) -> tuple[dict[str, State], dict[str, State]]:
        """States of the nodes of all sets from the inputs of all sets and of the scene; there are no hubs."""
        graph, scales = self.graph, self.settings.scales
        places = {name: inputs[name].places for name in graph.sets}
        outer = self._lifted(inputs[GLOBALS].values)
        fibre = self.fibre_basis(self.angles)
        features = {}
        for k, name in enumerate(graph.sets):
            features[name] = self.lifts[k](self._lifted(inputs[name].values)) + self.outer_lifts[k](outer)
            if (codes := getattr(self, f"codes_{k}")) is not None:
                features[name] = features[name] + self.codes[str(k)].index_select(1, codes)[:, None, :, None]
        matches = [(a, b, complete(places[a], places[b], scales)) for a, b in graph.matches]
        self._step(self.match, matches, features, fibre)
        near = [(a, a, neighbour_edges(places[a], self.settings.neighbours, scales)) for a in graph.near]
        self._step(self.inner, near, features, fibre)
        last = [(a, b, complete(places[a], places[b], scales, itself=a != b)) for a, b in graph.outer]
        self._step(self.outer, last, features, fibre)
        return {name: self._state(f) for name, f in features.items()}, {}

    def _lifted(self, values: State) -> Tensor:
        """Numbers and products of vectors with all orientations, ``(channels, orientations, n, B)``."""
        along = torch.einsum("os,csnb->conb", self.grid, values.polar)
        numbers = values.even.unsqueeze(1).expand(-1, len(self.grid), -1, -1)
        return torch.cat([numbers, along])

    def _step(
        self, maps: nn.ModuleList, ends: Sequence[tuple[str, str, Edges]], features: dict[str, Tensor], fibre: Tensor
    ) -> None:
        added: dict[str, Tensor] = {}
        for convolution, (receiver, sender, edges) in zip(maps, ends, strict=True):
            new = features[receiver] + convolution(features[sender], self._basis(edges), fibre, edges)
            # types of edges are summed with the receiver's own features each, as published
            added[receiver] = new if receiver not in added else added[receiver] + new
        features.update(added)

    def _basis(self, edges: Edges) -> Tensor | None:
        if edges.direction is None or edges.invariants is None:
            return None
        along = torch.einsum("os,sijb->oijb", self.grid, edges.direction)
        size = edges.direction.square().sum(0, keepdim=True)
        across = (size - along.square()).clamp_min(0.0).add(1e-12).sqrt()
        products = torch.stack([along, across, along.square(), along * across, across.square()])
        numbers = edges.invariants.unsqueeze(1).expand(-1, len(self.grid), -1, -1, -1)
        basis: Tensor = self.space_basis(torch.cat([products, numbers]))
        return basis

    def _state(self, features: Tensor) -> State:
        """Means over orientations as invariants; means of orientations, weighted by features, as vectors."""
        even = self.scalars(features.mean(1))
        weights = self.vectors(features) / len(self.grid)
        return State(even, None, torch.einsum("conb,os->csnb", weights, self.grid), None)


def _powers(angles: Tensor) -> Tensor:
    """Cosines ``(n, n)`` and their powers, ``(3, n, n)``."""
    return torch.stack([angles, angles.square(), angles**3])
