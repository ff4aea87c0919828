"""Exact resume in a user's script, with stock algorithms and policies."""

import gymnasium
import numpy as np
import pytest
import torch
from filelock import FileLock
from stable_baselines3 import DDPG, DQN, PPO, SAC, TD3
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.noise import OrnsteinUhlenbeckActionNoise
from stable_baselines3.common.vec_env import SubprocVecEnv

import eqrl
from eqrl.agents import EquivariantPolicy
from eqrl.checkpoint import SaveTraining
from eqrl.errors import UsageError

OFF_POLICY = {"learning_starts": 100, "batch_size": 32, "buffer_size": 400}
CASES = {
    "PPO": lambda: PPO("MlpPolicy", make_vec_env("Pendulum-v1", 2, seed=1), n_steps=50, batch_size=50, seed=1),
    "SAC": lambda: SAC("MlpPolicy", make_vec_env("Pendulum-v1", 1, seed=1), seed=1, **OFF_POLICY),
    "SAC with gSDE": lambda: SAC(
        "MlpPolicy", make_vec_env("Pendulum-v1", 1, seed=1), seed=1, use_sde=True, **OFF_POLICY
    ),
    "PPO with gSDE": lambda: PPO(
        "MlpPolicy", gymnasium.make("Pendulum-v1"), n_steps=50, batch_size=50, seed=1, use_sde=True
    ),
    "DDPG": lambda: DDPG("MlpPolicy", make_vec_env("Pendulum-v1", 2, seed=1), seed=1, **OFF_POLICY),
    "DQN": lambda: DQN(
        "MlpPolicy",
        make_vec_env("CartPole-v1", 1, seed=1),
        seed=1,
        target_update_interval=70,
        exploration_fraction=0.8,
        **OFF_POLICY,
    ),
    "correlated noise": lambda: TD3(
        "MlpPolicy",
        make_vec_env("Pendulum-v1", 2, seed=1),
        seed=1,
        action_noise=OrnsteinUhlenbeckActionNoise(np.zeros(1), np.full(1, 0.3)),
        **OFF_POLICY,
    ),
    "equivariant": lambda: PPO(
        EquivariantPolicy, eqrl.make_vec("eqrl/Reach-v0", 4, seed=1), n_steps=50, batch_size=50, seed=1
    ),
}


class Killed(BaseException):
    pass


class Kill(SaveTraining):
    """As a kill would: nothing is saved any more."""

    def _on_step(self):
        if self.num_timesteps >= 450:
            raise Killed
        return True


@pytest.mark.parametrize("case", CASES)
def test_killed_and_continued_is_the_same_to_the_bit(tmp_path, case):
    whole = CASES[case]()
    whole.learn(800)
    saver = Kill(tmp_path, every=200)
    with pytest.raises(Killed):
        CASES[case]().learn(800, callback=saver)
    assert saver.store.steps()[0] in (400, 450)
    again, saver = CASES[case](), SaveTraining(tmp_path, every=200)
    assert saver.restore(again)
    assert again.num_timesteps >= 400
    again.learn(800 - again.num_timesteps, callback=saver, reset_num_timesteps=False)
    for (name, a), b in zip(whole.policy.state_dict().items(), again.policy.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    assert saver.store.steps()[0] == again.num_timesteps == whole.num_timesteps


def test_processes_go_on_with_new_episodes(tmp_path):
    def model():
        env = make_vec_env("Pendulum-v1", 2, seed=1, vec_env_cls=SubprocVecEnv)
        return PPO("MlpPolicy", env, n_steps=50, batch_size=50, seed=1)

    first = model()
    first.learn(200, callback=SaveTraining(tmp_path, every=100))
    saver, again = SaveTraining(tmp_path, every=100), model()
    assert saver.restore(again)
    assert "SubprocVecEnv" in saver.store.newest(complete=True)[1].inexact
    again.learn(100, callback=saver, reset_num_timesteps=False)
    assert again.num_timesteps == 300
    first.env.close()
    again.env.close()


def test_a_training_that_was_not_restored_replaces_nothing(tmp_path):
    first = SaveTraining(tmp_path, every=100)
    CASES["PPO"]().learn(200, callback=first)
    steps = first.store.steps()
    model, again = CASES["PPO"](), SaveTraining(tmp_path, every=100)
    with pytest.raises(UsageError, match=r"of 200 steps, which this one would replace; call restore"):
        model.learn(100, callback=again)
    assert again.restore(model)
    manifest = (first.store.at(200) / "manifest.json").read_bytes()
    model.learn(0, callback=again, reset_num_timesteps=False)  # the script is run again after its end
    assert (first.store.at(200) / "manifest.json").read_bytes() == manifest
    assert first.store.steps() == steps
    with pytest.raises(UsageError, match="reset_num_timesteps=False"):
        model.learn(100, callback=again)


def test_a_second_process_is_refused(tmp_path):
    saver, model = SaveTraining(tmp_path, every=100), CASES["PPO"]()
    with FileLock(tmp_path / "lock"), pytest.raises(UsageError, match="trained by another process"):
        model.learn(100, callback=saver)
    model.learn(100, callback=saver)


def test_another_architecture_is_refused(tmp_path):
    CASES["PPO"]().learn(100, callback=SaveTraining(tmp_path, every=100))
    other = PPO("MlpPolicy", "Pendulum-v1", policy_kwargs={"net_arch": [8]})
    with pytest.raises(UsageError, match="does not fit the configured model"):
        SaveTraining(tmp_path, every=100).restore(other)
    assert not SaveTraining(tmp_path / "nothing", every=100).restore(other)
    with pytest.raises(UsageError, match="every=0"):
        SaveTraining(tmp_path, every=0)
