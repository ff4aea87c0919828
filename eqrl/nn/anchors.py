"""Anchors: the vectors of an input that propose a horizontal direction to turn into, in order of preference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor

from eqrl.nn.constants import ExactModule
from eqrl.nn.vector import Vector
from eqrl.symmetry import SO2, Field, Representation
from eqrl.symmetry.representation import WORLD

Default = TypeVar("Default", tuple[str, ...], None)
LEARNED = "learned"
_GAIN = 4.0  # which makes most learned vectors longer than a frame's eps at the start of training


class Anchors(ExactModule):
    """Horizontal vectors that turn with the input and propose directions.

    Attributes:
        count: number of vectors.
    """

    count: int

    def forward(self, x: Tensor) -> Tensor:
        """All vectors, best first, ``(B, count, 2)``, of inputs ``(B, dim)``."""
        raise NotImplementedError

    def first(self, x: Tensor) -> Tensor:
        """The best one, ``(B, 2)``."""
        best: Tensor = self(x)[:, 0]
        return best


class FieldAnchors(Anchors):
    """The vectors of some fields, each entity's by itself."""

    index: Tensor

    def __init__(self, rep: Representation, names: Sequence[str]) -> None:
        """Look up the coordinates.

        Args:
            rep: representation of the input.
            names: names of the fields, best first.

        Raises:
            ValueError: if a field does not exist or holds no world vector.
        """
        super().__init__()
        starts = anchor_starts(rep, names)
        self.count = len(starts)
        self._start = starts[0] if starts else 0
        self.register_constant("index", torch.tensor([[s, s + 1] for s in starts], dtype=torch.int64).flatten())

    def forward(self, x: Tensor) -> Tensor:
        """All vectors."""
        return x.index_select(1, self.index).view(x.shape[0], self.count, 2)

    def first(self, x: Tensor) -> Tensor:
        """The best one."""
        return x[:, self._start : self._start + 2]


class LearnedAnchor(Anchors):
    """A vector that a small scalar-vector network learns, before those of others, which serve where it is short.

    The network reads all scalars and vectors and leaves higher irreps out. It need not know about mirrors or exchanges,
    because an anchor determines a rotation only.

    Learned canonicalisation goes back to Kaba et al. (arXiv 2211.06489); frames about gravity that are learned for each
    robot are those of SHNN (Chen et al., ICML 2024, arXiv 2407.12505).
    """

    index: Tensor

    def __init__(self, rep: Representation, others: Anchors) -> None:
        """Build the network.

        Args:
            rep: representation of the input.
            others: vectors for inputs where the learned one is short.

        """
        super().__init__()
        fields = tuple(f for f in rep.fields if f.frame != WORLD or all(degree < 2 for degree, _ in f.copies))
        where = [i for f in fields for i in range(rep.slices[f.name].start, rep.slices[f.name].stop)]
        self.register_constant("index", torch.tensor(where, dtype=torch.int64))
        direction = Representation((Field("direction", "1x1o", horizontal=True),), (), SO2)
        entities = tuple(e for e in rep.entities if any(e.name in (f.entities, f.frame) for f in fields))
        inputs = Representation(fields, entities, SO2)
        self.net = Vector(inputs, direction, SO2, hidden=(64, 64), output_gain=_GAIN)
        self.others = others
        self.count = 1 + others.count

    def forward(self, x: Tensor) -> Tensor:
        """All vectors."""
        return torch.cat([self.first(x)[:, None], self.others(x)], dim=1)

    def first(self, x: Tensor) -> Tensor:
        """The learned one."""
        learned: Tensor = self.net(x.index_select(1, self.index))
        return learned


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


def chosen_anchors(anchors: Sequence[str] | None, default: Default, backbone: str) -> tuple[str, ...] | Default:
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
