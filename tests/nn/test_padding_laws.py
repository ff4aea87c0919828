"""Laws 9 and 10 for networks: padding changes nothing, and networks honour the exchange of members."""

import numpy as np
import pytest
import torch
from nn_cases import error as equivariance_error
from padded_env import representations, resized, with_garbage
from token_network import TokenAttention

from eqrl.nn import BACKBONES
from eqrl.symmetry import EntitySet, Field, Generator, Group, Representation, adjacency, random_exchange, scalars

NETWORKS = {**BACKBONES, TokenAttention.label: TokenAttention}
ROLES = ("actor", "value", "q")


def role(name, slots=5):
    """Input and output; the input of a Q-function holds the action, which uses the mask of the observation."""
    observation, action = representations(slots)
    if name == "actor":
        return observation, action
    out = scalars("out", 3, observation.group)
    return (observation, out) if name == "value" else (observation + action.prefixed("action"), out)


def network(label, role_name, slots=5):
    torch.manual_seed(0)
    net = NETWORKS[label](*role(role_name, slots), hidden=(8,) if label == "steerable" else (16, 16))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return net.double()


def batch(rep, n=12, seed=0):
    """Swarms of two sizes, members first, then padding, which holds zeros only."""
    rng = np.random.default_rng(seed)
    x = torch.as_tensor(rng.standard_normal((n, rep.dim)))
    slots = rep.entity_set("swarm").size
    sizes = rng.choice((2, 4), size=n)
    x[:, rep.slices["real"]] = torch.as_tensor(np.arange(slots) < sizes[:, None]).double()
    for i, size in enumerate(sizes):
        x[i, rep.slices["leader"]] = torch.as_tensor(adjacency([-1] + [0] * (size - 1), slots)).double().flatten()
    return with_garbage(rep, x, 0.0, rng)


def outcome(net, x):
    """Output, and gradients with respect to input and parameters of a loss that depends on every output."""
    x = x.clone().requires_grad_()
    y = net(x)
    net.zero_grad()
    (y * torch.linspace(-1, 2, y.numel(), dtype=torch.float64).view(y.shape)).sum().backward()
    return y.detach(), x.grad, [None if p.grad is None else p.grad.clone() for p in net.parameters()]


@pytest.mark.parametrize("role_name", ROLES)
@pytest.mark.parametrize("label", NETWORKS)
def test_contents_of_padding_change_nothing(label, role_name):
    net = network(label, role_name)
    x = batch(net.in_rep)
    before, x_grad, gradients = outcome(net, x)
    assert before.isfinite().all()
    for size in (1.0, 1e6, np.inf):
        dirty = with_garbage(net.in_rep, x, size, np.random.default_rng(1))
        assert not torch.equal(x, dirty)
        after, dirty_grad, dirty_gradients = outcome(net, dirty)
        assert torch.equal(before, after)
        assert torch.equal(x_grad, dirty_grad)
        assert all(a is b or torch.equal(a, b) for a, b in zip(gradients, dirty_gradients, strict=True))
    # the contents of real slots do matter
    assert not torch.equal(
        before, outcome(net, with_garbage(net.in_rep, x, 1.0, np.random.default_rng(1), masks=1 - _real(x, net)))[0]
    )


def _real(x, net):
    return x[:, net.in_rep.slices["real"]]


@pytest.mark.parametrize("label", NETWORKS)
def test_outputs_of_padding_are_zero(label):
    net = network(label, "actor")
    x = with_garbage(net.in_rep, batch(net.in_rep), 1.0, np.random.default_rng(1))
    y = net.out_rep.split(net(x))
    padding = _real(x, net) == 0
    assert not y["force"].view(-1, 5, 3)[padding].any()
    assert not y["brake"][padding].any()
    assert y["brake"][~padding].all()


@pytest.mark.parametrize("role_name", ROLES)
@pytest.mark.parametrize("label", NETWORKS)
def test_padded_networks_commute_with_their_group(label, role_name):
    net = network(label, role_name)
    x = with_garbage(net.in_rep, batch(net.in_rep), 1.0, np.random.default_rng(1))
    g = net.group.sample(len(x), rng=0)
    with torch.no_grad():
        expected = net.out_rep.transform(net(x), g)
        error = (net(net.in_rep.transform(x, g)) - expected).abs().max() / expected.abs().max()
    assert error < 1e-10


@pytest.mark.parametrize("role_name", ROLES)
@pytest.mark.parametrize("label", [label for label, kind in NETWORKS.items() if kind.exchanges])
def test_more_slots_of_padding_change_nothing(label, role_name):
    net = network(label, role_name)
    larger = network(label, role_name, slots=9)
    larger.load_state_dict(net.state_dict())
    x = batch(net.in_rep)
    wide = resized(net.in_rep, larger.in_rep, x)
    before, _, gradients = outcome(net, x)
    after = larger(with_garbage(larger.in_rep, wide, 1.0, np.random.default_rng(1)))
    assert torch.allclose(resized(larger.out_rep, net.out_rep, after), before, atol=1e-12, rtol=1e-12)
    assert torch.allclose(after, resized(net.out_rep, larger.out_rep, before), atol=1e-12, rtol=1e-12)
    weights = torch.linspace(-1, 2, before.numel(), dtype=torch.float64).view(before.shape)
    (resized(larger.out_rep, net.out_rep, after) * weights).sum().backward()
    for parameter, gradient in zip(larger.parameters(), gradients, strict=True):
        assert parameter.grad is gradient or torch.allclose(parameter.grad, gradient, atol=1e-11, rtol=1e-12)


@pytest.mark.parametrize("role_name", ROLES)
@pytest.mark.parametrize("label", NETWORKS)
def test_exchange_is_honoured_by_those_that_say_so(label, role_name):
    net = network(label, role_name)
    x = with_garbage(net.in_rep, batch(net.in_rep), 1.0, np.random.default_rng(1))
    worst = 0.0
    for seed in range(5):
        g = random_exchange(net.in_rep, len(x), rng=seed)
        with torch.no_grad():
            expected = net.out_rep.transform(net(x), g)
            actual = net(net.in_rep.transform(x, g))
        worst = max(worst, float((actual - expected).abs().max() / expected.abs().max()))
    assert worst < 1e-12 if type(net).exchanges else worst > 1e-3


# ---------------------------------------------------------------------- masks, edges and a group that relabels
MIRROR = Group(
    "SO2 with mirror", "SO2", (Generator.of("mirror", np.diag([1.0, -1.0, 1.0]), {"links": -np.eye(4)[[1, 0, 3, 2]]}),)
)


@pytest.mark.parametrize("label", ["frame", "regular"])
def test_groups_that_relabel_masked_sets(label):
    links = EntitySet("links", ("arm", "arm", "leg", "leg"), mask="real")
    fields = (
        Field("heading", "1x1o", role="heading"),
        Field("real", "1x0e", "links"),
        Field("parent", "4x0e", "links", role="parent"),
        Field("angle", "1x0e", "links"),
    )
    torques = Representation((Field("torque", "1x0e", "links"),), (EntitySet("links", links.kinds),), MIRROR)
    torch.manual_seed(0)
    net = NETWORKS[label](Representation(fields, (links,), MIRROR), torques, MIRROR, hidden=(16,)).double()
    assert equivariance_error(net, MIRROR) < 1e-10
    x = torch.randn(20, net.in_rep.dim, dtype=torch.float64)
    x[:, net.in_rep.slices["real"]] = torch.tensor([1.0, 0.0, 1.0, 1.0], dtype=torch.float64)
    g = MIRROR.generators[1][1]
    assert torch.allclose(net(net.in_rep.transform(x, g)), torques.transform(net(x), g), atol=1e-12)
    assert not net(x)[:, 1].any()
    assert not net(net.in_rep.transform(x, g))[:, 0].any()
