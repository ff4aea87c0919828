"""Rope shaping: which curves there are, how near a rope is to one, what pays, and a rope that swaps its ends."""

import gymnasium
import numpy as np
import pytest
from goal_rewards import play_and_compare

import eqrl
from eqrl.envs.manipulation.rope_shaping import RopeShaping
from eqrl.envs.scenes.curves import curve
from eqrl.proof.worlds import flatten


def make(**kwargs):
    return gymnasium.make("eqrl/RopeShaping-v0", **kwargs).unwrapped


@pytest.mark.parametrize("bends", [1, 2, 3])
def test_curves_have_length_1_their_mean_at_the_origin_and_their_bends(bends):
    for number in range(20):
        line = curve(number, "train", bends, np.pi / 2, 80)
        steps = np.diff(line, axis=0)
        np.testing.assert_allclose(np.linalg.norm(steps, axis=1), 1 / 79, atol=1e-12)
        np.testing.assert_allclose(line.mean(0), 0.0, atol=1e-12)
        assert np.abs(np.sin(np.arctan2(steps[:, 1], steps[:, 0])).mean()) < 0.6
        turning = np.unwrap(np.arctan2(steps[:, 1], steps[:, 0]))
        assert np.abs(np.diff(turning)).max() < 0.3
        plateaus = np.split(turning, np.flatnonzero(np.diff(np.sign(np.diff(turning).round(9)))) + 1)
        assert len(plateaus) > bends


def test_every_curve_has_a_number_and_those_of_the_test_differ():
    train, again, test = (curve(3, split, 2, 1.5, 80) for split in ("train", "train", "test"))
    np.testing.assert_array_equal(train, again)
    assert np.abs(train - test).max() > 0.01
    assert np.abs(train - curve(4, "train", 2, 1.5, 80)).max() > 0.01


def test_split_chooses_the_curves():
    shapes = {}
    for split in ("train", "test"):
        env = make(split=split)
        env.reset(seed=0)
        line = env.simulation.world.variables.curve[0]
        shapes[split] = np.linalg.norm(line - line[0], axis=1)  # whatever its place and direction
        known = [curve(k, split, 2, np.pi / 3, 80) for k in range(1000)]
        assert min(np.abs(np.linalg.norm(c - c[0], axis=1) - shapes[split]).max() for c in known) < 1e-9
    assert np.abs(shapes["train"] - shapes["test"]).max() > 1e-3


def lie_along(env, line):
    """Put a rope along a line of 80 points."""
    state = env.get_state()
    steps = np.diff(line, axis=0)
    angles = np.unwrap(np.arctan2(steps[:, 1], steps[:, 0]))
    world = env.simulation.world[0]
    world.positions.rope, world.positions.rope_yaw = 0.5 * (line[39] + line[40]), angles[39]
    world.positions.hinges = np.concatenate([angles[:39] - angles[1:40], np.diff(angles)[39:]])
    world.positions.effectors = line[[0, -1]]
    env.set_state(env.get_state())
    return state


@pytest.mark.parametrize("way", [1, -1])
def test_a_rope_that_lies_along_the_curve_is_a_success_either_way_round(way):
    env = make()
    env.reset(seed=5)
    lie_along(env, env.simulation.world.variables.curve[0, ::way])
    observation, reward, _, _, info = env.step(np.zeros(4, dtype=np.float32))
    assert info["distance"] < 2e-3
    assert info["is_success"]
    assert reward > 0.98
    np.testing.assert_allclose(observation["achieved_goal"], observation["desired_goal"], atol=5e-3)


def test_a_rope_stays_where_it_is_laid():
    env = make()
    env.reset(seed=5)
    lie_along(env, env.simulation.world.variables.curve[0])
    for _ in range(50):
        info = env.step(np.zeros(4, dtype=np.float32))[-1]
    assert info["distance"] < 5e-3


def test_reversing_the_curve_changes_nothing_that_is_seen():
    env = make()
    env.reset(seed=1)
    state = env.get_state()
    action = env.action_space.sample()
    seen = [flatten(env.observe()), env.step(action)[1]]
    rep = env.task.variable_representation
    turned = state.variables.copy()
    where = rep.slices["curve"]
    turned[:, where] = turned[:, where].reshape(-1, 80, 2)[:, ::-1].reshape(1, -1)
    env.set_state(type(state)(**{**vars(state), "variables": turned}))
    np.testing.assert_array_equal(flatten(env.observe()), seen[0])
    assert env.step(action)[1] == pytest.approx(seen[1], abs=1e-12)


@pytest.mark.parametrize("reward", ["markov", "paper", "sparse"])
def test_rewards_follow_from_goals(reward):
    env = make(reward_type=reward, resolution=12)
    achieved, _ = play_and_compare(env, 20, atol=1e-7)
    best = env.compute_reward(achieved, achieved.reshape(20, -1, 2)[:, ::-1].reshape(20, -1), {})
    np.testing.assert_allclose(best, {"markov": 1.0, "paper": 0.0, "sparse": 0.0}[reward], atol=1e-7)


def test_the_last_ten_steps_count_fivefold_in_the_paper_s_reward():
    env = make(reward_type="paper", episode_steps=14)
    env.reset(seed=0)
    shapes = []
    for _ in range(14):
        observation, reward, *_, info = env.step(np.zeros(4, dtype=np.float32))
        goals = observation["achieved_goal"], observation["desired_goal"]
        assert env.unwrapped.compute_reward(*goals, info) == pytest.approx(reward, abs=1e-9)
        shapes.append(info["reward_shape"])
    assert np.array(shapes) / shapes[0] == pytest.approx([1.0] * 4 + [5.0] * 10, rel=0.02)


@pytest.mark.parametrize("resolution", [5, 82])
def test_points_that_the_rope_does_not_have_are_refused(resolution):
    with pytest.raises(ValueError, match=f"resolution={resolution} must be an even number of at most 78"):
        RopeShaping(resolution=resolution)
    with pytest.raises(ValueError, match="split='dev' is not known; use one of 'train', 'test'"):
        RopeShaping(split="dev")


def test_hindsight_replay_takes_the_goals():
    from stable_baselines3 import HerReplayBuffer

    env = eqrl.make_vec("eqrl/RopeShaping-v0", 2, seed=0, max_episode_steps=5, reward_type="sparse")
    buffer = HerReplayBuffer(200, env.observation_space, env.action_space, env, n_envs=2, n_sampled_goal=4)
    last = env.reset()
    for _ in range(20):
        action = np.stack([env.action_space.sample() for _ in range(2)])
        observation, reward, done, infos = env.step(action)
        buffer.add(last, observation, action, reward, done, infos)
        last = observation
    rewards = buffer.sample(200).rewards.numpy()
    assert set(np.unique(rewards)) <= {-1.0, 0.0}
    assert (rewards == 0.0).mean() > 0.3  # a rope lies where it lies
