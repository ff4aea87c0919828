"""Optimistic least-squares value iteration with a kernel, on a small process: how many episodes to the optimum?"""

from __future__ import annotations

import numpy as np

from eqrl.arrays import Floats
from eqrl.theory.gridworld import Grid, optimal_values

_SAME = 1e-9


def episodes_to_optimum(
    grid: Grid,
    gram: Floats,
    *,
    most: int = 600,
    patience: int = 20,
    optimism: float = 0.3,
    noise: float = 0.1,
    seed: int = 0,
) -> int | None:
    """Play optimistic episodes until the greedy policy is optimal from every cell, and remains so for a while.

    After each episode ``Q_h = clip(mu_h + optimism * sigma)`` is computed backwards, where mu and sigma are mean and
    standard deviation of the kernel regression of ``r + V_{h+1}(s')`` on all pairs seen so far (Yang et al.,
    NeurIPS 2020). Episodes start in a random cell.

    Args:
        grid: the process.
        gram: Gram matrix of all pairs ``s * A + a``, such as :func:`~eqrl.theory.kernel.averaged` of one.
        most: episodes to play at most.
        patience: episodes for which it has to remain optimal.
        optimism: weight of the standard deviation, the beta of the paper.
        noise: standard deviation of the regression's targets.
        seed: of starts and transitions.

    Returns:
        The number of episodes after which the greedy policy of the mean is optimal, or None if that never happens.
    """
    rng = np.random.default_rng(seed)
    S, A, H = grid.states, grid.actions, grid.horizon
    best = optimal_values(grid.transitions, grid.rewards, H)[0].max(axis=1)
    counts, reward_sums, arrivals = np.zeros(S * A), np.zeros(S * A), np.zeros((S * A, S))
    optimal_since: int | None = None
    for episode in range(most):
        optimistic, mean = _values(gram, counts, reward_sums, arrivals, (S, A, H), optimism, noise, grid.goal_state)
        # ties are broken at random, else all rows of equal values would begin with the first action
        mean = mean + 1e-9 * rng.random(mean.shape)
        if np.abs(_achieved(grid, mean) - best).max() < _SAME:
            optimal_since = episode if optimal_since is None else optimal_since
            if episode - optimal_since >= patience:
                return optimal_since
        else:
            optimal_since = None
        s = int(rng.integers(S))
        for h in range(H):
            if s == grid.goal_state:
                break
            a = int((optimistic[h, s] + 1e-9 * rng.random(A)).argmax())
            following = int(rng.choice(S, p=grid.transitions[s, a]))
            z = s * A + a
            counts[z] += 1.0
            reward_sums[z] += float(following == grid.goal_state)
            arrivals[z, following] += 1.0
            s = following
    return None


def _values(
    gram: Floats,
    counts: Floats,
    reward_sums: Floats,
    arrivals: Floats,
    sizes: tuple[int, int, int],
    optimism: float,
    noise: float,
    goal: int,
) -> tuple[Floats, Floats]:
    """Optimistic and mean Q-values of every step, ``(H, S, A)``."""
    S, A, H = sizes
    seen = np.flatnonzero(counts)
    means = np.zeros((H, S * A))
    if len(seen):
        # observations of one pair count as one of their mean, with less noise
        K = gram[np.ix_(seen, seen)] + np.diag(noise**2 / counts[seen])
        gain = np.linalg.solve(K, gram[seen]).T  # (S A, seen)
        variance = np.clip(np.diag(gram) - np.einsum("ij,ij->i", gain, gram[:, seen]), 0.0, None)
    else:
        gain, variance = np.zeros((S * A, 0)), np.diag(gram)
    bonus = optimism * np.sqrt(variance)
    optimistic = np.zeros((H, S * A))
    V, V_mean = np.zeros(S), np.zeros(S)
    for h in reversed(range(H)):
        for values, out, extra in ((V, optimistic, bonus), (V_mean, means, 0.0)):
            target = (reward_sums[seen] + arrivals[seen] @ values) / np.maximum(counts[seen], 1.0)
            out[h] = np.clip(gain @ target + extra, 0.0, 1.0)
        V, V_mean = optimistic[h].reshape(S, A).max(1), means[h].reshape(S, A).max(1)
        V[goal] = V_mean[goal] = 0.0
    return optimistic.reshape(H, S, A), means.reshape(H, S, A)


def _achieved(grid: Grid, Q: Floats) -> Floats:
    """What the greedy policy of some Q-values achieves from every cell, ``(S,)``."""
    V = np.zeros(grid.states)
    states = np.arange(grid.states)
    for h in reversed(range(grid.horizon)):
        greedy = Q[h].argmax(axis=1)
        V = grid.rewards[states, greedy] + grid.transitions[states, greedy] @ V
    return V
