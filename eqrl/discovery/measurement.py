"""How far a candidate is from a symmetry of the world, measured on transitions, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from eqrl.arrays import Floats, Ints

_RESAMPLES = 400
_UNCHANGED = 1e-6
_DIM = 0.25
_SURE = 0.95


@dataclass(frozen=True)
class Gaps:
    """What a candidate predicts against what happens, for each part of ``n`` transitions.

    Attributes:
        size: length of the difference, ``(n,)`` for each part, such as ``"velocity"`` or ``"reward"``.
        change: what the difference is measured against: how far the part changes in the step, ``(n,)``.
        noise: length of the difference that there would be for a true symmetry, ``(n,)``; zero in a simulator.
    """

    size: Mapping[str, Floats]
    change: Mapping[str, Floats]
    noise: Mapping[str, Floats] = field(default_factory=dict)


@dataclass(frozen=True)
class Measurement:
    """The residual of a candidate.

    Attributes:
        residual: root mean square of the difference, relative to that of the change in a step, in the part where this
            is largest: 0 for a symmetry, about 1 if the transformed world does something else.
        part: that part.
        worst: 95 % quantile of the same over the transitions; much larger than ``residual`` where a breaking is local.
        confidence: share of resampled sets of transitions (bootstrap) with the same verdict.
        transitions: number of transitions that were compared.
        holds: whether the residual is small enough; None if that cannot be told.
        limit: the smallest breaking that can be seen, in units of ``residual``; 0 in a simulator.
        coverage: share of the transformed transitions near which there are data; 1 in a simulator.
        reason: why it cannot be told.
    """

    residual: float
    part: str
    worst: float
    confidence: float
    transitions: int
    holds: bool | None
    limit: float = 0.0
    coverage: float = 1.0
    reason: str = ""


def measured(
    gaps: Gaps, accept: float, *, coverage: float = 1.0, seed: int = 0, groups: Ints | None = None
) -> Measurement:
    """Judge a candidate.

    Args:
        gaps: what was compared, at least one transition.
        accept: largest residual that is accepted.
        coverage: share of the transitions that could be compared at all.
        seed: of the bootstrap.
        groups: number of the group of each transition, ``(n,)``, where these are not independent; groups are resampled.
    """
    names = list(gaps.size)
    size = np.stack([np.nan_to_num(gaps.size[k], nan=np.inf) for k in names], axis=1) ** 2
    change = np.stack([gaps.change[k] for k in names], axis=1) ** 2
    noise = np.stack([gaps.noise.get(k, np.zeros(len(size))) for k in names], axis=1) ** 2
    n = len(size)
    if not np.isfinite(size).all():  # the transformed world diverges
        part = names[int(np.flatnonzero(~np.isfinite(size).all(0))[0])]
        return Measurement(np.inf, part, np.inf, _share(_RESAMPLES), n, False, coverage=coverage)
    sums = np.ones((1, n)) @ np.stack([size, noise, change]) / n
    residuals, limits = _ratios(sums)
    excess = np.clip(residuals - np.maximum(accept, limits), 0.0, None)
    # what fails says more than what is merely large
    worst_part = int(excess[0].argmax() if excess.any() else residuals[0].argmax())
    holds = not excess.any()
    rng = np.random.default_rng(seed)
    member = np.arange(n) if groups is None else np.unique(groups, return_inverse=True)[1]
    count = int(member.max()) + 1
    drawn = rng.multinomial(count, np.full(count, 1.0 / count), size=_RESAMPLES)[:, member].astype(np.float64)
    drawn /= np.maximum(drawn.sum(axis=1, keepdims=True), 1.0)
    again, limits_again = _ratios(drawn @ np.stack([size, noise, change]))
    agreeing = ((again <= np.maximum(accept, limits_again)).all(axis=1) == holds).sum()
    confidence, limit = _share(int(agreeing)), float(limits[0, worst_part])
    reason = ""
    # a part that is seen too dimly to be cleared: more broken than is accepted, less than the noise
    dim = (residuals[0] > accept) & (limits[0] > _DIM)
    if holds and dim.any():
        worst_part = int(np.where(dim, residuals[0], -1.0).argmax())
        limit = float(limits[0, worst_part])
        reason = f"{names[worst_part]} differs, by no more than the noise of {limit:.2f}"
    elif not holds and limit > 0.0 and confidence < _SURE:
        reason = f"{names[worst_part]} differs, but in too few of the episodes to tell; record more"
    scale = max(float(change[:, worst_part].mean()), _UNCHANGED**2)
    return Measurement(
        residual=float(residuals[0, worst_part]),
        part=names[worst_part],
        worst=float(np.sqrt(np.quantile(np.clip(size - noise, 0.0, None)[:, worst_part], 0.95) / scale)),
        confidence=confidence,
        transitions=n,
        holds=None if reason else holds,
        limit=limit,
        coverage=coverage,
        reason=reason,
    )


def _ratios(sums: Floats) -> tuple[Floats, Floats]:
    """Residual and limit of every part, from mean squares ``(3, resamples, parts)`` of sizes, noise and changes."""
    size, noise, change = sums
    scale = np.maximum(change, _UNCHANGED**2)
    return np.sqrt(np.clip(size - noise, 0.0, None) / scale), np.sqrt(noise / scale)


def _share(agreeing: int) -> float:
    """A share that never says certainty, by Laplace's rule of succession."""
    return (agreeing + 1.0) / (_RESAMPLES + 2.0)
