"""Numbers from outside that have to be finite: actions, and goals of which a reward is asked."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np
from numpy.typing import ArrayLike


class NotFiniteError(ValueError):
    """An argument holds a number that is not finite; the message is one line that says where.

    Attributes:
        name: of the argument.
        index: of the first such number, its row first.
        value: the number.
    """

    def __init__(self, name: str, index: tuple[int, ...], value: float) -> None:
        *rows, entry = index
        row = f"row {', '.join(map(str, rows))}, " if rows else ""
        super().__init__(f"{name} must be finite, and {row}entry {entry} is {value}")
        self.name, self.index, self.value = name, index, value

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle what it is made from."""
        return type(self), (self.name, self.index, self.value)


def check_finite(name: str, values: ArrayLike, first: int = 0) -> None:
    """Refuse numbers that are not finite.

    Args:
        name: of the argument.
        values: ``(*batch, size)``.
        first: number of the first row, for the message.

    Raises:
        NotFiniteError: naming the argument, the row and the value.
    """
    finite = np.isfinite(values)
    if not finite.all():
        index = tuple(np.argwhere(~finite)[0].tolist())
        at = (index[0] + first, *index[1:]) if len(index) > 1 else index
        raise NotFiniteError(name, at, float(np.asarray(values)[index]))


def of_finite_goals(compute_reward: Callable[..., Any]) -> Callable[..., Any]:
    """A ``compute_reward`` of any goals that are like arrays, which refuses those of other sizes or not finite."""

    @wraps(compute_reward)
    def checked(self: Any, achieved_goal: Any, desired_goal: Any, info: Any) -> Any:
        goals = {"achieved_goal": np.asarray(achieved_goal), "desired_goal": np.asarray(desired_goal)}
        for name, goal in goals.items():
            (size,) = self.observation_space[name].shape
            if goal.shape[-1:] != (size,):
                raise ValueError(f"{name} must have {size} numbers in each row, and has the shape {goal.shape}")
            check_finite(name, goal)
        return compute_reward(self, *goals.values(), info)

    return checked
