"""Agents on small worlds: one that cannot break the symmetry, one that can."""

import pytest
from plane_agents import agent

from eqrl.agents import EquivariantPolicy
from eqrl.diagnostics import play


@pytest.fixture(scope="module")
def exact():
    return agent(EquivariantPolicy, policy_kwargs={"network": "regular", "group": "full"})


@pytest.fixture(scope="module")
def stock():
    return agent("MlpPolicy")


@pytest.fixture(scope="module")
def sample(exact):
    return play(exact, exact.get_env(), 48)
