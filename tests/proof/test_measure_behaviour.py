"""The agent is judged in the world, not by the map that it was trained with."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from plane import C4, Plane

import eqrl  # noqa: F401 (registers environments)
from eqrl import measure_behaviour
from eqrl.proof import Behaviour
from eqrl.symmetry import O2, TRIVIAL, Group


class Agent:
    """Predicts by a function of the observation."""

    def __init__(self, function):
        self.function = function

    def predict(self, observation, deterministic=False):
        return self.function(observation), None


def homing(observation):
    return np.clip(-observation[:2] - 0.5 * observation[2:], -1, 1)


def test_a_symmetric_agent():
    (found,) = measure_behaviour(Agent(homing), Plane(C4))
    assert isinstance(found, Behaviour)
    assert found.name == "quarter turn"
    assert found.error < 1e-6
    assert found.symmetry_index < 1e-4
    assert found.steps == 8 * 25


def test_an_agent_that_ignores_one_axis():
    (found,) = measure_behaviour(Agent(lambda x: homing(x) * np.array([1.0, 0.0])), Plane(C4))
    assert found.error > 0.3
    assert found.symmetry_index > 10.0
    assert found.part in ("position", "velocity")


def test_random_actions_are_the_unit():
    rng = np.random.default_rng(0)
    (found,) = measure_behaviour(Agent(lambda x: rng.uniform(-1.0, 1.0, 2)), Plane(C4), episodes=20)
    assert 0.8 < found.error < 1.2


@pytest.mark.parametrize("wrong", [False, True])
def test_declared_maps_of_observation_and_action_do_not_matter(wrong):
    (right,) = measure_behaviour(Agent(lambda x: np.tanh(x[:2])[::-1]), Plane(C4, wrong=False), seed=3)
    (found,) = measure_behaviour(Agent(lambda x: np.tanh(x[:2])[::-1]), Plane(C4, wrong=wrong), seed=3)
    # random actions, the unit, come from the space: a ball in one case and a square in the other
    assert found.error == pytest.approx(right.error, rel=0.3)
    assert found.symmetry_index == pytest.approx(right.symmetry_index)


def test_the_group_may_be_given():
    names = [found.name for found in measure_behaviour(Agent(homing), Plane(C4), group=O2, episodes=1)]
    assert names == ["rotation about gravity", "mirror y -> -y"]


def test_simulated_worlds():
    """A constant push is the same in a turned world only if it is turned too; no push at all is."""
    env = gymnasium.make("eqrl/Push-v0")
    still = measure_behaviour(Agent(lambda x: np.zeros(2)), env, episodes=1, steps=10)
    pushing = measure_behaviour(Agent(lambda x: np.array([0.7, 0.0])), env, episodes=1, steps=10)
    assert all(found.error < 1e-5 for found in still)
    assert all(found.error > 0.1 for found in pushing[:1])


def test_refusals():
    with pytest.raises(ValueError, match="no symmetry"):
        measure_behaviour(Agent(homing), Plane(Group("nothing")))
    with pytest.raises(ValueError, match="no symmetry"):
        measure_behaviour(Agent(homing), Plane(C4), group=TRIVIAL)
    with pytest.raises(TypeError, match="SymmetricWorld"):
        measure_behaviour(Agent(homing), gymnasium.make("Pendulum-v1"))
