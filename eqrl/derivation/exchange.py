"""Like trees: which of them may be exchanged, and what may be done to each alone.

Eight like balls have 40,320 exchanges and ten different boxes a million ways to turn each about itself, so that such
groups are reported as a whole and never listed element by element. Two elements suffice to generate all
exchanges of a set: the exchange of its first two members, and the cycle of all of them.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from eqrl.derivation.discrepancy import Discrepancy, Level, NearMiss
from eqrl.derivation.exchangeable import Exchangeable, listed
from eqrl.derivation.model_parts import Parts
from eqrl.derivation.symmetry import Symmetry

# A pair is an element of the finite group like any other; more are a set.
_SET = 3
# Largest number of elements that like trees may add to the finite group; of mirrors and turns of the world there are a
# few.
_LISTED = 256

Ties = Mapping[int, Counter[frozenset[int]]]


@dataclass(frozen=True)
class Judgement:
    """How a candidate is judged.

    Attributes:
        differing: what differs under it.
        kinematic: whether that leaves it a kinematic symmetry.
        exact: whether that leaves it a dynamic one.
        near: whether it is worth telling.
    """

    differing: Callable[[Symmetry], tuple[Discrepancy, ...]]
    kinematic: Callable[[Symmetry], bool]
    exact: Callable[[Symmetry], bool]
    near: Callable[[Symmetry], bool]


class LikeTrees:
    """Sorts trees into classes of those that may be exchanged.

    Args:
        parts: the model in its reference configuration.
        groups: trees among which to look, by their heads: what floats, and pieces that hang on one other.
        turns: gives what may be done to a tree by itself, the identity left out; asked of few, for like trees turn
            alike.
        exchange: builds the exchange of two trees, None where they do not fit.
        judgement: of all these.
    """

    def __init__(
        self,
        parts: Parts,
        groups: Sequence[Sequence[int]],
        turns: Callable[[int], Sequence[Symmetry]],
        exchange: Callable[[int, int], Symmetry | None],
        judgement: Judgement,
    ) -> None:
        self.parts = parts
        self.judgement = judgement
        self._turns = turns
        self._known_turns: dict[int, Sequence[Symmetry]] = {}
        self._build = exchange
        self._exchanges: dict[tuple[int, int], Symmetry | None] = {}
        self._ties = {head: held for group in groups for head, held in ties(parts, group).items()}
        self.classes = [c for group in groups for c in self._classes(group, judgement.kinematic)]
        self.sets = self._told_apart()

    # ------------------------------------------------------------------ results
    def elements(self) -> Iterator[Symmetry]:
        """Candidates for the finite group: what is not told apart."""
        apart = [set(c) for c in self.sets]
        for like in self.classes:
            if set(like) not in apart:
                yield from (s for head in like for s in self.turns(head))
                yield from (s for a, b in pairwise(like) if (s := self.exchange(a, b)) is not None)

    def exchangeable(
        self, level: Level, generators: Callable[[Sequence[Symmetry]], tuple[Symmetry, ...]]
    ) -> tuple[Exchangeable, ...]:
        """The sets on a level.

        Args:
            level: on the dynamic one sets may fall apart.
            generators: picks a few of some elements that generate all of them.
        """
        holds = self.judgement.kinematic if level == "kinematic" else self.judgement.exact
        out = []
        for like in self.sets:
            for members in self._classes(like, holds):
                turns = generators([s for s in self.turns(members[0]) if holds(s)])
                turns = tuple(replace(s, name=f"{s.name} of {self.parts.body_name(members[0])}") for s in turns)
                if len(members) > 1 or turns:
                    names = tuple(self.parts.body_name(h) for h in members)
                    out.append(Exchangeable(names, self._generators(members), turns))
        return tuple(out)

    def near_misses(self) -> list[NearMiss]:
        """What keeps sets of the kinematic level from being sets of the dynamic one, and exchanges that nearly hold."""
        out = [NearMiss(s, self.judgement.differing(s)) for s in self._nearly_like()]
        for like in self.sets:
            firsts = [members[0] for members in self._classes(like, self.judgement.exact)]
            inexact = [self.exchange(a, b) for a, b in pairwise(firsts)]
            inexact += [s for s in self.turns(like[0]) if self.judgement.kinematic(s) and not self.judgement.exact(s)]
            out += [NearMiss(s, self.judgement.differing(s)) for s in inexact if s is not None]
        return out

    # ------------------------------------------------------------------ classes
    def turns(self, head: int) -> Sequence[Symmetry]:
        """What may be done to a tree alone, whether it holds or not."""
        if head not in self._known_turns:
            self._known_turns[head] = self._turns(head)
        return self._known_turns[head]

    def exchange(self, a: int, b: int) -> Symmetry | None:
        """The exchange of two trees, None where they do not fit or are tied to different things."""
        a, b = min(a, b), max(a, b)
        if (a, b) not in self._exchanges:
            swap = {a: b, b: a}
            moved = Counter(
                {frozenset(swap.get(h, h) for h in things): n for things, n in self._ties.get(a, {}).items()}
            )
            self._exchanges[a, b] = self._build(a, b) if moved == self._ties.get(b, {}) else None
        return self._exchanges[a, b]

    def _classes(self, trees: Sequence[int], holds: Callable[[Symmetry], bool]) -> list[list[int]]:
        """Classes of exchangeable trees.

        That is an equivalence, so that each tree is compared with one of every class.
        """
        classes: list[list[int]] = []
        for head in trees:
            like = next((c for c in classes if (s := self.exchange(c[0], head)) is not None and holds(s)), None)
            if like is None:
                classes.append([head])
            else:
                like.append(head)
        return classes

    def _nearly_like(self) -> Iterator[Symmetry]:
        """Exchanges that nearly hold, with the first class for which one does."""
        for k, like in enumerate(self.classes):
            tried = (self._exchanges.get((min(c[0], like[0]), max(c[0], like[0]))) for c in self.classes[:k])
            nearest = next((s for s in tried if s is not None and self.judgement.near(s)), None)
            if nearest is not None:
                yield nearest

    def _told_apart(self) -> list[list[int]]:
        """Sets, and besides so many of the other classes that those left are few enough to list."""
        apart = [c for c in self.classes if len(c) >= _SET]
        for articulated in (False, True):
            rest = [c for c in self.classes if c not in apart]
            if math.prod(self._order(c) for c in rest) > _LISTED:
                apart += [c for c in rest if self._order(c) > 1 and bool(self.parts.children[c[0]]) == articulated]
        return apart

    def _order(self, like: Sequence[int]) -> int:
        alone = 1 + sum(self.judgement.kinematic(s) for s in self.turns(like[0]))
        return int(alone ** len(like) * math.factorial(len(like)))

    def _generators(self, members: Sequence[int]) -> tuple[Symmetry, ...]:
        others = [s for head in members[1:] if (s := self.exchange(members[0], head)) is not None]
        if len(others) < 2:
            return tuple(others)
        cycle = others[0]
        for other in others[1:]:
            cycle = other.compose(cycle)
        names = listed([self.parts.body_name(h) for h in members])
        return others[0], replace(cycle, name=f"cycle of {names}")


def ties(parts: Parts, trees: Sequence[int]) -> Ties:
    """What holds each tree to others.

    For every constraint, tendon and flexible element the trees and pieces that it touches.

    Args:
        parts: the model.
        trees: heads of trees, none of which is part of another.

    Returns:
        What each tree is held to, by its head, for those that are.
    """
    m = parts.model
    tree_of = {head: head for head in parts.heads}
    for tree in trees:
        todo = [tree]
        while todo:
            head = todo.pop()
            tree_of[head] = tree
            todo += parts.children[head]
    out: dict[int, Counter[frozenset[int]]] = defaultdict(Counter)
    for bodies in parts.held_together:
        things = frozenset(tree_of[int(m.body_weldid[b])] for b in bodies)
        if len(things) > 1:
            for thing in things:
                out[thing][things] += 1
    return out
