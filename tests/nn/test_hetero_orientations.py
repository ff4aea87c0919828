"""The published grid of orientations: exact for the rotations of the grid, else off by an error that falls with it."""

import pytest
import torch
from hetero_cases import hands_and_object, moved, scenes, shaken
from nn_cases import error
from padded_env import Swarm
from stable_baselines3 import PPO

from eqrl.agents import EquivariantPolicy
from eqrl.nn.hetero.orientations import exact_group, orientations
from eqrl.symmetry import O2, SO2, SO3, TRIVIAL, random_exchange


def made(group, count, **options):
    return shaken(*hands_and_object(group), None, orientations=count, **options)


@pytest.mark.parametrize("space", [2, 3])
def test_orientations_are_unit_vectors_that_cover_all_directions(space):
    grid = orientations(space, 64)
    assert torch.allclose(grid.norm(dim=1), torch.ones(64, dtype=torch.float64))
    assert grid.mean(0).norm() < 0.02
    assert torch.allclose(grid.T @ grid / 64, torch.eye(space, dtype=torch.float64) / space, atol=0.01)


@pytest.mark.parametrize("edges", ["heterogeneous", "homogeneous"])
@pytest.mark.parametrize("count", [4, 16])
def test_rotations_of_the_grid_are_exact_in_the_plane(count, edges):
    net = made(O2, count, edges=edges)
    assert str(net.group) == f"C{count}"
    assert error(net, net.group) < 1e-10
    assert error(net, SO2) > 1e-9


def test_the_error_falls_with_the_number_of_orientations():
    for group, counts in ((SO2, (4, 8, 32)), (SO3, (16, 64, 256))):
        errors = [error(made(group, count), group, n=64) for count in counts]
        assert errors[0] > 2 * errors[1] > 4 * errors[2], (str(group), errors)
        assert errors[0] > 1e-2


@pytest.mark.parametrize("group", [SO2, SO3], ids=str)
def test_exchange_and_translations_are_exact(group):
    net = made(group, 16)
    x = scenes(net.in_rep)
    y = net(x)
    h = random_exchange(net.in_rep, len(x), rng=1)
    assert torch.allclose(net(net.in_rep.transform(x, h)), net.out_rep.transform(y, h), atol=1e-11)
    assert torch.allclose(net(moved(net.in_rep, x, torch.tensor([3.0, -2.0, 1.0]))), y, atol=1e-11)


def test_groups_of_grids():
    assert len(exact_group(2, 6).finite) == 1
    assert exact_group(3, 16) == TRIVIAL


def test_a_policy_says_what_is_exact():
    kwargs = {"network": "hetero", "network_kwargs": {"hidden": (8, 8), "orientations": 6}}
    model = PPO(EquivariantPolicy, Swarm(), policy_kwargs=kwargs, n_steps=16, batch_size=16, seed=0, device="cpu")
    assert "commutes with C6" in model.policy.describe()
    model.learn(16)
