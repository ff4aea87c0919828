"""Edges that are data: which entity hangs on which, as part of the observation.

Robots of different shape share one representation only if their trees are no constants of it. A field with role
``"parent"`` over a set of n entities holds one row for each entity and in it one entry for each possible parent: 1 for
its own, 0 elsewhere, and no 1 at all for a root.

The index of the parent would be shorter, but it is a number that names a slot. When entities change places, such numbers
would have to be looked up and replaced, which no matrix does, and everything here acts by matrices. The rows are
data as all others: an element with relabelling h takes a matrix A of edges to ``h A h^T``, without h's signs. A tree
that a mirror maps to itself is therefore left as it is, which names that are carried along would not be. Edges with
weights, and more than one for an entity, are written in the same way.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def adjacency(parents: Sequence[int], size: int | None = None) -> NDArray[np.float32]:
    """Rows of a field with role ``"parent"``.

    Args:
        parents: index of the parent of each entity; -1, or its own index, for a root.
        size: number of slots, padding included; None for as many as there are parents.

    Returns:
        Matrix of zeros and ones, shape ``(size, size)``; the field is its ``ravel()``.

    Raises:
        ValueError: if there are more entities than slots, or a parent is none of them.
    """
    count = len(parents)
    size = count if size is None else size
    if count > size:
        raise ValueError(f"{count} entities do not fit into {size} slots")
    edges = np.zeros((size, size), dtype=np.float32)
    for child, parent in enumerate(parents):
        if not -1 <= parent < count:
            raise ValueError(f"parents[{child}]={parent} is none of the {count} entities; give -1 for a root")
        if parent not in (-1, child):
            edges[child, parent] = 1.0
    return edges
