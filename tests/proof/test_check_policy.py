"""The public policy check: passes what is exact, names what is broken, refuses what it cannot judge."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import PPO, SAC, TD3
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize
from toy_envs import PointMass, Reach, Walker

from eqrl.agents import EquivariantPolicy, EquivariantSACPolicy, EquivariantTD3Policy
from eqrl.proof.check_policy import check_policy
from eqrl.symmetry import TRIVIAL, UntypedSpaceError
from eqrl.symmetry.errors import SymmetryError


def small():
    """Fresh each time: SB3 writes into the policy_kwargs that it is given."""
    return {"network_kwargs": {"hidden": (16, 16)}}


def small_ppo(env, **policy_kwargs):
    kwargs = {**small(), **policy_kwargs}
    return PPO(
        EquivariantPolicy, env, n_steps=32, batch_size=32, n_epochs=1, policy_kwargs=kwargs, device="cpu", seed=0
    )


def test_report_holds_every_quantity_and_generator():
    report = check_policy(small_ppo(PointMass()), PointMass())
    assert set(report.errors) == {"action", "value", "log_prob"}
    assert set(report.errors["value"]) == {"rotation about gravity", "mirror y -> -y"}
    assert 0.0 <= report.worst <= 1e-4
    assert "rotation about gravity" in str(report)


def test_q_functions_are_checked():
    model = SAC(EquivariantSACPolicy, Reach(), policy_kwargs=small(), device="cpu", seed=0, buffer_size=100)
    assert set(check_policy(model, Reach()).errors) == {"action", "q", "log_prob"}
    model = TD3(EquivariantTD3Policy, Reach(), policy_kwargs=small(), device="cpu", seed=0, buffer_size=100)
    assert set(check_policy(model, Reach()).errors) == {"action", "q"}


@pytest.mark.parametrize("env", [PointMass, Walker, Reach])
def test_stock_mlp_policy_fails(env):
    name = "MultiInputPolicy" if env is Reach else "MlpPolicy"
    with pytest.raises(SymmetryError) as failure:
        check_policy(PPO(name, env(), n_steps=32, batch_size=32, device="cpu", seed=0), env())
    assert failure.value.generator
    assert failure.value.size > 0.0


def test_own_mlp_is_held_against_the_environment():
    with pytest.raises(SymmetryError, match="rotation about gravity"):
        check_policy(small_ppo(PointMass(), network="mlp"), PointMass())


def test_vector_environment_and_bare_policy():
    env = DummyVecEnv([PointMass] * 3)
    model = small_ppo(env)
    assert check_policy(model, env, n=10).samples == 10
    check_policy(model.policy, env, n=5)


@pytest.mark.parametrize("part", ["running_gain", "running_shift", "value", "log_std"])
def test_planted_breaks_are_found(part):
    env = PointMass()
    model = small_ppo(env)
    with torch.no_grad():
        if part == "value":
            model.policy.value_net.register_forward_hook(lambda m, x, y: y + 0.01 * x[0][:, 1:2])
        elif part == "log_std":  # a width for x that y does not share
            distribution = model.policy.action_dist
            distribution.orbit = torch.arange(3)
            model.policy.log_std = torch.nn.Parameter(torch.tensor([0.0, 0.3, 0.0]))
        else:
            getattr(model.policy.features_extractor.norm, part)[1] += 0.3
    with pytest.raises(SymmetryError) as failure:
        check_policy(model, env)
    expected = {"value": "value", "log_std": "log_prob"}.get(part, "action field 'force'")
    assert failure.value.field == expected


def test_not_a_number_is_a_violation():
    model = small_ppo(PointMass())
    model.policy.value_net.register_forward_hook(lambda m, x, y: y * float("nan"))
    with pytest.raises(SymmetryError, match="value"):
        check_policy(model, PointMass())


def test_group_can_be_chosen():
    model = small_ppo(Walker())
    with pytest.raises(SymmetryError, match="mirror"):  # frame honours the rotations, not the exchange of joints
        check_policy(model, Walker(), group=Walker().observation_space.representation.group)
    assert check_policy(model, Walker(), group="SO2").errors
    with pytest.raises(ValueError, match="nothing to check"):
        check_policy(model, Walker(), group=TRIVIAL)
    with pytest.raises(ValueError, match="SO3 is not a subgroup of SO2"):
        check_policy(model, Walker(), group="SO3")


def test_outside_normalisation_is_refused():
    env = VecNormalize(DummyVecEnv([PointMass]))
    for model in (small_ppo(PointMass()), PPO("MlpPolicy", env, n_steps=32, batch_size=32, device="cpu")):
        with pytest.raises(ValueError, match="norm_obs=False"):
            check_policy(model, env)
    check_policy(small_ppo(VecNormalize(DummyVecEnv([PointMass]), norm_obs=False)), PointMass())


def test_untyped_spaces_are_refused():
    class Untyped(gymnasium.Wrapper):
        def __init__(self) -> None:
            super().__init__(PointMass())
            self.observation_space = spaces.Box(-np.inf, np.inf, (9,))

    with pytest.raises(UntypedSpaceError, match="TypedBox"):
        check_policy(small_ppo(PointMass()), Untyped())
