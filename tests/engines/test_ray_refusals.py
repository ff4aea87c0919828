"""What does not fit, or is not installed, is one line before anything starts."""

import sys

import pytest

from eqrl.commands import main
from eqrl.engines.ray import RayVecEnv
from eqrl.errors import UsageError
from eqrl.runs.config import Config

SMALL = "-n 64 --n-envs 2 --rotations 0 --eval-freq 32 --num-threads 1 -params n_steps:32 batch_size:64"


def test_without_the_extra(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(["train", "--env", "eqrl/Reach-v0", "--vec-env", "ray", *SMALL.split()]) == 2
    error = capsys.readouterr().err
    assert error.startswith("eqrl: error: a vector environment on Ray needs ray (")
    assert error.endswith("pip install 'eqrl[ray]'\n")
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_tuning_without_the_extra(monkeypatch, capsys, tmp_path):
    pytest.importorskip("optuna")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "ray", None)
    (tmp_path / "space.yaml").write_text("n_epochs: {choice: [1, 2]}\n")
    argv = ["tune", "--env", "eqrl/Reach-v0", "--engine", "ray", "--space", "space.yaml", *SMALL.split()]
    assert main(argv) == 2
    assert "eqrl tune --engine ray needs ray (" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["space.yaml"]


@pytest.mark.parametrize(
    ("env_id", "n", "options", "message"),
    [
        ("eqrl/Nothing-v0", 2, {}, "'eqrl/Nothing-v0' is not one of eqrl's"),
        ("eqrl/Push-v0", 4, {"members": {"T": {"shape": "T"}, "bar": {"shape": "bar"}}}, "is a fleet"),
        ("eqrl/Reach-v0", 2, {"shards": 3}, "2 environments cannot be shared out to 3 shards; .* from 1 to 2"),
        ("eqrl/Reach-v0", 2, {"shards": 0}, "0 shards"),
    ],
)
def test_arguments_that_do_not_fit(env_id, n, options, message):
    with pytest.raises(ValueError, match=message):
        RayVecEnv(env_id, n, **options)


def test_options_of_a_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="option 'shards': 2 is for vec_env ray"):
        Config(shards=2)
    with pytest.raises(UsageError, match="option 'shards': 0 is too small"):
        Config(vec_env="ray", shards=0)
    assert main(["train", "--env", "CartPole-v1", "--network", "MlpPolicy", "--vec-env", "ray", *SMALL.split()]) == 2
    assert "ray shares out eqrl's own environments, and this one is another's" in capsys.readouterr().err
