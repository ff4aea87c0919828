"""Cut an observation into fields, given what each generator does to its entries."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from eqrl.arrays import Floats
from eqrl.declare.layout import CannotTypeError
from eqrl.declare.types import QUATERNION, Sets
from eqrl.symmetry import Field


def fields_from_matrices(
    matrices: Sequence[Floats],
    worlds: Sequence[Floats],
    vectors: Sequence[tuple[int, int]],
    size: int,
    sets: Sets,
    names: Sequence[str] = (),
) -> list[Field]:
    """Cut an observation into the shortest stretches that turn among themselves, each a field.

    Args:
        matrices: what each generator does to the observation, ``(size, size)``.
        worlds: what it does to the world, ``(3, 3)``.
        vectors: first entry and width of stretches known to be vectors.
        size: length of the observation.
        sets: where entity sets are added.
        names: of the entries.
    """
    fields = []
    for start, stop in _stretches(matrices, vectors, size):
        label = _label(names, start, stop)
        parts = [m[start:stop, start:stop] for m in matrices]
        inside = [(a, w) for a, w in vectors if start <= a < stop]
        if inside:
            fields.append(_vector_field(label, inside, stop - start, parts, worlds, sets))
            continue
        if not matrices or all(np.allclose(p, np.eye(stop - start)) for p in parts):
            fields.append(Field(label, f"{stop - start}x0e"))
        else:
            fields.append(Field(label, "1x0e", entities=sets.add(label, parts, _short(names, start, stop))))
    return fields


def _stretches(matrices: Sequence[Floats], vectors: Sequence[tuple[int, int]], size: int) -> list[tuple[int, int]]:
    reach = np.arange(size)  # furthest entry that an entry is mixed with
    for m in matrices:
        for i, j in np.argwhere(np.abs(m) > 1e-9):
            low, high = min(i, j), max(i, j)
            reach[low] = max(reach[low], high)
    for start, width in vectors:
        reach[start] = max(reach[start], start + width - 1)
    starts = {start for start, _ in vectors}
    stretches: list[tuple[int, int]] = []
    lone = False  # whether the last stretch holds entries that keep to themselves
    start = 0
    while start < size:
        end = k = start
        while k <= end:
            end = max(end, int(reach[k]))
            k += 1
        alone = end == start and start not in starts
        if alone and lone:
            stretches[-1] = (stretches[-1][0], end + 1)  # neighbours that keep to themselves share a field
        else:
            stretches.append((start, end + 1))
        lone = alone
        start = end + 1
    return stretches


def _vector_field(
    label: str,
    blocks: Sequence[tuple[int, int]],
    size: int,
    parts: Sequence[Floats],
    worlds: Sequence[Floats],
    sets: Sets,
) -> Field:
    """A field of one vector, or of several that generators exchange.

    Each matrix is (relabelling) x (what it does to the world).

    Raises:
        CannotTypeError: if the stretch holds anything else, or turns in another way.
    """
    count, width = len(blocks), blocks[0][1]
    if any(w != width for _, w in blocks) or count * width != size:
        raise CannotTypeError(f"{label} mixes vectors and other entries, which no field does")
    for irreps, axial in (("1x1o", False), ("1x1e", True)):
        relabellings = []
        for part, R in zip(parts, worlds, strict=True):
            turn = (np.linalg.det(R) if axial else 1.0) * R[:width, :width]
            grid = part.reshape(count, width, count, width)
            relabelling = np.einsum("aibj,ij->ab", grid, turn) / width
            if not np.allclose(np.kron(relabelling, turn), part, atol=1e-6):
                break
            relabellings.append(relabelling)
        else:
            horizontal = width == 2
            if count == 1 and all(np.allclose(h, 1.0) for h in relabellings):
                return Field(label, irreps, horizontal=horizontal)  # polar, where no mirror tells
            if count > 1 or irreps == "1x1e":
                return Field(label, irreps, entities=sets.add(label, relabellings), horizontal=horizontal)
    raise CannotTypeError(
        f"{label} turns as vectors about gravity, but neither as polar nor as axial ones under a mirror"
    )


def _label(names: Sequence[str], start: int, stop: int) -> str:
    if [n[-3:] for n in names[start:stop]] == [" qw", " qx", " qy", " qz"]:
        return f"{names[start][:-3]} {QUATERNION}"
    entries = f"{start}" if stop == start + 1 else f"{start}-{stop - 1}"
    same = set(names[start:stop])
    only = same.pop() if len(same) == 1 else ""
    return f"{only} [{entries}]" if only else f"entries {entries}" if stop > start + 1 else f"entry {entries}"


def _short(names: Sequence[str], start: int, stop: int) -> list[str]:
    return [names[i] or str(i) if i < len(names) else str(i) for i in range(start, stop)]
