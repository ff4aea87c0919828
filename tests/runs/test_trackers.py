"""Trackers get the numbers of a run, go on with it, and never stop it."""

import importlib
import json
import sys
import types

import pytest
import torch
import typed_env

from eqrl.commands import main
from eqrl.errors import UsageError
from eqrl.runs.config import Config
from eqrl.tracking import Tracker, check_tracker, writer
from eqrl.train import resume, train

typed_env.register()


def point(folder, **options):
    values = {
        "n_timesteps": 512,
        "n_envs": 4,
        "rotations": 0,
        "eval_freq": 256,
        "eval_episodes": 2,
        "hyperparams": {"n_steps": 32, "batch_size": 64},
        "tensorboard_log": "off",
    }
    return Config(**{"env": "tests/Point-v0", "num_threads": 1, "log_folder": str(folder), **values, **options})


class Book:
    """A tracker of our own, in place of those that may not be installed."""

    def __init__(self):
        self.opened, self.rows, self.closed = [], [], 0
        self.refuses_to_open = self.refuses_to_write = False

    def begin(self, description):
        self.opened.append(description)
        torch.rand(1)  # trackers draw names, and the training must not notice
        print("chatter")
        if self.refuses_to_open:
            raise RuntimeError("no service\nand a long explanation")
        return self

    identity = "book-1"

    def log(self, values, step):
        if self.refuses_to_write:
            raise ConnectionError("away")
        self.rows.append((step, dict(values)))

    def close(self):
        self.closed += 1


@pytest.fixture
def book(monkeypatch):
    """Stands in for the module of a tracker of eqrl, and for the package."""
    book = Book()
    module = types.ModuleType("eqrl.tracking.trackio")
    module.begin = book.begin
    monkeypatch.setitem(sys.modules, "eqrl.tracking.trackio", module)
    monkeypatch.setitem(sys.modules, "trackio", types.ModuleType("trackio"))
    return book


def test_it_gets_what_the_table_gets_and_changes_nothing(tmp_path, book, capsys):
    tracked, plain = train(point(tmp_path / "a", track="trackio")), train(point(tmp_path / "b"))
    assert {step for step, _ in book.rows} >= {256, 512}
    names = {name for _, values in book.rows for name in values}
    header = (tracked.path / "progress.csv").read_text().splitlines()[0].split(",")
    assert names == set(header)
    assert book.closed == 1
    assert book.opened[0].config["env"] == "tests/Point-v0"
    assert json.loads((tracked.path / "track.json").read_text()) == {"trackio": "book-1"}
    for a, b in zip(tracked.model.policy.parameters(), plain.model.policy.parameters(), strict=True):
        assert torch.equal(a, b)
    assert "chatter" not in capsys.readouterr().out


def test_a_resumed_run_goes_on_with_the_same_one(tmp_path, book):
    run = train(point(tmp_path, track="trackio"))
    resume(run.path, n_timesteps=1024)
    assert [description.identity for description in book.opened] == [None, "book-1"]
    assert max(step for step, _ in book.rows) == 1024


def test_a_run_may_get_a_tracker_later(tmp_path, book):
    run = train(point(tmp_path))
    resume(run.path, n_timesteps=1024, track="trackio")
    assert min(step for step, _ in book.rows) > 512


@pytest.mark.parametrize("fault", ["refuses_to_open", "refuses_to_write"])
def test_one_that_fails_is_told_once_and_the_run_goes_on(tmp_path, book, fault):
    setattr(book, fault, True)
    with pytest.warns(
        UserWarning, match=r"^tracker trackio fails \((no service|away)\); the training goes on$"
    ) as told:
        run = train(point(tmp_path, track="trackio"))
    assert len(told) == 1
    assert run.metrics["timesteps"] == 512
    assert len(book.opened) == 1


def test_a_damaged_note_begins_another_run(tmp_path, book):
    (tmp_path / "track.json").write_text('{"trackio": 3}')
    tracker = Tracker("trackio", tmp_path, "name", {})
    tracker.write({"a": 1.0, "text": "b", "flag": True}, {"a": (), "text": (), "flag": ()}, 8)
    assert book.opened[0].identity is None
    assert book.rows == [(8, {"a": 1.0})]


@pytest.mark.parametrize("name", writer.TRACKERS)
def test_a_missing_extra_is_one_line(monkeypatch, tmp_path, capsys, name):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UsageError, match=rf"^--track {name} needs {name} .* pip install 'eqrl\[{name}\]'"):
        check_tracker(name)
    assert main(["train", "--env", "tests/Point-v0", "--track", name, "-f", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_an_unknown_tracker_is_one_line(capsys):
    assert main(["train", "--track", "wanbd"]) == 2
    err = capsys.readouterr().err
    assert "option 'track'" in err
    assert "wandb" in err
    assert err.count("\n") == 1


# ------------------------------------------------------- the packages themselves, where they are installed
def of_wandb(run):
    folders = sorted((run.path / "wandb").glob("offline-run-*"))
    assert all(list(folder.glob("*.wandb")) for folder in folders)
    assert len({folder.name.rsplit("-", 1)[1] for folder in folders}) == 1  # both sessions belong to one run
    return len(folders)


def of_mlflow(run):
    client = importlib.import_module("mlflow").MlflowClient((run.path / "mlflow").as_uri())
    (experiment,) = client.search_experiments(filter_string="name = 'eqrl'")
    (stored,) = client.search_runs([experiment.experiment_id])
    assert stored.info.status == "FINISHED"
    assert stored.data.params["env"] == "tests/Point-v0"
    return [metric.step for metric in client.get_metric_history(stored.info.run_id, "eval/mean_reward")]


def of_trackio(run):
    storage = importlib.import_module("trackio.sqlite_storage").SQLiteStorage
    (name,) = storage.get_runs("eqrl")
    return sorted(row["step"] for row in storage.get_logs("eqrl", name) if "eval/mean_reward" in row)


@pytest.mark.parametrize(
    ("name", "read", "expected"),
    [
        ("wandb", of_wandb, 2),
        ("mlflow", of_mlflow, [256, 512, 768, 1024]),
        ("trackio", of_trackio, [256, 512, 768, 1024]),
    ],
)
def test_the_packages_themselves(name, read, expected, tmp_path, monkeypatch, recwarn):
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    with writer._apart():
        pytest.importorskip(name)
    run = train(point(tmp_path, track=name))
    resume(run.path, n_timesteps=1024)
    assert not [warning for warning in recwarn if "tracker" in str(warning.message)]
    with writer._apart():
        assert read(run) == expected
