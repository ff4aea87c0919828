"""The quick version of ``scripts/fault_injection.py``: it makes enough attempts, and none of them succeeds."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "fault_injection.py"
LEAST = {
    "kills": lambda numbers: numbers["kills"] >= 8 and numbers["resumed"] >= 5 and numbers["entries_compared"] > 200,
    "resume": lambda numbers: numbers["resumed"] >= 1 and numbers["entries_compared"] > 200,
    "damage": lambda numbers: numbers["damages"] >= 60 and sum(numbers["outcomes"].values()) >= 4 * 60,
    "hostile": lambda numbers: numbers["attacks"] >= 30 and numbers["outcomes"]["go on: refused in one line"] >= 15,
    "disks": lambda numbers: sum(numbers["tried"].values()) >= 5,
    "signals": lambda numbers: numbers["tried"]["stopped and resumed"] + numbers["tried"]["two signals"] >= 1,
    "guards": lambda numbers: set(numbers["tried"]) == {"reward", "observation", "parameter", "gradient", "physics"},
}

pytestmark = pytest.mark.skipif(
    not (SCRIPT.exists() and hasattr(os, "fork")), reason="needs the scripts of a checkout, and fork"
)


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """The folder with the numbers of all parts, and the output of the script."""
    out = tmp_path_factory.mktemp("reliability")
    command = [sys.executable, str(SCRIPT), "--quick", "--parts", ",".join(LEAST), "--out", str(out)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    return out, done


@pytest.mark.parametrize("part", LEAST)
def test_nothing_is_lost_and_nothing_is_run(quick, part):
    out, done = quick
    assert (out / f"{part}.json").exists(), done.stderr[-3000:]
    numbers = json.loads((out / f"{part}.json").read_text())
    failures = numbers["failures"]
    assert not (any(failures.values()) if isinstance(failures, dict) else failures), failures
    assert LEAST[part](numbers), numbers  # it made enough attempts


def test_the_exit_code_tells_and_the_readme_says_how_to_do_it_again(quick):
    out, done = quick
    assert done.returncode == ("FAILED" in done.stdout + done.stderr), done.stderr[-3000:]
    readme = (out / "README.md").read_text()
    assert all(f"--parts {part} --seed 0 --quick" in readme for part in LEAST)
