"""Confidence intervals for few episodes or seeds."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def wilson_interval(successes: int, n: int) -> tuple[float, float]:
    """95 percent interval of a success rate (Wilson 1927); it is also valid for 0 of n and n of n.

    Args:
        successes: number of successes.
        n: number of trials.
    """
    from scipy.stats import binomtest  # the import takes a second, which the start of a training need not pay

    if n == 0:
        return 0.0, 1.0
    interval = binomtest(successes, n).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def mean_interval(values: ArrayLike) -> tuple[float, float]:
    """95 percent interval of a mean by Student's t.

    A normal interval would cover it in 82 percent of cases with 3 values.

    Args:
        values: independent values, such as those of seeds or episodes; for a single value the interval is that value.
    """
    from scipy.stats import t

    x = np.asarray(values, dtype=np.float64)
    half = t.ppf(0.975, x.size - 1) * x.std(ddof=1) / np.sqrt(x.size) if x.size > 1 else 0.0
    return float(x.mean() - half), float(x.mean() + half)


def interquartile_mean(scores: NDArray[np.float64], axis: int = -1) -> NDArray[np.float64]:
    """Mean of the middle half (Agarwal et al. 2021, "Deep RL at the edge of the statistical precipice").

    Scores at the quartiles have fractional weights: of 3 scores the middle one counts fully and each of the outer ones
    a quarter.

    Args:
        scores: any shape.
        axis: the axis over runs.
    """
    x = np.sort(np.moveaxis(scores, axis, -1), axis=-1)
    n = x.shape[-1]
    edges = np.arange(n + 1) / n
    weights = np.clip(np.minimum(edges[1:], 0.75) - np.maximum(edges[:-1], 0.25), 0.0, None)
    return np.asarray((x * weights).sum(-1) / weights.sum())


def bootstrap_interval(
    scores: NDArray[np.float64], resamples: int = 2000, seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """95 percent percentile bootstrap interval of the interquartile mean, resampling runs.

    Args:
        scores: shape ``(..., runs)``.
        resamples: number of bootstrap samples.
        seed: seed of the resampling.

    Returns:
        Lower and upper ends, shape ``(...)``.
    """
    rng = np.random.default_rng(seed)
    n = scores.shape[-1]
    draws = np.stack([interquartile_mean(scores[..., rng.integers(n, size=n)]) for _ in range(resamples)])
    return np.percentile(draws, 2.5, axis=0), np.percentile(draws, 97.5, axis=0)
