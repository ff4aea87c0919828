"""Push with any shape: worlds in contact, the view by points, several shapes at once."""

import gymnasium
import numpy as np
import pytest

import eqrl
from eqrl.envs.scenes.shapes import SHAPES, SPLITS
from eqrl.symmetry import family, representation_of


class Pusher(gymnasium.Wrapper):
    """Random actions that push: samples of the action space point from the effector to the object."""

    def __init__(self, env):
        super().__init__(env)
        plain = type(env.action_space).sample
        world = env.simulation.world

        def sample(mask=None, probability=None):
            offset = world.positions.effector[0] - world.bodies.object.position[0, :2]
            return (-0.6 * offset / np.linalg.norm(offset) + 0.4 * plain(env.action_space)).astype(np.float32)

        env.action_space.sample = sample


@pytest.mark.parametrize("shape", [*SHAPES, "random0"])
def test_every_shape_keeps_the_symmetry_that_it_declares(shape):
    env = Pusher(gymnasium.make("eqrl/Push-v0", shape=shape).unwrapped)
    group = eqrl.O2 if shape in SHAPES and SHAPES[shape].mirror else eqrl.SO2
    assert representation_of(env.observation_space).group == group
    reports = eqrl.check_environment(env, episodes=2, steps=50)
    assert max(report.error for report in reports) <= 1e-8
    assert min(report.contacts for report in reports) > 0


@pytest.mark.parametrize("arguments", [{}, {"shape": "random1", "correspondence": False, "slots": 30}])
def test_the_view_by_points_is_a_symmetric_world_too(arguments):
    env = Pusher(gymnasium.make("eqrl/Push-v0", view="points", **arguments).unwrapped)
    (report,) = eqrl.check_environment(env, episodes=2, steps=50)
    assert report.error <= 1e-8
    rep = representation_of(env.observation_space)
    assert (rep.group, family(rep)) == (eqrl.SO2, eqrl.O2)


def test_both_views_show_the_same_world():
    pose, points = (gymnasium.make("eqrl/Push-v0", view=view, reward_type="dense") for view in ("pose", "points"))
    seen, outline = pose.reset(seed=2)[0], points.reset(seed=2)[0]
    task = points.unwrapped.task
    np.testing.assert_array_equal(seen["achieved_goal"][:2], outline["achieved_goal"][:2])
    pose.action_space.seed(0)
    for _ in range(40):
        action = pose.action_space.sample()
        seen, reward, *_, info = pose.step(action)
        outline, other, *_, metrics = points.step(action)
        assert other == pytest.approx(reward, abs=1e-5)
        assert metrics["angle"] == pytest.approx(info["angle"], abs=1e-5)
        c, s = seen["achieved_goal"][2:]
        turned = task.outline @ np.array([[s, -c], [c, s]])
        np.testing.assert_allclose(task.goal_parts(outline["achieved_goal"])[1], turned, atol=1e-6)


@pytest.mark.parametrize("view", ["pose", "points"])
@pytest.mark.parametrize("reward_type", ["sparse", "dense", "paper"])
def test_rewards_can_be_computed_for_any_goals(view, reward_type):
    env = gymnasium.make("eqrl/Push-v0", view=view, reward_type=reward_type, approach_weight=0.5)
    env.action_space.seed(0)
    env.reset(seed=0)
    for step in range(100):
        observation, reward, *_, info = env.step(env.action_space.sample())
        goals = observation["achieved_goal"], observation["desired_goal"]
        assert env.unwrapped.compute_reward(*goals, info) == pytest.approx(reward, abs=1e-12)
        assert env.unwrapped.compute_reward(*(g[None] for g in goals), [info])[0] == pytest.approx(reward, abs=1e-12)
        if reward_type == "paper":
            expected = -0.04 * (info["distance"] + 0.1 * info["angle"]) * (10.0 if step >= 95 else 1.0)
            assert info["reward_pose"] == pytest.approx(expected)
            assert info["reward_approach"] == pytest.approx(-0.01 * info["effector_distance"])


def test_a_goal_without_correspondence_turns_about_the_object():
    plain, turned = (gymnasium.make("eqrl/Push-v0", view="points", goal_rotation=angle) for angle in (0.0, 90.0))
    a, b = (env.reset(seed=0)[0]["desired_goal"].reshape(-1, 2) for env in (plain, turned))
    centre = plain.unwrapped.observe()["achieved_goal"][:2]
    np.testing.assert_allclose(b - centre, (a - centre) @ np.array([[0.0, 1.0], [-1.0, 0.0]]), atol=1e-6)


def test_splits_are_fleets_that_show_points():
    train = eqrl.make_vec("eqrl/Push-v0", 3, split="train", reward_type="dense")
    test = eqrl.make_vec("eqrl/Push-v0", len(SPLITS["test"]), split="test", reward_type="dense")
    assert train.observation_space == test.observation_space
    assert {e.name for e in representation_of(train.observation_space).entities} == {"points", "effectors"}
    train.reset()
    *_, infos = train.step(np.zeros((3, 2), np.float32))
    assert [info["member"] for info in infos] == list(SPLITS["train"])
    with pytest.raises(ValueError, match="need view='points'"):
        eqrl.make_vec("eqrl/Push-v0", 3, split="train", view="pose")
    with pytest.raises(ValueError, match="view='points'"):
        eqrl.make_vec("eqrl/Push-v0", 3, resolution=16)
