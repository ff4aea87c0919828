"""Augmentation: the agent acts in a transformed world and cannot distinguish it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from stable_baselines3 import PPO, SAC, HerReplayBuffer
from stable_baselines3.common.vec_env import DummyVecEnv
from toy_envs import PointMass, Reach, Walker

from eqrl.agents import EquivariantPolicy, RandomRotation
from eqrl.proof.check_policy import transform_observation
from eqrl.symmetry import SO3, TRIVIAL


def pair(env, length=7, **options):
    plain = DummyVecEnv([lambda: env(length=length)] * 3)
    turned = RandomRotation(DummyVecEnv([lambda: env(length=length)] * 3), **options)
    plain.seed(3)
    turned.seed(3)
    return plain, turned


def close(a, b):
    if isinstance(a, dict):
        return all(np.allclose(a[k], b[k], atol=1e-4) for k in a)
    return np.allclose(a, b, atol=1e-4)


@pytest.mark.parametrize("env", [PointMass, Walker, Reach])
def test_turned_world_is_the_world(env, monkeypatch):
    """Acting with g a in the turned world gives g s and the same rewards, through the ends of episodes."""
    plain, turned = pair(env)
    drawn = []
    sample = type(turned.group).sample

    def spy(group, *batch, rng=None):
        drawn.append(sample(group, *batch, rng=rng))
        return drawn[-1]

    monkeypatch.setattr(type(turned.group), "sample", spy)
    rng = np.random.default_rng(0)
    shown, truth = turned.reset(), plain.reset()
    space, action_rep = plain.observation_space, plain.action_space.representation
    g = drawn[-1]
    assert close(shown, transform_observation(space, truth, g))
    for step in range(1, 16):
        action = np.stack([plain.action_space.sample() for _ in range(3)]) if step else rng
        truth, reward, done, info = plain.step(action)
        shown, turned_reward, turned_done, turned_info = turned.step(action_rep.transform(action, g))
        assert np.allclose(reward, turned_reward, atol=1e-5)
        assert np.array_equal(done, turned_done)
        if done.any():  # all episodes have the same length here
            for i in range(3):
                last = transform_observation(space, info[i]["terminal_observation"], g[i])
                assert close(turned_info[i]["terminal_observation"], last)
            g = drawn[-1]
        assert close(shown, transform_observation(space, truth, g))
    assert len(drawn) == 3


def test_seeded():
    first = RandomRotation(DummyVecEnv([PointMass] * 2), seed=5)
    second = RandomRotation(DummyVecEnv([PointMass] * 2))
    first.seed(5)
    second.seed(5)
    assert np.array_equal(first.reset(), second.reset())


def test_groups():
    plain, still = pair(PointMass, group=TRIVIAL)
    assert np.array_equal(plain.reset(), still.reset())
    with pytest.raises(ValueError, match="SO3 is not a subgroup of O2"):
        RandomRotation(DummyVecEnv([PointMass]), SO3)


def test_exact_policy_does_not_notice():
    """The action of an exact policy at g s, transformed back, is its action at s."""
    plain, turned = pair(PointMass)
    model = PPO(EquivariantPolicy, turned, n_steps=8, batch_size=8, device="cpu", seed=0)
    rewards = []
    for env in (plain, turned):
        env.seed(1)
        obs, total = env.reset(), 0.0
        for _ in range(6):
            obs, reward, _, _ = env.step(model.predict(obs, deterministic=True)[0])
            total = total + reward
        rewards.append(total)
    assert np.allclose(*rewards, atol=1e-4)


def test_trains_with_stock_policies_and_hindsight():
    model = PPO("MlpPolicy", RandomRotation(DummyVecEnv([PointMass] * 2)), n_steps=32, batch_size=32, device="cpu")
    model.learn(64)
    env = RandomRotation(DummyVecEnv([Reach] * 2))
    SAC(
        "MultiInputPolicy",
        env,
        replay_buffer_class=HerReplayBuffer,
        learning_starts=60,
        batch_size=16,
        buffer_size=500,
        policy_kwargs={"net_arch": [8]},
        device="cpu",
    ).learn(90)
    assert torch.is_grad_enabled()
