"""Diverged physics: noticed in the very step, in every form of an environment.

Stopped with one line or only that episode ended.
"""

import pickle

import gymnasium
import mujoco
import numpy as np
import pytest
from ids import IDS
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv

import eqrl
from eqrl.checkpoint.environment import capture, restore
from eqrl.envs.core.divergence import DivergenceError, WatchDivergence, watched
from eqrl.errors import UsageError
from eqrl.runs.config import Config
from eqrl.runs.environments import make_env
from eqrl.runs.resolution import resolve

PLANTS = ["qvel", "qpos"]
KICK = 12


@pytest.fixture(autouse=True)
def _log_goes_elsewhere(tmp_path, monkeypatch):
    """MuJoCo writes its warnings to a log in the working directory."""
    monkeypatch.chdir(tmp_path)


def spoil(simulation, member, plant):
    """Plant what makes MuJoCo diverge in the next step: a huge velocity, or a position that is no number."""
    state = simulation.get_state()
    if plant == "qvel":
        state.qvel[member] = 1e12
    else:
        state.qpos[member, 1] = np.nan
    simulation.set_state(state)


def row(observation, i):
    return {k: v[i] for k, v in observation.items()} if isinstance(observation, dict) else {"": observation[i]}


def play(env_id, plant=None, steps=30, **options):
    """Steps of a batch of four with fixed actions; member 2 is spoilt before step KICK."""
    env = eqrl.make_vec(env_id, 4, seed=0, n_threads=1, **options)
    env.reset()
    draw, steps_made = np.random.default_rng(0), []
    for k in range(steps):
        if plant and k == KICK:
            spoil(env.venv.simulation, 2, plant)
        steps_made.append(env.step(draw.uniform(-0.5, 0.5, (4, *env.action_space.shape)).astype(np.float32)))
    return steps_made, env.venv.simulation


@pytest.mark.parametrize("plant", PLANTS)
@pytest.mark.parametrize("env_id", IDS)
def test_only_the_diverged_member_ends_its_episode(env_id, plant):
    # short episodes, so that every member has been reset in between and gone on
    calm, untouched = play(env_id, max_episode_steps=20)
    mended, simulation = play(env_id, plant, max_episode_steps=20, on_divergence="reset")
    assert (untouched.divergences, simulation.divergences) == (0, 1)
    for k, (a, b) in enumerate(zip(calm, mended, strict=True)):
        for i in (0, 1, 3):
            for key, value in row(a[0], i).items():
                np.testing.assert_array_equal(value, row(b[0], i)[key])
            assert (a[1][i], a[2][i]) == (b[1][i], b[2][i])
            assert "diverged" not in b[3][i]
        assert all(np.isfinite(v).all() for i in range(4) for v in row(b[0], i).values())
        assert bool(b[3][2].get("diverged")) == (k == KICK)
    _, rewards, dones, infos = mended[KICK]
    assert dones.tolist() == [False, False, True, False]
    assert rewards[2] == 0.0
    assert infos[2]["TimeLimit.truncated"]
    assert not infos[2]["is_success"]
    assert all(np.isfinite(v) for name, v in infos[2].items() if name.startswith("reward_"))
    last_good = row(mended[KICK - 1][0], 2)
    for key, value in row({k: [v] for k, v in last_good.items()}, 0).items():
        terminal = infos[2]["terminal_observation"]
        np.testing.assert_array_equal(terminal[key] if key else terminal, value)
    # it starts anew: a fresh episode runs to its time limit
    assert [k for k in range(KICK + 1, 30) if mended[k][2][2]] in ([], [KICK + 20])


@pytest.mark.parametrize("plant", PLANTS)
def test_stopping_names_the_member_and_keeps_the_state_before(plant):
    with pytest.raises(DivergenceError, match=r"^the physics diverged \(member 2, .* s after its reset\); ") as error:
        play("eqrl/AntTarget-v0", plant)
    raised = error.value
    assert "\n" not in str(raised)
    assert isinstance(raised, UsageError)
    assert raised.members == (2,)
    assert raised.action.shape == (1, 8)
    assert np.abs(raised.action).max() <= 0.5
    # after time and 15 positions
    bad = raised.state[0, 1 + 15 : 1 + 15 + 14] if plant == "qvel" else raised.state[0, 1 + 1]
    assert (bad == 1e12).all() if plant == "qvel" else np.isnan(bad)
    again = pickle.loads(pickle.dumps(raised))
    assert (str(again), again.members) == (str(raised), raised.members)
    np.testing.assert_array_equal(again.state, raised.state)


def test_a_bad_action_is_refused_before_the_physics_and_leaves_it_alone():
    """MuJoCo would ignore controls that are not finite, and play on."""
    env = eqrl.make_vec("eqrl/AntTarget-v0", 2, seed=0, n_threads=1)
    env.reset()
    actions = np.zeros((2, 8), np.float32)
    actions[1, 3] = np.nan
    with pytest.raises(ValueError, match=r"^action must be finite, and row 1, entry 3 is nan$"):
        env.step(actions)
    assert env.unwrapped.simulation.elapsed.tolist() == [0, 0]
    observation, *_ = env.step(np.zeros((2, 8), np.float32))
    assert np.isfinite(observation).all()


def test_the_outcome_of_the_last_substep_counts_too():
    """MuJoCo looks at the outcome of a step only at the beginning of the next one; ours must not wait for it."""
    env = eqrl.make_vec("eqrl/AntTarget-v0", 3, seed=0, n_threads=1)
    env.reset()
    simulation = env.venv.simulation
    simulation.watch.remember()
    simulation.world.data.qvel[1, 4] = np.inf
    assert simulation.watch.diverged().tolist() == [False, True, False]


@pytest.mark.parametrize("plant", PLANTS)
def test_single_environment(plant):
    env = gymnasium.make("eqrl/AntTarget-v0", on_divergence="reset")
    env.reset(seed=0)
    last, *_ = env.step(np.zeros(8, np.float32))
    spoil(env.unwrapped.simulation, 0, plant)
    observation, reward, terminated, truncated, info = env.step(np.zeros(8, np.float32))
    np.testing.assert_array_equal(observation, last)
    assert (reward, terminated, truncated, info["diverged"]) == (0.0, False, True, True)
    first, _ = env.reset(seed=0)
    np.testing.assert_array_equal(first, gymnasium.make("eqrl/AntTarget-v0").reset(seed=0)[0])
    stopping = gymnasium.make("eqrl/AntTarget-v0")
    stopping.reset(seed=0)
    spoil(stopping.unwrapped.simulation, 0, plant)
    with pytest.raises(DivergenceError, match="member 0"):
        stopping.step(np.zeros(8, np.float32))
    with pytest.raises(ValueError, match="on_divergence='mend' is not known"):
        gymnasium.make("eqrl/AntTarget-v0", on_divergence="mend")


@pytest.mark.parametrize("plant", PLANTS)
def test_gymnasium_vector_environment(plant):
    env = gymnasium.make_vec(
        "eqrl/Reach-v0", 3, vectorization_mode="vector_entry_point", on_divergence="reset", n_threads=1
    )
    env.reset(seed=0)
    last, *_ = env.step(np.zeros(env.action_space.shape, np.float32))
    spoil(env.unwrapped.simulation, 1, plant)
    observation, reward, terminated, truncated, infos = env.step(np.zeros(env.action_space.shape, np.float32))
    assert truncated.tolist() == [False, True, False]
    assert not terminated.any()
    assert reward[1] == 0.0
    assert infos["diverged"].tolist() == infos["_final_obs"].tolist() == [False, True, False]
    for key, value in infos["final_obs"].items():
        np.testing.assert_array_equal(value[1], last[key][1])
        assert np.isfinite(observation[key]).all()
    *_, infos = env.step(np.zeros(env.action_space.shape, np.float32))
    assert "diverged" not in infos


def pendulums(on_divergence, n=2):
    return DummyVecEnv(
        [lambda i=i: Monitor(watched(gymnasium.make("InvertedPendulum-v5"), on_divergence, i)) for i in range(n)]
    )


@pytest.mark.parametrize("plant", PLANTS)
def test_environments_of_gymnasium(plant):
    """MuJoCo's automatic reset would hide it: the observation is finite, of another state."""
    env = pendulums("reset")
    env.seed(0)
    env.reset()
    for _ in range(3):
        last, *_ = env.step(np.zeros((2, 1), np.float32))
    last = last.copy()  # SB3 reuses the array
    getattr(env.envs[1].unwrapped.data, plant)[:] = 1e12 if plant == "qvel" else np.nan
    observation, rewards, dones, infos = env.step(np.zeros((2, 1), np.float32))
    assert dones.tolist() == [False, True]
    assert rewards[1] == 0.0
    assert infos[1]["diverged"]
    assert infos[1]["TimeLimit.truncated"]
    assert "diverged" not in infos[0]
    np.testing.assert_array_equal(infos[1]["terminal_observation"], last[1])
    assert np.isfinite(observation).all()
    assert env.get_attr("divergences") == [0, 1]
    # the counters that MuJoCo left are not mistaken for a new divergence, and a new one is seen again
    assert not env.step(np.zeros((2, 1), np.float32))[2].any()
    env.envs[1].unwrapped.data.qvel[:] = 1e12
    env.step(np.zeros((2, 1), np.float32))
    assert env.get_attr("divergences") == [0, 2]
    stopping = pendulums("stop")
    stopping.reset()
    getattr(stopping.envs[1].unwrapped.data, plant)[:] = 1e12 if plant == "qvel" else np.nan
    with pytest.raises(DivergenceError, match=r"member 1, 0 s after its reset") as error:
        stopping.step(np.zeros((2, 1), np.float32))
    model = stopping.envs[1].unwrapped.model
    assert error.value.state.shape == (1, mujoco.mj_stateSize(model, mujoco.mjtState.mjSTATE_INTEGRATION))


def test_runs_watch_and_evaluations_never_stop():
    ours, theirs = (
        resolve(Config(num_threads=1)),
        resolve(Config(env="InvertedPendulum-v5", network="MlpPolicy", n_envs=2)),
    )
    assert make_env(ours, 2).venv.simulation.on_divergence == "stop"
    assert make_env(ours.replace(on_divergence="reset"), 2).venv.simulation.on_divergence == "reset"
    assert make_env(ours, 2, evaluation=True).venv.simulation.on_divergence == "reset"
    assert make_env(theirs).env_is_wrapped(WatchDivergence) == [True, True]
    assert make_env(theirs).get_attr("on_divergence") == ["stop", "stop"]
    assert make_env(theirs).get_attr("member") == [0, 1]
    assert make_env(theirs, evaluation=True).get_attr("on_divergence") == ["reset", "reset"]
    without_physics = gymnasium.make("Pendulum-v1")
    assert watched(without_physics, "stop") is without_physics
    with pytest.raises(UsageError, match="on_divergence"):
        Config(on_divergence="mend")


@pytest.mark.parametrize("env_id", ["eqrl/AntTarget-v0", "InvertedPendulum-v5"])
def test_a_stopped_run_can_go_on_with_reset(env_id):
    """The state in the middle of an episode goes to an environment that treats a divergence otherwise."""
    network = {} if env_id.startswith("eqrl/") else {"network": "MlpPolicy"}
    config = resolve(Config(env=env_id, n_envs=2, num_threads=1, **network))
    actions = np.zeros((2, *make_env(config).action_space.shape), np.float32)
    first, second = make_env(config, seed=0), make_env(config.replace(on_divergence="reset"), seed=1)
    first.reset()
    second.reset()
    for _ in range(5):
        last, *_ = first.step(actions)
    last = last.copy()
    restore(second, capture(first))
    if hasattr(second, "venv"):
        spoil(second.venv.simulation, 1, "qvel")
    else:
        second.envs[1].unwrapped.data.qvel[:] = 1e12
    _, rewards, dones, infos = second.step(actions)
    assert dones.tolist() == [False, True]
    assert rewards[1] == 0.0
    np.testing.assert_array_equal(infos[1]["terminal_observation"], last[1])


def test_watching_changes_no_bit_of_a_simulation():
    plain, seen = gymnasium.make("InvertedPendulum-v5"), watched(gymnasium.make("InvertedPendulum-v5"), "stop")
    np.testing.assert_array_equal(plain.reset(seed=1)[0], seen.reset(seed=1)[0])
    for k in range(40):
        action = np.array([np.sin(k)], np.float32)
        a, b = plain.step(action), seen.step(action)
        np.testing.assert_array_equal(a[0], b[0])
        assert a[1:] == b[1:]
