"""The converted scripts of other projects run, save with SB3's ``save`` and load with its ``load``."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import stable_baselines3

from eqrl import check_policy

SCRIPTS = Path(__file__).parents[1] / "scripts" / "drop_in"
GUIDE = Path(__file__).parents[1] / "docs" / "drop_in.md"
ALGORITHMS = {"ppo": "PPO", "sac": "SAC", "td3": "TD3", "sac_her": "SAC", "tqc": "TQC"}


def test_every_script_is_tested():
    assert {path.stem for path in SCRIPTS.glob("*.py")} == set(ALGORITHMS)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_script(name, tmp_path, monkeypatch, capsys):
    if name == "tqc":
        pytest.importorskip("sb3_contrib")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [name, "2100" if name == "ppo" else "240"])
    namespace = runpy.run_path(str(SCRIPTS / f"{name}.py"))
    model, loaded = namespace["model"], namespace["loaded"]
    stock = stable_baselines3 if name != "tqc" else sys.modules["sb3_contrib"]
    assert type(model) is getattr(stock, ALGORITHMS[name])
    assert "commutes with" in capsys.readouterr().out
    assert [path.suffix for path in tmp_path.iterdir()] == [".zip"]
    observation = model.env.reset()
    for _ in range(5):
        action = model.predict(observation, deterministic=True)[0]
        assert np.array_equal(loaded.predict(observation, deterministic=True)[0], action)
        observation = model.env.step(action)[0]
    check_policy(loaded, model.env)


@pytest.mark.rl_zoo
def test_rl_zoo(tmp_path):
    """RL Zoo trains the policy of the guide by its dotted path, and plays it back."""
    pytest.importorskip("rl_zoo3")
    (block,) = re.findall(r"```yaml\n(.*?)```", GUIDE.read_text(encoding="utf-8"), flags=re.S)
    assert "!!float 3e5" in block
    (tmp_path / "ppo.yml").write_text(block.replace("3e5", "500"))
    common = ["--algo", "ppo", "--env", "eqrl/Reach-v0", "--gym-packages", "eqrl", "-f", "logs"]
    for command in (
        ["rl_zoo3.train", *common, "--conf-file", "ppo.yml", "--eval-freq", "-1"],
        ["rl_zoo3.enjoy", *common, "-n", "60", "--no-render"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", *command], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stderr
    model = stable_baselines3.PPO.load(tmp_path / "logs/ppo/eqrl-Reach-v0_1/eqrl-Reach-v0.zip")
    assert type(model.policy).__name__ == "EquivariantPolicy"
    assert model.policy.networks.network == "vector"
