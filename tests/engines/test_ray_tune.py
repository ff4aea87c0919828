"""``eqrl tune --engine ray``: the trials of one study side by side, and what becomes of those that are killed."""

import os
import signal
from pathlib import Path

import pytest
from ray_stand_in import WorkerCrashedError

from eqrl.commands import main
from eqrl.files.lock import is_taken
from eqrl.runs.config import Config, read_config_file
from eqrl.tuning import on_ray
from eqrl.tuning.session import End

optuna = pytest.importorskip("optuna")
SMALL = "--env eqrl/Reach-v0 -n 256 --n-envs 2 --eval-freq 128 --eval-episodes 2 --num-threads 1"
SMALL += " -params n_steps:32 batch_size:64"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("space.yaml").write_text("learning_rate: {log: [1e-4, 1e-2]}\nn_epochs: {choice: [1, 2]}\n")


def tune(study, *more):
    return main(["tune", *SMALL.split(), "--space", "space.yaml", "--study", study, *map(str, more)])


def trials(study):
    backend = optuna.storages.journal.JournalFileBackend(f"{study}/journal.log")
    return optuna.load_study(study_name="eqrl", storage=optuna.storages.JournalStorage(backend)).trials


@pytest.fixture
def stand_in(ray):
    if ray.__class__.__module__ != "ray_stand_in":
        pytest.skip("changes what a trial does, in this process")
    return ray


def test_its_trials_are_those_of_one_process(ray, capsys):
    assert tune("local", "--trials", 3) == 0
    assert tune("ray", "--trials", 3, "--engine", "ray") == 0
    here, there = trials("local"), trials("ray")
    assert [trial.state.name for trial in there] == ["COMPLETE"] * 3
    for trial, other in zip(here, there, strict=True):
        assert trial.params == other.params
        assert trial.intermediate_values == other.intermediate_values
        assert trial.value == other.value
    assert Config.from_dict(read_config_file("ray/best.yaml")) == Config.from_dict(read_config_file("local/best.yaml"))
    assert "eqrl train --config ray/best.yaml" in capsys.readouterr().out
    assert tune("local", "--trials", 3, "--engine", "ray") == 0  # the same study, which has enough
    assert len(trials("local")) == 3


def test_one_that_loses_its_process_is_tried_again(stand_in, monkeypatch, capsys):
    killed, end_of = [], on_ray.end_of

    def once(config, trial, column):
        if not killed:
            killed.append(trial.number)
            raise WorkerCrashedError
        return end_of(config, trial, column)

    monkeypatch.setattr(on_ray, "end_of", once)
    assert tune("study", "--trials", 2, "--engine", "ray") == 0
    states = [trial.state.name for trial in trials("study")]
    assert sorted(states) == ["COMPLETE", "COMPLETE", "FAIL"]
    out = capsys.readouterr().out
    assert "trial 0   lost its process, and is tried again" in out
    assert "trial 0   (attempt 2) return" in out


def test_a_signal_stops_all_and_the_same_command_goes_on(stand_in, monkeypatch):
    def stopped(config, trial, column):
        os.kill(os.getpid(), signal.SIGINT)
        return End("interrupted")

    with monkeypatch.context() as patch:
        patch.setattr(on_ray, "end_of", stopped)
        assert tune("study", "--trials", 2, "--engine", "ray") == 75
    assert tune("study", "--trials", 2, "--engine", "ray") == 0
    done = [trial for trial in trials("study") if trial.state.name == "COMPLETE"]
    assert len(done) == 2
    assert {trial.user_attrs.get("attempt", 1) for trial in done} == {1}


def test_the_first_that_cannot_be_run_ends_the_session(stand_in, monkeypatch, capsys):
    monkeypatch.setattr(on_ray, "end_of", lambda *args: End("failed", why="no room", short="failed (no room)"))
    assert tune("study", "--trials", 4, "--engine", "ray") == 2
    assert capsys.readouterr().err == "eqrl: error: no room\n"
    assert not any(is_taken(folder) for folder in Path("study/trials").iterdir())
