"""The transformer inside a frame: from the numbers of all tokens to those of all outputs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from eqrl.nn.constants import ExactModule
from eqrl.nn.padding import is_real
from eqrl.nn.perceptron import Activation
from eqrl.nn.transformer.blocks import FeedForward, Hidden, Layer, PairLinear, PairNorm, hidden_tokens
from eqrl.nn.transformer.tokens_in_frame import GLOBALS, Coordinates, coordinates, identities
from eqrl.symmetry import Representation


class TokenTransformer(ExactModule):
    """Tokens of all entity sets attend to each other; outputs are read off tokens, or off their mean for globals.

    Commutes with the exchange of entities of exchangeable sets, and with odd channels with the mirror y -> -y.
    """

    write: Tensor

    def __init__(
        self,
        in_rep: Representation,
        out_rep: Representation,
        even: int,
        odd: int,
        depth: int,
        *,
        heads: int,
        relations: bool,
        activation: Activation,
        output_gain: float,
    ) -> None:
        """Build embeddings, layers and heads.

        Args:
            in_rep: representation of the input, in a frame.
            out_rep: representation of the output, in a frame.
            even: number of even channels.
            odd: number of odd channels, 0 to tell nothing apart.
            depth: number of layers.
            heads: of the attention.
            relations: whether attention depends on who is whose parent.
            activation: of the hidden layers' even channels.
            output_gain: gain of the initial weights of the last layers.
        """
        super().__init__()
        self.even, self.odd = even, odd
        sets = coordinates(in_rep, odd > 0, with_markers=False)
        outer = next((s for s in sets if s.name == GLOBALS), None)
        self.sets = [_with_globals(s, outer) for s in sets if s.name != GLOBALS] or sets[-1:]
        self.tokens = sum(s.size for s in self.sets)
        self.masked = any(s.mask is not None for s in self.sets)
        self.embed, self.identities = nn.ModuleList(), nn.ParameterDict()
        for k, part in enumerate(self.sets):
            widths = [(index.shape[1], width) for index, width in ((part.even, even), (part.odd, odd))]
            self.embed.append(PairLinear(widths[0], widths[1] if odd else None))
            rows = None if part.name == GLOBALS else identities(in_rep.entity_set(part.name))
            if rows is not None:
                self.identities[str(k)] = nn.Parameter(torch.zeros(int(rows.max()) + 1, even))
            self.register_constant(f"even_{k}", part.even.flatten())
            self.register_constant(f"odd_{k}", part.odd.flatten())
            self.register_optional(f"rows_{k}", rows)
            self.register_optional(f"mask_{k}", part.mask)
            self.register_optional(f"edges_{k}", part.edges)
        relations = relations and any(s.edges is not None for s in self.sets)
        # of the token itself, its parent, its children and its siblings, for each head
        self.relation_bias = nn.Parameter(torch.zeros(4, heads)) if relations else None
        self.layers = nn.ModuleList(Layer(even, odd, heads, activation) for _ in range(depth))
        self.norm = PairNorm(even, odd)
        self.heads = nn.ModuleDict()
        self.pool_head: PoolHead | None = None
        self._build_heads(out_rep, activation, output_gain)

    def _build_heads(self, out_rep: Representation, activation: Activation, gain: float) -> None:
        """One head for each set of the output, one for what belongs to no token; and where their numbers go."""
        known = {s.name for s in self.sets} - {GLOBALS}
        write = torch.zeros(out_rep.dim, dtype=torch.int64)
        outputs = coordinates(out_rep, self.odd > 0, with_markers=True)
        start = 0
        for part in outputs:
            if part.name in known:
                n_even, n_odd = part.even.shape[1], part.odd.shape[1]
                self.heads[part.name] = PairLinear((self.even, n_even), (self.odd, n_odd) if self.odd else None, gain)
                for index in (part.even, part.odd):
                    write[index] = start + torch.arange(index.numel()).view_as(index)
                    start += index.numel()
        rest = [part for part in outputs if part.name not in known]
        widths = [0, 0]
        for kind in range(2):
            for part in rest:
                index = (part.even, part.odd)[kind]
                alike = part.name != GLOBALS and out_rep.entity_set(part.name).exchangeable  # nothing tells them apart
                columns = torch.arange(index.shape[1] if alike else index.numel())
                write[index] = start + (columns if alike else columns.view_as(index))
                start += len(columns)
                widths[kind] += len(columns)
        if rest:
            count = len(self.sets)
            self.pool_head = PoolHead(count * self.even, count * self.odd, widths, activation, gain)
        self.register_constant("write", write)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, in_rep.dim)`` to ``(B, out_rep.dim)``, both in a frame and with zeros in padded slots."""
        batch = x.shape[0]
        state = self._embedded(x)
        real = self._real(x)
        bias = self._bias(x, real)
        for layer in self.layers:
            state = layer(state, self.tokens, bias)
        kinds = [None if kind is None else kind.view(batch, self.tokens, kind.shape[1]) for kind in self.norm(state)]
        pieces: list[Tensor] = []
        pooled: list[list[Tensor]] = [[], []]
        start = 0
        for part in self.sets:
            at = slice(start, start + part.size)
            rows = [None if kind is None else kind[:, at] for kind in kinds]
            if part.name in self.heads:
                outputs = self.heads[part.name](tuple(None if r is None else r.flatten(0, 1) for r in rows))
                pieces += [y.view(batch, part.size * y.shape[1]) for y in outputs if y is not None]
            if self.pool_head is not None:
                for means, r in zip(pooled, rows, strict=True):
                    if r is not None:
                        means.append(_mean(r, None if real is None else real[:, at]))
            start += part.size
        if self.pool_head is not None:
            even, odd = (torch.cat(means, dim=1) if means else None for means in pooled)
            assert even is not None
            pieces += [y for y in self.pool_head((even, odd)) if y is not None]
        return torch.cat(pieces, dim=1).index_select(1, self.write)

    def _embedded(self, x: Tensor) -> Hidden:
        batch = x.shape[0]
        evens, odds = [], []
        for k, part in enumerate(self.sets):
            even = x.index_select(1, getattr(self, f"even_{k}")).view(batch * part.size, part.even.shape[1])
            odd = None
            if self.odd:
                odd = x.index_select(1, getattr(self, f"odd_{k}")).view(batch * part.size, part.odd.shape[1])
            even, odd = self.embed[k]((even, odd))
            even = even.view(batch, part.size, self.even)
            if (which := getattr(self, f"rows_{k}")) is not None:
                even = even + self.identities[str(k)][which]
            evens.append(even)
            if odd is not None:
                odds.append(odd.view(batch, part.size, self.odd))
        joined = [kind[0] if len(kind) == 1 else torch.cat(kind, dim=1) for kind in (evens, odds) if kind]
        rows = [kind.flatten(0, 1) for kind in joined]
        return rows[0], rows[1] if self.odd else None

    def _real(self, x: Tensor) -> Tensor | None:
        """Which tokens are real, ``(B, tokens)``; None if all are."""
        if not self.masked:
            return None
        masks = []
        for k, part in enumerate(self.sets):
            where = getattr(self, f"mask_{k}")
            ones = torch.ones(x.shape[0], part.size, dtype=torch.bool, device=x.device)
            masks.append(ones if where is None else is_real(x.index_select(1, where)))
        real = torch.cat(masks, dim=1)
        if not torch.compiler.is_exporting() and bool(real.all()):
            return None
        return real

    def _bias(self, x: Tensor, real: Tensor | None) -> Tensor | None:
        bias = None if real is None else hidden_tokens(real).to(x)
        if self.relation_bias is None:
            return bias
        parent = x.new_zeros(x.shape[0], self.tokens, self.tokens)
        start = 0
        for k, part in enumerate(self.sets):
            if (where := getattr(self, f"edges_{k}")) is not None:
                at = slice(start, start + part.size)
                parent[:, at, at] = x.index_select(1, where).view(-1, part.size, part.size)
            start += part.size
        same = torch.eye(self.tokens, dtype=x.dtype, device=x.device).expand_as(parent)
        kinds = torch.stack([same, parent, parent.mT, parent @ parent.mT])
        relation = torch.einsum("rbij,rh->bhij", kinds, self.relation_bias)
        return relation if bias is None else relation + bias


class PoolHead(nn.Module):
    """From the means over tokens to outputs that belong to no token, through one hidden layer."""

    def __init__(self, even: int, odd: int, widths: list[int], activation: Activation, gain: float) -> None:
        super().__init__()
        self.hidden = FeedForward(even, odd, 2 * even, 2 * odd, activation)
        self.last = PairLinear((even, widths[0]), (odd, widths[1]) if odd else None, gain)

    def forward(self, x: Hidden) -> Hidden:
        """Even and odd outputs, ``(B, widths)``."""
        y: Hidden = self.last(self.hidden(x, x))
        return y


def _with_globals(part: Coordinates, outer: Coordinates | None) -> Coordinates:
    """Every token reads the globals too."""
    if outer is None:
        return part
    even, odd = (
        torch.cat([mine, theirs.expand(part.size, -1)], dim=1)
        for mine, theirs in ((part.even, outer.even), (part.odd, outer.odd))
    )
    return part._replace(even=even, odd=odd)


def _mean(rows: Tensor, real: Tensor | None) -> Tensor:
    """Mean over real tokens, ``(B, width)``."""
    if real is None:
        return rows.mean(dim=1)
    share = real.to(rows) / real.sum(1, keepdim=True).clamp_min(1)
    return (rows * share[..., None]).sum(dim=1)
