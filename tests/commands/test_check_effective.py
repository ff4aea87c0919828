"""eqrl check --accept and --from-data: the effective group on the screen and in a file."""

import json

import numpy as np
import pytest

from eqrl.check import check, effective_group
from eqrl.commands import main
from eqrl.discovery import record
from eqrl.errors import UsageError

import gymnasium  # isort: skip

PENDULUM = """
<mujoco>
  <option cone="elliptic"/>
  <worldbody>
    <body name="cart"><joint name="slide" type="slide" axis="1 0 0" {spring}/><geom size="0.1" mass="1"/>
      <body name="pole"><joint name="hinge" axis="0 1 0" damping="0.1"/>
        <geom size="0.05" pos="0 0 0.5" mass="0.2"/></body>
    </body>
  </worldbody>
  <actuator><motor name="push" joint="slide" ctrlrange="-1 1"/></actuator>
</mujoco>
"""


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_of_a_model(tmp_path, capsys):
    (tmp_path / "cart.xml").write_text(PENDULUM.format(spring=""))
    assert main(["check", "cart.xml", "--accept", "0.05", "--states", "8", "--json", "out.json"]) == 0
    numbers = json.loads((tmp_path / "out.json").read_text())
    assert list(numbers) == [
        "target", "group", "order", "accept", "generators", "candidates", "products", "notes",
    ]  # fmt: skip
    assert (numbers["group"], numbers["order"]) == ("C2", 2)
    kinds = {c["name"]: (c["kind"], c["holds"]) for c in numbers["candidates"]}
    assert kinds["frontal mirror"] == ("morphology", True)
    assert kinds["frontal mirror, slide reversed"] == ("decoy", False)
    shown = capsys.readouterr().out
    assert "effective group C2" in shown
    assert "yes" in shown


def test_from_data(tmp_path, capsys):
    env = gymnasium.make("eqrl/Reach-v0", reward_type="dense")
    record(env, steps=900, path=tmp_path / "log.npz")
    code = main(["check", "--from-data", "log.npz", "--json", "out.json"])
    numbers = json.loads((tmp_path / "out.json").read_text())
    claimed = [c for c in numbers["candidates"] if c["claimed"]]
    assert code == (0 if all(c["holds"] for c in claimed) else 1)
    assert {c["kind"] for c in numbers["candidates"]} == {"map", "decoy"}
    assert all(c["holds"] is False for c in numbers["candidates"] if c["kind"] == "decoy")
    assert "log.npz" in capsys.readouterr().out
    typed = effective_group(from_data="log.npz", env="eqrl/Reach-v0")
    assert {t.name for t in typed.found.tried} > {"rotation about gravity", "shear"}


def test_bad_input_is_one_line(tmp_path, capsys):
    np.savez(tmp_path / "log.npz", observations=np.zeros((3, 2)))
    for argv, words in {
        ("--from-data", "log.npz"): "array 'actions' is missing",
        ("--from-data", "none.npz"): "no such file",
        ("Ant-v5", "--from-data", "log.npz"): "did you mean --env Ant-v5",
        (): "give a TARGET",
        ("Ant-v5", "--env", "Ant-v5"): "belongs to --from-data",
        ("Ant-v5", "--accept", "-1"): "not a positive number",
        ("CartPole-v1", "--accept", "0.1"): "record transitions",
    }.items():
        assert main(["check", *argv]) == 2, argv
        error = capsys.readouterr().err
        assert words in error
        assert error.count("\n") == 1
    with pytest.raises(UsageError, match="effective_group"):
        check("Ant-v5", accept=0.1)
