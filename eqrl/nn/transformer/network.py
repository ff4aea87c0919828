"""The transformer inside a frame: from the numbers of all tokens to those of all outputs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from eqrl.nn.constants import ExactModule
from eqrl.nn.padding import is_real
from eqrl.nn.transformer.blocks import FeedForward, Layer, PartLinear, PartNorm, hidden_tokens
from eqrl.nn.transformer.tokens_in_frame import GLOBALS, Coordinates, coordinates, identities
from eqrl.symmetry import Representation


class TokenTransformer(ExactModule):
    """Tokens of all entity sets attend to each other; outputs are read off tokens, or off their mean for globals.

    Commutes with the exchange of entities of exchangeable sets, and if it has two parts with the mirror y -> -y.
    """

    read: Tensor
    write: Tensor

    def __init__(
        self,
        in_rep: Representation,
        out_rep: Representation,
        width: int,
        depth: int,
        *,
        parts: int,
        heads: int,
        relations: bool,
        output_gain: float,
    ) -> None:
        """Build embeddings, layers and heads.

        Args:
            in_rep: representation of the input, in a frame.
            out_rep: representation of the output, in a frame.
            width: channels of each part.
            depth: number of layers.
            parts: 2 to keep even and odd channels apart, else 1.
            heads: of the attention.
            relations: whether attention depends on who is whose parent.
            output_gain: gain of the initial weights of the last layers.
        """
        super().__init__()
        self.parts, self.width = parts, width
        sets = coordinates(in_rep, parts, with_markers=False)
        outer = next((s.index for s in sets if s.name == GLOBALS), torch.zeros(parts, 1, 0, dtype=torch.int64))
        self.sets = [s for s in sets if s.name != GLOBALS] or sets[-1:]
        order, self.shapes = [], []
        self.embed, self.identities = nn.ModuleList(), nn.ParameterList()
        self.identity_rows: list[Tensor | None] = []
        for part in self.sets:
            index = part.index
            if part.name != GLOBALS:  # every token reads the globals too
                index = torch.cat([index, outer.expand(-1, index.shape[1], -1)], dim=2)
            order.append(index.flatten())
            self.shapes.append(tuple(index.shape))
            self.embed.append(PartLinear(parts, index.shape[2], width))
            rows = None if part.name == GLOBALS else identities(in_rep.entity_set(part.name))
            self.identities.append(nn.Parameter(torch.zeros(0 if rows is None else int(rows.max()) + 1, width)))
            self.register_optional(f"rows_{len(self.embed) - 1}", rows)
        self.register_constant("read", torch.cat(order))
        self.tokens = sum(shape[1] for shape in self.shapes)
        self.masked = any(s.mask is not None for s in self.sets)
        for k, part in enumerate(self.sets):
            self.register_optional(f"mask_{k}", part.mask)
            self.register_optional(f"edges_{k}", None if part.edges is None else part.edges.flatten())
        self.relations = relations and any(s.edges is not None for s in self.sets)
        # of the token itself, its parent, its children and its siblings, for each head
        self.relation_bias = nn.Parameter(torch.zeros(4, heads)) if self.relations else None
        self.layers = nn.ModuleList(Layer(parts, width, heads) for _ in range(depth))
        self.norm = PartNorm(parts, width)
        self.heads = nn.ModuleDict()
        self.pool_head: PoolHead | None = None
        self._build_heads(in_rep, out_rep, output_gain)

    def _build_heads(self, in_rep: Representation, out_rep: Representation, gain: float) -> None:
        """One head for each set of the output, one for what belongs to no token; and where their numbers go."""
        known = {s.name for s in self.sets} - {GLOBALS}
        write = torch.zeros(out_rep.dim, dtype=torch.int64)
        outputs = coordinates(out_rep, self.parts, with_markers=True)
        start = 0
        for part in outputs:
            if part.name in known:
                _, size, channels = part.index.shape
                self.heads[part.name] = PartLinear(self.parts, self.width, channels, gain)
                _fill(write, part.index, torch.arange(start, start + self.parts * size * channels).view_as(part.index))
                start += self.parts * size * channels
        rest = [part for part in outputs if part.name not in known]
        widths = []
        for part in rest:
            columns = part.index
            if part.name != GLOBALS and out_rep.entity_set(part.name).exchangeable:
                columns = columns[:, :1]  # what nothing tells apart is alike
            widths.append(columns.shape[1] * columns.shape[2])
        total = sum(widths)
        offset = 0
        for part, count in zip(rest, widths, strict=True):
            _, size, channels = part.index.shape
            rows = torch.arange(count).view(-1, channels).expand(size if count == channels else -1, -1)
            columns = start + offset + rows + total * torch.arange(self.parts)[:, None, None]
            _fill(write, part.index, columns)
            offset += count
        if total:
            self.pool_head = PoolHead(self.parts, len(self.sets) * self.width, 2 * self.width, total, gain)
        self.register_constant("write", write)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, in_rep.dim)`` to ``(B, out_rep.dim)``, both in a frame and with zeros in padded slots."""
        batch = x.shape[0]
        h = self._embedded(x)
        real = self._real(x)
        bias = self._bias(x, real)
        for layer in self.layers:
            h = layer(h, self.tokens, bias)
        h = self.norm(h).view(self.parts, batch, self.tokens, self.width)
        pieces, pooled, start = [], [], 0
        for part, shape in zip(self.sets, self.shapes, strict=True):
            rows = h[:, :, start : start + shape[1]]
            if part.name in self.heads:
                y = self.heads[part.name](rows.reshape(self.parts, batch * shape[1], self.width))
                pieces.append(y.view(self.parts, batch, -1).transpose(0, 1).reshape(batch, -1))
            if self.pool_head is not None:
                pooled.append(_mean(rows, None if real is None else real[:, start : start + shape[1]]))
            start += shape[1]
        if self.pool_head is not None:
            pieces.append(self.pool_head(torch.cat(pooled, dim=-1)).transpose(0, 1).reshape(batch, -1))
        return torch.cat(pieces, dim=1).index_select(1, self.write)

    def _embedded(self, x: Tensor) -> Tensor:
        batch = x.shape[0]
        padded = torch.cat([x, x.new_zeros(batch, 1)], dim=1)
        sizes = [parts * tokens * channels for parts, tokens, channels in self.shapes]
        rows = torch.split(padded.index_select(1, self.read), sizes, dim=1)
        states = []
        for k, (values, shape) in enumerate(zip(rows, self.shapes, strict=True)):
            parts, tokens, channels = shape
            tokens_first = values.view(batch, parts, tokens, channels).transpose(0, 1)
            h = self.embed[k](tokens_first.reshape(parts, batch * tokens, channels))
            h = h.view(parts, batch, tokens, self.width)
            if (which := getattr(self, f"rows_{k}")) is not None:
                identity = self.identities[k][which]
                extra = identity[None] if parts == 1 else torch.stack([identity, torch.zeros_like(identity)])
                h = h + extra[:, None]
            states.append(h)
        return torch.cat(states, dim=2).view(self.parts, batch * self.tokens, self.width)

    def _real(self, x: Tensor) -> Tensor | None:
        """Which tokens are real, ``(B, tokens)``; None if all are."""
        if not self.masked:
            return None
        masks = []
        for k, shape in enumerate(self.shapes):
            where = getattr(self, f"mask_{k}")
            ones = torch.ones(x.shape[0], shape[1], dtype=torch.bool, device=x.device)
            masks.append(ones if where is None else is_real(x.index_select(1, where)))
        real = torch.cat(masks, dim=1)
        if not torch.compiler.is_exporting() and bool(real.all()):
            return None
        return real

    def _bias(self, x: Tensor, real: Tensor | None) -> Tensor | None:
        bias = None if real is None else hidden_tokens(real).to(x)
        if self.relation_bias is None:
            return bias
        tables = []
        for k, shape in enumerate(self.shapes):
            where = getattr(self, f"edges_{k}")
            n = shape[1]
            tables.append(x.new_zeros(len(x), n, n) if where is None else x.index_select(1, where).view(-1, n, n))
        parent = (
            torch.stack([torch.block_diag(*rows) for rows in zip(*tables, strict=True)])
            if len(tables) > 1
            else tables[0]
        )
        siblings = parent @ parent.mT
        kinds = [torch.eye(self.tokens, dtype=x.dtype, device=x.device).expand_as(parent), parent, parent.mT, siblings]
        relation = torch.einsum("rbij,rh->bhij", torch.stack(kinds), self.relation_bias)
        return relation if bias is None else relation + bias


class PoolHead(nn.Module):
    """From the means over tokens to outputs that belong to no token, through one hidden layer."""

    def __init__(self, parts: int, n_in: int, hidden: int, n_out: int, gain: float) -> None:
        super().__init__()
        self.hidden = FeedForward(parts, n_in, hidden)
        self.last = PartLinear(parts, n_in, n_out, gain)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(parts, B, n_in)`` to ``(parts, B, n_out)``."""
        y: Tensor = self.last(x + self.hidden(x))
        return y


def _mean(rows: Tensor, real: Tensor | None) -> Tensor:
    """Mean over real tokens, ``(parts, B, width)``."""
    if real is None:
        return rows.mean(dim=2)
    share = real.to(rows) / real.sum(1, keepdim=True).clamp_min(1)
    return (rows * share[..., None]).sum(dim=2)


def _fill(write: Tensor, index: Tensor, columns: Tensor) -> None:
    exists = index < len(write)
    write[index[exists]] = columns.expand_as(index)[exists]


__all__ = ["Coordinates", "PoolHead", "TokenTransformer"]
