"""The learned anchor: a frame that a small network chooses, with all laws of frames."""

import copy
import io

import pytest
import torch
from nn_cases import ANT, action, error, fit, network, observation

from eqrl.nn import build
from eqrl.symmetry import O2, SO2, Field, Representation, scalars

REP = Representation(
    (Field("height", "1x0e"), Field("goal", "1x1o", role="goal"), Field("velocity", "1x1o"), Field("w", "1x1e")),
    (),
    SO2,
)
OUT = Representation((Field("force", "1x1o"), Field("s", "1x0e")), (), SO2)


def learned(seed=0, **options):
    torch.manual_seed(seed)
    return build("frame", REP, OUT, anchors="learned", **options).double()


def shrunk(net, factor):
    """The same network with a shorter learned vector."""
    with torch.no_grad():
        for parameter in net.directions.net.even_head.parameters():
            parameter *= factor
    return net


def test_it_turns_into_what_the_network_says():
    net = learned()
    x = torch.randn(64, REP.dim, dtype=torch.float64)
    g = SO2.sample(64, rng=0)
    u, turned = net.directions.first(x), net.directions.first(REP.transform(x, g))
    assert torch.allclose(turned, (g.R[:, :2, :2] @ u[..., None])[..., 0], atol=1e-12)
    # neither the goal nor another vector of the input
    angles = torch.atan2(u[:, 1], u[:, 0]) - torch.atan2(x[:, 2], x[:, 1])
    assert float(angles.cos().std().detach()) > 0.1


def test_other_fields_take_over_where_it_is_short():
    plain = learned()
    x = torch.randn(64, REP.dim, dtype=torch.float64)
    none = shrunk(learned(), 0.0)
    goal = build("frame", REP, OUT).double()
    goal.net.load_state_dict(none.net.state_dict())
    assert torch.equal(none(x), goal(x))
    assert not torch.allclose(plain(x), goal(x), atol=1e-3)
    # smoothly in between
    path = torch.stack([shrunk(learned(), f)(x) for f in torch.linspace(0.0, 1.0, 301)]).detach()
    assert torch.equal(path[-1], plain(x))
    steps = (path[1:] - path[:-1]).abs().amax(dim=(1, 2))
    assert float(steps.max()) < 0.1 * float((path[-1] - path[0]).abs().max())


def test_continuous_where_it_vanishes():
    # all vectors shrink to zero and come out on the other side
    net = learned()
    x = torch.zeros(2, REP.dim, dtype=torch.float64)
    x[:, 0] = 0.3
    x[0, 1:] = 1e-8 * torch.tensor([0.7, -0.4, 0.2, 0.1, 0.5, 0.3, 0.2, 0.2, -0.1], dtype=torch.float64)
    x[1, 1:] = -x[0, 1:]
    y = net(x)
    assert float((y[1] - y[0]).detach().abs().max()) < 1e-5
    single = learned(weighting="single")
    y = single(x)
    assert float((y[1] - y[0]).detach().abs().max()) > 1e-2


@pytest.mark.parametrize("group", [SO2, O2, ANT], ids=str)
def test_it_learns_and_can_be_saved(group):
    net = network("frame", group, "actor", anchors="learned")
    before = copy.deepcopy(net.directions.net.state_dict())
    x = torch.randn(32, net.in_rep.dim)
    fit(net, x, torch.randn(32, net.out_rep.dim), steps=3)
    assert any(not torch.equal(v, before[k]) for k, v in net.directions.net.state_dict().items())
    stream = io.BytesIO()
    torch.save(net.state_dict(), stream)
    stream.seek(0)
    other = network("frame", group, "actor", seed=1, anchors="learned")
    other.load_state_dict(torch.load(stream))
    assert torch.equal(other(x), net(x))
    assert error(other.double(), group) < 1e-10


def test_export():
    net = learned().float().eval()
    batch = torch.export.Dim("batch", min=1)
    exported = torch.export.export(net, (torch.randn(4, REP.dim),), dynamic_shapes=({0: batch},)).module()
    for n in (1, 5, 33):
        x = torch.cat([torch.randn(n, REP.dim), 0.01 * torch.randn(n, REP.dim), torch.zeros(1, REP.dim)])
        assert torch.allclose(exported(x), net(x), atol=1e-5)


def test_higher_irreps_are_left_to_the_frame():
    rep = Representation((Field("t", "1x2e"), Field("v", "1x1o"), Field("s", "1x0e")), (), SO2)
    net = build("frame", rep, rep, anchors="learned").double()
    assert error(net, SO2) < 1e-10


def test_without_vectors_or_turns():
    inside = Representation((Field("s", "3x0e"),), (), SO2)
    y = build("frame", inside, OUT, anchors="learned")(torch.randn(4, 3))
    assert torch.equal(y[:, :2], torch.zeros(4, 2))
    with pytest.raises(ValueError, match="needs a world vector"):
        build("frame", inside, OUT, anchors="learned", weighting="single")


def test_an_option_of_frame_alone():
    for name in ("regular", "transformer"):
        with pytest.raises(ValueError, match=f"'{name}': anchors='learned' is no list of fields.*'frame' alone"):
            build(name, observation(SO2), action(SO2), anchors="learned")
    with pytest.raises(ValueError, match="'frame': anchors='goal' is no list"):
        build("frame", observation(SO2), scalars("value", 1, SO2), anchors="goal")
