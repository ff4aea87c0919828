"""The heterogeneous graph network: exact for every group and option, blind to where the scene is, and not to edges."""

from dataclasses import replace

import pytest
import torch
from hetero_cases import hands_and_object, moved, polygon, scenes, shaken, turned
from nn_cases import C6, D4, error

from eqrl.nn import build
from eqrl.symmetry import (
    O2,
    O3,
    SO2,
    SO3,
    TRIVIAL,
    Element,
    EntitySet,
    Field,
    Representation,
    about_gravity,
    random_exchange,
    scalars,
)

GROUPS = (SO2, O2, SO3, O3)
OPTIONS = (
    {},
    {"internal": "neighbours"},
    {"internal": "neighbours", "neighbours": 1},
    {"internal": "neighbours", "neighbours": 50},
    {"edges": "homogeneous"},
    {"edges": "homogeneous", "internal": "neighbours"},
    {"pooling": "sum"},
    {"pooling": "attention"},
    {"effectors": ("points", "effectors")},
    {"channels": 1, "scales": (1.0,)},
)
each_group = pytest.mark.parametrize("group", GROUPS, ids=str)
each_option = pytest.mark.parametrize("options", OPTIONS, ids=str)


def difference(a, b):
    return float(((a - b).abs().max() / b.abs().max()).detach())


@each_option
@each_group
def test_rotations_mirrors_translations_and_exchange(group, options):
    in_rep, out_rep = hands_and_object(group)
    net = shaken(in_rep, out_rep, group, **options)
    for scale in (1e-2, 1.0, 1e2):
        x = scenes(in_rep)
        x[:, in_rep.slices["point"].start :] *= scale
        y = net(x)
        g = group.sample(len(x), rng=0)
        assert difference(net(in_rep.transform(x, g)), out_rep.transform(y, g)) < 1e-11
        h = random_exchange(in_rep, len(x), rng=1)
        assert difference(net(in_rep.transform(x, h)), out_rep.transform(y, h)) < 1e-12
        assert difference(net(moved(in_rep, x, torch.tensor([3.0, -2.0, 1.0]))), y) < 1e-11


def test_finite_rotations_are_honoured_with_all_others():
    net = shaken(*hands_and_object(SO2), C6)
    assert net.group == C6
    assert error(net, SO2) < 1e-10


@pytest.mark.parametrize(("group", "broken"), [(SO2, O2), (O2, SO3), (SO3, O3)], ids=str)
def test_what_it_must_not_commute_with(group, broken):
    net = shaken(*hands_and_object(group), group)
    assert error(net, group) < 1e-10
    assert error(net, broken) > 1e-2


def test_every_output_depends_on_every_input():
    for group in GROUPS:
        in_rep, out_rep = hands_and_object(group)
        net = shaken(in_rep, out_rep, group)
        x = scenes(in_rep, 1, share=1.0).requires_grad_()
        for i, y in enumerate(net(x)[0]):
            (slope,) = torch.autograd.grad(y, x, retain_graph=True)
            for field in in_rep.fields:
                assert field.name == "real" or bool(slope[0, in_rep.slices[field.name]].any()), (str(group), i, field)


@each_group
def test_values_and_q_functions(group):
    observation, action = hands_and_object(group, value=False)
    value = scalars("value", 2, group)
    named = (*observation.fields, *(replace(f, name=f"action/{f.name}") for f in action.fields))
    for in_rep in (observation, Representation(named, observation.entities, group)):
        for pooling in ("mean", "sum", "attention"):
            net = shaken(in_rep, value, group, pooling=pooling)
            assert net.graph.effectors == ("effectors",)
            assert error(net, group) < 1e-10
            empty = scenes(in_rep, share=0.0)
            assert bool(net(empty).isfinite().all())


def test_effectors_are_the_sets_that_act_or_are_called_so():
    in_rep, out_rep = hands_and_object(O2)
    value = scalars("value", 1, O2)
    assert build("hetero", in_rep, out_rep).graph.inner == ("points",)
    assert build("hetero", in_rep, value, effectors=("points",)).graph.inner == ("effectors",)
    unnamed = replace(in_rep, entities=(in_rep.entities[0], replace(in_rep.entities[1], kinds=("hand", "hand"))))
    graph = build("hetero", unnamed, value).graph
    assert (graph.inner, graph.effectors, graph.among) == (("points", "effectors"),) * 2 + (False,)


def test_padded_points_do_not_attract_neighbours():
    in_rep, out_rep = hands_and_object(O2)
    for count in (1, 3, 20):
        net = shaken(in_rep, out_rep, O2, internal="neighbours", neighbours=count)
        for real in (0, 1, 2, 4):
            x = scenes(in_rep, 6)
            x[:, in_rep.slices["real"]] = (torch.arange(8) < real).double()
            larger_in, larger_out = hands_and_object(O2, points=11)
            larger = shaken(larger_in, larger_out, O2, internal="neighbours", neighbours=count)
            larger.load_state_dict(net.state_dict())
            wide = torch.full((6, larger_in.dim), torch.nan, dtype=torch.float64)
            for field in in_rep.fields:
                wide[:, larger_in.slices[field.name]][:, : in_rep.size(field)] = x[:, in_rep.slices[field.name]]
            wide[:, larger_in.slices["real"]][:, 8:] = 0.0
            assert torch.allclose(larger(wide), net(x), atol=1e-12, rtol=1e-12)


def test_sets_without_positions_are_nodes_without_geometry():
    buttons = EntitySet("buttons", ("button",) * 3, exchangeable=True)
    hands = EntitySet("effectors", ("effector",) * 2, exchangeable=True)
    fields = (
        Field("pressed", "1x0e", "buttons"),
        Field("force", "1x1o", "buttons"),
        Field("hand", "1x1o", "effectors", role="position"),
    )
    out = Representation((Field("move", "1x1o", "effectors"), Field("value", "1x0e")), (hands,), O3)
    for group in GROUPS:
        for options in OPTIONS[:6]:
            in_rep = Representation(fields, (buttons, hands), group)
            net = shaken(in_rep, replace(out, group=group), group, **options)
            x = scenes(in_rep)
            assert error(net, group) < 1e-10
            assert difference(net(moved(in_rep, x, torch.ones(3))), net(x)) < 1e-11
            other = x.clone()
            other[:, in_rep.slices["force"]] *= 2.0
            assert difference(net(other), net(x)) > 1e-4


def test_outputs_over_sets_that_are_not_in_the_input():
    in_rep, _ = hands_and_object(O2)
    joints, lamps = EntitySet("joints", ("a", "b")), EntitySet("lamps", ("lamp",) * 3, exchangeable=True)
    fields = (Field("torque", "1x0o", "joints"), Field("light", "1x0e + 1x1o", "lamps"))
    out_rep = Representation(fields, (joints, lamps), O2)
    net = shaken(in_rep, out_rep, O2)
    assert error(net, O2) < 1e-10
    y = out_rep.split(net(scenes(in_rep)))
    assert (y["torque"][:, 0] - y["torque"][:, 1]).abs().min() > 1e-6
    assert torch.equal(y["light"][:, :4], y["light"][:, 4:8])


def test_targets_without_an_order_send_to_the_points_that_they_may_belong_to():
    points = EntitySet("points", ("point",) * 5, exchangeable=True)
    targets = EntitySet("targets", ("target",) * 5, exchangeable=True)
    hands = EntitySet("effectors", ("effector",), exchangeable=True)
    fields = tuple(
        Field(f"{e.name} at", "1x1o", e.name, role="position", horizontal=True) for e in (points, targets, hands)
    )
    in_rep = Representation(fields, (points, targets, hands), O2)
    net = shaken(in_rep, Representation((Field("yaw", "1x0o", "effectors"),), (hands,), O2), O2)
    assert net.graph.matches == (("points", "targets"),)
    assert error(net, O2) < 1e-10
    # the hubs of two squares with one centre cannot tell how one is turned against the other
    shape = torch.cat([polygon(4, 4), torch.zeros(1, 2, dtype=torch.float64)])
    angle = torch.tensor([0.2, -0.2, 0.1], dtype=torch.float64)
    x = torch.cat([shape.expand(3, 5, 2), turned(shape, angle), 0 * shape.expand(3, 5, 2)[:, :1]], dim=1).flatten(1)
    y = net(x)
    assert torch.allclose(y[0], -y[1], atol=1e-12)
    assert float((y[0] - y[2]).detach().abs()) > 1e-6


def test_slots_that_may_not_be_exchanged_differ():
    in_rep, out_rep = hands_and_object(O2)
    fixed = replace(in_rep, entities=(in_rep.entities[0], replace(in_rep.entities[1], exchangeable=False)))
    out = replace(out_rep, entities=(fixed.entities[1],))
    swap = torch.eye(2, dtype=torch.float64).flip(0).expand(16, 2, 2)
    g = Element(torch.eye(3, dtype=torch.float64).expand(16, 3, 3), {"effectors": swap})
    for rep, target, low, high in ((in_rep, out_rep, 0.0, 1e-12), (fixed, out, 1e-3, 10.0)):
        net, x = shaken(rep, target, O2), scenes(rep)
        assert low <= difference(net(rep.transform(x, g)), target.transform(net(x), g)) <= high


@each_group
@pytest.mark.parametrize("internal", ["hub", "neighbours"])
def test_gradients(group, internal):
    in_rep, out_rep = hands_and_object(group, points=4)
    net = shaken(in_rep, out_rep, group, internal=internal, activation="tanh", hidden=(6, 6), channels=2)
    x = scenes(in_rep, 2)
    mask = torch.zeros(in_rep.dim, dtype=torch.bool)
    mask[in_rep.slices["real"]] = True
    names, parameters = zip(*net.named_parameters(), strict=True)

    def outputs(values, *weights):
        given = dict(zip(names, weights, strict=True))
        return torch.func.functional_call(net, given, (torch.where(mask, x, values),))

    assert torch.autograd.gradcheck(outputs, (x.clone().requires_grad_(), *parameters), atol=1e-6, fast_mode=True)


@each_group
@each_option
def test_coinciding_points_and_nothing_real(group, options):
    in_rep, out_rep = hands_and_object(group)
    net = shaken(in_rep, out_rep, group, **options)
    x = torch.zeros(3, in_rep.dim, dtype=torch.float64)
    x[1:, in_rep.slices["real"]] = 1.0
    x[2] += 0.3
    x[2, in_rep.slices["real"]] = 1.0
    x.requires_grad_()
    y = net(x)
    y.square().sum().backward()
    assert bool(y.isfinite().all())
    assert bool(x.grad.isfinite().all())
    assert all(p.grad is None or bool(p.grad.isfinite().all()) for p in net.parameters())
    assert net(torch.zeros(0, in_rep.dim, dtype=torch.float64)).shape == (0, out_rep.dim)


def test_homogeneous_edges_share_their_weights_and_are_told_apart():
    in_rep, out_rep = hands_and_object(O2)
    many, few = shaken(in_rep, out_rep, O2), shaken(in_rep, out_rep, O2, edges="homogeneous")
    assert len(set(few.steps.outer_messages)) == 1 < len(set(many.steps.outer_messages))
    assert sum(p.numel() for p in few.parameters()) < 0.8 * sum(p.numel() for p in many.parameters())
    x = scenes(in_rep)
    before = net_of_types = few(x)
    with torch.no_grad():
        few.steps.outer_messages[0].types[0] += 1.0
    assert difference(few(x), before) > 1e-3
    assert net_of_types is before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"internal": "hubs"}, r"internal='hubs' is unknown; choose one of \['hub', 'neighbours'\]"),
        ({"edges": "same"}, "edges='same' is unknown"),
        ({"pooling": "max"}, "pooling='max' is unknown"),
        ({"hidden": (32, 16)}, r"hidden=\(32, 16\) must hold one width"),
        ({"hidden": ()}, r"hidden=\(\) must hold one width"),
        ({"neighbours": 0}, "neighbours=0 and channels=4 must be at least 1"),
        ({"channels": 0}, "neighbours=3 and channels=0 must be at least 1"),
        ({"scales": ()}, r"scales=\(\) must be positive lengths"),
        ({"scales": (0.05, 0.005)}, "ascending order"),
        ({"effectors": "points"}, r"effectors='points' is no list of entity sets; write effectors=\('points',\)"),
        (
            {"effectors": ("hands",)},
            r"names \['hands'\], but the entity sets of the input are \['points', 'effectors'\]",
        ),
        ({"effectors": ()}, "names nothing"),
        ({"group": TRIVIAL}, "'hetero' cannot do without a group"),
        ({"group": D4}, "honours SO2, O2, SO3 and O3 and cannot honour group D4"),
        ({"orientations": 2}, "orientations=2 are too few"),
        (
            {"orientations": 16, "group": SO2},
            "orientations=16 commutes with C16 exactly and cannot honour group SO2",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_refused_options(options, message):
    in_rep, out_rep = hands_and_object(O2)
    with pytest.raises(ValueError, match=message):
        build("hetero", in_rep, out_rep, **options)


def test_inputs_without_nodes_are_refused_in_one_line():
    rep = Representation((Field("velocity", "1x1o"),), (), O2)
    with pytest.raises(
        ValueError, match="needs an entity set of nodes, and the input has none; take 'vector'"
    ) as caught:
        build("hetero", rep, rep)
    assert "\n" not in str(caught.value)
    points = EntitySet("points", ("point",) * 2)
    with pytest.raises(ValueError, match="backbone 'hetero' knows scalars and vectors only"):
        build("hetero", Representation((Field("stress", "1x2e", "points"),), (points,), O2), scalars("value", 1, O2))


def test_rotations_about_gravity_are_those_of_the_world():
    """A check that does not use the group's own sampling."""
    in_rep, out_rep = hands_and_object(SO2)
    net, x = shaken(in_rep, out_rep, SO2), scenes(in_rep)
    g = about_gravity(torch.full((len(x),), 0.6457, dtype=torch.float64))  # 37 degrees
    assert difference(net(in_rep.transform(x, g)), out_rep.transform(net(x), g)) < 1e-12


@each_group
def test_an_object_without_points_is_nowhere(group):
    in_rep, out_rep = hands_and_object(group)
    net = shaken(in_rep, out_rep, group)
    x = scenes(in_rep, share=0.0)
    assert difference(net(moved(in_rep, x, torch.tensor([3.0, -2.0, 1.0]))), net(x)) < 1e-11


def test_a_target_is_seen_where_nothing_else_has_a_position():
    legs = (EntitySet("legs", ("leg",) * 2),)
    in_rep = Representation((Field("joint", "1x0e", "legs"), Field("target", "1x1o", role="position")), legs, SO2)
    net = shaken(in_rep, Representation((Field("torque", "1x0e", "legs"),), legs, SO2))
    x = scenes(in_rep)
    there = x.clone()
    there[:, in_rep.slices["target"]] += torch.tensor([0.5, 0.0, 0.0])
    assert difference(net(there), net(x)) > 1e-3
