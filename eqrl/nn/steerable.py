"""Tensor-product networks of any degree, built from e3nn (Geiger and Smidt, arXiv 2207.09453).

Each layer multiplies its features with an embedding of the input (a fully connected tensor product) and passes them
through a gate. Gravity is an additional input vector: a network that commutes with rotations of the input and gravity
together commutes, for fixed gravity, with the rotations about it. Without mirrors, all parities are set to even, so
that axial and polar vectors mix freely.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, ClassVar, Self, Unpack

import torch
from e3nn import o3
from e3nn.nn import Gate
from torch import Tensor, nn

from eqrl.nn.backbone import Backbone, BackboneOptions, largest_standard_subgroup, standard_group
from eqrl.nn.perceptron import Activation, activation_type
from eqrl.symmetry import O2, SO2, TRIVIAL, Group, Representation
from eqrl.symmetry.representation import WORLD


class Steerable(Backbone):
    """Steerable network for SO2, O2, SO3, O3 and the trivial group, with irreps of any degree."""

    label: ClassVar[str] = "steerable"
    default_hidden: ClassVar[tuple[int, ...]] = (24, 24)
    default_activation: ClassVar[Activation] = "silu"

    to_irreps: Tensor
    from_irreps: Tensor
    constant: Tensor

    def __init__(
        self,
        in_rep: Representation,
        out_rep: Representation,
        group: Group | None = None,
        *,
        embedding: int = 6,
        lmax: int | None = None,
        **common: Unpack[BackboneOptions],
    ) -> None:
        """Build the network.

        Args:
            in_rep: representation of the input.
            out_rep: representation of the output.
            group: group to commute with; None means the largest of 1, SO2, O2, SO3 and O3 within the input's world
                part.
            embedding: number of channels of each irrep in the embedding that multiplies the features.
            lmax: largest degree of hidden irreps; None means the largest degree of input and output, at least 1.
            common: see :class:`~eqrl.nn.backbone.BackboneOptions`. ``hidden`` holds the number of channels of each
                irrep, one number per layer, by default ``(24, 24)``; the activation acts on true scalars and is
                ``"silu"`` by default.

        Raises:
            ValueError: for groups other than 1, SO2, O2, SO3 and O3.
        """
        super().__init__(in_rep, out_rep, group, **common)
        standard = standard_group(self.group)
        assert standard is not None
        mirrors = standard.has_mirrors
        kinds_in, to_irreps = _sorted_irreps(in_rep, standard, mirrors)
        kinds_out, from_irreps = _sorted_irreps(out_rep, standard, mirrors)
        # a constant true scalar acts as bias; gravity reduces the symmetry from all rotations to those about it
        kinds_in.append((0, 1))
        extra = [1.0]
        if standard in (SO2, O2):
            kinds_in.append((1, -1 if mirrors else 1))
            extra += [0.0, 0.0, 1.0]
        self.register_constant("constant", torch.tensor(extra, dtype=torch.float64))
        self.register_constant("to_irreps", to_irreps)
        self.register_constant("from_irreps", from_irreps.mT.contiguous())
        degree = max([1, *(d for d, _ in kinds_in + kinds_out)] if lmax is None else [lmax])
        parities = (1, -1) if mirrors else (1,)
        inner = [(d, p) for d in range(degree + 1) for p in parities]
        activation = activation_type(self.activation)()
        irreps = _as_irreps(kinds_in)
        embedded = o3.Irreps([(embedding, ir) for ir in inner])
        self.embed = o3.Linear(irreps, embedded)
        self.products = nn.ModuleList()
        self.gates = nn.ModuleList()
        for width in self.hidden:
            gate = _gate(width, inner, activation)
            self.products.append(o3.FullyConnectedTensorProduct(irreps, embedded, gate.irreps_in))
            self.gates.append(gate)
            irreps = gate.irreps_out
        self.head = o3.Linear(irreps, _as_irreps(kinds_out))
        with torch.no_grad():
            self.head.weight.mul_(self.output_gain)
        self._make_buffers_constant()

    @classmethod
    def default_group(cls, in_rep: Representation) -> Group:
        """The largest of 1, SO2, O2, SO3 and O3 within the world part of the input's group."""
        return largest_standard_subgroup(in_rep.group.world_part())

    @classmethod
    def check_group(cls, group: Group) -> None:
        """Refuse groups other than 1, SO2, O2, SO3 and O3."""
        if standard_group(group) is None:
            raise ValueError(
                f"backbone 'steerable' honours 1, SO2, O2, SO3 and O3 and cannot honour group {group}; leave group=None"
                " for the largest of these within the environment's group, or take 'frame', which averages over any"
                " finite part"
            )

    def compute(self, x: Tensor) -> Tensor:
        """Map ``(B, in_rep.dim)`` to ``(B, out_rep.dim)``, where padding is zero."""
        features = torch.cat([x @ self.to_irreps, self.constant.expand(x.shape[0], -1)], dim=1)
        embedding: Tensor = self.embed(features)
        # bounded, so that the products with it grow no faster than the input
        length = torch.linalg.vector_norm(embedding, dim=1, keepdim=True)
        embedding = embedding / (1.0 + length / embedding.shape[1] ** 0.5)
        for product, gate in zip(self.products, self.gates, strict=True):
            features = gate(product(features, embedding))
        y: Tensor = self.head(features) @ self.from_irreps
        return y

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)
        self._make_buffers_constant()
        return self

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self._make_buffers_constant()

    def _make_buffers_constant(self) -> None:
        """Treat e3nn's buffers as constants, which they are.

        The coupling coefficients are computed again, so that a float64 copy of a float32 network holds exact ones. All
        buffers are removed from the state dict, because copies of an e3nn module have additional ones.
        """
        for module in self.modules():
            module._non_persistent_buffers_set.update(module._buffers)
            for name, buffer in module.named_buffers(recurse=False):
                if name.startswith("_w3j_") and not buffer.is_meta:
                    with torch.no_grad():
                        buffer.copy_(_coupling(*map(int, name.removeprefix("_w3j_").split("_"))))


@lru_cache(maxsize=256)
def _coupling(l1: int, l2: int, l3: int) -> Tensor:
    coupling: Tensor = o3.wigner_3j(l1, l2, l3, dtype=torch.float64)
    return coupling


def _sorted_irreps(rep: Representation, group: Group, mirrors: bool) -> tuple[list[tuple[int, int]], Tensor]:
    """The irreps of a representation in sorted order, and the matrix that sorts its coordinates accordingly.

    Returns:
        Pairs (l, parity), and a matrix ``(dim, sum of 2 l + 1)`` of zeros and ones that acts on row vectors. It has
        more columns than rows where horizontal vectors get a vertical component 0.
    """
    irreps: list[tuple[tuple[int, int], list[int]]] = []
    for block in rep.blocks():
        if block.frame != WORLD or group == TRIVIAL:
            irreps += [((0, 1), [i]) for i in block.where]
        else:
            irreps.append(((block.degree, block.parity if mirrors else 1), list(block.where)))
    irreps.sort(key=lambda entry: entry[0])
    matrix = torch.zeros(rep.dim, sum(2 * d + 1 for (d, _), _ in irreps), dtype=torch.float64)
    column = 0
    for (degree, _), where in irreps:
        matrix[where, range(column, column + len(where))] = 1.0
        column += 2 * degree + 1
    return [kind for kind, _ in irreps], matrix


def _as_irreps(kinds: Sequence[tuple[int, int]]) -> o3.Irreps:
    return o3.Irreps([(1, kind) for kind in kinds]).simplify()


def _gate(width: int, inner: Sequence[tuple[int, int]], activation: nn.Module) -> Gate:
    """A gate with ``width`` channels of each irrep; true scalars gate vectors and higher irreps."""
    scalars = [(width, ir) for ir in inner if ir[0] == 0]
    gated = [(width, ir) for ir in inner if ir[0] > 0]
    # pseudoscalars keep their parity under an odd activation
    activations = [activation if parity == 1 else torch.tanh for _, (_, parity) in scalars]
    gates = [(width * len(gated), (0, 1))]
    return Gate(o3.Irreps(scalars), activations, o3.Irreps(gates), [torch.sigmoid], o3.Irreps(gated))
