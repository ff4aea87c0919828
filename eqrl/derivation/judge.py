"""Whether a candidate holds, and on which level."""

from __future__ import annotations

from eqrl.derivation.assembly import Assembly
from eqrl.derivation.discrepancy import Discrepancy
from eqrl.derivation.elements import key
from eqrl.derivation.symmetry import Symmetry


class Judge:
    """Compares every candidate once, and says what its discrepancies mean.

    Args:
        assembly: finds the discrepancies.
        tolerance: relative difference up to which the kinematic level accepts a part for its image.
        exact: the same for the dynamic level.
    """

    def __init__(self, assembly: Assembly, tolerance: float, exact: float) -> None:
        self._assembly = assembly
        self._tolerance = tolerance
        self._exact = exact
        self._known: dict[tuple[float, ...], tuple[Discrepancy, ...]] = {}

    def differing(self, symmetry: Symmetry) -> tuple[Discrepancy, ...]:
        """Everything that differs under a candidate."""
        name = key(symmetry)
        if name not in self._known:
            self._known[name] = self._assembly.judge(symmetry)
        return self._known[name]

    def kinematic(self, discrepancies: tuple[Discrepancy, ...]) -> bool:
        """Whether a candidate with these discrepancies is a kinematic symmetry."""
        gravity = [d for d in discrepancies if d.field == "gravity"]
        return all(
            d.relative <= self._tolerance for d in [*discrepancies, *gravity] if d.level == "kinematic" or d in gravity
        )

    def inexact(self, symmetry: Symmetry) -> tuple[Discrepancy, ...]:
        """What keeps a candidate from being a dynamic symmetry."""
        return tuple(d for d in self.differing(symmetry) if d.relative > self._exact)
