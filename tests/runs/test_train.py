"""Training learns, can be stopped and resumed, is not changed by its evaluation, and loads without pickle."""

import csv
import json
import os
import signal
import threading
import time

import numpy as np
import pytest
import torch
import typed_env

import eqrl
from eqrl.agents import priors_of
from eqrl.checkpoint import load_checkpoint
from eqrl.commands import main
from eqrl.errors import UsageError
from eqrl.runs.config import DEFAULT_JOB, Config
from eqrl.runs.environments import make_env
from eqrl.runs.folder import RunFolder
from eqrl.runs.models import make_model
from eqrl.runs.resolution import resolve
from eqrl.runs.stored_models import load_run
from eqrl.train import resume, train

typed_env.register()
SMALL = {"n_steps": 32, "batch_size": 64}


@pytest.fixture(scope="module")
def reach(tmp_path_factory):
    """The run that the tests of a trained agent share: PPO on dense Reach, some seconds."""
    folder = tmp_path_factory.mktemp("reach")
    return train(
        Config(
            env="eqrl/Reach-v0",
            env_kwargs={"reward_type": "dense"},
            n_timesteps=60_000,
            rotations=4,
            num_threads=1,
            log_folder=str(folder),
        )
    )


def point(folder, **options):
    values = {
        "n_timesteps": 1024,
        "n_envs": 4,
        "rotations": 0,
        "eval_freq": 0,
        "save_freq": 0,
        "hyperparams": SMALL,
        "eval_episodes": 2,
    }
    return Config(**{"env": "tests/Point-v0", "num_threads": 1, "log_folder": str(folder), **values, **options})


def weights(model):
    return {k: v.clone() for k, v in model.policy.state_dict().items()}


def test_it_learns_and_keeps_the_symmetry(reach):
    assert reach.metrics["success"] > 0.9
    assert reach.metrics["retention_min"] > 0.98
    assert reach.metrics["equivariance_error"] < 1e-4


def test_the_folder_is_complete_and_readable(reach):
    names = {p.name for p in reach.path.iterdir()}
    assert names >= {
        "README.md",
        "config.yaml",
        "command.txt",
        "versions.txt",
        "checkpoints",
        "result.json",
        "progress.csv",
        "evaluations.csv",
        "tensorboard",
    }
    text = (reach.path / "README.md").read_text()
    assert f"eqrl evaluate {reach.path}" in text
    assert "success: 1.00" in text or "success: 0.9" in text
    with (reach.path / "evaluations.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 10
    assert float(rows[-1]["success_rate"]) > 0.9
    assert RunFolder.open(reach.path).config() == reach.config


def test_tensorboard_groups(reach):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(reach.path / "tensorboard"))
    board.Reload()
    groups = {tag.split("/")[0] for tag in board.Tags()["scalars"]}
    assert groups >= {"rollout", "train", "eval", "equivariance", "zero_shot"}


def test_load_gives_the_same_actions(reach):
    model, config = load_run(reach.path)
    assert config == reach.config
    observation = {k: v[None] for k, v in reach.model.observation_space.sample().items()}
    expected = reach.model.predict(observation, deterministic=True)[0]
    np.testing.assert_array_equal(model.predict(observation, deterministic=True)[0], expected)
    newest = RunFolder(reach.path).checkpoints.steps()
    assert len(newest) == 3  # of twenty
    for which in ("best", newest[1]):
        load_run(reach.path, which)
    assert load_run(RunFolder(reach.path).checkpoints.at(newest[0]))[0].num_timesteps == newest[0]
    with pytest.raises(UsageError, match="it has best, last"):
        load_run(reach.path, 7)


def test_folders_are_never_shared(tmp_path):
    config = point(tmp_path)
    made: list[RunFolder] = []
    threads = [threading.Thread(target=lambda: made.append(RunFolder.create(config))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(f.path.name for f in made) == [f"tests-Point-v0_{i}" for i in range(1, 9)]


def test_same_seed_same_bits_and_evaluation_does_not_disturb(tmp_path):
    plain = train(point(tmp_path))
    watched = train(point(tmp_path, eval_freq=128, save_freq=128, rotations=0))
    leaky = train(point(tmp_path, eval_freq=128, eval_env_kwargs={"leaky": True}))
    other = train(point(tmp_path, seed=1))
    for key, value in weights(plain.model).items():
        assert torch.equal(value, weights(watched.model)[key]), key
        assert torch.equal(value, weights(leaky.model)[key]), key
    assert any(not torch.equal(v, weights(other.model)[k]) for k, v in weights(plain.model).items())


@pytest.mark.parametrize("algo", ["ppo", "sac"])
def test_resume_goes_on_where_it_was(tmp_path, algo):
    hyperparams = SMALL if algo == "ppo" else {"learning_starts": 64, "buffer_size": 2000, "gradient_steps": 1}
    first = train(point(tmp_path, algo=algo, n_timesteps=512, eval_freq=256, hyperparams=hyperparams))
    steps = first.model.num_timesteps
    assert RunFolder(first.path).checkpoints.steps()[0] == steps
    second = resume(first.path, n_timesteps=1024)
    assert second.path == first.path
    assert second.model.num_timesteps >= 1024
    assert second.model._n_updates > first.model._n_updates
    adam = (second.model.policy.optimizer if algo == "ppo" else second.model.critic.optimizer).state_dict()["state"][0][
        "step"
    ]
    before = (first.model.policy.optimizer if algo == "ppo" else first.model.critic.optimizer).state_dict()["state"][0][
        "step"
    ]
    assert adam > before
    with (first.path / "evaluations.csv").open() as file:
        times = [int(row["timesteps"]) for row in csv.DictReader(file)]
    assert times == sorted(set(times))
    assert times[-1] > 512
    again = resume(first.path)
    assert again.metrics == second.metrics
    assert again.model.num_timesteps == second.model.num_timesteps
    with pytest.raises(UsageError, match="seed is 0 there and 3 here"):
        resume(first.path, seed=3)
    with pytest.raises(UsageError, match=r"hyperparams\.gamma is 0\.98 there and 0\.5 here"):
        resume(first.path, hyperparams={"gamma": 0.5})


@pytest.mark.parametrize("algo", ["ppo", "sac"])
def test_rewards_are_normalised_and_resumed(tmp_path, algo):
    options = SMALL if algo == "ppo" else {"learning_starts": 64, "buffer_size": 2000, "gradient_steps": 1}
    normalize = {"norm_reward": True, "clip_reward": 5}
    first = train(
        point(tmp_path, algo=algo, n_timesteps=512, augment=True, hyperparams={**options, "normalize": normalize})
    )
    before = first.model.get_vec_normalize_env()
    assert (before.norm_obs, before.norm_reward, before.clip_reward, before.gamma) == (
        False,
        True,
        5.0,
        first.model.gamma,
    )
    assert before.ret_rms.count > 500
    model, _ = load_run(first.path)
    loaded = model.get_vec_normalize_env().ret_rms
    assert (loaded.mean, loaded.var, loaded.count) == (before.ret_rms.mean, before.ret_rms.var, before.ret_rms.count)
    second = resume(first.path, n_timesteps=1024)
    assert second.model.get_vec_normalize_env().ret_rms.count > before.ret_rms.count + 500
    assert load_run(second.path)[1].hyperparams["normalize"] == normalize


def test_schedules_by_name(tmp_path):
    schedules = {"learning_rate": "adaptive_5e-4", "desired_kl": 1e3, "std_schedule": "lin_0.6_0.2_0.5"}
    run = train(point(tmp_path, hyperparams={**SMALL, **schedules}))
    with (run.path / "progress.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["train/std"]]
    rates, stds = ([float(row[f"train/{name}"]) for row in rows] for name in ("learning_rate", "std"))
    np.testing.assert_allclose(rates, [5e-4 * 1.5**k for k in range(len(rows))])  # the KL divergence is always less
    # logged after an update, which moves it a little
    np.testing.assert_allclose(stds, [max(0.6 - 0.1 * k, 0.2) for k in range(len(rows))], rtol=0.05)
    loaded, _ = eqrl.load(run.path)
    assert loaded.learning_rate == 5e-4
    run.model.save(tmp_path / "model.zip")
    archived, _ = eqrl.load(tmp_path / "model.zip", config=run.config)
    for other in (loaded, archived):
        assert all(map(torch.equal, weights(other).values(), weights(run.model).values()))


def test_rewards_stay_as_they_are_unless_asked(tmp_path):
    for hyperparams in (SMALL, {**SMALL, "normalize": False}):
        assert train(point(tmp_path, n_timesteps=128, hyperparams=hyperparams)).model.get_vec_normalize_env() is None


def test_without_a_configuration_it_is_the_default_job(monkeypatch):
    class Reached(Exception):
        pass

    def create(config):
        assert config.env_kwargs == {"target_sector": [-15, 15], "heading": [-15, 15], "success_bonus": 30.0}
        assert config.network == "regular"
        assert config.n_timesteps == DEFAULT_JOB["n_timesteps"]
        raise Reached

    monkeypatch.setattr("eqrl.runs.folder.RunFolder.create", staticmethod(create))
    with pytest.raises(Reached):
        train()


def test_diverging_physics_stops_with_one_line_and_keeps_a_model(tmp_path, monkeypatch):
    """MuJoCo would reset such a simulation by itself and go on as if nothing had happened."""
    from eqrl.envs.core.simulation import Simulation

    step, calls = Simulation.step, []

    def kicked(self, *args, **kwargs):
        calls.append(self.n)
        if self.n == 4 and len(calls) == 100:
            state = self.get_state()
            state.qvel[2] = 1e12
            self.set_state(state)
        return step(self, *args, **kwargs)

    monkeypatch.setattr(Simulation, "step", kicked)
    monkeypatch.chdir(tmp_path)  # MuJoCo leaves a log of its warnings in the working directory
    config = point(tmp_path, env="eqrl/AntTarget-v0", n_timesteps=2048, save_freq=128)
    with pytest.raises(
        UsageError, match=r"physics .*diverged \(member 2, .*last good model: .*what led there"
    ) as error:
        train(config)
    assert "\n" not in str(error.value)
    folder = next((tmp_path / "ppo").iterdir())
    model, _ = load_run(folder)
    assert 0 < model.num_timesteps <= 400
    assert all(torch.isfinite(p).all() for p in model.policy.parameters())


def test_resume_with_hindsight_goes_on_with_the_full_buffer(tmp_path):
    options = {
        "algo": "sac",
        "env": "eqrl/Reach-v0",
        "hyperparams": {"learning_starts": 480, "gradient_steps": 1},
        "n_envs": 8,
    }
    first = train(point(tmp_path, n_timesteps=640, **options))
    second = resume(first.path, n_timesteps=1280)
    assert second.model._n_updates > first.model._n_updates
    assert second.model.replay_buffer.pos == 160
    for key, rows in first.model.replay_buffer.observations.items():
        np.testing.assert_array_equal(second.model.replay_buffer.observations[key][:80], rows[:80])


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM", "SIGUSR1"])
def test_a_signal_saves_and_exits_cleanly(tmp_path, capsys, monkeypatch, number):
    monkeypatch.chdir(tmp_path)
    number = getattr(signal, number)
    before = signal.getsignal(number)
    threading.Thread(target=lambda: (time.sleep(1.5), os.kill(os.getpid(), number)), daemon=True).start()
    argv = (
        "train --env tests/Point-v0 -n 10_000_000 --n-envs 4 --rotations 0 --eval-freq 0 --no-progress -params"
        " n_steps:32 batch_size:64"
    )
    assert main(argv.split()) == 75
    out = capsys.readouterr().out
    assert "eqrl train --resume logs/ppo/tests-Point-v0_1" in out
    (step,) = RunFolder(tmp_path / "logs/ppo/tests-Point-v0_1").checkpoints.steps()[:1]
    assert 0 < step < 10_000_000
    assert signal.getsignal(number) is before


def test_a_model_of_another_shape_is_refused(tmp_path):
    run = train(point(tmp_path, n_timesteps=128))
    other = train(point(tmp_path, n_timesteps=128, policy_kwargs={"network_kwargs": {"hidden": [7]}}))
    checkpoint, manifest = RunFolder(other.path).checkpoint("last")
    with pytest.raises(UsageError, match=r"does not fit the configured model: '.*' is torch.float32 of shape"):
        load_checkpoint(run.model, checkpoint, manifest)


def test_a_configuration_that_was_edited_is_refused_with_the_difference(tmp_path):
    run = train(point(tmp_path, n_timesteps=128))
    folder = RunFolder(run.path)
    folder.write_config(run.config.replace(hyperparams={**run.config.hyperparams, "gamma": 0.5}))
    for use in (load_run, resume):
        with pytest.raises(UsageError, match=r"config.yaml was changed: hyperparams.gamma is 0.98 there and 0.5 here"):
            use(run.path)
    folder.config_file.write_text("hyperparams: !!python/object/apply:os.system ['true']")
    with pytest.raises(UsageError, match="or delete the file"):
        load_run(run.path)
    folder.config_file.unlink()
    load_run(run.path)


def test_stock_policy_takes_the_same_widths(tmp_path):
    run = train(point(tmp_path, network="MlpPolicy", n_timesteps=128))
    assert run.config.policy_kwargs["net_arch"] == [128, 128]
    assert load_run(run.path)[0].policy.net_arch == [128, 128]


@pytest.mark.parametrize(
    ("algo", "hyperparams", "kind"),
    [
        ("ppo", {"rollout_buffer_class": "SymmetricRolloutBuffer"}, "rollout_buffer"),
        (
            "ppo",
            {"rollout_buffer_class": "SymmetricRolloutBuffer", "rollout_buffer_kwargs": {"log_prob": "recompute"}},
            "rollout_buffer",
        ),
        (
            "sac",
            {"replay_buffer_class": "SymmetricReplayBuffer", "replay_buffer_kwargs": {"group": "SO2"}},
            "replay_buffer",
        ),
        ("td3", {"replay_buffer_class": "SymmetricReplayBuffer"}, "replay_buffer"),
    ],
)
def test_baselines_that_learn_the_symmetry(tmp_path, algo, hyperparams, kind):
    """Buffers by name and the mirror loss; the run can be loaded and resumed."""
    common = (
        {"n_steps": 32, "batch_size": 32}
        if algo == "ppo"
        else {"learning_starts": 50, "batch_size": 16, "gradient_steps": 1}
    )
    config = Config(
        algo=algo,
        env="tests/Point-v0",
        network="MlpPolicy",
        policy_kwargs={"net_arch": [16]},
        mirror_loss=0.5,
        n_timesteps=900,
        n_envs=2,
        rotations=0,
        eval_freq=0,
        log_folder=str(tmp_path),
        hyperparams={**common, **hyperparams},
    )
    run = train(config)
    assert [(prior.name, prior.strength) for prior in priors_of(run.model)] == [("mirror_loss", 0.5)]
    assert type(getattr(run.model, kind)).__name__ == next(v for k, v in hyperparams.items() if k.endswith("class"))
    assert "mirror loss of weight 0.5" in (run.path / "README.md").read_text()
    assert "symmetry/mirror_loss/policy" in (run.path / "progress.csv").read_text()
    loaded, _ = load_run(run.path)
    x = np.ones((3, 2), np.float32)
    assert np.array_equal(loaded.predict(x, deterministic=True)[0], run.model.predict(x, deterministic=True)[0])
    assert resume(run.path, n_timesteps=1000).model.num_timesteps >= 1000


def test_hindsight_with_turned_transitions_by_name():
    """The preset's arguments of the buffer stay, and those of ours join them."""
    config = Config(
        algo="sac",
        env="eqrl/Reach-v0",
        hyperparams={"replay_buffer_class": "SymmetricHerReplayBuffer", "replay_buffer_kwargs": {"probability": 0.5}},
    )
    config = resolve(config)
    env = make_env(config, 1, 0)
    buffer = make_model(config, env).replay_buffer
    env.close()
    assert type(buffer).__name__ == "SymmetricHerReplayBuffer"
    assert (buffer.probability, buffer.n_sampled_goal) == (0.5, 4)


def test_augmentation_only_in_training(tmp_path):
    from eqrl.agents import RandomRotation

    run = train(point(tmp_path, network="MlpPolicy", augment=True, n_timesteps=128, rotations=0, eval_freq=64))
    assert isinstance(run.model.get_env(), RandomRotation)
    json.dumps(run.config.to_dict())
