"""Rows of one episode are found in a log of any order, and long ones are cut only where they forget their start."""

import numpy as np

from eqrl.discovery.episodes import episodes_of, independent_groups


def log(lengths, goal=False):
    rng = np.random.default_rng(0)
    walks = [rng.normal(size=(n + 1, 2)) for n in lengths]
    if goal:
        walks = [np.concatenate([w, np.full((len(w), 1), i)], axis=1) for i, w in enumerate(walks)]
    return np.concatenate([w[:-1] for w in walks]), np.concatenate([w[1:] for w in walks])


def test_episodes_are_found_in_any_order():
    before, after = log([5, 1, 7])
    truth = np.repeat([0, 1, 2], [5, 1, 7])
    for order in (np.arange(13), np.random.default_rng(1).permutation(13)):
        found = episodes_of(before[order], after[order])
        np.testing.assert_array_equal(found[:, None] == found, truth[order][:, None] == truth[order])


def test_episodes_with_equal_starts_are_different_ones():
    before, after = log([4, 4])
    before[[0, 4]] = 0.0
    assert len(set(episodes_of(before, after))) == 2


def test_many_episodes_are_the_groups():
    before, after = log([30] * 8, goal=True)
    np.testing.assert_array_equal(independent_groups(before, after), np.repeat(np.arange(8), 30))


def test_few_long_episodes_are_cut_unless_each_has_its_own_goal():
    assert len(set(independent_groups(*log([240, 240])))) == 24
    assert independent_groups(*log([240, 240], goal=True)) is None
