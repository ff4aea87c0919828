"""Registered sets of robots or objects: ids that stand for a fleet, and for each of its members."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest

import eqrl
from eqrl.envs.manipulation.push import Push

SHAPES = {"T": {"shape": "T"}, "bar": {"shape": "bar"}, "plus": {"shape": "plus"}}
SET, PLUS = "tests/Shapes-v0", "tests/Plus-v0"


@pytest.fixture(autouse=True)
def _registered():
    eqrl.register(SET, Push, max_episode_steps=40, kwargs={"reward_type": "dense"}, members=SHAPES, unseen=[PLUS])
    eqrl.register(PLUS, Push, max_episode_steps=40, kwargs={"shape": "plus", "reward_type": "dense"})
    yield
    for env_id in (SET, PLUS):
        del gymnasium.registry[env_id], eqrl.ENVIRONMENTS[env_id]


def played(env, n, steps=45):
    env.seed(3)
    observations = [env.reset()]
    rng, rewards = np.random.default_rng(0), []
    for _ in range(steps):
        observation, reward, *_ = env.step(rng.uniform(-1, 1, (n, 2)).astype(np.float32))
        observations.append(observation)
        rewards.append(reward)
    env.close()
    return [*rewards, *(part for observation in observations for part in observation.values())]


def same(a, b):
    return len(a) == len(b) and all(map(np.array_equal, a, b))


def test_the_id_makes_all_members_shared_out_evenly():
    env = eqrl.make_vec(SET, 7)
    assert env.unwrapped.members == ("T", "T", "T", "bar", "bar", "plus", "plus")
    explicit = eqrl.make_vec("eqrl/Push-v0", 7, members=SHAPES, reward_type="dense", max_episode_steps=40)
    assert same(played(env, 7), played(explicit, 7))
    vector = gymnasium.make_vec(SET, 3)
    vector.reset(seed=0)
    assert vector.step(vector.action_space.sample())[4]["member"].tolist() == ["T", "bar", "plus"]
    vector.close()


def test_options_are_everybodys_and_win_over_the_registered_ones():
    dense, sparse = (eqrl.make_vec(SET, 3, reward_type=kind) for kind in ("dense", "sparse"))
    assert same(played(dense, 3), played(eqrl.make_vec(SET, 3), 3))
    assert not same(played(eqrl.make_vec(SET, 3), 3), played(sparse, 3))
    other = eqrl.make_vec(SET, 2, members={"T": {"shape": "T"}, "U": {"shape": "T"}})
    assert other.unwrapped.members == ("T", "U")
    other.close()


def test_one_member_alone():
    single = gymnasium.make(SET, member="plus")
    assert single.unwrapped.task.shape.order == 4
    plus = gymnasium.make(PLUS)
    for env in (single, plus):
        env.reset(seed=1)
    action = np.float32([0.3, -0.2])
    assert single.step(action)[1] == plus.step(action)[1]
    for env in (single, plus):
        env.close()
    alone, registered = eqrl.make_vec(SET, 2, member="plus"), eqrl.make_vec(PLUS, 2)
    assert alone.unwrapped.members == ()
    assert same(played(alone, 2), played(registered, 2))


def test_what_does_not_fit_is_refused_with_the_fix():
    with pytest.raises(ValueError, match=r"3 members .* 2 is too few; give 3 or more \(n_envs, .* member='T'"):
        eqrl.make_vec(SET, 2)
    with pytest.raises(ValueError, match=r"name one of them with member=.*; the members are T, bar, plus"):
        gymnasium.make(SET)
    for make in (gymnasium.make, gymnasium.make_vec, eqrl.make_vec):
        with pytest.raises(ValueError, match=r"no member is named 'pluss'; did you mean 'plus'\?"):
            make(SET, member="pluss")
        with pytest.raises(ValueError, match=r"member='T' names one of a fleet, and this is a single environment"):
            make(PLUS, member="T")
    for members in ({}, ["T"]):
        with pytest.raises(ValueError, match="does not hold the members of a fleet"):
            eqrl.register("tests/Broken-v0", Push, max_episode_steps=40, members=members)
    with pytest.raises(ValueError, match="unseen='tests/Plus-v0' does not hold ids"):
        eqrl.register("tests/Broken-v0", Push, max_episode_steps=40, unseen=PLUS)
    assert "tests/Broken-v0" not in eqrl.ENVIRONMENTS
