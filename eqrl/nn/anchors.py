"""Anchors: the vectors of an input that propose a horizontal direction to turn into, in order of preference."""

from __future__ import annotations

from collections.abc import Sequence

from eqrl.symmetry import Field, Representation
from eqrl.symmetry.representation import WORLD


def anchor_fields(rep: Representation) -> tuple[str, ...]:
    """Names of the fields that can propose a direction, best first.

    Fields with role ``"goal"`` come first, then those with role ``"heading"``, then all other world vectors, polar
    before axial. Fields of equal rank stay in the order of the representation.
    """
    usable = [f for f in rep.fields if _vector_starts(rep, f)]

    def rank(field: Field) -> tuple[int, bool]:
        polar = any(kind == (1, -1) for kind in field.copies)
        return {"goal": 0, "heading": 1}.get(field.role, 2), not polar

    return tuple(f.name for f in sorted(usable, key=rank))


def chosen_anchors(anchors: Sequence[str] | None, default: tuple[str, ...], backbone: str) -> tuple[str, ...]:
    """The names that were given, or else the default.

    Raises:
        ValueError: for a word in place of a list of names.
    """
    if isinstance(anchors, str):
        raise ValueError(
            f"backbone {backbone!r}: anchors={anchors!r} is no list of fields; give their names, ('goal',) for instance"
            " ('learned' is an option of 'frame' alone)"
        )
    return default if anchors is None else tuple(anchors)


def anchor_starts(rep: Representation, names: Sequence[str]) -> list[int]:
    """The coordinate of x of every vector in the named fields; y follows it.

    Raises:
        ValueError: if a field does not exist or holds no world vector.
    """
    starts = []
    for name in names:
        try:
            field_starts = _vector_starts(rep, rep.field(name))
        except KeyError as error:
            raise ValueError(f"cannot anchor a frame: {error.args[0]}") from None
        if not field_starts:
            raise ValueError(
                f"cannot anchor a frame: field {name!r} holds no world vector; the fields are\n{rep.table()}"
            )
        starts += field_starts
    return starts


def role_anchor(rep: Representation, role: str, backbone: str) -> str:
    """Name of the first field that has a given role and can anchor a frame.

    Raises:
        ValueError: if there is none.
    """
    for field in rep.fields:
        if field.role == role and _vector_starts(rep, field):
            return field.name
    raise ValueError(
        f"backbone {backbone!r} turns into the vector with role {role!r}, and no world vector has it; "
        f"declare one, Field(name, '1x1o', role={role!r}), or take 'frame'. The fields are\n{rep.table()}"
    )


def _vector_starts(rep: Representation, field: Field) -> list[int]:
    if field.frame != WORLD:
        return []
    return [block.where.start for block in rep.blocks() if block.field == field and block.degree == 1]
