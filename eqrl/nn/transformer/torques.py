"""Which outputs of a set are torques about joint axes that the input tells."""

from __future__ import annotations

from collections.abc import Sequence

from eqrl.nn.tokens import TokenTypes
from eqrl.symmetry import Representation

_AXES = 3  # of a limb in 3D-SGRL
_AXIAL = (1, 1)


def fields_of_axes(rep: Representation, names: Sequence[str] | None) -> tuple[str, ...]:
    """Names of the fields that hold joint axes.

    Args:
        rep: representation of the input.
        names: the fields; None means those over an entity set that hold three axial vectors and nothing else.

    Raises:
        ValueError: if a field does not exist, has no entities, or holds anything but vectors.
    """
    if names is None:
        return tuple(f.name for f in rep.fields if f.entities is not None and f.copies == (_AXIAL,) * _AXES)
    for name in names:
        try:
            field = rep.field(name)
        except KeyError as error:
            raise ValueError(f"axes={tuple(names)}: {error.args[0]}") from None
        if field.entities is None or any(degree != 1 for degree, _ in field.copies):
            raise ValueError(
                f"axes={tuple(names)}: field {name!r} does not hold vectors of entities; the fields are\n{rep.table()}"
            )
    return tuple(names)


def check_torques(rep: Representation, names: Sequence[str] | None) -> None:
    """Refuse names that an output with entities does not have. Values, which have none, need no torques.

    Raises:
        ValueError: listing the fields of the output.
    """
    known = [f.name for f in rep.fields if f.entities is not None]
    if unknown := [name for name in names or () if known and name not in known]:
        raise ValueError(f"torques={tuple(names or ())}: no field {unknown[0]!r} over a set; the fields are {known}")


def pairs(
    inputs: TokenTypes, outputs: TokenTypes, axes: Sequence[str], torques: Sequence[str] | None, asked: bool
) -> tuple[list[int], list[int]]:
    """Vector channels of a set that are axes, and the scalar outputs that are torques about them, in the same order.

    Args:
        inputs: channels of the set in the input.
        outputs: channels of the set in the output.
        axes: names of the fields that hold axes.
        torques: names of output fields; None means all fields of the output that hold scalars.
        asked: whether to refuse different numbers; otherwise nothing is paired then.

    Raises:
        ValueError: if the numbers of axes and torques differ.
    """
    directions = [i for name in axes for i, block in enumerate(inputs.vectors) if block.field.name == name]
    names = dict.fromkeys(block.field.name for block in outputs.scalars) if torques is None else torques
    driven = [i for name in names for i, block in enumerate(outputs.scalars) if block.field.name == name]
    if not directions or not driven:
        return [], []
    if len(directions) != len(driven):
        if asked:
            given = list(dict.fromkeys(outputs.scalars[i].field.name for i in driven))
            raise ValueError(
                f"axes={tuple(axes)} hold {len(directions)} axes for each entity and the outputs {given} need"
                f" {len(driven)}; name as many axes as there are torques, or the fields of torques with torques="
            )
        return [], []
    return directions, driven
