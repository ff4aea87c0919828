"""Rewards of goal environments follow from their goals, one by one and in batches."""

import numpy as np
import pytest


def play_and_compare(env, steps, atol):
    """Random steps whose rewards ``compute_reward`` gives too; achieved goals ``(steps, size)`` and infos."""
    env.action_space.seed(0)
    env.reset(seed=0)
    achieved, desired, rewards, infos = [], [], [], []
    for _ in range(steps):
        observation, reward, _, _, info = env.step(env.action_space.sample())
        goals = observation["achieved_goal"], observation["desired_goal"]
        assert env.unwrapped.compute_reward(*goals, info) == pytest.approx(reward, abs=atol)
        for values, value in zip((achieved, desired, rewards, infos), (*goals, reward, info), strict=True):
            values.append(value)
    achieved, desired = np.array(achieved), np.array(desired)
    np.testing.assert_allclose(env.unwrapped.compute_reward(achieved, desired, infos), rewards, atol=atol)
    return achieved, infos
