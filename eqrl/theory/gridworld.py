"""A small grid on which the square's group acts, with a knob that breaks the symmetry."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from eqrl.arrays import Floats, Ints

_ACTIONS = np.array([[1, 0], [0, 1], [-1, 0], [0, -1]])
_QUARTER, _MIRROR = np.array([[0, -1], [1, 0]]), np.array([[1, 0], [0, -1]])


@dataclass(frozen=True)
class Grid:
    """Cells of a square with the origin in the middle, four moves, and a reward for a step into the goal.

    The goal ends an episode. Moves over the edge have no effect.

    Attributes:
        size: cells along each side, an odd number.
        goal: the goal's cell; only (0, 0) keeps the whole group D4 of the square.
        wind: probability with which a move becomes one along +x, which leaves the mirror y -> -y alone.
        horizon: steps of an episode.

    Raises:
        ValueError: for an even or too small size, a goal outside, a wind outside [0, 1], or no steps.
    """

    size: int = 7
    goal: tuple[int, int] = (0, 0)
    wind: float = 0.0
    horizon: int = 8

    def __post_init__(self) -> None:
        """Refuse what is no grid."""
        if self.size < 3 or self.size % 2 == 0:
            raise ValueError(f"size={self.size}: the origin is the middle cell, so give an odd number of at least 3")
        if max(map(abs, self.goal)) > self.size // 2:
            raise ValueError(f"goal={self.goal} lies outside; coordinates go to {self.size // 2}")
        if not 0.0 <= self.wind <= 1.0:
            raise ValueError(f"wind={self.wind} is not a probability")
        if self.horizon < 1:
            raise ValueError(f"horizon={self.horizon}: give at least one step")

    # ------------------------------------------------------------------ what there is
    @cached_property
    def cells(self) -> Ints:
        """Coordinates of the cells, ``(S, 2)``."""
        line = np.arange(self.size) - self.size // 2
        return np.stack(np.meshgrid(line, line, indexing="ij"), axis=-1).reshape(-1, 2)

    @property
    def states(self) -> int:
        """Number of cells S."""
        return self.size**2

    @property
    def actions(self) -> int:
        """Number of actions A = 4: along +x, +y, -x and -y."""
        return len(_ACTIONS)

    @cached_property
    def pairs(self) -> Floats:
        """Cell and move of every pair of state and action, row ``s * A + a`` of shape ``(S * A, 4)``.

        D4 acts on rows by orthogonal matrices.
        """
        cells = np.repeat(self.cells, self.actions, axis=0)
        return np.concatenate([cells, np.tile(_ACTIONS, (self.states, 1))], axis=1).astype(np.float64)

    # ------------------------------------------------------------------ the process
    @cached_property
    def goal_state(self) -> int:
        """Index of the goal's cell."""
        return self._index(np.array(self.goal))

    @cached_property
    def transitions(self) -> Floats:
        """P(s' | s, a), shape ``(S, A, S)``. The goal leads to itself."""
        half, P = self.size // 2, np.zeros((self.states, self.actions, self.states))
        targets = np.clip(self.cells[:, None] + _ACTIONS, -half, half)
        arrive = np.array([[self._index(cell) for cell in row] for row in targets])
        states, actions = np.ogrid[: self.states, : self.actions]
        np.add.at(P, (states, actions, arrive), 1.0 - self.wind)
        np.add.at(P, (states, actions, arrive[:, :1]), self.wind)
        P[self.goal_state] = 0.0
        P[self.goal_state, :, self.goal_state] = 1.0
        return P

    @cached_property
    def rewards(self) -> Floats:
        """Expected reward of a step, shape ``(S, A)``: the probability of stepping into the goal."""
        R = self.transitions[..., self.goal_state].copy()
        R[self.goal_state] = 0.0
        return R

    # ------------------------------------------------------------------ the group
    @cached_property
    def group(self) -> list[tuple[Ints, Ints]]:
        """The elements of D4, the identity first: images of cells and of actions, ``(S,)`` and ``(4,)``."""
        matrices = [np.linalg.matrix_power(_QUARTER, k) @ m for m in (np.eye(2, dtype=int), _MIRROR) for k in range(4)]
        elements = []
        for matrix in matrices:
            cells = np.array([self._index(c) for c in self.cells @ matrix.T])
            moves = _ACTIONS @ matrix.T
            elements.append((cells, np.array([int((m == _ACTIONS).all(1).argmax()) for m in moves])))
        return elements

    def on_pairs(self, element: tuple[Ints, Ints]) -> Ints:
        """Where an element takes the rows of :attr:`pairs`, ``(S * A,)``."""
        cells, moves = element
        return np.asarray((cells[:, None] * self.actions + moves).ravel())

    @cached_property
    def orbits(self) -> Ints:
        """Number of each pair's orbit under D4, ``(S * A,)``."""
        smallest = np.min([self.on_pairs(g) for g in self.group], axis=0)
        return np.asarray(np.unique(smallest, return_inverse=True)[1])

    def symmetry_error(self, element: tuple[Ints, Ints]) -> float:
        """Largest change of transition probabilities and rewards under an element; 0 if it is a symmetry."""
        cells, moves = element
        states, actions = np.ix_(cells, moves)
        P, R = self.transitions[states, actions][..., cells], self.rewards[states, actions]
        return float(max(np.abs(P - self.transitions).max(), np.abs(R - self.rewards).max()))

    def _index(self, cell: Ints) -> int:
        half = self.size // 2
        return int((cell[0] + half) * self.size + cell[1] + half)


def optimal_values(P: Floats, R: Floats, horizon: int) -> Floats:
    """Optimal Q-values of a process with finitely many steps, ``(horizon, S, A)``.

    Args:
        P: transition probabilities, ``(S, A, S)``.
        R: expected rewards, ``(S, A)``.
        horizon: number of steps.
    """
    Q = np.zeros((horizon, *R.shape))
    V = np.zeros(len(R))
    for h in reversed(range(horizon)):
        Q[h] = R + P @ V
        V = Q[h].max(axis=1)
    return Q
