"""Kernels that know an invariance, and how much there is left to learn under them.

If ``r(gz) = r(z)`` and ``P(gs' | gz) = P(s' | z)`` for pairs ``z = (s, a)``, then Q* is invariant, and so may be the
kernel of a regression on it: ``k_G(z, z') = 1/|G| sum_g k(gz, z')`` for an invariant kernel k. The largest information
gain, which bounds the regret, then falls by up to the order of the group (Cioba et al., "Reinforcement learning using
known invariances", arXiv 2511.03473).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from eqrl.arrays import Floats, Ints


def rbf(z: Floats, length: float = 1.0) -> Floats:
    """The Gaussian kernel ``exp(-|z - z'|^2 / (2 length^2))`` of all pairs of points.

    Args:
        z: points, ``(n, d)``.
        length: its length scale.

    Returns:
        The Gram matrix, ``(n, n)``.
    """
    square = ((z[:, None] - z[None]) ** 2).sum(-1)
    return np.asarray(np.exp(-0.5 * square / length**2))


def averaged(gram: Floats, elements: Sequence[Ints]) -> Floats:
    """A Gram matrix averaged over a group in both arguments, ``1/|G|^2 sum k(gz, g'z')``.

    Args:
        gram: of all points of a finite set that the group maps to itself, ``(n, n)``.
        elements: where each element takes the points, index arrays ``(n,)``.
    """
    one_side = np.mean([gram[g] for g in elements], axis=0)
    return np.asarray(np.mean([one_side[:, g] for g in elements], axis=0))


def rank(gram: Floats, tolerance: float = 1e-10) -> int:
    """Number of eigenvalues above a tolerance, relative to the largest: how many values a function has to choose."""
    values = np.linalg.eigvalsh(gram)
    return int((values > tolerance * values[-1]).sum())


def information_gain(gram: Floats, noise: float = 0.1) -> float:
    """Information of noisy observations at all points on a function with this kernel, ``1/2 log det(I + K / noise^2)``.

    Args:
        gram: Gram matrix of the observed points, ``(T, T)``.
        noise: standard deviation of the observations.

    Returns:
        The information in nats.
    """
    return 0.5 * float(np.linalg.slogdet(np.eye(len(gram)) + gram / noise**2)[1])
