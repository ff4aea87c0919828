"""In what two typed spaces differ, in words."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
from gymnasium import spaces

from eqrl.symmetry import Field, Representation, TypedBox


def first_difference(a: TypedBox | spaces.Dict, b: TypedBox | spaces.Dict) -> str | None:
    """The first difference of two spaces as half a sentence about the second, or None if they are equal."""
    if a == b:
        return None
    if isinstance(a, spaces.Dict) and isinstance(b, spaces.Dict):
        for key in a:
            if key not in b.spaces:
                return f"lacks {key!r}"
            if (difference := first_difference(a[key], b[key])) is not None:  # type: ignore[arg-type]
                return f"under {key!r} {difference}"
        return f"has {next(key for key in b if key not in a.spaces)!r} besides"
    if isinstance(a, TypedBox) and isinstance(b, TypedBox):
        return _of_representations(a.representation, b.representation) or _of_boxes(a, b)
    return f"is a {type(b).__name__}, not a {type(a).__name__}"


def _of_representations(a: Representation, b: Representation) -> str | None:
    ours, theirs = ({f.name: f for f in r.fields} for r in (a, b))
    for name, field in ours.items():
        if name not in theirs:
            return f"lacks field {name!r}"
        if (difference := _of_fields(field, theirs[name])) is not None:
            return f"has field {name!r} with {difference}"
    for name in theirs:
        if name not in ours:
            return f"has field {name!r} besides"
    if list(ours) != list(theirs):
        return f"has its fields in the order {', '.join(theirs)}, not {', '.join(ours)}"
    sizes = {e.name: e for e in a.entities}
    for entities in b.entities:
        if sizes.get(entities.name) != entities:
            known = sizes.get(entities.name)
            return f"has {entities}" + (f", not {known}" if known is not None else " besides")
    if a.group != b.group:
        same = " of the same name but with other elements" if a.group.name == b.group.name else f", not {a.group}"
        return f"has the group {b.group}{same}"
    return None


def _of_fields(a: Field, b: Field) -> str | None:
    for part in fields(Field):
        ours, theirs = getattr(a, part.name), getattr(b, part.name)
        if part.compare and ours != theirs:
            return f"{part.name}={theirs!r}, not {ours!r}"
    return None


def _of_boxes(a: TypedBox, b: TypedBox) -> str:
    for name in ("low", "high"):
        ours, theirs = getattr(a, name), getattr(b, name)
        if not np.array_equal(ours, theirs):
            i: Any = np.flatnonzero(ours != theirs)[0]
            where = next(n for n, at in a.representation.slices.items() if at.start <= i < at.stop)
            return f"has field {where!r} with the bound {name}={theirs[i]:g}, not {ours[i]:g}"
    return f"holds {b.dtype}, not {a.dtype}"
