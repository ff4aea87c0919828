"""What trees of entities tell a transformer: places in traversals, and relations of every two entities.

Edges are data, rows of a field with role ``"parent"`` (:mod:`eqrl.symmetry.edges`), and a batch may hold many trees.
The quantities are therefore written as products of matrices that hold a 1 for each pair of entities in some relation.
Children come in the order of their slots, and so do several roots. Traversals of the binary tree in which the left
child is the first child and the right child the next sibling are those of Hong et al. (SWAT, ICLR 2022).
"""

from __future__ import annotations

import torch
from torch import Tensor

DAMPING = 0.9  # of the personalised PageRank
_TERMS = 512  # DAMPING ** 512 is below the rounding errors of float64
_LINKED = 0.5  # edges are 0 or 1


def traversals(edges: Tensor, real: Tensor) -> Tensor:
    """Ranks of entities in pre-order, and in the in-order and post-order of the left-child-right-sibling tree.

    Args:
        edges: row i marks the parent of entity i, ``(B, N, N)``.
        real: which entities are real, ``(B, N)``. The rank of others is meaningless.

    Returns:
        Ranks from 0, ``(3, B, N)``, int64.
    """
    parent = _parents(edges, real)
    ancestor = _powers(parent) - _identity(parent)
    line = ancestor + _identity(parent)  # an entity and its ancestors
    root = (real[:, :, None] & (parent.sum(2, keepdim=True) == 0)).to(parent)
    siblings = parent @ parent.mT + root @ root.mT
    elder = siblings.tril(-1)  # row i marks the siblings before i
    before = line @ elder @ line.mT  # of another branch, which is visited first
    return torch.stack(
        [
            (ancestor + before).sum(2),
            (ancestor.mT + before).sum(2),
            (ancestor.mT + elder.mT @ line.mT + line @ elder @ ancestor.mT).sum(2),
        ]
    ).long()


def relations(edges: Tensor, real: Tensor) -> Tensor:
    """Personalised PageRank, symmetric Laplacian, and number of links between entities as a share of their number.

    Args:
        edges: row i marks the parent of entity i, ``(B, N, N)``.
        real: which entities are real, ``(B, N)``.

    Returns:
        The three relations of every two entities, ``(B, N, N, 3)``; row i of the PageRank belongs to walks that start
        again at i. Entities of different trees count as children of one more root.
    """
    parent = _parents(edges, real)
    link = parent + parent.mT
    degree = link.sum(2, keepdim=True).clamp_min(1)
    page_rank = (1 - DAMPING) * _powers(DAMPING * link / degree, _TERMS)
    laplacian = _identity(parent) - link / (degree * degree.mT).sqrt()
    line = _powers(parent)
    common = line @ line.mT  # number of common ancestors, which count from the entities themselves
    depth = torch.diagonal(common, dim1=1, dim2=2)
    hops = depth[:, :, None] + depth[:, None] - 2 * common
    count = real.sum(1).clamp_min(1)[:, None, None]
    return torch.stack([page_rank, laplacian, hops / count], dim=3)


def _parents(edges: Tensor, real: Tensor) -> Tensor:
    """Zeros and ones, without loops."""
    known = (edges > _LINKED) & real[:, :, None] & real[:, None]
    return known.to(edges) * (1 - _identity(edges))


def _powers(matrix: Tensor, terms: int | None = None) -> Tensor:
    """The sum of at least ``terms`` powers of matrices, from the power 0; by default as many as have rows."""
    total, power = matrix + _identity(matrix), matrix
    for _ in range(((matrix.shape[-1] if terms is None else terms) - 1).bit_length() - 1):
        power = power @ power
        total = total + power @ total
    return total


def _identity(matrix: Tensor) -> Tensor:
    return torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
