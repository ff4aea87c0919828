"""What a failed symmetry check raises."""

from __future__ import annotations


class SymmetryError(AssertionError):
    """A declared symmetry does not hold.

    Attributes:
        field: what differs: a part of the state, an observation field, "reward", "value", "log_prob", ...
        generator: name of the group element that shows it.
        step: control step (or sample) of the first violation.
        size: of the difference.
    """

    def __init__(self, field: str, generator: str, step: int, size: float, hint: str = "") -> None:
        self.field, self.generator, self.step, self.size = field, generator, step, size
        super().__init__(
            f"{field} breaks under {generator!r}: difference {size:.3g} at step {step}" + (f"; {hint}" if hint else "")
        )
