"""The plane of ``plane.py`` with forces that break its symmetry by a known amount."""

from __future__ import annotations

from typing import Any

import numpy as np
from plane import Plane

from eqrl.symmetry import O2, Group


class BrokenPlane(Plane):
    """A constant wind along x breaks turns and the mirror of x, a drag along y breaks turns but no mirror.

    Args:
        wind: velocity along x that is added in each step.
        drag: part of the velocity along y that is lost in each step.
        group: what the spaces declare all the same.
    """

    def __init__(self, wind: float = 0.0, drag: float = 0.0, group: Group = O2) -> None:
        super().__init__(group)
        self.steady, self.drag = wind, drag

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.state = self.state + np.array([0.0, 0.0, self.steady, -self.drag * self.state[3]])
        return super().step(action)
