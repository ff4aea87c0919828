"""SET: a transformer with vector channels at every layer, and no frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Unpack

import torch
from torch import Tensor, nn

from eqrl.nn.backbone import Backbone, BackboneOptions
from eqrl.nn.tokens import GLOBALS, Tokens, TokenSet, TokenTypes
from eqrl.nn.transformer.blocks import hidden_tokens
from eqrl.nn.transformer.read_outs import ReadOuts
from eqrl.nn.transformer.tokens_in_frame import identities
from eqrl.nn.transformer.trees import relations as relations_of
from eqrl.nn.transformer.trees import traversals
from eqrl.nn.transformer.vector_layers import Embedding, Sizes, VectorLayer
from eqrl.symmetry import SO2, TRIVIAL, Group, Representation
from eqrl.symmetry.representation import WORLD

_GRAVITY = (0.0, 0.0, -9.81)  # m/s^2
_RELATIONS = 3
_TRAVERSALS = 3


class SubequivariantTransformer(Backbone):
    """The subequivariant transformer of 3D-SGRL (Chen et al., ICML 2023, arXiv 2305.18951), for any set of entities.

    Each entity is a token of scalars and vectors. No frame is chosen: vectors stay vectors in every layer, all of which
    also see gravity and the vectors that belong to no entity, such as the direction of a target. Outputs over a set:

    * torques are scalars: a vector is read off each token and multiplied with the joint axes that the input tells;
    * other scalars are invariants of a token, and vectors are read off it as they are.

    What belongs to no set is the mean over all tokens. Without any set, the fields without entities are one token.

    It commutes with rotations about gravity. Axial vectors, such as angular velocities and joint axes, count as polar
    ones, as published, so it does not commute with mirrors; ``transformer`` does. Angles of joints and the like enter
    as scalars. Exchange of entities is honoured unless position codes tell them apart.
    """

    label: ClassVar[str] = "set"
    exchanges: ClassVar[bool] = True
    default_hidden: ClassVar[tuple[int, ...]] = (128, 128, 128)

    gravity: Tensor

    def __init__(
        self,
        in_rep: Representation,
        out_rep: Representation,
        group: Group | None = None,
        *,
        heads: int = 2,
        channels: int = 30,
        axes: Sequence[str] | None = None,
        torques: Sequence[str] | None = None,
        positions: bool = False,
        relations: bool = False,
        nodes: int = 15,
        **common: Unpack[BackboneOptions],
    ) -> None:
        """Build embeddings, layers and read-outs.

        Args:
            in_rep: representation of the input.
            out_rep: representation of the output.
            group: group to commute with, SO(2) or part of it; None means as much of SO(2) as the input declares.
            heads: of the attention.
            channels: learned vectors that all inner products are taken of, beside external ones.
            axes: names of the input's fields over a set that hold joint axes; None means those that hold three axial
                vectors each.
            torques: names of the output's fields that are torques about these axes, in this order; None means all
                scalars over a set that has as many axes.
            positions: whether tokens know their ranks in three traversals of the tree, by the field with role
                ``"parent"``. This breaks exchange, because children are visited in the order of their slots.
            relations: whether attention in the first layer depends on PageRank, Laplacian and distance in the tree.
            nodes: largest number of entities that have position codes.
            common: see :class:`~eqrl.nn.backbone.BackboneOptions`; ``hidden=(128, 128, 128)`` means three layers of 128
                scalars and 128 vectors, with twice as many hidden units.

        Raises:
            ValueError: for other groups, irreps with ``l >= 2``, widths that differ or cannot be divided, fields that
                hold no axes, and trees that the input does not tell.
        """
        super().__init__(in_rep, out_rep, group, **common)
        if channels < 1:
            raise ValueError(f"channels must be at least 1, got {channels}")
        _refuse_tensors(in_rep)
        _refuse_tensors(out_rep)
        self.tokens_in = Tokens(in_rep)
        outer = self.tokens_in.types[GLOBALS]
        self.names = tuple(name for name in self.tokens_in.types if name != GLOBALS) or (GLOBALS,)
        self.sizes = Sizes(self._width(heads), heads, channels, 1 + len(outer.vectors), self.activation)
        self.register_constant("gravity", torch.tensor(_GRAVITY, dtype=torch.float64)[:, None])
        self.embeddings = nn.ModuleList(self._embedding(name) for name in self.names)
        self._know_slots()
        self._know_trees(positions, relations, nodes)
        self.layers = nn.ModuleList(VectorLayer(self.sizes) for _ in self.hidden)
        self.norm = nn.LayerNorm(self.sizes.width)
        raw = {name: self._raw(name) for name in self.names}
        self.read_outs = ReadOuts(self.tokens_in, out_rep, raw, axes, torques, self.sizes, self.output_gain)

    def _width(self, heads: int) -> int:
        if len(set(self.hidden)) != 1:
            raise ValueError(
                f"hidden={self.hidden} must hold one width for each layer, all equal, such as (128, 128, 128)"
            )
        width = self.hidden[0]
        if heads < 1 or 2 * width % heads:
            raise ValueError(f"twice the width of hidden={self.hidden} cannot be divided into heads={heads}")
        return width

    def _embedding(self, name: str) -> nn.ModuleDict:
        scalars, vectors = self._raw(name)
        width = self.sizes.width
        return nn.ModuleDict({"scalars": Embedding(scalars, width, True), "vectors": Embedding(vectors, width, False)})

    def _raw(self, name: str) -> tuple[int, int]:
        """Numbers of raw scalars and vectors of a token."""
        types = self.tokens_in.types[name]
        scalars = len(_contents(types)) + (0 if name == GLOBALS else len(self.tokens_in.types[GLOBALS].scalars))
        return scalars, len(types.vectors) + ("positions" in types.index)

    def _know_slots(self) -> None:
        """Codes of kinds, and of slots where entities may not be exchanged."""
        for k, name in enumerate(self.names):
            rows = None if name == GLOBALS else identities(self.in_rep.entity_set(name))
            codes = None if rows is None else nn.Parameter(torch.zeros(int(rows.max()) + 1, self.sizes.width))
            self.register_parameter(f"codes_{k}", codes)
            self.register_optional(f"rows_{k}", rows)

    def _know_trees(self, positions: bool, relations: bool, nodes: int) -> None:
        """Position codes, and the bias of attention."""
        trees = [types for types in self.tokens_in.types.values() if "edges" in types.index]
        if (positions or relations) and not trees:
            option = "positions" if positions else "relations"
            raise ValueError(
                f"{option}=True needs a tree, and no field has role 'parent'; add one to the observation or leave out"
                f" {option}. The fields are\n{self.in_rep.table()}"
            )
        if positions and (largest := max(types.size for types in trees)) > nodes:
            raise ValueError(f"positions=True has codes for nodes={nodes} entities; give nodes={largest} for this set")
        width = self.sizes.width
        widths = [width // _TRAVERSALS] * (_TRAVERSALS - 1)
        self.positions: nn.ModuleList | None = None
        if positions:
            self.positions = nn.ModuleList(nn.Embedding(nodes, n) for n in (*widths, width - sum(widths)))
        self.relations = nn.Linear(_RELATIONS, self.sizes.heads) if relations else None

    @classmethod
    def default_group(cls, in_rep: Representation) -> Group:
        """As much of SO(2) as the world part of the input's group holds."""
        world = in_rep.group.world_part()
        if world.is_subgroup_of(SO2):
            return world
        return SO2 if SO2.is_subgroup_of(world) else TRIVIAL

    @classmethod
    def check_group(cls, group: Group) -> None:
        """Refuse mirrors, tilts and relabellings."""
        if not group.is_subgroup_of(SO2):
            raise ValueError(
                f"backbone 'set' commutes with rotations about gravity alone, because it treats axial vectors as polar"
                f" ones, and cannot honour group {group}; leave group=None, or take 'transformer', which knows parity"
            )

    @classmethod
    def exchanges_with(cls, options: Mapping[str, Any]) -> bool:
        """Exchange is honoured unless position codes tell entities apart."""
        return not options.get("positions", False)

    def compute(self, x: Tensor) -> Tensor:
        """Map ``(B, in_rep.dim)`` to ``(B, out_rep.dim)``, where padding is zero."""
        parts = self.tokens_in.split(x)
        sets = [parts.globals if name == GLOBALS else parts.sets[name] for name in self.names]
        real = torch.cat([_mask(tokens) for tokens in sets], dim=1)
        raw = [self._raw_values(name, tokens, parts.globals) for name, tokens in zip(self.names, sets, strict=True)]
        outer = parts.globals.vectors
        assert outer is not None
        external = torch.cat([self.gravity.expand(x.shape[0], 1, 3, 1), outer.mT], dim=3)
        external = external.expand(-1, real.shape[1], -1, -1)
        h = torch.cat([self._embedded(k, scalars, sets[k]) for k, (scalars, _) in enumerate(raw)], dim=1)
        vectors = torch.cat([self.embeddings[k]["vectors"](z) for k, (_, z) in enumerate(raw)], dim=1)  # type: ignore[index]
        hidden = self._hidden(x, real)
        for i, layer in enumerate(self.layers):
            bias = hidden
            if i == 0 and self.relations is not None:
                known = self.relations(self._relations(sets)).permute(0, 3, 1, 2)
                bias = known if hidden is None else known + hidden
            h, vectors = layer(h, vectors, external, bias)
        y: Tensor = self.read_outs(self.norm(h), vectors, external, raw, sets, real)
        return y

    def _raw_values(self, name: str, tokens: TokenSet, outer: TokenSet) -> tuple[Tensor, Tensor]:
        """Scalars ``(B, N, n)`` and vectors ``(B, N, 3, n)`` of the tokens of a set."""
        assert tokens.scalars is not None
        assert tokens.vectors is not None
        assert outer.scalars is not None
        which = _contents(self.tokens_in.types[name])
        scalars = tokens.scalars if len(which) == tokens.scalars.shape[2] else tokens.scalars[:, :, which]
        if name != GLOBALS:
            scalars = torch.cat([scalars, outer.scalars.expand(-1, scalars.shape[1], -1)], dim=2)
        vectors = tokens.vectors.mT
        return scalars, vectors if tokens.positions is None else torch.cat([tokens.positions[..., None], vectors], 3)

    def _embedded(self, k: int, scalars: Tensor, tokens: TokenSet) -> Tensor:
        h: Tensor = self.embeddings[k]["scalars"](scalars)  # type: ignore[index]
        if (rows := getattr(self, f"rows_{k}")) is not None:
            h = h + getattr(self, f"codes_{k}")[rows]
        if self.positions is not None and tokens.edges is not None:
            with torch.no_grad():
                ranks = traversals(tokens.edges, _mask(tokens)).clamp(0, len(self.positions[0].weight) - 1)  # type: ignore[arg-type]
            h = h + torch.cat([table(rank) for table, rank in zip(self.positions, ranks, strict=True)], dim=2)
        return h

    def _hidden(self, x: Tensor, real: Tensor) -> Tensor | None:
        """Logits that hide padding, or None where there is none."""
        if not torch.compiler.is_exporting() and bool(real.all()):
            return None
        return hidden_tokens(real).to(x)

    @torch.no_grad()
    def _relations(self, sets: Sequence[TokenSet]) -> Tensor:
        """Relations of the tokens of all sets, zero between sets, ``(B, N, N, 3)``."""
        before, total = 0, sum(_mask(tokens).shape[1] for tokens in sets)
        tables = []
        for tokens in sets:
            real = _mask(tokens)
            n = real.shape[1]
            edges = tokens.edges
            if edges is not None:
                table = relations_of(edges, real)
                after = total - before - n
                tables.append(nn.functional.pad(table, (0, 0, before, after, before, after)))
            before += n
        return torch.stack(tables).sum(0)


def _contents(types: TokenTypes) -> list[int]:
    """Scalars that are no masks of actions."""
    return [i for i, block in enumerate(types.scalars) if block.field.role != "mask"]


def _mask(tokens: TokenSet) -> Tensor:
    assert tokens.mask is not None
    return tokens.mask


def _refuse_tensors(rep: Representation) -> None:
    for block in rep.blocks():
        if block.degree > 1 and block.frame == WORLD:
            raise ValueError(
                f"field {block.field.name!r} holds {block.field.irreps!r}; backbone 'set' handles scalars and vectors"
                " only, take 'steerable' or 'frame' for l >= 2"
            )
