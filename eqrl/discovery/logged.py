"""Residuals from logged transitions alone, and what such data cannot tell.

A one-step model is fitted. For transitions (s, a, r, s') of episodes that it never met and a candidate g it predicts
what happens at (gs, ga); that is compared with g(s' - s) and r. What the model gets wrong on untransformed transitions
that are as far from its data is subtracted, and is the limit of what can be seen. Where the data never were, nothing is
said; nor where most of the transformed transitions would lie there.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from eqrl.arrays import Floats
from eqrl.discovery.candidates import LinearMap
from eqrl.discovery.episodes import FEWEST, independent_groups
from eqrl.discovery.measurement import Gaps, Measurement, measured
from eqrl.discovery.one_step import OneStepModel
from eqrl.discovery.transitions import Transitions
from eqrl.errors import UsageError

_FEWEST = 200
_COVERED = 0.5
_NEAR = 0.95
_RINGS = 10
_BLIND = 0.8
_UNCHANGED = 1e-9


class LoggedEvidence:
    """What logged transitions say about candidates.

    Args:
        transitions: at least 200.
        fields: slices of the observation that belong together, such as those of a typed space; None for a single one.
        accept: largest accepted residual.
        seed: of the choice of transitions where there are many.

    Attributes:
        notes: what the data do not determine, one line each.

    Raises:
        UsageError: for too few transitions, or if nothing changes in them.
    """

    def __init__(
        self,
        transitions: Transitions,
        fields: Mapping[str, slice] | None = None,
        *,
        accept: float = 0.05,
        seed: int = 0,
    ) -> None:
        if len(transitions) < _FEWEST:
            raise UsageError(f"{len(transitions)} transitions are too few to fit a model; give at least {_FEWEST}")
        self._accept, self._seed = accept, seed
        fields = fields or {"observation": slice(0, transitions.observations.shape[1])}
        self._inputs = np.concatenate([transitions.observations, transitions.actions], axis=1)
        self._width = transitions.observations.shape[1]
        self._change = transitions.next_observations - transitions.observations
        scales, self._parts = _scales(self._change, fields)
        outcomes = [self._change / scales]
        others = {"reward": transitions.rewards}
        if transitions.terminated is not None and 0 < transitions.terminated.sum() < len(transitions):
            others["termination"] = transitions.terminated.astype(np.float64)
        for name, values in others.items():
            if (spread := float(values.std())) > _UNCHANGED:
                self._parts[name] = slice(self._width + len(outcomes) - 1, self._width + len(outcomes))
                outcomes.append((values[:, None] - values.mean()) / spread)
        if not self._parts:
            raise UsageError("nothing changes in these transitions, so that they say nothing about any symmetry")
        self._scales = scales
        self._outcomes = np.concatenate([outcomes[0], *outcomes[1:]], axis=1)
        groups = independent_groups(transitions.observations, transitions.next_observations)
        self._model = None if groups is None else OneStepModel(self._inputs, self._outcomes, groups, seed)
        self.notes = () if self._model is None else self._judge(self._model)

    def __call__(self, g: LinearMap) -> Measurement:
        """The residual of a candidate."""
        if self._model is None:
            return _unknown(f"the log has fewer than {FEWEST} episodes, and they differ in how they begin; record more")
        rows = self._model.rows
        s, a = np.split(self._inputs[rows], [self._width], axis=1)
        moved = np.concatenate([s @ g.observation.T, a @ g.action.T], axis=1)
        distance = self._model.distance(moved)
        covered = distance <= self._reach
        share = float(covered.mean())
        if share < _COVERED:
            reason = f"only {share:.0%} of the transformed transitions have data nearby; record more of the world"
            return _unknown(reason, int(covered.sum()), share)
        if not self._parts:
            reason = "the fitted model predicts nothing well enough; record more transitions"
            return _unknown(reason, int(covered.sum()), share)
        expected = self._outcomes[rows].copy()
        expected[:, : self._width] = (self._change[rows] @ g.observation.T) / self._scales
        wrong = (self._model.predict(moved) - expected)[covered]
        ring = np.searchsorted(self._rings, distance[covered])
        gaps = Gaps(
            size=self._lengths(wrong),
            change=self._lengths(expected[covered], floor=1.0),
            noise={name: usual[ring] for name, usual in self._usual.items()},
        )
        groups = self._model.groups[covered]
        return measured(gaps, self._accept, coverage=share, seed=self._seed, groups=groups)

    def _judge(self, model: OneStepModel) -> tuple[str, ...]:
        """Measure the errors of the model, and leave out what it does not predict."""
        here, outcomes, notes = self._inputs[model.rows], self._outcomes[model.rows], []
        errors, distance = model.predict(here) - outcomes, model.distance(here)
        for name, where in list(self._parts.items()):
            limit = float(np.sqrt((errors[:, where] ** 2).sum() / max((outcomes[:, where] ** 2).sum(), _UNCHANGED)))
            if limit > _BLIND:
                del self._parts[name]
                notes.append(f"the data do not determine {name}: the model misses {limit:.0%} of how it changes")
        if self._parts:
            finest = {
                n: float(np.sqrt((errors[:, w] ** 2).mean() / (outcomes[:, w] ** 2).mean()))
                for n, w in self._parts.items()
            }
            worst = max(finest, key=lambda name: finest[name])
            notes.append(f"a breaking below {finest[worst]:.1e} of a step's change cannot be seen in {worst}")
        self._reach = float(np.quantile(distance, _NEAR))
        # the model is the worse the farther it has to reach, so errors are told apart by distance
        self._rings = np.quantile(distance, np.arange(1, _RINGS) / _RINGS)
        ring = np.searchsorted(self._rings, distance)
        self._usual = {
            name: np.sqrt([np.square(lengths[ring == r]).mean() for r in range(_RINGS)])
            for name, lengths in self._lengths(errors).items()
        }
        return tuple(notes)

    def _lengths(self, x: Floats, floor: float | None = None) -> dict[str, Floats]:
        """Lengths of the parts of outcomes, each scaled to size 1 in the data."""
        lengths = {name: np.linalg.norm(x[:, where], axis=1) for name, where in self._parts.items()}
        # rewards have no zero of their own: their spread, which is 1, is what a change is measured against
        return {
            n: np.full(len(x), floor) if floor and n in ("reward", "termination") else v for n, v in lengths.items()
        }


def _unknown(reason: str, compared: int = 0, share: float = 0.0) -> Measurement:
    return Measurement(np.nan, "", np.nan, 0.0, compared, None, np.nan, share, reason)


def _scales(change: Floats, fields: Mapping[str, slice]) -> tuple[Floats, dict[str, slice]]:
    """Sizes of a step's changes, one for each field, and the fields that change at all.

    One size serves all entries of a field, for a candidate may mix them; without fields each entry has its own.
    """
    scales, parts = np.ones(change.shape[1]), {}
    for name, where in fields.items():
        sizes = np.sqrt((change[:, where] ** 2).mean(axis=0))
        largest = float(sizes.max(initial=0.0))
        if largest > _UNCHANGED:
            scales[where] = float(np.sqrt((sizes**2).sum())) if len(fields) > 1 else np.maximum(sizes, 1e-2 * largest)
            parts[name] = where
    return scales, parts
