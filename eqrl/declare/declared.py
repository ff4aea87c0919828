"""Types that the user declares, held against the spaces of the environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import gymnasium
import numpy as np
from gymnasium import spaces

from eqrl.declare.errors import DeclarationError
from eqrl.errors import suggestion
from eqrl.symmetry import GROUPS, TRIVIAL, EntitySet, Field, Group, Representation

Declared: TypeAlias = Representation | Sequence[Field]


def group_of(group: Group | str | None, *declared: Any) -> Group:
    """The group that is meant: the one given, by name or as it is, or that of the first representation.

    Raises:
        DeclarationError: for an unknown name.
    """
    if isinstance(group, Group):
        return group
    if isinstance(group, str):
        if group not in GROUPS:
            raise DeclarationError(
                f"unknown group {group!r}; {suggestion(group, GROUPS)} Known are {', '.join(GROUPS)}, and Group objects such as "
                "finite_group('C2', [Generator.of('mirror', R, {'legs': permutation})])"
            )
        return GROUPS[group]
    if group is not None:
        raise DeclarationError(f"group={group!r} is not a group; give a Group, or the name of one: {', '.join(GROUPS)}")
    return next((d.group for d in declared if isinstance(d, Representation)), TRIVIAL)


def representation(
    what: str,
    declared: Declared,
    group: Group,
    entities: Sequence[EntitySet],
    space: gymnasium.Space[Any],
    parts: Sequence[str] = (),
) -> Representation:
    """A declaration as a representation that fits its space.

    Args:
        what: ``"observation"`` or ``"action"``, for messages.
        declared: the fields in their order, or a representation.
        group: the group.
        entities: sets that the fields repeat over.
        space: the environment's space.
        parts: known names of entries, for messages.

    Raises:
        DeclarationError: naming the first entry that no field describes, or the first field that finds no room.
    """
    if isinstance(declared, Representation):
        made = declared.with_group(group)
    else:
        fields = tuple(declared)
        for f in fields:
            if not isinstance(f, Field):
                raise DeclarationError(f"{what}: {f!r} is not a Field; write Field('velocity', '1x1o')")
        try:
            made = Representation(fields, _named(fields, entities), group)
        except ValueError as error:
            raise DeclarationError(f"{what}: {error}") from error
    _check_frames(what, made)
    if not isinstance(space, spaces.Box):
        raise DeclarationError(
            f"the {what} space is {space}, and fields describe vectors: only a Box can be typed"
            + ("; leave action= out, the observation alone is typed then" if what == "action" else "")
        )
    if space.shape is None or len(space.shape) != 1:
        raise DeclarationError(
            f"the {what} space has shape {space.shape}; flatten it first (gymnasium.wrappers.FlattenObservation)"
        )
    _check_size(what, made, space.shape[0], parts)
    return made


def _named(fields: Sequence[Field], entities: Sequence[EntitySet]) -> tuple[EntitySet, ...]:
    wanted = {f.entities for f in fields}
    return tuple(e for e in entities if e.name in wanted)


def _check_frames(what: str, made: Representation) -> None:
    for f in made.fields:
        if f.frame == "world":
            continue
        for generator in made.group.finite:
            size = len(dict(generator.h).get(f.frame, np.eye(3)))
            if size != 3:
                raise DeclarationError(
                    f"{what}: frame {f.frame!r} of field {f.name!r} is a set of {size} entities, and a body has 3 axes"
                )


def _check_size(what: str, made: Representation, size: int, parts: Sequence[str]) -> None:
    def named(i: int) -> str:
        return f" ({parts[i]})" if i < len(parts) and parts[i] else ""

    if made.dim < size:
        last = f"the last one, {made.fields[-1].name!r}, ends there" if made.fields else "there are none"
        raise DeclarationError(
            f"{what}: the fields describe {made.dim} of {size} entries; nothing describes entry {made.dim}{named(made.dim)} "
            f"and what follows, {size - made.dim} in all ({last}). Add Field('rest', '{size - made.dim}x0e') only if no symmetry "
            f"touches them\n{made.table()}"
        )
    if made.dim > size:
        field, where = next((f, s) for f, s in made.slices.items() if s.stop > size)
        raise DeclarationError(
            f"{what}: the fields describe {made.dim} entries, but the space has {size}; field {field!r} begins at entry "
            f"{where.start} and needs {where.stop - where.start}, where {max(0, size - where.start)} are left\n{made.table()}"
        )


def part_names(env: gymnasium.Env[Any, Any]) -> list[str]:
    """Names of the entries by ``observation_structure``, where an environment has one."""
    structure: Mapping[str, int] = getattr(env.unwrapped, "observation_structure", None) or {}
    return [f"{name}[{i}]" for name, n in structure.items() if name != "skipped_qpos" for i in range(int(n))]
