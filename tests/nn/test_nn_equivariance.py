"""Law 1: f(g x) = g f(x) in float64, for every backbone, group, role and scale."""

import copy
import io
import pickle

import pytest
import torch
from nn_cases import ANT, C6, IDS, ROLES, SCALES, SUPPORTED, action, error, fit, network, observation

from eqrl.nn import BACKBONES, build
from eqrl.symmetry import O2, SO2, SO3, TRIVIAL, Field, Representation

EXACT = 1e-10


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("name", "group"), SUPPORTED, ids=IDS)
def test_random_weights_at_any_scale(name, group, role):
    net = network(name, group, role).double()
    for scale in SCALES:
        assert error(net, group, scale) < EXACT


@pytest.mark.parametrize(("name", "group"), SUPPORTED, ids=IDS)
def test_after_training_saving_and_copying(name, group):
    net = network(name, group, "actor")
    before = copy.deepcopy(net.state_dict())
    x = torch.randn(32, net.in_rep.dim)
    fit(net, x, torch.randn(32, net.out_rep.dim), steps=3)
    trained = [k for k, v in net.state_dict().items() if not torch.equal(v, before[k])]
    assert trained
    reloaded = network(name, group, "actor", seed=1)
    stream = io.BytesIO()
    torch.save(net.state_dict(), stream)
    stream.seek(0)
    reloaded.load_state_dict(torch.load(stream))
    for twin in (reloaded, copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert torch.equal(twin(x), net(x))
        assert list(twin.state_dict()) == list(net.state_dict())
        assert error(twin.double(), group) < EXACT
    in_double = network(name, group, "actor", seed=2).double()
    in_double.load_state_dict(net.state_dict())
    assert error(in_double, group) < EXACT


@pytest.mark.parametrize(("name", "group"), SUPPORTED, ids=IDS)
def test_float32(name, group):
    assert error(network(name, group, "actor"), group) < 1e-4


@pytest.mark.parametrize(("name", "group"), [c for c in SUPPORTED if c[1] in (SO2, O2, ANT)])
def test_not_equivariant_to_a_tilt(name, group):
    net = network(name, group, "actor").double()
    plain = [f for f in net.in_rep.fields if not f.horizontal]
    net = build(name, Representation(tuple(plain), net.in_rep.entities, group), action(SO3), group).double()
    assert error(net, SO3) > 1e-3


@pytest.mark.parametrize("name", ["frame", "heading", "goal", "vector", "steerable", "regular", "transformer"])
def test_not_mirror_equivariant_without_mirrors(name):
    net = network(name, SO2, "actor").double()
    assert error(net, SO2) < EXACT
    assert error(net, O2) > 1e-3


@pytest.mark.parametrize("name", ["frame", "vector", "steerable", "regular", "transformer"])
def test_a_polar_vector_declared_axial_breaks_the_mirror(name):
    wrong = Representation((Field("a", "1x1o"), Field("b", "1x1e")), (), O2)
    right = Representation((Field("a", "1x1o"), Field("b", "1x1o")), (), O2)
    out = Representation((Field("force", "1x1o"),), (), O2)
    torch.manual_seed(0)
    net = build(name, wrong, out, O2).double()
    assert error(net, O2) < EXACT
    net.in_rep = right  # the world's true action
    assert error(net, SO2) < EXACT
    assert error(net, O2) > 1e-3


def test_mlp_has_no_symmetry():
    net = build("mlp", observation(SO2), action(SO2)).double()
    assert net.group == TRIVIAL
    assert error(net, SO2) > 1e-2


@pytest.mark.parametrize(
    ("name", "group"),
    [(name, group) for name in ("frame", "steerable", "regular", "transformer") for group in (SO2, O2)]
    + [("regular", C6), ("steerable", SO3)],
)
def test_higher_degrees(name, group):
    inside = Representation((Field("s", "1x0e"), Field("v", "1x1o", role="goal"), Field("t", "1x2e + 1x3o")), (), group)
    outside = Representation((Field("q", "1x2e"), Field("v", "1x1o"), Field("c", "1x3o")), (), group)
    torch.manual_seed(0)
    net = build(name, inside, outside, group, hidden=(8,)).double()
    for scale in SCALES:
        assert error(net, group, scale) < EXACT
    broken = O2 if group == SO3 else SO3
    assert error(net, broken) > 1e-3


@pytest.mark.parametrize("anchors", [None, "learned"])
@pytest.mark.parametrize("weighting", ["priority", "norm", "single", "pca"])
@pytest.mark.parametrize("group", [SO2, O2, ANT], ids=str)
def test_every_weighting(weighting, group, anchors):
    net = network("frame", group, "actor", weighting=weighting, anchors=anchors).double()
    for scale in SCALES:
        assert error(net, group, scale) < EXACT


@pytest.mark.parametrize("anchors", [None, "learned"])
@pytest.mark.parametrize("weighting", ["priority", "norm"])
def test_short_anchors_share_exactly(weighting, anchors):
    # all proposals have weight where lengths are of the order of eps
    net = network("frame", SO2, "actor", weighting=weighting, eps=1.5, anchors=anchors).double()
    assert error(net, SO2, n=64) < EXACT


@pytest.mark.parametrize("weighting", ["priority", "norm", "single"])
@pytest.mark.parametrize("group", [SO2, O2, ANT], ids=str)
def test_a_learned_anchor(weighting, group):
    for eps in (0.1, 3.0):
        net = network("frame", group, "actor", weighting=weighting, anchors="learned", eps=eps).double()
        for scale in SCALES:
            assert error(net, group, scale) < EXACT
    assert error(net, SO3 if group == O2 else O2) > 1e-3


def test_constants_survive_float32():
    net = network("frame", C6, "actor")
    assert error(net.double(), C6) < EXACT
    assert error(net.float().double(), C6) < EXACT


NOTHING = dict.fromkeys(("mlp", "residual", "gated"), TRIVIAL)  # what networks with a free pathway guarantee


def test_default_groups():
    ant_in, ant_out = observation(ANT, legs=True), action(ANT, legs=True)
    for name in BACKBONES:
        net = build(name, ant_in, ant_out, hidden=(8,)).double()
        assert net.group == {**NOTHING, "regular": ANT}.get(name, SO2)
        assert error(net, net.group) < EXACT
    space = Representation((Field("goal", "1x1o", role="goal"), Field("h", "1x1o", role="heading")), (), SO3)
    groups = {name: build(name, space, space, hidden=(8,)).group for name in BACKBONES if name != "hetero"}
    about_gravity = dict.fromkeys(("frame", "heading", "goal", "regular", "transformer", "set"), SO2)
    assert groups == {**NOTHING, **about_gravity, "vector": SO3, "steerable": SO3}
