"""A mistake of the user gives one line on stderr, exit code 2 and no new folder."""

import subprocess
import sys

import pytest
import typed_env

from eqrl.commands import main
from eqrl.runs.config import DEFAULT_JOB
from eqrl.runs.stored_models import load_run

typed_env.register()


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ("trian", ["'trian'", "'train'"]),
        ("train --env eqrl/AntTargt-v0", ["'eqrl/AntTargt-v0'", "'eqrl/AntTarget-v0'"]),
        ("train --env Foo-v7", ["'Foo-v7'", "--gym-packages"]),
        ("train --ev-freq 3", ["'--ev-freq'", "'--eval-freq'"]),
        ("train --network fram", ["'fram'", "'frame'"]),
        ("train --group SO5", ["'SO5'", "SO2"]),
        ("train --env-kwargs target_secor:3", ["'target_secor'", "'target_sector'"]),
        ("train --env eqrl/Reach-v0 --env-kwargs reward_type:spars", ["reward_type", "sparse"]),
        ("train --env-kwargs target_sector:3", ["target_sector=3", "(-15, 15)"]),
        ("train --eval-env-kwargs headng:3", ["'headng'", "'heading'"]),
        ("train -params learnin_rate:1", ["'learnin_rate'", "'learning_rate'"]),
        ("train --learning-rate 1", ["'--learning-rate'", "-params learning_rate:VALUE"]),
        ("train --lerning-rate 1", ["'--lerning-rate'", "'learning_rate'", "-params learning_rate:VALUE"]),
        ("train -params batch_size:abc", ["'batch_size'", "a whole number", "'abc'"]),
        ("train -params gamma:None", ["'gamma'", "a number"]),
        ("train -params normalize:true", ["'normalize'", "breaks the symmetry", "norm_reward"]),
        ("train -params normalize:{norm_obs:true}", ["'normalize'", "breaks the symmetry", "norm_reward"]),
        ("train --network MlpPolicy -params normalize:true", ["'normalize'", "outside the policy", "norm_reward"]),
        ("train -params normalize:{norm_rewrd:true}", ["'norm_rewrd'", "'norm_reward'"]),
        ("train --env-kwargs breaking_size:abc", ["breaking_size", "'abc'", "number"]),
        ("train --policy-kwargs network_kwargs:{'hiden':[8]}", ["network_kwargs", "'hiden'", "'hidden'"]),
        ("train --policy-kwargs network_kwargs:{hiden:[8,8]}", ["network_kwargs", "'hiden'", "'hidden'"]),
        ("train --policy-kwargs network_kwargs:hidden:[64 network_kwargs:64]", ["network_kwargs='64]'", "in quotes"]),
        ("train --policy-kwargs network_kwargs:{hidden:big}", ["hidden='big'", "[64, 64]"]),
        ("train --policy-kwargs log_std_init:abc", ["'log_std_init'", "a number", "'abc'"]),
        ("train -params use_sde:true", ["use_sde"]),
        ("train --mirror-loss -1", ["'mirror_loss'", "at least 0"]),
        ("train --mirror-loss much", ["'mirror_loss'", "a number", "'much'"]),
        ("train --miror-loss 1", ["'--miror-loss'", "'--mirror-loss'"]),
        (
            "train --env MountainCarContinuous-v0 --rotations 0 --network MlpPolicy --mirror-loss 1",
            ["MountainCarContinuous-v0", "nothing to turn"],
        ),
        (
            "train -params rollout_buffer_class:SymetricRolloutBuffer",
            ["'SymetricRolloutBuffer'", "'SymmetricRolloutBuffer'"],
        ),
        ("train -params rollout_buffer_class:HerReplayBuffer", ["'HerReplayBuffer'", "SymmetricRolloutBuffer"]),
        (
            "train -params rollout_buffer_class:SymmetricRolloutBuffer rollout_buffer_kwargs:{mode:all}",
            ["mode='all'", "SO2", "continuous"],
        ),
        (
            "train --algo sac --env eqrl/Reach-v0 -params replay_buffer_class:SymmetricReplayBuffer",
            ["SymmetricReplayBuffer", "SymmetricDictReplayBuffer"],
        ),
        ("train --policy-kwargs network_kwarg:1", ["'network_kwarg'", "'network_kwargs'"]),
        (
            "train --env MountainCarContinuous-v0",
            ["MountainCarContinuous-v0", "no symmetry", "docs/your_environment.md"],
        ),
        ("train --env CartPole-v1", ["CartPole-v1", "Discrete(2)", "--network MlpPolicy"]),
        ("train --env tests/Point-v0 --env-kwargs cube:true", ["tests/Point-v0", "the action space", "TypedBox"]),
        ("train --env tests/Point-v0", ["tests/Point-v0", "'scene_rotation'", "--rotations 0"]),
        ("train --device nonsense", ["'device'", "'nonsense'"]),
        ("train --gym-packages no_such_package", ["'no_such_package'"]),
        ("train --config nowhere.yaml", ["nowhere.yaml", "cannot be read"]),
        ("train --resume nowhere", ["nowhere", "not a run folder"]),
        ("evaluate .", ["not a run folder", "config.yaml"]),
        ("evaluate", ["RUN"]),
        ("evaluate nowhere --plot x.txt", ["x.txt", ".png"]),
    ],
)
def test_mistakes(argv, words, capsys, tmp_path):
    assert main(argv.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("eqrl: error: ")
    assert err.count("\n") == 1
    assert all(word in err for word in words), err
    assert not list(tmp_path.iterdir())


def test_box_that_is_not_a_ball(capsys, monkeypatch):
    import gymnasium

    from eqrl.symmetry import TypedBox

    class Square(typed_env.Point):
        def __init__(self):
            super().__init__()
            self.action_space = TypedBox(typed_env.POSITION, [-1.0, -2.0], [1.0, 2.0])

    monkeypatch.setitem(
        gymnasium.registry, "tests/Square-v0", gymnasium.envs.registration.EnvSpec("tests/Square-v0", Square)
    )
    assert main(["train", "--env", "tests/Square-v0"]) == 2
    err = capsys.readouterr().err
    assert "'position'" in err
    assert "not a ball" in err
    assert err.count("\n") == 1


def test_observations_normalised_outside_the_policy(capsys, monkeypatch):
    import gymnasium

    monkeypatch.setitem(
        gymnasium.registry,
        "tests/Normalised-v0",
        gymnasium.envs.registration.EnvSpec(
            "tests/Normalised-v0", lambda: gymnasium.wrappers.NormalizeObservation(typed_env.Point())
        ),
    )
    assert main(["train", "--env", "tests/Normalised-v0"]) == 2
    assert "NormalizeObservation" in capsys.readouterr().err


@pytest.mark.parametrize("nan_at", [99, 100])  # 100 is the end of an episode
def test_nan_stops_with_one_line_and_keeps_a_model(capsys, tmp_path, nan_at):
    argv = (
        f"train --env tests/Point-v0 --env-kwargs nan_at:{nan_at} -n 4000 --n-envs 2 --no-progress --rotations 0"
        " --eval-freq 0"
    )
    argv += " --save-freq 100 -params n_steps:32 batch_size:32"
    assert main(argv.split()) == 3
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert all(word in err for word in ("tests/Point-v0", "nan", "'position'", "last good model")), err
    assert list((tmp_path / "logs/ppo/tests-Point-v0_1/checkpoints").glob("step_*/manifest.json"))


@pytest.mark.parametrize("network", ["frame", "MlpPolicy"])
def test_divergence_stops_with_one_line_and_keeps_a_model(capsys, tmp_path, network):
    argv = (
        f"train --env tests/Point-v0 -n 4000 --n-envs 2 --no-progress --rotations 0 --eval-freq 0 --network {network}"
    )
    argv += " -params n_steps:32 batch_size:32 learning_rate:1e30"
    assert main(argv.split()) == 3
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "lower learning_rate" in err
    load_run(tmp_path / "logs/ppo/tests-Point-v0_1")


def test_help_and_version(capsys):
    for argv in ([], ["--help"], ["--version"]):
        assert main(argv) == 0
    assert "evaluate" in capsys.readouterr().out
    with pytest.raises(SystemExit) as end:
        main(["train", "--help"])
    assert end.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "--eval-freq" in text
    assert f"PPO with the {DEFAULT_JOB['network']} network" in text
    for example in ("target_sector:(-15,15)", "network_kwargs:{hidden:[64,64]}"):  # unquoted, bash takes them apart
        assert f"'{example}'" in text


@pytest.mark.parametrize("module", ["eqrl", "eqrl.train", "eqrl.evaluate"])
def test_modules_are_commands(module):
    argv = [
        sys.executable,
        "-W",
        "error::RuntimeWarning",
        "-m",
        module,
        *(["train"] if module == "eqrl" else []),
        "--nonsense",
    ]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "--nonsense" in done.stderr or "RUN" in done.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--env-kwargs render_mode:3", "option 'render_mode': 3 is not the name of a mode"),
        (
            "--policy-kwargs network_kwargs:{hidden:[64,2000000000]}",
            "'policy_kwargs.network_kwargs.hidden': 2,000,000,000 is too large",
        ),
    ],
)
def test_options_that_reach_deep_are_one_line(capsys, tmp_path, options, message):
    assert main(f"train --env tests/Point-v0 -n 100 {options}".split()) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert message in err
