"""From matrices to types: fields, entity sets and a group, out of what each generator does to blocks of entries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from eqrl.arrays import Floats
from eqrl.symmetry import TRIVIAL, Element, EntitySet, Field, Generator, Group, Representation
from eqrl.symmetry.group import Connected

_ZERO = 1e-9
QUATERNION = "quaternion"  # ending of the name of a set that an element moves up to a common sign


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
            return self.add(f"other {name}", matrices, labels)
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

    def representation(fields: Sequence[Field]) -> Representation:
        wanted = {f.entities for f in fields}
        made = [sets.entity_set(e, len(sets.matrices[e][0])) for e in sets.matrices if e in wanted]
        return Representation(tuple(fields), tuple(made), group)

    return Types(representation(observation), None if action is None else representation(action), tuple(notes))


def plain(size: int, action: int | None, notes: Sequence[str] = ()) -> Types:
    """Types without any symmetry."""
    made = Representation((Field("observation", f"{size}x0e"),))
    return Types(made, None if action is None else Representation((Field("action", f"{action}x0e"),)), tuple(notes))


def name_of(group: Group) -> str:
    """A short name: C2, C2xC2, D4, or the order.

    Where signs of quaternions double the group, that of the group proper.
    """
    cosets = group.cosets
    seen = [k for k in cosets.h if not k.endswith(QUATERNION)]
    flat = torch.cat([cosets.R.flatten(1), *(cosets.h[k].flatten(1) for k in seen)], dim=1).numpy().round(5) + 0.0
    index = np.unique(flat, axis=0, return_inverse=True)[1].ravel()
    members = [int(np.flatnonzero(index == i)[0]) for i in range(index.max() + 1)]
    order = len(members)
    one = flat[0]
    orders = [_order_of(cosets[i], seen, one, order) for i in members]
    if max(orders) == order:
        name = f"C{order}"
    elif max(orders) == 2:
        name = "x".join(["C2"] * int(np.log2(order)))
    elif max(orders) == order // 2 and sum(o == 2 for o in orders) > order // 2:
        name = f"D{order // 2}"
    else:
        name = f"order {order}"
    if len(flat) > order:
        name += " with quaternion signs"
    return name if group.connected == "1" else f"{group.connected} x {name}" if order > 1 else group.connected


def _order_of(element: Element, seen: Sequence[str], one: Floats, most: int) -> int:
    power = element
    for n in range(1, most + 1):
        if np.allclose(torch.cat([power.R.flatten(), *(power.h[k].flatten() for k in seen)]).numpy(), one, atol=1e-5):
            return n
        power = element.compose(power)
    return most


def _does_nothing(generator: Generator) -> bool:
    return all(np.allclose(m, np.eye(len(m))) for m in (generator.R, *(m for _, m in generator.h)))


def _same(a: Sequence[Floats], b: Sequence[Floats]) -> bool:
    return len(a) == len(b) and all(x.shape == y.shape and np.allclose(x, y) for x, y in zip(a, b, strict=True))


def _clean(matrix: Floats) -> Floats:
    near = np.round(matrix)
    return np.where(np.abs(matrix - near) < _ZERO, near, matrix) + 0.0


__all__ = ["Sets", "Types", "build", "name_of", "plain"]
