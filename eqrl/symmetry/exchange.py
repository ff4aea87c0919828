"""Free exchange of the entities of exchangeable sets.

An exchange is a group element like any other, ``Element(R, {set: permutation})``, and acts by
``Representation.transform``. There are n! of them, so they are sampled or given by generators, and never listed.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from eqrl.symmetry.element import Element
from eqrl.symmetry.generator import Generator
from eqrl.symmetry.group import O2, Group, canonical
from eqrl.symmetry.representation import EntitySet, Representation


def exchanges(representation: Representation) -> tuple[tuple[str, Element], ...]:
    """Named generators of the free exchanges.

    For each kind in an exchangeable set these are the exchange of its first two entities and the cyclic shift of all.
    """
    named = []
    for entity_set in representation.entities:
        for members in _exchangeable_groups(entity_set):
            swap, cycle = members[[1, 0, *range(2, len(members))]], np.roll(members, 1)
            for order in (swap, cycle) if len(members) > 2 else (swap,):
                permutation = np.arange(entity_set.size)
                permutation[members] = order
                element = Element(torch.eye(3, dtype=torch.float64), {entity_set.name: _matrix(permutation)})
                named.append((f"exchange of {entity_set.name}", element))
    return tuple(named)


def random_exchange(
    representation: Representation, *batch: int, rng: np.random.Generator | int | None = None
) -> Element:
    """Sample uniform exchanges of all exchangeable sets.

    Args:
        representation: representation with these sets.
        batch: batch shape; without one, a single element is sampled.
        rng: a NumPy generator or a seed.
    """
    rng = np.random.default_rng(rng)
    h = {}
    for entity_set in representation.entities:
        if groups := _exchangeable_groups(entity_set):
            permutation = np.broadcast_to(np.arange(entity_set.size), (*batch, entity_set.size)).copy()
            for members in groups:
                permutation[..., members] = rng.permuted(np.broadcast_to(members, (*batch, len(members))), axis=-1)
            h[entity_set.name] = _matrix(permutation)
    return Element(torch.eye(3, dtype=torch.float64).expand(*batch, 3, 3), h)


def family(representation: Representation) -> Group:
    """The group that networks on tokens may honour, which commute with every free exchange.

    Its elements relabel no exchangeable set: what a world's mirror does to limbs is then a mirror and an exchange. If
    all exchangeable sets are ``mirrored``, it contains the mirrors of the world whether the world is its own mirror
    image or not. Sets that the representation does not have are left out.
    """
    group = representation.group
    free = {e.name for e in representation.entities if e.exchangeable}
    fixed = {e.name for e in representation.entities} - free | {f.frame for f in representation.fields}
    finite = tuple(
        Generator(g.name, g.R, tuple((name, matrix) for name, matrix in g.h if name in fixed)) for g in group.finite
    )
    mirrored = [e.mirrored for e in representation.entities if e.exchangeable]
    if group.connected == "SO2" and mirrored and all(mirrored) and not any(g.h for g in finite):
        return O2
    if finite == group.finite:
        return group
    if not any(g.h for g in finite):
        return canonical(group.connected, finite)
    return Group(f"{group.name} up to exchange", group.connected, finite)


def _exchangeable_groups(entity_set: EntitySet) -> list[NDArray[np.intp]]:
    """Entities that may be exchanged, by kind; kinds with a single entity are left out."""
    if not entity_set.exchangeable:
        return []
    kinds = np.array(entity_set.kinds)
    groups = [np.flatnonzero(kinds == kind) for kind in dict.fromkeys(entity_set.kinds)]
    return [members for members in groups if len(members) > 1]


def _matrix(permutation: NDArray[np.intp]) -> Tensor:
    return torch.eye(permutation.shape[-1], dtype=torch.float64)[torch.as_tensor(permutation)]
