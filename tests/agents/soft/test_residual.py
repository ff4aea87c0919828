"""Residual pathways and thresholds: free weights serve a task that needs them, and are exactly zero in others."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from plane import C4, Plane
from scipy.optimize import minimize
from stable_baselines3 import PPO

from eqrl.agents import EquivariantPolicy, make_prior
from eqrl.agents.soft.proximal import proximal_step
from eqrl.agents.soft.residual import free_share
from eqrl.nn import build
from eqrl.nn.residual import FREE_RATE, Softened
from eqrl.symmetry import EntitySet, Field, Generator, Representation, finite_group

# two joints that a mirror exchanges and reverses
MIRROR = finite_group("C2", [Generator.of("mirror", None, {"joints": -np.eye(2)[::-1]})])
JOINTS = Representation((Field("angles", "2x0e", entities="joints"),), (EntitySet("joints", ("joint",) * 2),), MIRROR)
TORQUES = Representation((Field("torques", "1x0e", entities="joints"),), JOINTS.entities, MIRROR)
BROKEN = 0.3


def fitted(prior_name, breaking, strength, steps=300):
    """A small network fitted to an equivariant map plus a broken one, on an orbit of data."""
    torch.manual_seed(0)
    x = torch.randn(64, JOINTS.dim)
    g = MIRROR.generators[0][1]
    teacher = build("regular", JOINTS, TORQUES, hidden=(16, 16))
    x = torch.cat([x, JOINTS.transform(x, g)])
    with torch.no_grad():
        y = teacher(x) + breaking * torch.sin(x[:, :1])
    net = build("residual", JOINTS, TORQUES, hidden=(16, 16))
    prior = make_prior(prior_name, strength=strength)
    prior.actor = prior.networks = [net]
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps, 1e-4)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = (net(x) - y).square().mean()
        term = prior.policy_term(None, None)
        (loss if term is None else loss + term).backward()
        optimizer.step()
        prior.after_step(optimizer)
        schedule.step()
    return net, float(loss.detach())


def test_gradients_of_the_two_decays():
    net = build("residual", JOINTS, TORQUES, hidden=(8, 8))
    prior = make_prior("residual", strength=0.7, exact_strength=0.2)
    prior.actor = [net]
    prior.policy_term(None, None).backward()
    assert all(torch.allclose(p.grad, 0.7 * p) for p in net.free_parameters())
    assert all(torch.allclose(p.grad, 0.2 * p) for p in net.exact_parameters())


def test_more_weight_moves_to_the_free_pathway_on_a_broken_task():
    (symmetric, _), (broken, loss) = (fitted("residual", breaking, 1e-3) for breaking in (0.0, BROKEN))
    assert free_share([broken]) > 3.0 * free_share([symmetric])
    assert loss < 0.5 * BROKEN**2 * 0.43  # of the mean square of the sine: it does learn what is broken


def test_free_weights_move_slowly_under_adam():
    """Adam moves each parameter by the learning rate; the map moves by a tenth of it on account of the free ones."""
    net = build("residual", JOINTS, TORQUES, hidden=(8, 8))
    layers = [module for module in net.modules() if isinstance(module, Softened)]

    def free():
        return [(layer.dense()[0] - layer.exact.dense()[0]).detach() for layer in layers]

    before = free()
    net(torch.randn(16, JOINTS.dim)).square().sum().backward()
    torch.optim.Adam(net.parameters(), lr=0.01).step()
    steps = [float((b - a).abs().max()) for a, b in zip(before, free(), strict=True)]
    assert steps == pytest.approx([0.01 * FREE_RATE] * 3, rel=0.01)


def test_what_is_equivariant_is_absorbed():
    """The map stays, the free weights keep what breaks the symmetry, and a second time changes nothing."""
    for hidden in ((8, 8), ()):
        torch.manual_seed(0)
        net = build("residual", JOINTS, TORQUES, hidden=hidden).double()
        with torch.no_grad():
            for parameter in net.free_parameters():
                parameter += torch.randn_like(parameter)
        x = torch.randn(8, JOINTS.dim, dtype=torch.float64)
        before, breaking = net(x), net.breaking()
        net.absorb()
        assert torch.allclose(net(x), before, atol=1e-12)
        free = [parameter.detach().clone() for parameter in net.free_parameters()]
        assert all(torch.allclose(FREE_RATE * a, b) for a, b in zip(free, breaking, strict=True))
        net.absorb()
        assert all(torch.allclose(a, b) for a, b in zip(free, net.free_parameters(), strict=True))


def test_exact_zeros_on_a_symmetric_task_only():
    (symmetric, fit), (broken, loss) = (fitted("thresholded", breaking, 1e-3) for breaking in (0.0, BROKEN))
    norms = [[float(part[0].detach().norm()) for part in net.free_parts()] for net in (symmetric, broken)]
    assert norms[0] == [0.0, 0.0, 0.0]
    assert fit < 5e-3
    assert max(norms[1]) > 0.01
    assert loss < 0.5 * BROKEN**2 * 0.43


def test_the_decay_of_a_product_is_a_group_lasso():
    """``min (u^2 + ||V'||^2) / 2`` over ``u V' = M`` is ``||M||``."""
    m = np.random.default_rng(0).normal(size=(4, 3))
    least = minimize(lambda u: 0.5 * (u[0] ** 2 + np.sum((m / u[0]) ** 2)), [1.0]).fun
    assert least == pytest.approx(np.linalg.norm(m), rel=1e-6)


@pytest.mark.parametrize("share", [0.3, 0.9, 1.1])
def test_proximal_step_is_the_minimiser(share):
    """In the metric of Adam; zero beyond the threshold at which the facts say so."""
    torch.manual_seed(0)
    w = torch.nn.Parameter(torch.randn(6, dtype=torch.float64))
    optimizer = torch.optim.Adam([w], lr=0.1)
    for scale in (1.0, 0.1):
        w.grad = scale * torch.randn(6, dtype=torch.float64)
        optimizer.step()
    state = optimizer.state[w]
    h = ((state["exp_avg_sq"] / (1 - 0.999 ** float(state["step"]))).sqrt() + 1e-8).numpy()
    start = w.detach().numpy().copy()
    threshold = share * np.linalg.norm(h * start)

    def penalised(z):
        return 0.5 * np.sum(h * (z - start) ** 2) + threshold * np.linalg.norm(z)

    proximal_step([w], optimizer, threshold)
    z = w.detach().numpy()
    assert (np.linalg.norm(z) == 0.0) == (share > 1.0)
    best = minimize(penalised, start, method="Nelder-Mead", options={"maxiter": 20_000, "xatol": 1e-9, "fatol": 1e-13})
    assert penalised(z) <= best.fun + 1e-9


def test_a_policy_of_a_symmetric_world_becomes_exact():
    model = PPO(
        EquivariantPolicy,
        Plane(C4),
        n_steps=256,
        n_epochs=4,
        seed=0,
        device="cpu",
        policy_kwargs={"network": "residual", "network_kwargs": {"hidden": (16, 16)}},
    )
    prior = make_prior("thresholded", strength=1.0)
    prior.attach(model)
    model.learn(512)
    assert not any(
        bool(p.any()) for net in (model.policy.action_net, model.policy.value_net) for p in net.free_parameters()
    )
    with pytest.raises(
        ValueError, match=r"works on the pathways of network 'residual', and this policy has .*--network"
    ):
        make_prior("residual").attach(PPO("MlpPolicy", Plane(C4), n_steps=64))
