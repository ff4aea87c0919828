"""The same command resumes, another configuration does not; a folder has one training; damage is passed over."""

import csv
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import typed_env
from stable_baselines3.common.vec_env import VecEnv

from eqrl.checkpoint import CheckpointWarning
from eqrl.commands import main
from eqrl.errors import UsageError
from eqrl.files.lock import RunIsTakenError, is_taken, locked
from eqrl.runs.config import Config
from eqrl.runs.folder import RunFolder, unfinished
from eqrl.runs.interrupt import StopOnSignal
from eqrl.runs.logs import Table, read_rows
from eqrl.runs.session import Session
from eqrl.runs.stored_models import load_run
from eqrl.train import resume, train

typed_env.register()
COMMAND = (
    "train --env tests/Point-v0 --n-envs 4 --rotations 0 --eval-freq 200 --eval-episodes 2 --num-threads 1"
    " --no-progress"
)
COMMAND += " -params n_steps:16 batch_size:64 --save-freq 100 -n 2000"


def config(folder, **options):
    values = {
        "env": "tests/Point-v0",
        "num_threads": 1,
        "log_folder": str(folder),
        "n_timesteps": 1024,
        "n_envs": 4,
        "rotations": 0,
    }
    values |= {"eval_freq": 256, "eval_episodes": 2, "save_freq": 256, "keep_checkpoints": 0}
    return Config(**{**values, "hyperparams": {"n_steps": 32, "batch_size": 64}, **options})


def interrupted(folder, to, config):
    """A run as a kill leaves it: whole up to a checkpoint, with leftovers after it."""
    run = train(config).path
    run = shutil.copytree(run, folder / to)
    checkpoints = RunFolder(run).checkpoints
    for step in [s for s in checkpoints.steps() if s > 512]:
        shutil.rmtree(checkpoints.at(step))
    (run / "result.json").unlink()
    (checkpoints.folder / ".step_000000000768.1.ab.tmp").mkdir()
    return run


ADAPTIVE = {"learning_rate": "adaptive_5e-4", "desired_kl": 1e-3, "std_schedule": "lin_0.6_0.3"}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"policy_kwargs": {"share_network": True}},
        {"hyperparams": {"n_steps": 32, "batch_size": 64, **ADAPTIVE}},
    ],
    ids=["plain", "shared network", "schedules"],
)
def test_a_resumed_run_is_the_same_to_the_bit(tmp_path, options):
    whole = train(config(tmp_path, **options))
    run = interrupted(tmp_path, "again", config(tmp_path, **options))
    (run / "progress.csv").write_text((run / "progress.csv").read_text()[:-20])  # cut off in the middle of a row
    again = resume(run)
    for (name, a), b in zip(
        whole.model.policy.state_dict().items(), again.model.policy.state_dict().values(), strict=True
    ):
        assert torch.equal(a, b), name
    tables = []
    for path in (whole.path, run):
        with (path / "evaluations.csv").open() as file:
            evaluations = [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]
        curves = [
            {k: v for k, v in row.items() if not k.startswith("time/")} for row in read_rows(path / "progress.csv")
        ]
        tables.append((evaluations, curves))
    assert tables[0] == tables[1]
    assert len(tables[0][0]) == 4
    assert not list((run / "checkpoints").glob(".*"))


def test_the_same_command_goes_on_and_afterwards_begins_another_run(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    step, calls = VecEnv.step, []

    def stopping(self, actions):
        calls.append(1)
        if len(calls) == 130:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self, actions)

    monkeypatch.setattr(VecEnv, "step", stopping)
    assert main(COMMAND.split()) == 75
    first = RunFolder(tmp_path / "logs/ppo/tests-Point-v0_1")
    assert 0 < first.checkpoints.steps()[0] < 2000
    assert not first.result_file.exists()
    capsys.readouterr()
    assert main(COMMAND.replace("-n 2000", "-n 3000").split()) == 0  # another configuration is another run
    assert "tests-Point-v0_2" in capsys.readouterr().out
    with locked(first.path):
        assert unfinished(first.config()) == []  # another process is training it
    assert main(COMMAND.split()) == 0
    out = capsys.readouterr().out
    assert "go on    logs/ppo/tests-Point-v0_1" in out
    assert "goes on after" in out
    assert first.result_file.exists()
    assert main(COMMAND.split()) == 0
    assert "tests-Point-v0_3" in capsys.readouterr().out
    assert main(["train", "--resume", str(first.path)]) == 0
    assert "is finished (2,048 steps)" in capsys.readouterr().out.replace("\n", " ")


def test_new_begins_another_run(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    interrupted(tmp_path / "logs/ppo", "tests-Point-v0_7", config("logs", n_timesteps=2000))
    assert main([*COMMAND.split(), "--new"]) == 0
    assert "tests-Point-v0_8" in capsys.readouterr().out


def test_another_configuration_is_refused_with_the_difference(tmp_path, capsys):
    run = train(config(tmp_path, n_timesteps=128)).path
    command = ["train", "--resume", str(run)]
    assert main([*command, "--seed", "3", "-params", "gamma:0.5"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "hyperparams.gamma is 0.98 there and 0.5 here; seed is 0 there and 3 here" in err
    assert main([*command, "--seed", "0", "--env", "tests/Point-v0", "-n", "256"]) == 0
    assert load_run(run)[0].num_timesteps == 256
    assert RunFolder(run).config().n_timesteps == 256
    assert main([*command, "--new"]) == 2
    assert "exclude each other" in capsys.readouterr().err


def test_a_second_training_in_the_folder_is_refused(tmp_path, capsys):
    run = train(config(tmp_path, n_timesteps=128)).path
    assert not is_taken(run)
    with locked(run):
        assert is_taken(run)
        with pytest.raises(RunIsTakenError, match=f"is being trained by process {os.getpid()} on .* since 20"):
            resume(run)
        assert main(["train", "--resume", str(run)]) == 2
        assert capsys.readouterr().err.count("\n") == 1
        load_run(run)  # reading is allowed
    resume(run)


def test_damaged_checkpoints_are_passed_over_with_a_warning(tmp_path):
    whole = train(config(tmp_path))
    run = RunFolder(interrupted(tmp_path, "again", config(tmp_path)))
    steps = run.checkpoints.steps()
    newest = run.checkpoints.at(steps[0])
    content = bytearray((newest / "state.npz").read_bytes())
    content[len(content) // 2] ^= 1
    (newest / "state.npz").write_bytes(content)
    with pytest.warns(CheckpointWarning, match=r"state\.npz is not what was written"):
        again = resume(run.path)
    for a, b in zip(whole.model.policy.parameters(), again.model.policy.parameters(), strict=True):
        assert torch.equal(a, b)


def test_without_a_checkpoint_that_verifies_it_says_why(tmp_path):
    run = RunFolder(train(config(tmp_path, n_timesteps=128)).path)
    for step in run.checkpoints.steps():
        (run.checkpoints.at(step) / "policy.safetensors").unlink()
    with (
        pytest.warns(CheckpointWarning),
        pytest.raises(UsageError, match=r"no usable checkpoint: .*policy.safetensors is missing"),
    ):
        load_run(run.path)
    with pytest.raises(UsageError, match=r"best.*never evaluated"):
        load_run(run.path, "best")


def test_the_evaluation_at_the_end_is_made_up_for(tmp_path):
    options = {"env": "eqrl/Reach-v0", "rotations": 2, "eval_freq": 0}
    run = train(config(tmp_path, **options))
    (run.path / "result.json").unlink()
    (run.path / "zero_shot.json").unlink()
    rows = read_rows(run.path / "progress.csv")
    again = resume(run.path)
    assert (run.path / "zero_shot.json").exists()
    timeless = [
        [{k: v for k, v in row.items() if not k.startswith("time/")} for row in r]
        for r in (rows, read_rows(run.path / "progress.csv"))
    ]
    assert timeless[0][-1] == timeless[1][-1]
    assert timeless[1][-1]["train/loss"]
    assert again.metrics["return"] == run.metrics["return"]
    (run.path / "result.json").write_text("[]")
    with pytest.raises(UsageError, match="delete it, and the run is evaluated again"):
        resume(run.path)


def test_a_run_that_was_killed_before_its_first_checkpoint_begins_again(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(COMMAND.split()) == 0
    folder = RunFolder(tmp_path / "logs/ppo/tests-Point-v0_1")
    expected, rows = load_run(folder.path)[0].policy.state_dict(), len(read_rows(folder.path / "progress.csv"))
    for name in ("checkpoints", "tensorboard"):
        shutil.rmtree(folder.path / name)
    folder.result_file.unlink()
    with pytest.raises(UsageError, match="has been trained, but its checkpoints are gone"):
        resume(folder.path)
    (folder.path / "progress.csv").unlink()
    assert main(COMMAND.split()) == 0
    assert "go on    logs/ppo/tests-Point-v0_1" in capsys.readouterr().out
    parameters = load_run(folder.path)[0].policy.state_dict()
    assert all(torch.equal(value, parameters[name]) for name, value in expected.items())
    assert len(read_rows(folder.path / "progress.csv")) == rows
    shutil.rmtree(folder.path / "checkpoints")
    (folder.path / "progress.csv").unlink()
    with pytest.raises(UsageError, match="seed is 0 there and 1 here"):
        resume(folder.path, seed=1)


def test_signals_that_are_ignored_stay_ignored(tmp_path):
    before = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    try:
        with StopOnSignal() as stop:
            os.kill(os.getpid(), signal.SIGUSR1)
            time.sleep(0.01)
            assert not stop.stopped
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.01)
            assert stop.stopped
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_packages_are_imported_only_if_the_user_names_them(tmp_path, capsys, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    canary = tmp_path / "canary"
    (tmp_path / "eqrl_test_payload.py").write_text(f"open({str(canary)!r}, 'w')")
    file = tmp_path / "a.yaml"
    file.write_text("env: tests/Point-v0\ngym_packages: [eqrl_test_payload]\n")
    assert main(["train", "--config", str(file), "-n", "100"]) == 2
    assert "give --gym-packages eqrl_test_payload" in capsys.readouterr().err
    run = train(config(tmp_path, n_timesteps=128)).path
    checkpoint, manifest = RunFolder(run).checkpoint("last")
    import dataclasses

    made_up = dataclasses.replace(manifest, config={**manifest.config, "gym_packages": ["eqrl_test_payload"]})
    (checkpoint / "manifest.json").write_text(made_up.text())
    with pytest.raises(UsageError, match="give --gym-packages eqrl_test_payload"):
        resume(run)
    load_run(run)
    assert not canary.exists()


def test_a_folder_without_checkpoints_imports_nothing_either(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    canary = tmp_path / "canary"
    (tmp_path / "eqrl_test_payload_2.py").write_text(f"open({str(canary)!r}, 'w')")
    (tmp_path / "run").mkdir()
    (tmp_path / "run/config.yaml").write_text("env: tests/Point-v0\ngym_packages: [eqrl_test_payload_2]\n")
    with pytest.raises(UsageError, match="give --gym-packages eqrl_test_payload_2"):
        resume(tmp_path / "run")
    assert not canary.exists()


def test_more_steps_are_not_forgotten_by_a_kill_before_the_next_checkpoint(tmp_path, monkeypatch):
    run = train(config(tmp_path, n_timesteps=128)).path

    class Killed(BaseException):
        pass

    def killed(*args, **kwargs):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("stable_baselines3.PPO.learn", killed)
        with pytest.raises(Killed):
            resume(run, n_timesteps=256)
    assert not (run / "result.json").exists()
    assert resume(run).model.num_timesteps == 256


def test_other_versions_are_told(tmp_path):
    import dataclasses

    run = train(config(tmp_path, n_timesteps=128)).path
    checkpoint, manifest = RunFolder(run).checkpoint("last")
    older = dataclasses.replace(manifest, versions={**manifest.versions, "torch": "1.0"})
    (checkpoint / "manifest.json").write_text(older.text())
    (run / "result.json").unlink()
    with pytest.warns(UserWarning, match=r"was interrupted with torch 1\.0 then and .*; --resume .* goes on with it"):
        assert unfinished(RunFolder(run).config()) == []
    with pytest.warns(UserWarning, match=r"other versions.*torch 1\.0 then and"):
        resume(run, n_timesteps=256)


def test_a_damaged_configuration_file_changes_nothing(tmp_path):
    run = RunFolder(train(config(tmp_path, n_timesteps=128)).path)
    whole = run.config_file.read_text()
    assert "n_timesteps: 128" in whole
    run.config_file.write_text(whole.replace("n_timesteps: 128", "n_timesteps: 928"))
    with pytest.warns(CheckpointWarning, match="was changed after it was written"):
        assert load_run(run.path)[1].n_timesteps == 128
    with pytest.warns(CheckpointWarning, match="give changes as options"):
        assert resume(run.path).model.num_timesteps == 128
    run.config_file.write_text(whole)
    assert load_run(run.path)[1].n_timesteps == 128
    run.write_config(run.config().replace(n_timesteps=256))  # as resume does before it goes on
    assert load_run(run.path)[1].n_timesteps == 256


def test_a_moved_log_folder_is_found(tmp_path):
    run = interrupted(tmp_path, "unused", config(tmp_path))
    moved = tmp_path / "moved/ppo/tests-Point-v0_4"
    moved.parent.mkdir(parents=True)
    run.rename(moved)
    there = RunFolder(moved).config()
    assert unfinished(there.replace(log_folder=str(tmp_path / "moved"))) == [moved]
    assert unfinished(there.replace(log_folder=str(tmp_path / "moved"), seed=5)) == []


@pytest.mark.parametrize("moment", ["in the last checkpoint", "in the evaluation at the end"])
def test_a_signal_at_the_end_loses_nothing(tmp_path, capsys, monkeypatch, moment):
    monkeypatch.chdir(tmp_path)
    name = "_save" if moment == "in the last checkpoint" else "_zero_shot"
    original = getattr(Session, name)

    def signalled(self, *args):
        if name == "_zero_shot" or self.model.num_timesteps >= 2000:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self, *args)

    monkeypatch.setattr(Session, name, signalled)
    before = signal.getsignal(signal.SIGTERM)
    assert main(COMMAND.split()) == 75
    assert signal.getsignal(signal.SIGTERM) is before
    monkeypatch.setattr(Session, name, original)
    run = RunFolder(tmp_path / "logs/ppo/tests-Point-v0_1")
    assert run.checkpoints.steps()[0] >= 2000
    assert "has not ended" in run.readme.read_text()
    assert main(COMMAND.split()) == 0
    assert run.result_file.exists()


def test_a_checkpoint_that_the_training_deletes_meanwhile_is_no_error(tmp_path, monkeypatch, recwarn):
    from eqrl.runs import stored_models

    run = train(config(tmp_path)).path
    original, calls = stored_models.load_checkpoint, []

    def late(model, checkpoint, manifest):
        calls.append(checkpoint)
        if len(calls) == 1:
            shutil.rmtree(checkpoint)
        original(model, checkpoint, manifest)

    monkeypatch.setattr(stored_models, "load_checkpoint", late)
    assert load_run(run)[0].num_timesteps == 768
    assert not [w for w in recwarn if issubclass(w.category, CheckpointWarning)]


def test_updates_have_all_threads(tmp_path, monkeypatch):
    from stable_baselines3 import PPO

    counts, update = [], PPO.train

    def watched(self):
        counts.append(torch.get_num_threads())
        update(self)

    monkeypatch.setattr(PPO, "train", watched)
    threads = torch.get_num_threads()
    try:
        train(config(tmp_path, n_timesteps=128, num_threads=2))
    finally:
        torch.set_num_threads(threads)
    assert counts == [2]


@pytest.mark.parametrize("where", ["closed pipe", "full disk", "nothing"])
def test_messages_that_cannot_be_written_end_no_training(tmp_path, where):
    command = [
        sys.executable,
        "-c",
        "import sys, typed_env; typed_env.register(); from eqrl.commands import main; sys.exit(main())",
    ]
    options = COMMAND.replace("-n 2000", "-n 500").replace(" --no-progress", "").split()
    output = {"closed pipe": "| head -n 1", "full disk": "> /dev/full 2>&1", "nothing": ">&- 2>&-"}[where]
    script = f"set -o pipefail; {shlex.join([*command, *options, '-f', str(tmp_path / 'a [b]')])} {output}"
    environment = {**os.environ, "PYTHONPATH": str(Path(typed_env.__file__).parent)}
    done = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert RunFolder(tmp_path / "a [b]/ppo/tests-Point-v0_1").result_file.exists()


def test_runs_that_share_a_tensorboard_folder_hide_nothing_of_each_other(tmp_path):
    options = {"tensorboard_log": str(tmp_path / "board"), "n_timesteps": 256}
    first, second = (train(config(tmp_path / name, **options)).path for name in "ab")
    resume(second, n_timesteps=512)
    boards = sorted(path.name for path in (tmp_path / "board").iterdir())
    assert boards == ["ppo_tests-Point-v0_1", "ppo_tests-Point-v0_1-2"]
    assert len(list((tmp_path / "board" / boards[0]).iterdir())) == 1
    assert len(list((tmp_path / "board" / boards[1]).iterdir())) == 2
    assert (first / "tensorboard.txt").read_text() != (second / "tensorboard.txt").read_text()


def test_learning_goes_on_while_the_disk_is_full(tmp_path, capsys, monkeypatch):
    import eqrl.runs.callbacks
    from eqrl.checkpoint import store

    monkeypatch.setattr(eqrl.runs.callbacks, "RETRY_SECONDS", 0.0)
    monkeypatch.setattr("eqrl.runs.session._PATIENCE", 0.01)
    write, calls = store.write_arrays, []

    def full(path, arrays):
        calls.append(1)
        if 2 <= len(calls) <= 8:
            raise OSError(28, "No space left on device")
        write(path, arrays)

    monkeypatch.setattr(store, "write_arrays", full)
    from rich.console import Console

    run = train(config(tmp_path), Console(width=200))
    out = capsys.readouterr().out
    assert "no checkpoint at 256 steps: No space left on device; older ones are intact" in out
    assert "the last checkpoint cannot be written (No space left on device)" in out
    assert RunFolder(run.path).checkpoints.steps() == [1024, 0]
    monkeypatch.setattr(store, "write_arrays", write)
    plain = train(config(tmp_path))
    for a, b in zip(plain.model.policy.parameters(), run.model.policy.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_second_signal_ends_at_once(tmp_path):
    before = signal.getsignal(signal.SIGINT)

    def press():
        time.sleep(1.5)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press, daemon=True).start()
    options = {
        "n_timesteps": 10_000_000,
        "hyperparams": {"n_steps": 100_000, "batch_size": 64},
    }  # a rollout that never ends
    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        train(config(tmp_path, **options, eval_freq=0))
    assert time.monotonic() - begin < 10
    assert signal.getsignal(signal.SIGINT) is before
    (run,) = (tmp_path / "ppo").iterdir()
    assert RunFolder(run).checkpoints.newest(complete=True)[1].step == 0
    assert not is_taken(run)


def test_the_table_of_progress(tmp_path):
    path = tmp_path / "progress.csv"
    table = Table(path)
    for step in (1, 2, 3):
        table.write({"time/total_timesteps": step, "a": step * 0.1}, {"time/total_timesteps": (), "a": ()})
    table.write({"time/total_timesteps": 4, "b": np.float32(7)}, {"time/total_timesteps": (), "b": ()})
    table.write({"time/total_timesteps": 5, "hidden": 1}, {"time/total_timesteps": (), "hidden": ("csv",)})
    table.close()
    rows = read_rows(path)
    assert [row["time/total_timesteps"] for row in rows] == ["1", "2", "3", "4", "5"]
    assert rows[3] == {"a": "", "b": "7.0", "time/total_timesteps": "4"}
    assert "hidden" not in rows[4]
    with path.open("a") as file:
        file.write("6,0.")
    Table(path, since=3).write({"time/total_timesteps": 9, "a": 1.0}, {"time/total_timesteps": (), "a": ()})
    assert [row["time/total_timesteps"] for row in read_rows(path)] == ["1", "2", "3", "9"]
    Table(path)
    assert read_rows(path) == []
