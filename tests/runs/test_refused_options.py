"""Options that Stable-Baselines3 refuses only within ``learn``, or not at all: one line, exit code 2 and no folder."""

import re

import gymnasium
import numpy as np
import pytest
import torch
import typed_env

from eqrl.commands import main
from eqrl.errors import UsageError
from eqrl.runs.config import Config, merged
from eqrl.runs.environments import make_env
from eqrl.runs.models import make_model
from eqrl.runs.refusals import refused
from eqrl.runs.resolution import resolve
from eqrl.runs.stored_models import load_run

SMALL = "--no-progress --rotations 0 --eval-freq 0 --num-threads 1 --new"
BASE = {
    "ppo": "n_steps:32 batch_size:32",
    "sac": "learning_starts:40 buffer_size:500 batch_size:8",
    "td3": "learning_starts:40 buffer_size:500 batch_size:8",
}


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    typed_env.register()


def train(algo, params, env="tests/Point-v0", n_envs=2, steps=120, options=""):
    argv = f"train --algo {algo} --env {env} -n {steps} --n-envs {n_envs} {SMALL} {options}".split()
    return main([*argv, "-params", *BASE[algo].split(), *params.split()])


IMPOSSIBLE = {
    "ppo": {
        "n_epochs:0": "'n_epochs': 0 .*at least 1",
        "n_steps:0": "'n_steps': 0 ",
        "batch_size:0": "'batch_size': 0 ",
        "batch_size:1": "batch_size.*greater than 1",
        "learning_rate:-1e-3": r"'learning_rate': -0\.001 ",
        "learning_rate:lin_-1e-3": r"'learning_rate': -0\.001 ",
        "learning_rate:adaptive_-1e-3": r"'learning_rate': -0\.001 ",
        "learning_rate:adaptive_fast": r"'learning_rate': 'adaptive_fast' is not a schedule; .*adaptive_5e-4",
        "learning_rate:lin_1e-3_0": r"'learning_rate': 'lin_1e-3_0' is not a schedule; .*lin_3e-4",
        "clip_range:adaptive_0.2": "'clip_range': expected a number",
        "desired_kl:0.01": "'desired_kl': 0.01 needs an adaptive learning rate; give learning_rate:adaptive_5e-4",
        "learning_rate:adaptive_5e-4 desired_kl:0": "'desired_kl': 0.*above 0",
        "std_schedule:lin_0.6": "'std_schedule': 'lin_0.6' is not a schedule; .*lin_0.6_0.3",
        "std_schedule:lin_0.6_0": r"'std_schedule': 0.*above 0",
        "std_schedule:lin_0.6_0.3_2": r"'std_schedule\.end_fraction': 2.*at most 1",
        "std_schedule:wide": "'std_schedule': expected a number",
        "gamma:1.01": "'gamma': 1.01 .*at most 1",
        "gae_lambda:-0.5": "'gae_lambda'",
        "clip_range:0": "'clip_range'.*above 0",
        "clip_range_vf:-1": "'clip_range_vf'",
        "target_kl:0": "'target_kl'",
        "max_grad_norm:-0.5": "'max_grad_norm'",
        "stats_window_size:-1": "'stats_window_size'",
        "n_epochs:three": "'n_epochs': expected a whole number",
        "rollout_buffer_kwargs:{sigma:1}": "'rollout_buffer_kwargs': RolloutBuffer has no option 'sigma'",
    },
    "sac": {
        "train_freq:[1,episode]": r"'train_freq': \[1, episode\] needs a single environment, and there are 2",
        "train_freq:[1,week]": "'train_freq'",
        "train_freq:[0,step]": "'train_freq': 0 ",
        "train_freq:[step]": "'train_freq'",
        "train_freq:-4": "'train_freq': -4 ",
        "gradient_steps:-2": "'gradient_steps'.*at least -1",
        "learning_rate:adaptive_5e-4": "'learning_rate': 'adaptive_5e-4' adapts to PPO's KL .*take --algo ppo",
        "std_schedule:0.5": "unknown hyperparameter 'std_schedule' of sac",
        "gradient_steps:many": "'gradient_steps': expected a whole number",
        "buffer_size:0": "'buffer_size': 0 ",
        "batch_size:0": "'batch_size': 0 ",
        "tau:0": "'tau'.*above 0 and at most 1",
        "target_update_interval:0": "'target_update_interval'",
        "target_entropy:low": "'target_entropy': 'low' .*'auto'",
        "ent_coef:automatic": "'ent_coef': 'automatic' .*'auto_0.1'",
        "replay_buffer_class:HerReplayBuffer": "'replay_buffer_class': HerReplayBuffer needs an environment with goals",
        "replay_buffer_kwargs:{n_sampled_goal:4}": (
            "'replay_buffer_kwargs': ReplayBuffer has no option 'n_sampled_goal'"
        ),
        "action_noise:{sigma:-1}": r"'action_noise\.sigma': -1",
        "action_noise:{sgma:1}": "'action_noise': no option 'sgma'; did you mean 'sigma'",
        "action_noise:0.1": "'action_noise': 0.1 is not a table",
    },
    "td3": {
        "policy_delay:0": "'policy_delay': 0 ",
        "target_policy_noise:-0.1": "'target_policy_noise'",
        "target_noise_clip:-1": "'target_noise_clip'",
        "train_freq:[2,episode]": "'train_freq'",
    },
}


@pytest.mark.parametrize(("algo", "params"), [(algo, params) for algo, table in IMPOSSIBLE.items() for params in table])
def test_impossible_hyperparameters(algo, params, capsys, tmp_path):
    assert train(algo, params) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert re.search(IMPOSSIBLE[algo][params], err), err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ("replay_buffer_kwargs:{n_sampled_goal:-1}", r"n_sampled_goal': -1"),
        ("replay_buffer_kwargs:{goal_selection_strategy:futur}", "did you mean 'future'"),
        ("learning_starts:4", r"refuses to train on eqrl/Reach-v0: .*learning_starts.*-params"),
    ],
)
def test_hindsight(params, message, capsys, tmp_path):
    assert train("sac", params, env="eqrl/Reach-v0") == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert re.search(message, err), err
    assert not list(tmp_path.glob("logs/sac/*"))  # refused only in training: the folder is deleted again


def test_whole_episodes_of_one_environment_train():
    assert train("sac", "train_freq:[1,episode] learning_starts:10", n_envs=1) == 0


class Failing(typed_env.Point):
    def step(self, action):
        if self.time == 5:
            raise ValueError("a mistake of the environment")
        return super().step(action)


@pytest.mark.parametrize("algo", ["ppo", "sac"])
def test_a_true_mistake_keeps_its_traceback(algo, tmp_path, monkeypatch):
    spec = gymnasium.envs.registration.EnvSpec("tests/Failing-v0", Failing)
    monkeypatch.setitem(gymnasium.registry, "tests/Failing-v0", spec)
    with pytest.raises(ValueError, match="a mistake of the environment"):
        train(algo, "", env="tests/Failing-v0")
    assert list(tmp_path.glob(f"logs/{algo}/*"))


def test_what_counts_as_refused():
    def caught(function):
        try:
            function()
        except Exception as error:
            return error
        raise AssertionError("it went well")

    from stable_baselines3.common.buffers import ReplayBuffer
    from stable_baselines3.common.utils import check_for_correct_spaces

    space, other = typed_env.Point().observation_space, gymnasium.spaces.Discrete(3)
    assert refused(caught(lambda: check_for_correct_spaces(typed_env.Point(), other, other)))  # raise
    assert refused(caught(lambda: ReplayBuffer(10, space, space, optimize_memory_usage=True)))
    # torch complains within a function of SB3
    buffer = ReplayBuffer(10, space, space, device="cpu")
    assert not refused(
        caught(lambda: buffer.add(np.zeros(5), np.zeros(2), np.zeros(2), np.zeros(1), np.zeros(1), [{}]))
    )
    assert not refused(caught(lambda: torch.zeros(2) @ torch.zeros(3)))
    assert not refused(ValueError("never raised"))


# ------------------------------------------------------------------ policy_kwargs of stock scripts in runs
def kwargs_of(**options):
    return resolve(Config(env="tests/Point-v0", **options)).policy_kwargs


def test_net_arch_wins_over_the_widths_of_the_preset():
    assert "hidden" in kwargs_of()["network_kwargs"]
    resolved = resolve(Config(env="tests/Point-v0", policy_kwargs={"net_arch": {"pi": [8], "vf": [12]}}))
    model = make_model(resolved, make_env(resolved))
    assert (model.policy.action_net.hidden, model.policy.value_net.hidden) == ((8,), (12,))
    assert resolve(resolved) == resolved
    assert resolved.policy_kwargs["log_std_init"] == -0.5  # the rest of the preset stays


def test_zoo_and_python_forms_mean_the_same():
    options = {"net_arch": [8], "activation_fn": torch.nn.Tanh, "optimizer_class": torch.optim.AdamW}
    here, there = Config(policy_kwargs=options), Config(hyperparams={"policy_kwargs": options, "gamma": 0.9})
    assert here.policy_kwargs == there.policy_kwargs
    assert there.hyperparams == {"gamma": 0.9}
    assert here.policy_kwargs == {"net_arch": [8], "activation_fn": "Tanh", "optimizer_class": "AdamW"}
    assert Config.from_dict(merged(here.to_dict())) == here
    with pytest.raises(UsageError, match=r"policy_kwargs.*does not hold options"):
        Config(hyperparams={"policy_kwargs": "dict(net_arch=[8])"})


@pytest.mark.parametrize(
    ("algo", "network"),
    [("ppo", "frame"), ("sac", "vector"), ("td3", "frame"), ("ppo", "MlpPolicy"), ("sac", "MlpPolicy")],
)
def test_runs_with_stock_options_resume_and_load(algo, network, tmp_path, capsys):
    critic = "vf" if algo == "ppo" else "qf"
    options = f"--network {network} --policy-kwargs net_arch:{{pi:[8],{critic}:[12]}} activation_fn:nn.Tanh"
    assert train(algo, "", options=options, steps=64) == 0
    (run,) = tmp_path.glob(f"logs/{algo}/*")
    model, config = load_run(run)
    assert config.policy_kwargs["net_arch"] == {"pi": [8], critic: [12]}
    assert any(isinstance(module, torch.nn.Tanh) for module in model.policy.modules())
    assert main(f"train --resume {run} -n 96".split()) == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("net_arch:[8] network_kwargs:{hidden:[8]}", ["net_arch", "network_kwargs", "twice"]),
        ("net_arch:wide", ["net_arch='wide'", "[64, 64]"]),
        ("ortho_init:false", ["ortho_init=False", "network_kwargs"]),
        ("activation_fn:rellu", ["'rellu'", "'relu'"]),
        ("net_arc:[8]", ["'net_arc'", "'net_arch'"]),
        ("optimizer_class:Adan", ["'Adan'", "'Adam'"]),
        ("net_arch:[64,2000000000]", ["policy_kwargs.net_arch", "too large"]),
    ],
)
def test_stock_options_that_do_not_fit(options, words, capsys, tmp_path):
    assert train("ppo", "", options=f"--policy-kwargs {options}") == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert all(word in err for word in words), err
    assert not list(tmp_path.iterdir())
