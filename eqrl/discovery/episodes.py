"""Which logged transitions belong together, so that what is held out was really not seen.

Rows of one episode are alike: they share a goal, and each is close to the next. A model that was fitted to some of them
predicts the others far better than an episode that it never met, and that is what images under a symmetry are.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from eqrl.arrays import Floats, Ints

FEWEST = 8
_STRETCHES = 24
_FORGETS = 0.5
_VARIES = 1e-12


def independent_groups(observations: Floats, next_observations: Floats) -> Ints | None:
    """Number of the group of each row: its episode or, where a few long episodes forget how they began, a stretch.

    Args:
        observations: ``(N, D)``.
        next_observations: ``(N, D)``.

    Returns:
        ``(N,)``, or None for too few episodes of an environment that chooses something when it is reset.
    """
    episodes = episodes_of(observations, next_observations)
    if episodes.max() + 1 >= FEWEST:
        return episodes
    rows = [observations[episodes == e] for e in range(episodes.max() + 1)]
    total = observations.var(axis=0)
    within = sum(len(x) * x.var(axis=0) for x in rows) / len(observations)
    varies = total > _VARIES
    if (within[varies] < _FORGETS * total[varies]).any():
        return None
    return np.asarray(np.arange(len(observations)) * _STRETCHES // len(observations))


def episodes_of(observations: Floats, next_observations: Floats) -> Ints:
    """Number of the episode of each row, in whatever order they are: what one saw next is what another one saw."""
    n = len(observations)
    _, labels = np.unique(np.concatenate([observations, next_observations]) + 0.0, axis=0, return_inverse=True)
    before, after = np.split(labels.ravel(), 2)
    # rows are joined through the observations that they share as an end and a beginning
    shared = np.intersect1d(before, after)
    ends = [(np.flatnonzero(np.isin(x, shared)), x[np.isin(x, shared)]) for x in (before, after)]
    i, j = np.concatenate([e[0] for e in ends]), n + np.concatenate([e[1] for e in ends])
    graph = coo_matrix((np.ones(len(i)), (i, j)), shape=(n + labels.size, n + labels.size))
    joined = connected_components(graph, directed=False)[1][:n]
    return np.asarray(np.unique(joined, return_inverse=True)[1])
