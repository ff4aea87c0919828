"""Fields of a task as a representation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from eqrl.symmetry import TRIVIAL, EntitySet, Field, Group, Representation


def representation_over(
    fields: Sequence[Field], entities: Sequence[EntitySet], group: Group = TRIVIAL
) -> Representation:
    """Fields over those of a task's entity sets that they use.

    A set is masked where its mask stands among the fields. An action over the same slots takes the mask of the
    observation, by the name of the set.

    Args:
        fields: of an observation, an action or a task's own state.
        entities: all of the task's.
        group: the group that acts.
    """
    used = {f.entities for f in fields} | {f.frame for f in fields}
    names = {f.name for f in fields}
    sets = [e if e.mask in names else replace(e, mask=None) for e in entities if e.name in used]
    return Representation(tuple(fields), tuple(sets), group)
