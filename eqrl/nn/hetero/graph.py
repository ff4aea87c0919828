"""Which typed edges there are between which sets of nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from eqrl.symmetry import Representation

EFFECTOR = "effector"  # kind of the entities that act
Internal = Literal["hub", "neighbours"]


@dataclass(frozen=True)
class Graph:
    """The sets of a graph and the edges between them.

    Attributes:
        sets: all sets of nodes.
        inner: sets with edges of their own in the first step: all objects, or all sets if there are none.
        effectors: sets that receive messages of all others in the second step.
        among: whether members of one of these send to each other.
        internal: what edges the inner sets have.
        alone: sets of a single node that is always there, which has no edges to its like.
        placed: sets whose nodes have positions.
    """

    sets: tuple[str, ...]
    inner: tuple[str, ...]
    effectors: tuple[str, ...]
    among: bool
    internal: Internal
    alone: frozenset[str]
    placed: frozenset[str]

    @property
    def receivers(self) -> tuple[str, ...]:
        """The sets whose nodes know where the positions of the scene are: effectors, or all sets if these have none."""
        placed = tuple(name for name in self.sets if name in self.placed)
        return tuple(name for name in self.effectors if name in self.placed) or placed

    @property
    def hubs(self) -> tuple[str, ...]:
        """The sets that have a hub; a single node is its own."""
        return tuple(name for name in self.inner if self.internal == "hub" and name not in self.alone)

    @property
    def near(self) -> tuple[str, ...]:
        """The sets in which neighbours send to each other."""
        return tuple(name for name in self.inner if self.internal == "neighbours" and name not in self.alone)

    @property
    def matches(self) -> tuple[tuple[str, str], ...]:
        """Receiver and sender of edges before the first step, such as points and targets without an order.

        Of two objects, the one that is declared first receives.
        """
        return tuple(combinations([name for name in self.inner if name not in self.effectors], 2))

    @property
    def outer(self) -> tuple[tuple[str, str], ...]:
        """Receiver and sender of complete edges in the second step."""
        pairs = [(a, b) for a in self.effectors for b in self.sets]
        return tuple((a, b) for a, b in pairs if a != b or (self.among and a not in self.alone))

    @property
    def from_hubs(self) -> tuple[tuple[str, str], ...]:
        """Receiver, and the set whose hub sends to it in the second step."""
        return tuple((a, b) for a in self.effectors for b in self.hubs)


def choose_graph(
    in_rep: Representation, out_rep: Representation, effectors: Sequence[str] | None, internal: Internal
) -> Graph:
    """The graph of an observation.

    Effectors are the sets that the output has fields over, because these act. For a value, which has none, they are the
    sets of kind ``"effector"``, else all sets; members of the same set then have edges by hub or neighbours only.

    Args:
        in_rep: representation of the input.
        out_rep: representation of the output.
        effectors: names of the effectors; None to choose them as above.
        internal: edges within the other sets.

    Raises:
        ValueError: if the input has no entity set, or none of such a name.
    """
    used = {f.entities for f in in_rep.fields}
    sets = {e.name: e for e in in_rep.entities if e.name in used}
    if not sets:
        raise ValueError(
            f"backbone 'hetero' needs an entity set of nodes, and the input has none; take 'vector', or declare one:"
            f" Field(..., entities='points'). The fields are {[f.name for f in in_rep.fields]}"
        )
    if isinstance(effectors, str):
        raise ValueError(f"effectors={effectors!r} is no list of entity sets; write effectors=({effectors!r},)")
    unknown = [name for name in effectors or () if name not in sets]
    if effectors is not None and (unknown or not effectors):
        raise ValueError(
            f"effectors={effectors!r} names {unknown or 'nothing'}, but the entity sets of the input are {list(sets)}"
        )
    among = True
    chosen = set(effectors or ()) or {f.entities for f in out_rep.fields if f.entities in sets}
    chosen = chosen or {name for name, e in sets.items() if set(e.kinds) == {EFFECTOR}}
    if not chosen:
        chosen, among = set(sets), False
    names = tuple(sets)
    objects = tuple(name for name in names if name not in chosen)
    return Graph(
        names,
        objects or names,
        tuple(name for name in names if name in chosen),
        among,
        internal,
        frozenset(name for name, e in sets.items() if e.size == 1 and e.mask is None),
        frozenset(f.entities for f in in_rep.fields if f.role == "position" and f.entities is not None),
    )
