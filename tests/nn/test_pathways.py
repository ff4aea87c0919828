"""Networks of an exact and a free pathway: exact without the free one, and never more is claimed than holds."""

import pytest
import torch
from nn_cases import ANT, C6, D4, action, error, network, observation

from eqrl.nn import Regular, build
from eqrl.symmetry import O2, O3, SO2, TRIVIAL

EXACT = 1e-10
CASES = [
    *((name, group, {}) for name in ("residual", "gated") for group in (SO2, O2, ANT, D4, C6)),
    *((name, O3, {"exact": "vector"}) for name in ("residual", "gated")),
    *((name, D4, {"exact": "frame"}) for name in ("residual", "gated")),
]


@pytest.mark.parametrize(("name", "group", "options"), CASES, ids=str)
def test_exact_without_the_free_pathway(name, group, options):
    net = network(name, group, "actor", **options).double()
    assert net.group == TRIVIAL
    assert net.soft_group == group
    assert error(net, group) > 1e-3
    with torch.no_grad():
        for parameter in net.free_parameters():
            parameter.zero_()
        if name == "gated":
            net.gate_net[-1].bias.fill_(-1e3)
    assert error(net, group) < EXACT


@pytest.mark.parametrize("group", [SO2, D4], ids=str)
def test_residual_is_exact_where_its_free_parts_vanish(group):
    net = network("residual", group, "actor").double()
    with torch.no_grad():
        for part in net.free_parts():
            for parameter in part:
                parameter.zero_()
    assert error(net, group) < EXACT
    assert len(net.free_parts()) == (3 if group == D4 else 1)


@pytest.mark.parametrize("name", ["residual", "gated"])
def test_every_parameter_belongs_to_one_pathway(name):
    for group in (SO2, D4):
        net = network(name, group, "value")
        free, exact = ({id(p) for p in some} for some in (net.free_parameters(), net.exact_parameters()))
        gate = {id(p) for p in net.gate_net.parameters()} if name == "gated" else set()
        assert not free & exact
        assert free | exact | gate == {id(p) for p in net.parameters()}


def test_residual_starts_nearly_exact():
    torch.manual_seed(0)
    for group in (SO2, D4):
        legs = group == D4
        net = build("residual", observation(group, legs), action(group, legs), group).double()
        assert error(net, group) < 0.02
    assert isinstance(net.exact, Regular)


def test_gate_mixes_and_gets_no_gradient_of_the_mixture():
    torch.manual_seed(0)
    net = build("gated", observation(SO2), action(SO2)).double()
    x = torch.randn(8, net.in_rep.dim, dtype=torch.float64)
    assert torch.equal(net(x), net.exact(x))
    with torch.no_grad():
        for parameter in net.remainder.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
        net.gate_net[-1].bias.fill_(0.125)
    assert torch.allclose(net.gate(x), torch.tensor(0.25, dtype=torch.float64))
    assert torch.allclose(net(x), net.exact(x) + 0.25 * net.remainder(x))
    gradients = []
    for evidence in (0.125, 0.5):
        with torch.no_grad():
            net.gate_net[-1].bias.fill_(evidence)
        net.zero_grad()
        net(x).sum().backward()
        assert all(parameter.grad is None for parameter in net.gate_net.parameters())
        assert all(parameter.grad.any() for parameter in net.remainder.parameters())
        gradients.append(torch.cat([parameter.grad.flatten() for parameter in net.exact.parameters()]))
    assert gradients[0].any()
    assert not gradients[1].any()  # where the free network acts, the exact one does not learn


def test_refusals():
    with pytest.raises(ValueError, match="exact='vektor' is no exact backbone; did you mean 'vector'"):
        build("gated", observation(SO2), action(SO2), exact="vektor")
    with pytest.raises(ValueError, match="exact='mlp' is no exact backbone"):
        build("residual", observation(SO2), action(SO2), exact="mlp")
    with pytest.raises(ValueError, match=r"'frame'.*about_gravity"):
        build("residual", observation(SO2), action(SO2), O3)
