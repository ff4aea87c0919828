"""What a transformer with vector channels reads off its tokens: torques, invariants and vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from eqrl.nn.constants import ExactModule
from eqrl.nn.tokens import GLOBALS, Parts, Tokens, TokenSet, TokenTypes
from eqrl.nn.transformer.torques import check_torques, fields_of_axes, pairs
from eqrl.nn.transformer.vector_layers import ReadOut, Sizes
from eqrl.symmetry import Representation


class OfSet(NamedTuple):
    """What is read off each token of a set: invariants, vectors, and torques about the vectors ``axes``."""

    scalars: int
    vectors: int
    axes: tuple[int, ...]


class Pooled(NamedTuple):
    """What is read off the mean over tokens: scalars and vectors for each of ``rows`` entities, or for all alike."""

    size: int
    rows: int
    scalars: int
    vectors: int

    @classmethod
    def of(cls, types: TokenTypes, exchangeable: bool) -> Pooled:
        """The outputs of a set that is not among the tokens, or of the globals."""
        rows = 1 if exchangeable else types.size  # nothing tells exchangeable entities apart
        return cls(types.size, rows, rows * len(types.scalars), rows * len(types.vectors))


class ReadOuts(ExactModule):
    """A read-out for each set of tokens; what belongs to none of them is the mean over the tokens of all sets.

    Attributes:
        of_sets: what is read off the tokens of each set that the output has too.
    """

    def __init__(
        self,
        tokens_in: Tokens,
        out_rep: Representation,
        raw: Mapping[str, tuple[int, int]],
        axes: Sequence[str] | None,
        torques: Sequence[str] | None,
        sizes: Sizes,
        gain: float,
    ) -> None:
        """Build the read-outs.

        Args:
            tokens_in: tokens of the input.
            out_rep: representation of the output.
            raw: numbers of raw scalars and vectors of the tokens of each set.
            axes: fields of joint axes, see :class:`~eqrl.nn.transformer.SubequivariantTransformer`.
            torques: output fields of torques about them.
            sizes: sizes of all layers.
            gain: gain of the initial weights of the last layers.
        """
        super().__init__()
        self.tokens_out = Tokens(_plain(out_rep))
        asked = axes is not None or torques is not None
        axes = fields_of_axes(tokens_in.representation, axes)
        check_torques(out_rep, torques)
        sets = {name: types for name, types in self.tokens_out.types.items() if name != GLOBALS and name in raw}
        self.pooled = {
            name: Pooled.of(types, name != GLOBALS and out_rep.entity_set(name).exchangeable)
            for name, types in self.tokens_out.types.items()
            if name not in sets
        }
        scalars, vectors = (sum(getattr(p, kind) for p in self.pooled.values()) for kind in ("scalars", "vectors"))
        self.names = tuple(raw)
        self.of_sets: dict[str, OfSet] = {}
        self.maps = nn.ModuleList()
        for k, (name, (raw_scalars, raw_vectors)) in enumerate(raw.items()):
            n_scalars, n_vectors = scalars, vectors
            if (types := sets.get(name)) is not None:
                directions, driven = pairs(tokens_in.types[name], types, axes, torques, asked)
                rest = [i for i in range(len(types.scalars)) if i not in driven]
                self.of_sets[name] = OfSet(len(rest), len(types.vectors), tuple(directions))
                self.register_constant(f"order_{k}", torch.argsort(torch.tensor([*driven, *rest], dtype=torch.int64)))
                n_scalars, n_vectors = len(rest) + scalars, len(types.vectors) + bool(driven) + vectors
            self.maps.append(ReadOut(raw_scalars, raw_vectors, n_scalars, n_vectors, sizes, gain))

    def forward(
        self,
        h: Tensor,
        vectors: Tensor,
        external: Tensor,
        raw: Sequence[tuple[Tensor, Tensor]],
        sets: Sequence[TokenSet],
        real: Tensor,
    ) -> Tensor:
        """The output as a vector.

        Args:
            h: hidden scalars of all tokens, ``(B, N, width)``.
            vectors: hidden vectors, ``(B, N, 3, width)``.
            external: external vectors, ``(B, N, 3, n)``.
            raw: raw scalars and vectors of the tokens of each set.
            sets: the tokens of each set.
            real: which tokens are real, ``(B, N)``.
        """
        outputs: dict[str, TokenSet] = {}
        share = real.to(h) / real.sum(1, keepdim=True).clamp_min(1)
        scalar_sums, vector_sums, start = [], [], 0
        for k, (name, tokens, (raw_scalars, raw_vectors)) in enumerate(zip(self.names, sets, raw, strict=True)):
            here = slice(start, start + raw_scalars.shape[1])
            start = here.stop
            scalars, read = self.maps[k](
                torch.cat([raw_scalars, h[:, here]], dim=2),
                torch.cat([raw_vectors, vectors[:, here]], dim=3),
                external[:, here],
            )
            if (of_set := self.of_sets.get(name)) is not None:
                invariants, scalars = scalars.tensor_split([of_set.scalars], dim=2)
                forces, read = read.tensor_split([of_set.vectors], dim=2)
                if of_set.axes:
                    torque, read = read.tensor_split([1], dim=2)
                    assert tokens.vectors is not None
                    about_axes = (tokens.vectors[:, :, of_set.axes] * torque).sum(3)
                    invariants = torch.cat([about_axes, invariants], dim=2)
                outputs[name] = TokenSet(invariants.index_select(2, getattr(self, f"order_{k}")), forces)
            scalar_sums.append((scalars * share[:, here, None]).sum(1))
            vector_sums.append((read * share[:, here, None, None]).sum(1))
        outputs |= self._pooled_outputs(torch.stack(scalar_sums).sum(0), torch.stack(vector_sums).sum(0))
        outer = outputs.pop(GLOBALS)
        return self.tokens_out.join(Parts(outputs, outer))

    def _pooled_outputs(self, scalars: Tensor, vectors: Tensor) -> dict[str, TokenSet]:
        """Outputs of sets that are not among the tokens, and of the globals."""
        outputs = {}
        for name, pooled in self.pooled.items():
            s, scalars = scalars.tensor_split([pooled.scalars], dim=1)
            v, vectors = vectors.tensor_split([pooled.vectors], dim=1)
            s = s.reshape(s.shape[0], pooled.rows, -1 if pooled.scalars else 0)
            v = v.reshape(v.shape[0], pooled.rows, -1 if pooled.vectors else 0, 3)
            outputs[name] = TokenSet(s.expand(-1, pooled.size, -1), v.expand(-1, pooled.size, -1, -1))
        return outputs


def _plain(rep: Representation) -> Representation:
    """The same numbers without masks and roles, which mean nothing in an output."""
    fields = tuple(replace(field, role="", mask=None) for field in rep.fields)
    return Representation(fields, tuple(replace(e, mask=None) for e in rep.entities), rep.group)
