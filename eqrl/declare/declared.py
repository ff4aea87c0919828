"""Types that the user declares, checked against the spaces of the environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import gymnasium
import numpy as np
from gymnasium import spaces

from eqrl.declare.errors import DeclarationError
from eqrl.declare.types import Types
from eqrl.errors import suggestion
from eqrl.symmetry import GROUPS, TRIVIAL, EntitySet, Field, Group, Representation, direct_sum

Declared: TypeAlias = Representation | Sequence[Field]


def declared_types(
    env: gymnasium.Env[Any, Any],
    observation: Declared,
    action: Declared | None,
    group: Group | str | Sequence[str] | None,
    entities: Sequence[EntitySet],
) -> Types:
    """Types of an environment whose fields the user declares."""
    if isinstance(env.observation_space, spaces.Dict):
        keys = ", ".join(f"{key!r}: [...]" for key in env.observation_space.spaces)
        raise DeclarationError(
            f"the observation is a Dict with several entries; declare the fields of each, observation={{{keys}}}, or"
            " flatten it first (gymnasium.wrappers.FlattenObservation)"
        )
    chosen = group_of(group, observation, action)  # type: ignore[arg-type]
    made = representation("observation", observation, chosen, entities, env.observation_space, part_names(env))
    if action is None:
        if not isinstance(env.action_space, spaces.Discrete):
            check_space("action", env.action_space)
            raise DeclarationError(
                f"observation= is declared, but not how the action of size {env.action_space.shape} turns; "
                "add action=[Field('force', '1x1o')] for instance"
            )
        return Types(made, None, (discrete_note(env),))
    return Types(made, representation("action", action, chosen, entities, env.action_space))


def declared_dict_types(
    env: gymnasium.Env[Any, Any],
    observation: Mapping[str, Declared],
    action: Declared | None,
    group: Group | str | Sequence[str] | None,
    entities: Sequence[EntitySet],
) -> tuple[Types, dict[str, Representation]]:
    """Types of an environment that observes a dict: of the flat observation, and of each entry."""
    space = env.observation_space
    if not isinstance(space, spaces.Dict):
        check_space("observation", space)
        raise DeclarationError(
            f"observation= is a mapping, but the observation space is {space}; give a list of fields"
        )
    for key in (*space.spaces, *observation):
        if key not in space.spaces:
            raise DeclarationError(f"the observation has no entry {key!r}; {suggestion(key, space.spaces)}")
        if key not in observation:
            raise DeclarationError(f"nothing describes the entry {key!r} of the observation")
    if nested := next((k for k, s in space.spaces.items() if isinstance(s, spaces.Dict | spaces.Tuple)), None):
        order = ", then ".join(f"{name} ({size})" for name, size in flat_parts(space))
        raise DeclarationError(
            f"observation[{nested!r}] is a {type(space.spaces[nested]).__name__} within the Dict, and nested spaces"
            " cannot be typed; flatten the observation first,"
            " with_symmetry(gymnasium.wrappers.FlattenObservation(env), observation=[...], ...), and list the fields"
            f" in the order in which that lays them out: {order}"
        )
    chosen = group_of(group, *observation.values(), action)  # type: ignore[arg-type]
    made = {
        k: representation(f"observation[{k!r}]", observation[k], chosen, entities, s) for k, s in space.spaces.items()
    }
    if action is None:
        raise DeclarationError("declare action= too")
    return Types(direct_sum(made), representation("action", action, chosen, entities, env.action_space)), made


def discrete_note(env: gymnasium.Env[Any, Any]) -> str:
    """The note that discrete actions are not typed."""
    return f"actions are {env.action_space}: eqrl's policies need a Box, the observation alone is typed"


def group_of(group: Group | str | None, *declared: Any) -> Group:
    """The group that a declaration means: the one given, as a name or a ``Group``, or that of the first representation.

    Raises:
        DeclarationError: for an unknown name.
    """
    if isinstance(group, Group):
        return group
    if isinstance(group, str):
        if group not in GROUPS:
            raise DeclarationError(
                f"unknown group {group!r}; {suggestion(group, GROUPS)} Known are {', '.join(GROUPS)}, and Group objects"
                " such as finite_group('C2', [Generator.of('mirror', R, {'legs': permutation})])"
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
    check_space(what, space)
    if isinstance(declared, Mapping):
        raise DeclarationError(f"{what} is a mapping, but the {what} space is {space}; give a list of fields")
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
    assert space.shape is not None
    _check_size(what, made, space.shape[0], parts)
    return made


def check_space(what: str, space: gymnasium.Space[Any]) -> None:
    """Refuse a space that fields cannot describe.

    Args:
        what: ``"observation"``, ``"observation['camera']"`` or ``"action"``, for messages.
        space: the space.

    Raises:
        DeclarationError: naming the space and what to do.
    """
    if isinstance(space, spaces.Box) and space.shape is not None and len(space.shape) == 1:
        return
    raise DeclarationError(f"{what} is {_in_words(space)}; {_advice(what, space)}")


def _in_words(space: gymnasium.Space[Any]) -> str:
    if is_image(space):
        return f"an image, {space}, and fields describe vectors"
    if isinstance(space, spaces.Box):
        return f"a Box of shape {space.shape}, and fields describe vectors"
    if isinstance(space, spaces.Dict):
        return f"a Dict with the keys {', '.join(map(repr, space.spaces))}, and nested dicts cannot be typed"
    if isinstance(space, spaces.Tuple):
        return f"a Tuple of {len(space.spaces)} spaces, which has no names to declare fields by"
    return f"{space}, and fields describe vectors: only a Box can be typed"


def _advice(what: str, space: gymnasium.Space[Any]) -> str:
    if what == "action":
        discrete = isinstance(space, spaces.Discrete)
        return "leave action= out, the observation alone is typed then" if discrete else "make the actions one flat Box"
    key = what.removeprefix("observation")
    without = "leave it out (gymnasium.wrappers.FilterObservation)" if key else "leave it out of the observation"
    if is_image(space):
        return f"{without}, or observe features of it that turn as vectors do"
    if isinstance(space, spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary):
        return f"{without}, or flatten it to a Box of ones and zeros (gymnasium.wrappers.FlattenObservation)"
    order = ", then ".join(f"{name} ({size})" for name, size in flat_parts(space))
    listed = f" and list the fields in the order in which that lays them out: {order}" if order else ""
    return f"flatten the observation first (gymnasium.wrappers.FlattenObservation){listed}"


def is_image(space: gymnasium.Space[Any]) -> bool:
    """Whether a space holds pictures."""
    return (
        isinstance(space, spaces.Box) and space.shape is not None and len(space.shape) > 1 and space.dtype == np.uint8
    )


def flat_parts(space: gymnasium.Space[Any], name: str = "") -> list[tuple[str, int]]:
    """Names and sizes of the leaves of a nested space, as ``gymnasium.spaces.flatten`` lays them out.

    None for a single leaf.
    """
    if isinstance(space, spaces.Dict):
        inside = [(f"{name}/{key}" if name else str(key), s) for key, s in space.spaces.items()]
    elif isinstance(space, spaces.Tuple):
        inside = [(f"{name}[{i}]", s) for i, s in enumerate(space.spaces)]
    else:
        return [(name, int(spaces.flatdim(space)))] if name and space.is_np_flattenable else []
    return [part for key, s in inside for part in flat_parts(s, key)]


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
            f"{what}: the fields describe {made.dim} of {size} entries; nothing describes entry"
            f" {made.dim}{named(made.dim)} and what follows, {size - made.dim} in all ({last}). Add Field('rest',"
            f" '{size - made.dim}x0e') only if no symmetry touches them\n{made.table()}"
        )
    if made.dim > size:
        field, where = next((f, s) for f, s in made.slices.items() if s.stop > size)
        raise DeclarationError(
            f"{what}: the fields describe {made.dim} entries, but the space has {size}; field {field!r} begins at entry"
            f" {where.start} and needs {where.stop - where.start}, where {max(0, size - where.start)} are"
            f" left\n{made.table()}"
        )


def part_names(env: gymnasium.Env[Any, Any]) -> list[str]:
    """Names of the entries by ``observation_structure``, where an environment has one."""
    structure: Mapping[str, int] = getattr(env.unwrapped, "observation_structure", None) or {}
    return [f"{name}[{i}]" for name, n in structure.items() if name != "skipped_qpos" for i in range(int(n))]
