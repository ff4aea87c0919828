"""The mask that decides, for each coordinate, whether it lies in a padded slot."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eqrl.symmetry.representation import Representation


def mask_index(representation: Representation, observation: Representation | None = None) -> NDArray[np.int64]:
    """For each coordinate, the coordinates of the masks of the entities that it belongs to.

    A coordinate belongs to one entity; an edge belongs to two. A vector without mask fields, such as an action, uses
    the masks of the sets of the same name in the observation.

    Args:
        representation: representation of the vector.
        observation: representation of the vector that holds the masks; None means the same one.

    Returns:
        Coordinates of masks in the observation, shape ``(dim, 2)``; -1 for none.

    Raises:
        ValueError: if a set has a different size in the observation.
    """
    observation = representation if observation is None else observation
    masks = {e.name: e for e in observation.entities if e.mask is not None}
    index = np.full((representation.dim, 2), -1, dtype=np.int64)
    for block in representation.blocks():
        name = block.field.entities
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
