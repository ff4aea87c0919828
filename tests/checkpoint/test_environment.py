"""Environments go on from the middle of their episodes to the bit; those that cannot are detected."""

import gymnasium
import numpy as np
import pytest
import typed_env
from ids import IDS
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecMonitor, VecNormalize

import eqrl
from eqrl.agents import RandomRotation
from eqrl.checkpoint import capture, rehearse, restore
from eqrl.checkpoint.values import DamagedValuesError

typed_env.register()
GYMNASIUM = [
    *(
        f"{name}-v5"
        for name in ("Ant", "HalfCheetah", "Hopper", "Humanoid", "HumanoidStandup", "InvertedDoublePendulum")
    ),
    *(f"{name}-v5" for name in ("InvertedPendulum", "Pusher", "Reacher", "Swimmer", "Walker2d")),
    "Pendulum-v1",
    "MountainCarContinuous-v0",
    "CartPole-v1",
    "Acrobot-v1",
    "tests/Point-v0",
]


def dummy(make, n=1):
    def maker(seed):
        env = DummyVecEnv([lambda: Monitor(make())] * n)
        env.seed(seed)
        return env

    return maker


@pytest.mark.parametrize("env_id", GYMNASIUM)
def test_gymnasium_environments(env_id):
    assert rehearse(dummy(lambda: gymnasium.make(env_id))) is None


@pytest.mark.parametrize("env_id", IDS)
def test_our_environments_in_every_form(env_id):
    assert rehearse(dummy(lambda: gymnasium.make(env_id))) is None
    assert rehearse(dummy(lambda: gymnasium.make(env_id), 2)) is None
    for wrap in (lambda e: e, RandomRotation, lambda e: VecNormalize(e, norm_obs=False), VecMonitor):
        assert rehearse(lambda seed, wrap=wrap: wrap(eqrl.make_vec(env_id, 3, seed=seed))) is None


class Hidden(gymnasium.Env):
    """Keeps its state where no capture looks."""

    class Box:
        x = 0.0

    def __init__(self):
        self.observation_space = self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,))
        self.box = Hidden.Box()

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.box.x = float(self.np_random.random())
        return np.float32([self.box.x]), {}

    def step(self, action):
        self.box.x += 0.01 * float(action[0])
        return np.float32([self.box.x]), 0.0, False, False, {}


class Helpful(Hidden):
    """The same, with a ``state_dict``."""

    def state_dict(self):
        return {"x": self.box.x, "random": self.np_random}

    def load_state_dict(self, state):
        self.box.x = state["x"]
        self.np_random = state["random"]


class Unsayable(Hidden):
    """Has a state that cannot be stored."""

    def state_dict(self):
        return {"box": self.box}

    def load_state_dict(self, state):
        raise NotImplementedError


class Broken(Helpful):
    """Has a ``state_dict`` that it cannot load."""

    def load_state_dict(self, state):
        state["y"]


def test_a_hidden_state_is_found_out_and_may_be_told():
    assert "going on from its state fails with KeyError: 'y'" in rehearse(dummy(Broken))
    assert "observation at step 1 differs by" in rehearse(dummy(Hidden))
    assert rehearse(dummy(Helpful)) is None
    assert "Box" in rehearse(dummy(Unsayable))


def test_other_processes_cannot_be_asked():
    assert "SubprocVecEnv cannot be asked for its state" in rehearse(
        lambda seed: SubprocVecEnv([lambda: gymnasium.make("Pendulum-v1")])
    )


def test_rehearsing_leaves_the_random_numbers_alone():
    np.random.seed(3)
    expected = np.random.random()
    np.random.seed(3)
    rehearse(dummy(lambda: typed_env.Point(leaky=True)))
    assert np.random.random() == expected


def test_a_state_of_something_else_is_refused():
    ant, push = eqrl.make_vec("eqrl/AntTarget-v0", 2, seed=0), eqrl.make_vec("eqrl/Push-v0", 2, seed=0)
    ant.reset()
    with pytest.raises((DamagedValuesError, ValueError), match="shape"):
        restore(push, capture(ant))
    with pytest.raises(DamagedValuesError, match="does not fit"):
        restore(VecNormalize(ant, norm_obs=False), capture(ant))
    env = DummyVecEnv([lambda: gymnasium.make("Pendulum-v1")])
    env.reset()
    state = capture(env)
    state["own"]["envs"][0][-1]["state"]["plain"]["step"] = 1.0
    with pytest.raises(DamagedValuesError, match="'step' of PendulumEnv is not state"):
        restore(env, state)
