"""Choose generators to show: few, the ones that people would choose, each with its own name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from eqrl.derivation.discrepancy import Discrepancy, NearMiss
from eqrl.derivation.elements import closure, key, order_of
from eqrl.derivation.symmetry import Symmetry

Judged: TypeAlias = tuple[Symmetry, tuple[Discrepancy, ...]]
# A product of near misses that does not return to where it began after so many steps is no symmetry of anything.
_LONGEST = 24


def distinct(elements: Sequence[Judged], one: Symmetry) -> list[Judged]:
    """Each element once, the better of two, without those that do nothing."""
    nothing = key(one)
    best: dict[tuple[float, ...], Judged] = {}
    for symmetry, discrepancies in elements:
        name = key(symmetry)
        if name == nothing:
            continue
        worst = max((d.relative for d in discrepancies), default=0.0)
        known = max((d.relative for d in best[name][1]), default=0.0) if name in best else np.inf
        # of equal ones the mirror is what people mean
        mirrors = np.linalg.det(symmetry.R) < 0 and worst <= known + 1e-9
        if name not in best or worst < known - 1e-9 or mirrors:
            best[name] = (symmetry, discrepancies)
    return list(best.values())


def returns(s: Symmetry) -> bool:
    """Whether a few applications lead back to the identity."""
    return order_of(s, _LONGEST) < _LONGEST


def generators_of(elements: Sequence[Symmetry], one: Symmetry) -> tuple[Symmetry, ...]:
    """A few of the elements that generate all of them."""
    chosen: list[Symmetry] = []
    known = {key(one)}
    for element in elements:
        if key(element) in known:
            continue
        chosen.append(element)
        try:
            known = {key(s) for s in closure(chosen, one)}
        except ValueError:
            break
    return _named(chosen)


def independent(misses: Sequence[NearMiss], exact: tuple[Symmetry, ...], one: Symmetry) -> tuple[NearMiss, ...]:
    """Near misses that do not follow from better ones."""
    chosen: list[NearMiss] = []
    try:
        known = {key(s) for s in closure(exact, one)}
    except ValueError:  # too many elements to list, and so to tell what follows from what
        known = {key(s) for s in (one, *exact)}
    for miss in sorted(misses, key=lambda m: (len(m.discrepancies), m.symmetry.rank)):
        if key(miss.symmetry) in known:
            continue
        chosen.append(miss)
        try:
            known = {key(s) for s in closure((*exact, *(m.symmetry for m in chosen)), one)}
        except ValueError:
            break
    names = _named([m.symmetry for m in chosen])
    return tuple(replace(m, symmetry=s) for m, s in zip(chosen, names, strict=True))


def _named(symmetries: Sequence[Symmetry]) -> tuple[Symmetry, ...]:
    """Different names for different elements."""
    seen: dict[str, int] = {}
    out = []
    for s in symmetries:
        seen[s.name] = seen.get(s.name, 0) + 1
        out.append(s if seen[s.name] == 1 else replace(s, name=f"{s.name} ({seen[s.name]})"))
    return tuple(out)
