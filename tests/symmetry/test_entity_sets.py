"""Entity sets: masks and edges as data, free exchange, and the iteration over irreps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from eqrl.symmetry import (
    O2,
    SO2,
    EntitySet,
    Field,
    Generator,
    Group,
    Representation,
    adjacency,
    exchanges,
    family,
    finite_group,
    mask_index,
    orbits,
    random_exchange,
)

SWAP = np.eye(4)[[1, 0, 3, 2]]
# two arms of two links: the mirror exchanges them and reverses the joints
MIRROR = Group("arms", "SO2", (Generator.of("mirror", np.diag([1.0, -1.0, 1.0]), {"links": -np.eye(4)[[2, 3, 0, 1]]}),))
LINKS = EntitySet("links", ("upper", "lower", "upper", "lower"), mask="real")
PARENTS = (-1, 0, -1, 2)


def robot(group=MIRROR, **changes):
    fields = (
        Field("goal", "1x1o + 1x0e", role="goal"),
        Field("real", "1x0e", "links"),
        Field("parent", "4x0e", "links", role="parent"),
        Field("where", "1x1o", "links", role="position"),
        Field("angle", "1x0e", "links"),
    )
    return Representation(fields, (replace(LINKS, **changes),), group)


def swarm(n=4, kinds=None, group=O2):
    members = EntitySet("swarm", kinds or ("member",) * n, exchangeable=True)
    fields = (
        Field("goal", "1x1o"),
        Field("links", f"{n}x0e", "swarm", role="parent"),
        Field("velocity", "1x1o", "swarm"),
        Field("charge", "2x0e", "swarm"),
    )
    return Representation(fields, (members,), group)


# ---------------------------------------------------------------------- blocks
def test_blocks_walk_over_every_irrep_in_order():
    sets = (EntitySet("legs", ("leg",) * 2), EntitySet("body", ("axis",) * 3))
    fields = (
        Field("a", "1x0e + 2x1o"),
        Field("b", "1x1e", entities="legs", horizontal=True),
        Field("c", "1x2o", entities="legs", frame="body"),
    )
    blocks = list(Representation(fields, sets, SO2).blocks())
    told = [(b.field.name, b.entity, b.copy, b.degree, b.parity, b.frame, b.horizontal) for b in blocks]
    assert told == [
        ("a", 0, 0, 0, 1, "world", False),
        ("a", 0, 1, 1, -1, "world", False),
        ("a", 0, 2, 1, -1, "world", False),
        ("b", 0, 0, 1, 1, "world", True),
        ("b", 1, 0, 1, 1, "world", True),
        ("c", 0, 0, 2, -1, "body", False),
        ("c", 1, 0, 2, -1, "body", False),
    ]
    assert [i for b in blocks for i in b.where] == list(range(7 + 4 + 10))


# ---------------------------------------------------------------------- edges and masks are data
def test_edges_move_with_their_entities():
    rep = robot()
    real, edges = np.array([1.0, 1.0, 1.0, 0.0]), adjacency((-1, 0, -1), size=4)
    x = np.zeros(rep.dim)
    x[rep.slices["real"]], x[rep.slices["parent"]] = real, edges.ravel()
    y = rep.split(rep.transform(x, MIRROR.generators[1][1]))
    # the arm with one link is now the first one; masks and edges are not negated, as joints are
    assert y["real"].tolist() == [1, 0, 1, 1]
    assert np.array_equal(y["parent"].reshape(4, 4), adjacency((-1, -1, -1, 2)))


def test_a_symmetric_tree_is_left_as_it_is():
    rep = robot()
    x = np.zeros(rep.dim)
    x[rep.slices["parent"]] = adjacency(PARENTS).ravel()
    assert np.array_equal(rep.transform(x, MIRROR.generators[1][1]), x)


@pytest.mark.parametrize("rep", [robot(), swarm()], ids=["robot", "swarm"])
def test_edges_are_a_representation(rep):
    a, b = (rep.group.sample(rng=i) for i in range(2))
    if rep.entities[0].exchangeable:
        a, b = (g.compose(random_exchange(rep, rng=i)) for i, g in enumerate((a, b)))
    ab = rep.matrix(a.compose(b))
    assert torch.allclose(ab, rep.matrix(a) @ rep.matrix(b), atol=1e-12)
    assert torch.allclose(ab @ ab.mT, torch.eye(rep.dim, dtype=torch.float64), atol=1e-12)
    x = torch.randn(7, rep.dim, dtype=torch.float64)
    assert torch.allclose(rep.transform(x, a), x @ rep.matrix(a).mT, atol=1e-12)


def test_relabelled_parents_are_those_of_the_relabelled_tree():
    rng = np.random.default_rng(0)
    rep = swarm(6)
    parents = np.array([-1, 0, 0, 1, 2, 3])
    x = np.zeros(rep.dim)
    x[rep.slices["links"]] = adjacency(parents).ravel()
    for _ in range(10):
        g = random_exchange(rep, rng=rng)
        moved_to = g.h["swarm"].argmax(0).numpy()  # afterwards, entity i is in slot moved_to[i]
        renamed = np.empty(6, dtype=int)
        renamed[moved_to] = [-1 if p < 0 else moved_to[p] for p in parents]
        assert np.array_equal(rep.transform(x, g)[rep.slices["links"]].reshape(6, 6), adjacency(renamed))


def test_parents_that_are_none():
    assert not adjacency([-1, 1]).any()
    assert adjacency([-1, 0], size=3).shape == (3, 3)
    with pytest.raises(ValueError, match=r"parents\[1\]=2 is none of the 2 entities"):
        adjacency([-1, 2])
    with pytest.raises(ValueError, match="3 entities do not fit into 2 slots"):
        adjacency([-1, 0, 0], size=2)


def test_mask_index_tells_entities_and_both_ends_of_edges():
    rep = robot()
    index, start = mask_index(rep), rep.slices["real"].start
    assert (index[rep.slices["goal"]] == -1).all()
    assert (index[rep.slices["real"]] == -1).all()
    assert index[rep.slices["where"], 0].tolist() == np.repeat(start + np.arange(4), 3).tolist()
    assert (index[rep.slices["where"], 1] == -1).all()
    edges = index[rep.slices["parent"]].reshape(4, 4, 2)
    assert np.array_equal(edges[..., 0], start + np.arange(4)[:, None] + np.zeros((4, 4), int))
    assert np.array_equal(edges[..., 1], edges[..., 0].T)
    action = Representation(
        (Field("torque", "1x0e", "links"), Field("push", "1x1o")), (replace(LINKS, mask=None),), MIRROR
    )
    assert mask_index(action, rep)[:, 0].tolist() == [start, start + 1, start + 2, start + 3, -1, -1, -1]
    assert (mask_index(action) == -1).all()
    other = Representation((Field("torque", "1x0e", "links"),), (EntitySet("links", ("upper", "lower")),), SO2)
    with pytest.raises(ValueError, match="'links' has 2 slots, but its mask in the observation has 4"):
        mask_index(other, rep)


# ---------------------------------------------------------------------- free exchange
def test_random_exchanges_move_members_of_one_kind_only():
    rep = swarm(6, kinds=("a", "b", "a", "a", "b", "c"))
    g = random_exchange(rep, 500, rng=0)
    places = g.h["swarm"].argmax(-1).numpy()
    assert np.array_equal(np.sort(places, axis=1), np.tile(np.arange(6), (500, 1)))
    kinds = np.array(rep.entities[0].kinds)
    assert (kinds[places] == kinds).all()
    assert len(np.unique(places, axis=0)) == 12  # 3! x 2!, all of them
    assert random_exchange(rep, rng=0).batch_shape == ()
    assert random_exchange(robot()).h == {}


def test_the_generators_give_every_exchange():
    rep = swarm(4)
    named = exchanges(rep)
    assert {name for name, _ in named} == {"exchange of swarm"}
    generators = [Generator.of(str(i), None, {"swarm": g.h["swarm"].numpy()}) for i, (_, g) in enumerate(named)]
    assert finite_group("S4", generators).order == 24
    # exchanges are not elements of the group that the representation declares
    assert rep.group == O2
    assert len(rep.group.cosets.R) == 2


def test_members_of_an_exchangeable_set_share_their_orbits():
    rep = swarm(4, kinds=("a", "a", "b", "b"))
    index = orbits(rep).index
    charge = index[rep.slices["charge"]].reshape(4, 2)
    assert torch.equal(charge[0], charge[1])
    assert torch.equal(charge[2], charge[3])
    assert len(set(charge[[0, 2]].flatten().tolist())) == 4
    velocity = index[rep.slices["velocity"]].reshape(4, 3)
    assert velocity[0].tolist() == velocity[1].tolist()
    assert velocity[0, 0] == velocity[0, 1] != velocity[0, 2]
    assert set(velocity[0].tolist()).isdisjoint(index[rep.slices["goal"]].tolist())
    # an exchange changes no signs, so offsets are allowed
    assert orbits(rep).offset[charge[0, 0]]
    alone = replace(rep, entities=(replace(rep.entities[0], exchangeable=False),))
    assert orbits(alone).count > orbits(rep).count


# ---------------------------------------------------------------------- refusals
def test_what_is_refused():
    def over(field, **changes):
        return Representation((Field("real", "1x0e", "links"), field), (replace(LINKS, **changes),), SO2)

    with pytest.raises(ValueError, match="'p' has role 'parent'"):
        over(Field("p", "1x0e", "links", role="parent"))
    with pytest.raises(ValueError, match="'p' has role 'position' and must be '1x1o'"):
        over(Field("p", "2x1o", "links", role="position"))
    with pytest.raises(ValueError, match="'p' has role 'position' and must be '1x1o'"):
        over(Field("p", "1x1e", role="position"))
    with pytest.raises(ValueError, match="'p' has role 'mask' and so needs an entity set"):
        over(Field("p", "1x0e", role="mask"))
    with pytest.raises(ValueError, match="several fields with role 'parent'"):
        robot() + Representation(
            (Field("other", "4x0e", "links", role="parent"),), (replace(LINKS, mask=None),), MIRROR
        )
    with pytest.raises(ValueError, match="'mirror' exchanges entities of 'links' with a change of sign"):
        robot(exchangeable=True)
    third = np.array([[-0.5, -(0.75**0.5), 0], [0.75**0.5, -0.5, 0], [0, 0, 1]])
    turned = Group("C3", "1", (Generator.of("third", None, {"axes": third}),))
    axes = EntitySet("axes", ("axis",) * 3, mask="real")
    with pytest.raises(ValueError, match="'third' mixes the entities of 'axes'"):
        Representation((Field("real", "1x0e", "axes"),), (axes,), turned)
    with pytest.raises(ValueError, match="'real', which must be '1x0e' over that set"):
        Representation((Field("real", "2x0e", "links"),), (LINKS,), SO2)


def limbs(group, **changes):
    kinds = ("limb",) * 4
    members = EntitySet("limbs", kinds, mask="real", exchangeable=True, **changes)
    fields = (
        Field("real", "1x0e", "limbs"),
        Field("driven", "3x0e", "limbs"),
        Field("spin", "1x1e", "limbs"),
        Field("angle", "2x0o + 1x0e", "limbs", mask="driven"),
    )
    return Representation(fields, (members,), group)


def test_the_family_leaves_exchanges_out():
    swap = Group("robot", "SO2", (Generator.of("mirror", np.diag([1.0, -1.0, 1.0]), {"limbs": SWAP, "joints": SWAP}),))
    assert family(limbs(swap)) == O2
    assert family(limbs(SO2)) == SO2
    assert family(limbs(SO2, mirrored=True)) == O2
    assert family(robot()) == MIRROR  # its links are not exchangeable
    assert family(swarm()) == O2
    quarter = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    ant = Group(
        "ant", "SO2", (Generator.of("quarter turn", None, {"limbs": np.roll(np.eye(4), 1, 0), "body": quarter}),)
    )
    assert family(limbs(ant)) == SO2  # a mere exchange: nothing here lives in the frame of the body


def test_a_field_has_a_mask_of_its_own():
    rep = limbs(O2)
    real, driven = rep.slices["real"].start, rep.slices["driven"].start
    index = mask_index(rep)
    rows = index[rep.slices["angle"]].reshape(4, 3, 2)
    for limb in range(4):
        assert rows[limb].tolist() == [[real + limb, driven + 3 * limb + k] for k in range(3)]
    assert "driven" in rep.markers
    action = Representation(
        (Field("torque", "2x0o + 1x0e", "limbs", mask="driven"),), (replace(rep.entities[0], mask=None),), O2
    )
    assert mask_index(action, rep).tolist() == rows.reshape(-1, 2).tolist()
    assert mask_index(action, rep.prefixed("observation")).tolist() == rows.reshape(-1, 2).tolist()
    with pytest.raises(ValueError, match="'torque' is masked by field 'driven' of the observation, whose fields are"):
        mask_index(action, swarm())
    unmarked = replace(rep, fields=tuple(replace(f, mask=None) for f in rep.fields))
    with pytest.raises(ValueError, match="'driven' of the observation, which would be normalised; give it the role"):
        mask_index(action, unmarked)
    marked = tuple(replace(f, role="mask") if f.name == "driven" else f for f in unmarked.fields)
    assert mask_index(action, replace(rep, fields=marked)).tolist() == rows.reshape(-1, 2).tolist()
    fields = (Field("b", "2x0e", "limbs"), Field("a", "3x0e", "limbs", mask="b"))
    with pytest.raises(ValueError, match="'a' is masked by field 'b', which must be '1x0e' or '3x0e' over 'limbs'"):
        Representation(fields, (EntitySet("limbs", ("limb",) * 2),), O2)
    with pytest.raises(ValueError, match="'a' has mask 'b' and so needs an entity set"):
        Field("a", "1x0e", mask="b")


def test_signs_go_together_with_exchangeable_sets():
    flip = Group("flip", "1", (Generator.of("mirror", np.diag([1.0, -1.0, 1.0]), {"links": -np.eye(4)}),))
    rep = Representation((Field("angle", "1x0e", "links"),), (EntitySet("links", ("l",) * 4, exchangeable=True),), flip)
    assert orbits(rep).count == 1
    assert not orbits(rep).offset.any()
