"""The laws of policies on robots of different size, with random weights and the observations of real simulations."""

from __future__ import annotations

from copy import deepcopy

import gymnasium
import numpy as np
import pytest
import torch
from padded_env import resized, with_garbage
from stable_baselines3 import PPO, SAC, TD3
from twins import TWINS, mirror_into

import eqrl
from eqrl import EquivariantPolicy, EquivariantSACPolicy, EquivariantTD3Policy, check_policy
from eqrl.agents.normalization import RunningNorm
from eqrl.envs.core.simulation import Simulation
from eqrl.envs.locomotion.ids import ROBOTS, SETS, sgrl_id
from eqrl.envs.locomotion.run import Run
from eqrl.envs.registration import ENVIRONMENTS
from eqrl.envs.robots import sgrl
from eqrl.nn import BACKBONES
from eqrl.symmetry import random_exchange

POLICIES = {PPO: EquivariantPolicy, SAC: EquivariantSACPolicy, TD3: EquivariantTD3Policy}
CHEETAHS, HUMANOID = sgrl_id("Cheetahs"), sgrl_id("humanoid_9_full")


def shaken(module, size=0.1):
    """Random weights without zeros."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += size * torch.randn_like(parameter)
    return module


def made(env, algorithm=PPO, **options):
    options = {"network": "transformer", "network_kwargs": {"hidden": (16, 16)}, **options}
    limits = {"n_steps": 8, "batch_size": 32} if algorithm is PPO else {"buffer_size": 100}
    return algorithm(POLICIES[algorithm], env, policy_kwargs=options, device="cpu", seed=0, **limits)


def seen(env, steps=12):
    """Observations of a batch that acts at random, ``(rows, dim)``."""
    rng = np.random.default_rng(0)
    rows = [env.reset()]
    for _ in range(steps):
        action = rng.uniform(-1, 1, (env.num_envs, *env.action_space.shape)).astype(np.float32)
        rows.append(env.step(action)[0])
    return np.concatenate(rows)


def with_statistics(model, x):
    """A policy that has seen these observations."""
    for norm in norms(model.policy):
        norm.collect(torch.as_tensor(x))
        norm.commit()
    return model


def norms(policy):
    return [module for module in policy.modules() if isinstance(module, RunningNorm)]


# ---------------------------------------------------------------------- ids and sets
def test_ids_and_sets_are_those_of_the_models():
    assert sorted(ROBOTS) == sorted(sgrl.NAMES)
    assert {name: members for name, (members, _, _) in SETS.items()} == sgrl.SETS
    assert set(SETS["CWHH"][1]) == set(sgrl.UNSEEN)
    for name, (members, unseen, slots) in SETS.items():
        assert slots == max(len(sgrl.limbs(robot)) for robot in (*members, *unseen))
        assert ENVIRONMENTS[sgrl_id(name)].unseen == tuple(map(sgrl_id, unseen))
        assert {sgrl.family(robot).name for robot in unseen} <= {sgrl.family(robot).name for robot in members}
    assert {sgrl_id(name) for name in (*ROBOTS, *SETS)} <= set(gymnasium.registry)


# ---------------------------------------------------------------------- law 2
@pytest.mark.parametrize(
    ("env_id", "algorithm"),
    [(HUMANOID, PPO), (sgrl_id("cheetah_14_full"), PPO), (CHEETAHS, PPO), (HUMANOID, SAC), (HUMANOID, TD3)],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_whole_policies_honour_rotations_and_mirrors(env_id, algorithm):
    env = eqrl.make_vec(env_id, 8, seed=0, n_threads=1)
    model = made(env, algorithm)
    assert model.policy.group == eqrl.O2  # the set too, whose members are not all their own mirror images
    shaken(model.policy)
    with_statistics(model, seen(env))
    report = check_policy(model, env)
    assert {"mirror y -> -y"} < set(report.errors["action"])
    assert np.abs(model.predict(seen(env), deterministic=True)[0]).max() > 0.1
    if env_id != CHEETAHS:  # the world's own mirror, which exchanges limbs
        assert "sagittal mirror" in check_policy(model, env, group="full").errors["action"]


def test_plain_channels_do_not_honour_the_mirror():
    env = eqrl.make_vec(HUMANOID, 8, seed=0, n_threads=1)
    model = made(env, group="SO2")
    shaken(model.policy)
    check_policy(model, env)
    with pytest.raises(eqrl.symmetry.SymmetryError, match="mirror"):
        check_policy(model, env, group="O2")


# ---------------------------------------------------------------------- laws 9 and 10
def in_double_precision(model):
    """A copy of the policy; what its normalisers derive from their moments is computed anew."""
    policy = deepcopy(model.policy).double()
    for norm in norms(policy):
        norm.commit()
    return policy


def outputs(policy, x):
    """Mean action and value, without Stable-Baselines3, which rounds observations to single precision."""
    features, valued = policy.pi_features_extractor.norm, policy.vf_features_extractor.norm
    with torch.no_grad():
        return policy.action_net(features(x)), policy.value_net(valued(x))


@pytest.fixture(scope="module")
def cheetahs():
    env = eqrl.make_vec(CHEETAHS, 16, seed=0, n_threads=1)
    x = seen(env)
    model = with_statistics(made(env), x)
    shaken(model.policy)
    yield model, x, env.observation_space.representation, env.action_space.representation
    env.close()


def test_what_stands_in_padded_slots_changes_no_bit(cheetahs):
    model, x, rep, _ = cheetahs
    real = x[:, rep.slices["real"]]
    assert set(real.sum(1)) == {10, 11, 12, 13, 14}
    before = model.predict(x, deterministic=True)[0]
    values = model.policy.predict_values(torch.as_tensor(x))
    moments = [norm.running_moments for norm in norms(model.policy)]
    for size in (1.0, 1e4, np.inf):
        dirty = with_garbage(rep, x, size, np.random.default_rng(1))
        assert not np.array_equal(x, dirty)
        np.testing.assert_array_equal(model.predict(dirty, deterministic=True)[0], before)
        assert torch.equal(model.policy.predict_values(torch.as_tensor(dirty)), values)
        again = [norm.running_moments for norm in norms(with_statistics(made(model.get_env()), dirty).policy)]
        assert all(map(torch.equal, moments, again))


def test_joints_that_nothing_drives_are_never_moved(cheetahs):
    model, x, rep, action_rep = cheetahs
    actions = model.predict(x, deterministic=False)[0]
    for part in ("odd", "even"):
        driven = x[:, rep.slices[f"driven_{part}"]] > 0.5
        torque = actions[:, action_rep.slices[f"torque_{part}"]]
        assert not torque[~driven].any()
        assert torque[driven].all()


def test_more_slots_change_nothing(cheetahs):
    model, x, rep, action_rep = cheetahs
    wide = eqrl.make_vec(CHEETAHS, 16, seed=0, n_threads=1, slots=20)
    wide_rep, wide_action = wide.observation_space.representation, wide.action_space.representation
    x = torch.as_tensor(x).double()
    wide_x = resized(rep, wide_rep, x)
    np.testing.assert_array_equal(wide.reset(), wide_x[:16].numpy())  # the environment agrees on what that is
    larger = made(wide)
    # all weights and moments; sizes differ in what follows from the number of slots
    sizes = {name: value.shape for name, value in larger.policy.state_dict().items()}
    carried = {name: value for name, value in model.policy.state_dict().items() if value.shape == sizes[name]}
    assert carried.keys() >= {name for name, _ in larger.policy.named_parameters()}
    assert any("running_moments" in name for name in carried)
    larger.policy.load_state_dict(carried, strict=False)
    mean, value = outputs(in_double_precision(model), x)
    wide_mean, wide_value = outputs(
        in_double_precision(larger), with_garbage(wide_rep, wide_x, 1.0, np.random.default_rng(1))
    )
    assert torch.allclose(wide_mean, resized(action_rep, wide_action, mean), atol=1e-12, rtol=1e-12)
    assert torch.allclose(wide_value, value, atol=1e-12, rtol=1e-12)


def test_limbs_may_change_places(cheetahs):
    model, x, rep, action_rep = cheetahs
    x = torch.as_tensor(x).double()
    policy, g = in_double_precision(model), random_exchange(rep, len(x), rng=0)
    mean, value = outputs(policy, x)
    moved, same = outputs(policy, rep.transform(x, g))
    assert torch.allclose(moved, action_rep.transform(mean, g), atol=1e-12, rtol=1e-12)
    assert torch.allclose(same, value, atol=1e-12, rtol=1e-12)


# ---------------------------------------------------------------------- zero-shot by theorem
def exact_observation(simulation):
    """What the task shows, before it is rounded to single precision."""
    rep = simulation.observation_space.representation
    parts = simulation.task.observe(simulation.world)
    return torch.as_tensor(np.concatenate([np.reshape(parts[f.name], (simulation.n, -1)) for f in rep.fields], axis=1))


def returns(simulation, net, steps=60):
    """Of each episode until the robot falls, ``(n,)``, and how many steps they last."""
    total, going = np.zeros(simulation.n), np.ones(simulation.n, dtype=bool)
    lengths = np.zeros(simulation.n, dtype=int)
    for _ in range(steps):
        with torch.no_grad():
            action = net(exact_observation(simulation)).numpy()
        outcome = simulation.step(action)
        total += going * outcome.reward
        lengths += going
        going &= ~outcome.terminated
    return total, lengths


@pytest.mark.parametrize("pair", TWINS)
def test_a_robot_never_seen_runs_as_its_mirror_image_does(pair):
    """Equal returns of mirrored starts, with any weights, where channels are typed; and not where they are plain."""
    unseen, known = (Simulation(Run(robot=name, symmetry="rotations"), 4) for name in pair)
    differences = {}
    for group in ("O2", "SO2"):
        for simulation in (known, unseen):
            simulation.seed(range(4))
            simulation.reset()
        mirror_into(known, unseen)
        torch.manual_seed(0)
        rep, action_rep = (getattr(known, f"{what}_space").representation for what in ("observation", "action"))
        net = BACKBONES["transformer"](rep, action_rep, getattr(eqrl, group), hidden=(16, 16))
        net = shaken(net).double()
        (a, steps), (b, others) = returns(known, net), returns(unseen, net)
        assert (steps > 10).all()
        differences[group] = np.abs(a - b).max() / np.abs(a).max()
        assert (steps == others).all() or group == "SO2"
    assert differences["O2"] < 1e-12
    assert differences["SO2"] > 1e-2


# ---------------------------------------------------------------------- law 7
def test_a_set_agrees_with_its_members_alone():
    members, _, slots = SETS["Cheetahs"]
    together = eqrl.make_vec(CHEETAHS, 16, seed=5, n_threads=2)
    assert together.unwrapped.members == tuple(np.repeat(members, 2))
    rng = np.random.default_rng(0)
    actions = rng.uniform(-1, 1, (30, 16, *together.action_space.shape)).astype(np.float32)
    observations, steps = together.reset(), [together.step(action) for action in actions]
    for k, name in enumerate(members):
        rows = slice(2 * k, 2 * k + 2)
        alone = eqrl.make_vec(sgrl_id(name), 2, seed=5 + 2 * k, n_threads=1, slots=slots, symmetry="rotations")
        assert alone.observation_space == together.observation_space
        assert alone.action_space == together.action_space
        np.testing.assert_array_equal(observations[rows], alone.reset())
        for (observation, reward, done, _), action in zip(steps, actions, strict=True):
            expected = alone.step(action[rows])
            for ours, theirs in zip((observation, reward, done), expected, strict=False):
                np.testing.assert_array_equal(ours[rows], theirs)
        alone.close()
    together.close()
