"""Coherence and saliency tell what is guaranteed from what is fitted."""

import numpy as np
import pytest
import torch
from plane import Plane
from plane_agents import agent
from stable_baselines3 import PPO

from eqrl.diagnostics import Functions
from eqrl.diagnostics.coherence import coherence, cosines, gradients, metric_products
from eqrl.diagnostics.diagnosis import QUANTITIES, diagnose_model
from eqrl.diagnostics.function_error import function_errors, largest_errors
from eqrl.diagnostics.saliency import mean_cosine, saliency_equivariance
from eqrl.diagnostics.sample import Sample
from eqrl.diagnostics.spaces import Spaces
from eqrl.symmetry import SO2, about_gravity


def turn(model):
    return Spaces(model).group.generators[0][1]


@pytest.mark.parametrize("what", QUANTITIES)
def test_coherence_of_an_exact_network_is_one_before_and_after_training(exact, sample, what):
    for steps in (0, 128):
        if steps:
            exact.learn(steps)
        measured = coherence(Functions(exact), sample, Spaces(exact), turn(exact), what)
        assert measured.orbit == pytest.approx(1.0, abs=1e-6)
        assert measured.orbit_metric == pytest.approx(1.0, abs=1e-6)
        assert measured.random < 0.99


@pytest.mark.parametrize("what", QUANTITIES)
def test_coherence_of_a_plain_network_is_that_of_random_pairs(stock, sample, what):
    measured = coherence(Functions(stock), sample, Spaces(stock), turn(stock), what)
    assert measured.orbit < measured.random + 0.2
    # values have a common mean, on which all samples agree; the metric discounts that
    assert measured.orbit_metric < measured.random_metric + 0.2


def test_a_small_error_is_no_coherence():
    """A network fitted to an equivariant function is off by a percent, and its gradients know nothing of the group."""
    fitted = agent("MlpPolicy")
    functions, spaces = Functions(fitted), Spaces(fitted)
    rng = torch.Generator().manual_seed(0)
    x = 2.0 * torch.rand((512, 4), generator=rng) - 1.0
    optimizer = torch.optim.Adam(fitted.policy.parameters(), lr=3e-3)
    for _ in range(400):
        loss = (functions.actor(x) + x[:, :2] + 0.5 * x[:, 2:]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    inside = Sample(x[:64], torch.randn((64, 2), generator=rng), torch.randn((64, 1), generator=rng))
    error = function_errors(functions, inside, spaces, turn(fitted))["actor"]
    measured = coherence(functions, inside, spaces, turn(fitted), "actor")
    assert error < 0.03
    assert abs(measured.orbit) < 0.3
    verdict = diagnose_model(fitted, inside).candidates[0]
    assert verdict.verdict("actor") == "fitted"


def test_metric_equals_the_explicit_matrix(stock, sample):
    functions, spaces = Functions(stock), Spaces(stock)
    some = sample[:6]
    turned = Sample(
        spaces.observations(some.observations, turn(stock)), spaces.actions(some.actions, turn(stock)), some.targets
    )
    keep = slice(0, 60)  # of the parameters, so that the explicit matrix stays small
    here, there = gradients(functions, some, "actor")[:, keep], gradients(functions, turned, "actor")[:, keep]
    J = torch.cat([here, there])
    eigenvalues = torch.linalg.svdvals(J).square() / len(J)
    chi = torch.linalg.inv(J.T @ J / len(J) + 1e-3 * eigenvalues.mean() * torch.eye(J.shape[1], dtype=J.dtype))
    a, b = metric_products(here, there, 1e-3)
    torch.testing.assert_close(a @ b.T, here @ chi @ there.T, rtol=1e-6, atol=1e-9)


def test_zero_gradients_are_left_out():
    a = torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.0, 2.0]], dtype=torch.float64)
    assert cosines(a, a) == (1.0, 0.0)
    assert cosines(0.0 * a, a) == (0.0, 0.0)


def test_saliency_of_an_exact_network_turns(exact, stock, sample):
    for what in QUANTITIES:
        assert saliency_equivariance(Functions(exact), sample, Spaces(exact), turn(exact), what) == pytest.approx(
            1.0, abs=1e-6
        )
        assert saliency_equivariance(Functions(stock), sample, Spaces(stock), turn(stock), what) < 0.99
    rng = torch.Generator().manual_seed(0)
    a, b = torch.randn((2, 2000, 8), generator=rng)
    assert abs(mean_cosine(a, b)) < 0.05


def test_errors_and_verdicts(exact, stock, sample):
    of_exact, of_stock = diagnose_model(exact, sample[slice(12)]), diagnose_model(stock, sample[slice(12)])
    assert [c.name for c in of_exact.candidates] == [
        "quarter turn", "rotation about gravity", "mirror x -> -x", "mirror y -> -y",
    ]  # fmt: skip
    for what in QUANTITIES:
        assert of_exact.candidates[0].verdict(what) == "exact"
        assert of_exact.candidates[0].errors[what] < 1e-5
        assert of_exact.candidates[1].verdict(what) != "exact"
    assert of_stock.candidates[0].errors["value"] > 0.1
    assert np.isfinite([e for c in of_stock.candidates for e in c.errors.values()]).all()


@pytest.fixture(scope="module")
def turning():
    """An actor that hardly follows a small rotation is far off after a half turn."""
    model = PPO("MlpPolicy", Plane(SO2), n_steps=64, batch_size=32, seed=0, device="cpu")
    rng = torch.Generator().manual_seed(0)
    x = 0.3 * torch.randn((64, 4), generator=rng) + torch.tensor([2.0, 0.0, 0.0, 0.0])
    return model, Sample(x, torch.zeros(64, 2), torch.zeros(64, 1))


@pytest.mark.parametrize("what", QUANTITIES)
def test_coherence_and_saliency_of_continuous_rotations_are_the_least_of_the_same_angles(turning, what):
    model, look = turning
    some, functions, spaces = look[slice(32)], Functions(model), Spaces(model)
    angles = [about_gravity(np.deg2rad(angle)) for angle in (37.0, 74.0, 185.0)]
    (rotation,) = (c for c in diagnose_model(model, look).candidates if c.name == "rotation about gravity")
    cosines_of_gradients = [coherence(functions, some, spaces, g, what).orbit for g in angles]
    assert rotation.coherence[what].orbit == pytest.approx(min(cosines_of_gradients), abs=1e-4)
    assert what == "value" or min(cosines_of_gradients) < cosines_of_gradients[0] - 0.05
    of_saliency = [saliency_equivariance(functions, look, spaces, g, what) for g in angles]
    assert rotation.saliency[what] == pytest.approx(min(of_saliency), abs=1e-4)


def test_continuous_rotations_are_judged_at_the_angle_where_the_error_is_largest(turning):
    model, look = turning
    at = {
        angle: function_errors(Functions(model), look, Spaces(model), about_gravity(np.deg2rad(angle)))["actor"]
        for angle in (37.0, 74.0, 185.0)
    }
    (rotation,) = (c for c in diagnose_model(model, look).candidates if c.name == "rotation about gravity")
    assert rotation.errors["actor"] == pytest.approx(max(at.values()), rel=1e-5)
    assert rotation.errors["actor"] > at[37.0] + 0.05
    quarter = about_gravity(np.deg2rad(90.0))
    assert largest_errors(Functions(model), look, Spaces(model), quarter) == function_errors(
        Functions(model), look, Spaces(model), quarter
    )
