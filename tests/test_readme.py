"""The README's Python, and that of the page on symmetry, runs as it stands there."""

import re
import runpy
from pathlib import Path

import pytest

import eqrl

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
FENCE = re.compile(r"```python\n(.*?)```", flags=re.S)
BLOCKS = FENCE.findall(README.read_text(encoding="utf-8"))
SYMMETRY = FENCE.findall((ROOT / "docs" / "symmetry.md").read_text(encoding="utf-8"))


def run(tmp_path, code):
    script = tmp_path / "snippet.py"
    script.write_text(code)
    return runpy.run_path(str(script))


def test_the_readme_is_short():
    assert len(README.read_text(encoding="utf-8").split()) <= 700


def test_the_drop_in_trains_and_passes_the_check(tmp_path):
    code = next(b for b in BLOCKS if "PPO(eqrl.EquivariantPolicy" in b)
    assert "learn(300_000)" in code
    assert "eqrl.check_policy(model, env)" in code
    assert len([line for line in code.splitlines() if line.strip()]) <= 8
    names = run(tmp_path, code.replace("learn(300_000)", "learn(4_096)"))
    assert names["model"].num_timesteps >= 4096
    assert str(names["model"].policy.group) == "SO2"


def test_the_typed_environment_is_typed(tmp_path):
    code = next(b for b in SYMMETRY if "class MyEnv" in b)
    names = run(tmp_path, code)
    assert names["MyEnv"].observation_space.representation.group.name == "O2"
    assert names["MyEnv"].action_space.shape == (3,)


@pytest.mark.parametrize("name", ["check_environment", "check_policy"])
def test_the_checks_are_where_the_pages_say(name):
    assert any(f"{name}(" in b for b in SYMMETRY)
    assert callable(getattr(eqrl, name))


@pytest.mark.filterwarnings("ignore:.*out of date.*:DeprecationWarning")
def test_the_derived_symmetry_is_what_the_page_prints(tmp_path, capsys):
    code = next(b for b in SYMMETRY if "derive(" in b)
    run(tmp_path, code)
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == re.search(r"# (SO2 x C2 \| SO2)", code)[1]
    assert printed[1] == re.search(r"# (sagittal mirror holds.*)", code)[1]
