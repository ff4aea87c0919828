"""Characters of small finite groups, and the projectors that split a representation into its irreducible kinds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eqrl.arrays import Floats, Ints
from eqrl.symmetry.element import Element

_SAME = 1e-6


@dataclass(frozen=True, eq=False)
class Isotypic:
    """The part of a representation that consists of copies of one real irrep.

    Attributes:
        name: ``"symmetric"`` for the invariants; ``"antisymmetric"`` for the other one of a mirror; else the place in
            the table and the dimension of the irrep.
        projector: orthogonal projector onto it, ``(d, d)``.
    """

    name: str
    projector: Floats


def multiplication_table(elements: Element) -> Ints:
    """Index of the product ``i * j`` of all elements of a finite group.

    Args:
        elements: all of them, batch shape ``(n,)``, such as ``group.cosets``.

    Returns:
        Shape ``(n, n)``.

    Raises:
        ValueError: if the elements are not closed under products.
    """
    parts = [elements.R.numpy(), *(elements.h[name].numpy() for name in sorted(elements.h))]
    flat = np.concatenate([p.reshape(len(p), -1) for p in parts], axis=1)
    products = np.concatenate([np.einsum("iab,jbc->ijac", p, p).reshape(len(p), len(p), -1) for p in parts], axis=-1)
    distance = np.abs(products[:, :, None] - flat).max(-1)
    if not (distance.min(-1) < _SAME).all():
        raise ValueError("the elements are no group: some product is not among them")
    return np.asarray(distance.argmin(-1))


def character_table(table: Ints) -> NDArray[np.complex128]:
    """Characters of all irreps, by Burnside's method: common eigenvectors of the matrices of the class algebra.

    Args:
        table: multiplication table, the identity first, ``(n, n)``.

    Returns:
        ``(irreps, n)``, the trivial one first, then by dimension; ``characters[:, 0]`` are the dimensions.
    """
    n = len(table)
    inverse = np.argmax(table == 0, axis=1)
    conjugates = table[table[:, :], inverse[:, None]]  # [h, g] = h g h^-1
    smallest = conjugates.min(axis=0)
    labels = np.unique(smallest, return_inverse=True)[1]
    labels = _identity_first(labels)
    classes = [np.flatnonzero(labels == c) for c in range(labels.max() + 1)]
    k = len(classes)
    algebra = np.zeros((k, k, k))
    for r in range(k):
        for s in range(k):
            products = np.bincount(labels[table[np.ix_(classes[r], classes[s])].ravel()], minlength=k)
            algebra[r, s] = products / [len(c) for c in classes]
    weights = np.random.default_rng(0).standard_normal(k)
    _, vectors = np.linalg.eig(np.einsum("r,rst->st", weights, algebra))
    central = (vectors / vectors[0]).T  # |C| chi(C) / chi(1), one row for each irrep
    sizes = np.array([len(c) for c in classes])
    dimensions = np.round(np.sqrt(n / (np.abs(central) ** 2 / sizes).sum(axis=1))).astype(int)
    characters = dimensions[:, None] * (central / sizes)[:, labels]
    trivial = np.abs(characters - 1.0).max(axis=1) > _SAME
    order = np.lexsort((-np.round(characters.real.sum(axis=1), 6), dimensions, trivial))
    return np.asarray(characters[order])


def isotypic_parts(matrices: Floats, table: Ints) -> list[Isotypic]:
    """The parts of a representation, ``P = d/|H| sum_h conj(chi(h)) rho(h)``; those of conjugate irreps are one.

    Args:
        matrices: orthogonal matrices of all elements, ``(n, d, d)``.
        table: multiplication table of the elements, ``(n, n)``.

    Returns:
        Parts whose projectors sum to the identity; parts of dimension 0 are left out.
    """
    characters = character_table(table)
    parts: list[Isotypic] = []
    done: list[NDArray[np.complex128]] = []
    for i, character in enumerate(characters):
        if any(np.abs(character - other.conj()).max() < _SAME for other in done):
            continue
        done.append(character)
        # a complex irrep and its conjugate are one real irrep of twice the dimension
        twice = 1 if np.abs(character.imag).max() < _SAME else 2
        dimension = character[0].real
        projector = twice * dimension / len(matrices) * np.einsum("h,hij->ij", character.real, matrices)
        if np.trace(projector) > 0.5:
            parts.append(Isotypic(_part_name(i, twice * round(dimension), len(matrices)), projector))
    return parts


def _identity_first(labels: Ints) -> Ints:
    """The same labels, so numbered that the identity's class is 0."""
    first = labels[0]
    return np.asarray(np.where(labels == first, 0, np.where(labels == 0, first, labels)))


def _part_name(index: int, dimension: int, order: int) -> str:
    if index == 0:
        return "symmetric"
    return "antisymmetric" if order == 2 else f"irrep {index + 1} of dimension {dimension}"
