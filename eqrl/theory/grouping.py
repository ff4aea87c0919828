"""Action grouping: in a state that some elements leave alone, actions that these exchange are one.

Two actions may be taken as one in state s if an element that fixes s (its stabiliser) moves one to the other. Orbits of
actions under the whole group are no such groups: in most states, to go east and to go north are not the same. If what
is grouped is equal up to a weight beta, the best policy on groups loses at most an amount linear in beta (Li, Ju and
Shroff, "Achieving sample and computational efficient reinforcement learning by action space reduction via grouping",
ICLR 2024, arXiv 2306.12981).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from eqrl.arrays import Floats, Ints


def action_groups(elements: Sequence[tuple[Ints, Ints]], states: int, actions: int) -> Ints:
    """Orbits of the actions of every state under its stabiliser.

    Args:
        elements: where each element of the group takes states and actions.
        states: number of states S.
        actions: number of actions A.

    Returns:
        The smallest member of each action's group, ``(S, A)``.
    """
    groups = np.tile(np.arange(actions), (states, 1))
    for where, moves in elements:
        fixed = np.flatnonzero(where == np.arange(states))
        # the elements of a stabiliser are a group, so the smallest image is the same for all of an orbit
        groups[fixed] = np.minimum(groups[fixed], moves)
    return groups


def representatives(groups: Ints) -> list[Ints]:
    """One action of each group in each state: the actions from which a policy on groups chooses."""
    return [np.unique(row) for row in groups]


def grouped_policy(P: Floats, R: Floats, discount: float, groups: Ints) -> Ints:
    """The best policy among those that choose a representative, by value iteration.

    Args:
        P: transition probabilities, ``(S, A, S)``.
        R: expected rewards, ``(S, A)``.
        discount: at least 0 and below 1.
        groups: representatives, ``(S, A)``; ``np.arange(A)`` in every row for no grouping.

    Returns:
        Actions, ``(S,)``.

    Raises:
        ValueError: for another discount.
    """
    _check_discount(discount)
    S, A = R.shape
    excluded = np.ones((S, A), dtype=bool)
    np.put_along_axis(excluded, groups, False, axis=1)
    V = np.zeros(S)
    for _ in range(int(np.ceil(np.log(1e-12) / np.log(max(discount, 1e-300))))):
        V = np.where(excluded, -np.inf, R + discount * P @ V).max(axis=1)
    return np.asarray(np.where(excluded, -np.inf, R + discount * P @ V).argmax(axis=1))


def policy_values(P: Floats, R: Floats, discount: float, policy: Ints) -> Floats:
    """Discounted values of a policy, ``(S,)``; arguments as of :func:`grouped_policy`."""
    _check_discount(discount)
    states = np.arange(len(R))
    return np.asarray(np.linalg.solve(np.eye(len(R)) - discount * P[states, policy], R[states, policy]))


def _check_discount(discount: float) -> None:
    if not 0.0 <= discount < 1.0:
        raise ValueError(f"discount={discount:g}: give at least 0 and less than 1, or values do not converge")
