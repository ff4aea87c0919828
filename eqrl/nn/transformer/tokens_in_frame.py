"""Which numbers of a turned vector belong to which token, and which of them a mirror reverses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from eqrl.symmetry import EntitySet, Generator, Representation

GLOBALS = ""
_MIRROR = Generator.of("mirror in the plane of the frame", np.diag([1.0, -1.0, 1.0]))


class Coordinates(NamedTuple):
    """Coordinates of the tokens of one set.

    Attributes:
        name: of the set, ``""`` for the globals.
        index: coordinates of each token, ``(parts, tokens, channels)``; ``missing`` where there are fewer.
        mask: coordinate of the mask of each token, or None if all are real.
        edges: coordinates of the rows of edges, ``(tokens, tokens)``, or None.
    """

    name: str
    index: Tensor
    mask: Tensor | None
    edges: Tensor | None


def reversed_by_mirror(rep: Representation) -> np.ndarray[tuple[int], np.dtype[np.bool_]] | None:
    """Which coordinates change their sign under the mirror y -> -y; None if it mixes some of them."""
    matrix = rep.matrix(_MIRROR.element).numpy()
    diagonal = np.diag(matrix)
    if not np.allclose(np.abs(diagonal), 1.0) or not np.allclose(matrix, np.diag(diagonal)):
        return None
    reverses: np.ndarray[tuple[int], np.dtype[np.bool_]] = diagonal < 0
    return reverses


def coordinates(rep: Representation, parts: int, *, with_markers: bool) -> list[Coordinates]:
    """Coordinates of every set that fields repeat over, and of the globals if there are any.

    Args:
        rep: the representation.
        parts: 2 to sort coordinates that a mirror reverses into a second part, else 1.
        with_markers: whether masks of sets and edges count as channels.
    """
    reverses = reversed_by_mirror(rep) if parts == 2 else np.zeros(rep.dim, dtype=bool)
    assert reverses is not None
    names = [e.name for e in rep.entities if any(f.entities == e.name for f in rep.fields)]
    if any(f.entities is None for f in rep.fields):
        names.append(GLOBALS)
    return [_of_set(rep, name, parts, reverses, with_markers) for name in names]


def _of_set(rep: Representation, name: str, parts: int, reverses: Sequence[bool], with_markers: bool) -> Coordinates:
    entities = None if name == GLOBALS else rep.entity_set(name)
    size = 1 if entities is None else entities.size
    table: list[list[list[int]]] = [[[] for _ in range(size)] for _ in range(parts)]
    mask: list[int] = []
    edges: list[int] = []
    for block in rep.blocks():
        if (block.field.entities or GLOBALS) != name:
            continue
        if entities is not None and block.field.name == entities.mask and not with_markers:
            mask += block.where
        elif block.field.role == "parent" and not with_markers:
            edges += block.where
        else:
            for i in block.where:
                table[int(reverses[i])][block.entity].append(i)
    width = max((len(row) for part in table for row in part), default=0)
    index = [[row + [rep.dim] * (width - len(row)) for row in part] for part in table]
    return Coordinates(
        name,
        torch.tensor(index, dtype=torch.int64).reshape(parts, size, width),
        torch.tensor(mask) if mask else None,
        torch.tensor(edges).view(size, size) if edges else None,
    )


def identities(entities: EntitySet) -> Tensor | None:
    """What a token may know of its slot: its kind, or the slot itself where entities may not be exchanged."""
    if not entities.exchangeable:
        return torch.arange(entities.size)
    kinds = list(dict.fromkeys(entities.kinds))
    return torch.tensor([kinds.index(kind) for kind in entities.kinds]) if len(kinds) > 1 else None
