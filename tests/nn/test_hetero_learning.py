"""What decides whether the graph network learns to handle objects: four findings, each as a test."""

import pytest
import torch
from hetero_cases import hands_and_object, outline_and_hand, polygon, scenes, shaken, turned, yaw_errors

from eqrl.nn import build
from eqrl.symmetry import O2, O3, SO2, SO3


def fitted(group, corners, steps=120, **options):
    """Share of the yaw error that remains after a short training, for a shape with this symmetry."""
    in_rep, out_rep = outline_and_hand(group, 3 * corners, horizontal=group.fixes_gravity)
    torch.manual_seed(0)
    net = build("hetero", in_rep, out_rep, group, **options)
    optimiser = torch.optim.Adam(net.parameters(), lr=5e-3)
    generator = torch.Generator().manual_seed(0)
    losses = []
    for _ in range(steps):
        x, angle = yaw_errors(in_rep, corners, 64, generator)
        optimiser.zero_grad()
        loss = (net(x.float())[:, -1] - angle.float()).square().mean() / angle.square().mean()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()) ** 0.5)
    return sum(losses[-10:]) / 10


@pytest.mark.parametrize(
    ("group", "internal"), [(SO2, "hub"), (O2, "hub"), (SO3, "hub"), (O3, "hub"), (O2, "neighbours")], ids=str
)
def test_a_yaw_error_of_a_square_is_seen(group, internal):
    assert fitted(group, 4, internal=internal) < 0.15


def test_without_turning_messages_no_yaw_error_is_seen():
    """The first finding: what even invariants and sums of vectors see of a symmetric outline has no sign."""
    in_rep, out_rep = outline_and_hand(O2, 12)
    net = shaken(in_rep, out_rep, O2)
    generator = torch.Generator().manual_seed(0)
    x, _ = yaw_errors(in_rep, 4, 32, generator)
    assert net(x).abs().min() > 1e-6
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if "odd_edge" in name or "products.odd" in name:
                parameter.zero_()
    assert net(x).abs().max() < 1e-12


@pytest.mark.parametrize("points", [4, 12, 24])
@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_neighbours_on_outlines_with_equal_distances(points, count):
    """The second finding: rounding decides which of equally distant points are neighbours, so they must not count."""
    in_rep, out_rep = outline_and_hand(O2, points)
    net = shaken(in_rep, out_rep, O2, internal="neighbours", neighbours=count)
    generator = torch.Generator().manual_seed(1)
    for corners in {4, points}:
        x, _ = yaw_errors(in_rep, corners, 64, generator)
        g = O2.sample(64, rng=0)
        y = out_rep.transform(net(x), g)
        assert (net(in_rep.transform(x, g)) - y).abs().max() < 1e-12 * max(1.0, float(y.detach().abs().max()))


def test_neighbours_come_and_go_continuously():
    in_rep, out_rep = outline_and_hand(O2, 6)
    net = shaken(in_rep, out_rep, O2, internal="neighbours", neighbours=2)
    x = scenes(in_rep, 1)
    direction = scenes(in_rep, 1, seed=1)
    path = x + torch.linspace(-1, 1, 20001, dtype=torch.float64)[:, None] * direction
    points = path[:, in_rep.slices["point"]].view(-1, 6, 2)
    distances = (points[:, :, None] - points[:, None]).square().sum(-1)
    order = distances.argsort(-1)[..., 1:3].sort(-1).values
    assert bool((order[1:] != order[:-1]).any())  # neighbours do change on the way
    coarse, fine = (net(path[::step]).detach().diff(dim=0).abs().max() for step in (2, 1))
    assert fine < 0.7 * coarse


@pytest.mark.parametrize("group", [SO2, O2, SO3, O3], ids=str)
def test_outputs_stay_bounded_whatever_the_input(group):
    """The third finding: without bounds on inputs and on vectors, means grow to 1e16."""
    in_rep, out_rep = hands_and_object(group)
    for internal in ("hub", "neighbours"):
        net = shaken(in_rep, out_rep, group, internal=internal)
        with torch.no_grad():
            usual = net(scenes(in_rep, 64)).abs().max()
            for scale in (1e2, 1e5, 1e8):
                x = scale * scenes(in_rep, 64)
                x[:, in_rep.slices["real"]] = 1.0
                assert net(x).abs().max() < 10 * usual


def test_small_errors_are_seen_beside_large_ones():
    """Errors of two millimetres at the end of a task of decimetres move the output by a share that can be learnt."""
    in_rep, out_rep = outline_and_hand(O2, 12)
    shape = polygon(4, 12)
    angle = torch.zeros(2, dtype=torch.float64)
    here = turned(shape, angle)
    there = here + torch.tensor([[[0.0, 0.0]], [[0.002, 0.0]]], dtype=torch.float64)
    x = torch.cat([here, there, here[:, :1] + 0.1], dim=1).flatten(1)
    far = x.clone()
    far[1, in_rep.slices["target"]] = (here[1] + torch.tensor([0.2, 0.0], dtype=torch.float64)).flatten()
    moves = {}
    for scales in ((0.005, 0.05), (1.0,)):
        net = shaken(in_rep, out_rep, O2, scales=scales)
        small, large = (float((net(z)[0] - net(z)[1]).detach().abs().max()) for z in (x, far))
        moves[scales] = small / large
    assert moves[0.005, 0.05] > 5 * moves[(1.0,)]


def test_it_needs_no_frame_at_zero_error_of_symmetric_shapes():
    """The fourth finding: a frame is undefined where nothing points anywhere; the graph has none and is smooth."""
    in_rep, out_rep = outline_and_hand(O2, 12)
    net = shaken(in_rep, out_rep, O2)
    shape = polygon(4, 12)
    steps = 1e-8 * torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64)
    here = turned(shape, torch.zeros(3, dtype=torch.float64))
    x = torch.cat([here, turned(shape, steps), torch.zeros(3, 1, 2, dtype=torch.float64)], dim=1).flatten(1)
    y = net(x)[:, 0]
    assert abs(float(y[1].detach())) < 1e-14
    assert torch.allclose(y[0], -y[2], atol=1e-14)
    assert float((y[2] - y[1]).detach().abs()) < 1e-4
