"""Rope closing: when a rope is closed, what pays, and a rope on a post that turns, mirrors and swaps its ends."""

import gymnasium
import numpy as np
import pytest
from goal_rewards import play_and_compare

import eqrl
from eqrl.envs.manipulation.rope_closing import RopeClosing
from eqrl.envs.scenes.chain import Chain
from eqrl.envs.scenes.winding import turns


def around(fraction, points=60, radius=0.3):
    angle = 2 * np.pi * fraction * np.linspace(0.0, 1.0, points)
    return radius * np.stack([np.cos(angle), np.sin(angle)], axis=-1)


@pytest.mark.parametrize("fraction", [0.9, -0.9, 0.3, 1.7])
def test_turns_of_arcs(fraction):
    opened, closed = turns(around(fraction), np.zeros(2))
    assert opened == pytest.approx(fraction, abs=1e-9)
    assert closed == pytest.approx(np.round(fraction), abs=1e-9)
    assert np.abs(turns(around(fraction), np.array([2.0, 0.0]))[1]) < 1e-9


def test_a_chain_has_a_middle_link():
    with pytest.raises(ValueError, match="links=40 must be odd"):
        Chain(("a", "b"), links=40)


@pytest.mark.parametrize("resolution", [3, 42])
def test_points_that_the_rope_does_not_have_are_refused(resolution):
    with pytest.raises(ValueError, match=f"resolution={resolution} must be an even number of at most 40"):
        gymnasium.make("eqrl/RopeClosing-v0", resolution=resolution)


def carry(env, radius=0.15, steps=200):
    """A script: the ends run round the post, on circles, each its own way, until they meet behind it."""
    task, rewards, info = env.task, [], {}
    for _ in range(steps):
        here = env.simulation.world.positions.effectors[0] - env.simulation.world.variables.post[0]
        middle = env.simulation.world.positions.rope[0] - env.simulation.world.variables.post[0]
        behind = -0.5 * radius * middle / np.linalg.norm(middle)
        across = np.array([-middle[1], middle[0]]) / np.linalg.norm(middle)
        action = []
        for point in here:
            side = np.sign(point @ across)
            passed = point @ middle < 0
            aim = behind if passed else side * radius * across - 0.05 * middle / np.linalg.norm(middle)
            action.append(np.clip(8.0 * (aim - point), -1, 1))
        _, reward, _, _, info = env.step(np.concatenate(action).astype(np.float32))
        rewards.append(reward)
    assert len(rewards) == steps
    assert task.dt == pytest.approx(0.02)
    return rewards, info


@pytest.mark.parametrize("angle", [0.0, 137.0])
def test_a_script_closes_the_rope(angle):
    env = gymnasium.make("eqrl/RopeClosing-v0", scene_rotation=angle).unwrapped
    env.reset(seed=2)
    rewards, info = carry(env)
    assert info["is_success"]
    assert info["gap"] < 0.05
    assert rewards[-1] > 0.95
    assert rewards[0] < -0.2


def test_the_world_law_holds_for_a_rope_that_is_pulled_round_its_post():
    from eqrl.symmetry import about_gravity, representation_of

    env = gymnasium.make("eqrl/RopeClosing-v0").unwrapped
    group = representation_of(env.action_space).group
    rep = representation_of(env.action_space)
    elements = [about_gravity(np.deg2rad(37.0)), *(g for name, g in group.generators if "rotation" not in name)]
    assert len(elements) == 3
    env.reset(seed=2)
    start, actions, states, contacts = env.get_state(), [], [], 0
    rng = np.random.default_rng(0)
    for _ in range(120):
        here = env.simulation.world.positions.effectors[0]
        middle = env.simulation.world.positions.rope[0]
        action = (
            -np.repeat(middle[None], 2, axis=0) / np.linalg.norm(middle) - 0.5 * here + 0.3 * rng.normal(size=(2, 2))
        )
        actions.append(np.clip(action.ravel(), -0.7, 0.7))
        env.step(actions[-1])
        contacts += env.contacts() > 0
        states.append(env.get_state())
    assert contacts > 20
    for g in elements:
        env.set_state(env.transform_state(start, g))
        for action, state in zip(actions, states, strict=True):
            env.step(rep.transform(action, g))
            assert max(env.state_difference(env.transform_state(state, g), env.get_state()).values()) < 1e-8


@pytest.mark.parametrize("reward", ["markov", "paper", "sparse"])
def test_rewards_follow_from_goals(reward):
    env = gymnasium.make("eqrl/RopeClosing-v0", reward_type=reward, episode_steps=30)
    achieved, infos = play_and_compare(env, 30, atol=1e-9)
    # a rope that lies as it was asked to is a success
    assert env.unwrapped.task.is_closed(achieved, achieved).all()
    if reward == "paper":  # the gap counts in the last 20 steps
        assert [info["reward_gap"] < 0 for info in infos] == [k >= 10 for k in range(30)]


def test_goal_rotation_moves_the_post_round_the_rope():
    plain, turned = (eqrl.make_vec("eqrl/RopeClosing-v0", 4, goal_rotation=a) for a in (0.0, 90.0))
    for env in (plain, turned):
        env.seed(0)
    a, b = plain.reset()["observation"], turned.reset()["observation"]
    rep = plain.observation_space["observation"].representation
    middle, points = rep.slices["middle"], rep.slices["points"]
    np.testing.assert_array_equal(a[:, points], b[:, points])
    np.testing.assert_allclose(b[:, middle], a[:, middle] @ [[0.0, 1.0], [-1.0, 0.0]], atol=1e-6)


def test_members_that_are_neither_on_slides_nor_on_hinges_are_refused():
    class Wrong(RopeClosing):
        """Names the post among the hinges."""

        members = {**RopeClosing.members, "hinges": ("post", *RopeClosing.members["hinges"][1:])}

    with pytest.raises(ValueError, match=r"members\['hinges'\] names 'post', which is no body on slides"):
        Wrong()


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"reward_type": "dense"}, "'markov', 'paper', 'sparse'"),
        ({"post_distance": (0.8, 0.6)}, "0 < low <= high"),
        ({"success_gap": float("nan")}, "success_gap=nan must be a finite number"),
    ],
)
def test_bad_arguments_are_named(argument, message):
    with pytest.raises(ValueError, match=message):
        gymnasium.make("eqrl/RopeClosing-v0", **argument)
