"""What inference proposes: types, names of entries, and everything that was left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from eqrl.declare.types import Types
from eqrl.symmetry import Group, Representation


@dataclass(frozen=True)
class Unexplained:
    """An entry of the observation that does not follow a symmetry.

    Attributes:
        index: of the entry.
        name: what it is, as far as it is known; otherwise empty.
        generator: the symmetry.
        reason: in words.
    """

    index: int
    name: str
    generator: str
    reason: str

    def __str__(self) -> str:
        """One line."""
        name = f" ({self.name})" if self.name else ""
        return f"entry {self.index}{name} does not follow {self.generator!r}: {self.reason}"


@dataclass(frozen=True)
class Proposal:
    """Proposed types of an environment; ``with_symmetry(env, proposal)`` applies them.

    Attributes:
        types: representations of observation and action.
        names: what each entry of the observation is, as far as it is known.
        unexplained: entries that do not follow a symmetry, which is therefore left out.
        guessed: entries that never changed in the samples, so that their type is a guess.
        refused: name and reason of each symmetry that the task does not keep.
    """

    types: Types
    names: tuple[str, ...]
    unexplained: tuple[Unexplained, ...]
    guessed: tuple[int, ...]
    refused: tuple[tuple[str, str], ...]

    @property
    def observation(self) -> Representation:
        """Representation of the observation."""
        return self.types.observation

    @property
    def action(self) -> Representation | None:
        """Representation of the action; None where actions are discrete."""
        return self.types.action

    @property
    def group(self) -> Group:
        """The group of both."""
        return self.types.group

    def __str__(self) -> str:
        """For people: the fields, and everything that was left out."""
        if self.group.generators:
            lines = [f"group {self.group}: {', '.join(name for name, _ in self.group.generators)}"]
        else:
            lines = ["no symmetry: the group is trivial"]
        lines += ["observation", self.observation.table()]
        if self.action is not None:
            lines += ["action", self.action.table()]
        # products and turns of the world fail for reasons that their factors show already
        plain_ones = [(n, r) for n, r in self.refused if " * " not in n and "world turned" not in n]
        lines += [f"left out: {name}: {reason}" for name, reason in plain_ones]
        if len(self.refused) > len(plain_ones):
            lines.append(
                f"left out: {len(self.refused) - len(plain_ones)} products and turns of the world (see refused)"
            )
        lines += [f"unexplained: {u}" for u in self.unexplained]
        if self.guessed:
            lines.append(f"guessed: entries {_ranges(self.guessed)} never changed in the samples")
        return "\n".join((*lines, *(f"note: {n}" for n in self.types.notes)))


def _ranges(indices: Sequence[int]) -> str:
    runs: list[list[int]] = []
    for i in indices:
        if runs and runs[-1][1] == i - 1:
            runs[-1][1] = i
        else:
            runs.append([i, i])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)
