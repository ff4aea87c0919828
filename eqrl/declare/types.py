"""From matrices to types: fields, entity sets and a group, out of what each generator does to blocks of entries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from eqrl.declare.motion import Floats
from eqrl.symmetry import TRIVIAL, EntitySet, Field, Generator, Group, Representation
from eqrl.symmetry.group import Connected

_ZERO = 1e-9


@dataclass(frozen=True)
class Types:
    """How observations and actions of an environment turn.

    Attributes:
        observation: representation of the observation.
        action: representation of the action; None where actions are discrete.
        notes: what was left out and why, one line each.
    """

    observation: Representation
    action: Representation | None
    notes: tuple[str, ...] = ()

    @property
    def group(self) -> Group:
        """The group of both."""
        return self.observation.group


@dataclass
class Sets:
    """Entity sets in the making: for every set and frame one orthogonal matrix per generator.

    Attributes:
        matrices: by name of the set.
        labels: names of the entities of a set, for the kinds; numbers where there are none.
    """

    matrices: dict[str, list[Floats]] = field(default_factory=dict)
    labels: dict[str, Sequence[str]] = field(default_factory=dict)

    def add(self, name: str, matrices: Sequence[Floats], labels: Sequence[str] = ()) -> str:
        """Add a set, or find it if it is there; a set of that name that turns otherwise gets another name.

        Raises:
            ValueError: if a matrix is not orthogonal.
        """
        for matrix in matrices:
            if not np.allclose(matrix @ matrix.T, np.eye(len(matrix)), atol=1e-8):
                raise ValueError(f"{name} do not turn among themselves")
        known = self.matrices.get(name)
        if known is not None and not _same(known, matrices):
            return self.add(f"{name}'", matrices, labels)
        self.matrices.setdefault(name, list(matrices))
        if len(labels) and name not in self.labels:
            self.labels[name] = labels
        return name

    def entity_set(self, name: str, size: int) -> EntitySet:
        """The finished set; entities that some generator exchanges are of one kind, named after the first of them."""
        labels = list(self.labels.get(name, [str(i) for i in range(size)]))
        touched = np.eye(size)
        for matrix in self.matrices[name]:
            touched = touched + np.abs(np.where(np.abs(matrix) > _ZERO, matrix, 0.0))
        orbit = connected_components(csr_array(touched), directed=False)[1]
        first = [int(np.flatnonzero(orbit == o)[0]) for o in orbit]
        return EntitySet(name, tuple(labels[i] for i in first))


def build(
    observation: Sequence[Field],
    action: Sequence[Field] | None,
    sets: Sets,
    names: Sequence[str],
    worlds: Sequence[Floats],
    *,
    connected: Connected = "1",
    group_name: str | None = None,
    notes: Sequence[str] = (),
) -> Types:
    """Put fields, sets and generators together.

    Args:
        observation: fields of the observation.
        action: fields of the action, None for discrete actions.
        sets: every set and frame that a field names.
        names: of the generators.
        worlds: what they do to world vectors.
        connected: continuous part of the group.
        group_name: its name, by default made from its order.
        notes: remarks.
    """
    generators = [
        Generator.of(name, R, {k: _clean(m[i]) for k, m in sets.matrices.items()})
        for i, (name, R) in enumerate(zip(names, worlds, strict=True))
    ]
    used = tuple(g for g in generators if not _does_nothing(g))
    group = Group(group_name or "finite", connected, used)
    if not used and connected == "1":
        group = TRIVIAL
    elif group_name is None:
        group = Group(name_of(group), connected, used)
    entities = {f.entities for f in (*observation, *(action or ())) if f.entities}

    def representation(fields: Sequence[Field]) -> Representation:
        own = {f.entities for f in fields}
        made = [sets.entity_set(e, len(sets.matrices[e][0])) for e in sets.matrices if e in own]
        return Representation(tuple(fields), tuple(made), group)

    if sets.matrices and not names:
        raise ValueError(f"entity sets {sorted(entities)} without generators")
    return Types(representation(observation), None if action is None else representation(action), tuple(notes))


def plain(size: int, action: int | None, notes: Sequence[str] = ()) -> Types:
    """Types without any symmetry."""
    made = Representation((Field("observation", f"{size}x0e"),))
    return Types(made, None if action is None else Representation((Field("action", f"{action}x0e"),)), tuple(notes))


def name_of(group: Group) -> str:
    """A short name: C2, C2xC2, D4, or the order."""
    order = int(group.cosets.R.shape[0])
    orders = [_order_of(group, i) for i in range(order)]
    if max(orders) == order:
        name = f"C{order}"
    elif max(orders) == 2:
        name = "x".join(["C2"] * int(np.log2(order)))
    elif max(orders) == order // 2 and sum(o == 2 for o in orders) > order // 2:
        name = f"D{order // 2}"
    else:
        name = f"order {order}"
    return name if group.connected == "1" else f"{group.connected} x {name}" if order > 1 else group.connected


def _order_of(group: Group, i: int) -> int:
    one, element = group.cosets[0], group.cosets[i]
    power = element
    for n in range(1, group.cosets.R.shape[0] + 1):
        same = np.allclose(power.R, one.R, atol=1e-6)
        if same and all(np.allclose(m, one.h[k], atol=1e-6) for k, m in power.h.items()):
            return n
        power = element.compose(power)
    return group.cosets.R.shape[0]


def _does_nothing(generator: Generator) -> bool:
    return all(np.allclose(m, np.eye(len(m))) for m in (generator.R, *(m for _, m in generator.h)))


def _same(a: Sequence[Floats], b: Sequence[Floats]) -> bool:
    return len(a) == len(b) and all(x.shape == y.shape and np.allclose(x, y) for x, y in zip(a, b, strict=True))


def _clean(matrix: Floats) -> Floats:
    near = np.round(matrix)
    return np.where(np.abs(matrix - near) < _ZERO, near, matrix) + 0.0


__all__ = ["Sets", "Types", "build", "name_of", "plain"]
