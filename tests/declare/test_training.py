"""Stable-Baselines3 trains on environments that eqrl did not write, and the policies keep their symmetry."""

import gymnasium
import pytest
from bare_robots import Crawler
from stable_baselines3 import PPO, SAC, TD3
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy

from eqrl import EquivariantPolicy, EquivariantSACPolicy, EquivariantTD3Policy, check_policy, infer_types, with_symmetry
from eqrl.symmetry import UntypedSpaceError


def small():
    """Options of the policy; made anew, since SAC writes into them."""
    return {"group": "full", "network_kwargs": {"hidden": (32, 32)}}


def test_ppo_on_the_ant():
    env = with_symmetry(gymnasium.make("Ant-v5"))
    model = PPO(EquivariantPolicy, env, n_steps=128, batch_size=64, n_epochs=1, policy_kwargs=small(), seed=0).learn(
        256
    )
    assert model.policy.group.name == "D4 with quaternion signs"
    assert check_policy(model, env).worst < 1e-4


@pytest.mark.parametrize(("algorithm", "policy"), [(SAC, EquivariantSACPolicy), (TD3, EquivariantTD3Policy)])
def test_off_policy_on_the_ant(algorithm, policy):
    env = with_symmetry(gymnasium.make("Ant-v5"), group="sagittal mirror")
    model = algorithm(policy, env, learning_starts=20, batch_size=32, policy_kwargs=small(), seed=0).learn(40)
    report = check_policy(model, env)
    assert set(report.errors) >= {"action", "q"}


@pytest.mark.parametrize(
    ("name", "approximate"),
    [("Walker2d-v5", False), ("Reacher-v5", False), ("Pendulum-v1", False), ("Humanoid-v5", True)],
)
def test_ppo_on_others(name, approximate):
    env = with_symmetry(gymnasium.make(name), approximate=approximate)
    model = PPO(EquivariantPolicy, env, n_steps=64, batch_size=64, n_epochs=1, policy_kwargs=small(), seed=0).learn(64)
    check_policy(model, env)


def test_ppo_on_inferred_types():
    env = with_symmetry(Crawler(), infer_types(Crawler()))
    env = gymnasium.wrappers.TimeLimit(env, 50)
    model = PPO(EquivariantPolicy, env, n_steps=64, batch_size=64, n_epochs=1, policy_kwargs=small(), seed=0).learn(64)
    assert model.policy.group.name == "SO2 x D4"
    check_policy(model, env)


def test_the_pendulum_is_learnt_in_seconds():
    env = make_vec_env(lambda: with_symmetry(gymnasium.make("InvertedPendulum-v5"), approximate=True), 4, seed=0)
    model = PPO(
        EquivariantPolicy,
        env,
        n_steps=128,
        batch_size=64,
        learning_rate=2e-3,
        gamma=0.98,
        policy_kwargs=small(),
        seed=0,
    ).learn(8192)
    assert evaluate_policy(model, env, 4, return_episode_rewards=False)[0] > 500
    check_policy(model, env)


def test_discrete_actions_are_refused_by_the_policy():
    with pytest.raises(UntypedSpaceError, match=r"Discrete\(2\), and eqrl's policies are for continuous actions"):
        PPO(EquivariantPolicy, with_symmetry(gymnasium.make("CartPole-v1")), policy_kwargs=small())
