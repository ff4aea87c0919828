"""Which typed edges there are between which sets of nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from eqrl.symmetry import Representation

EFFECTOR = "effector"  # kind of the entities that act


@dataclass(frozen=True)
class Graph:
    """The sets of a graph and the edges between them.

    Attributes:
        sets: all sets of nodes.
        inner: sets with edges of their own in the first step, by a hub or between neighbours.
        effectors: sets that receive messages of all others in the second step.
        among: whether members of one of these send to each other.
    """

    sets: tuple[str, ...]
    inner: tuple[str, ...]
    effectors: tuple[str, ...]
    among: bool

    @property
    def matches(self) -> tuple[tuple[str, str], ...]:
        """Receiver and sender of complete edges in the first step, such as points and targets without an order."""
        objects = [name for name in self.inner if name not in self.effectors]
        return tuple((a, b) for a in objects for b in objects if a != b)

    def senders(self, receiver: str, sizes: dict[str, int]) -> tuple[str, ...]:
        """The sets that send to a set of effectors in the second step.

        Args:
            receiver: one of the effectors.
            sizes: number of nodes of each set.
        """
        itself = self.among and sizes[receiver] > 1
        return tuple(name for name in self.sets if name != receiver or itself)


def choose_graph(in_rep: Representation, out_rep: Representation, effectors: Sequence[str] | None) -> Graph:
    """The graph of an observation.

    Effectors are the sets that the output has fields over, because these act. For a value, which has none, they are the
    sets of kind ``"effector"``, else all sets; members of the same set then have edges by hub or neighbours only.

    Args:
        in_rep: representation of the input.
        out_rep: representation of the output.
        effectors: names of the effectors; None to choose them as above.

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
    if effectors is not None and (not effectors or (unknown := [name for name in effectors if name not in sets])):
        missing = unknown if effectors else "nothing"
        raise ValueError(f"effectors={effectors!r} names {missing}, but the entity sets of the input are {list(sets)}")
    among = True
    chosen = set(effectors or ())
    if not chosen:
        chosen = {f.entities for f in out_rep.fields if f.entities in sets}
    if not chosen:
        chosen = {name for name, e in sets.items() if set(e.kinds) == {EFFECTOR}}
    if not chosen:
        chosen, among = set(sets), False
    names = tuple(sets)
    acting = tuple(name for name in names if name in chosen)
    objects = tuple(name for name in names if name not in chosen)
    return Graph(names, objects or names, acting, among)
