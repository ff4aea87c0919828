"""A training whose environments are in shards: the same to the bit, and a killed shard costs what no checkpoint has."""

import os

import pytest
import torch

from eqrl.commands import main
from eqrl.engines.ray import RayVecEnv, ShardDiedError
from eqrl.runs.config import Config
from eqrl.train import resume, train


def config(folder, **options):
    values = {"env": "eqrl/Reach-v0", "n_envs": 4, "n_timesteps": 512, "rotations": 0, "num_threads": 1}
    values |= {"eval_freq": 256, "eval_episodes": 2, "save_freq": 128, "tensorboard_log": "off", "progress": False}
    return Config(**values, log_folder=str(folder), hyperparams={"n_steps": 32, "batch_size": 64}, **options)


def numbers(run):
    return torch.nn.utils.parameters_to_vector(run.model.policy.parameters()).detach()


def test_it_is_the_same_and_goes_on_after_a_killed_shard(ray, tmp_path, monkeypatch):
    one = train(config(tmp_path / "one"))
    many = config(tmp_path / "many", vec_env="ray", shards=2)
    steps, step_wait = [], RayVecEnv.step_wait

    def interrupted(self):
        steps.append(1)
        if len(steps) == 75:  # in the third rollout
            if hasattr(self._actors[1], "dead"):
                ray.kill(self._actors[1])
            else:
                os.kill(self.pids[1], 9)
                self.step_async(self.action_space.sample()[None].repeat(4, 0))  # of the step, the answer may be there
        return step_wait(self)

    monkeypatch.setattr(RayVecEnv, "step_wait", interrupted)
    with pytest.raises(ShardDiedError) as error:
        train(many)
    (folder,) = (tmp_path / "many/ppo").iterdir()
    assert str(error.value).startswith("shard 2 of 2 (environments 2 to 3, process ")
    assert f"eqrl train --resume {folder}" in str(error.value)
    (newest,) = [name for name in str(error.value).split() if name.startswith(f"{folder}/checkpoints")]
    assert "256" in newest

    run = resume(folder, shards=4)  # on another number of them
    assert not run.interrupted
    assert torch.equal(numbers(run), numbers(one))
    assert isinstance(run.model.get_env().unwrapped, RayVecEnv)


def test_the_command_says_it_in_one_line(tmp_path, monkeypatch, capsys):
    def died(*args, **kwargs):
        raise ShardDiedError("shard 1 of 2 has died")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("stable_baselines3.PPO.learn", died)
    small = "--env eqrl/Reach-v0 -n 64 --n-envs 2 --rotations 0 --eval-freq 32 --num-threads 1"
    assert main(["train", *small.split(), "-params", "n_steps:32", "batch_size:64"]) == 75
    err = capsys.readouterr().err
    assert err.startswith(
        "eqrl: error: shard 1 of 2 has died; what is trained is safe in none yet: eqrl train --resume"
    )
    assert err.count("\n") == 1
