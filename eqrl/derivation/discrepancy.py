"""Where parts differ from their images, in words: two different values are never printed alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from eqrl.derivation.symmetry import Symmetry

Level = Literal["kinematic", "dynamic"]
LEVELS: tuple[Level, ...] = ("kinematic", "dynamic")
Value = float | tuple[float, ...]
# What a part without an image has in place of one.
NONE = "none"
_SHOWN = 6
# A double is told from every other one by 17 significant digits.
_MOST_DIGITS = 17


@dataclass(frozen=True)
class Discrepancy:
    """One attribute in which a part differs from its image.

    Attributes:
        level: ``"kinematic"`` or ``"dynamic"``.
        field: name of the attribute as in MJCF, for instance ``"armature"``; of a part without an image its kind,
            for instance ``"geom"``.
        of: the two parts, by name: the part and its image, ``"none"`` where it has no image.
        values: value at the part (as the symmetry turns it) and at its image. Places and directions are those in the
            frame of the image's body, as MJCF writes them.
        relative: size of the difference relative to the larger value (to the model's size for positions).
        text: what to say in place of the values, for what numbers alone do not tell.
    """

    level: Level
    field: str
    of: tuple[str, str]
    values: tuple[Value, Value]
    relative: float
    text: str = ""

    def __str__(self) -> str:
        """As in ``right_hip_y armature 0.008 vs left_hip_y 0.01``."""
        if self.text:
            return self.text
        if self.of[1] == NONE:
            return f"{self.field} {self.of[0]} has no image"
        here, there = written(*self.values)
        return f"{self.of[0]} {self.field} {here} vs {self.of[1]} {there}"


@dataclass(frozen=True)
class NearMiss:
    """A symmetry that almost holds.

    Attributes:
        symmetry: the almost symmetry, usable like an exact one.
        discrepancies: what breaks it, the worst first.
    """

    symmetry: Symmetry
    discrepancies: tuple[Discrepancy, ...]

    @property
    def name(self) -> str:
        """Name of the symmetry."""
        return self.symmetry.name

    def __str__(self) -> str:
        """One line, the worst first."""
        return f"{self.name} holds but for: {listed(self.discrepancies)}"


def listed(discrepancies: tuple[Discrepancy, ...]) -> str:
    """The first few of them, and how many more there are."""
    shown = [str(d) for d in discrepancies[:_SHOWN]]
    if more := len(discrepancies) - len(shown):
        shown.append(f"and {more} more")
    return "; ".join(shown)


def written(here: Value, there: Value) -> tuple[str, str]:
    """Both values, with as many digits as it takes to tell them apart, four or six at least."""
    fewest = 4 if isinstance(here, tuple) else 6
    for digits in range(fewest, _MOST_DIGITS + 1):
        texts = _words(here, digits), _words(there, digits)
        if texts[0] != texts[1]:
            break
    return texts


def point_text(point: tuple[float, ...]) -> str:
    """A point in words."""
    return _words(tuple(round(v, 9) for v in point), 4)


def _words(value: Value, digits: int) -> str:
    if isinstance(value, tuple):
        largest = max(map(abs, value), default=0.0)
        # what is nothing but rounding beside the others is nought
        return "(" + ", ".join(f"{0.0 if abs(v) < 1e-14 * largest else v:.{digits}g}" for v in value) + ")"
    return f"{value:.{digits}g}"
