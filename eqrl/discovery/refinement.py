"""From candidates to the effective group: weigh, prune, close under products, and test the products again.

A residual tells how broken a candidate is. How much breaking is accepted is the user's choice, and has to be said:
beside one exact symmetry every other candidate is infinitely worse, so weights relative to the best would always choose
exact ones alone. With the tolerance floor ``tau_0`` the weight is ``min(1, (tau_0 / tau)^p)``.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic

from eqrl.discovery.candidates import Candidate, T
from eqrl.discovery.measurement import Measurement
from eqrl.symmetry.naming import finite_name

_LARGEST = 64
_MOST_POWERS = 24
_WHOLE_DEGREES = 360


@dataclass(frozen=True)
class Tried:
    """A candidate with its residual.

    Attributes:
        name: of the candidate.
        kind: see :class:`~eqrl.discovery.Candidate`.
        claimed: whether anyone says that it holds.
        measured: the residual.
        weight: ``min(1, (accept / residual)^power)``: how strongly a soft method may trust it. 0 if unknown.
    """

    name: str
    kind: str
    claimed: bool
    measured: Measurement
    weight: float


@dataclass(frozen=True)
class EffectiveGroup:
    """The group that the world obeys up to an accepted breaking.

    Attributes:
        name: such as ``"C4"`` or ``"SO2 x C2"``; a product for people, which does not say how the factors act.
        order: number of elements of the finite part; None if there are more than 64.
        tried: all candidates, in their order.
        products: elements of the closure that no candidate names, tested again.
        generators: names of the candidates that generate it.
        accept: largest accepted residual.
        notes: what could not be told, one line each.
    """

    name: str
    order: int | None
    tried: tuple[Tried, ...]
    products: tuple[Tried, ...]
    generators: tuple[str, ...]
    accept: float
    notes: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether everything that is claimed holds."""
        return all(t.measured.holds is True for t in self.tried if t.claimed)

    def __getitem__(self, name: str) -> Tried:
        """A candidate by its name.

        Raises:
            KeyError: if none has it.
        """
        for tried in (*self.tried, *self.products):
            if tried.name == name:
                return tried
        raise KeyError(name)


def weight(residual: float, accept: float, power: float = 2.0) -> float:
    """``min(1, (accept / residual)^power)``: 1 up to the accepted residual, then falling."""
    return 1.0 if residual <= accept else float((accept / residual) ** power)


def refine(
    candidates: Sequence[Candidate[T]],
    measure: Callable[[T], Measurement],
    key: Callable[[T], Hashable],
    *,
    accept: float = 0.05,
    power: float = 2.0,
    retest: int = 16,
    notes: Sequence[str] = (),
) -> EffectiveGroup:
    """Find the group that the world obeys up to an accepted breaking.

    Every candidate is measured. Those that hold generate a group, whose further elements are measured again, for small
    breakings add up; while one of these fails, the generator with the largest residual is given up.

    Args:
        candidates: what to try.
        measure: the residual of an element.
        key: distinguishes elements.
        accept: largest accepted residual.
        power: how fast weights fall beyond it.
        retest: at most so many products are measured.
        notes: further remarks for the result.
    """

    def tried(name: str, kind: str, claimed: bool, element: T) -> Tried:
        m = measure(element)
        w = 0.0 if m.holds is None else weight(m.residual, max(accept, m.limit), power)
        return Tried(name, kind, claimed, m, w)

    results = [tried(c.name, c.kind, c.claimed, c.element) for c in candidates]
    both = list(zip(candidates, results, strict=True))
    alive = [(c, r) for c, r in both if r.measured.holds and c.kind != "decoy"]
    remarks = list(notes)
    tested: dict[Hashable, Tried] = {key(c.element): r for c, r in both}
    while True:
        continuous = [c for c, _ in alive if _is_continuous(c.element, key)]
        closure = _independent([c for c, _ in alive if c not in continuous], continuous, key)
        named = [(name, element) for name, element in closure.elements[1:] if key(element) not in tested]
        for name, element in named[:retest]:
            tested[key(element)] = tried(name, "product", False, element)
        failing = [n for n, e in closure.elements[1:] if (t := tested.get(key(e))) and t.measured.holds is False]
        if not failing or len(alive) < 2:
            break
        worst = max(alive, key=lambda pair: pair[1].measured.residual)
        remarks.append(f"{worst[0].name} is given up: {failing[0]}, a product of what holds, does not hold")
        alive.remove(worst)
    retested = tuple(t for t in tested.values() if t.kind == "product")
    untold = [r for r in (*results, *retested) if r.measured.holds is None]
    remarks += [f"{r.name} cannot be told: {r.measured.reason}" for r in untold]
    remarks += [
        f"decoy {r.name} is not told from a symmetry" for r in results if r.kind == "decoy" and r.measured.holds
    ]
    return EffectiveGroup(
        name=_name(len(continuous), closure),
        order=None if closure.is_cut else len(closure.orders),
        tried=tuple(results),
        products=retested,
        generators=tuple(c.name for c, _ in alive),
        accept=accept,
        notes=tuple(remarks),
    )


# ------------------------------------------------------------------ products
@dataclass(frozen=True)
class _Closure(Generic[T]):
    elements: list[tuple[str, T]]  # the identity first, if there is any generator
    orders: list[int]
    is_abelian: bool
    is_cut: bool


def _closure(generators: Sequence[Candidate[T]], key: Callable[[T], Hashable]) -> _Closure[T]:
    """All products of some elements of finite order, breadth first."""
    if not generators:
        return _Closure([], [1], True, False)
    one = _identity(generators[0].element, key)
    elements, frontier, seen = [("identity", one)], [("identity", one)], {key(one)}
    while frontier and len(elements) <= _LARGEST:
        fresh = []
        for name, element in frontier:
            for g in generators:
                product = g.element.compose(element)
                if (k := key(product)) not in seen:
                    seen.add(k)
                    fresh.append((g.name if element is one else f"{g.name} * {name}", product))
        elements += fresh
        frontier = fresh
    cut = len(elements) > _LARGEST
    pairs = [(a.element, b.element) for a in generators for b in generators]
    abelian = all(key(a.compose(b)) == key(b.compose(a)) for a, b in pairs)
    orders = [] if cut else [1, *(_order(e, key) for _, e in elements[1:])]
    return _Closure(elements, orders, abelian, cut)


def _independent(
    finite: Sequence[Candidate[T]], continuous: Sequence[Candidate[T]], key: Callable[[T], Hashable]
) -> _Closure[T]:
    """What elements of finite order generate, up to rotations: two mirrors of the plane are one and a half-turn."""
    # powers of the generic angle of 37 degrees reach every whole degree
    turns = [power for c in continuous for power in _powers(c.element)]
    chosen: list[Candidate[T]] = []
    closure = _closure(chosen, key)
    for candidate in finite:
        if key(candidate.element) in {key(e) for _, e in closure.elements}:
            continue
        images = {key(t) for t in turns} | {key(t.compose(e)) for t in turns for _, e in closure.elements}
        if key(candidate.element) in images:
            continue
        chosen.append(candidate)
        closure = _closure(chosen, key)
    return closure


def _powers(element: T) -> list[T]:
    powers = [element]
    while len(powers) < _WHOLE_DEGREES:
        powers.append(element.compose(powers[-1]))
    return powers


def _identity(element: T, key: Callable[[T], Hashable]) -> T:
    power = element
    for _ in range(_order(element, key) - 1):
        power = element.compose(power)
    return power


def _order(element: T, key: Callable[[T], Hashable]) -> int:
    """Order of an element, 0 if it is larger than 24."""
    start, power = key(element), element
    for n in range(1, _MOST_POWERS + 1):
        power = element.compose(power)
        if key(power) == start:
            return n
    return 0


def _is_continuous(element: T, key: Callable[[T], Hashable]) -> bool:
    """Whether no power of it is the identity, as for a rotation by a generic angle."""
    return _order(element, key) == 0


def _name(continuous: int, closure: _Closure[T]) -> str:
    connected = ("", "SO2", "SO3")[min(continuous, 2)]
    if closure.is_cut:
        finite = f"more than {_LARGEST} elements"
    else:
        finite = finite_name(closure.orders, closure.is_abelian) if len(closure.orders) > 1 else ""
    return " x ".join(part for part in (connected, finite) if part) or "1"
