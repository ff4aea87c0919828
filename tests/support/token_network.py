"""A minimal network on tokens that honours masks, edges and free exchange."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from eqrl.nn import Backbone, Parts, Tokens, TokenSet
from eqrl.nn.perceptron import Activation, perceptron
from eqrl.symmetry import Group, Representation


class TokenAttention(Backbone):
    """One layer of masked attention in every set, on true scalars and polar vectors; commutes with O(3) and exchanges.

    The invariants of a token are its scalars and the inner products of its vectors, its position relative to the mean
    of the others, and the global vectors. Output vectors are combinations of the same vectors.
    """

    label: ClassVar[str] = "tokens"
    exchanges: ClassVar[bool] = True
    default_hidden: ClassVar[tuple[int, ...]] = (16,)

    def __init__(
        self,
        in_rep: Representation,
        out_rep: Representation,
        group: Group | None = None,
        *,
        hidden: Sequence[int] | None = None,
        activation: Activation = "silu",
        output_gain: float = 1.0,
    ) -> None:
        super().__init__(in_rep, out_rep, group, hidden=hidden, activation=activation, output_gain=output_gain)
        self.tokens_in, self.tokens_out = Tokens(in_rep), Tokens(out_rep)
        for types in (*self.tokens_in.types.values(), *self.tokens_out.types.values()):
            if types.tensors or any(b.parity < 0 for b in types.scalars) or any(b.parity > 0 for b in types.vectors):
                raise ValueError("this network knows true scalars and polar vectors only")
        width = self.hidden[-1]
        outer = self.tokens_in.types[""]
        n_scalars, n_vectors = len(outer.scalars), len(outer.vectors)
        names = [name for name in self.tokens_in.types if name]
        self.encode, self.attend, self.heads = nn.ModuleDict(), nn.ModuleDict(), nn.ModuleDict()
        for name in names:
            types = self.tokens_in.types[name]
            vectors = len(types.vectors) + n_vectors + 1
            self.encode[name] = perceptron(
                len(types.scalars) + n_scalars + vectors**2, self.hidden[:-1], width, activation, 1.0
            )
            self.attend[name] = nn.Linear(width, 3 * width)
            self.attend[f"{name} edges"] = nn.Linear(2, 1)
            if name in self.tokens_out.types:
                wanted = self.tokens_out.types[name]
                outputs = len(wanted.scalars) + len(wanted.vectors) * (vectors + 1)
                self.heads[name] = perceptron((1 + len(names)) * width, self.hidden, outputs, activation, output_gain)
        wanted = self.tokens_out.types[""]
        outputs = len(wanted.scalars) + len(wanted.vectors) * n_vectors
        inputs = len(names) * width + n_scalars + n_vectors**2
        self.heads["globals"] = perceptron(inputs, self.hidden, outputs, activation, output_gain)

    @classmethod
    def check_group(cls, group: Group) -> None:
        if group.relabels:
            raise ValueError(f"'tokens' does not honour the relabellings of group {group}")

    def compute(self, x: Tensor) -> Tensor:
        parts = self.tokens_in.split(x)
        outer = parts.globals
        states, bases, pools = {}, {}, []
        for name, tokens in parts.sets.items():
            states[name], bases[name] = self._attended(name, tokens, outer)
            pools.append(_mean(states[name], tokens.mask))
        pooled = torch.cat(pools, dim=-1)
        sets = {}
        for name, wanted in self.tokens_out.types.items():
            if name:
                h = torch.cat([states[name], pooled.expand(-1, wanted.size, -1)], dim=-1)
                sets[name] = _read_out(self.heads[name](h), wanted, bases[name], parts.sets[name].mask)
        h = torch.cat([pooled, outer.scalars, _gram(outer.vectors)], dim=-1)
        return self.tokens_out.join(
            Parts(sets, _read_out(self.heads["globals"](h), self.tokens_out.types[""], outer.vectors, None))
        )

    def _attended(self, name: str, tokens: TokenSet, outer: TokenSet) -> tuple[Tensor, Tensor]:
        """Invariant states ``(B, N, width)`` and the vectors of each token."""
        n = tokens.mask.shape[1]
        spots = tokens.vectors.new_zeros(*tokens.mask.shape, 3) if tokens.positions is None else tokens.positions
        vectors = torch.cat(
            [tokens.vectors, (spots - _mean(spots, tokens.mask))[:, :, None], outer.vectors.expand(-1, n, -1, -1)],
            dim=2,
        )
        h = self.encode[name](torch.cat([tokens.scalars, outer.scalars.expand(-1, n, -1), _gram(vectors)], dim=-1))
        q, k, v = self.attend[name](h).chunk(3, dim=-1)
        apart = spots[:, None] - spots[:, :, None]  # from i to j
        edges = torch.zeros_like(apart[..., 0]) if tokens.edges is None else tokens.edges
        extra = self.attend[f"{name} edges"](torch.stack([edges, apart.square().sum(-1)], dim=-1))[..., 0]
        logits = (q @ k.mT / q.shape[-1] ** 0.5 + extra).masked_fill(~tokens.mask[:, None], -1e30)
        weights = logits.softmax(-1)
        message = (weights[..., None] * apart).sum(2)
        return h + weights @ v, torch.cat([vectors, message[:, :, None]], dim=2)


def _mean(x: Tensor, mask: Tensor) -> Tensor:
    """Mean over real tokens, ``(B, 1, width)``."""
    share = mask.to(x) / mask.sum(1, keepdim=True).clamp_min(1)
    return (x * share[..., None]).sum(1, keepdim=True)


def _gram(vectors: Tensor) -> Tensor:
    return (vectors @ vectors.mT).flatten(-2)


def _read_out(y: Tensor, wanted: object, vectors: Tensor, mask: Tensor | None) -> TokenSet:
    scalars, coefficients = y.split([len(wanted.scalars), y.shape[-1] - len(wanted.scalars)], dim=-1)
    mixed = coefficients.unflatten(-1, (len(wanted.vectors), vectors.shape[2])) @ vectors
    return TokenSet(scalars=scalars, vectors=mixed, mask=mask)
