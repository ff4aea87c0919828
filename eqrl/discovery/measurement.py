"""How far a candidate is from a symmetry of the world, measured on transitions, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from eqrl.arrays import Floats

_RESAMPLES = 400
_UNCHANGED = 1e-6
_DIM = 0.25


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


def measured(gaps: Gaps, accept: float, *, coverage: float = 1.0, seed: int = 0) -> Measurement:
    """Judge a candidate.

    Args:
        gaps: what was compared, at least one transition.
        accept: largest residual that is accepted.
        coverage: share of the transitions that could be compared at all.
        seed: of the bootstrap.
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
    # a part that is seen too dimly to be cleared: more broken than is accepted, less than the noise
    dim = (residuals[0] > accept) & (limits[0] > _DIM)
    unclear = holds and bool(dim.any())
    if unclear:
        worst_part = int(np.where(dim, residuals[0], -1.0).argmax())
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(n, np.full(n, 1.0 / n), size=_RESAMPLES).astype(np.float64) / n
    again, limits_again = _ratios(drawn @ np.stack([size, noise, change]))
    agreeing = ((again <= np.maximum(accept, limits_again)).all(axis=1) == holds).sum()
    scale = max(float(change[:, worst_part].mean()), _UNCHANGED**2)
    return Measurement(
        residual=float(residuals[0, worst_part]),
        part=names[worst_part],
        worst=float(np.sqrt(np.quantile(np.clip(size - noise, 0.0, None)[:, worst_part], 0.95) / scale)),
        confidence=_share(int(agreeing)),
        transitions=n,
        holds=None if unclear else holds,
        limit=float(limits[0, worst_part]),
        coverage=coverage,
        reason=f"{names[worst_part]} differs, by no more than the noise of {limits[0, worst_part]:.2f}" * unclear,
    )


def _ratios(sums: Floats) -> tuple[Floats, Floats]:
    """Residual and limit of every part, from mean squares ``(3, resamples, parts)`` of sizes, noise and changes."""
    size, noise, change = sums
    scale = np.maximum(change, _UNCHANGED**2)
    return np.sqrt(np.clip(size - noise, 0.0, None) / scale), np.sqrt(noise / scale)


def _share(agreeing: int) -> float:
    """A share that never says certainty, by Laplace's rule of succession."""
    return (agreeing + 1.0) / (_RESAMPLES + 2.0)
