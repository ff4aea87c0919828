"""Tabular discovery of soft equivariances of a channel by the information bottleneck.

A channel maps x to y with probabilities p(y | x). The representation T of a pair (x, y) is to say little about the pair
and yet to tell the channel from independence:

    minimise  I((X, Y); T) - beta D( kappa p_XY || kappa p_X p_Y )

A stationary ``kappa(t | z)`` is ``p_T(t) exp(-beta [R_t / r_z - log R_t])``, normalised over t, with z = (x, y),
``r = p_XY / (p_X p_Y)`` and ``R = p_T / q_T``, where p_T and q_T are what kappa makes of the two. Pairs of permutations
(sigma, tau) of inputs and outputs that leave kappa alone are the soft equivariances (Charvin, Volpi and Polani,
"Towards information theory-based discovery of equivariances", arXiv 2310.16555; the fixed point is derived here).

Pairs that never occur (r = 0) cost no information. In the limit of small r they go to the symbols with the smallest R,
in shares as those of q_T: to symbols of their own, with R = 0.

Iteration has many fixed points. It finds the good one from fine to coarse: start at the identity with a large beta, and
lower it (reverse annealing). From random starts it gets stuck.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from eqrl.arrays import Floats, Ints

_TINY = 1e-300
_GONE = 1e-200  # below this a symbol has no ratio any more
_SAME = 1e-9
_UNUSED = 1e-6
_DISTINCT = 1e-3


@dataclass(frozen=True, eq=False)
class Bottleneck:
    """A stationary representation.

    Attributes:
        beta: what the channel counts.
        kappa: probabilities ``kappa(t | z)``, ``(X * Y, T)``; row ``x * Y + y``.
        joint: ``p_XY``, ``(X, Y)``.
    """

    beta: float
    kappa: Floats
    joint: Floats

    @property
    def information(self) -> float:
        """I((X, Y); T) in nats."""
        p = self.joint.ravel()
        return float((p[:, None] * self.kappa * _log(self.kappa, p @ self.kappa)).sum())

    @property
    def divergence(self) -> float:
        """D(kappa p_XY || kappa p_X p_Y) in nats: what T tells of the channel."""
        p, q = _distributions(self.joint)
        return float(((p @ self.kappa) * _log(p @ self.kappa, q @ self.kappa)).sum())

    @property
    def objective(self) -> float:
        """What is minimised."""
        return self.information - self.beta * self.divergence

    @property
    def clusters(self) -> Ints:
        """Number of the cluster of each symbol t, ``(T,)``; -1 for symbols that are not used.

        Symbols with equal ``R_t`` are one: merging them changes neither term of the objective.
        """
        p, q = _distributions(self.joint)
        p_T, q_T = p @ self.kappa, q @ self.kappa
        used = np.flatnonzero(np.maximum(p_T, q_T) > _UNUSED)
        ratio = np.log(np.maximum(p_T[used] / q_T[used], _TINY))
        order = np.argsort(ratio, kind="stable")
        labels = np.full(len(p_T), -1)
        labels[used[order]] = np.cumsum(np.diff(ratio[order], prepend=ratio[order][0]) > _DISTINCT)
        return labels

    @property
    def classes(self) -> Ints:
        """Number of the likeliest cluster of each pair, ``(X, Y)``."""
        labels = self.clusters
        shares = np.stack([self.kappa[:, labels == c].sum(axis=1) for c in range(labels.max() + 1)], axis=1)
        return np.asarray(shares.argmax(axis=1).reshape(self.joint.shape))

    def error(self, sigma: Ints, tau: Ints) -> float:
        """How far a pair of permutations is from an equivariance: largest total variation of any row of kappa, 0 to 1.

        Args:
            sigma: image of every input, ``(X,)``.
            tau: image of every output, ``(Y,)``.
        """
        grid = self.kappa.reshape(*self.joint.shape, -1)
        return float(0.5 * np.abs(grid[np.ix_(sigma, tau)] - grid).sum(-1).max())

    def equivariances(
        self, sigmas: Sequence[Ints], taus: Sequence[Ints], tolerance: float = 1e-3
    ) -> list[tuple[int, int]]:
        """Which pairs of the given permutations are soft equivariances, as places in the two lists."""
        return [(i, j) for i, s in enumerate(sigmas) for j, t in enumerate(taus) if self.error(s, t) <= tolerance]


def reverse_annealing(
    joint: Floats,
    betas: Iterable[float],
    *,
    start: Floats | None = None,
    iterations: int = 4_000,
    tolerance: float = 1e-12,
) -> list[Bottleneck]:
    """Stationary representations for falling values of beta, each started from the one before.

    Args:
        joint: probabilities p(x, y), ``(X, Y)``. All inputs and outputs have to occur.
        betas: in falling order.
        start: where to start, ``(X * Y, T)``; by default the identity, which keeps every pair apart.
        iterations: at most so many for each beta.
        tolerance: largest change of a probability at which iteration stops.

    Raises:
        ValueError: if ``joint`` is no distribution, or betas do not fall.
    """
    joint = np.asarray(joint, dtype=np.float64)
    if joint.ndim != 2 or not (joint >= 0.0).all() or not abs(joint.sum() - 1.0) <= 1e-9:
        raise ValueError(
            f"joint has shape {joint.shape}, sum {joint.sum():g} and least entry {joint.min(initial=np.inf):g}; give a"
            " matrix of probabilities that sum to 1"
        )
    if min(joint.sum(0).min(), joint.sum(1).min()) <= 0.0:
        raise ValueError("joint has an input or an output that never occurs; leave its row or column out")
    betas = list(betas)
    if not betas or not np.isfinite(betas).all() or betas[-1] <= 0.0 or any(a <= b for a, b in pairwise(betas)):
        raise ValueError(f"betas have to fall and to be positive; got {betas}")
    kappa = np.eye(joint.size) if start is None else start
    results = []
    for beta in betas:
        for _ in range(iterations):
            following = fixed_point_map(kappa, joint, beta)
            change = float(np.abs(following - kappa).max())
            kappa = following
            if change < tolerance:
                break
        results.append(Bottleneck(beta, kappa, joint))
    return results


def fixed_point_map(kappa: Floats, joint: Floats, beta: float) -> Floats:
    """One iteration: the right-hand side of the equation that a stationary kappa solves."""
    p, q = _distributions(joint)
    p_T, q_T = p @ kappa, q @ kappa
    alive = q_T > _GONE
    R = np.where(alive, p_T / np.maximum(q_T, _TINY), np.inf)
    following = np.zeros_like(kappa)
    occurs, told = p > 0.0, alive & (p_T > 0.0)
    r = (p[occurs] / q[occurs])[:, None]
    exponent = np.log(p_T[told]) - beta * (R[told] / r - np.log(R[told]))
    weights = np.exp(exponent - exponent.max(axis=1, keepdims=True))
    following[np.ix_(occurs, told)] = weights / weights.sum(axis=1, keepdims=True)
    least = np.where(R.min() * (1.0 + _SAME) >= R, q_T, 0.0)
    following[~occurs] = least / least.sum()
    return following


def _distributions(joint: Floats) -> tuple[Floats, Floats]:
    """p_XY and p_X p_Y, flattened."""
    return joint.ravel(), np.outer(joint.sum(1), joint.sum(0)).ravel()


def _log(a: Floats, b: Floats) -> Floats:
    """log(a / b), 0 where a is 0."""
    return np.asarray(np.where(a > 0.0, np.log(np.maximum(a, _TINY) / np.maximum(b, _TINY)), 0.0))
