"""Policies and algorithms: a policy works with its algorithms, and a sentence names the right one for all others."""

from __future__ import annotations

import copy
import functools

import numpy as np
import pytest
import stable_baselines3 as sb3
import torch
from stable_baselines3.common.distributions import kl_divergence
from toy_envs import PointMass, Reach, Walker

from eqrl import check_policy
from eqrl.agents import (
    EquivariantPolicy,
    EquivariantSACPolicy,
    EquivariantTD3Policy,
    EquivariantTQCPolicy,
    MirrorLossPPO,
    MirrorLossSAC,
)

contrib = pytest.importorskip("sb3_contrib")
POLICIES = (EquivariantPolicy, EquivariantSACPolicy, EquivariantTD3Policy, EquivariantTQCPolicy)
RIGHT = {
    sb3.PPO: EquivariantPolicy,
    sb3.A2C: EquivariantPolicy,
    contrib.TRPO: EquivariantPolicy,
    MirrorLossPPO: EquivariantPolicy,
    sb3.SAC: EquivariantSACPolicy,
    MirrorLossSAC: EquivariantSACPolicy,
    sb3.TD3: EquivariantTD3Policy,
    sb3.DDPG: EquivariantTD3Policy,
    contrib.TQC: EquivariantTQCPolicy,
}
NONE = (contrib.RecurrentPPO, contrib.CrossQ, contrib.ARS)


def make(algorithm, policy, env=PointMass):
    kwargs = {"policy_kwargs": {"net_arch": [8]}, "device": "cpu", "seed": 0}
    if issubclass(algorithm, sb3.common.off_policy_algorithm.OffPolicyAlgorithm):
        return algorithm(policy, env(), learning_starts=10, buffer_size=100, batch_size=8, **kwargs)
    minibatch = {} if issubclass(algorithm, sb3.A2C) else {"batch_size": 32}
    return algorithm(policy, env(), n_steps=32, **minibatch, **kwargs)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("algorithm", RIGHT)
@pytest.mark.filterwarnings("ignore::eqrl.agents.AlreadyExactWarning")
def test_every_pair(algorithm, policy):
    if RIGHT[algorithm] is policy:
        check_policy(make(algorithm, policy).learn(64), PointMass())
    else:
        with pytest.raises(
            ValueError, match=rf"{policy.__name__} is not for (\w+); write \1\({RIGHT[algorithm].__name__}, "
        ):
            make(algorithm, policy)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("algorithm", NONE)
def test_algorithms_without_a_policy(algorithm, policy):
    with pytest.raises(
        ValueError, match=rf"{policy.__name__} is not for {algorithm.__name__}, and eqrl has no .* use \w+\(Equi"
    ):
        algorithm(policy, PointMass(), device="cpu")


@pytest.mark.parametrize("algorithm", [sb3.DQN, contrib.QRDQN])
def test_algorithms_for_discrete_actions(algorithm):
    with pytest.raises(ValueError, match=r"its actions are discrete; use \w+\(Equivariant"):
        algorithm(EquivariantPolicy, "CartPole-v1", device="cpu")


def test_subclasses_are_what_their_base_is():
    class Own(EquivariantSACPolicy):
        pass

    class OwnSAC(sb3.SAC):
        pass

    make(OwnSAC, Own).learn(20)
    with pytest.raises(ValueError, match=r"write PPO\(EquivariantPolicy"):
        make(sb3.PPO, Own)
    with pytest.raises(ValueError, match=r"write SAC\(EquivariantSACPolicy"):
        make(OwnSAC, functools.partial(EquivariantTQCPolicy, n_quantiles=5))


def test_an_algorithm_that_is_not_known_may_try():
    class Research(sb3.common.on_policy_algorithm.OnPolicyAlgorithm):
        def train(self):
            self.policy.set_training_mode(True)

    arguments = {"learning_rate": 1e-3, "n_steps": 8, "gamma": 0.9, "gae_lambda": 0.9, "ent_coef": 0.0, "vf_coef": 0.5}
    Research(EquivariantPolicy, PointMass(), max_grad_norm=1.0, use_sde=False, sde_sample_freq=-1, **arguments).learn(
        16
    )


def test_a_policy_made_elsewhere_asks_nobody():
    space = PointMass()
    policy = EquivariantPolicy(space.observation_space, space.action_space, lambda _: 1e-3)
    assert policy.group.connected == "SO2"


@pytest.mark.parametrize("env", [PointMass, Reach, Walker])
def test_trpo_keeps_its_bound(env):
    model = contrib.TRPO(EquivariantPolicy, env(), n_steps=256, batch_size=64, target_kl=0.01, device="cpu", seed=0)
    model.learn(512)
    values = model.logger.name_to_value
    assert 0.0 < values["train/kl_divergence_loss"] <= 0.01
    assert values["train/is_line_search_success"] == 1.0
    extractor = model.policy.pi_features_extractor
    assert extractor.norm.samples >= 256  # the statistics of the first rollout have taken effect
    check_policy(model, env())


def test_the_divergence_is_that_of_the_actions():
    """Against samples: the squash is a bijection, so the Gaussians before it have the divergence of the actions."""
    policy = make(sb3.PPO, EquivariantPolicy).policy
    observation = torch.randn(1, 9).expand(40_000, 9)
    with torch.no_grad():
        old = copy.copy(policy.get_distribution(observation))
        policy.log_std += 0.3
        new = policy.get_distribution(observation)
        actions = new.sample()
        measured = (new.log_prob(actions) - old.log_prob(actions)).mean()
        exact = kl_divergence(new, old)[0].sum()
    np.testing.assert_allclose(measured, exact, rtol=0.05)
