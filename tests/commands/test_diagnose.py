"""eqrl diagnose: what it prints, writes and refuses."""

import json

import pytest

from eqrl.commands import main
from eqrl.diagnose import diagnose
from eqrl.runs.config import Config
from eqrl.train import train


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Untrained agents, which is what exactness is about."""
    folder = tmp_path_factory.mktemp("runs")
    shared = {
        "env": "eqrl/Reach-v0", "env_kwargs": {"reward_type": "dense"}, "rotations": 0, "eval_freq": 0,
        "num_threads": 1, "n_timesteps": 2048, "log_folder": str(folder),
    }  # fmt: skip
    return {name: train(Config(network=name, **shared)).path for name in ("frame", "MlpPolicy")}


def test_files(runs, tmp_path, capsys):
    json_file, picture = tmp_path / "out.json", tmp_path / "out.png"
    argv = ["diagnose", str(runs["frame"]), "--samples", "32", "--json", str(json_file), "--plot", str(picture)]
    assert main(argv) == 0
    numbers = json.loads(json_file.read_text())
    first = numbers["candidates"][0]
    assert first["name"] == "rotation about gravity"
    assert first["actor"]["verdict"] == first["value"]["verdict"] == "exact"
    assert first["world"]["holds"] is True
    assert first["world"]["residual"] < 1e-6  # rewards are in single precision
    assert numbers["samples"] == 32
    assert numbers["noether"] is None  # nothing floats
    assert picture.read_bytes().startswith(b"\x89PNG")
    shown = capsys.readouterr().out
    assert "exact" in shown
    assert "units" in shown


def test_a_stock_policy_is_free(runs):
    first = diagnose(runs["MlpPolicy"], samples=32).candidates[0]
    assert first.verdict("actor") == "free"
    assert first.coherence["actor"].orbit < 0.9
    assert first.world_holds is True


def test_bad_input_is_one_line(runs, tmp_path, capsys):
    for argv, words in {
        ("nowhere",): "nowhere",
        (str(runs["frame"]), "--samples", "2"): "too small",
        (str(runs["frame"]), "--plot", "a.txt"): "unknown kind",
        (str(runs["frame"]), "--sample", "9"): "did you mean '--samples'",
    }.items():
        assert main(["diagnose", *argv]) == 2, argv
        error = capsys.readouterr().err
        assert words in error
        assert error.count("\n") == 1
