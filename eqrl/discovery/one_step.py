"""A one-step model of logged transitions, and where it may be trusted."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist, pdist

from eqrl.arrays import Floats, Ints

_MOST = 1_200
_FOR_CHOICE = 500
_BLOCKS = 24
_LENGTHS = (1.0, 2.0, 4.0, 8.0)
_RIDGES = (1e-8, 1e-5, 1e-3, 1e-1)
_NEAR = 0.95


class OneStepModel:
    """Kernel ridge regression with a linear part, from state and action to what happens.

    Length scale and ridge of each output are chosen on transitions that were not fitted. Training and held-out
    transitions come from different stretches of the log, because neighbours in time are alike.

    Args:
        inputs: ``(N, d)``.
        outputs: ``(N, m)``, scaled to size 1.
        seed: of the choice of transitions where there are many.

    Attributes:
        held_out: rows that were not fitted.
    """

    def __init__(self, inputs: Floats, outputs: Floats, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        stretch = np.arange(len(inputs)) * _BLOCKS // len(inputs)
        training = np.flatnonzero(stretch % 4 != 3)
        training = np.sort(rng.permutation(training)[:_MOST])
        self.held_out = np.sort(rng.permutation(np.flatnonzero(stretch % 4 == 3))[: _MOST // 2])
        spread = inputs[training].std(axis=0)
        # what hardly varies in the data must not be moved at all
        self._shift, self._scale = inputs[training].mean(0), np.maximum(spread, 1e-3 * max(float(spread.max()), 1e-12))
        self._points = (inputs[training] - self._shift) / self._scale
        self._typical = float(np.median(pdist(self._points[:400]))) or 1.0
        some = np.sort(rng.permutation(len(training))[:_FOR_CHOICE])
        fitting = stretch[training[some]] % 4 != 2
        wanted = outputs[training[some]]
        choices = [(factor * self._typical, ridge) for factor in _LENGTHS for ridge in _RIDGES]
        errors = []
        for length, ridge in choices:
            K = self._kernel(self._points[some], self._points[some], length)
            weights = _solve(K[np.ix_(fitting, fitting)], wanted[fitting], ridge)
            errors.append(((K[np.ix_(~fitting, fitting)] @ weights - wanted[~fitting]) ** 2).mean(axis=0))
        best = np.argmin(errors, axis=0)
        # (length, outputs, weights) of every choice that is the best one for some outputs
        self._fits: list[tuple[float, Ints, Floats]] = []
        for choice in np.unique(best):
            length, ridge = choices[choice]
            columns = np.flatnonzero(best == choice)
            K = self._kernel(self._points, self._points, length)
            self._fits.append((length, columns, _solve(K, outputs[training][:, columns], ridge)))
        self._width = outputs.shape[1]
        self._tree = cKDTree(self._points)
        self._reach = float(np.quantile(self._distance(inputs[self.held_out]), _NEAR))

    def predict(self, inputs: Floats) -> Floats:
        """What happens, ``(n, m)``."""
        points = (inputs - self._shift) / self._scale
        predicted = np.empty((len(inputs), self._width))
        for length, columns, weights in self._fits:
            predicted[:, columns] = self._kernel(points, self._points, length) @ weights
        return predicted

    def covers(self, inputs: Floats) -> NDArray[np.bool_]:
        """Whether the model was fitted nearby: no farther than for 95 % of the held-out transitions, ``(n,)``."""
        return np.asarray(self._distance(inputs) <= self._reach)

    def _distance(self, inputs: Floats) -> Floats:
        return np.asarray(self._tree.query((inputs - self._shift) / self._scale)[0])

    def _kernel(self, a: Floats, b: Floats, length: float) -> Floats:
        bell = np.exp(-0.5 * cdist(a, b, "sqeuclidean") / length**2)
        return np.asarray(bell + (1.0 + a @ b.T) / a.shape[1])


def _solve(K: Floats, outputs: Floats, ridge: float) -> Floats:
    return np.asarray(cho_solve(cho_factor(K + (ridge + 1e-10) * np.eye(len(K)), lower=True), outputs))
