"""Construction, refusals, and expressive power of the networks."""

import inspect

import pytest
import torch
from nn_cases import ANT, D4, IDS, SUPPORTED, action, fit, network, observation

from eqrl.nn import BACKBONES, Turn, build, layout
from eqrl.nn.backbone import BackboneOptions
from eqrl.symmetry import GROUPS, O2, O3, SO2, SO3, EntitySet, Field, Group, Representation, about_gravity, scalars


def test_unknown_names_get_the_closest():
    with pytest.raises(ValueError, match="did you mean 'vector'"):
        build("vektor", observation(SO2), action(SO2))
    with pytest.raises(ValueError, match="unknown activation 'rely'"):
        build("mlp", observation(SO2), action(SO2), activation="rely")
    with pytest.raises(ValueError, match="unknown weighting"):
        build("frame", observation(SO2), action(SO2), weighting="nrom")


@pytest.mark.parametrize(
    ("name", "group", "fix"),
    [
        ("mlp", SO2, "group=None"),
        ("frame", SO3, "about_gravity"),
        ("goal", O3, "about_gravity"),
        ("regular", SO3, "about_gravity"),
        ("vector", ANT, "'frame'"),
        ("steerable", D4, "'frame'"),
    ],
)
def test_groups_that_cannot_be_honoured(name, group, fix):
    with pytest.raises(ValueError, match=f"'{name}'.*{group}.*{fix}"):
        build(name, observation(SO2), action(SO2), group)


def test_other_refusals():
    plain = Representation(
        (Field("height", "1x0e"), Field("gyro", "1x1e", frame="body")), (EntitySet("body", ("a",) * 3),), SO2
    )
    for name in ("goal", "heading"):
        with pytest.raises(ValueError, match=f"role '{name}'"):
            build(name, plain, scalars("value", 1, SO2))
    with pytest.raises(ValueError, match="no field 'gaol'"):
        build("frame", observation(SO2), action(SO2), anchors=("gaol",))
    with pytest.raises(ValueError, match="'height' holds no world vector"):
        build("frame", observation(SO2), action(SO2), anchors=("height",))
    with pytest.raises(ValueError, match=r"anchors='goal' is no list of fields"):
        build("frame", observation(SO2), action(SO2), anchors="goal")
    with pytest.raises(ValueError, match="'steerable'"):
        build("vector", Representation((Field("t", "1x2e"),), (), SO2), scalars("value", 1, SO2))
    with pytest.raises(ValueError, match="tilts the horizontal plane"):
        build("vector", observation(SO2), action(SO2), SO3)
    with pytest.raises(ValueError, match="eps must be positive"):
        build("frame", observation(SO2), action(SO2), eps=0.0)


@pytest.mark.parametrize("name", BACKBONES)
def test_signatures_name_every_option(name):
    parameters = inspect.signature(BACKBONES[name]).parameters
    assert list(parameters)[:3] == ["in_rep", "out_rep", "group"]
    assert set(BackboneOptions.__annotations__) <= set(parameters)
    assert not [p for p in parameters.values() if p.kind is p.VAR_KEYWORD]
    assert ("anchors" in parameters) == (name in ("frame", "regular", "transformer"))
    with pytest.raises(TypeError, match="unexpected keyword argument 'ancors'"):
        build(name, observation(SO2), action(SO2), ancors=())


@pytest.mark.parametrize("name", ["heading", "goal"])
def test_one_anchor_is_no_option(name):
    for option in ("anchors", "weighting", "eps"):
        with pytest.raises(TypeError, match=f"unexpected keyword argument '{option}'"):
            build(name, observation(SO2), action(SO2), **{option: 1.0})


@pytest.mark.parametrize("name", BACKBONES)
def test_output_gain_scales_the_last_layer(name):
    x = torch.randn(64, observation(SO2).dim)
    sizes = []
    for gain in (1.0, 0.01):
        torch.manual_seed(0)
        sizes.append(build(name, observation(SO2), action(SO2), output_gain=gain)(x).std())
    assert float((sizes[1] / sizes[0]).detach()) == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize(("name", "group"), SUPPORTED, ids=IDS)
def test_names_that_policies_reserve(name, group):
    net = network(name, group, "q")
    names = [n for n, _ in net.named_modules()] + [n for n, _ in net.named_buffers()] + list(net.state_dict())
    assert not [n for n in names if "running_" in n or "features_extractor" in n or n.rsplit(".")[-1] == "log_std"]
    assert net(torch.randn(1, net.in_rep.dim)).shape == (1, 1)


@pytest.mark.parametrize("group", GROUPS.values(), ids=str)
@pytest.mark.parametrize("name", ["vector", "steerable", "frame", "regular", "transformer"])
def test_inputs_without_vectors(name, group):
    inside = Representation((Field("s", "3x0e"),), (), group)
    outside = Representation((Field("v", "1x1o"), Field("s", "2x0e"), Field("p", "1x0o")), (), group)
    if name in ("frame", "regular", "transformer") and group in (SO3, O3):
        group = group.about_gravity()
    y = build(name, inside, outside, group)(torch.randn(4, 3))
    assert y.shape == (4, 6)
    assert bool(y[:, 3:].any(0)[:2].all())
    moved = outside.transform(y, group.sample(4, rng=0))
    assert torch.allclose(moved, y, atol=1e-6)


@pytest.mark.parametrize("degree", [1, 2, 3, 4])
def test_turn_is_the_representation(degree):
    rep = Representation((Field("a", f"1x0e + 1x{degree}e + 1x1o"),), (), SO2)
    angle = torch.linspace(-3, 3, 7, dtype=torch.float64)
    x = torch.randn(7, rep.dim, dtype=torch.float64)
    turn, still = Turn(rep).double(), torch.tensor([[1.0, 0.0]], dtype=torch.float64).expand(7, 2)
    u = torch.stack([angle.cos(), angle.sin()], dim=1)
    forth = turn.back(turn.away(x, still), u)
    assert torch.allclose(forth, rep.transform(x, about_gravity(angle)), atol=1e-12)
    assert torch.allclose(turn.back(turn.away(x, u), u), x, atol=1e-12)


def test_layout_sorts_by_parity():
    rep = Representation((Field("s", "1x0e + 1x0o"), Field("v", "1x1o"), Field("w", "1x1e")), (), O2)
    flat, space, merged = (layout(rep, g, "test") for g in (O2, O3, SO2))
    assert (flat.even, flat.odd, flat.polar, flat.axial) == ([0, 4], [1, 7], [(2, 3), (6, 5)], [])
    assert (space.even, space.odd, space.polar, space.axial) == ([0], [1], [(2, 3, 4)], [(5, 6, 7)])
    assert (merged.even, merged.odd, merged.polar) == ([0, 1, 4, 7], [], [(2, 3), (5, 6)])


# ---------------------------------------------------------------------- expressivity
def vectors(n, group, *extra):
    return Representation((Field("v", f"{n}x1o"), *extra), (), group)


@pytest.mark.parametrize("name", ["vector", "frame", "steerable"])
def test_turning_left_needs_the_mirror_broken(name):
    torch.manual_seed(0)
    x = torch.randn(256, 3)
    left = torch.stack([-x[:, 1], x[:, 0], torch.zeros(256)], dim=1)
    options = {"hidden": (8,) if name == "steerable" else (64, 64)}
    one_sided = build(name, vectors(1, SO2), vectors(1, SO2), SO2, **options)
    two_sided = build(name, vectors(1, O2), vectors(1, O2), O2, **options)
    assert fit(one_sided, x, left, 200) < 0.02
    assert fit(two_sided, x, left, 200) > 0.9


def test_triple_products_are_pseudoscalars():
    torch.manual_seed(0)
    x = torch.randn(256, 9)
    triple = torch.linalg.det(x.view(-1, 3, 3))[:, None]
    pseudo, true = (Representation((Field("s", irreps),), (), O3) for irreps in ("1x0o", "1x0e"))
    assert fit(build("vector", vectors(3, O3), pseudo), x, triple, 300) < 0.02
    assert fit(build("vector", vectors(3, SO3), true, SO3), x, triple, 300) < 0.02
    # a true scalar cannot be one: at best the network fits noise by the invariants of 256 points
    torch.manual_seed(0)
    both, sign = torch.cat([x, -x]), torch.cat([triple, -triple])
    assert fit(build("vector", vectors(3, O3), true), both, sign, 200) > 0.9


def test_a_vector_times_a_triple_product():
    torch.manual_seed(0)
    x = torch.randn(256, 9)
    y = x[:, :3] * torch.linalg.det(x.view(-1, 3, 3))[:, None]
    axial = Representation((Field("w", "1x1e"),), (), O3)
    # v1 * v1.(v2 x v3) is axial: polar times pseudoscalar
    assert fit(build("vector", vectors(3, O3), axial), x, y, 400) < 0.05
    torch.manual_seed(0)
    x = torch.randn(256, 9)
    polar = x[:, :3] * (x[:, 3:6] * x[:, 6:9]).sum(1, keepdim=True)
    assert fit(build("vector", vectors(3, O3), vectors(1, O3)), x, polar, 300) < 0.05


@pytest.mark.parametrize("group", [O3, SO3], ids=str)
def test_cross_products(group):
    torch.manual_seed(0)
    x = torch.randn(256, 6)
    cross = torch.linalg.cross(x[:, :3], x[:, 3:])
    axial = Representation((Field("w", "1x1e"),), (), group)
    assert fit(build("vector", vectors(2, group), axial), x, cross, 300) < 0.02


@pytest.mark.parametrize("group", [O2, O3], ids=str)
def test_force_on_a_charge(group):
    # polar x axial is polar, with one vector of each kind only
    torch.manual_seed(0)
    x = torch.randn(256, 6)
    inside = vectors(1, group, Field("w", "1x1e"))
    force = torch.linalg.cross(x[:, :3], x[:, 3:])
    assert fit(build("vector", inside, vectors(1, group)), x, force, 400) < 0.05


def test_world_groups_without_standard_name_get_their_standard_part():
    flip = Group("SO2 with upside down", "SO2", (O3.finite[0],))
    rep = Representation((Field("v", "2x1o"),), (), flip)
    assert build("vector", rep, rep).group == SO2
    assert build("frame", rep, rep).group == flip
    assert build("regular", rep, rep).group == flip
