"""The regular backbone: tied weights, the stabilizer inside frames, and the cache of ``freeze``."""

import copy
import io
import pickle

import pytest
import torch
from nn_cases import ANT, C2, C6, D4, S3, TRIPOD, UPSIDE_DOWN, error, fit, network, observation

from eqrl.nn import BACKBONES, build
from eqrl.nn.stabilizer import proposals, stabilizer
from eqrl.nn.tied import Convolve, Lift, Project, relations
from eqrl.symmetry import O2, SO2, EntitySet, Field, Generator, Representation, finite_group, orbits, scalars

FINITE = [C2, D4, C6, S3]
EVERY = [*FINITE, SO2, O2, ANT, TRIPOD, UPSIDE_DOWN]


def inputs(net, n=16, scale=1.0):
    weight = next(net.parameters())
    return scale * torch.randn(n, net.in_rep.dim, dtype=weight.dtype, generator=torch.Generator().manual_seed(3))


# ------------------------------------------------------------------ tied weights
@pytest.mark.parametrize("group", FINITE, ids=str)
def test_relations_are_those_of_the_group(group):
    elements, table = group.elements(), relations(group)
    for g in range(group.order):
        assert sorted(table[g].tolist()) == list(range(group.order))
        for h in range(group.order):
            product, expected = elements[g].inverse().compose(elements[h]), elements[int(table[g, h])]
            assert torch.allclose(product.R, expected.R, atol=1e-12)
            assert all(torch.allclose(product.h[k], expected.h[k], atol=1e-12) for k in expected.h)


@pytest.mark.parametrize("group", FINITE, ids=str)
def test_dense_weights_intertwine_and_start_orthogonal(group):
    rep = observation(group)
    matrices, order = rep.matrix(group.elements()), group.order
    relative = relations(group)
    permute = torch.eye(order, dtype=torch.float64)[relative]  # (g x)_h = x_{g^-1 h}
    regular = {n: torch.stack([torch.kron(p, torch.eye(n, dtype=torch.float64)) for p in permute]) for n in (3, 40)}
    cases = [
        (Lift(matrices, 40, 2.0).double(), matrices, regular[40]),
        (Convolve(relative, 40, 3, 2.0).double(), regular[40], regular[3]),
        (Project(matrices, 40, 2.0).double(), regular[40], matrices),
    ]
    for layer, acts_in, acts_out in cases:
        weight, _ = layer.dense()
        assert weight.shape == (acts_out.shape[1], acts_in.shape[1])
        gram = weight @ weight.T if len(weight) <= len(weight.T) else weight.T @ weight
        assert torch.allclose(gram, 4.0 * torch.eye(len(gram), dtype=torch.float64), atol=1e-5)
        with torch.no_grad():
            for parameter in layer.parameters():
                parameter.normal_()
        weight, bias = layer.dense()
        assert torch.allclose(weight @ acts_in, acts_out @ weight, atol=1e-12)
        assert torch.allclose(acts_out @ bias, bias.expand(order, -1), atol=1e-12)


def test_sizes():
    net = build("regular", observation(C6), scalars("value", 1, C6), C6, hidden=(64, 20))
    widths = [weight.shape[0] for weight, _ in (layer.dense() for layer in net.net.layers)]
    assert widths == [66, 24, 1]  # whole regular representations of six channels
    dim = net.in_rep.dim
    assert sum(p.numel() for p in net.parameters()) == 11 * dim + 11 + 6 * 11 * 4 + 4 + 4 + 1


@pytest.mark.parametrize("group", [D4, ANT, O2], ids=str)
def test_without_hidden_layers_it_is_linear(group):
    net = network("regular", group, "actor", hidden=()).double()
    assert error(net, group) < 1e-10
    if group.connected == "1":
        x = inputs(net, 2)
        zero = net(torch.zeros_like(x))
        assert torch.allclose(net(x[:1]) + net(x[1:]), net(x[:1] + x[1:]) + zero[:1], atol=1e-12)


def test_offsets_stand_where_the_group_allows_them():
    # an output that changes sign has no free bias
    out = Representation((Field("flip", "1x0o"),), (), C2)
    net = build("regular", observation(C2, legs=True), out, C2)
    assert net.net.layers[-1].bias is None
    assert float(net(torch.zeros(1, net.in_rep.dim)).detach().abs().max()) == 0.0


def test_it_is_not_averaged_away():
    # any function on the group's orbits can be fitted, here one with a sign under the mirror
    torch.manual_seed(0)
    joints = EntitySet("joints", ("hip",) * 2)
    group = finite_group("mirror", [Generator.of("m", None, {"joints": -torch.eye(2).flip(0).numpy()})])
    inside = Representation((Field("q", "2x0e", entities="joints"),), (joints,), group)
    outside = Representation((Field("torque", "1x0e", entities="joints"),), (joints,), group)
    x = torch.randn(256, 4)
    left, right = x[:, :2], x[:, 2:]
    y = torch.stack(
        [left[:, 0] * right[:, 1].square() + left[:, 1], right[:, 0] * left[:, 1].square() + right[:, 1]], dim=1
    )
    assert fit(build("regular", inside, outside, hidden=(64, 64)), x, y, 400) < 0.02


# ------------------------------------------------------------------ frames outside
def test_without_a_finite_part_it_is_frame():
    torch.manual_seed(0)
    frame = network("frame", SO2, "actor").double()
    net = network("regular", SO2, "actor").double()
    with torch.no_grad():
        for tied, plain in zip(net.net.layers, frame.net[::2], strict=True):
            weight = plain.weight.mT if isinstance(tied, Project) else plain.weight
            tied.weight.copy_(weight.reshape(tied.weight.shape))
            tied.bias.copy_(plain.bias)
    net.net.layers[-1].fixed.copy_(torch.eye(net.out_rep.dim))  # frame allows biases of all outputs in the frame
    for scale in (1e-2, 1e-1, 1.0):
        x = inputs(net, 64, scale)
        assert torch.allclose(net(x), frame(x), atol=1e-12)


@pytest.mark.parametrize("group", [ANT, O2, TRIPOD, UPSIDE_DOWN], ids=str)
def test_the_stabilizer_has_one_element_for_each_coset(group):
    inside = stabilizer(group)
    assert inside.order == group.cosets.R.shape[0]
    for i in range(inside.order):
        element = inside.cosets[i]
        assert group.contains(element)
        assert element.R[:, 0].tolist() == [1.0, 0.0, 0.0]


def test_rotations_of_the_world_do_not_count_twice():
    quarter = Generator.of("quarter turn of the world", [[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    group = SO2.product(finite_group("C4", [quarter]))
    assert stabilizer(group).order == 1


@pytest.mark.parametrize("group", [ANT, O2, TRIPOD, UPSIDE_DOWN], ids=str)
def test_the_group_permutes_the_proposals(group):
    rep = observation(group, legs=group.relabels != frozenset())
    starts = [rep.slices[name].start + 3 * i for name, n in (("goal", 1), ("spin", 2), ("points", 4)) for i in range(n)]
    columns, ranks = proposals(rep, group, starts)
    assert sum(ranks) * 2 == columns.shape[1]
    assert ranks[0] == 1  # a goal is not relabelled
    x = torch.randn(rep.dim, dtype=torch.float64)
    for i in range(group.cosets.R.shape[0]):
        k = group.cosets[i]
        before = ((x @ columns).view(-1, 2) @ k.R[:2, :2].T).split(ranks)
        after = (rep.transform(x, k) @ columns).view(-1, 2).split(ranks)
        for a, b in zip(before, after, strict=True):
            distance = torch.cdist(a, b)
            assert float(distance.min(0).values.max()) < 1e-12
            assert float(distance.min(1).values.max()) < 1e-12


def test_one_evaluation_where_the_goal_is_long():
    net = network("regular", ANT, "actor").double()
    rows = []
    net.net.register_forward_pre_hook(lambda _, given: rows.append(len(given[0])))
    x = inputs(net, 16)
    where = net.in_rep.slices["goal"].start
    x[:, where] += 3 * x[:, where].sign()
    net(x)
    assert rows == [16]
    x[0, where : where + 2] = 0.01
    net(x)
    assert rows[1] > 16


@pytest.mark.parametrize("group", [ANT, TRIPOD, UPSIDE_DOWN], ids=str)
@pytest.mark.parametrize("anchors", [("points",), ("spin", "points"), ("points", "goal")])
def test_exchanged_anchors_share(group, anchors):
    net = network("regular", group, "actor", anchors=anchors, eps=1.5).double()
    for scale in (1e-3, 0.3, 1.0, 1e3):
        assert error(net, group, scale, n=64) < 1e-10


@pytest.mark.parametrize("group", [ANT, TRIPOD], ids=str)
@pytest.mark.parametrize("size", [0.0, 0.03, 0.7])
def test_continuous_where_anchors_vanish(group, size):
    net = network("regular", group, "actor", anchors=("goal", "points")).double()
    angle = torch.linspace(0, 3.0, 13, dtype=torch.float64)
    x = torch.randn(net.in_rep.dim, dtype=torch.float64).repeat(13, 1)
    points = net.in_rep.slices["points"]
    x[:, points] *= size
    x[:, points.start + 3 : points.start + 6] = 0.0  # one of them vanishes as well
    jumps = []
    for name in ("goal", "points"):
        where = net.in_rep.slices[name].start + (3 if name == "points" else 0)
        before, after = x.clone(), x.clone()
        for side, moved in ((-1e-8, before), (1e-8, after)):
            moved[:, net.in_rep.slices["goal"]] = 0.0
            moved[:, where] = side * angle.cos()
            moved[:, where + 1] = side * angle.sin()
        jumps.append(float((net(after) - net(before)).detach().abs().max()))
    assert max(jumps) < 1e-5


@pytest.mark.parametrize("group", [D4, ANT], ids=str)
def test_gradients_are_true(group):
    net = network("regular", group, "value", activation="tanh", eps=0.5, hidden=(8, 8)).double()
    x = inputs(net, 3, 0.3).requires_grad_()
    assert torch.autograd.gradcheck(net, (x,), atol=1e-6)


def test_refusals():
    with pytest.raises(ValueError, match="no field 'gaol'"):
        build("regular", observation(SO2), scalars("value", 1, SO2), anchors=("gaol",))
    with pytest.raises(ValueError, match="eps must be positive"):
        build("regular", observation(SO2), scalars("value", 1, SO2), eps=-1.0)


def test_the_value_ignores_the_exchange_of_legs():
    # the whole claim checked by hand: exchanging pairs of legs does not change the value
    net = network("regular", C2, "value").double()
    rep = net.in_rep
    assert orbits(rep, C2).count < rep.dim
    x = inputs(net)
    assert torch.allclose(net(x), net(rep.transform(x, C2.elements()[1])), atol=1e-12)


# ------------------------------------------------------------------ freeze
@pytest.mark.parametrize("group", EVERY, ids=str)
def test_frozen_weights_change_nothing(group):
    net = network("regular", group, "actor")
    x = inputs(net)
    before, names = net(x), list(net.state_dict())
    assert net.freeze() is net
    assert not net.training
    assert net.net.frozen
    assert torch.allclose(net(x), before, atol=1e-6)
    assert list(net.state_dict()) == names == list(net.eval().state_dict())
    assert [n for n, _ in net.named_buffers()] == [n for n, _ in network("regular", group, "actor").named_buffers()]
    assert error(net.double(), group) < 1e-10
    assert net.net.frozen


def test_frozen_networks_take_loaded_weights():
    net, other = network("regular", D4, "actor").freeze(), network("regular", D4, "actor", seed=1)
    x = inputs(net)
    net.load_state_dict(other.state_dict())
    assert torch.allclose(net(x), other(x), atol=1e-6)
    parent, twin = torch.nn.Sequential(network("regular", D4, "actor").freeze()), torch.nn.Sequential(other)
    parent.load_state_dict(twin.state_dict())
    assert torch.allclose(parent(x), other(x), atol=1e-6)


def test_training_undoes_freeze():
    net = network("regular", ANT, "actor").freeze()
    x, y = inputs(net), torch.randn(16, net.out_rep.dim)
    assert not net(x).requires_grad
    net.train()
    assert not net.net.frozen
    assert fit(net, x, y, 5) > 0.0
    fresh = network("regular", ANT, "actor")
    fresh.load_state_dict(net.state_dict())
    assert torch.equal(net(x), fresh(x))


def test_frozen_networks_are_copied_pickled_and_converted():
    net = network("regular", ANT, "actor").freeze()
    x = inputs(net)
    stream = io.BytesIO()
    torch.save(net, stream)
    stream.seek(0)
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net)), torch.load(stream, weights_only=False)):
        assert twin.net.frozen
        assert torch.equal(twin(x), net(x))
        # a copy has its own weights
        with torch.no_grad():
            next(twin.parameters()).add_(1.0)
        twin.load_state_dict(twin.state_dict())
        assert not torch.allclose(twin(x), net(x))
        assert error(twin.double().train(), ANT) < 1e-10
    x = x.double()
    assert error(net.double(), ANT) < 1e-10
    assert net(x).dtype == torch.float64


@pytest.mark.parametrize("name", BACKBONES)
def test_every_backbone_can_be_frozen(name):
    net = build(name, observation(SO2), scalars("value", 1, SO2))
    x = torch.randn(4, net.in_rep.dim)
    before = net(x)
    assert net.freeze() is net
    assert not net.training
    assert torch.allclose(net(x), before, atol=1e-6)


# ------------------------------------------------------------------ compilers
@pytest.mark.parametrize("group", [D4, ANT], ids=str)
@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_torch_compile(group, frozen, backend):
    torch.compiler.reset()
    net = network("regular", group, "actor", hidden=(16, 16))
    x = torch.cat([inputs(net, 8), inputs(net, 8, 0.01)])
    plain = net(x)
    plain.square().sum().backward()
    gradient = next(net.parameters()).grad.clone()
    compiled = torch.compile(net.freeze() if frozen else net, backend=backend)
    y = compiled(x)
    assert torch.allclose(y, plain, atol=1e-5)
    if not frozen:
        net.zero_grad()
        y.square().sum().backward()
        assert torch.allclose(next(net.parameters()).grad, gradient, rtol=1e-4, atol=1e-5)


def test_compiled_networks_follow_their_weights():
    torch.compiler.reset()
    net, other = (
        network("regular", D4, "actor", hidden=(16, 16)),
        network("regular", D4, "actor", seed=1, hidden=(16, 16)),
    )
    compiled, x = torch.compile(net, backend="aot_eager", fullgraph=True), inputs(net)
    for change in (lambda: None, net.freeze, lambda: net.load_state_dict(other.state_dict()), net.train, net.eval):
        change()
        assert torch.allclose(compiled(x), net(x), atol=1e-6)
    assert torch.allclose(compiled(x), other(x), atol=1e-6)


@pytest.mark.parametrize("group", [D4, ANT], ids=str)
@pytest.mark.parametrize("frozen", [False, True])
def test_torch_export(group, frozen):
    net = network("regular", group, "actor").eval()
    if frozen:
        net.freeze()
    batch = torch.export.Dim("batch", min=1)
    exported = torch.export.export(net, (inputs(net, 4),), dynamic_shapes=({0: batch},)).module()
    for n in (1, 4, 33):
        x = torch.cat([inputs(net, n), inputs(net, n, 0.01), torch.zeros(1, net.in_rep.dim)])
        assert torch.allclose(exported(x), net(x), atol=1e-5)
