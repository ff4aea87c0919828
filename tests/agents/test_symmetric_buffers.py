"""Orbit augmentation: the buffers return transformed transitions and change nothing else."""

from __future__ import annotations

import io

import gymnasium
import numpy as np
import pytest
import torch
from plane import C4, MIRROR_Y, Plane
from stable_baselines3 import PPO, SAC, TD3
from stable_baselines3.common.buffers import DictReplayBuffer, ReplayBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize
from stable_baselines3.her.her_replay_buffer import HerReplayBuffer
from toy_envs import PointMass, Reach, Walker

from eqrl.agents import (
    BreaksSymmetryError,
    EquivariantPolicy,
    SymmetricDictReplayBuffer,
    SymmetricDictRolloutBuffer,
    SymmetricHerReplayBuffer,
    SymmetricReplayBuffer,
    SymmetricRolloutBuffer,
    first_ratios,
)
from eqrl.proof.check_policy import transform_observation
from eqrl.symmetry import O2, SO2, SO3, TRIVIAL, Group, TypedBox, orbits

STOCK = {
    SymmetricReplayBuffer: ReplayBuffer,
    SymmetricDictReplayBuffer: DictReplayBuffer,
    SymmetricHerReplayBuffer: HerReplayBuffer,
}
CASES = [
    (SymmetricReplayBuffer, PointMass),
    (SymmetricReplayBuffer, Walker),
    (SymmetricDictReplayBuffer, Reach),
    (SymmetricHerReplayBuffer, Reach),
]


def filled(cls, env_class, n=60, **options):
    """A buffer with transitions of random actions, the same for equal environments."""
    env = DummyVecEnv([env_class] * 2)
    env.seed(0)
    space = env.action_space
    space.seed(0)
    if issubclass(cls, HerReplayBuffer):
        options["env"] = env
    buffer = cls(1000, env.observation_space, space, device="cpu", n_envs=2, **options)
    obs = env.reset()
    for _ in range(n):
        action = np.stack([space.sample() for _ in range(2)])
        new, reward, done, infos = env.step(action)
        scaled = 2.0 * (action - space.low) / (space.high - space.low) - 1.0  # as SB3 stores actions
        buffer.add(obs, new, scaled, reward, done, infos)
        obs = new
    return buffer


def leaves(x):
    return [x[k] for k in sorted(x)] if isinstance(x, dict) else [x]


def sampled(buffer, n=32, seed=1):
    np.random.seed(seed)
    return buffer.sample(n)


# ------------------------------------------------------------------ replay
@pytest.mark.parametrize(("cls", "env"), CASES)
def test_turned_transitions(cls, env, monkeypatch):
    """The samples of the stock buffer, transformed.

    Observations by their space, actions in the units of the world, equal rewards.
    """
    drawn = []
    sample = Group.sample
    monkeypatch.setattr(Group, "sample", lambda *a, **k: drawn.append(sample(*a, **k)) or drawn[-1])
    stock, turned = sampled(filled(STOCK[cls], env)), sampled(filled(cls, env))
    (g,) = drawn
    buffer_space = env().observation_space
    for name in ("observations", "next_observations"):
        expected = transform_observation(buffer_space, getattr(stock, name), g)
        actual = getattr(turned, name)
        for a, b, c in zip(leaves(expected), leaves(actual), leaves(getattr(stock, name)), strict=True):
            torch.testing.assert_close(a, b)
            assert not torch.equal(b, c)
    box = env().action_space
    low, high = torch.as_tensor(box.low), torch.as_tensor(box.high)
    world = low + 0.5 * (stock.actions + 1.0) * (high - low)
    expected = box.representation.transform(world, g)
    torch.testing.assert_close(low + 0.5 * (turned.actions + 1.0) * (high - low), expected)
    assert torch.equal(stock.rewards, turned.rewards)
    assert torch.equal(stock.dones, turned.dones)


def test_turned_transitions_are_real():
    """Transformed transitions obey the dynamics: the next velocity follows from velocity and force."""
    samples = filled(SymmetricReplayBuffer, lambda: PointMass(length=100)).sample(200)
    slices = PointMass().observation_space.representation.slices
    force = 2.0 * samples.actions
    v, after = samples.observations[:, slices["velocity"]], samples.next_observations[:, slices["velocity"]]
    torch.testing.assert_close(after, 0.9 * v + 0.1 * (force + torch.tensor([0.0, 0.0, -0.2])))


def test_hindsight_rewards_fit_the_turned_goals():
    """Goals are relabelled and then transformed, so that rewards computed from the samples are the sampled ones."""
    env = Reach()
    samples = sampled(filled(SymmetricHerReplayBuffer, Reach, n_sampled_goal=4), 200)
    rewards = env.compute_reward(
        samples.next_observations["achieved_goal"].numpy(), samples.observations["desired_goal"].numpy(), {}
    )
    assert np.array_equal(rewards, samples.rewards[:, 0].numpy())
    assert len(np.unique(rewards)) == 2


def test_all_elements():
    """Whole orbits of transitions, each starting with the transition itself; the batch keeps its size."""
    plain = sampled(filled(ReplayBuffer, lambda: Plane(C4)), 8)
    samples = sampled(filled(SymmetricReplayBuffer, lambda: Plane(C4), mode="all"), 32)
    assert samples.rewards.shape == (32, 1)
    assert torch.equal(samples.observations[::4], plain.observations)
    assert torch.equal(samples.rewards.reshape(8, 4), plain.rewards.expand(8, 4))
    quarter = C4.elements()
    rep = Plane(C4).observation_space.representation
    torch.testing.assert_close(samples.observations[4:8], rep.transform(plain.observations[1:2].expand(4, -1), quarter))
    assert len(sampled(filled(SymmetricReplayBuffer, lambda: Plane(C4), mode="all"), 30).rewards) == 30


def test_probability():
    stock, turned = (
        sampled(filled(ReplayBuffer, PointMass), 400),
        sampled(filled(SymmetricReplayBuffer, PointMass, probability=0.3), 400),
    )
    moved = (stock.observations != turned.observations).any(-1)
    assert 0.2 < moved.float().mean() < 0.4
    assert torch.equal(moved, (stock.actions != turned.actions).any(-1))
    never = sampled(filled(SymmetricReplayBuffer, PointMass, probability=0.0), 400)
    assert torch.equal(stock.observations, never.observations)


def test_every_orientation_occurs():
    """Directions of a buffer full of one and the same direction are uniform, and mirrors are among the elements."""
    env = Plane(O2)
    buffer = SymmetricReplayBuffer(4, env.observation_space, env.action_space, device="cpu")
    for _ in range(4):
        buffer.add(np.array([[1.0, 0.0, 0.0, 1.0]]), np.zeros((1, 4)), np.zeros((1, 2)), np.zeros(1), np.zeros(1), [{}])
    x = sampled(buffer, 4000).observations
    assert x.mean(0).abs().max() < 0.06
    handed = x[:, 0] * x[:, 3] - x[:, 1] * x[:, 2]
    assert abs(float(handed.mean())) < 0.06
    torch.testing.assert_close(handed.abs(), torch.ones(4000))


@pytest.mark.parametrize(
    ("env", "options", "words"),
    [
        (PointMass, {"group": SO3}, "SO3 is not a subgroup of O2"),
        (PointMass, {"group": "O22"}, "unknown group 'O22'; did you mean 'O2'"),
        (PointMass, {"group": TRIVIAL}, "trivial"),
        (PointMass, {"mode": "all"}, "needs a finite group, and O2 is continuous"),
        (PointMass, {"mode": "some"}, "mode='some' is unknown"),
        (PointMass, {"probability": 1.5}, "probability=1.5"),
        (Reach, {}, "use SymmetricDictReplayBuffer"),
        (lambda: Plane(C4), {"mode": "all", "probability": 0.5}, "all orientations"),
    ],
)
def test_refusals(env, options, words):
    with pytest.raises(ValueError, match=words):
        filled(SymmetricReplayBuffer, env, n=0, **options)


def test_a_box_that_is_not_round_is_refused():
    class Lopsided(Walker):
        def __init__(self):
            super().__init__()
            self.action_space = TypedBox(self.action_space.representation, -1.0, np.float32([1.0, 2.0, 1.0, 1.0]))

    with pytest.raises(BreaksSymmetryError, match="torques"):
        filled(SymmetricReplayBuffer, Lopsided, n=0)


def test_observations_normalised_outside_are_refused():
    def model(env):
        return SAC(
            "MlpPolicy",
            env,
            replay_buffer_class=SymmetricReplayBuffer,
            learning_starts=10,
            batch_size=8,
            buffer_size=100,
            device="cpu",
        )

    with pytest.raises(BreaksSymmetryError, match="norm_obs=False"):
        model(VecNormalize(DummyVecEnv([PointMass])))
    with pytest.raises(BreaksSymmetryError, match="TransformObservation rewrites the observations"):
        model(gymnasium.wrappers.TransformObservation(PointMass(), np.tanh, None))
    with pytest.raises(BreaksSymmetryError, match="norm_obs=False"):
        PPO(
            "MlpPolicy",
            VecNormalize(DummyVecEnv([PointMass])),
            rollout_buffer_class=SymmetricRolloutBuffer,
            device="cpu",
        )
    later = model(PointMass())
    later.set_env(VecNormalize(DummyVecEnv([PointMass])))
    with pytest.raises(BreaksSymmetryError, match="norm_obs=False"):
        later.learn(20)
    rewards = VecNormalize(DummyVecEnv([PointMass]), norm_obs=False)
    later.set_env(rewards, force_reset=True)
    later.learn(20)


def test_seeds_decide():
    first, second = (sampled(filled(SymmetricReplayBuffer, PointMass), seed=7) for _ in range(2))
    assert torch.equal(first.observations, second.observations)
    assert not torch.equal(first.observations, sampled(filled(SymmetricReplayBuffer, PointMass), seed=8).observations)


@pytest.mark.parametrize("algorithm", [SAC, TD3])
@pytest.mark.parametrize(("cls", "env"), CASES)
def test_trains_saves_and_goes_on(algorithm, cls, env, tmp_path):
    policy = "MultiInputPolicy" if env is Reach else "MlpPolicy"
    model = algorithm(
        policy,
        env(),
        replay_buffer_class=cls,
        replay_buffer_kwargs={"probability": 0.9, "group": SO2},
        policy_kwargs={"net_arch": [8]},
        learning_starts=30,
        batch_size=16,
        buffer_size=300,
        device="cpu",
        seed=0,
    )
    model.learn(60)
    file = io.BytesIO()
    model.save(file)
    model.save_replay_buffer(tmp_path / "buffer.pkl")
    loaded = algorithm.load(file, env=env(), device="cpu")
    loaded.load_replay_buffer(tmp_path / "buffer.pkl")
    assert type(loaded.replay_buffer) is cls
    assert loaded.replay_buffer.probability == 0.9
    assert loaded.replay_buffer.orbit.group == SO2
    loaded.learn(40)


# ------------------------------------------------------------------ rollouts
def rollout_model(env, policy="MlpPolicy", steps=256, **options):
    """A PPO model with a full rollout buffer before the update; earlier rollouts were not augmented."""

    class Stop(BaseCallback):
        def _on_step(self):
            return True

        def _on_rollout_end(self):
            if self.num_timesteps >= steps:
                raise StopIteration

    cls = SymmetricDictRolloutBuffer if env is Reach else SymmetricRolloutBuffer
    model = PPO(
        policy,
        DummyVecEnv([env] * 4),
        n_steps=64,
        batch_size=64,
        learning_rate=1e-3,
        policy_kwargs={"network_kwargs": {"hidden": (32, 32)}} if policy is EquivariantPolicy else None,
        device="cpu",
        seed=0,
    )
    stock = model.rollout_buffer
    turned = cls(64, stock.observation_space, stock.action_space, "cpu", n_envs=4, **options)
    if options.get("log_prob") == "recompute":
        turned.bind(model.policy)
    with pytest.raises(StopIteration):
        model.learn(steps, callback=Stop())
    for name in ("observations", "actions", "values", "log_probs", "advantages", "returns"):
        setattr(turned, name, getattr(stock, name))
    turned.full = True
    model.rollout_buffer = turned
    return model


def outside(model, clip=0.2):
    return float(np.mean(np.abs(first_ratios(model) - 1.0) > clip))


def test_the_trap_of_reused_log_probabilities():
    """Before any gradient step an ordinary network has ratios out of the clip range; an equivariant one has none."""
    plain = outside(rollout_model(PointMass, steps=2500))
    exact = first_ratios(rollout_model(PointMass, EquivariantPolicy, steps=2500))
    assert plain > 0.2
    assert np.abs(exact - 1.0).max() < 1e-3


@pytest.mark.parametrize("env", [PointMass, Reach])
def test_recomputed_log_probabilities_start_at_one(env):
    policy = "MultiInputPolicy" if env is Reach else "MlpPolicy"
    reused = first_ratios(rollout_model(env, policy))
    recomputed = first_ratios(rollout_model(env, policy, log_prob="recompute"))
    assert np.abs(reused - 1.0).max() > 1e-2
    np.testing.assert_allclose(recomputed, 1.0, atol=1e-4)


def test_reused_weights_are_unbiased():
    """With the density under which transformed samples were drawn, importance weights have mean one."""
    ratios = first_ratios(rollout_model(PointMass))
    assert abs(ratios.mean() - 1.0) < 4.0 * ratios.std() / np.sqrt(len(ratios))


def test_epochs_see_the_same_turned_sample():
    model = rollout_model(PointMass)
    seen = []
    for _ in range(2):
        (batch,) = model.rollout_buffer.get()
        order = batch.returns.argsort()
        seen.append(batch.observations[order])
        assert batch.returns.unique().numel() == batch.returns.numel()
    assert torch.equal(*seen)
    stock = torch.as_tensor(model.rollout_buffer.observations)
    (batch,) = model.rollout_buffer.get()
    assert not any(torch.equal(row, other) for row, other in zip(batch.observations[:10], stock[:10], strict=True))


def test_all_orientations_of_a_minibatch():
    for log_prob in ("reuse", "recompute"):
        model = rollout_model(lambda: Plane(C4), mode="all", log_prob=log_prob)
        batches = list(model.rollout_buffer.get(64))
        assert [len(b.returns) for b in batches] == [256] * 4
        batch = batches[0]
        rep = Plane(C4).observation_space.representation
        elements = C4.elements()
        for i in range(4):
            rows = slice(64 * i, 64 * (i + 1))
            torch.testing.assert_close(batch.observations[rows], rep.transform(batch.observations[:64], elements[i]))
            torch.testing.assert_close(batch.advantages[rows], batch.advantages[:64])
        ratios = first_ratios(model)
        assert (np.abs(ratios - 1.0).max() < 1e-4) == (log_prob == "recompute")


def test_recompute_needs_the_policy():
    env = DummyVecEnv([PointMass])
    model = PPO(
        "MlpPolicy",
        env,
        n_steps=16,
        batch_size=16,
        rollout_buffer_class=SymmetricRolloutBuffer,
        rollout_buffer_kwargs={"log_prob": "recompute"},
        device="cpu",
    )
    with pytest.raises(RuntimeError, match=r"rollout_buffer\.bind\(model\.policy\)"):
        model.learn(16)


@pytest.mark.parametrize(
    ("env", "options", "words"),
    [
        (PointMass, {"log_prob": "guess"}, "log_prob='guess'"),
        (PointMass, {"mode": "all"}, "needs a finite group"),
        (PointMass, {"group": "SO3"}, "not a subgroup"),
    ],
)
def test_rollout_refusals(env, options, words):
    space = env()
    with pytest.raises(ValueError, match=words):
        SymmetricRolloutBuffer(8, space.observation_space, space.action_space, **options)
    with pytest.raises(ValueError, match="use SymmetricDictRolloutBuffer"):
        SymmetricRolloutBuffer(8, Reach().observation_space, Reach().action_space)


@pytest.mark.parametrize("log_prob", ["reuse", "recompute"])
def test_ppo_trains(log_prob):
    model = PPO(
        "MlpPolicy",
        DummyVecEnv([Walker] * 2),
        n_steps=32,
        batch_size=32,
        rollout_buffer_class=SymmetricRolloutBuffer,
        rollout_buffer_kwargs={"log_prob": log_prob, "probability": 0.5},
        device="cpu",
        seed=0,
    )
    model.rollout_buffer.bind(model.policy)
    model.learn(192)
    assert all(p.isfinite().all() for p in model.policy.parameters())


def test_a_smaller_group_moves_less():
    """Under the mirror alone, x does not change."""
    stock, turned = (
        sampled(filled(ReplayBuffer, lambda: Plane(O2))),
        sampled(filled(SymmetricReplayBuffer, lambda: Plane(O2), group=MIRROR_Y)),
    )
    assert torch.equal(stock.observations[:, 0], turned.observations[:, 0])
    assert torch.equal(stock.observations[:, 1].abs(), turned.observations[:, 1].abs())
    assert orbits(Plane(O2).observation_space.representation, MIRROR_Y).count == 4
