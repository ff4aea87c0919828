"""Consistency of entity sets with the fields over them and with the group that relabels them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from eqrl.symmetry.fields import EntitySet, Field
from eqrl.symmetry.group import Group

_ZERO = 1e-9


def check_entity_set(entity_set: EntitySet, fields: Sequence[Field], group: Group) -> None:
    """Refuse a set with an invalid mask, invalid edges or positions, or a relabelling that does not fit.

    Raises:
        ValueError: naming the set, the field or generator, and the fix.
    """
    _check_relabelling(entity_set, fields, group)
    if entity_set.mask is not None:
        _check_mask(entity_set, fields)
    _check_field_masks(entity_set, fields)
    _check_roles(entity_set, fields)


def _check_relabelling(entity_set: EntitySet, fields: Sequence[Field], group: Group) -> None:
    edges = any(f.role == "parent" and f.entities == entity_set.name for f in fields)
    for generator in group.finite:
        matrix = np.array(dict(generator.h).get(entity_set.name, np.eye(entity_set.size)))
        if len(matrix) != entity_set.size:
            raise ValueError(
                f"generator {generator.name!r} relabels {len(matrix)} of {entity_set.name!r}, which has"
                f" {entity_set.size} entities"
            )
        for i, j in np.argwhere(np.abs(matrix) > _ZERO):
            if entity_set.kinds[i] != entity_set.kinds[j]:
                raise ValueError(
                    f"generator {generator.name!r} exchanges {entity_set.kinds[j]!r} and {entity_set.kinds[i]!r} of"
                    f" entity set {entity_set.name!r}; only entities of one kind are alike"
                )
            if entity_set.exchangeable and i != j and matrix[i, j] < 0:
                raise ValueError(
                    f"generator {generator.name!r} exchanges entities of {entity_set.name!r} with a change of sign, but"
                    " they change places freely, without one; declare what changes sign as '0o'"
                )
        magnitude = np.abs(matrix)
        if (edges or entity_set.mask is not None) and np.any(np.minimum(magnitude, np.abs(magnitude - 1.0)) > _ZERO):
            raise ValueError(
                f"generator {generator.name!r} mixes the entities of {entity_set.name!r}, whose mask and edges can only"
                " follow an exchange; give a signed permutation"
            )


def _check_mask(entity_set: EntitySet, fields: Sequence[Field]) -> None:
    mask = next((f for f in fields if f.name == entity_set.mask), None)
    if mask is None:
        raise ValueError(f"entity set {entity_set.name!r} is masked by field {entity_set.mask!r}, which does not exist")
    if mask.entities != entity_set.name or mask.copies != ((0, 1),):
        raise ValueError(
            f"entity set {entity_set.name!r} is masked by field {mask.name!r}, which must be '1x0e' over that set, "
            f"but is {mask.irreps!r} over {mask.entities!r}"
        )


def _check_field_masks(entity_set: EntitySet, fields: Sequence[Field]) -> None:
    masks = {f.name: f for f in fields}
    for field in fields:
        if field.entities != entity_set.name or field.mask not in masks:
            continue  # a field of an action is masked by the observation
        mask = masks[field.mask]
        if mask.entities != entity_set.name or set(mask.copies) != {(0, 1)} or not _one_each(mask, field):
            raise ValueError(
                f"field {field.name!r} is masked by field {mask.name!r}, which must be '1x0e' or"
                f" '{len(field.copies)}x0e' over {entity_set.name!r}, but is {mask.irreps!r} over {mask.entities!r}"
            )


def _one_each(mask: Field, field: Field) -> bool:
    return len(mask.copies) in (1, len(field.copies))


def _check_roles(entity_set: EntitySet, fields: Sequence[Field]) -> None:
    over = [f for f in fields if f.entities == entity_set.name]
    size = entity_set.size
    for field in over:
        if field.role == "parent" and field.copies != ((0, 1),) * size:
            raise ValueError(
                f"field {field.name!r} has role 'parent': one row for each of the {size} entities of"
                f" {entity_set.name!r} and in it one entry for each possible parent, so it must be '{size}x0e', but is"
                f" {field.irreps!r}; fill it with eqrl.symmetry.adjacency(parents, size)"
            )
    if sum(f.role == "parent" for f in over) > 1:
        raise ValueError(
            f"entity set {entity_set.name!r} has several fields with role 'parent'; its edges stand in one"
        )
