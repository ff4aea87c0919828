"""Named pieces of a vector, and the entities that they repeat over."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field as attribute
from functools import cached_property
from typing import Literal

from eqrl.symmetry.irreps import parse_irreps

Role = Literal["", "heading", "goal", "position", "parent", "mask"]
WORLD = "world"


@dataclass(frozen=True)
class EntitySet:
    """Entities of which an observation has several: limbs, joints, object points, robots.

    Attributes:
        name: key under which group elements relabel the set.
        kinds: the kind of each entity ("thigh", "shin"); its length is the size of the set. Only entities of the same
            kind may be exchanged.
        edges: pairs of indices of linked entities, such as limbs that share a joint.
        mask: name of the ``1x0e`` field over this set that is 1 for real entities and 0 for padding, or None if all
            entities are real. All other contents of padded slots are meaningless and have no effect.
        exchangeable: whether entities of the same kind may be exchanged freely, like the points of an object. Networks
            on tokens honour this, and statistics are pooled over these entities. Free exchange is not part of the
            group, whose elements can be listed: it would add n! of them (:mod:`eqrl.symmetry.exchange`).
        mirrored: whether the mirror image of an entity is again a possible entity of the set, in the same slot or
            another. The mirror image of a robot that has only a right arm is a robot that has only a left arm, which
            fits the same space. Networks on tokens may honour mirrors then, even if the group of this world has none
            (:func:`eqrl.symmetry.family`).
    """

    name: str
    kinds: tuple[str, ...]
    edges: tuple[tuple[int, int], ...] = ()
    mask: str | None = None
    exchangeable: bool = False
    mirrored: bool = False

    def __post_init__(self) -> None:
        """Refuse edges that point outside the set."""
        for edge in self.edges:
            if not all(0 <= i < self.size for i in edge):
                raise ValueError(f"entity set {self.name!r}: edge {edge} points outside its {self.size} entities")

    @property
    def size(self) -> int:
        """Number of entities, padding included."""
        return len(self.kinds)


@dataclass(frozen=True)
class Field:
    """One named part of a vector.

    Attributes:
        name: unique name within the representation.
        irreps: e3nn irreps of one entity, or of the whole field if it does not repeat over an entity set.
        entities: name of the entity set that the field repeats over, entity by entity; None if it does not repeat.
        frame: ``"world"``, or the name of an entity set of size 3 whose matrix acts on the axes of a body. A body-frame
            quantity, such as an IMU reading, turns with this matrix and not with the world.
        horizontal: whether to store only x and y of each ``l=1`` irrep, for vectors of the horizontal plane.
        role: ``"heading"`` or ``"goal"`` marks the vector that a heading-frame or goal-frame network turns into;
            networks without a preferred direction ignore it. ``"position"`` marks a ``1x1o`` field that tells where
            something is, of which graph networks take differences alone. Over an entity set, the first one holds the
            positions of its entities, and a second one, such as targets, is read as its difference from the first.
            Without an entity set, it is read as its difference from the positions of the effectors. ``"parent"`` marks
            edges as data, see :mod:`eqrl.symmetry.edges`. ``"mask"`` marks a mask for fields of the action.
        mask: name of a field over the same set that is 1 where this field is real and 0 where it is padding, in
            addition to the mask of the set, such as for joints that a limb may lack. It holds ``1x0e``, or one number
            for each irrep of this field. A field of an action is masked by a field of the observation, with role
            ``"mask"``.
        unit: unit of the numbers, such as ``"m/s"``; for tables, ignored in comparisons.
        description: what the field means, in a few words; ignored in comparisons.
    """

    name: str
    irreps: str
    entities: str | None = None
    frame: str = WORLD
    horizontal: bool = False
    role: Role = ""
    mask: str | None = None
    unit: str = attribute(default="", compare=False)
    description: str = attribute(default="", compare=False)

    def __post_init__(self) -> None:
        """Refuse what are no irreps, and ``horizontal`` for anything but vectors."""
        try:
            parsed = parse_irreps(self.irreps)
        except ValueError as error:
            raise ValueError(
                f"field {self.name!r}: {self.irreps!r} are not irreps; write for instance '2x0e + 1x1o'"
            ) from error
        if not parsed:
            raise ValueError(f"field {self.name!r}: irreps {self.irreps!r} are empty; leave the field out instead")
        if self.mask is not None and self.entities is None:
            raise ValueError(f"field {self.name!r} has mask {self.mask!r} and so needs an entity set, entities=...")
        if self.horizontal and any(degree != 1 for degree, _ in parsed):
            raise ValueError(f"field {self.name!r}: horizontal applies to vectors (1o, 1e) only, got {self.irreps!r}")

    @cached_property
    def copies(self) -> tuple[tuple[int, int], ...]:
        """(l, parity) of every irrep of one entity, with multiplicities written out."""
        return parse_irreps(self.irreps)

    @cached_property
    def width(self) -> int:
        """Numbers per entity."""
        return sum(2 if self.horizontal else 2 * degree + 1 for degree, _ in self.copies)
