"""Policies with the regular backbone honour the whole group of the environment by default."""

import pytest
import torch
from stable_baselines3 import PPO, SAC, TD3

import eqrl
from eqrl import check_policy
from eqrl.agents import EquivariantPolicy, EquivariantSACPolicy, EquivariantTD3Policy
from eqrl.nn import Backbone

POLICIES = {
    PPO: (EquivariantPolicy, {"n_steps": 32, "batch_size": 64}),
    SAC: (EquivariantSACPolicy, {"learning_starts": 20}),
    TD3: (EquivariantTD3Policy, {"learning_starts": 20}),
}


@pytest.mark.parametrize("group", ["auto", "full", "SO2"])
@pytest.mark.parametrize("algorithm", POLICIES)
def test_the_whole_group_of_the_ant(algorithm, group):
    env = eqrl.make_vec("eqrl/AntTarget-v0", 2, seed=0, n_threads=1)
    policy, options = POLICIES[algorithm]
    kwargs = {"network": "regular", "network_kwargs": {"hidden": (16, 16)}, "group": group}
    model = algorithm(policy, env, policy_kwargs=kwargs, seed=0, device="cpu", **options)
    model.learn(64)
    assert str(model.policy.group) == ("SO2" if group == "SO2" else "SO2 x D4")
    report = check_policy(model, env)
    assert set(report.errors["action"]) >= {"rotation about gravity"}
    assert len(report.errors["action"]) == (1 if group == "SO2" else 3)


def test_what_freeze_keeps_is_not_in_a_checkpoint():
    env = eqrl.make_vec("eqrl/AntTarget-v0", 2, seed=0, n_threads=1)
    kwargs = {"network": "regular", "network_kwargs": {"hidden": (16, 16)}}
    model = PPO(EquivariantPolicy, env, n_steps=32, batch_size=64, policy_kwargs=kwargs, seed=0, device="cpu")
    names = list(model.policy.state_dict())
    observation = env.reset()
    for net in model.policy.modules():
        if isinstance(net, Backbone):
            net.freeze()
    assert list(model.policy.state_dict()) == names
    before = model.predict(observation, deterministic=True)[0]
    model.learn(64)  # training unfreezes
    assert not model.policy.action_net.net.frozen
    moved = model.predict(observation, deterministic=True)[0]
    assert not torch.equal(torch.as_tensor(before), torch.as_tensor(moved))
