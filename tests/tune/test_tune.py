"""``eqrl tune`` from end to end: trials are training runs, killed ones go on, the best becomes a configuration."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import typed_env
import yaml

from eqrl.commands import main
from eqrl.errors import UsageError
from eqrl.runs.config import Config, read_config_file
from eqrl.runs.logs import read_rows
from eqrl.tuning.trials import value_of

typed_env.register()
SMALL = "--env tests/Point-v0 -n 1024 --n-envs 4 --eval-freq 256 --eval-episodes 2 --num-threads 1"
SMALL += " -params n_steps:32 batch_size:64"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "space.yaml").write_text("learning_rate: {log: [1e-4, 1e-2]}\nn_epochs: {choice: [1, 2]}\n")


def tune(*more):
    return main(["tune", *SMALL.split(), "--space", "space.yaml", *map(str, more)])


def trials(folder):
    optuna = pytest.importorskip("optuna")
    backend = optuna.storages.journal.JournalFileBackend(str(folder / "journal.log"))
    return optuna.load_study(study_name="eqrl", storage=optuna.storages.JournalStorage(backend)).trials


def test_it_searches_and_writes_a_configuration(tmp_path, capsys):
    pytest.importorskip("optuna")
    assert tune("--trials", 2) == 0
    folder = tmp_path / "logs/tune/ppo_tests-Point-v0"
    done = trials(folder)
    assert [trial.state.name for trial in done] == ["COMPLETE"] * 2
    rows = [read_rows(folder / f"trials/{n}/ppo/tests-Point-v0_1/evaluations.csv") for n in range(2)]
    assert [float(r[-1]["mean_reward"]) for r in rows] == pytest.approx([trial.value for trial in done])
    assert [list(trial.intermediate_values) for trial in done] == [[1, 2, 3, 4]] * 2

    best = max(done, key=lambda trial: trial.value)
    config = Config.from_dict(read_config_file(folder / "best.yaml"))
    assert config.hyperparams["learning_rate"] == pytest.approx(best.params["learning_rate"])
    assert config.hyperparams["n_epochs"] == best.params["n_epochs"]
    assert (config.rotations, config.tensorboard_log, config.log_folder) == (12, None, "logs")
    assert f"eqrl train --config {folder.relative_to(tmp_path)}/best.yaml" in capsys.readouterr().out

    (folder / "best.yaml").unlink()
    assert tune("--trials", 2) == 0  # there are enough
    assert len(trials(folder)) == 2
    argv = ["train", "--config", str(folder / "best.yaml"), "--rotations", "0", "-n", "128", "--no-progress"]
    assert main(argv) == 0


def test_one_that_falls_behind_is_stopped(tmp_path, monkeypatch, capsys):
    optuna = pytest.importorskip("optuna")
    behind = lambda self, study, trial: trial.number == 1 and len(trial.intermediate_values) == 2  # noqa: E731
    monkeypatch.setattr(optuna.pruners.MedianPruner, "prune", behind)
    assert tune("--trials", 3) == 0
    folder = tmp_path / "logs/tune/ppo_tests-Point-v0"
    assert [trial.state.name for trial in trials(folder)] == ["COMPLETE", "PRUNED", "COMPLETE"]
    assert list(trials(folder)[1].intermediate_values) == [1, 2]
    assert not (folder / "trials/1/ppo/tests-Point-v0_1/result.json").exists()
    assert "trial 1   pruned" in capsys.readouterr().out


def test_one_that_diverges_is_bad_and_the_next_goes_on(tmp_path):
    pytest.importorskip("optuna")
    Path("space.yaml").write_text("learning_rate: {choice: [1e+30, 1e-3]}\n")
    assert tune("--trials", 4, "--seed", 1) == 0
    done = trials(tmp_path / "logs/tune/ppo_tests-Point-v0")
    assert {trial.params["learning_rate"]: trial.state.name for trial in done} == {1e30: "PRUNED", 1e-3: "COMPLETE"}


def test_one_that_cannot_be_run_fails_and_two_in_a_row_stop_the_study(tmp_path, monkeypatch, capsys):
    pytest.importorskip("optuna")
    ends = iter([1.0, UsageError("too large"), 2.0, UsageError("no room"), UsageError("still no room")])

    def run_trial(config, trial, column):
        end = next(ends)
        if isinstance(end, UsageError):
            raise end
        return SimpleNamespace(interrupted=False, end=end)

    monkeypatch.setattr("eqrl.tuning.session.run_trial", run_trial)
    monkeypatch.setattr("eqrl.tuning.session.result_of", lambda run, column: run.end)
    assert tune("--trials", 9) == 2
    out, err = capsys.readouterr()
    assert "trial 1   failed (too large)" in out
    assert err == "eqrl: error: still no room\n"
    states = [trial.state.name for trial in trials(tmp_path / "logs/tune/ppo_tests-Point-v0")]
    assert states == ["COMPLETE", "FAIL", "COMPLETE", "FAIL", "FAIL"]


def test_a_number_that_the_environment_does_not_report():
    with pytest.raises(UsageError, match="reports no success_rate; give --objective return"):
        value_of({"success_rate": float("nan")}, "success_rate")


CHILD = """
import os, sys
import typed_env
from eqrl.commands import main
from eqrl.tuning import trials
typed_env.register()
report = trials.Judge.__call__
def killed(self, rows):
    report(self, rows)
    if len(rows) == 2:
        os.kill(os.getpid(), 9)
if sys.argv[1] == "killed":
    trials.Judge.__call__ = killed
sys.exit(main(sys.argv[2:]))
"""


def test_a_killed_study_goes_on_in_two_processes(tmp_path):
    pytest.importorskip("optuna")
    support = str(Path(typed_env.__file__).parent)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [support, os.environ.get("PYTHONPATH")]))}

    def child(how, study):
        argv = [
            "tune",
            *SMALL.split(),
            "--save-freq",
            "256",
            "--space",
            "space.yaml",
            "--trials",
            "3",
            "--study",
            study,
        ]
        return subprocess.Popen([sys.executable, "-c", CHILD, how, *argv], env=env)

    assert child("killed", "study").wait(timeout=600) == -9
    assert [trial.state.name for trial in trials(tmp_path / "study")] == ["RUNNING"]
    both = [child("whole", "study") for _ in range(2)]
    assert [process.wait(timeout=600) for process in both] == [0, 0]

    done = trials(tmp_path / "study")
    assert sorted(trial.state.name for trial in done) == ["COMPLETE"] * 3 + ["FAIL"]
    again = next(trial for trial in done if trial.user_attrs.get("of") == 0)
    assert again.params == done[0].params
    runs = sorted((tmp_path / "study/trials").glob("*/ppo/*/result.json"))
    assert len(runs) == 3
    # the training that was killed went on in its folder, and ended as if nothing had happened
    rows = read_rows(tmp_path / "study/trials/0/ppo/tests-Point-v0_1/evaluations.csv")
    assert [int(row["timesteps"]) for row in rows] == [256, 512, 768, 1024]
    assert list(again.intermediate_values) == [1, 2, 3, 4]
    assert tune("--trials", 1, "--study", "other", "--save-freq", 256) == 0
    assert trials(tmp_path / "other")[0].value == again.value


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ("--trials -3", ["'trials'", "-3", "at least 1"]),
        ("--startup-trials 0", ["'startup_trials'", "at least 1"]),
        ("--trails 3", ["'--trails'", "'--trials'"]),
        ("--seed -1", ["'seed'", "-1"]),
        ("--eval-freq 0", ["'eval_freq'", "0"]),
        ("--eval-freq 5000", ["'eval_freq'", "5000", "1024"]),
        ("--space bad.yaml", ["'learnin_rate'", "'learning_rate'"]),
        ("--space deep.yaml", ["'log_std'", "'log_std_init'"]),
        ("--space nowhere.yaml", ["nowhere.yaml", "cannot be read"]),
        ("--space space.txt", ["space.txt", ".yaml"]),
        ("--objective sucess", ["'objective'", "success"]),
        ("--env tests/Pont-v0", ["'tests/Pont-v0'"]),
    ],
)
def test_mistakes(argv, words, capsys, tmp_path):
    pytest.importorskip("optuna")
    (tmp_path / "bad.yaml").write_text("learnin_rate: {log: [1e-4, 1e-2]}\n")
    (tmp_path / "deep.yaml").write_text("policy_kwargs.log_std: {range: [-1, 0]}\n")
    assert tune(*argv.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("eqrl: error: ")
    assert err.count("\n") == 1
    assert all(word in err for word in words), err
    assert not (tmp_path / "logs").exists()


def test_a_study_of_another_environment_is_one_line(tmp_path, capsys):
    pytest.importorskip("optuna")
    (tmp_path / "study").mkdir()
    there = {"objective": "return", "options": {"env": "eqrl/Reach-v0"}}
    (tmp_path / "study/study.yaml").write_text(yaml.safe_dump(there))
    assert tune("--study", "study") == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "env is 'eqrl/Reach-v0' there and 'tests/Point-v0' here" in err


def test_the_missing_extra_is_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert tune() == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "pip install 'eqrl[tune]'" in err
