"""Lagrange multipliers of constraints on losses, found by projected dual ascent."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

_SMALLEST = 1e-30  # a clean loss of 0 is possible, if the loss that is compared with it is 0 as well


class Multipliers:
    """Those of constraints ``loss_i <= epsilon * clean loss``, where the clean loss is a running mean.

    Each step is ``multiplier <- max(0, multiplier + step * (loss / clean loss - epsilon))``. The published step has the
    loss itself; dividing by the clean loss makes it independent of the scale of rewards and actions.

    Args:
        n: number of constraints.
        start: their first multiplier.
        epsilon: bound, in units of the clean loss.
        step: rate of the ascent.
        smoothing: share of the old mean in the running mean of the clean loss.

    Attributes:
        values: the multipliers, shape ``(n,)``.
        clean: running mean of the clean loss; NaN before the first step.
    """

    def __init__(self, n: int, start: float, epsilon: float, step: float, smoothing: float) -> None:
        self.values = np.full(n, start)
        self.clean = math.nan
        self.epsilon, self.step, self.smoothing = epsilon, step, smoothing

    def ascend(self, i: int, loss: float, clean: float) -> float:
        """One step of one multiplier, which is returned.

        Args:
            i: which constraint.
            loss: the loss that it bounds.
            clean: the clean loss of the same minibatch.
        """
        share = 0.0 if math.isnan(self.clean) else self.smoothing
        self.clean = clean if share == 0.0 else share * self.clean + (1.0 - share) * clean
        violation = loss / max(self.clean, _SMALLEST) - self.epsilon
        self.values[i] = max(0.0, self.values[i] + self.step * violation)
        return float(self.values[i])

    def state(self) -> dict[str, Any]:
        """Everything that changes."""
        return {"values": self.values.copy(), "clean": self.clean}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from what :meth:`state` returned.

        Raises:
            LookupError, TypeError, ValueError: if it does not fit.
        """
        values = np.asarray(state["values"], dtype=np.float64)
        if values.shape != self.values.shape or not (np.isfinite(values) & (values >= 0.0)).all():
            raise ValueError(f"{values} are not the multipliers of {len(self.values)} constraints")
        self.values, self.clean = values.copy(), float(state["clean"])
