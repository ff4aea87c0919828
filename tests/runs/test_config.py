"""Options: types, files, precedence, typos."""

import json

import pytest

from eqrl.commands.options import Parser, add_options
from eqrl.errors import UsageError
from eqrl.runs.config import Config, merged, read_config_file
from eqrl.runs.values import parse


def read(*argv):
    parser = Parser("eqrl train", "")
    add_options(parser, Config)
    return parser.read(argv)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("3e-4", 3e-4),
        ("(-15,15)", [-15, 15]),
        ("true", True),
        ("None", None),
        ("uniform", "uniform"),
        ("{'a':[1]}", {"a": [1]}),
        ("{hidden:[64,64]}", {"hidden": [64, 64]}),
        ("{norm_obs:false, norm_reward: true, gamma:0.9}", {"norm_obs": False, "norm_reward": True, "gamma": 0.9}),
        ("{file:'a:b'}", {"file": "a:b"}),
        ("[a, b]", ["a", "b"]),
        ("{half", "{half"),
    ],
)
def test_literals(text, value):
    assert parse(text) == value


@pytest.mark.parametrize(
    "text", ["{a: !!python/name:os.system }", "__import__('os').system('true')", "open('x')", "lambda: 0", "1 + 1"]
)
def test_nothing_is_evaluated(text):
    assert parse(text) == text


def test_every_option_survives_a_file(tmp_path):
    config = Config(
        algo="sac", n_timesteps="1e6", env_kwargs={"target_sector": (-15, 15)}, hyperparams={"learning_rate": 3e-4}
    )
    assert config.n_timesteps == 1_000_000
    path = tmp_path / "c.json"
    path.write_text(json.dumps(config.to_dict()))
    assert Config.from_dict(read_config_file(path)) == config


@pytest.mark.parametrize("suffix", ["yaml", "toml", "json"])
def test_kinds_of_files(tmp_path, suffix):
    text = {
        "yaml": "algo: sac\nn-envs: 3\n",
        "toml": 'algo = "sac"\nn-envs = 3\n',
        "json": '{"algo": "sac", "n-envs": 3}',
    }
    path = tmp_path / f"c.{suffix}"
    path.write_text(text[suffix])
    assert read_config_file(path) == {"algo": "sac", "n_envs": 3}


def test_precedence():
    preset = {
        "n_envs": 64,
        "n_timesteps": 100,
        "learning_rate": 1e-3,
        "gamma": 0.9,
        "policy_kwargs": {"network_kwargs": {"hidden": [8]}, "a": 1},
    }
    file = {"n_envs": 32, "env_kwargs": {"x": 1, "y": 1}, "hyperparams": {"learning_rate": 2e-3}}
    given = read("--n-envs", "16", "--env-kwargs", "y:2", "--policy-kwargs", "a:2")
    config = Config.from_dict(merged(file, given)).with_preset(preset)
    assert (config.n_envs, config.n_timesteps) == (16, 100)
    assert config.env_kwargs == {"x": 1, "y": 2}
    assert config.hyperparams == {"learning_rate": 2e-3, "gamma": 0.9}
    assert config.policy_kwargs == {"network_kwargs": {"hidden": [8]}, "a": 2}


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--ev-freq", "3"], ["--ev-freq", "--eval-freq"]),
        (["--env-kwargs", "a"], ["--env-kwargs", "'a'"]),
        (["--n-envs"], ["--n-envs", "expected one argument"]),
    ],
)
def test_typos_on_the_command_line(argv, words):
    with pytest.raises(UsageError) as error:
        read(*argv)
    assert "\n" not in str(error.value)
    assert all(word in str(error.value) for word in words)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"netwrk": "frame"}, ["'netwrk'", "the file", "'network'"]),
        ({"learning_rate": 0.001}, ["'learning_rate'", "the file", "hyperparams: {learning_rate: ...}"]),
        ({"lerning_rate": 0.001}, ["did you mean 'learning_rate'?", "hyperparams: {learning_rate: ...}"]),
        ({"policy_dela": 2}, ["'policy_delay'", "hyperparams: {policy_delay: ...}"]),
        ({"algo": "ppo2"}, ["'algo'", "ppo, sac, td3"]),
        ({"n_envs": 1.5}, ["'n_envs'", "a whole number"]),
        ({"n_envs": 0}, ["'n_envs'", "at least 1"]),
        ({"augment": "maybe"}, ["'augment'", "true or false"]),
        ({"env_kwargs": [1]}, ["'env_kwargs'", "keys and values"]),
    ],
)
def test_wrong_values(values, words):
    with pytest.raises(UsageError) as error:
        Config.from_dict(values, "the file")
    assert all(word in str(error.value) for word in words)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("c.yaml", "algo: ["),
        ("c.yaml", "- 1"),
        ("c.py", "algo = 'ppo'"),
        ("c.yaml", "algo: !!python/object/apply:os.system ['true']"),
    ],
)
def test_broken_files(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(UsageError, match=r"c\.(yaml|py)") as error:
        read_config_file(path)
    assert "\n" not in str(error.value)
