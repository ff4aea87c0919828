"""Actions and goals that are not finite are refused in one line that names the argument, the row and the value."""

import copy

import gymnasium
import numpy as np
import pytest

import eqrl
from eqrl.envs.core.finite import NotFiniteError, check_finite

GOALS = ["Reach", "Sliding", "Push", "Insertion", "InsertionTwoHands", "RopeClosing", "RopeShaping", "ClothHanging"]
GOALS = [f"eqrl/{name}-v0" for name in (*GOALS, "PickAndPlace")]


@pytest.mark.parametrize("env_id", GOALS)
def test_rewards_of_goals_that_are_not_finite_are_refused(env_id):
    env = gymnasium.make(env_id).unwrapped
    observation, _ = env.reset(seed=0)
    goals = [observation[key] for key in ("achieved_goal", "desired_goal")]
    for k, name in enumerate(("achieved_goal", "desired_goal")):
        for value in (np.nan, np.inf):
            one = [goal.copy() for goal in goals]
            one[k][1] = value
            with pytest.raises(ValueError, match=f"^{name} must be finite, and entry 1 is {value}$"):
                env.compute_reward(*one, {})
            many = [np.tile(goal, (5, 1)) for goal in goals]
            many[k][3, 2] = value
            with pytest.raises(ValueError, match=f"^{name} must be finite, and row 3, entry 2 is {value}$"):
                env.compute_reward(*many, [{}] * 5)
    assert np.isfinite(env.compute_reward(*goals, {}))


@pytest.mark.parametrize("env_id", GOALS)
def test_goals_are_like_arrays_of_one_size(env_id):
    """Lists do, none at all have no rewards, and rows of another size are refused."""
    env = gymnasium.make(env_id).unwrapped
    observation, _ = env.reset(seed=0)
    goals = [np.tile(observation[key], (3, 1)) for key in ("achieved_goal", "desired_goal")]
    rewards = env.compute_reward(*goals, [{}] * 3)
    assert (env.compute_reward(*(goal.tolist() for goal in goals), [{}] * 3) == rewards).all()
    assert env.compute_reward(*(goal[:0] for goal in goals), []).shape == (0,)
    with pytest.raises(ValueError, match=r"^achieved_goal must have \d+ numbers in each row"):
        env.compute_reward(*(goal[:, :-1] for goal in goals), [{}] * 3)


def test_a_step_needs_a_reset():
    env = gymnasium.make("eqrl/Push-v0").unwrapped
    with pytest.raises(gymnasium.error.ResetNeeded, match="call reset"):
        env.step(np.zeros(2, np.float32))


def test_a_fleet_counts_rows_of_all_members():
    env = eqrl.make_vec("eqrl/Insertion-v0", 4, seed=0, shape=["T", "star"])
    observation = env.reset()
    goals = [observation[key].copy() for key in ("achieved_goal", "desired_goal")]
    goals[1][3, 0] = np.nan
    infos = [{"member": name} for name in env.unwrapped.members]
    with pytest.raises(ValueError, match=r"^desired_goal must be finite, and row 3, entry 0 is nan$"):
        env.env_method("compute_reward", *goals, infos, indices=[0])
    action = np.zeros((4, 4), np.float32)
    action[2, 1] = -np.inf
    with pytest.raises(ValueError, match=r"^action must be finite, and row 2, entry 1 is -inf$"):
        env.step(action)


def test_the_error_survives_another_process():
    with pytest.raises(NotFiniteError) as raised:
        check_finite("action", [[0.0, 1.0], [np.nan, 0.0]], first=4)
    again = copy.copy(raised.value)  # which goes the way of pickle
    assert (str(again), again.index) == ("action must be finite, and row 5, entry 0 is nan", (5, 0))
