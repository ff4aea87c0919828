"""What is wrong with the declared type of a field: parity, frame, signs, permutation or order of fields.

Every alternative is tried on samples, as everywhere in the proof: the first that explains them all is the cause.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from eqrl.arrays import Floats
from eqrl.proof.causes.corrections import AXIAL, POLAR
from eqrl.proof.matching import match
from eqrl.proof.verdict import Cause
from eqrl.symmetry.element import Element
from eqrl.symmetry.representation import WORLD, Field, Representation

_FLOAT32 = 1e-5
_SHOWN = 3


def typing_cause(
    rep: Representation,
    name: str,
    g: Element,
    before: Floats,
    after: Floats,
    bodies: Mapping[str, Floats] | None = None,
) -> Cause:
    """Why a field does not turn as declared.

    Args:
        rep: the declaration.
        name: of the field.
        g: the group element.
        before: samples, ``(n, dim)``.
        after: what they are in the transformed world, ``(n, dim)``.
        bodies: what the element does to the axes of bodies, by name, ``(3, 3)``.
    """
    field, where = rep.field(name), rep.slices[name]

    def fits(expected: NDArray[np.floating]) -> bool:
        return bool(agreeing(expected, after[:, where]).all())

    # a rotation of the world has no matrices of its own, so that frames are those that any element of the group moves
    frames = sorted({k for generator in rep.group.finite for k, matrix in generator.h if len(matrix) == 3})
    for other, cause in _retyped(field, frames):
        if fits(_with(rep, other).transform(before, g)[:, where]):
            return cause
    if field.frame == WORLD and _is_vector(field):
        for body, axes in (bodies or {}).items():
            with_body = Element(torch.as_tensor(axes, dtype=torch.float64), g.h)
            if fits(rep.transform(before, with_body)[:, where]):
                return _frame_cause(
                    name,
                    f"it turns with the axes of body {body}: give it a frame, an entity set of size 3 whose matrices"
                    " are those of the axes",
                )
    return _entry_cause(rep, name, g, before, after)


def agreeing(expected: NDArray[np.floating], seen: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which entries of samples ``(n, dim)`` are equal up to float32's rounding, ``(dim,)``."""
    return np.asarray((np.abs(expected - seen) <= _FLOAT32 * np.maximum(1.0, np.abs(expected))).all(axis=0))


def other_parity(field: Field) -> Field:
    """The field with polar and axial exchanged."""
    flipped = field.irreps.translate(str.maketrans("eo", "oe"))
    return replace(field, irreps=flipped, role="" if "1e" in flipped else field.role)


def _retyped(field: Field, known: Sequence[str]) -> Iterator[tuple[Field, Cause]]:
    """Other declarations of the field and what each means, the likeliest first."""
    flipped = other_parity(field)
    parity = AXIAL if field.irreps.endswith("o") or not _is_vector(field) else POLAR
    yield flipped, replace(parity, fix=f"declare field {field.name} as {flipped.irreps} instead of {field.irreps}")
    for frame in (WORLD, *known) if _is_vector(field) else ():
        if frame == field.frame:
            continue
        where = "the world's axes: leave frame= out" if frame == WORLD else f"a body's axes: declare frame={frame!r}"
        for other in (replace(field, frame=frame, role=""), replace(flipped, frame=frame, role="")):
            irreps = "" if other.irreps == field.irreps else f", and {other.irreps} instead of {field.irreps}"
            yield other, _frame_cause(field.name, f"it is given along {where}{irreps}")
    if _is_vector(field) and not field.horizontal:
        still = replace(field, irreps=f"{field.width}x0e", frame=WORLD, role="")
        yield (
            still,
            _frame_cause(
                field.name,
                f"it stays as it is, as what is measured along a body's own axes does; declare it as {still.irreps}, or"
                " give it a frame",
            ),
        )
    if len(field.copies) > 1:
        yield from _one_parity(field)


def _one_parity(field: Field) -> Iterator[tuple[Field, Cause]]:
    for i in range(len(field.copies)):
        parts = [f"1x{degree}{'eo'[(parity < 0) ^ (k == i)]}" for k, (degree, parity) in enumerate(field.copies)]
        irreps = " + ".join(parts)
        yield (
            replace(field, irreps=irreps, role=""),
            replace(
                AXIAL if field.copies[i][1] < 0 else POLAR,
                id=f"wrong sign in field {field.name}",
                fix=f"declare field {field.name} as {irreps} instead of {field.irreps}",
            ),
        )


def _entry_cause(rep: Representation, name: str, g: Element, before: Floats, after: Floats) -> Cause:
    where = rep.slices[name]
    declared = rep.matrix(g).numpy()[where, where]
    inside = match(before[:, where], after[:, where], _FLOAT32)
    if not inside.unexplained:
        wrong = np.flatnonzero(np.abs(inside.matrix - declared).max(axis=1) > _FLOAT32)
        wrong = wrong[~agreeing(before[:, where] @ declared.T, after[:, where])[wrong]]
        images = "; ".join(
            f"entry {i} is {_row(inside.matrix[i])}, declared is {_row(declared[i])}" for i in wrong[:_SHOWN]
        )
        more = f"; and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        field = rep.field(name)
        over = f" (entity set {field.entities!r})" if field.entities else ""
        only_signs = np.allclose(np.abs(inside.matrix[wrong]), np.abs(declared[wrong]), atol=_FLOAT32)
        what = "wrong sign" if only_signs else "wrong permutation"
        return Cause(f"{what} in field {name}", f"in the transformed world {images}{more}{over}")
    anywhere = match(before, after, _FLOAT32)
    rows = [i for i in range(where.start, where.stop) if i not in anywhere.unexplained]
    if len(rows) == where.stop - where.start:
        strangers = [(i, int(np.abs(anywhere.matrix[i]).argmax())) for i in rows]
        i, j = next(((i, j) for i, j in strangers if not where.start <= j < where.stop), strangers[0])
        owner = next(n for n, s in rep.slices.items() if s.start <= j < s.stop)
        return Cause(
            f"wrong order or size of fields at {name}",
            f"in the transformed world entry {i - where.start} of field {name} is entry {j - rep.slices[owner].start}"
            f" of field {owner}; compare the order and the sizes of the fields with the observation",
        )
    return Cause(
        f"type of observation {name}",
        f"field {name} does not turn as its irreps say; compare frame, order and signs",
        explains=False,
    )


def _row(row: Floats) -> str:
    parts = [("-" if row[j] < 0 else "+") + f" entry {j}" for j in np.flatnonzero(np.abs(row) > _FLOAT32)]
    return " ".join(parts).removeprefix("+ ").replace("- entry", "-entry", 1) or "nothing"


def _frame_cause(name: str, fix: str) -> Cause:
    return Cause(f"wrong frame of field {name}", f"field {name}: {fix}")


def _with(rep: Representation, other: Field) -> Representation:
    return replace(rep, fields=tuple(other if f.name == other.name else f for f in rep.fields))


def _is_vector(field: Field) -> bool:
    return any(degree > 0 for degree, _ in field.copies)
