"""What a known invariance is worth to kernel methods, with the published sizes: 7 x 7 cells, 4 moves, D4."""

import numpy as np
import pytest

from eqrl.theory import Grid, averaged, episodes_to_optimum, information_gain, rank, rbf


@pytest.fixture(scope="module")
def grams():
    grid = Grid()
    gram = rbf(grid.pairs, 0.5)
    elements = [grid.on_pairs(g) for g in grid.group]
    return grid, gram, averaged(gram, elements), elements


def test_averaged_kernel_is_invariant_and_positive(grams):
    _, gram, mean, elements = grams
    for g in elements:
        np.testing.assert_allclose(mean[g], mean, atol=1e-14)
        np.testing.assert_allclose(mean[:, g], mean, atol=1e-14)
    assert np.abs(gram[elements[1]] - gram).max() > 0.1
    assert np.linalg.eigvalsh(mean)[0] > -1e-12
    # the Gaussian kernel is invariant itself, so that one average is enough
    np.testing.assert_allclose(mean, np.mean([gram[g] for g in elements], axis=0), atol=1e-14)


def test_rank_is_the_number_of_orbits(grams):
    grid, gram, mean, _ = grams
    assert (rank(gram), rank(mean)) == (196, 28)
    assert grid.orbits.max() + 1 == 28


def test_information_gain_falls_by_almost_the_order_of_the_group(grams):
    _, gram, mean, _ = grams
    assert information_gain(gram, noise=0.3) == pytest.approx(240.0, rel=0.01)
    assert information_gain(mean, noise=0.3) == pytest.approx(34.0, rel=0.02)


def test_the_group_is_that_of_the_process_until_something_breaks_it():
    def errors(grid):
        return np.array([grid.symmetry_error(g) for g in grid.group])

    assert errors(Grid()).max() == 0.0
    assert (errors(Grid(goal=(2, 1))) == 0.0).sum() == 1
    windy = errors(Grid(wind=0.2))
    assert (windy == 0.0).sum() == 2
    assert windy.max() == pytest.approx(0.2)


def test_fewer_episodes_on_the_symmetric_grid_and_none_suffice_on_a_broken_one():
    symmetric, broken = Grid(size=5, horizon=5), Grid(size=5, horizon=5, goal=(1, 0))
    gram = rbf(symmetric.pairs)
    mean = averaged(gram, [symmetric.on_pairs(g) for g in symmetric.group])
    plain = episodes_to_optimum(symmetric, gram, most=300)
    sharing = episodes_to_optimum(symmetric, mean, most=300)
    assert plain is not None
    assert sharing is not None
    assert sharing < plain / 4
    assert episodes_to_optimum(broken, gram, most=300) is not None
    assert episodes_to_optimum(broken, mean, most=120) is None


@pytest.mark.parametrize(
    ("options", "words"),
    [({"size": 4}, "odd"), ({"goal": (9, 0)}, "outside"), ({"wind": 2.0}, "probability"), ({"horizon": 0}, "step")],
)
def test_what_is_no_grid_is_refused(options, words):
    with pytest.raises(ValueError, match=words):
        Grid(**options)
