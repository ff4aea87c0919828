"""Edges as data: the observation tells the parent of each entity.

Robots of different shape can share a representation only if it does not fix their kinematic trees. A field with role
``"parent"`` over a set of n entities holds one row for each entity, with one entry for each possible parent: 1 for its
parent and 0 elsewhere. The row of a root holds zeros only.

The index of the parent would be shorter, but an index names a slot. When entities are exchanged, indices would have to
be looked up and replaced; no matrix does that, and every group element here acts by matrices. Rows transform as all
other
data: an element with relabelling h maps a matrix A of edges to ``|h| A |h|^T``, without the signs of h. A tree that a
mirror maps to itself therefore stays the same. Weighted edges, and several edges for one entity, are written in the
same way.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def adjacency(parents: Sequence[int], size: int | None = None) -> NDArray[np.float32]:
    """Rows of a field with role ``"parent"``.

    Args:
        parents: index of the parent of each entity; a root has -1 or its own index.
        size: number of slots, padding included; None means no padding.

    Returns:
        Matrix of zeros and ones, shape ``(size, size)``; the field holds its ``ravel()``.

    Raises:
        ValueError: if there are more entities than slots, or an index names no entity.
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
