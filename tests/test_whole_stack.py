"""Real environments, stock algorithms, every network.

The whole policy keeps the symmetry, through training and saving.
"""

from __future__ import annotations

import numpy as np
import pytest
from ids import IDS
from stable_baselines3 import PPO, SAC, TD3, HerReplayBuffer
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecNormalize

import eqrl
from eqrl import EquivariantPolicy, EquivariantSACPolicy, EquivariantTD3Policy, check_policy, representation_of
from eqrl.agents import BreaksSymmetryError, RandomRotation
from eqrl.symmetry import SymmetryError

POLICIES = {PPO: EquivariantPolicy, SAC: EquivariantSACPolicy, TD3: EquivariantTD3Policy}


def make(algorithm, env, network="frame", group="auto"):
    options = {"network": network, "network_kwargs": {"hidden": [16, 16]}, "group": group}
    if algorithm is PPO:
        return PPO(
            POLICIES[PPO], env, policy_kwargs=options, n_steps=16, batch_size=64, n_epochs=2, device="cpu", seed=0
        )
    extra = (
        {"replay_buffer_class": HerReplayBuffer}
        if "desired_goal" in getattr(env.observation_space, "spaces", {})
        else {}
    )
    return algorithm(
        POLICIES[algorithm],
        env,
        policy_kwargs=options,
        learning_starts=450,
        batch_size=32,
        buffer_size=2000,
        device="cpu",
        seed=0,
        **extra,
    )


@pytest.mark.parametrize("env_id", IDS)
@pytest.mark.parametrize("algorithm", POLICIES, ids=lambda a: a.__name__)
@pytest.mark.parametrize("network", ["frame", "vector"])
def test_policy_is_equivariant_before_and_after_training(env_id, algorithm, network):
    options = {} if env_id == "eqrl/Reach-v0" else {"max_episode_steps": 50}
    env = eqrl.make_vec(env_id, 4, seed=0, n_threads=1, **options)
    model = make(algorithm, env, network)
    group = representation_of(env.observation_space).group
    assert model.policy.group.is_subgroup_of(group)
    assert model.policy.group.connected != "1"
    check_policy(model, env)
    before = [p.detach().clone() for p in model.policy.parameters()]
    model.learn(512 if algorithm is PPO else 500)
    assert any((a != b).any() for a, b in zip(before, model.policy.parameters(), strict=True))
    check_policy(model, env)


@pytest.mark.parametrize("algorithm", POLICIES, ids=lambda a: a.__name__)
def test_saved_models_come_back_exactly(algorithm, tmp_path):
    env = eqrl.make_vec("eqrl/Push-v0", 4, seed=0, n_threads=1, max_episode_steps=50)
    model = make(algorithm, env, "vector")
    model.learn(500)
    model.save(tmp_path / "model.zip")
    again = algorithm.load(tmp_path / "model.zip", env=env, device="cpu")
    observation = env.reset()
    np.testing.assert_array_equal(
        model.predict(observation, deterministic=True)[0], again.predict(observation, deterministic=True)[0]
    )
    check_policy(again, env)


def test_the_full_group_of_the_ant_with_its_legs():
    env = eqrl.make_vec("eqrl/AntTarget-v0", 4, seed=0, n_threads=1)
    model = make(PPO, env, group="full")
    assert model.policy.group == env.observation_space.representation.group
    model.learn(128)
    report = check_policy(model, env)
    for by_generator in report.errors.values():
        assert {"quarter turn of the body", "sagittal mirror"} <= set(by_generator)


def test_a_plain_policy_fails_the_check():
    env = eqrl.make_vec("eqrl/AntTarget-v0", 4, seed=0, n_threads=1)
    with pytest.raises(SymmetryError):
        check_policy(PPO("MlpPolicy", env, device="cpu"), env)


def test_statistics_outside_the_policy_are_refused():
    env = VecNormalize(eqrl.make_vec("eqrl/AntTarget-v0", 4, seed=0, n_threads=1))
    for algorithm in POLICIES:
        with pytest.raises(BreaksSymmetryError, match="norm_obs=False"):
            make(algorithm, env)


def test_same_seed_same_bits():
    finals = []
    for _ in range(2):
        model = make(PPO, eqrl.make_vec("eqrl/AntTarget-v0", 4, seed=3, n_threads=1))
        model.learn(256)
        finals.append(np.concatenate([p.detach().numpy().ravel() for p in model.policy.parameters()]))
    np.testing.assert_array_equal(*finals)


def test_sb3_evaluation_and_augmentation():
    env = RandomRotation(
        eqrl.make_vec("eqrl/AntTarget-v0", 4, seed=0, n_threads=1, max_episode_steps=20, target_sector=(0, 1)), seed=0
    )
    observation = env.reset()
    angles = np.arctan2(observation[:, 17], observation[:, 16])
    assert np.ptp(angles) > 0.5  # targets in one degree look spread over all directions
    returns, lengths = evaluate_policy(make(PPO, env), env, n_eval_episodes=4, return_episode_rewards=True)
    assert lengths == [20] * 4
    assert np.isfinite(returns).all()
