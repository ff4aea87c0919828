"""Representations: how a group acts on a flat observation or action vector.

A representation is an ordered list of named fields. A field holds e3nn irreps (``1x0e`` true scalar, ``1x0o``
pseudoscalar, ``1x1o`` polar vector, ``1x1e`` axial vector, higher degrees as e3nn defines them), optionally
repeated over an entity set. One rule transforms everything: ``h[entities]`` mixes the entities, and ``D(R)`` acts on
the irreps of each, where R is the matrix of the world or, for a body-frame field, ``h[frame]``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from eqrl.symmetry.consistency import check_entity_set
from eqrl.symmetry.element import Element, broadcast
from eqrl.symmetry.fields import WORLD, EntitySet, Field
from eqrl.symmetry.group import TRIVIAL, Group
from eqrl.symmetry.irreps import irreps_matrix

# files of older versions pickle fields and entity sets under this module's name
__all__ = ["WORLD", "Array", "Block", "EntitySet", "Field", "Representation", "direct_sum", "scalars"]

_TRUE_SCALAR = (0, 1)
Array = TypeVar("Array", Tensor, NDArray[np.floating])


class Block(NamedTuple):
    """One irrep of a vector: one copy in one entity of one field.

    Attributes:
        field: the field; its frame, its role and whether it is horizontal are those of the irrep.
        entity: index of the entity in its set, 0 if the field does not repeat.
        copy: index of the irrep in its entity.
        degree: degree l: 0 for scalars, 1 for vectors.
        parity: 1 for even (true scalars, axial vectors), -1 for odd ones (pseudoscalars, polar vectors).
        where: coordinates in the vector.
    """

    field: Field
    entity: int
    copy: int
    degree: int
    parity: int
    where: range

    @property
    def frame(self) -> str:
        """What moves it: the world, or the entity set of a body's axes."""
        return self.field.frame

    @property
    def horizontal(self) -> bool:
        """Whether only x and y of it are stored."""
        return self.field.horizontal


@dataclass(frozen=True)
class Representation:
    """An ordered list of fields, their entity sets, and the group that is claimed to act.

    Attributes:
        fields: the fields in the order in which they lie in the vector.
        entities: every entity set that a field repeats over.
        group: the symmetry group that the environment declares; networks use it, or a subgroup, by default.
    """

    fields: tuple[Field, ...]
    entities: tuple[EntitySet, ...] = ()
    group: Group = TRIVIAL

    def __post_init__(self) -> None:
        """Refuse duplicate names, unknown entity sets and groups that cannot act on the fields."""
        object.__setattr__(self, "fields", tuple(self.fields))
        object.__setattr__(self, "entities", tuple(self.entities))
        for what, names in (("field", [f.name for f in self.fields]), ("entity set", [e.name for e in self.entities])):
            if duplicates := {n for n in names if names.count(n) > 1}:
                raise ValueError(f"{what} names must be unique, {sorted(duplicates)} occur twice")
        known = {e.name: e for e in self.entities}
        for field in self.fields:
            if field.entities is not None and field.entities not in known:
                raise ValueError(
                    f"field {field.name!r} repeats over {field.entities!r}, but the entity sets are {sorted(known)}"
                )
            if field.entities is None and field.role in ("parent", "mask"):
                raise ValueError(
                    f"field {field.name!r} has role {field.role!r} and so needs an entity set, entities=..."
                )
            if field.role == "position" and field.copies != ((1, -1),):
                raise ValueError(
                    f"field {field.name!r} has role 'position' and must be '1x1o', but is {field.irreps!r}"
                )
            if field.horizontal and field.frame == WORLD and not self.group.fixes_gravity:
                raise ValueError(
                    f"field {field.name!r} is horizontal, but group {self.group} tilts the horizontal plane; use SO2"
                    " or O2"
                )
        for entity_set in self.entities:
            check_entity_set(entity_set, self.fields, self.group)

    # ------------------------------------------------------------------ layout
    @cached_property
    def dim(self) -> int:
        """Length of the vector."""
        return sum(self.size(f) for f in self.fields)

    def size(self, field: Field) -> int:
        """Length of one field."""
        return field.width * self.count(field)

    def count(self, field: Field) -> int:
        """Number of entities that a field repeats over; 1 if it does not."""
        return 1 if field.entities is None else self.entity_set(field.entities).size

    def entity_set(self, name: str) -> EntitySet:
        """The entity set with the given name."""
        return next(e for e in self.entities if e.name == name)

    @cached_property
    def slices(self) -> Mapping[str, slice]:
        """The slice of the vector that holds each field."""
        slices, start = {}, 0
        for field in self.fields:
            slices[field.name] = slice(start, start + self.size(field))
            start += self.size(field)
        return slices

    def field(self, name: str) -> Field:
        """The field with the given name.

        Raises:
            KeyError: if there is none; the message lists all names.
        """
        for field in self.fields:
            if field.name == name:
                return field
        raise KeyError(f"no field {name!r}; the fields are {[f.name for f in self.fields]}")

    def blocks(self) -> Iterator[Block]:
        """Every single irrep, in the order of the vector."""
        start = 0
        for field in self.fields:
            for entity in range(self.count(field)):
                for copy, (degree, parity) in enumerate(field.copies):
                    stop = start + (2 if field.horizontal else 2 * degree + 1)
                    yield Block(field, entity, copy, degree, parity, range(start, stop))
                    start = stop

    @cached_property
    def markers(self) -> frozenset[str]:
        """Names of the fields that tell which entities exist and how they are linked: masks and edges.

        They follow an exchange of entities without the signs that may come with it, and they are never normalised.
        """
        masks = {e.mask for e in self.entities if e.mask} | {f.mask for f in self.fields if f.mask}
        return frozenset(masks | {f.name for f in self.fields if f.role in ("parent", "mask")})

    def split(self, x: Array) -> dict[str, Array]:
        """Split vectors of shape ``(*batch, dim)`` into their fields, as views."""
        return {name: x[..., where] for name, where in self.slices.items()}

    def with_group(self, group: Group) -> Representation:
        """The same fields under another group."""
        return replace(self, group=group)

    # ------------------------------------------------------------------ action of the group
    def transform(self, x: Array, g: Element) -> Array:
        """Act with a group element. Everything in eqrl is transformed by this method.

        Args:
            x: vectors, shape ``(*batch, dim)``, NumPy or torch.
            g: elements whose batch shape broadcasts with that of ``x``.

        Returns:
            The transformed vectors, with the array type and dtype of ``x``.

        Raises:
            ValueError: if the last axis of ``x`` is not ``dim`` long.
        """
        if x.shape[-1] != self.dim:
            raise ValueError(
                f"expected vectors of length {self.dim} ({[f.name for f in self.fields]}), got {x.shape[-1]}"
            )
        if isinstance(x, np.ndarray):
            moved = self._act(torch.as_tensor(x), g)
            return moved.numpy()
        return self._act(x, g)

    def _act(self, x: Tensor, g: Element) -> Tensor:
        parts = []
        matrices: dict[tuple[object, ...], Tensor] = {}  # many fields have the same ones
        for field in self.fields:
            count = self.count(field)
            block = x[..., self.slices[field.name]].reshape(*x.shape[:-1], count, field.width)
            if any(copy != _TRUE_SCALAR for copy in field.copies):
                if (kind := (field.copies, field.frame, field.horizontal)) not in matrices:
                    R = g.R if field.frame == WORLD else g.matrix(field.frame, 3)
                    matrices[kind] = irreps_matrix(field.copies, R, field.horizontal).to(x)
                block = torch.einsum("...ij,...ej->...ei", matrices[kind], block)
            if field.entities is not None and field.entities in g.h:
                if (marks := (field.entities, field.name in self.markers)) not in matrices:
                    relabelling = g.matrix(field.entities, count).to(x)
                    matrices[marks] = relabelling.abs() if marks[1] else relabelling
                relabelling = matrices[marks]
                block = torch.einsum("...ef,...fj->...ej", relabelling, block)
                if field.role == "parent":  # the columns are entities too
                    block = torch.einsum("...jf,...ef->...ej", relabelling, block)
            parts.append(block.flatten(-2))
        batch = broadcast(x.shape[:-1], g.batch_shape)
        return torch.cat([p.expand(*batch, p.shape[-1]) for p in parts], dim=-1) if parts else x

    def matrix(self, g: Element) -> Tensor:
        """The whole action as orthogonal matrices, shape ``(*batch, dim, dim)``, float64."""
        eye = torch.eye(self.dim, dtype=torch.float64)
        return self._act(eye, g.reshape(*g.batch_shape, 1)).mT

    # ------------------------------------------------------------------ sums and files
    def __add__(self, other: Representation) -> Representation:
        """Direct sum: the vector of this representation followed by that of the other. Their groups must be equal."""
        if self.group != other.group:
            raise ValueError(
                f"cannot add representations of different groups, {self.group} and {other.group}; use with_group first"
            )
        known = {e.name: e for e in self.entities}
        for entity_set in other.entities:
            mine = known.setdefault(entity_set.name, entity_set)
            if replace(mine, mask=None) != replace(entity_set, mask=None):
                raise ValueError(f"entity set {entity_set.name!r} differs between the two representations")
            if mine.mask is None:
                known[entity_set.name] = entity_set  # the mask of either summand serves the sum
        return Representation(self.fields + other.fields, tuple(known.values()), self.group)

    def prefixed(self, prefix: str) -> Representation:
        """The same representation with ``prefix/`` before every field name, for sums of dict entries."""
        fields = tuple(replace(_prefixed_mask(f, prefix), name=f"{prefix}/{f.name}") for f in self.fields)
        entities = tuple(_prefixed_mask(e, prefix) for e in self.entities)
        return Representation(fields, entities, self.group)

    def table(self) -> str:
        """A table of the fields as text, for messages and run folders."""
        rows = [f"{'field':<28}{'size':>5}  {'irreps':<14}{'over':<10}frame"]
        for f in self.fields:
            kind = f.irreps + (" (xy)" if f.horizontal else "")
            rows.append(f"{f.name:<28}{self.size(f):>5}  {kind:<14}{f.entities or '-':<10}{f.frame}")
        return "\n".join(rows)


Masked = TypeVar("Masked", Field, EntitySet)


def _prefixed_mask(part: Masked, prefix: str) -> Masked:
    return part if part.mask is None else replace(part, mask=f"{prefix}/{part.mask}")


def scalars(name: str, n: int, group: Group) -> Representation:
    """A representation of ``n`` invariants, for outputs such as values and widths."""
    return Representation((Field(name, f"{n}x0e"),), (), group)


def direct_sum(parts: Mapping[str, Representation]) -> Representation:
    """Direct sum of named representations in sorted order of their keys, in which SB3 stacks dict observations.

    Raises:
        ValueError: if there are none, or if their groups differ.
    """
    keys: Sequence[str] = sorted(parts)
    if not keys:
        raise ValueError("the direct sum of no representations is not defined")
    total = parts[keys[0]].prefixed(keys[0])
    for key in keys[1:]:
        total = total + parts[key].prefixed(key)
    return total
