"""Gymnasium spaces that carry the representation of their vectors."""

from __future__ import annotations

from functools import cached_property
from typing import Any, SupportsFloat

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from eqrl.arrays import Ints
from eqrl.symmetry.group import TRIVIAL
from eqrl.symmetry.representation import Representation, direct_sum


class UntypedSpaceError(TypeError):
    """A symmetry is needed, but a space does not say how its vectors turn."""


class TypedBox(spaces.Box):
    """A flat ``Box`` that also says how its vectors turn.

    Bounded vectors are sampled from the ball that their box encloses, because a cube is not round.

    Args:
        representation: fields, entity sets and group.
        low: lower bounds, a number or an array of shape ``(dim,)``.
        high: upper bounds, a number or an array of shape ``(dim,)``.
        dtype: float32 or float64.
        seed: seed of the space's random numbers.

    Raises:
        ValueError: if the bounds do not have ``dim`` entries, or the entries of one vector are bounded differently.
    """

    def __init__(
        self,
        representation: Representation,
        low: SupportsFloat | NDArray[Any] = -np.inf,
        high: SupportsFloat | NDArray[Any] = np.inf,
        dtype: type[np.floating[Any]] = np.float32,
        seed: int | np.random.Generator | None = None,
    ) -> None:
        shape = (representation.dim,)
        bounds = {}
        for name, bound in (("low", low), ("high", high)):
            bounds[name] = np.asarray(bound, dtype=dtype)
            if bounds[name].ndim and bounds[name].shape != shape:
                raise ValueError(
                    f"{name} has shape {bounds[name].shape}, but the representation has {shape[0]}"
                    f" entries:\n{representation.table()}"
                )
        super().__init__(
            np.broadcast_to(bounds["low"], shape).copy(),
            np.broadcast_to(bounds["high"], shape).copy(),
            dtype=dtype,
            seed=seed,
        )
        self.representation = representation
        check_round(self, representation)

    def sample(self, mask: None = None, probability: None = None) -> NDArray[Any]:
        """Sample a point: bounded vectors uniformly from their ball, everything else as ``Box`` does."""
        x = super().sample(mask, probability)
        for where in self._vectors:
            radius = float(self.high[where][0])
            if np.isfinite(radius):
                direction = self.np_random.standard_normal(len(where))
                length = radius * self.np_random.random() ** (1.0 / len(where))
                x[where] = length * direction / max(float(np.linalg.norm(direction)), 1e-12)
        return x

    @cached_property
    def _vectors(self) -> list[NDArray[np.int64]]:
        return vector_blocks(self.representation)

    def __eq__(self, other: object) -> bool:
        """Whether bounds and representations are equal."""
        return isinstance(other, TypedBox) and super().__eq__(other) and self.representation == other.representation

    __hash__ = None  # type: ignore[assignment]  # as for Box, which has a mutable random state

    def __repr__(self) -> str:
        """Size, group and fields."""
        names = ", ".join(f"{f.name}: {f.irreps}" for f in self.representation.fields)
        return f"TypedBox({self.representation.dim}, {self.representation.group}, [{names}])"

    def __setstate__(self, state: Any) -> None:
        """Unpickle as ``Box`` does; the representation is restored with it."""
        super().__setstate__(state)


def vector_blocks(representation: Representation) -> list[Ints]:
    """Coordinates of every irrep with ``l >= 1``.

    Each of these blocks must be bounded, scaled and squashed as a whole.
    """
    return [np.arange(block.where.start, block.where.stop) for block in representation.blocks() if block.degree > 0]


def check_round(box: spaces.Box, representation: Representation) -> None:
    """Refuse bounds of vectors that are not balls.

    Raises:
        ValueError: naming the field and its bounds.
    """
    for where in vector_blocks(representation):
        low, high = box.low[where], box.high[where]
        if not (np.all(high == high[0]) and np.all(low == -high[0])):
            field = next(n for n, s in representation.slices.items() if s.start <= where[0] < s.stop)
            raise ValueError(
                f"field {field!r} holds a vector, but its bounds {low.tolist()} .. {high.tolist()} are not a ball; "
                "give all its entries the same symmetric bounds [-r, r]"
            )


def representation_of(space: gymnasium.Space[Any]) -> Representation:
    """The representation of a typed space; for a dict space, the direct sum of its entries in sorted order.

    Raises:
        UntypedSpaceError: if the space, or one of its entries, is not typed.
    """
    if isinstance(space, TypedBox):
        return space.representation
    if isinstance(space, spaces.Dict):
        parts = {}
        for key, entry in space.spaces.items():
            if not isinstance(entry, TypedBox):
                raise UntypedSpaceError(_untyped(f"entry {key!r} of the observation space", entry))
            parts[key] = entry.representation
        return direct_sum(parts)
    raise UntypedSpaceError(_untyped("the space", space))


def untyped(space: gymnasium.Space[Any]) -> bool:
    """Whether a space has no representation, or one with the trivial group."""
    try:
        return representation_of(space).group == TRIVIAL
    except UntypedSpaceError:
        return True


def _untyped(what: str, space: gymnasium.Space[Any]) -> str:
    return (
        f"{what} is a {type(space).__name__} that does not say how it turns; type the environment with"
        " eqrl.with_symmetry(env), which knows Gymnasium's own and takes declared fields for any other, or make the"
        " space a TypedBox: TypedBox(Representation((Field('position', '1x1o'), ...), group=SO2), low, high)"
    )
