"""Law 4: zero, vertical and coinciding vectors give finite outputs and gradients.

Continuity where it is claimed.
"""

import pytest
import torch
from nn_cases import ANT, IDS, SUPPORTED, error, network

from eqrl.nn import build
from eqrl.symmetry import SO2, Field, Representation

REP = Representation(
    (Field("height", "1x0e"), Field("goal", "1x1o", role="goal"), Field("velocity", "1x1o"), Field("w", "1x1e")),
    (),
    SO2,
)
OUT = Representation((Field("force", "1x1o"), Field("s", "1x0e")), (), SO2)


def degenerate(dim):
    vertical = torch.zeros(dim)
    vertical[4::3] = 1.0
    return torch.stack(
        [torch.zeros(dim), torch.ones(dim), vertical, torch.full((dim,), 1e-30), torch.full((dim,), 1e4)]
    )


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
@pytest.mark.parametrize(("name", "group"), SUPPORTED, ids=IDS)
def test_finite_outputs_and_gradients(name, group, kind):
    net = network(name, group, "actor").to(kind)
    x = degenerate(net.in_rep.dim).to(kind).requires_grad_()
    y = net(x)
    y.square().sum().backward()
    assert bool(y.isfinite().all())
    assert bool(x.grad.isfinite().all())
    assert all(bool(p.grad.isfinite().all()) for p in net.parameters() if p.grad is not None)


@pytest.mark.parametrize("anchors", [None, "learned"])
@pytest.mark.parametrize("weighting", ["priority", "norm", "single", "pca"])
def test_finite_gradients_of_every_weighting(weighting, anchors):
    torch.manual_seed(0)
    net = build("frame", REP, OUT, weighting=weighting, anchors=anchors)
    for rows in (REP.dim, 3):
        x = torch.zeros(rows, REP.dim).requires_grad_()
        net(x).square().sum().backward()
        assert bool(x.grad.isfinite().all())


def jump(net, other):
    """Largest change of the output over all directions when goal moves across 0, by 2e-8."""
    angle = torch.linspace(0, 3.0, 13, dtype=torch.float64)
    step = 1e-8 * torch.stack([angle.cos(), angle.sin(), torch.zeros_like(angle)], dim=1)
    x = torch.zeros(13, REP.dim, dtype=torch.float64)
    x[:, 0] = 0.3
    x[:, 4:] = torch.tensor(other, dtype=torch.float64)
    before, after = x.clone(), x.clone()
    before[:, 1:4] -= step
    after[:, 1:4] += step
    return float((net(after) - net(before)).detach().abs().max())


@pytest.mark.parametrize(
    "other", [[0.7, -0.4, 0.2, 0.1, 0.5, 0.3], [0.0, 0.0, 0.2, 0.1, 0.5, 0.3], [0.03, 0.0, 0.2, 0.0, 0.05, 0.3],
    [0.0] * 6],
    ids=["others long", "second zero", "others short", "all zero"],
)  # fmt: skip
@pytest.mark.parametrize("weighting", ["priority", "norm"])
def test_continuous_where_the_goal_is_reached(weighting, other):
    torch.manual_seed(0)
    net = build("frame", REP, OUT, weighting=weighting).double()
    assert jump(net, other) < 1e-5
    single = build("goal", REP, OUT).double()
    single.load_state_dict(net.state_dict())
    assert jump(single, other) > 1e-2


def test_priority_is_smooth_at_eps():
    torch.manual_seed(0)
    net = build("frame", REP, OUT, eps=0.1).double()
    x = torch.randn(2, REP.dim, dtype=torch.float64)
    x[1] = x[0]
    x[0, 1:4] = torch.tensor([0.1 - 1e-9, 0.0, 0.0])
    x[1, 1:4] = torch.tensor([0.1 + 1e-9, 0.0, 0.0])
    y = net(x)
    assert float((y[0] - y[1]).detach().abs().max()) < 1e-6


def test_priority_agrees_with_single_where_the_goal_is_long():
    torch.manual_seed(0)
    net, single = build("frame", REP, OUT).double(), build("goal", REP, OUT).double()
    single.load_state_dict(net.state_dict())
    x = torch.randn(16, REP.dim, dtype=torch.float64)
    x[:, 1:3] += 3 * x[:, 1:3].sign()
    assert torch.equal(net(x), single(x))
    # one short goal in the batch must not change the others
    x[0, 1:3] = 0.01
    assert torch.allclose(net(x)[1:], single(x)[1:], atol=1e-13)
    assert not torch.allclose(net(x)[0], single(x)[0], atol=1e-3)


def test_goal_frame_is_turning_by_hand():
    torch.manual_seed(0)
    net = build("goal", REP, OUT).double()
    x = torch.randn(1, REP.dim, dtype=torch.float64)
    c, s = (x[0, 1:3] / x[0, 1:3].norm()).tolist()
    turn = torch.tensor([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    by_hand = torch.cat([x[:, :1], *(x[:, i : i + 3] @ turn for i in (1, 4, 7))], dim=1)
    inside = net.net(by_hand)
    assert torch.allclose(net(x), torch.cat([inside[:, :3] @ turn.T, inside[:, 3:]], dim=1), atol=1e-12)


@pytest.mark.parametrize("anchors", [None, "learned"])
@pytest.mark.parametrize("weighting", ["priority", "norm", "single"])
def test_gradients_flow_through_the_frame(weighting, anchors):
    # an action may be an anchor of a critic, and the gradient must still be correct
    torch.manual_seed(0)
    net = build("frame", REP, OUT, weighting=weighting, activation="tanh", eps=0.5, anchors=anchors).double()
    x = (0.4 * torch.randn(6, REP.dim, dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(net, (x,), atol=1e-6)


def test_a_learned_anchor_gives_way_to_the_goal_where_it_is_short():
    torch.manual_seed(0)
    net, plain = build("frame", REP, OUT, anchors="learned").double(), build("frame", REP, OUT).double()
    plain.load_state_dict({k: v for k, v in net.state_dict().items() if not k.startswith("directions.")})
    x = torch.randn(16, REP.dim, dtype=torch.float64).requires_grad_()
    assert net.directions.first(x).norm(dim=1).median() > net.eps
    assert (net(x) - plain(x)).abs().max() > 1e-2
    net(x).square().sum().backward()
    learned = [p for p in net.directions.parameters() if p.grad is not None and bool(p.grad.any())]
    assert learned
    assert bool(x.grad.isfinite().all())
    head = net.directions.net.even_head
    with torch.no_grad():
        head.weight *= 1e-6
        head.bias *= 1e-6
    assert torch.allclose(net(x), plain(x), atol=1e-6)
    with torch.no_grad():
        head.weight.zero_()
        head.bias.zero_()
    net.zero_grad()
    net(x).square().sum().backward()
    assert torch.equal(net(x), plain(x))
    assert all(bool(p.grad.isfinite().all()) for p in net.parameters() if p.grad is not None)


def test_a_learned_anchor_is_continuous():
    torch.manual_seed(0)
    net = build("frame", REP, OUT, anchors="learned", eps=1.0).double()
    x = torch.randn(1, REP.dim, dtype=torch.float64)
    direction = torch.randn(1, REP.dim, dtype=torch.float64)
    path = x + torch.linspace(-3, 3, 3001, dtype=torch.float64)[:, None] * direction
    lengths = net.directions.first(path).detach().norm(dim=1)
    assert lengths.min() < 1.0 < lengths.max()
    coarse, fine = (net(path[::stride]).detach().diff(dim=0).norm(dim=1).max() for stride in (2, 1))
    assert fine < 0.7 * coarse  # a jump would stay as large as it is


@pytest.mark.parametrize("name", ["frame", "goal", "vector", "regular", "transformer"])
def test_nan_is_not_hidden(name):
    x = torch.zeros(2, REP.dim)
    x[1] = torch.nan
    y = build(name, REP, OUT)(x)
    assert bool(y[0].isfinite().all())
    assert bool(y[1].isnan().all())


def test_padding_is_neutral_as_anchor():
    net = network("frame", ANT, "actor", anchors=("points", "goal")).double()
    x = torch.randn(8, net.in_rep.dim, dtype=torch.float64)
    x[:, net.in_rep.slices["points"]] = 0.0
    y = net(x)
    assert bool(y.isfinite().all())
    assert error(net, ANT) < 1e-10
