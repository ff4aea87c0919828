"""Gymnasium-Robotics' Fetch tasks are typed, trained, and what breaks their symmetry is named."""

import gymnasium
import mujoco
import numpy as np
import pytest

import eqrl
from eqrl.commands.check import check
from eqrl.symmetry import SymmetryError, representation_of

pytest.importorskip("gymnasium_robotics", reason='needs Gymnasium-Robotics: pip install "eqrl[robotics]"')
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")


@pytest.fixture(scope="module", params=["FetchPush-v4", "FetchPickAndPlace-v4"])
def env(request):
    from eqrl.declare.fetch import make_fetch

    made = make_fetch(request.param)
    yield made
    made.close()


def test_the_observation_says_what_the_simulation_has(env):
    env.action_space.seed(0)
    observation, _ = env.reset(seed=0)
    for _ in range(10):
        observation, *_ = env.step(env.action_space.sample())
    assert env.observation_space.contains(observation)
    values = {
        f.name: observation["observation"][where]
        for f, where in zip(
            env.observation_space["observation"].representation.fields,
            env.observation_space["observation"].representation.slices.values(),
            strict=True,
        )
    }
    data, middle = env.unwrapped.data, env.unwrapped.initial_gripper_xpos
    cube = data.body("object0")
    np.testing.assert_allclose(values["object"], cube.xpos - middle, atol=1e-5)
    np.testing.assert_allclose(values["object_x"], cube.xmat.reshape(3, 3)[:, 0], atol=1e-5)
    np.testing.assert_allclose(values["object_z"], cube.xmat.reshape(3, 3)[:, 2], atol=1e-5)
    np.testing.assert_allclose(values["to_object"], values["object"] - values["gripper"], atol=1e-5)
    np.testing.assert_allclose(observation["desired_goal"], env.unwrapped.goal - middle, atol=1e-5)


def test_goals_and_rewards_turn(env):
    observation, _ = env.reset(seed=1)
    goals = np.random.default_rng(0).normal(scale=0.1, size=(20, 3)).astype(np.float32)
    rep = env.observation_space["desired_goal"].representation
    turned = rep.transform(goals, dict(rep.group.generators)["rotation about gravity"]).astype(np.float32)
    moved = rep.transform(observation["achieved_goal"], dict(rep.group.generators)["rotation about gravity"])
    reward = env.get_wrapper_attr("compute_reward")
    np.testing.assert_array_equal(
        reward(np.tile(observation["achieved_goal"], (20, 1)), goals, {}), reward(np.tile(moved, (20, 1)), turned, {})
    )
    assert representation_of(env.observation_space).group == representation_of(env.action_space).group


def test_the_check_names_the_base_of_the_arm_and_the_pyramidal_cone(env):
    with pytest.raises(SymmetryError) as caught:
        eqrl.check_environment(env, episodes=1, steps=5)
    message = str(caught.value)
    assert "rotation about gravity" in message
    assert "robot0:base_link is fixed to the world" in message
    assert "pyramidal friction cone" in message


def test_without_its_arm_only_the_cone_is_in_the_way(env):
    from check_fetch import without_arm

    broken, whole = (
        eqrl.verify(without_arm(env.unwrapped.fullpath, cone))[0]
        for cone in (mujoco.mjtCone.mjCONE_PYRAMIDAL, mujoco.mjtCone.mjCONE_ELLIPTIC)
    )
    assert broken.cause.id == "pyramidal friction cone"
    assert whole.holds


def test_a_few_steps_of_sac_with_hindsight():
    from check_fetch import train

    assert 0.0 <= train("FetchPickAndPlace-v4", 240, episodes=1) <= 1.0


def test_the_command_line_knows_them():
    import eqrl.declare.fetch

    report = check("eqrl/FetchPush-v4", states=4, gym_packages=["eqrl.declare.fetch"])
    assert not report.holds
    assert "robot0:base_link is fixed to the world" in report.verdicts[0].cause.fix
    assert {f"eqrl/{name}" for name in eqrl.declare.fetch.TASKS} <= set(gymnasium.registry)


def test_other_tasks_are_refused():
    from eqrl.declare.fetch import make_fetch

    with pytest.raises(ValueError, match="does not observe an object"):
        make_fetch("FetchReach-v4")
