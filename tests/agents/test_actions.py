"""The radial squash and the equivariant Gaussian."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium import spaces

from eqrl.agents import BallNoise, BreaksSymmetryError
from eqrl.agents.actions import ActionGeometry
from eqrl.agents.distributions import EquivariantGaussian
from eqrl.symmetry import O2, SO2, SO3, TRIVIAL, EntitySet, Field, Generator, Representation, TypedBox, finite_group

MIXED = Representation((Field("f", "1x1o"), Field("s", "2x0e"), Field("p", "2x1o", horizontal=True)), group=SO2)
BOUNDS = np.float32([2.0] * 3 + [0.7, 0.3] + [1.5] * 2 + [0.5] * 2)


def geometry(unit: bool) -> ActionGeometry:
    return ActionGeometry(TypedBox(MIXED, -BOUNDS, BOUNDS), unit=unit).double()


@pytest.mark.parametrize("unit", [True, False])
@pytest.mark.parametrize("scale", [1e-3, 0.3, 2.0])
def test_log_det_is_the_jacobian(unit, scale):
    ball = geometry(unit)
    u = torch.randn(5, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * scale
    for row, log_det in zip(u, ball.log_det(u), strict=True):
        jacobian = torch.autograd.functional.jacobian(lambda x: ball.squash(x[None])[0], row)
        assert log_det.item() == pytest.approx(torch.linalg.slogdet(jacobian).logabsdet.item(), abs=1e-8)


@pytest.mark.parametrize("unit", [True, False])
def test_unsquash_inverts(unit):
    ball = geometry(unit)
    u = torch.randn(100, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(ball.unsquash(ball.squash(u)), u, atol=1e-9)


def test_squash_commutes_with_rotations_and_stays_inside():
    ball = geometry(unit=False)
    u = torch.randn(200, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 3
    g = SO2.sample(200, rng=0)
    assert torch.allclose(ball.squash(MIXED.transform(u, g)), MIXED.transform(ball.squash(u), g), atol=1e-12)
    assert (ball.squash(u)[:, :3].norm(dim=-1) < 2.0).all()
    assert (ball.squash(u)[:, 5:7].norm(dim=-1) < 1.5).all()
    assert torch.equal(ball.squash(u)[:, 3:5], u[:, 3:5])  # PPO leaves scalars to SB3's clip


def test_bounded_means_are_short_turn_along_and_hardly_move_when_small():
    shape = geometry(unit=False)
    mean = torch.randn(64, shape.dim, dtype=torch.float64) * torch.logspace(-3, 3, 64, dtype=torch.float64)[:, None]
    moved = shape.double().bound(mean)
    squashed = shape.squashed
    blocks = (moved.square() @ shape.same).sqrt()
    assert (blocks[:, squashed] <= 3.0 + 1e-9).all()
    assert torch.equal(moved[:, ~squashed], mean[:, ~squashed])
    torch.testing.assert_close(moved[0], mean[0], rtol=1e-4, atol=1e-9)
    g = shape.representation.group.sample(rng=0)
    rep = shape.representation
    torch.testing.assert_close(shape.bound(rep.transform(mean, g)), rep.transform(moved, g), atol=1e-10, rtol=0)


def test_importance_ratios_stay_tame_where_the_policy_is_saturated():
    # a change of 1% in the output of the network must not change log-probabilities by orders of magnitude
    plane = TypedBox(Representation((Field("v", "1x1o", horizontal=True),), group=SO2), -1.0, 1.0)
    distribution = EquivariantGaussian(ActionGeometry(plane, unit=False))
    bound = distribution.geometry.bound
    torch.manual_seed(0)
    wanted, log_std = 20.0 * torch.randn(2000, 2), torch.tensor([-1.0])
    actions = distribution.proba_distribution(bound(wanted), log_std).sample()
    before = distribution.log_prob(actions)
    after = distribution.proba_distribution(bound(1.01 * wanted), log_std).log_prob(actions)
    assert (after - before).abs().max() < 1.0
    unbounded = distribution.proba_distribution(wanted, log_std).log_prob(actions)
    moved = distribution.proba_distribution(1.01 * wanted, log_std).log_prob(actions)
    assert (moved - unbounded).abs().max() > 10.0  # what the bound is for


def test_extreme_inputs_are_finite():
    ball = ActionGeometry(TypedBox(MIXED, -BOUNDS, BOUNDS), unit=True)
    for size in (0.0, 1e-30, 1e-6, 50.0, 1e6):
        u = torch.full((1, 9), size, requires_grad=True)
        a = ball.squash(u)
        (a.sum() + ball.log_det(u).sum()).backward()
        assert a.isfinite().all()
        assert u.grad.isfinite().all()
    rim = torch.zeros(1, 9)
    rim[0, 0] = 1.0
    assert ball.unsquash(rim).isfinite().all()


def test_box_clip_never_touches_the_ball():
    box = TypedBox(Representation((Field("f", "1x1o"),), group=SO3), -0.3, 0.3)
    ball = ActionGeometry(box, unit=False)
    u = torch.cat([torch.eye(3) * 30, torch.randn(1000, 3) * 10])
    a = ball.squash(u).numpy()
    assert np.array_equal(np.clip(a, box.low, box.high), a)


def test_projection_shortens_vectors_only():
    ball = geometry(unit=True)
    a = torch.ones(1, 9, dtype=torch.float64)
    b = ball.project(a)[0]
    assert b[:3].norm().item() == pytest.approx(1.0)
    assert torch.equal(b[3:5], a[0, 3:5])
    inside = a * 0.1
    assert torch.equal(ball.project(inside), inside)


def test_unbounded_vectors_are_not_squashed():
    box = TypedBox(Representation((Field("f", "1x1o"),), group=SO3))
    assert not ActionGeometry(box, unit=False).any_squashed


@pytest.mark.parametrize("unit", [True, False])
def test_density_is_invariant_and_normalised(unit):
    """log_prob(g a | g s) = log_prob(a | s), and the density integrates to one over a disc."""
    rep = Representation((Field("p", "1x1o", horizontal=True),), group=O2)
    ball = ActionGeometry(TypedBox(rep, -1.5, 1.5), unit=unit).double()
    gaussian = EquivariantGaussian(ball)
    radius = 1.0 if unit else 1.5
    mean, log_std = torch.tensor([[0.4, -0.2]], dtype=torch.float64), torch.tensor([-0.6], dtype=torch.float64)
    edge = (torch.arange(1500, dtype=torch.float64) + 0.5) / 1500 * 2 * radius - radius
    grid = torch.cartesian_prod(edge, edge)
    grid = grid[grid.norm(dim=-1) < radius]
    density = gaussian.proba_distribution(mean.expand(len(grid), 2), log_std).log_prob(grid).exp()
    assert (density.sum() * (edge[1] - edge[0]) ** 2).item() == pytest.approx(1.0, abs=1e-3)
    g = O2.sample(rng=1)
    before = gaussian.proba_distribution(mean.expand(9, 2), log_std).log_prob(grid[::200000][:9])
    after = gaussian.proba_distribution(rep.transform(mean, g).expand(9, 2), log_std)
    assert torch.allclose(
        after.log_prob(rep.transform(grid[::200000][:9], g)), before[: len(after.log_prob(grid[::200000][:9]))]
    )


def test_noise_is_round():
    rep = Representation((Field("f", "1x1o"),), group=SO3)
    gaussian = EquivariantGaussian(ActionGeometry(TypedBox(rep, -1, 1), unit=True))
    assert gaussian.orbits == 1
    torch.manual_seed(0)
    a = gaussian.proba_distribution(torch.zeros(200_000, 3), torch.zeros(1)).sample()
    covariance = torch.cov(a.T)
    assert torch.allclose(covariance, covariance[0, 0] * torch.eye(3), atol=3e-3)


def test_gravity_has_its_own_width():
    gaussian = EquivariantGaussian(
        ActionGeometry(TypedBox(Representation((Field("f", "1x1o"),), group=SO2), -1, 1), unit=True)
    )
    assert gaussian.orbits == 2


def test_scalars_equal_torch_normal_and_its_entropy():
    rep = Representation((Field("s", "3x0e"),), group=SO2)
    gaussian = EquivariantGaussian(ActionGeometry(TypedBox(rep, -1, 1), unit=False))
    mean, log_std, a = torch.randn(3, 7, 3)
    distribution = gaussian.proba_distribution(mean, log_std[0])
    expected = torch.distributions.Normal(mean, log_std[0].exp())
    assert torch.allclose(distribution.log_prob(a), expected.log_prob(a).sum(-1), atol=1e-5)
    assert torch.allclose(distribution.entropy(), expected.entropy().sum(-1), atol=1e-5)
    assert torch.equal(distribution.mode(), mean)


def test_squashed_entropy_is_unbiased_and_has_a_gradient():
    rep = Representation((Field("f", "1x1o"),), group=SO3)
    gaussian = EquivariantGaussian(ActionGeometry(TypedBox(rep, -1, 1), unit=False))
    log_std = torch.tensor([-0.5], requires_grad=True)
    torch.manual_seed(0)
    distribution = gaussian.proba_distribution(torch.full((100_000, 3), 0.3), log_std)
    entropy = distribution.entropy().mean()
    entropy.backward()
    assert log_std.grad.item() > 0.1
    with torch.no_grad():
        sampled = -distribution.log_prob(distribution.sample()).mean()
    assert entropy.item() == pytest.approx(sampled.item(), abs=0.02)


def test_log_prob_from_params_agrees_with_the_inverse():
    gaussian = EquivariantGaussian(geometry(unit=True))
    mean, log_std = torch.randn(50, 9, dtype=torch.float64), torch.zeros(50, gaussian.orbits, dtype=torch.float64)
    a, log_prob = gaussian.log_prob_from_params(mean, log_std)
    assert torch.allclose(gaussian.log_prob(a), log_prob, atol=1e-4)  # the rim is clamped


def swapped(bounds, sign=1.0):
    pair = EntitySet("arms", ("arm", "arm"))
    group = finite_group("exchange", [Generator.of("swap", None, {"arms": sign * np.eye(2)[[1, 0]]})])
    rep = Representation((Field("torque", "1x0e", entities="arms"),), (pair,), group)
    return TypedBox(rep, np.float32([-b for b in bounds]), np.float32(bounds))


def test_boxes_that_a_group_does_not_keep_are_refused():
    ActionGeometry(swapped([1.0, 1.0]), unit=True)
    with pytest.raises(BreaksSymmetryError, match=r"torque.*swap"):
        ActionGeometry(swapped([1.0, 2.0]), unit=True)
    ActionGeometry(swapped([1.0, 2.0]), TRIVIAL, unit=True)
    box = swapped([1.0, 1.0], sign=-1.0)
    box.low = box.low * 0  # a joint that changes its sign needs symmetric bounds
    with pytest.raises(BreaksSymmetryError, match="symmetric"):
        ActionGeometry(box, unit=True)
    cube = TypedBox(Representation((Field("f", "1x1o"),), group=SO3), -1, 1)
    cube.high = np.float32([1, 1, 2])  # TypedBox refuses this itself; a wrapper may do it later
    with pytest.raises(BreaksSymmetryError, match="not a ball"):
        ActionGeometry(cube, unit=True)


def test_exchanged_vectors_need_equal_radii():
    pair = EntitySet("arms", ("arm", "arm"))
    group = finite_group("exchange", [Generator.of("swap", None, {"arms": np.eye(2)[[1, 0]]})])
    rep = Representation((Field("force", "1x1o", entities="arms"),), (pair,), group)
    high = np.float32([1, 1, 1, 2, 2, 2])
    with pytest.raises(BreaksSymmetryError, match="force"):
        ActionGeometry(TypedBox(rep, -high, high), unit=True)


def test_ball_noise_is_cut_off_by_length():
    box = TypedBox(MIXED, -BOUNDS, BOUNDS)
    np.random.seed(0)
    noise = BallNoise(box, sigma=1.0, limit=0.5)
    draws = np.stack([noise() for _ in range(4000)])
    assert np.linalg.norm(draws[:, :3], axis=1).max() <= 0.5 + 1e-6
    covariance = np.cov(draws[:, :3].T)
    assert np.allclose(covariance, covariance[0, 0] * np.eye(3), atol=0.01)
    assert isinstance(box, spaces.Box)
    assert "sigma" in repr(noise)
