"""Which numbers of a turned vector belong to which token, and which of them a mirror reverses."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from eqrl.nn.turn import Turn
from eqrl.symmetry import EntitySet, Generator, Representation

GLOBALS = ""
_MIRROR = Generator.of("mirror in the plane of the frame", np.diag([1.0, -1.0, 1.0]))


class Coordinates(NamedTuple):
    """Coordinates of the tokens of one set.

    Attributes:
        name: of the set, ``""`` for the globals.
        size: number of tokens.
        even: coordinates of each token that a mirror leaves, ``(tokens, channels)``.
        odd: those that it reverses, likewise.
        mask: coordinate of the mask of each token, or None if all are real.
        edges: coordinates of the rows of edges, ``(tokens * tokens,)``, or None.
    """

    name: str
    size: int
    even: Tensor
    odd: Tensor
    mask: Tensor | None
    edges: Tensor | None


def reversed_by_mirror(rep: Representation) -> NDArray[np.bool_] | None:
    """Which coordinates in a frame change their sign under the mirror y -> -y; None if it mixes some of them.

    It mixes irreps with l >= 2, which are turned in a basis of their own (:class:`~eqrl.nn.turn.Turn`).
    """
    matrix = Turn(rep).in_turning_basis(rep.matrix(_MIRROR.element)).numpy()
    diagonal = np.diag(matrix)
    if not np.allclose(np.abs(diagonal), 1.0) or not np.allclose(matrix, np.diag(diagonal)):
        return None
    return np.asarray(diagonal < 0)


def coordinates(rep: Representation, parity: bool, *, with_markers: bool) -> list[Coordinates]:
    """Coordinates of every set that fields repeat over, and at last of the globals if there are any.

    Args:
        rep: the representation.
        parity: whether to tell apart what a mirror reverses; else everything counts as even.
        with_markers: whether masks of sets and edges count as channels.
    """
    reverses = reversed_by_mirror(rep) if parity else np.zeros(rep.dim, dtype=bool)
    assert reverses is not None
    names = [e.name for e in rep.entities if any(f.entities == e.name for f in rep.fields)]
    if any(f.entities is None for f in rep.fields):
        names.append(GLOBALS)
    return [_of_set(rep, name, reverses, with_markers) for name in names]


def _of_set(rep: Representation, name: str, reverses: NDArray[np.bool_], with_markers: bool) -> Coordinates:
    entities = None if name == GLOBALS else rep.entity_set(name)
    size = 1 if entities is None else entities.size
    tables: tuple[list[list[int]], list[list[int]]] = [[] for _ in range(size)], [[] for _ in range(size)]
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
                tables[int(reverses[i])][block.entity].append(i)
    even, odd = (torch.tensor(table, dtype=torch.int64).reshape(size, len(table[0])) for table in tables)
    return Coordinates(
        name, size, even, odd, torch.tensor(mask) if mask else None, torch.tensor(edges) if edges else None
    )


def identities(entities: EntitySet) -> Tensor | None:
    """What a token may know of its slot: its kind, or the slot itself where entities may not be exchanged."""
    if not entities.exchangeable:
        return torch.arange(entities.size)
    kinds = list(dict.fromkeys(entities.kinds))
    return torch.tensor([kinds.index(kind) for kind in entities.kinds]) if len(kinds) > 1 else None
