"""The transformer: what its groups share and do not share, which options it refuses, sets of all kinds."""

import numpy as np
import pytest
import torch
from nn_cases import error
from padded_env import representations

from eqrl.nn import build
from eqrl.symmetry import (
    O2,
    SO2,
    TRIVIAL,
    Element,
    EntitySet,
    Field,
    Generator,
    Representation,
    adjacency,
    random_exchange,
    scalars,
)

MIRROR = Generator.of("mirror", np.diag([1.0, -1.0, 1.0])).element


def limbs(group=SO2, n=6, mirrored=True, exchangeable=True):
    """A robot of one kind of limbs, whose joints turn about one odd axis and one even one."""
    entities = EntitySet("limbs", ("limb",) * n, mask="real", exchangeable=exchangeable, mirrored=mirrored)
    fields = (
        Field("target", "1x1o", horizontal=True, role="goal"),
        Field("up", "1x1o"),
        Field("real", "1x0e", "limbs"),
        Field("parent", f"{n}x0e", "limbs", role="parent"),
        Field("position", "1x1o", "limbs", role="position"),
        Field("spin", "1x1e", "limbs"),
        Field("side", "1x0o", "limbs"),
        Field("angle", "1x0o + 1x0e", "limbs"),
    )
    torques = (Field("torque", "1x0o + 1x0e", "limbs"), Field("value", "1x0e"), Field("push", "1x1e"))
    plain = EntitySet("limbs", entities.kinds, exchangeable=exchangeable, mirrored=mirrored)
    return Representation(fields, (entities,), group), Representation(torques, (plain,), group)


def made(in_rep, out_rep, group=None, **options):
    torch.manual_seed(0)
    net = build("transformer", in_rep, out_rep, group, **{"hidden": (16, 16), **options})
    with torch.no_grad():
        for parameter in net.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return net.double()


def robots(rep, counts, parents=(-1, 0, 1, 0, 3, 0), seed=0):
    """Random robots with these numbers of limbs."""
    rng = np.random.default_rng(seed)
    x = torch.as_tensor(rng.standard_normal((len(counts), rep.dim)))
    slots = rep.entity_set("limbs").size
    for i, count in enumerate(counts):
        x[i, rep.slices["real"]] = (torch.arange(slots) < count).double()
        x[i, rep.slices["parent"]] = torch.as_tensor(adjacency(list(parents[:count]), slots)).double().flatten()
    return x


def test_it_honours_the_mirror_of_a_family_though_its_world_has_none():
    in_rep, out_rep = limbs(SO2)
    net = made(in_rep, out_rep)
    assert net.group == O2
    x = robots(in_rep, [6, 5, 3, 1])
    twin = in_rep.transform(x, MIRROR)
    assert torch.allclose(net(twin), out_rep.transform(net(x), MIRROR), atol=1e-12)
    assert error(net, O2) < 1e-10
    alone = made(*limbs(SO2, mirrored=False))
    assert alone.group == SO2
    plain = made(in_rep, out_rep, SO2)
    for other in (alone, plain):
        assert error(other, SO2) < 1e-10
        assert (other(twin) - out_rep.transform(other(x), MIRROR)).abs().max() > 1e-2


def test_a_mirror_image_of_a_robot_gets_the_mirror_image_of_its_action_in_any_slots():
    in_rep, out_rep = limbs(SO2)
    net = made(in_rep, out_rep, relations=True)
    x = robots(in_rep, [6, 4, 4, 2])
    exchange = random_exchange(in_rep, len(x), rng=1)
    g = Element(MIRROR.R.expand(len(x), 3, 3), exchange.h)
    assert torch.allclose(net(in_rep.transform(x, g)), out_rep.transform(net(x), g), atol=1e-12)


def test_without_a_group_there_is_no_frame():
    net = made(*limbs(O2), TRIVIAL)
    assert not net.turns
    assert error(net, SO2) > 1e-2
    # it honours exchange all the same
    x = robots(net.in_rep, [6, 4, 2])
    g = random_exchange(net.in_rep, len(x), rng=0)
    assert torch.allclose(net(net.in_rep.transform(x, g)), net.out_rep.transform(net(x), g), atol=1e-12)


@pytest.mark.parametrize("group", [O2, SO2], ids=str)
def test_typed_and_plain_channels_have_a_like_number_of_parameters(group):
    in_rep, out_rep = limbs(group, mirrored=False)
    count = sum(p.numel() for p in build("transformer", in_rep, out_rep, group).parameters())
    assert 50_000 < count < 120_000


def test_relations_matter():
    in_rep, out_rep = limbs(O2)
    x = robots(in_rep, [6, 5])
    other = robots(in_rep, [6, 5], parents=(-1, 0, 0, 0, 0, 0))
    assert torch.equal(x[:, in_rep.slices["spin"]], other[:, in_rep.slices["spin"]])
    assert torch.equal(made(in_rep, out_rep)(x), made(in_rep, out_rep)(other))
    related = made(in_rep, out_rep, relations=True)
    assert (related(x) - related(other)).abs().max() > 1e-4


def test_limbs_depend_on_each_other_and_slots_that_may_not_be_exchanged_differ():
    net = made(*limbs(O2))
    x = robots(net.in_rep, [6]).requires_grad_()
    y = net.out_rep.split(net(x))["torque"]
    y[0, 0].backward()
    assert bool((x.grad[:, net.in_rep.slices["spin"]] != 0).all())
    # one limb, in two different slots
    for exchangeable in (True, False):
        net = made(*limbs(O2, exchangeable=exchangeable))
        first = robots(net.in_rep, [1])
        parts = net.in_rep.split(first)
        second = first.clone()
        for field in net.in_rep.fields:
            if field.entities is not None and field.role != "parent":
                second[:, net.in_rep.slices[field.name]] = parts[field.name].view(6, -1).roll(1, 0).flatten()
        before, after = (net.out_rep.split(net(z))["torque"].view(6, 2) for z in (first, second))
        assert torch.allclose(before[0], after[1], atol=1e-12) == exchangeable


@pytest.mark.parametrize(
    ("weighting", "anchors"),
    [
        *((weighting, anchors) for weighting in ("priority", "norm", "single") for anchors in (None, ("up", "target"))),
        *((weighting, ("spin", "position")) for weighting in ("priority", "norm")),  # means that may be zero
    ],
)
def test_every_frame(weighting, anchors):
    net = made(*limbs(O2), anchors=anchors, weighting=weighting, eps=0.5)
    assert error(net, O2, n=32) < 1e-10


def test_means_over_sets_may_lead_where_nothing_else_points():
    points = EntitySet("points", ("point",) * 5, mask="real", exchangeable=True)
    fields = (Field("real", "1x0e", "points"), Field("p", "1x1o", "points", role="position"))
    in_rep, out_rep = Representation(fields, (points,), O2), Representation((Field("f", "1x1o"),), (), O2)
    net = made(in_rep, out_rep)
    x = torch.randn(8, in_rep.dim, dtype=torch.float64)
    x[:, in_rep.slices["real"]] = (torch.rand(8, 5) < 0.7).double()
    x[:, 0] = 1.0
    g = O2.sample(8, rng=0)
    assert torch.allclose(net(in_rep.transform(x, g)), out_rep.transform(net(x), g), atol=1e-11)
    assert bool((net(x)[:, :2].abs().sum(1) > 1e-3).all())
    # nothing is real: the output is invariant
    x[:, in_rep.slices["real"]] = 0.0
    assert not net(x)[:, :2].any()
    assert bool(net(x).isfinite().all())


def test_several_sets_at_once():
    legs, balls = EntitySet("legs", ("leg",) * 2), EntitySet("balls", ("red", "red", "blue"), exchangeable=True)
    fields = (
        Field("goal", "1x1o", role="goal"),
        Field("foot", "1x1o", "legs"),
        Field("ball", "1x1o", "balls"),
        Field("turned", "1x0o", "balls"),
    )
    outputs = (Field("step", "1x1o", "legs"), Field("kick", "1x1o + 1x0o", "balls"), Field("value", "1x0e"))
    net = made(Representation(fields, (legs, balls), O2), Representation(outputs, (legs, balls), O2))
    assert error(net, O2) < 1e-10
    x = torch.randn(4, net.in_rep.dim, dtype=torch.float64)
    g = random_exchange(net.in_rep, 4, rng=1)
    assert torch.allclose(net(net.in_rep.transform(x, g)), net.out_rep.transform(net(x), g), atol=1e-12)


def test_sets_of_pseudoscalars_alone():
    twists = EntitySet("twists", ("twist",) * 3, exchangeable=True)
    rep = Representation((Field("twist", "2x0o", "twists"),), (twists,), O2)
    net = made(rep, rep + scalars("value", 1, O2))
    x = torch.randn(4, rep.dim, dtype=torch.float64)
    y, z = net(x), net(-x)
    assert torch.allclose(y[:, :-1], -z[:, :-1], atol=1e-12)
    assert torch.allclose(y[:, -1], z[:, -1], atol=1e-12)
    assert y[:, :-1].abs().min() > 1e-6


@pytest.mark.parametrize("group", [O2, SO2], ids=str)
def test_an_empty_batch(group):
    net = made(*limbs(group))
    assert net(torch.zeros(0, net.in_rep.dim, dtype=torch.float64)).shape == (0, net.out_rep.dim)


@pytest.mark.parametrize("group", [O2, SO2], ids=str)
@pytest.mark.parametrize("relations", [False, True])
def test_gradients(group, relations):
    net = made(*limbs(group), group, activation="tanh", relations=relations, hidden=(8,), heads=2)
    x = robots(net.in_rep, [6, 4, 1])
    constants, free = x.clone(), torch.ones(net.in_rep.dim, dtype=torch.bool)
    for name in ("real", "parent"):
        free[net.in_rep.slices[name]] = False

    def outputs(values, *parameters):
        x = torch.where(free, values, constants)
        return torch.func.functional_call(net, dict(zip(names, parameters, strict=True)), (x,))

    names, parameters = zip(*net.named_parameters(), strict=True)
    assert torch.autograd.gradcheck(outputs, (x.requires_grad_(), *parameters), atol=1e-6, fast_mode=True)


def test_it_is_continuous_where_the_goal_is_reached():
    in_rep, out_rep = limbs(O2)
    net = made(in_rep, out_rep)
    x = robots(in_rep, [6] * 12)
    angle = torch.linspace(0, 6, 12, dtype=torch.float64)
    step = 1e-8 * torch.stack([angle.cos(), angle.sin()], dim=1)
    before, after = x.clone(), x.clone()
    before[:, :2], after[:, :2] = -step, step
    assert (net(after) - net(before)).abs().max() < 1e-5
    single = made(in_rep, out_rep, weighting="single")
    assert (single(after) - single(before)).abs().max() > 1e-2


def test_refused_options():
    in_rep, out_rep = representations()
    with pytest.raises(ValueError, match=r"hidden=\(64, 32\) must hold one width for each layer"):
        build("transformer", in_rep, out_rep, hidden=(64, 32))
    with pytest.raises(ValueError, match=r"hidden=\(\) must hold one width for each layer"):
        build("transformer", in_rep, out_rep, hidden=())
    with pytest.raises(ValueError, match=r"hidden=\(6,\) cannot be divided"):
        build("transformer", in_rep, out_rep, hidden=(6,), heads=2)
    with pytest.raises(ValueError, match="cannot be divided"):
        build("transformer", in_rep, out_rep, heads=0)
    with pytest.raises(ValueError, match="anchors='learned' is no list of fields"):
        build("transformer", in_rep, out_rep, anchors="learned")
    with pytest.raises(ValueError, match="relations=True needs edges"):
        build("transformer", *(Representation((Field("v", "1x1o"),), (), O2),) * 2, relations=True)
