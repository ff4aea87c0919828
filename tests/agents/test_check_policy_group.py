"""The group under which ``check_policy`` tests a policy, given as for the policies."""

from __future__ import annotations

import pytest
from stable_baselines3 import PPO
from toy_envs import Walker
from typed_env import Point

from eqrl.agents import EquivariantPolicy
from eqrl.proof.check_policy import check_policy
from eqrl.symmetry import SO2, TRIVIAL, Representation, TypedBox
from eqrl.symmetry.errors import SymmetryError


def model(env, **policy_kwargs):
    kwargs = {"network_kwargs": {"hidden": (8,)}, **policy_kwargs}
    return PPO(EquivariantPolicy, env, n_steps=32, batch_size=32, policy_kwargs=kwargs, device="cpu", seed=0)


@pytest.fixture(scope="module")
def walker():
    return model(Walker())


@pytest.mark.parametrize("group", [None, "auto", "SO2", SO2])
def test_what_the_policy_keeps(walker, group):
    report = check_policy(walker, Walker(), n=8, group=group)
    assert set(report.errors["action"]) == {"rotation about gravity"}


def test_full_is_what_the_environment_declares(walker):
    with pytest.raises(SymmetryError, match="mirror"):
        check_policy(walker, Walker(), n=8, group="full")


def test_unknown_names(walker):
    with pytest.raises(ValueError, match=r"unknown group 'S02'; did you mean 'SO2'\?.*'full'"):
        check_policy(walker, Walker(), group="S02")
    with pytest.raises(ValueError, match="unknown group 'dihedral'; Known are"):
        check_policy(walker, Walker(), group="dihedral")


def test_nothing_to_check_is_an_error(walker):
    for group in ("1", TRIVIAL):
        with pytest.raises(ValueError, match="group 1 declares no symmetry: nothing to check"):
            check_policy(walker, Walker(), group=group)
    env = Point()
    untold = Representation(env.observation_space.representation.fields)
    env.observation_space, env.action_space = TypedBox(untold), TypedBox(untold, -1.0, 1.0)
    with pytest.raises(ValueError, match=r"the environment declares no symmetry: nothing to check.*group=SO2"):
        check_policy(model(env, network="mlp"), env)
