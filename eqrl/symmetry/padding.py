"""The mask that decides, for each coordinate, whether it lies in a padded slot."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eqrl.symmetry.representation import Block, Representation


def mask_index(representation: Representation, observation: Representation | None = None) -> NDArray[np.int64]:
    """For each coordinate, the coordinates of the masks of the entities that it belongs to.

    A coordinate belongs to one entity; an edge belongs to two, and a field may have a mask of its own. A vector without
    mask fields, such as an action, uses the masks of the observation: those of the sets of the same name, and the
    fields that its fields name.

    Args:
        representation: representation of the vector.
        observation: representation of the vector that holds the masks; None means the same one.

    Returns:
        Coordinates of masks in the observation, shape ``(dim, 2)``; -1 for none.

    Raises:
        ValueError: if a set has a different size in the observation, or a field names a mask that is not there.
    """
    observation = representation if observation is None else observation
    masks = {e.name: e for e in observation.entities if e.mask is not None}
    index = np.full((representation.dim, 2), -1, dtype=np.int64)
    for block in representation.blocks():
        name = block.field.entities
        if block.field.mask is not None:
            index[block.where.start : block.where.stop, 1] = _at(block, observation)
        if name is None or name not in masks:
            continue
        if (size := representation.entity_set(name).size) != masks[name].size:
            raise ValueError(
                f"entity set {name!r} has {size} slots, but its mask in the observation has {masks[name].size}"
            )
        mask = masks[name].mask
        assert mask is not None
        if observation is representation and block.field.name == mask:
            continue  # a mask is not masked itself
        start = observation.slices[mask].start
        index[block.where.start : block.where.stop, 0] = start + block.entity
        if block.field.role == "parent":
            index[block.where.start, 1] = start + block.copy
    return index


def _at(block: Block, observation: Representation) -> int:
    """The coordinate of the mask of one irrep of a field that has a mask of its own."""
    field = block.field
    names = [f.name for f in observation.fields if f.name == field.mask or f.name.endswith(f"/{field.mask}")]
    if len(names) != 1:
        raise ValueError(
            f"field {field.name!r} is masked by field {field.mask!r} of the observation, whose fields are"
            f" {[f.name for f in observation.fields]}"
        )
    if names[0] not in observation.markers:
        raise ValueError(
            f"field {field.name!r} is masked by field {names[0]!r} of the observation, which would be normalised; give"
            " it the role 'mask'"
        )
    width = observation.field(names[0]).width
    start: int = observation.slices[names[0]].start
    return start + block.entity * width + (block.copy if width > 1 else 0)
