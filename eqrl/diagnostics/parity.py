"""Gait parity: how much of a signal is symmetric, and how much belongs to each other irrep of the body's group.

A group H that permutes limbs splits joint signals, and attention over limbs, into parts that do not mix:
``P = d/|H| sum_h chi(h^-1) rho(h)`` ("Partial symmetry enforced attention decomposition", arXiv 2507.14908).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from eqrl.arrays import Floats
from eqrl.symmetry import Group, Representation
from eqrl.symmetry.characters import Isotypic, isotypic_parts, multiplication_table


def parts_of(representation: Representation, group: Group) -> list[Isotypic]:
    """The parts of a representation under the finite part of a group.

    Args:
        representation: of the signal, such as the action.
        group: the group; its continuous part is left alone.
    """
    return isotypic_parts(representation.matrix(group.cosets).numpy(), multiplication_table(group.cosets))


def parity_energy(signal: Floats, parts: Sequence[Isotypic]) -> dict[str, float]:
    """Shares of a signal's energy in each part; they sum to 1. A signal of zeros has none.

    Args:
        signal: rows of numbers, ``(n, d)``.
        parts: see :func:`parts_of`.
    """
    energies = {part.name: float(np.square(signal @ part.projector.T).sum()) for part in parts}
    total = sum(energies.values())
    return {name: energy / total if total else 0.0 for name, energy in energies.items()}


def attention_parity(attention: Floats, permutations: Floats) -> float:
    """Share of the energy of attention weights that commutes with the exchange of limbs, between 0 and 1.

    Args:
        attention: weights, ``(..., tokens, tokens)``.
        permutations: of the tokens by each element, ``(n, tokens, tokens)``.
    """
    mean = np.mean([P @ attention @ P.T for P in permutations], axis=0)
    total = float(np.square(attention).sum())
    return float(np.square(mean).sum()) / total if total else 0.0


def attention_by_irreps(queries: Floats, keys: Floats, values: Floats, parts: Sequence[Isotypic]) -> list[Floats]:
    """Attention inside each part: ``softmax(P Q (P K)^T / sqrt(d)) P V``.

    The sum over parts commutes with the group, and is ordinary attention for the trivial group.

    Args:
        queries: ``(tokens, d)``.
        keys: ``(tokens, d)``.
        values: ``(tokens, e)``.
        parts: of the permutation of tokens.

    Returns:
        What each part contributes, ``(tokens, e)``.
    """
    outputs = []
    for part in parts:
        Q, K, V = (part.projector @ x for x in (queries, keys, values))
        scores = Q @ K.T / np.sqrt(queries.shape[1])
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        outputs.append(np.asarray(weights / weights.sum(axis=1, keepdims=True) @ V))
    return outputs
