"""The README's Python runs as it stands there."""

import re
import runpy
from pathlib import Path

import pytest

import eqrl

README = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.S)


def run(tmp_path, code):
    script = tmp_path / "snippet.py"
    script.write_text(code)
    return runpy.run_path(str(script))


def test_the_drop_in_trains(tmp_path):
    code = next(b for b in BLOCKS if "PPO(EquivariantPolicy" in b)
    assert "learn(300_000)" in code
    found = run(tmp_path, code.replace("learn(300_000)", "learn(4_096)"))
    assert found["model"].num_timesteps >= 4096
    assert str(found["model"].policy.group) == "SO2"


def test_the_typed_environment_is_typed(tmp_path):
    code = next(b for b in BLOCKS if "class MyEnv" in b)
    found = run(tmp_path, code)
    assert found["MyEnv"].observation_space.representation.group.name == "O2"
    assert found["MyEnv"].action_space.shape == (3,)


@pytest.mark.parametrize("name", ["check_environment", "check_policy"])
def test_the_checks_are_where_the_readme_says(name):
    assert any(f"import check_environment, {name}" in b or name in b for b in BLOCKS)
    assert callable(getattr(eqrl, name))


@pytest.mark.filterwarnings("ignore:.*out of date.*:DeprecationWarning")
def test_the_derived_symmetry_is_what_the_readme_prints(tmp_path, capsys):
    code = next(b for b in BLOCKS if "derive(" in b)
    run(tmp_path, code)
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == re.search(r"# (SO2 x C2 \| SO2)", code)[1]
    assert printed[1] == re.search(r"# (sagittal mirror holds.*)", code)[1]
