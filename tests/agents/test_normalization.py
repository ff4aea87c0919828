"""The running normaliser: equivariant, robust, and constant within a cycle."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from gymnasium import spaces
from toy_envs import MIRRORED_JOINTS, PointMass, Reach, Walker

from eqrl.agents.features import TypedFeatures
from eqrl.agents.normalization import RunningNorm
from eqrl.symmetry import O3, SO2, EntitySet, Field, Group, Representation, TypedBox, representation_of

REPRESENTATIONS = {
    "point": PointMass().observation_space.representation,
    "walker": Walker().observation_space.representation,
    "tensors": Representation((Field("t", "1x2e + 2x1o"), Field("s", "1x0o + 2x0e")), group=O3),
}


def trained(rep, **options) -> RunningNorm:
    norm = RunningNorm(rep, **options)
    rng = np.random.default_rng(0)
    for _ in range(5):
        x = rng.normal(size=(100, rep.dim)) * np.geomspace(0.01, 100, rep.dim) + rng.normal(size=rep.dim)
        norm.collect(torch.as_tensor(x, dtype=torch.float32))
    norm.commit()
    return norm


@pytest.mark.parametrize("name", REPRESENTATIONS)
@pytest.mark.parametrize("clip", [10.0, 0.5])
def test_commutes_with_the_group(name, clip):
    rep = REPRESENTATIONS[name]
    norm = trained(rep, clip=clip).double()
    x = torch.randn(50, rep.dim, dtype=torch.float64) * 10
    g = rep.group.sample(50, rng=0)
    assert torch.allclose(norm(rep.transform(x, g)), rep.transform(norm(x), g), atol=1e-5)
    single = copy.deepcopy(norm)
    single.running_gain[-4:] *= torch.linspace(1, 2, 4)  # a planted break
    if name != "tensors":
        assert not torch.allclose(single(rep.transform(x, g)), rep.transform(single(x), g), atol=1e-2)


def test_statistics_are_those_of_the_data():
    rep = Representation((Field("s", "1x0e"), Field("v", "1x1o")), group=SO2)
    norm = RunningNorm(rep)
    x = torch.randn(10_000, 4) * torch.tensor([2.0, 3.0, 3.0, 0.1]) + torch.tensor([5.0, 0.0, 0.0, 7.0])
    norm.collect(x)
    y = norm(x)
    assert y[:, 0].mean().abs() < 1e-3
    assert y[:, 0].std().item() == pytest.approx(1.0, abs=0.01)
    assert torch.equal(norm.running_gain[1], norm.running_gain[2])
    assert y[:, 1:3].square().mean().item() == pytest.approx(1.0, abs=0.01)
    # under SO(2) the vertical axis is an orbit of its own, and may have an offset
    assert y[:, 3].mean().abs() < 1e-2
    assert y[:, 3].std().item() == pytest.approx(1.0, abs=0.1)


def test_mirrored_joints_share_a_scale_and_have_no_offset():
    norm = trained(REPRESENTATIONS["walker"])
    assert REPRESENTATIONS["walker"].group == MIRRORED_JOINTS
    assert torch.equal(norm.running_shift, torch.zeros(8))
    assert norm.running_gain[4] == norm.running_gain[5]
    assert norm.running_gain[6] == norm.running_gain[7]
    assert norm.running_gain[4] != norm.running_gain[6]


def test_vectors_are_clipped_along_their_direction():
    norm = RunningNorm(Representation((Field("v", "1x1o"),), group=O3), clip=2.0)
    y = norm(torch.tensor([[30.0, 40.0, 0.0], [0.3, 0.4, 0.0], [0.0, 0.0, 0.0]]))
    assert torch.allclose(y, torch.tensor([[1.2, 1.6, 0.0], [0.3, 0.4, 0.0], [0.0, 0.0, 0.0]]))


def test_gradient_at_zero_is_finite():
    norm = RunningNorm(REPRESENTATIONS["point"])
    x = torch.zeros(1, 9, requires_grad=True)
    norm(x).sum().backward()
    assert x.grad.isfinite().all()


def test_collect_waits_for_commit_except_at_first():
    norm = RunningNorm(REPRESENTATIONS["point"])
    norm.collect(torch.randn(50, 9) * 5)
    assert norm.samples == 50
    gain = norm.running_gain.clone()
    norm.collect(torch.randn(50, 9))
    assert torch.equal(gain, norm.running_gain)
    norm.commit()
    assert not torch.equal(gain, norm.running_gain)
    assert norm.samples == 100
    assert not norm.pending.any()


def test_frozen_after_enough_samples():
    features = TypedFeatures(PointMass().observation_space, normalize_until=100)
    for _ in range(5):
        features.observe(torch.randn(60, 9), commit=True)
    assert features.norm is not None
    assert features.norm.samples == 120


def test_padding_does_not_count_and_stays_zero():
    limbs = EntitySet("limbs", ("limb",) * 3, mask="real")
    fields = (Field("real", "1x0e", "limbs"), Field("angle", "1x0e", "limbs"), Field("v", "1x1o", "limbs"))
    rep = Representation(fields, (limbs,), SO2)
    norm = RunningNorm(rep)
    angle, v = torch.randn(1000, 3) + 4.0, torch.randn(1000, 9)
    mask = torch.tensor([1.0, 1.0, 0.0]).expand(1000, 3)
    x = torch.cat([mask, angle * mask, v * mask.repeat_interleave(3, dim=1)], dim=1)
    norm.collect(x)
    y = norm(x)
    assert torch.equal(y[:, :3], mask)
    assert not y[:, 5].any()
    assert not y[:, -3:].any()
    assert y[:, 3:5].mean().abs() < 0.05
    assert y[:, 3:5].std().item() == pytest.approx(1.0, abs=0.05)
    assert norm.samples == 1000


def test_millions_of_samples_and_large_offsets():
    """Raw sums are in float64: they resolve a spread of 0.01 around an offset of 1000 even after 1e8 samples."""
    norm = RunningNorm(Representation((Field("s", "1x0e"),), group=SO2))
    x = 1000.0 + 0.01 * torch.randn(1000, 1)
    norm.collect(x)
    norm.running_moments *= 1e5
    norm.collect(x)
    norm.commit()
    assert 1.0 / norm.running_gain.item() == pytest.approx(x.std().item(), rel=0.1)
    assert norm.running_shift.item() == pytest.approx(1000.0)


def test_constant_coordinates_stay_bounded():
    norm = RunningNorm(Representation((Field("s", "1x0e"),), group=SO2))
    for _ in range(10):
        norm.collect(torch.full((100, 1), 3.0))
        norm.commit()
    assert norm(torch.full((1, 1), 3.0)).abs().item() < 1e-3
    assert norm(torch.full((1, 1), 4.0)).item() == pytest.approx(10.0)


def test_save_load_and_copy_keep_everything():
    norm = trained(REPRESENTATIONS["point"])
    norm.collect(torch.randn(7, 9))
    other = RunningNorm(REPRESENTATIONS["point"])
    other.load_state_dict(norm.state_dict())
    for a in (other, copy.deepcopy(norm)):
        assert torch.equal(a.pending, norm.pending)
        assert torch.equal(a.running_gain, norm.running_gain)
        assert torch.equal(a.running_moments, norm.running_moments)


def test_relative_goal_removes_translations():
    env = Reach()
    features = TypedFeatures(env.observation_space)
    assert features.representation.dim == features.features_dim == 10
    obs = {k: torch.as_tensor(v)[None] for k, v in env.reset(seed=0)[0].items()}
    flat = features.flatten(obs)
    assert torch.allclose(flat[:, 3:6], obs["desired_goal"] - obs["achieved_goal"])
    moved = {k: v + 1.0 if "goal" in k else v for k, v in obs.items()}
    assert torch.allclose(features.flatten(moved)[:, 3:], flat[:, 3:], atol=1e-6)
    absolute = TypedFeatures(env.observation_space, relative_goal=False)
    assert torch.equal(absolute.flatten(obs)[:, 3:6], obs["desired_goal"])


def test_goals_alike_in_some_fields_become_differences_in_these():
    points, targets = (EntitySet(name, ("point",) * 2, exchangeable=True) for name in ("points", "targets"))
    aim = Field("aim", "1x1o")
    achieved = (Field("centre", "1x1o", role="position"), Field("at", "1x1o", "points", role="position"), aim)
    desired = (aim, Field("centre", "1x1o", role="goal"), Field("at", "1x1o", "targets", role="position"))
    space = spaces.Dict(
        achieved_goal=TypedBox(Representation(achieved, (points,), SO2)),
        desired_goal=TypedBox(Representation(desired, (targets,), SO2)),
    )
    obs = {key: torch.randn(5, 12) for key in space}
    difference = obs["desired_goal"].clone()
    difference[:, :3] -= obs["achieved_goal"][:, 9:]
    difference[:, 3:6] -= obs["achieved_goal"][:, :3]
    for keep_positions in (False, True):
        features = TypedFeatures(space, keep_positions=keep_positions)
        assert torch.equal(features.flatten(obs), torch.cat([obs["achieved_goal"], difference], dim=1))


def test_trivial_group_gives_ordinary_statistics():
    norm = RunningNorm(Representation((Field("v", "1x1o"),), group=SO2), Group("1"))
    norm.collect(torch.randn(1000, 3) * torch.tensor([1.0, 2.0, 3.0]) + 5.0)
    assert len(set(norm.running_gain.tolist())) == 3
    assert (norm.running_shift > 4.0).all()


def test_positions_are_left_alone_for_networks_that_take_differences():
    points = EntitySet("points", ("point",) * 2, exchangeable=True)
    place = Representation((Field("at", "1x1o", "points", role="position"), Field("centre", "1x1o")), (points,), SO2)
    hands = EntitySet("hands", ("effector",))
    state = Representation(
        (Field("hand", "1x1o", "hands", role="position"), Field("v", "1x1o", "hands")), (hands,), SO2
    )
    space = spaces.Dict(
        {"observation": TypedBox(state), "achieved_goal": TypedBox(place), "desired_goal": TypedBox(place)}
    )
    features = TypedFeatures(space, keep_positions=True)
    usual = TypedFeatures(space)
    x = {key: 50.0 + 3.0 * torch.randn(100, entry.shape[0]) for key, entry in space.spaces.items()}
    rep = representation_of(space)
    kept, changed = (rep.split(f.observe(x, commit=True)) for f in (features, usual))
    for key, name in (("achieved_goal", "at"), ("desired_goal", "at"), ("observation", "hand")):
        field = f"{key}/{name}"
        raw = x[key][:, space[key].representation.slices[name]]
        assert torch.equal(kept[field], raw)
        assert not torch.allclose(changed[field], raw, atol=0.5)
    # all other fields are what they are for every network
    for field in ("achieved_goal/centre", "desired_goal/centre", "observation/v"):
        assert torch.equal(kept[field], changed[field])
