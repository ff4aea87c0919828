"""A gradient step of SAC and TD3 computes features and statistics once, and no gradients that would be discarded."""

from __future__ import annotations

import copy

import pytest
import torch
from stable_baselines3 import PPO, SAC, TD3
from toy_envs import PointMass, Reach, Walker

from eqrl.agents import EquivariantPolicy, EquivariantSACPolicy, EquivariantTD3Policy
from eqrl.checkpoint.parameters import load_training, training_tensors

POLICIES = {SAC: EquivariantSACPolicy, TD3: EquivariantTD3Policy}


def trained(algorithm, env, network="vector", **policy_kwargs):
    kwargs = {"network": network, "network_kwargs": {"hidden": (16, 16)}, **policy_kwargs}
    common = {"learning_starts": 30, "buffer_size": 200, "batch_size": 32, "seed": 0, "device": "cpu"}
    return algorithm(POLICIES[algorithm], env(), policy_kwargs=kwargs, **common).learn(40)


@pytest.mark.parametrize("algorithm", [SAC, TD3])
@pytest.mark.parametrize("env", [PointMass, Reach, Walker])
def test_statistics_of_a_minibatch_are_gathered_once(algorithm, env):
    model = trained(algorithm, env, network="frame" if env is Walker else "vector")
    norm = model.critic.features_extractor.norm
    before = norm.samples
    model.train(gradient_steps=4, batch_size=32)
    assert norm.samples - before == pytest.approx(4 * 32)


@pytest.mark.parametrize("algorithm", [SAC, TD3])
@pytest.mark.parametrize("network", ["vector", "regular", "frame"])
def test_the_actors_loss_leaves_no_gradient_in_the_critic_and_the_right_one_in_the_actor(algorithm, network):
    model = trained(
        algorithm,
        PointMass if network != "regular" else Walker,
        network,
        group="full" if network == "regular" else "auto",
    )
    model.policy.set_training_mode(True)
    batch = model.replay_buffer.sample(32)
    model.critic(batch.observations, batch.actions)

    def slopes(critic):
        model.policy.zero_grad()
        torch.manual_seed(0)
        if algorithm is SAC:
            actions, _ = model.actor.action_log_prob(batch.observations)
            loss = torch.cat(critic(batch.observations, actions), dim=1).min(dim=1).values.mean()
        else:
            loss = critic.q1_forward(batch.observations, model.actor(batch.observations)).mean()
        loss.backward()
        return [p.grad.clone() for p in model.actor.parameters()]

    plain = copy.deepcopy(model.critic).eval()  # outside of training the critic's own gradients are computed too
    expected = slopes(plain)
    assert all(p.grad is not None for p in plain.q_networks[0].parameters())
    for a, b in zip(slopes(model.critic), expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)
    assert all(p.grad is None for p in model.critic.parameters())
    assert all(p.requires_grad for p in model.critic.parameters())


def test_a_penalty_on_the_slope_by_replayed_actions_reaches_the_critic():
    model = trained(SAC, PointMass)
    model.policy.set_training_mode(True)
    batch = model.replay_buffer.sample(16)
    actions = batch.actions.clone().requires_grad_()
    (slope,) = torch.autograd.grad(model.critic(batch.observations, actions)[0].sum(), actions, create_graph=True)
    slope.square().sum().backward()
    assert any(p.grad is not None and float(p.grad.abs().max()) > 0 for p in model.critic.qf0.parameters())


def test_features_of_a_minibatch_are_computed_anew_where_it_was_written_to():
    model = trained(SAC, PointMass)
    model.policy.set_training_mode(True)
    extractor = model.actor.features_extractor
    observation = model.replay_buffer.sample(16).observations
    first = extractor.observe_minibatch(observation)
    assert extractor(observation) is first
    with torch.no_grad():
        observation.mul_(-1.0)
    assert not torch.equal(extractor(observation), first)
    extractor.observe_minibatch(observation)
    model.policy.set_training_mode(False)
    with torch.no_grad():  # nothing is remembered in evaluation
        assert extractor(observation) is not extractor(observation)


@pytest.mark.parametrize("given", [None, {"eps": 1e-4}, {"fused": False}, {"foreach": True}])
def test_adam_takes_one_pass_unless_it_is_told_otherwise(given):
    model = SAC(
        EquivariantSACPolicy, PointMass(), policy_kwargs={"optimizer_kwargs": given}, buffer_size=10, device="cpu"
    )
    ppo = PPO(EquivariantPolicy, PointMass(), policy_kwargs={"optimizer_kwargs": given}, device="cpu")
    chosen = not {"fused", "foreach"} & set(given or {})
    for optimizer in (model.actor.optimizer, model.critic.optimizer, ppo.policy.optimizer):
        assert bool(optimizer.defaults["fused"]) is chosen
        assert optimizer.defaults["eps"] == (given or {}).get(
            "eps", 1e-5 if optimizer is ppo.policy.optimizer and given is None else 1e-8
        )


def test_training_resumes_from_moments_that_another_kernel_wrote():
    old, new = (trained(SAC, PointMass, optimizer_kwargs=kwargs) for kwargs in ({"fused": False}, None))
    tensors, optimizers = training_tensors(old)
    for group in (g for state in optimizers.values() for g in state["param_groups"]):
        group["fused"] = None  # as before there was a choice
    load_training(new, tensors, optimizers, "the checkpoint")
    for a, b in zip(old.critic.optimizer.state.values(), new.critic.optimizer.state.values(), strict=True):
        assert torch.equal(a["exp_avg_sq"], b["exp_avg_sq"])
    assert new.critic.optimizer.param_groups[0]["fused"]
    new.train(gradient_steps=2, batch_size=32)
