"""What a world can object to in a declaration before any long rollout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from eqrl.proof.verdict import Cause
from eqrl.symmetry.element import Element


@dataclass(frozen=True)
class Objection:
    """What is wrong with a declaration, seen before any long rollout.

    Attributes:
        field: ``"observation gyro"``, ``"action torque"``, or ``"model"`` where the model has no such symmetry.
        size: largest difference, infinite where nothing can be compared.
        cause: why.
    """

    field: str
    size: float
    cause: Cause


@runtime_checkable
class Examined(Protocol):
    """A world that can tell at once whether a generator is declared correctly."""

    def examine(self, name: str, g: Element) -> Objection | None:
        """What is wrong with a generator; None if nothing is."""
