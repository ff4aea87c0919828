"""How groups act inside an ordinary perceptron: on its hidden channels and on its standard deviations.

Hidden layers carry regular representations of one finite group, and every subgroup acts on them by restriction (Kim et
al., arXiv 2306.00356). Activations act on each channel and so commute with these permutations.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.sparse import block_diag, csr_array, eye_array, kron

from eqrl.arrays import Floats, Ints
from eqrl.nn.tied import relations
from eqrl.symmetry import Element, Group, Representation

_SAME = 1e-9


class HiddenChannels:
    """Copies of the regular representation of a finite group; channels that are left over are invariant.

    Channel ``g n + i`` of n copies belongs to element g, as in :mod:`eqrl.nn.tied`.

    Args:
        group: a finite group that holds all candidates.
    """

    def __init__(self, group: Group) -> None:
        self.group = group
        self._elements = group.elements()
        self._relative = relations(group).numpy()

    def permutations(self, candidate: Group, width: int) -> list[csr_array]:
        """Matrices of all elements of a subgroup on one hidden layer, each ``(width, width)``.

        Args:
            candidate: a subgroup.
            width: number of channels.

        Raises:
            ValueError: if the layer is narrower than one regular representation.
        """
        order = len(self._relative)
        copies, rest = divmod(width, order)
        if not copies:
            raise ValueError(
                f"a hidden layer of {width} channels is too narrow for the {order} elements of the candidates; give"
                f" layers of at least {order}, or fewer candidates"
            )
        return [
            csr_array(block_diag([kron(permutation, eye_array(copies)), eye_array(rest)], format="csr"))
            for permutation in map(self._regular, self._indices(candidate))
        ]

    def _indices(self, candidate: Group) -> list[int]:
        """Which elements of the group are those of a subgroup."""
        inverses = self._elements.inverse()
        elements = candidate.elements()
        return [_identity_in(elements[i].compose(inverses)) for i in range(elements.R.shape[0])]

    def _regular(self, index: int) -> csr_array:
        """The permutation ``x -> g x`` of all elements, for the element g of that index."""
        inverse = self._relative[index, 0]
        images: Ints = self._relative[inverse]
        order = len(images)
        return csr_array((np.ones(order), (images, np.arange(order))), shape=(order, order))


def matrices(representation: Representation, candidate: Group) -> list[csr_array]:
    """Matrices of all elements of a finite group on a representation."""
    return [csr_array(tidy) for tidy in _tidy(representation.matrix(candidate.elements()).numpy())]


def log_std_matrices(representation: Representation, candidate: Group) -> list[csr_array]:
    """How the logarithms of standard deviations follow: permuted without signs, and averaged within vectors that turn.

    A matrix that permutes entries up to signs permutes their standard deviations. Any other mixes the entries of an
    irrep, whose deviations then have to be equal: each element averages over the irrep before it permutes. These
    matrices are a representation of the group on the vectors that have that mean, and zero on the rest.
    """
    signed = _tidy(representation.matrix(candidate.elements()).numpy())
    sizes = np.abs(signed)
    if np.allclose(sizes, np.round(sizes), atol=_SAME):
        return [csr_array(size) for size in np.round(sizes)]
    irrep = np.zeros((representation.dim, representation.dim))
    for block in representation.blocks():
        irrep[np.ix_(block.where, block.where)] = 1.0
    touched = ((irrep @ size @ irrep) > _SAME for size in sizes)
    return [csr_array(moved / moved.sum(axis=1, keepdims=True)) for moved in touched]


def invariant(count: int, candidate: Group) -> list[csr_array]:
    """Matrices on invariants, such as values."""
    assert candidate.order is not None
    return [csr_array(eye_array(count))] * candidate.order


def side_by_side(parts: Sequence[list[csr_array]]) -> list[csr_array]:
    """Matrices on the direct sum."""
    return [csr_array(block_diag(blocks, format="csr")) for blocks in zip(*parts, strict=True)]


def _tidy(stack: Floats) -> Floats:
    """Entries that are whole numbers up to rounding become these, so that zeros are not stored."""
    whole = np.round(stack)
    return np.where(np.abs(stack - whole) < _SAME, whole, stack)


def _identity_in(elements: Element) -> int:
    gap = (elements.R - torch.eye(3, dtype=torch.float64)).abs().amax(dim=(-2, -1))
    for matrix in elements.h.values():
        gap = gap.maximum((matrix - torch.eye(matrix.shape[-1], dtype=matrix.dtype)).abs().amax(dim=(-2, -1)))
    return int(gap.argmin())
