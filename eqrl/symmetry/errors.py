"""Exceptions for symmetries that do not hold, would be broken, or are declared wrongly."""

from __future__ import annotations


class SymmetryError(AssertionError):
    """A declared symmetry does not hold.

    Attributes:
        field: the quantity that differs: a part of the state, an observation field, "reward", "value", "log_prob", ...
        generator: name of the group element that shows the difference.
        step: control step (or sample) of the first violation.
        size: size of the difference.
    """

    def __init__(self, field: str, generator: str, step: int, size: float, hint: str = "") -> None:
        self.field, self.generator, self.step, self.size = field, generator, step, size
        super().__init__(
            f"{field} breaks under {generator!r}: difference {size:.3g} at step {step}" + (f"; {hint}" if hint else "")
        )


class BreaksSymmetryError(ValueError):
    """An option or a space would silently break the symmetry; the message says why and what to do instead."""


class DeclarationError(ValueError):
    """A declared symmetry does not fit the environment; the message names the entry, the sizes and the fix."""
