"""One rule for chaos, in environments as in models: compared is what a nudge leaves to compare, and not more."""

import numpy as np
import pytest
from plane import Plane

from eqrl import check_environment, verify
from eqrl.symmetry import SO2, SymmetryError


class Stretched(Plane):
    """The distance from the origin is stretched and cut off at one.

    It leaves nothing of a nudge of 1e-14 after some steps.

    Args:
        stretch: what distances are multiplied by in a step.
        pull: how far everything moves along x besides, which no rotation keeps.
    """

    def __init__(self, stretch: float, pull: float = 0.0) -> None:
        super().__init__(group=SO2)
        self.stretch, self.pull = stretch, pull

    def step(self, action):
        _, _, terminated, truncated, info = super().step(0.0 * np.asarray(action))
        x = self.state[:2]
        distance = np.linalg.norm(x)
        x = x / distance * (0.1 + np.mod(self.stretch * distance, 1.0)) + np.array([self.pull, 0.0])
        self.state = np.concatenate([x, np.zeros(2)])
        return self.observe(), 0.0, terminated, truncated, info


def test_a_chaotic_environment_is_compared_up_to_where_nothing_is_left():
    env = Stretched(200.0)
    (report,) = check_environment(env, steps=20, episodes=1)
    assert 1e-12 < report.error < 1e-2
    (verdict,) = verify(env, states=8, steps=(1, 20))
    assert verdict.holds
    assert any("ill-conditioned: 2 of 2" in remark for remark in verdict.remarks)
    assert verdict.errors[20] == 0.0


def test_chaos_excuses_nothing_that_breaks_before_it_has_grown():
    with pytest.raises(SymmetryError, match=r"position breaks under 'rotation about gravity'.* at step 1"):
        check_environment(Stretched(200.0, pull=1e-6), steps=20, episodes=1)
    assert verify(Stretched(200.0, pull=1e-6), states=4).holds is False


def test_where_nothing_can_be_compared_nothing_is_proved():
    class Shattering(Stretched):
        def nudge_state(self, state, size):
            return state + 1e13 * size

    env = Shattering(200.0, pull=1e-6)
    with pytest.raises(SymmetryError, match="ill-conditioned contacts"):
        check_environment(env, steps=5)
    (verdict,) = verify(env, states=8, steps=(1, 5))
    assert not verdict.holds
    assert verdict.cause.id == "ill-conditioned contacts"
