"""The worked example: a channel that adds noise on a clock of six hours, y = x + d mod 6."""

import numpy as np
import pytest

from eqrl.discovery import reverse_annealing
from eqrl.discovery.bottleneck import Bottleneck, fixed_point_map

NOISE = np.array([0.4, 0.25, 0.15, 0.1, 0.06, 0.04])
CHANNEL = np.array([[NOISE[(y - x) % 6] / 6 for y in range(6)] for x in range(6)])
SHIFTS = [(np.arange(6) + k) % 6 for k in range(6)]


@pytest.fixture(scope="module")
def annealed():
    results = reverse_annealing(CHANNEL, [1000, 100, 20, 5, 2])
    return {result.beta: result for result in results}


def test_fine_representation_is_the_six_differences(annealed):
    fine = annealed[1000]
    assert fine.clusters.max() + 1 == 6
    entropy = -(NOISE * np.log(NOISE)).sum()
    assert entropy == pytest.approx(1.5255, abs=5e-5)
    assert fine.information == pytest.approx(entropy, abs=1e-6)
    # one class for each difference, and each difference one class
    by_difference = [{int(fine.classes[x, (x + d) % 6]) for x in range(6)} for d in range(6)]
    assert all(len(classes) == 1 for classes in by_difference)
    assert len(set.union(*by_difference)) == 6


def test_classes_merge_softly_as_beta_falls(annealed):
    assert [annealed[beta].clusters.max() + 1 for beta in (100, 20, 5, 2)] == [6, 4, 3, 2]


def test_equivariances_are_the_common_shifts(annealed):
    assert annealed[100].equivariances(SHIFTS, SHIFTS) == [(k, k) for k in range(6)]
    assert annealed[100].error(SHIFTS[0], SHIFTS[1]) > 0.9


def test_the_fixed_point_is_stationary(annealed):
    """Finite differences of the objective along directions that keep rows normalised."""
    for beta in (20, 5):
        result, rng = annealed[beta], np.random.default_rng(0)
        np.testing.assert_allclose(fixed_point_map(result.kappa, CHANNEL, beta), result.kappa, atol=1e-9)
        for _ in range(4):
            direction = result.kappa * rng.standard_normal(result.kappa.shape)
            direction -= result.kappa * direction.sum(axis=1, keepdims=True)
            step = 1e-5
            up, down = (Bottleneck(beta, result.kappa + s * direction, CHANNEL).objective for s in (step, -step))
            assert abs(up - down) / (2 * step) < 1e-5
            at_random = rng.dirichlet(np.ones(36), 36)
            tangent = at_random * direction / np.maximum(result.kappa, 1e-300)
            tangent -= at_random * tangent.sum(axis=1, keepdims=True)
            up, down = (Bottleneck(beta, at_random + s * tangent, CHANNEL).objective for s in (step, -step))
            assert abs(up - down) / (2 * step) > 1e-4


def test_a_random_start_gets_stuck(annealed):
    for seed in range(3):
        start = np.random.default_rng(seed).dirichlet(np.ones(36), 36)
        stuck = reverse_annealing(CHANNEL, [100], start=start)[0]
        assert stuck.clusters.max() + 1 < 6
        assert stuck.objective > annealed[100].objective + 0.05


def clock(noise):
    return np.array([[noise[(y - x) % len(noise)] / len(noise) for y in range(len(noise))] for x in range(len(noise))])


@pytest.mark.parametrize("rare", [0.0, 1e-12, 1e-6])
def test_pairs_that_hardly_or_never_occur_are_a_class_of_their_own(rare):
    joint = clock([0.7 - 2 * rare, 0.3, rare, rare])
    fine, coarse = reverse_annealing(joint, [1000, 100])
    kept = sum(p * np.log(4 * p) for p in (0.7, 0.3))
    assert fine.divergence == pytest.approx(kept, abs=1e-4)
    assert fine.objective < Bottleneck(1000, np.eye(16), joint).objective
    assert fine.clusters.max() + 1 == 3
    shifts = [(np.arange(4) + k) % 4 for k in range(4)]
    assert coarse.equivariances(shifts, shifts) == [(k, k) for k in range(4)]


def test_a_channel_without_noise_keeps_all_that_it_tells():
    (result,) = reverse_annealing(np.eye(3) / 3, [100])
    assert result.divergence == pytest.approx(np.log(3))
    assert (result.classes == np.eye(3)).all()


@pytest.mark.parametrize(
    ("joint", "betas", "words"),
    [
        (np.ones((2, 2)), [1.0], "sum to 1"),
        (np.array([[0.5, 0.5], [0.0, 0.0]]), [1.0], "never occurs"),
        (np.full((2, 2), np.nan), [1.0], "sum nan"),
        (CHANNEL, [1.0, 2.0], "fall"),
        (CHANNEL, [np.nan], "fall"),
    ],
)
def test_bad_input(joint, betas, words):
    with pytest.raises(ValueError, match=words):
        reverse_annealing(joint, betas)
