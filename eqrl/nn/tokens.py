"""From a flat typed vector to tokens, and back: the seam for transformers and networks on graphs.

Every entity set becomes tokens, one for each entity, with its scalars, vectors and higher irreps apart; fields without
entities become globals. Nothing is learnt here, and nothing is mixed: index tables are built once, and each part is one
gather. What a network does with tokens may depend on the kind of an entity and on what stands in it, but not on its number,
if it is to honour exchange.

Example:
    A layer that acts on every limb, and so has no weights of its own for any of them::

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
from eqrl.nn.padding import Padding, cleared
from eqrl.symmetry import Block, Representation
from eqrl.symmetry.representation import WORLD

GLOBALS = ""  # fields without entities are one set with one token


@dataclass(frozen=True)
class TokenSet:
    """The tokens of one entity set in a batch, N of them, or the globals as a single one. Padding is zero.

    Attributes:
        scalars: numbers that do not turn with the world, or only change sign, ``(B, N, scalars)``.
        vectors: vectors of the world, polar and axial, ``(B, N, vectors, 3)``; of horizontal ones z is 0.
        tensors: irreps of order l >= 2, ``(B, N, tensors, 2 l + 1)`` for each l.
        mask: which tokens are real, ``(B, N)``, bool.
        edges: the field with role ``"parent"``: row i holds the parents of entity i, ``(B, N, N)``; None without one.
        positions: the first field with role ``"position"``, ``(B, N, 3)``; None without one. It is not among the vectors,
            since networks on graphs use differences of positions.
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
        globals: fields without entities; N = 1.
    """

    sets: Mapping[str, TokenSet] = field(default_factory=dict)
    globals: TokenSet = field(default_factory=TokenSet)


class TokenTypes(ExactModule):
    """What the tokens of one set hold: the order of their channels, told by the blocks of the first entity.

    The parity of a block tells true scalars from pseudoscalars and polar from axial vectors. Irreps in the frame of a body do
    not turn with the world; their numbers are scalars, and the block's ``frame`` tells which.

    Attributes:
        size: number of tokens N.
        kinds: number of the kind of each entity, ``(N,)``, int64.
        scalars: block of each scalar; one of several numbers is repeated.
        vectors: block of each vector.
        tensors: block of each irrep of order l >= 2, by l.
    """

    kinds: Tensor

    def __init__(self, size: int, kinds: tuple[str, ...], blocks: Iterable[Block], mask: str | None) -> None:
        """Sort the blocks of one set.

        Args:
            size: number of entities.
            kinds: kind of each.
            blocks: all blocks over the set.
            mask: name of the mask field.
        """
        super().__init__()
        self.size = size
        names = list(dict.fromkeys(kinds))
        self.register_constant("kinds", torch.tensor([names.index(kind) for kind in kinds], dtype=torch.int64))
        # of each part its coordinates, entity by entity; -1 for the z of a horizontal vector
        self.index: dict[str, list[int]] = {}
        self.scalars: tuple[Block, ...] = ()
        self.vectors: tuple[Block, ...] = ()
        self.tensors: dict[int, tuple[Block, ...]] = {}
        every = list(blocks)
        position = next((b.field.name for b in every if b.field.role == "position"), None)
        # stable, so entity by entity and within each in the order of the vector
        for block in sorted(every, key=lambda b: b.entity):
            where = list(block.where)
            first = block.entity == 0
            if block.field.name == mask:
                self._add("mask", where)
            elif block.field.role == "parent":
                self._add("edges", where)
            elif block.field.name == position:
                self._add("positions", _upright(where))
            elif block.degree == 0 or block.frame != WORLD:
                self._add("scalars", where)
                self.scalars += (block,) * (len(where) if first else 0)
            elif block.degree == 1:
                self._add("vectors", _upright(where))
                self.vectors += (block,) if first else ()
            else:
                self._add(f"tensors {block.degree}", where)
                self.tensors[block.degree] = self.tensors.get(block.degree, ()) + ((block,) if first else ())
        # parts that have no numbers are tensors without channels, so that networks need not ask
        self.shapes = {
            "scalars": (size, len(self.scalars)),
            "vectors": (size, len(self.vectors), 3),
            **{f"tensors {degree}": (size, len(held), 2 * degree + 1) for degree, held in self.tensors.items()},
            "mask": (size,),
            "edges": (size, size),
            "positions": (size, 3),
        }

    def _add(self, part: str, where: list[int]) -> None:
        self.index.setdefault(part, []).extend(where)


class Tokens(ExactModule):
    """The tokens of a representation. It has no parameters.

    Attributes:
        representation: the representation.
        types: what the tokens of each set hold, and under ``""`` the globals.
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
        # all parts one after another, as one table; the z of horizontal vectors reads a zero behind the last coordinate
        order = [i for types in self.types.values() for where in types.index.values() for i in where]
        index = torch.tensor(order, dtype=torch.int64)
        self._sizes = [len(where) for types in self.types.values() for where in types.index.values()]
        self.register_constant("gather", torch.where(index < 0, representation.dim, index))
        back = torch.zeros(representation.dim, dtype=torch.int64)
        back[index[index >= 0]] = torch.arange(len(index))[index >= 0]
        self.register_constant("scatter", back)

    def split(self, x: Tensor) -> Parts:
        """Tokens of a batch of vectors.

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
            sets[name] = TokenSet(
                scalars=parts.get("scalars", x.new_zeros(batch, types.size, 0)),
                vectors=parts.get("vectors", x.new_zeros(batch, types.size, 0, 3)),
                tensors={degree: parts[f"tensors {degree}"] for degree in types.tensors},
                mask=torch.ones(batch, types.size, dtype=torch.bool, device=x.device) if mask is None else mask > 0.5,
                edges=parts.get("edges"),
                positions=parts.get("positions"),
            )
        return Parts({name: tokens for name, tokens in sets.items() if name != GLOBALS}, sets[GLOBALS])

    def join(self, parts: Parts) -> Tensor:
        """The inverse of :meth:`split`: vectors of shape ``(B, dim)``.

        Whatever stands in tokens that are not real becomes zero. The z of horizontal vectors is left out.

        Args:
            parts: tokens of all sets that the representation has, with the channels that ``types`` tells. A mask may be
                left out where all tokens are real.

        Raises:
            ValueError: if a set or a part of it is missing or has another shape.
        """
        pieces = []
        for name, types in self.types.items():
            if not types.index:
                continue
            tokens = parts.globals if name == GLOBALS else parts.sets.get(name)
            if tokens is None:
                raise ValueError(f"the tokens of entity set {name!r} are missing; there are those of {sorted(parts.sets)}")
            for part in types.index:
                pieces.append(_flat(name, part, _part(tokens, part), tokens.mask, types.shapes[part]))
        return torch.cat(pieces, dim=1).index_select(1, self.scatter)


def _part(tokens: TokenSet, part: str) -> Tensor | None:
    if part.startswith("tensors "):
        return tokens.tensors.get(int(part.removeprefix("tensors ")))
    value: Tensor | None = getattr(tokens, part)
    return value


def _flat(name: str, part: str, value: Tensor | None, mask: Tensor | None, shape: tuple[int, ...]) -> Tensor:
    """One part as rows ``(B, ...)``, with zeros for what is not real."""
    if value is None or value.shape[1:] != shape:
        what = f"the {part} of entity set {name!r}" if name else f"the global {part}"
        given = "missing" if value is None else f"of shape {tuple(value.shape)}"
        raise ValueError(f"{what} are {given}; they must have shape (B, {', '.join(map(str, shape))})")
    if part == "mask":
        value = value.float()  # zeros and ones, exact in any type
    elif mask is not None:
        value = cleared(value, mask.view(*mask.shape, *[1] * (value.dim() - 2)))
        if part == "edges":
            value = cleared(value, mask[:, None])
    return value.flatten(1)


def _upright(where: list[int]) -> list[int]:
    """Coordinates of a vector's x, y and z, -1 for a z that is not stored."""
    return where if len(where) == 3 else [*where, -1]
