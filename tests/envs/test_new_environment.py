"""The page on new environments: its task is short, symmetric in all its members, and trains to the end."""

import io
import re
from contextlib import redirect_stdout
from pathlib import Path

import gymnasium
import numpy as np
import pytest

import eqrl

BLOCKS = re.findall(
    r"```python\n(.*?)```",
    (Path(__file__).parents[2] / "docs" / "new_environment.md").read_text(encoding="utf-8"),
    flags=re.S,
)


def _forget_the_environment():
    gymnasium.registry.pop("CarryRope-v0", None)
    eqrl.ENVIRONMENTS.pop("CarryRope-v0", None)


@pytest.fixture(autouse=True)
def _as_if_new():
    _forget_the_environment()
    yield
    _forget_the_environment()


def test_the_task_takes_sixty_lines_and_trains():
    assert len([line for line in BLOCKS[0].splitlines() if line.strip()]) <= 60
    names = {"__name__": "__docs__"}
    printed = io.StringIO()
    with redirect_stdout(printed):
        for block in BLOCKS:
            exec(compile(block, "new_environment.md", "exec"), names)
    assert float(printed.getvalue().split("success")[-1]) >= 0.95


def test_the_hands_and_the_rope_are_exchanged_as_the_layout_says():
    exec(compile(BLOCKS[0], "new_environment.md", "exec"), {"__name__": "__docs__"})
    env = gymnasium.make("CarryRope-v0").unwrapped
    env.reset(seed=0)
    exchange = dict(env.task.group.generators)["exchange of the hands"]
    swapped = env.transform_state(env.get_state(), exchange)
    before = env.simulation.world.positions.hands[0].copy()
    env.set_state(swapped)
    np.testing.assert_array_equal(env.simulation.world.positions.hands[0], before[::-1])
    assert max(r.error for r in eqrl.check_environment(env, steps=50)) < 1e-10
