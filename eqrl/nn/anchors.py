"""Which vectors of an input propose a horizontal direction to turn into, and in which order."""

from __future__ import annotations

from collections.abc import Sequence

from eqrl.symmetry import Field, Representation
from eqrl.symmetry.representation import WORLD


def anchor_fields(rep: Representation) -> tuple[str, ...]:
    """Names of the fields that can propose a direction, the best first.

    That is: fields with role ``"goal"``, then ``"heading"``, then the other world vectors, polar before axial,
    each in the order of the representation.
    """
    usable = [f for f in rep.fields if _starts(rep, f)]

    def rank(field: Field) -> tuple[int, bool]:
        polar = any(kind == (1, -1) for kind in field.copies)
        return {"goal": 0, "heading": 1}.get(field.role, 2), not polar

    return tuple(f.name for f in sorted(usable, key=rank))


def anchor_starts(rep: Representation, names: Sequence[str]) -> list[int]:
    """Where the vectors of the named fields begin: x stands there and y behind it.

    Raises:
        ValueError: if there is no such field, or it holds no vector of the world.
    """
    found = []
    for name in names:
        try:
            starts = _starts(rep, rep.field(name))
        except KeyError as error:
            raise ValueError(f"cannot anchor a frame: {error.args[0]}") from None
        if not starts:
            raise ValueError(f"cannot anchor a frame: field {name!r} holds no world vector; the fields are\n{rep.table()}")
        found += starts
    return found


def role_anchor(rep: Representation, role: str, backbone: str) -> str:
    """Name of the first field with a role.

    Raises:
        ValueError: if no field that can anchor a frame has the role.
    """
    for field in rep.fields:
        if field.role == role and _starts(rep, field):
            return field.name
    raise ValueError(
        f"backbone {backbone!r} turns into the vector with role {role!r}, and no world vector has it; "
        f"declare one, Field(name, '1x1o', role={role!r}), or take 'frame'. The fields are\n{rep.table()}"
    )


def _starts(rep: Representation, field: Field) -> list[int]:
    if field.frame != WORLD:
        return []
    return [block.where.start for block in rep.blocks() if block.field == field and block.degree == 1]
