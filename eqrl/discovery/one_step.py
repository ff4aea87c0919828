"""A one-step model of logged transitions, and where it may be trusted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.spatial.distance import cdist, pdist

from eqrl.arrays import Floats, Ints

_MOST = 1_200
_FOR_CHOICE = 1_000
_LENGTHS = (1.0, 2.0, 4.0, 8.0)
_RIDGES = (1e-8, 1e-5, 1e-3, 1e-1)


class OneStepModel:
    """Kernel ridge regression with a linear part, from state and action to what happens.

    A row, and every image of it, is predicted by the model that was fitted without the row's group: all groups but one
    are training data for that one, so that each row tells how wrong the model is about episodes that it never met.
    Length scale and ridge of each output are those that predict held-out groups best.

    Args:
        inputs: ``(N, d)``.
        outputs: ``(N, m)``, scaled to size 1.
        groups: number of the group of each row, ``(N,)``.
        seed: of the choice of transitions where there are many.

    Attributes:
        rows: places of the ``n`` rows that were fitted.
        groups: their groups, ``(n,)``.
    """

    def __init__(self, inputs: Floats, outputs: Floats, groups: Ints, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.rows = np.sort(rng.permutation(len(inputs))[:_MOST])
        self.groups = groups[self.rows]
        spread = inputs[self.rows].std(axis=0)
        # what hardly varies in the data must not be moved at all
        self._shift, self._scale = inputs[self.rows].mean(0), np.maximum(spread, 1e-3 * max(float(spread.max()), 1e-12))
        self._points, wanted = self._scaled(inputs[self.rows]), outputs[self.rows]
        typical = float(np.median(pdist(self._points[:400]))) or 1.0
        choices = [(factor * typical, ridge) for factor in _LENGTHS for ridge in _RIDGES]
        some = np.sort(rng.permutation(len(self.rows))[:_FOR_CHOICE])
        tried = [_Fit.to(self._points[some], wanted[some], self.groups[some], *choice) for choice in choices]
        errors = [((fit.predict(self._points[some]) - wanted[some]) ** 2).mean(axis=0) for fit in tried]
        best = np.argmin(errors, axis=0)
        self._width = outputs.shape[1]
        # the fit of every choice that is the best one for some outputs
        self._fits: list[tuple[Ints, _Fit]] = []
        for choice in np.unique(best):
            columns = np.flatnonzero(best == choice)
            fit = _Fit.to(self._points, wanted[:, columns], self.groups, *choices[choice])
            self._fits.append((columns, fit))

    def predict(self, images: Floats) -> Floats:
        """What happens at images of the rows, ``(n, m)``."""
        predicted = np.empty((len(images), self._width))
        for columns, fit in self._fits:
            predicted[:, columns] = fit.predict(self._scaled(images))
        return predicted

    def distance(self, images: Floats) -> Floats:
        """How far images of the rows are from the nearest row of another group, ``(n,)``."""
        far = cdist(self._scaled(images), self._points)
        far[self.groups[:, None] == self.groups] = np.inf
        return np.asarray(far.min(axis=1))

    def _scaled(self, inputs: Floats) -> Floats:
        return np.asarray((inputs - self._shift) / self._scale)


@dataclass(frozen=True, eq=False)
class _Fit:
    """One regression, and what leaving out each group changes, which the inverse of its matrix tells."""

    points: Floats
    length: float
    weights: Floats
    inverse: Floats
    members: list[Ints]  # rows of each group
    left_out: list[Floats]

    @classmethod
    def to(cls, points: Floats, wanted: Floats, groups: Ints, length: float, ridge: float) -> _Fit:
        K = _kernel(points, points, length) + (ridge + 1e-10) * np.eye(len(points))
        inverse = cho_solve(cho_factor(K, lower=True), np.eye(len(K)))
        weights = inverse @ wanted
        order = np.argsort(groups, kind="stable")
        members = np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
        left_out = [np.linalg.solve(inverse[np.ix_(rows, rows)], weights[rows]) for rows in members]
        return cls(points, length, weights, inverse, members, left_out)

    def predict(self, images: Floats) -> Floats:
        """What happens at an image of each row, by the fit without the row's group."""
        K = _kernel(images, self.points, self.length)
        predicted = K @ self.weights
        for rows, part in zip(self.members, self.left_out, strict=True):
            predicted[rows] -= K[rows] @ self.inverse[:, rows] @ part
        return np.asarray(predicted)


def _kernel(a: Floats, b: Floats, length: float) -> Floats:
    bell = np.exp(-0.5 * cdist(a, b, "sqeuclidean") / length**2)
    return np.asarray(bell + (1.0 + a @ b.T) / a.shape[1])
