"""The page in a browser: the robot moves, and the buttons do what they say."""

import json
import os
import subprocess
import sys

import pytest
import spectator
from browser import CHROMIUM


def test_a_robot_moves_and_the_buttons_work(runs):
    if CHROMIUM is None:
        if os.environ.get("EQRL_REQUIRE_RENDERING") == "1":  # where it has been installed, a skip would hide its loss
            pytest.fail("chromium is missing; on Debian: apt-get install chromium")
        pytest.skip("chromium is missing")
    command = [sys.executable, spectator.__file__, *map(str, runs.values())]
    done = subprocess.run(command, capture_output=True, text=True, timeout=5 * spectator.PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["asked"] == [["scene", 1.0], ["goal", 1.0], ["push", 90.0], ["pause", 0.0]]
    assert (told["scene"], told["goal"], told["paused"]) == (30.0, 30.0, True)
    assert told["still"] < spectator.MOVED / 10 < spectator.MOVED < told["moved"]
