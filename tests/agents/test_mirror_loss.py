"""Mirror loss: zero for exact policies, added to SB3's own gradient, and blind to a wrong map."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from plane import C4, MIRROR_Y, Plane
from stable_baselines3 import PPO, SAC, TD3, HerReplayBuffer
from stable_baselines3.common.logger import KVWriter, Logger
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize
from toy_envs import PointMass, Reach, Walker

from eqrl import measure_behaviour
from eqrl.agents import (
    BreaksSymmetryError,
    EquivariantPolicy,
    EquivariantSACPolicy,
    EquivariantTD3Policy,
    MirrorLossPPO,
    MirrorLossSAC,
    MirrorLossTD3,
)
from eqrl.symmetry import SO2

EXACT = {MirrorLossPPO: EquivariantPolicy, MirrorLossSAC: EquivariantSACPolicy, MirrorLossTD3: EquivariantTD3Policy}
ALGOS = list(EXACT)
STOCK = {MirrorLossPPO: PPO, MirrorLossSAC: SAC, MirrorLossTD3: TD3}


def make(algorithm, env, policy=None, policy_kwargs=None, **options):
    env = DummyVecEnv([env] * 2)
    policy = policy or ("MultiInputPolicy" if env.observation_space.__class__.__name__ == "Dict" else "MlpPolicy")
    if policy_kwargs is None:
        policy_kwargs = {"net_arch": [16, 16]} if isinstance(policy, str) else {"network_kwargs": {"hidden": (16, 16)}}
    common = {"policy_kwargs": policy_kwargs, "device": "cpu", "seed": 0, **options}
    if issubclass(algorithm, PPO):
        return algorithm(policy, env, **{"n_steps": 32, "batch_size": 32, "n_epochs": 2, **common})
    return algorithm(policy, env, **{"buffer_size": 2000, "learning_starts": 30, "batch_size": 32, **common})


class Record(KVWriter):
    """Everything that was logged."""

    def __init__(self):
        self.values = {}

    def write(self, key_values, key_excluded, step=0):
        for key, value in key_values.items():
            self.values.setdefault(key, []).append(value)

    def close(self):
        pass


def record_of(model, steps):
    """Everything that an algorithm logs in some steps, after every rollout or update."""
    record = Record()
    model.set_logger(Logger(None, [record]))
    model.learn(steps, log_interval=1)
    model.logger.dump()
    return record.values


# ------------------------------------------------------------------ exact policies
@pytest.mark.filterwarnings("ignore::eqrl.agents.AlreadyExactWarning")
@pytest.mark.parametrize("env", [PointMass, Reach])
@pytest.mark.parametrize("algorithm", ALGOS)
def test_zero_for_equivariant_policies(algorithm, env):
    model = make(algorithm, env, EXACT[algorithm], mirror_value_coef=1.0)
    record = record_of(model, 80)
    for name in ("symmetry/mirror_loss/policy", "symmetry/mirror_loss/value"):
        assert len(record[name]) >= 1
        assert max(record[name]) < 1e-9, name


@pytest.mark.parametrize("algorithm", ALGOS)
def test_not_zero_for_ordinary_networks(algorithm):
    record = record_of(make(algorithm, PointMass, mirror_value_coef=1.0), 80)
    assert min(record["symmetry/mirror_loss/policy"]) > 1e-9
    assert min(record["symmetry/mirror_loss/value"]) > 1e-9


# ------------------------------------------------------------------ the gradient
@pytest.mark.parametrize("algorithm", ALGOS)
def test_without_weight_it_is_the_stock_algorithm(algorithm):
    """Weight zero changes no bit: the term does not interfere with SB3's loss."""
    # a finite group draws no random numbers
    env = lambda: Plane(C4)  # noqa: E731
    ours = make(algorithm, env, mirror_coef=0.0).learn(96)
    stock = make(STOCK[algorithm], env).learn(96)
    for a, b in zip(ours.policy.parameters(), stock.policy.parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_gradient_is_that_of_the_sum():
    """One PPO step on one minibatch with plain gradient descent.

    The parameters move by SB3's gradient plus the term's.
    """
    moved = {}
    for coef in (None, 0.0, 0.5):
        cls, options = (PPO, {}) if coef is None else (MirrorLossPPO, {"mirror_coef": coef})
        kwargs = {"net_arch": [8], "optimizer_class": torch.optim.SGD}
        model = make(cls, lambda: Plane(C4), policy_kwargs=kwargs, batch_size=64, n_epochs=1, max_grad_norm=1e9,
        learning_rate=1.0, **options)  # fmt: skip
        before = [p.detach().clone() for p in model.policy.parameters()]
        model.learn(64)
        moved[coef] = [p.detach() - b for p, b in zip(model.policy.parameters(), before, strict=True)]
        if coef == 0.5:
            batch = next(model.rollout_buffer.get())
            with torch.no_grad():
                for p, b in zip(model.policy.parameters(), before, strict=True):
                    p.copy_(b)
            rep, turn = Plane(C4).observation_space.representation, C4.generators[0][1]
            act = Plane(C4).action_space.representation
            here = model.policy.get_distribution(batch.observations).distribution.mean
            there = model.policy.get_distribution(rep.transform(batch.observations, turn)).distribution.mean
            loss = 0.5 * (there - act.transform(here, turn)).square().mean()
            expected = torch.autograd.grad(loss, list(model.policy.parameters()), allow_unused=True)
    for stock, zero, with_term, gradient in zip(moved[None], moved[0.0], moved[0.5], expected, strict=True):
        assert torch.equal(stock, zero)
        gradient = torch.zeros_like(stock) if gradient is None else gradient
        torch.testing.assert_close(with_term - stock, -gradient, atol=1e-5, rtol=1e-3)
    assert max(float(g.abs().max()) for g in expected if g is not None) > 1e-4


@pytest.mark.parametrize("algorithm", ALGOS)
def test_nothing_of_sb3_is_left_changed(algorithm):
    model = make(algorithm, PointMass, mirror_value_coef=1.0)
    model.learn(64)
    owners = [model.policy] if algorithm is MirrorLossPPO else [model.actor, model.critic]
    for owner in owners:
        assert not {"forward", "evaluate_actions", "action_log_prob"} & set(vars(owner))
    assert "_setup_model" not in vars(PPO) or PPO.train.__module__ == "stable_baselines3.ppo.ppo"


# ------------------------------------------------------------------ it works, and what it cannot see
def behaviour(model, env):
    return measure_behaviour(model, env, episodes=4, steps=20)[0]


@pytest.mark.parametrize("algorithm", ALGOS)
def test_a_plain_network_becomes_more_symmetric(algorithm):
    """Smaller error in the world, and less asymmetric behaviour once the agent has learnt to act."""
    env = lambda: Plane(C4)  # noqa: E731
    ppo = algorithm is MirrorLossPPO
    steps, options = (6000, {"learning_rate": 3e-3}) if ppo else (1000, {"learning_rate": 1e-3})
    plain = behaviour(make(STOCK[algorithm], env, **options).learn(steps), env())
    mirrored = behaviour(make(algorithm, env, mirror_coef=3.0, **options).learn(steps), env())
    assert mirrored.error < 0.5 * plain.error
    if ppo:
        assert mirrored.symmetry_index < 0.5 * plain.symmetry_index


def test_a_wrong_map_cannot_hide():
    """With a mirror that lacks the sign of the force, the loss still vanishes, but the agent is asymmetric."""
    loss, measured = {}, {}
    for wrong in (False, True):
        env = lambda w=wrong: Plane(MIRROR_Y, wrong=w, race=True)  # noqa: E731
        model = make(MirrorLossPPO, env, mirror_coef=10.0, learning_rate=3e-3)
        loss[wrong] = record_of(model, 8000)["symmetry/mirror_loss/policy"][-1]
        measured[wrong] = behaviour(model, env())
    assert max(loss.values()) < 5e-3
    assert measured[False].error < 0.3
    assert measured[True].error > 1.0


# ------------------------------------------------------------------ Stable-Baselines3
@pytest.mark.parametrize("algorithm", ALGOS)
def test_save_and_load(algorithm):
    model = make(algorithm, Walker, mirror_coef=0.25, mirror_group=SO2)
    model.learn(64)
    file = io.BytesIO()
    model.save(file)
    loaded = algorithm.load(file, env=DummyVecEnv([Walker] * 2), device="cpu")
    assert (loaded.mirror_coef, loaded.mirror_group) == (0.25, SO2)
    obs = np.random.default_rng(0).normal(size=(5, 8)).astype(np.float32)
    assert np.array_equal(loaded.predict(obs, deterministic=True)[0], model.predict(obs, deterministic=True)[0])
    loaded.learn(64)


def test_hindsight():
    model = make(MirrorLossSAC, Reach, replay_buffer_class=HerReplayBuffer, learning_starts=60, mirror_value_coef=0.1)
    model.learn(100)


def test_refusals():
    for name in ("mirror_coef", "mirror_value_coef"):
        with pytest.raises(ValueError, match=f"{name}=-1"):
            make(MirrorLossPPO, PointMass, **{name: -1.0})
    with pytest.raises(ValueError, match="SO3 is not a subgroup of O2"):
        make(MirrorLossPPO, PointMass, mirror_group="SO3")
    with pytest.raises(BreaksSymmetryError, match="norm_obs=False"):
        MirrorLossPPO("MlpPolicy", VecNormalize(DummyVecEnv([PointMass])), device="cpu")
    model = make(MirrorLossPPO, PointMass)
    with pytest.raises(BreaksSymmetryError, match="norm_obs=False"):
        model.set_env(VecNormalize(DummyVecEnv([PointMass])))
