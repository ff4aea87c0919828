"""Sets of like trees that may be exchanged freely, as a derivation reports them."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eqrl.derivation.symmetry import Symmetry

_SHOWN = 4


@dataclass(frozen=True, eq=False)
class Exchangeable:
    """Like trees that may be exchanged freely, and perhaps turned about themselves, each alone.

    Attributes:
        bodies: names of their root bodies; one where a body may only be turned about itself.
        exchanges: generators of all exchanges: that of the first two, and from three on the cycle of all.
        turns: generators of what may be done to the first of them alone.
    """

    bodies: tuple[str, ...]
    exchanges: tuple[Symmetry, ...]
    turns: tuple[Symmetry, ...] = ()

    @property
    def generators(self) -> tuple[Symmetry, ...]:
        """Generators of everything that may be done to the set: the first body's turns go to the others by exchange."""
        return (*self.exchanges, *self.turns)

    @property
    def size(self) -> int:
        """Number of exchanges.

        With generators of turns, which are not counted in full, each doubles it for each body.
        """
        return int(math.factorial(len(self.bodies)) * 2 ** (len(self.turns) * len(self.bodies)))

    def covers(self, symmetry: Symmetry) -> bool:
        """Whether a symmetry moves nothing but bodies of the set."""
        others = ~np.any([_moved(g) for g in self.generators], axis=0)
        return bool(np.allclose(symmetry.R, np.eye(3)) and not _moved(symmetry)[others].any())

    def averaging(self) -> tuple[Symmetry, ...]:
        """Generators of a small subgroup that takes every body to every other, and turns all of them alike.

        An average over it is an average over the whole set.
        """
        if len(self.bodies) < 2:
            return self.turns
        cycle = self.exchanges[-1]
        alike = []
        for turn in self.turns:
            turns, total = turn, turn
            for _ in self.bodies[1:]:
                # carried on by the cycle: cycle * turns * cycle^-1, the inverse being the cycle's last power but one
                turns = cycle.compose(turns).compose(_power(cycle, len(self.bodies) - 1))
                total = turns.compose(total)
            alike.append(total)
        return (cycle, *alike)

    def __str__(self) -> str:
        """As in ``8 bodies may be exchanged freely: ball0 .. ball7``."""
        turns = ", ".join(t.name.removesuffix(f" of {self.bodies[0]}") for t in self.turns)
        if len(self.bodies) == 1:
            return f"{self.bodies[0]} may be turned about itself: {turns}"
        also = f"; each of them may be turned about itself: {turns}" if turns else ""
        return f"{len(self.bodies)} bodies may be exchanged freely: {listed(self.bodies)}{also}"


def _moved(symmetry: Symmetry) -> NDArray[np.bool_]:
    turned = np.abs(symmetry.frames - np.eye(4)).max((1, 2)) > 1e-6
    return np.asarray(turned | (symmetry.bodies != np.arange(len(symmetry.bodies))))


def listed(names: Sequence[str]) -> str:
    """Names in short: ``ball0 .. ball7`` where they are numbered, else the first ones."""
    numbered = [re.fullmatch(r"(.*?)(\d+)", name) for name in names]
    if len(names) > 2 and all(numbered):
        stems = {m[1] for m in numbered if m}
        counts = [int(m[2]) for m in numbered if m]
        if len(stems) == 1 and counts == list(range(counts[0], counts[0] + len(counts))):
            return f"{names[0]} .. {names[-1]}"
    if (more := len(names) - _SHOWN) > 1:
        return ", ".join(names[:_SHOWN]) + f" and {more} more"
    return ", ".join(names)


def _power(symmetry: Symmetry, n: int) -> Symmetry:
    out = symmetry
    for _ in range(n - 1):
        out = symmetry.compose(out)
    return out
