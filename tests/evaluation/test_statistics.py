import numpy as np
import pytest

from eqrl.evaluation.statistics import bootstrap_interval, interquartile_mean, mean_interval, wilson_interval


def test_wilson_against_published_values():
    # Newcombe (1998), table I: 81 of 263 and 0 of 20
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)
    assert wilson_interval(20, 20)[1] == 1.0


def test_interquartile_mean_is_the_trimmed_mean():
    x = np.random.default_rng(0).standard_normal((3, 8))
    np.testing.assert_allclose(interquartile_mean(x), np.sort(x, axis=1)[:, 2:6].mean(axis=1))
    np.testing.assert_allclose(interquartile_mean(np.array([1.0, 5.0, 9.0])), 5.0)


def test_bootstrap_covers_the_mean_and_keeps_constants():
    x = np.random.default_rng(0).standard_normal((2, 50))
    low, high = bootstrap_interval(x)
    assert np.all(low < 0.2)
    assert np.all(high > -0.2)
    low, high = bootstrap_interval(np.full((2, 5), 0.7))
    np.testing.assert_allclose([low, high], 0.7)


def test_mean_interval_of_one_value():
    assert mean_interval([2.0]) == (2.0, 2.0)


def test_mean_interval_covers_the_mean_of_three_values():
    x = np.random.default_rng(0).standard_normal((4000, 3))
    low, high = np.array([mean_interval(row) for row in x]).T
    assert np.mean((low < 0.0) & (high > 0.0)) == pytest.approx(0.95, abs=0.01)


def test_mean_interval_of_equal_values():
    assert mean_interval([2.0, 2.0, 2.0]) == (2.0, 2.0)


def test_wilson_of_nothing():
    assert wilson_interval(0, 0) == (0.0, 1.0)
