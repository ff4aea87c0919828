"""Tensor-product networks of any degree, built from e3nn (Geiger and Smidt, arXiv 2207.09453).

Each layer multiplies its features with an embedding of the input (a fully connected tensor product) and passes them
through a gate. Gravity is one more input vector: a network that commutes with turning the input and gravity
together commutes, at fixed gravity, with the rotations about it. Without mirrors all parities are set to even, so
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
    """Steerable network for SO2, O2, SO3 and O3, with irreps of any degree."""

    label: ClassVar[str] = "steerable"
    default_hidden: ClassVar[tuple[int, ...]] = (24, 24)
    default_activation: ClassVar[Activation] = "silu"

    into: Tensor
    out_of: Tensor
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
            group: group to commute with; None is the largest of the standard ones within the input's world part.
            embedding: number of input combinations of each kind that multiply the features.
            lmax: largest degree inside; None takes the largest of input and output, at least 1.
            common: see :class:`~eqrl.nn.backbone.BackboneOptions`. ``hidden`` is the number of features of each kind of irrep, one
                number per layer, by default ``(24, 24)``; the activation is that of the true scalars, by default ``"silu"``.

        Raises:
            ValueError: for groups other than the standard ones.
        """
        super().__init__(in_rep, out_rep, group, **common)
        standard = standard_group(self.group)
        assert standard is not None
        mirrors = standard.has_mirrors
        kinds_in, into = _irreps(in_rep, standard, mirrors)
        kinds_out, out_of = _irreps(out_rep, standard, mirrors)
        # one constant true scalar serves as bias; gravity makes a network about gravity out of one in space
        kinds_in.append((0, 1))
        extra = [1.0]
        if standard in (SO2, O2):
            kinds_in.append((1, -1 if mirrors else 1))
            extra += [0.0, 0.0, 1.0]
        self.register_constant("constant", torch.tensor(extra, dtype=torch.float64))
        self.register_constant("into", into)
        self.register_constant("out_of", out_of.mT.contiguous())
        degree = max([1, *(d for d, _ in kinds_in + kinds_out)] if lmax is None else [lmax])
        parities = (1, -1) if mirrors else (1,)
        inner = [(d, p) for d in range(degree + 1) for p in parities]
        kind = activation_type(self.activation)()
        irreps = _as_irreps(kinds_in)
        embedded = o3.Irreps([(embedding, ir) for ir in inner])
        self.embed = o3.Linear(irreps, embedded)
        self.products = nn.ModuleList()
        self.gates = nn.ModuleList()
        for width in self.hidden:
            gate = _gate(width, inner, kind)
            self.products.append(o3.FullyConnectedTensorProduct(irreps, embedded, gate.irreps_in))
            self.gates.append(gate)
            irreps = gate.irreps_out
        self.head = o3.Linear(irreps, _as_irreps(kinds_out))
        with torch.no_grad():
            self.head.weight.mul_(self.output_gain)
        self._tame()

    @classmethod
    def default_group(cls, in_rep: Representation) -> Group:
        """The largest of 1, SO2, O2, SO3 and O3 within the world part of the input's group."""
        return largest_standard_subgroup(in_rep.group.world_part())

    @classmethod
    def check_group(cls, group: Group) -> None:
        """Refuse groups other than the standard ones."""
        if standard_group(group) is None:
            raise ValueError(
                f"backbone 'steerable' honours 1, SO2, O2, SO3 and O3 and cannot honour group {group}; leave group=None "
                "for the largest of these within the environment's group, or take 'frame', which averages over any finite part"
            )

    def compute(self, x: Tensor) -> Tensor:
        """Map ``(B, in_rep.dim)`` to ``(B, out_rep.dim)``, where padding is zero."""
        h = torch.cat([x @ self.into, self.constant.expand(x.shape[0], -1)], dim=1)
        e: Tensor = self.embed(h)
        # bounded, so that the layers' products grow no faster than the input
        e = e / (1.0 + torch.linalg.vector_norm(e, dim=1, keepdim=True) / e.shape[1] ** 0.5)
        for product, gate in zip(self.products, self.gates, strict=True):
            h = gate(product(h, e))
        y: Tensor = self.head(h) @ self.out_of
        return y

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)
        self._tame()
        return self

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self._tame()

    def _tame(self) -> None:
        """Treat e3nn's buffers as the constants they are.

        The coupling coefficients are written anew, so that float64 copies of float32 networks hold exact ones. All
        buffers leave the state dict, because copying an e3nn module adds to them.
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


def _irreps(rep: Representation, group: Group, mirrors: bool) -> tuple[list[tuple[int, int]], Tensor]:
    """The irreps of a representation in sorted order, and the matrix that brings its vectors there.

    Returns:
        Pairs (l, parity), and a matrix ``(dim, sum of 2 l + 1)`` of zeros and ones that acts on rows; it is larger
        than square where horizontal vectors get a vertical component 0.
    """
    found: list[tuple[tuple[int, int], list[int]]] = []
    for block in rep.blocks():
        if block.frame != WORLD or group == TRIVIAL:
            found += [((0, 1), [i]) for i in block.where]
        else:
            found.append(((block.degree, block.parity if mirrors else 1), list(block.where)))
    found.sort(key=lambda entry: entry[0])
    matrix = torch.zeros(rep.dim, sum(2 * d + 1 for (d, _), _ in found), dtype=torch.float64)
    column = 0
    for (degree, _), where in found:
        matrix[where, range(column, column + len(where))] = 1.0
        column += 2 * degree + 1
    return [kind for kind, _ in found], matrix


def _as_irreps(kinds: Sequence[tuple[int, int]]) -> o3.Irreps:
    return o3.Irreps([(1, kind) for kind in kinds]).simplify()


def _gate(width: int, inner: Sequence[tuple[int, int]], activation: nn.Module) -> Gate:
    """A gate with ``width`` features of each kind; vectors and higher irreps are gated by true scalars."""
    scalars = [(width, ir) for ir in inner if ir[0] == 0]
    gated = [(width, ir) for ir in inner if ir[0] > 0]
    # an odd activation keeps the parity of pseudoscalars
    activations = [activation if parity == 1 else torch.tanh for _, (_, parity) in scalars]
    gates = [(width * len(gated), (0, 1))]
    return Gate(o3.Irreps(scalars), activations, o3.Irreps(gates), [torch.sigmoid], o3.Irreps(gated))
