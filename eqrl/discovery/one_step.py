"""A one-step model of logged transitions, and where it may be trusted."""

from __future__ import annotations

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist, pdist

from eqrl.arrays import Floats

_MOST = 1_200
_BLOCKS = 24
_LENGTHS = (1.0, 2.0, 4.0, 8.0)
_RIDGES = (1e-8, 1e-5, 1e-3, 1e-1)
_NEAR = 0.95


class OneStepModel:
    """Kernel ridge regression with a linear part, from state and action to what happens.

    Length scale and ridge are chosen on transitions that were not fitted. Training and held-out transitions come from
    different stretches of the log, because neighbours in time are alike.

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
        self._length = self._typical = float(np.median(pdist(self._points[:400]))) or 1.0
        fitting = stretch[training] % 4 != 2
        best = np.inf
        for factor in _LENGTHS:
            K = self._kernel(self._points, self._points, factor * self._typical)
            for ridge in _RIDGES:
                weights = _solve(K[np.ix_(fitting, fitting)], outputs[training][fitting], ridge)
                error = float(((K[np.ix_(~fitting, fitting)] @ weights - outputs[training][~fitting]) ** 2).mean())
                if error < best:
                    best, chosen = error, (factor * self._typical, ridge)
        self._length = chosen[0]
        self._weights = _solve(self._kernel(self._points, self._points, self._length), outputs[training], chosen[1])
        self._tree = cKDTree(self._points)
        self._reach = float(np.quantile(self._distance(inputs[self.held_out]), _NEAR))

    def predict(self, inputs: Floats) -> Floats:
        """What happens, ``(n, m)``."""
        points = (inputs - self._shift) / self._scale
        return np.asarray(self._kernel(points, self._points, self._length) @ self._weights)

    def covers(self, inputs: Floats) -> np.ndarray:
        """Whether the model was fitted nearby: no farther than for 95 % of the held-out transitions, ``(n,)``."""
        return np.asarray(self._distance(inputs) <= self._reach)

    def _distance(self, inputs: Floats) -> Floats:
        return np.asarray(self._tree.query((inputs - self._shift) / self._scale)[0])

    def _kernel(self, a: Floats, b: Floats, length: float) -> Floats:
        bell = np.exp(-0.5 * cdist(a, b, "sqeuclidean") / length**2)
        return np.asarray(bell + (1.0 + a @ b.T) / a.shape[1])


def _solve(K: Floats, outputs: Floats, ridge: float) -> Floats:
    return np.asarray(cho_solve(cho_factor(K + (ridge + 1e-10) * np.eye(len(K)), lower=True), outputs))
