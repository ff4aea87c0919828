"""The quick version of ``scripts/fault_injection.py``: what it tries, it tries in earnest, and nothing of it works."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "fault_injection.py"
LEAST = {
    "kills": lambda found: found["kills"] >= 8 and found["resumed"] >= 5 and found["entries_compared"] > 200,
    "resume": lambda found: found["resumed"] >= 1 and found["entries_compared"] > 200,
    "damage": lambda found: found["damages"] >= 60 and sum(found["outcomes"].values()) >= 4 * 60,
    "hostile": lambda found: found["attacks"] >= 30 and found["outcomes"]["go on: refused in one line"] >= 15,
    "disks": lambda found: sum(found["tried"].values()) >= 5,
    "signals": lambda found: found["tried"]["stopped and resumed"] + found["tried"]["two signals"] >= 1,
    "guards": lambda found: set(found["tried"]) == {"reward", "observation", "parameter", "gradient", "physics"},
}

pytestmark = pytest.mark.skipif(
    not (SCRIPT.exists() and hasattr(os, "fork")), reason="needs the scripts of a checkout, and fork"
)


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """Where the numbers of all parts lie, and what the script said."""
    out = tmp_path_factory.mktemp("reliability")
    command = [sys.executable, str(SCRIPT), "--quick", "--parts", ",".join(LEAST), "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"})
    return out, done


@pytest.mark.parametrize("part", LEAST)
def test_nothing_is_lost_and_nothing_is_run(quick, part):
    out, done = quick
    assert (out / f"{part}.json").exists(), done.stderr[-3000:]
    found = json.loads((out / f"{part}.json").read_text())
    failures = found["failures"]
    assert not (any(failures.values()) if isinstance(failures, dict) else failures), failures
    assert LEAST[part](found), found  # it tried what it is there for


def test_the_exit_code_tells_and_the_readme_says_how_to_do_it_again(quick):
    out, done = quick
    assert done.returncode == ("FAILED" in done.stdout + done.stderr), done.stderr[-3000:]
    readme = (out / "README.md").read_text()
    assert all(f"--parts {part} --seed 0 --quick" in readme for part in LEAST)
