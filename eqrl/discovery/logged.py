"""Residuals from logged transitions alone, and what such data cannot tell.

A one-step model is fitted. For held-out transitions (s, a, r, s') and a candidate g it predicts what happens at
(gs, ga); that is compared with g(s' - s) and r. What the model gets wrong on untransformed held-out transitions is
subtracted, and is the limit of what can be seen. Where the data never were, nothing is said.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from eqrl.arrays import Floats
from eqrl.discovery.candidates import LinearMap
from eqrl.discovery.measurement import Gaps, Measurement, measured
from eqrl.discovery.one_step import OneStepModel
from eqrl.discovery.transitions import Transitions
from eqrl.errors import UsageError

_FEWEST = 200
_FEWEST_COVERED = 30
_BLIND = 0.8
_UNCHANGED = 1e-9


class LoggedEvidence:
    """What logged transitions say about candidates.

    Args:
        transitions: at least 200.
        fields: slices of the observation that belong together, such as those of a typed space; None for a single one.
        accept: largest accepted residual.
        seed: of the split of the data.

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
        self._model = OneStepModel(self._inputs, self._outcomes, seed)
        self.notes = self._leave_out_what_is_not_determined()

    def __call__(self, g: LinearMap) -> Measurement:
        """The residual of a candidate."""
        rows = self._model.held_out
        s, a = np.split(self._inputs[rows], [self._width], axis=1)
        moved = np.concatenate([s @ g.observation.T, a @ g.action.T], axis=1)
        covered = self._model.covers(moved)
        share = float(covered.mean())
        if covered.sum() < _FEWEST_COVERED:
            reason = f"only {share:.0%} of the transformed transitions have data nearby; record more of the world"
            return Measurement(np.nan, "", np.nan, 0.0, int(covered.sum()), None, np.nan, share, reason)
        if not self._parts:
            reason = "the fitted model predicts nothing well enough; record more transitions"
            return Measurement(np.nan, "", np.nan, 0.0, int(covered.sum()), None, np.nan, share, reason)
        expected = self._outcomes[rows].copy()
        expected[:, : self._width] = (self._change[rows] @ g.observation.T) / self._scales
        wrong = (self._model.predict(moved) - expected)[covered]
        usual = self._errors()[covered]
        gaps = Gaps(
            size=self._lengths(wrong), change=self._lengths(expected[covered], floor=1.0), noise=self._lengths(usual)
        )
        return measured(gaps, self._accept, coverage=share, seed=self._seed)

    def _leave_out_what_is_not_determined(self) -> tuple[str, ...]:
        errors, notes = self._errors(), []
        outcomes = self._outcomes[self._model.held_out]
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
        return tuple(notes)

    def _errors(self) -> Floats:
        rows = self._model.held_out
        return np.asarray(self._model.predict(self._inputs[rows]) - self._outcomes[rows])

    def _lengths(self, x: Floats, floor: float | None = None) -> dict[str, Floats]:
        """Lengths of the parts of outcomes, each scaled to size 1 in the data."""
        lengths = {name: np.linalg.norm(x[:, where], axis=1) for name, where in self._parts.items()}
        # rewards have no zero of their own: their spread, which is 1, is what a change is measured against
        return {
            n: np.full(len(x), floor) if floor and n in ("reward", "termination") else v for n, v in lengths.items()
        }


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
