"""A fast scalar-vector network: a perceptron on inner products, whose outputs are coefficients of vectors.

The Gram matrix of learned vector channels and the invariants of the input feed a perceptron. Its outputs are invariants
and the coefficients of the channels ("Scalars are universal", Villar et al., arXiv 2106.06610). Gravity enters through
the
layout: where the group keeps it, vertical components are invariants and vectors are horizontal.

Under mirrors, numbers that change sign with the determinant take a separate path. They are projected without bias,
enter the perceptron as absolute values only, and leave as the projections times gates from the perceptron. Every odd
function of them has this form.
"""

from __future__ import annotations

from typing import ClassVar, Unpack

import torch
from torch import Tensor, nn

from eqrl.nn.backbone import Backbone, BackboneOptions, largest_standard_subgroup, standard_group
from eqrl.nn.channels import Channels, length
from eqrl.nn.layout import layout
from eqrl.nn.perceptron import BatchLast, hidden_layers, linear
from eqrl.symmetry import Group, Representation


class Vector(Backbone):
    """Scalar-vector network for SO2, O2, SO3, O3 and the trivial group."""

    label: ClassVar[str] = "vector"
    stacks: ClassVar[bool] = True
    default_hidden: ClassVar[tuple[int, ...]] = (192, 192)

    index: Tensor
    signs: Tensor | None
    unsort: Tensor
    out_signs: Tensor

    def __init__(
        self,
        in_rep: Representation,
        out_rep: Representation,
        group: Group | None = None,
        *,
        channels: int = 10,
        crosses: int = 4,
        odd: int = 64,
        **common: Unpack[BackboneOptions],
    ) -> None:
        """Build the network.

        Args:
            in_rep: representation of the input.
            out_rep: representation of the output.
            group: group to commute with; None means the largest of 1, SO2, O2, SO3 and O3 within the input's world
                part.
            channels: number of vector channels of each parity.
            crosses: number of cross products of each combination of parities, for the groups that need them.
            odd: number of projections of the numbers that change sign with the determinant.
            common: see :class:`~eqrl.nn.backbone.BackboneOptions`. The perceptron's widths are ``(192, 192)`` by
                default: together with the Gram matrix they cost as much as a plain perceptron of ``(256, 256)``.

        Raises:
            ValueError: for other groups, and for irreps with ``l >= 2`` that turn with the world.
        """
        super().__init__(in_rep, out_rep, group, **common)
        standard = standard_group(self.group)
        assert standard is not None
        mirrors = standard.has_mirrors
        in_layout, out_layout = layout(in_rep, standard, self.label), layout(out_rep, standard, self.label)
        # where all are true scalars and polar vectors, no number that changes sign is ever needed
        parity = mirrors and bool(in_layout.odd or out_layout.odd or in_layout.axial or out_layout.axial)
        self.channels: Channels | None = None
        if in_layout.polar or in_layout.axial:
            self.channels = Channels(in_layout, mirrors, parity, channels, crosses)
        self.n_polar = self.channels.polar if self.channels else 0
        self.n_axial = self.channels.axial if self.channels else 0
        # coordinates to read, in this order: even, odd, polar, axial
        mixes = self.channels.mixes if self.channels else []
        scalars = [torch.tensor(part, dtype=torch.int64) for part in (in_layout.even, in_layout.odd if parity else [])]
        read = [*scalars, *(mix.index for mix in mixes)]
        signs = torch.cat(
            [*(torch.ones(len(part), dtype=torch.float64) for part in scalars), *(mix.signs for mix in mixes)]
        )
        self.sizes = [len(part) for part in read]
        self.register_constant("index", torch.cat(read))
        self.register_optional("signs", None if bool((signs == 1).all()) else signs[:, None])

        n_odd = len(in_layout.odd) + (self.channels.odd if self.channels else 0) if parity else 0
        n_in = len(in_layout.even) + (self.channels.even if self.channels else 0) + (odd if n_odd else 0)
        trunk, width = hidden_layers(n_in, self.hidden, self.activation, BatchLast)
        self.trunk = nn.Sequential(*trunk)
        self.space = in_layout.space
        self.out_even, self.out_odd = len(out_layout.even), len(out_layout.odd)
        self.out_polar, self.out_axial = len(out_layout.polar), len(out_layout.axial)
        n_even = self.out_even + self.out_polar * self.n_polar + self.out_axial * self.n_axial
        self.even_head = linear(width, n_even, self.output_gain, kind=BatchLast) if n_even else None
        self.odd_in = linear(n_odd, odd, 1.0, bias=False, kind=BatchLast) if n_odd else None
        self.n_odd_out = self.out_odd + self.out_polar * self.n_axial + self.out_axial * self.n_polar
        reads_odd = n_odd > 0 and self.n_odd_out > 0
        self.odd_gate = linear(width, odd, 1.0, kind=BatchLast) if reads_odd else None
        self.odd_head = linear(odd, self.n_odd_out, self.output_gain, bias=False, kind=BatchLast) if reads_odd else None
        order = torch.tensor(out_layout.order, dtype=torch.int64)
        self.moves = not torch.equal(order, torch.arange(out_rep.dim))
        self.register_constant("unsort", torch.argsort(order))
        signs = out_layout.sign_of(torch.arange(out_rep.dim))
        self.flips = bool((signs != 1).any())
        self.register_constant("out_signs", signs)

    @classmethod
    def default_group(cls, in_rep: Representation) -> Group:
        """The largest of 1, SO2, O2, SO3 and O3 within the world part of the input's group."""
        return largest_standard_subgroup(in_rep.group.world_part())

    @classmethod
    def check_group(cls, group: Group) -> None:
        """Refuse groups other than 1, SO2, O2, SO3 and O3."""
        if standard_group(group) is None:
            raise ValueError(
                f"backbone 'vector' honours 1, SO2, O2, SO3 and O3 and cannot honour group {group}; leave group=None"
                " for the largest of these within the environment's group, or take 'frame', which averages over any"
                " finite part"
            )

    def compute(self, x: Tensor) -> Tensor:
        """Map ``(B, in_rep.dim)`` to ``(B, out_rep.dim)``, where padding is zero."""
        rows = x.index_select(1, self.index).mT.contiguous()
        if self.signs is not None:
            rows = rows * self.signs
        even, odd_rows, *vectors = torch.split(rows, self.sizes)
        v: Tensor | None = None
        if (channels := self.channels) is not None:
            v, products = channels(vectors)
            even = _stacked(even, products[..., : channels.even, :])
            odd_rows = _stacked(odd_rows, products[..., channels.even :, :]) if channels.odd else odd_rows
        odd: Tensor | None = None
        if (odd_in := self.odd_in) is not None:
            odd = odd_in(odd_rows)
            even = _stacked(even, odd.abs())
        h = self.trunk(even)
        even_head, odd_gate, odd_head = self.even_head, self.odd_gate, self.odd_head
        even_out = h[..., :0, :] if even_head is None else even_head(h)
        odd_out: Tensor | None = None
        if odd is not None and odd_gate is not None and odd_head is not None:
            # bounded, so that the product with the gates grows no faster than the input
            odd_out = odd_head(odd / (1.0 + length(odd, -2) / odd.shape[-2] ** 0.5) * odd_gate(h))
        y = self._assemble(even_out, odd_out, v).mT
        # flags skip needless operations, whose overhead matters for single observations
        if self.moves:
            y = y.index_select(-1, self.unsort)
        return y * self.out_signs if self.flips else y

    def _assemble(self, even: Tensor, odd: Tensor | None, v: Tensor | None) -> Tensor:
        """Scalars and combined vectors, in the order of the output's layout.

        Args:
            even: true scalars and coefficients, ``(n, B)``.
            odd: pseudoscalars and coefficients, or None where there are none.
            v: vector channels ``(polar + axial, space, B)``, or None where the input has no vectors.
        """
        n_vectors = self.out_polar + self.out_axial
        if n_vectors == 0 and self.n_odd_out == 0:
            return even
        if odd is None and self.n_odd_out:
            odd = even.new_zeros(*even.shape[:-2], self.n_odd_out, even.shape[-1])
        rows = [even[..., : self.out_even, :]]
        if odd is not None:
            rows.append(odd[..., : self.out_odd, :])
        if n_vectors and v is None:
            rows.append(even.new_zeros(*even.shape[:-2], n_vectors * self.space, even.shape[-1]))
        elif n_vectors and v is not None:
            coefficients = even[..., self.out_even :, :] if odd is None else self._coefficients(even, odd)
            shape = (*coefficients.shape[:-2], n_vectors, v.shape[-3], 1, v.shape[-1])
            vectors = coefficients.reshape(shape) * v.unsqueeze(-4)
            rows.append(vectors.sum(-3).flatten(-3, -2))
        return torch.cat(rows, dim=-2)

    def _coefficients(self, even: Tensor, odd: Tensor) -> Tensor:
        """Coefficients ``(vectors * (polar + axial), B)``.

        Even for channels of the same parity as the output, else odd.
        """
        p, a, n, m = self.n_polar, self.n_axial, self.out_polar, self.out_axial
        even_polar, even_axial = even[..., self.out_even :, :].split([n * p, m * a], dim=-2)  # type: ignore[no-untyped-call]
        odd_polar, odd_axial = odd[..., self.out_odd :, :].split([n * a, m * p], dim=-2)  # type: ignore[no-untyped-call]
        polar = torch.cat([even_polar.unflatten(-2, (n, p)), odd_polar.unflatten(-2, (n, a))], dim=-2)
        axial = torch.cat([odd_axial.unflatten(-2, (m, p)), even_axial.unflatten(-2, (m, a))], dim=-2)
        return torch.cat([polar, axial], dim=-3).flatten(-3, -2)


def _stacked(rows: Tensor, more: Tensor) -> Tensor:
    """Concatenate rows ``(n, B)``, which ensemble members may share, and the rows ``(..., m, B)`` of each member."""
    return torch.cat([rows.expand(*more.shape[:-2], *rows.shape[-2:]), more], dim=-2)
