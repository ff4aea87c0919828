"""What a world may say against a declaration at once, before anything is stepped for long."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from eqrl.proof.verdict import Cause
from eqrl.symmetry.element import Element


@dataclass(frozen=True)
class Objection:
    """What is wrong with a declaration before anything is stepped for long.

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
    """A world that can say at once whether a generator is declared rightly."""

    def examine(self, name: str, g: Element) -> Objection | None:
        """What is wrong with a generator, None if nothing is seen."""
