"""From a flat typed vector to tokens and back: the interface for transformers and graph networks.

Every entity set becomes a set of tokens, one for each entity, with its scalars, vectors and higher irreps as separate
tensors. Fields without entities become globals. Nothing is learnt here and nothing is mixed: index tables are built
once, and each part is one gather. A network that is to honour exchange may use the kind and the contents of a token,
but not its index.

Example:
    One layer acts on every limb, with the same weights for all of them::

        tokens_in, tokens_out = Tokens(observation), Tokens(action)
        parts = tokens_in.split(x)
        limbs = parts.sets["limbs"]  # scalars (B, N, s), vectors (B, N, v, 3), mask (B, N)
        torques = TokenSet(scalars=layer(limbs.scalars), mask=limbs.mask)
        action = tokens_out.join(Parts(sets={"limbs": torques}))
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from eqrl.nn.constants import ExactModule
from eqrl.nn.padding import Padding, cleared, is_real
from eqrl.symmetry import Block, Representation
from eqrl.symmetry.representation import WORLD

GLOBALS = ""  # name of the set with a single token that holds all fields without entities


@dataclass(frozen=True)
class TokenSet:
    """A batch of the N tokens of one entity set, or of the globals as a single token. Padding is zero.

    Attributes:
        scalars: numbers that do not turn with the world, or only change sign, ``(B, N, scalars)``.
        vectors: vectors of the world, polar and axial, ``(B, N, vectors, 3)``; horizontal vectors have z = 0.
        tensors: irreps of degree l >= 2, ``(B, N, tensors, 2 l + 1)`` for each l.
        mask: which tokens are real, ``(B, N)``, bool.
        edges: the field with role ``"parent"``, ``(B, N, N)``, whose row i marks the parents of entity i; None without
            one.
        positions: the first field with role ``"position"``, ``(B, N, 3)``; None without one. It is not among the
            vectors, because graph networks use differences of positions. Further fields with this role, such as the
            target of each point, are vectors whose block tells it (``block.field.role``).
    """

    scalars: Tensor | None = None
    vectors: Tensor | None = None
    tensors: Mapping[int, Tensor] = field(default_factory=dict)
    mask: Tensor | None = None
    edges: Tensor | None = None
    positions: Tensor | None = None


@dataclass(frozen=True)
class Parts:
    """A batch of typed vectors as tokens.

    Attributes:
        sets: the tokens of each entity set, by name.
        globals: the fields without entities, as a set of one token.
    """

    sets: Mapping[str, TokenSet] = field(default_factory=dict)
    globals: TokenSet = field(default_factory=TokenSet)


class TokenTypes(ExactModule):
    """The channels of the tokens of one set, in order, described by the blocks of the first entity.

    The parity of a block distinguishes true scalars from pseudoscalars and polar from axial vectors. Irreps in the
    frame of a body do not turn with the world, so their numbers are scalars; the block's ``frame`` marks them.

    Attributes:
        size: number of tokens N.
        kinds: index of the kind of each entity, ``(N,)``, int64.
        scalars: the block of each scalar channel; a block of several numbers is repeated.
        vectors: the block of each vector channel.
        tensors: the block of each channel of degree l >= 2, by l.
    """

    kinds: Tensor

    def __init__(self, size: int, kinds: tuple[str, ...], blocks: Iterable[Block], mask: str | None) -> None:
        """Sort the blocks of one set.

        Args:
            size: number of entities.
            kinds: kind of each entity.
            blocks: all blocks of fields over the set.
            mask: name of the mask field, or None.
        """
        super().__init__()
        self.size = size
        names = list(dict.fromkeys(kinds))
        self.register_constant("kinds", torch.tensor([names.index(kind) for kind in kinds], dtype=torch.int64))
        # coordinates of each part, entity by entity; -1 stands for the z of a horizontal vector
        self.index: dict[str, list[int]] = {}
        self.scalars: tuple[Block, ...] = ()
        self.vectors: tuple[Block, ...] = ()
        self.tensors: dict[int, tuple[Block, ...]] = {}
        blocks = list(blocks)
        over_set = (b.field for b in blocks if b.field.entities is not None)
        position = next((field.name for field in over_set if field.role == "position"), None)
        # a stable sort: entity by entity, and for each entity in the order of the vector
        for block in sorted(blocks, key=lambda b: b.entity):
            where = list(block.where)
            first = block.entity == 0
            if block.field.name == mask:
                self._add("mask", where)
            elif block.field.role == "parent":
                self._add("edges", where)
            elif block.field.name == position:
                self._add("positions", _xyz(where))
            elif block.degree == 0 or block.frame != WORLD:
                self._add("scalars", where)
                self.scalars += (block,) * (len(where) if first else 0)
            elif block.degree == 1:
                self._add("vectors", _xyz(where))
                self.vectors += (block,) if first else ()
            else:
                self._add(f"tensors {block.degree}", where)
                self.tensors[block.degree] = self.tensors.get(block.degree, ()) + ((block,) if first else ())
        # sets without scalars or vectors get tensors with no channels, so that networks need no special case
        self.shapes = {
            "scalars": (size, len(self.scalars)),
            "vectors": (size, len(self.vectors), 3),
            **{f"tensors {degree}": (size, len(channels), 2 * degree + 1) for degree, channels in self.tensors.items()},
            "mask": (size,),
            "edges": (size, size),
            "positions": (size, 3),
        }

    def _add(self, part: str, where: list[int]) -> None:
        self.index.setdefault(part, []).extend(where)


class Tokens(ExactModule):
    """Converts vectors of a representation to tokens and back. It has no parameters.

    Attributes:
        representation: the representation.
        types: the channels of the tokens of each set, and of the globals under ``""``.
    """

    gather: Tensor
    scatter: Tensor

    def __init__(self, representation: Representation) -> None:
        """Build the index tables.

        Args:
            representation: fields, entity sets and masks.
        """
        super().__init__()
        self.representation = representation
        blocks = list(representation.blocks())
        self.types = {
            e.name: TokenTypes(e.size, e.kinds, [b for b in blocks if b.field.entities == e.name], e.mask)
            for e in representation.entities
            if any(f.entities == e.name for f in representation.fields)
        }
        self.types[GLOBALS] = TokenTypes(1, ("",), [b for b in blocks if b.field.entities is None], None)
        self._types = nn.ModuleList(self.types.values())
        self._padding = Padding.of(representation, representation)
        # one table for all parts; the z of horizontal vectors reads a zero that is appended behind the last coordinate
        order = [i for types in self.types.values() for where in types.index.values() for i in where]
        index = torch.tensor(order, dtype=torch.int64)
        self._sizes = [len(where) for types in self.types.values() for where in types.index.values()]
        self.register_constant("gather", torch.where(index < 0, representation.dim, index))
        back = torch.zeros(representation.dim, dtype=torch.int64)
        back[index[index >= 0]] = torch.arange(len(index))[index >= 0]
        self.register_constant("scatter", back)

    def split(self, x: Tensor) -> Parts:
        """Convert a batch of vectors to tokens.

        Args:
            x: vectors of shape ``(B, dim)``.
        """
        if self._padding is not None:
            x = cleared(x, self._padding.valid(x))
        batch = x.shape[0]
        rows = torch.cat([x, x.new_zeros(batch, 1)], dim=1).index_select(1, self.gather)
        pieces = iter(torch.split(rows, self._sizes, dim=1))
        sets = {}
        for name, types in self.types.items():
            parts = {part: next(pieces).view(batch, *types.shapes[part]) for part in types.index}
            mask = parts.get("mask")
            real = torch.ones(batch, types.size, dtype=torch.bool, device=x.device) if mask is None else is_real(mask)
            sets[name] = TokenSet(
                scalars=parts.get("scalars", x.new_zeros(batch, types.size, 0)),
                vectors=parts.get("vectors", x.new_zeros(batch, types.size, 0, 3)),
                tensors={degree: parts[f"tensors {degree}"] for degree in types.tensors},
                mask=real,
                edges=parts.get("edges"),
                positions=parts.get("positions"),
            )
        return Parts({name: tokens for name, tokens in sets.items() if name != GLOBALS}, sets[GLOBALS])

    def join(self, parts: Parts) -> Tensor:
        """Convert tokens to vectors of shape ``(B, dim)``, the inverse of :meth:`split`.

        The contents of tokens that are not real become zero. The z of horizontal vectors is dropped.

        Args:
            parts: tokens of all sets of the representation, with the channels listed in ``types``. A mask may be left
                out where all tokens are real.

        Raises:
            ValueError: if a set or one of its parts is missing or has the wrong shape.
        """
        pieces = []
        for name, types in self.types.items():
            if not types.index:
                continue
            tokens = parts.globals if name == GLOBALS else parts.sets.get(name)
            if tokens is None:
                raise ValueError(
                    f"the tokens of entity set {name!r} are missing; there are those of {sorted(parts.sets)}"
                )
            for part in types.index:
                pieces.append(_flat(name, part, _part(tokens, part), tokens.mask, types.shapes[part]))
        return torch.cat(pieces, dim=1).index_select(1, self.scatter)


def _part(tokens: TokenSet, part: str) -> Tensor | None:
    if part.startswith("tensors "):
        return tokens.tensors.get(int(part.removeprefix("tensors ")))
    value: Tensor | None = getattr(tokens, part)
    return value


def _flat(name: str, part: str, value: Tensor | None, mask: Tensor | None, shape: tuple[int, ...]) -> Tensor:
    """One part as rows ``(B, ...)``, with zeros for tokens that are not real."""
    if value is None or value.shape[1:] != shape:
        what = f"the {part} of entity set {name!r}" if name else f"the global {part}"
        given = "missing" if value is None else f"of shape {tuple(value.shape)}"
        raise ValueError(f"{what} are {given}; they must have shape (B, {', '.join(map(str, shape))})")
    if part == "mask":
        value = value.float()  # zeros and ones are exact in any dtype
    elif mask is not None:
        value = cleared(value, mask.view(*mask.shape, *[1] * (value.dim() - 2)))
        if part == "edges":
            value = cleared(value, mask[:, None])
    return value.flatten(1)


def _xyz(where: list[int]) -> list[int]:
    """Coordinates of a vector's x, y and z, with -1 for a z that is not stored."""
    return where if len(where) == 3 else [*where, -1]
