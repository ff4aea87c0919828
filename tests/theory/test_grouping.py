"""Actions that the stabiliser of a state exchanges may be taken as one; those that the group exchanges may not."""

import numpy as np
import pytest

from eqrl.theory import Grid, action_groups, grouped_policy, policy_values, representatives

DISCOUNT = 0.9


@pytest.fixture(scope="module")
def groups():
    grid = Grid(size=5)
    return action_groups(grid.group, grid.states, grid.actions)


def solve(grid, groups):
    policy = grouped_policy(grid.transitions, grid.rewards, DISCOUNT, groups)
    return policy_values(grid.transitions, grid.rewards, DISCOUNT, policy)


def free(grid):
    return np.tile(np.arange(grid.actions), (grid.states, 1))


def test_groups_follow_the_stabiliser(groups):
    grid = Grid(size=5)
    sizes = {tuple(cell): len(r) for cell, r in zip(grid.cells, representatives(groups), strict=True)}
    assert sizes[(0, 0)] == 1  # everything fixes the middle
    assert sizes[(2, 0)] == 3  # a mirror exchanges up and down
    assert sizes[(1, 1)] == 2  # so does that on the diagonal
    assert sizes[(2, 1)] == 4


def test_nothing_is_lost_where_the_symmetry_holds(groups):
    grid = Grid(size=5)
    np.testing.assert_allclose(solve(grid, groups), solve(grid, free(grid)), atol=1e-10)


def test_orbits_of_actions_alone_lose(groups):
    grid = Grid(size=5)
    everywhere_one = np.zeros((grid.states, grid.actions), dtype=int)
    assert (solve(grid, free(grid)) - solve(grid, everywhere_one)).max() > 0.5


def test_loss_is_at_most_linear_in_the_breaking(groups):
    symmetric, losses = Grid(size=5), []
    for wind in (0.0, 0.05, 0.1, 0.2):
        grid = Grid(size=5, wind=wind)
        loss = float((solve(grid, free(grid)) - solve(grid, groups)).max())
        change = np.abs(grid.rewards - symmetric.rewards).max()
        moved = np.abs(grid.transitions - symmetric.transitions).sum(-1).max()
        # simulation lemma, once for each of the two policies; values lie between 0 and 1
        bound = 2.0 * (change + DISCOUNT * moved / 2.0) / (1.0 - DISCOUNT)
        assert -1e-12 <= loss <= bound + 1e-12
        losses.append(loss)
    assert losses[0] == pytest.approx(0.0, abs=1e-10)
    assert losses[-1] > 1e-3


@pytest.mark.parametrize("discount", [1.0, 1.5, -0.1, np.nan])
def test_values_that_do_not_converge_are_refused(groups, discount):
    grid = Grid(size=5)
    with pytest.raises(ValueError, match="discount="):
        grouped_policy(grid.transitions, grid.rewards, discount, groups)
    with pytest.raises(ValueError, match="discount="):
        policy_values(grid.transitions, grid.rewards, discount, groups[:, 0])


def test_without_a_future_the_next_reward_decides(groups):
    grid = Grid(size=5)
    policy = grouped_policy(grid.transitions, grid.rewards, 0.0, free(grid))
    np.testing.assert_array_equal(policy, grid.rewards.argmax(axis=1))
