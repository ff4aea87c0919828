"""SET: the published sizes, the symmetries it has and those it has not, its trees and its torques."""

import numpy as np
import pytest
import torch
from nn_cases import error
from scipy.sparse.csgraph import shortest_path

from eqrl.nn import build
from eqrl.nn.transformer.trees import relations, traversals
from eqrl.symmetry import SO2, EntitySet, Field, Representation, adjacency, random_exchange, scalars

DEAD = 198_144  # weights of the published code that it inherits and never uses
POLAR = ("direction", "position", "gravity", "target", "velocity", "angular_velocity", "axes")
HUMANOID = [-1, 0, 1, 0, 3, 0, 5, 0, 7]


def spaces(slots=9):
    """The published 41 numbers of each limb, and its three torques."""
    limbs = EntitySet("limbs", ("limb",) * slots, mask="real", exchangeable=True)
    observation = (
        Field("direction", "1x1o", role="goal"),
        Field("real", "1x0e", "limbs"),
        Field("driven", "3x0e", "limbs", role="mask"),
        Field("position", "1x1o", "limbs", role="position"),
        Field("gravity", "1x1o", "limbs"),
        Field("target", "1x1o", "limbs"),
        Field("velocity", "1x1o", "limbs"),
        Field("angular_velocity", "1x1e", "limbs"),
        Field("axes", "3x1e", "limbs"),
        Field("scalars", "17x0e", "limbs"),
        Field("parent", f"{slots}x0e", "limbs", role="parent"),
    )
    torque = Field("torque", "3x0e", "limbs", mask="driven")
    return Representation(observation, (limbs,), SO2), Representation((torque,), (limbs_of_action(slots),), SO2)


def limbs_of_action(slots):
    return EntitySet("limbs", ("limb",) * slots, exchangeable=True)


def with_action(observation, action):
    fields = (*observation.fields, Field("action/torque", "3x0e", "limbs"))
    return Representation(fields, observation.entities, observation.group)


def network(observation, out, seed=0, **options):
    torch.manual_seed(seed)
    return build("set", observation, out, **{"hidden": (16, 16), "channels": 6, **options}).double()


def robots(rep, n=8, limbs=(9, 5), seed=0):
    """Random states of humanoids with and without arms."""
    rng = np.random.default_rng(seed)
    x = torch.as_tensor(rng.standard_normal((n, rep.dim)))
    slots = rep.entity_set("limbs").size
    x[:, rep.slices["driven"]] = 1.0
    for row in range(n):
        count = limbs[row % len(limbs)]
        x[row, rep.slices["real"]] = (torch.arange(slots) < count).double()
        x[row, rep.slices["parent"]] = torch.as_tensor(adjacency(HUMANOID[:count], slots)).double().flatten()
    return x


def moved(rep, x, matrix, names=POLAR):
    """The same states with some vectors multiplied by a matrix, as if all of them were polar."""
    y = x.clone()
    for name in names:
        block = x[:, rep.slices[name]]
        y[:, rep.slices[name]] = (block.view(len(x), -1, 3) @ matrix.T).flatten(1)
    return y


def change(after, before):
    """Largest difference relative to the largest number."""
    return float(((after - before).abs().max() / before.abs().max()).detach())


def orthogonal(seed, mirror):
    q, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((3, 3)))
    return torch.as_tensor(q * (np.sign(np.linalg.det(q)) * (-1 if mirror else 1)))


def test_the_published_sizes():
    observation, action = spaces()
    options = {"hidden": (128, 128, 128), "positions": True, "relations": True}
    actor = build("set", observation, action, **options)
    assert sum(p.numel() for p in actor.parameters()) + DEAD == 4_712_712
    critic = build("set", with_action(observation, action), scalars("q", 1, SO2), **options)
    assert sum(p.numel() for p in critic.parameters()) + DEAD == 4_380_665
    defaults = build("set", observation, action, positions=True, relations=True)
    assert [p.shape for p in defaults.parameters()] == [p.shape for p in actor.parameters()]


@pytest.mark.parametrize("mirror", [False, True])
def test_rotations_and_mirrors_of_all_vectors_and_gravity_change_no_torque(mirror):
    observation, action = spaces()
    net = network(observation, action, positions=True, relations=True)
    x = robots(observation)
    before = net(x)
    o = orthogonal(1, mirror)
    net.gravity.copy_(o @ net.gravity)
    assert change(net(moved(observation, x, o)), before) < 1e-10


def test_rotations_about_gravity_and_no_others():
    observation, action = spaces()
    net = network(observation, action, positions=True, relations=True)
    assert error(net, SO2) < 1e-10
    x = robots(observation)
    tilt = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.8, -0.6], [0.0, 0.6, 0.8]], dtype=torch.float64)
    bodies = [name for name in POLAR if name not in ("direction", "gravity", "target")]
    before = net(x)
    assert change(net(moved(observation, x, tilt, bodies)), before) > 1e-2
    # the world's mirror leaves the angular velocity and the axes behind in sign
    mirrored = moved(observation, x, torch.diag(torch.tensor([1.0, -1.0, 1.0], dtype=torch.float64)))
    for name in ("angular_velocity", "axes"):
        mirrored[:, observation.slices[name]] *= -1
    assert change(net(mirrored), before) > 1e-2


@pytest.mark.parametrize("positions", [False, True])
def test_exchange_is_honoured_up_to_position_codes(positions):
    observation, action = spaces()
    net = network(observation, action, positions=positions, relations=True)
    x = robots(observation)
    g = random_exchange(observation, len(x), rng=0)
    worst = change(net(observation.transform(x, g)), action.transform(net(x), g))
    assert worst < 1e-12 if not positions else worst > 1e-3
    assert type(net).exchanges_with({"positions": positions}) == (not positions)


def test_position_codes_survive_exchanges_that_keep_the_order_of_siblings():
    observation, action = spaces()
    net = network(observation, action, positions=True, relations=True)
    x = robots(observation)
    # the numbers of parents change and the order of siblings does not: the arms' ends go to the last slots
    order = [0, 1, 3, 5, 7, 2, 4, 6, 8]
    g = random_exchange(observation, rng=0)
    g.h["limbs"].copy_(torch.eye(9, dtype=torch.float64)[order])
    assert torch.allclose(net(observation.transform(x, g)), action.transform(net(x), g), atol=1e-14, rtol=1e-12)


def test_a_torque_is_a_vector_times_an_axis():
    observation, action = spaces()
    net = network(observation, action)
    x = robots(observation)
    y = net(x).view(len(x), 9, 3)
    where = observation.slices["axes"]
    axes = x[:, where].view(len(x), 9, 3, 3).clone()
    axes[:, :, 2] = 0.0
    still = x.clone()
    still[:, where] = axes.flatten(1)
    assert not net(still).view(len(x), 9, 3)[..., 2].any()
    assert y[:, :5, 2].all()
    # a policy for other names of axes
    swapped = network(observation, action, axes=("axes",), torques=("torque",))
    assert torch.equal(swapped(x), net(x))
    plain = network(observation, action, torques=())
    assert net.read_outs.of_sets["limbs"].axes == (4, 5, 6)
    assert plain.read_outs.of_sets["limbs"].axes == ()


def test_values_are_means_over_limbs():
    observation, _ = spaces()
    net = network(observation, scalars("value", 1, SO2))
    one = robots(observation, 1, limbs=(1,))
    # nine limbs that are all like the first one, and each is a root
    many = one.clone()
    for field in observation.fields:
        if field.entities:
            block = one[:, observation.slices[field.name]].view(1, 9, -1)
            many[:, observation.slices[field.name]] = block[:, :1].expand_as(block).flatten(1)
    many[:, observation.slices["parent"]] = 0.0
    assert torch.allclose(net(one), net(many), rtol=1e-12)


def test_export():
    observation, action = spaces()
    net = network(observation, action, positions=True, relations=True).eval()
    batch = torch.export.Dim("batch", min=1)
    exported = torch.export.export(net, (robots(observation, 4),), dynamic_shapes=({0: batch},)).module()
    for limbs in ((9,), (9, 5)):
        x = robots(observation, 6, limbs)
        assert torch.allclose(exported(x), net(x), atol=1e-14, rtol=1e-10)


def test_refusals():
    observation, action = spaces()
    with pytest.raises(ValueError, match=r"'set' handles scalars and vectors only.*'steerable'"):
        build("set", Representation((Field("t", "1x2e"),), (), SO2), scalars("value", 1, SO2))
    with pytest.raises(ValueError, match="all equal"):
        build("set", observation, action, hidden=(16, 8))
    with pytest.raises(ValueError, match=r"hidden=\(16, 16\) cannot be divided into heads=3"):
        build("set", observation, action, hidden=(16, 16), heads=3)
    with pytest.raises(ValueError, match="channels must be at least 1, got 0"):
        build("set", observation, action, channels=0)
    with pytest.raises(ValueError, match="no field 'axis'"):
        build("set", observation, action, axes=("axis",))
    with pytest.raises(ValueError, match="'scalars' does not hold vectors"):
        build("set", observation, action, axes=("scalars",))
    with pytest.raises(ValueError, match=r"hold 1 axes for each entity and the outputs \['torque'\] need 3"):
        build("set", observation, action, axes=("velocity",))
    with pytest.raises(ValueError, match=r"torques.*no field 'tork'.*torque"):
        build("set", observation, action, torques=("tork",))
    flat = Representation(tuple(f for f in observation.fields if f.role != "parent"), observation.entities, SO2)
    for option in ("positions", "relations"):
        with pytest.raises(ValueError, match=f"{option}=True needs a tree"):
            build("set", flat, action, **{option: True})
    with pytest.raises(ValueError, match="give nodes=9"):
        build("set", observation, action, positions=True, nodes=8)


# ------------------------------------------------------------------ trees
def trees(n, count=20, seed=0):
    """Random trees whose nodes are in random order."""
    rng = np.random.default_rng(seed)
    forest = []
    for _ in range(count):
        parents = [-1, *(int(rng.integers(0, i)) for i in range(1, n))]
        order = rng.permutation(n)
        shuffled = np.empty(n, dtype=int)
        shuffled[order] = [-1 if p < 0 else order[p] for p in parents]
        forest.append(shuffled.tolist())
    return forest


def visited(parents):
    """Pre-order of a tree, and in-order and post-order of its left-child-right-sibling tree, by recursion."""
    children = {i: [c for c, p in enumerate(parents) if p == i] for i in (-1, *range(len(parents)))}
    pre, inside, post = [], [], []

    def visit(siblings):
        if not siblings:
            return
        node, rest = siblings[0], siblings[1:]
        pre.append(node)
        visit(children[node])
        inside.append(node)
        visit(rest)
        post.append(node)

    visit(children[-1])
    return pre, inside, post


def edges(forest, slots):
    return torch.as_tensor(np.stack([adjacency(parents, slots) for parents in forest])).double()


@pytest.mark.parametrize("n", [1, 2, 7, 14])
def test_ranks_are_those_of_a_recursion(n):
    forest = trees(n)
    real = (torch.arange(n + 2) < n).expand(len(forest), -1)
    ranks = traversals(edges(forest, n + 2), real)
    for b, parents in enumerate(forest):
        for k, order in enumerate(visited(parents)):
            assert [ranks[k, b, i].item() for i in order] == list(range(n))


def test_several_trees_stand_side_by_side():
    forest = [[-1, 0, -1, 2, 2]]
    ranks = traversals(edges(forest, 5), torch.ones(1, 5, dtype=torch.bool))
    for k, order in enumerate(visited(forest[0])):
        assert [ranks[k, 0, i].item() for i in order] == list(range(5))


@pytest.mark.parametrize("n", [1, 2, 7, 14])
def test_relations_are_those_of_a_graph(n):
    forest = trees(n)
    slots = n + 1
    found = relations(edges(forest, slots), (torch.arange(slots) < n).expand(len(forest), -1)).numpy()
    for b, parents in enumerate(forest):
        link = adjacency(parents).astype(float)
        link = link + link.T
        degree = np.maximum(link.sum(1), 1)
        walk = link / degree[:, None]
        np.testing.assert_allclose(found[b, :n, :n, 0], 0.1 * np.linalg.inv(np.eye(n) - 0.9 * walk), atol=1e-12)
        laplacian = np.eye(n) - link / np.sqrt(np.outer(degree, degree))
        np.testing.assert_allclose(found[b, :n, :n, 1], laplacian, atol=1e-12)
        np.testing.assert_allclose(found[b, :n, :n, 2], shortest_path(link, unweighted=True) / n, atol=1e-12)
