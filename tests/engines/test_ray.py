"""Shards on Ray: the same trajectories to the bit as one process, the same states, and errors that name a shard."""

import os
import time

import numpy as np
import pytest
import torch

import eqrl
from eqrl.engines.ray import RayVecEnv, ShardDiedError, make_vec
from eqrl.envs.core.divergence import DivergenceError
from eqrl.errors import UsageError
from eqrl.symmetry import Element, about_gravity

ANT, REACH = "eqrl/AntTarget-v0", "eqrl/Reach-v0"
N = 7  # three shards get 3, 2 and 2 of them
SHORT = {"max_episode_steps": 5}  # episodes end within the test, not all at the same time


@pytest.fixture
def whole():
    made = []

    def make(env_id=ANT, **options):
        made.append(eqrl.make_vec(env_id, N, n_threads=1, **{"seed": 3, **SHORT, **options}))
        return made[-1]

    yield make
    for env in made:
        env.close()


@pytest.fixture
def sharded(ray):
    made = []

    def make(env_id=ANT, shards=3, **options):
        made.append(make_vec(env_id, N, shards=shards, n_threads=shards, **{"seed": 3, **SHORT, **options}))
        return made[-1]

    yield make
    for env in made:
        env.close()


def played(env, steps=12, seed=0):
    """Everything that steps with random actions give, but for the seconds that an episode took."""
    rng = np.random.default_rng(seed)
    heard = [env.step(rng.uniform(-1, 1, (N, *env.action_space.shape)).astype(np.float32)) for _ in range(steps)]
    for *_, infos in heard:
        for info in infos:
            info.get("episode", {}).pop("t", None)
    return heard


def same(a, b):
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return np.array_equal(a, b) and np.asarray(a).dtype == np.asarray(b).dtype


@pytest.mark.parametrize("env_id", [ANT, REACH])
def test_the_trajectories_are_those_of_one_process(whole, sharded, env_id):
    turned = {"scene_rotation": np.arange(N) * 10.0, "goal_rotation": 20.0}
    one, many = whole(env_id, **turned), sharded(env_id, **turned)
    assert many.observation_space == one.observation_space
    assert many.action_space == one.action_space
    for _ in range(2):  # the second reset goes on with the random numbers of the first
        assert same(one.reset(), many.reset())
        heard = played(many)
        assert same(played(one), heard)
        assert any("terminal_observation" in info for *_, infos in heard for info in infos)
    for env in (one, many):
        env.seed(11)
    assert same(one.reset(), many.reset())


def test_episodes_that_start_from_turned_states(whole, sharded):
    one, many = whole(), sharded()
    which = np.array([0, 2, 6])
    elements = Element(torch.stack([about_gravity(angle).R for angle in (0.5, 1.0, 2.0)]))
    first = []
    for env in (one, many):
        env.reset()
        first.append(env.unwrapped.restart(which, [5, 6, 7], elements))
    assert same(*first)
    assert same(played(one), played(many))


def test_a_state_goes_on_with_another_number_of_shards(whole, sharded):
    one, three, two = whole(), sharded(), sharded(shards=2, seed=99)
    three.reset()
    played(three, steps=3)
    state = three.unwrapped.state_dict()
    for env in (one, two):
        env.reset()
        env.unwrapped.load_state_dict(state)
    expected = played(three.venv)
    assert same(played(one.venv), expected)
    assert same(played(two.venv), expected)
    with pytest.raises(ValueError, match="the physics are those of 1 simulations, and here are 7"):
        two.unwrapped.load_state_dict({"physics": state["physics"][:1]})


def test_questions_are_answered_in_their_order(sharded):
    env = sharded()
    assert env.get_attr("max_episode_steps", [6, 0, 3]) == [5, 5, 5]
    assert len(env.get_attr("success_bonus")) == N
    assert env.unwrapped.env_is_wrapped(object, [1]) == [False]
    with pytest.raises(AttributeError):
        env.get_attr("colour")
    with pytest.raises(NotImplementedError, match="share one task"):
        env.set_attr("success_bonus", 1.0)


def test_hindsight_asks_for_rewards(whole, sharded):
    one, many = whole(REACH), sharded(REACH)
    rng = np.random.default_rng(0)
    size = many.observation_space["achieved_goal"].shape[0]
    goals = rng.normal(size=(2, 4, size)).astype(np.float32)
    asked = [env.env_method("compute_reward", *goals, [{}] * 4, indices=[0]) for env in (one, many)]
    assert same(*asked)


def test_a_killed_shard_is_named_and_the_others_are_closed(ray, sharded):
    env = sharded()
    env.reset()
    played(env, steps=2)
    base = env.unwrapped
    if hasattr(base._actors[1], "dead"):
        ray.kill(base._actors[1])
    else:
        os.kill(base.pids[1], 9)
    name = rf"^shard 2 of 3 \(environments 3 to 4, process {base.pids[1]}\) has died"
    for _ in range(2):  # it stays so
        with pytest.raises(ShardDiedError, match=name):
            played(env, steps=1)
    env.close()
    env.close()
    with pytest.raises(ShardDiedError, match=r"^shard 1 of 3"):
        env.reset()


def test_a_diverged_simulation_has_its_index_within_the_whole(sharded, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # MuJoCo writes a log
    env = sharded()
    env.reset()
    state = env.unwrapped.state_dict()
    nq = env.get_attr("model", [0])[0].nq
    for i in (2, 5):  # in the first and the last shard
        state["physics"][i, 1 + nq] = 1e12
    env.unwrapped.load_state_dict(state)
    with pytest.raises(DivergenceError) as error:
        played(env, steps=1)
    assert error.value.members == (2, 5)
    assert len(error.value.state) == len(error.value.action) == 2


def test_the_session_on_this_machine_is_loopback_only(real_ray):
    context = real_ray.get_runtime_context()
    assert context.gcs_address.startswith("127.0.0.1:")
    assert {node["NodeManagerAddress"] for node in real_ray.nodes()} == {"127.0.0.1"}


def test_it_waits_for_a_place_only_so_long(real_ray, monkeypatch):
    monkeypatch.setattr("eqrl.engines.ray._START", 2.0)
    begin = time.monotonic()
    with pytest.raises(UsageError, match=r"shard 1 of 1 was not open after 2 s: Ray has \d+ CPUs"):
        RayVecEnv(ANT, 1, shards=1, n_threads=1000)
    assert time.monotonic() - begin < 30
