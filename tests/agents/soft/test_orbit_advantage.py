"""Advantages within orbits: the published weights, first states that are images of each other, and the spread."""

from __future__ import annotations

import numpy as np
import pytest
from plane import C4, Plane
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor, VecNormalize
from toy_envs import Walker

import eqrl
from eqrl.agents import EquivariantPolicy, OrbitAdvantage, OrbitStarts
from eqrl.agents.soft.asymmetric import asymmetric_advantages
from eqrl.symmetry import SO2

RARE = np.array([1.0, 0.0, 0.0, 0.0])


class Windy(Plane):
    """The plane with a wind along x, which breaks the quarter turns."""

    def step(self, action):
        return super().step(np.asarray(action) + np.array([0.3, 0.0]))


# ------------------------------------------------------------------ the formula
def test_advantages_at_their_limits():
    """With P = alpha = 1, they are ``0.5 z / sqrt(p)``; with P = 0, no success counts."""
    z = (RARE - 0.25) / RARE.std()
    assert asymmetric_advantages(RARE, 0.25, 1.0) == pytest.approx(0.5 * z / 0.5, rel=1e-4)
    none = asymmetric_advantages(RARE, 0.25, 0.0)
    assert none[0] == 0.0
    assert none[1:] == pytest.approx(0.5 * z[1:] / 0.5, rel=1e-4)
    assert np.array_equal(asymmetric_advantages(np.ones(4), 1.0, 1.0), np.zeros(4))  # nothing to compare


def test_weights_are_asymmetric():
    """Group-relative advantages add up to 0; these are below, by the factor of the positive ones."""
    for p, overall, alpha in ((0.25, 0.3, 1.0), (0.25, 0.3, 0.5), (0.25, 0.8, 0.5)):
        advantages = asymmetric_advantages(RARE, p, overall, alpha)
        factor = min(1.0, overall / alpha)
        assert advantages[0] == pytest.approx(-factor * advantages[1:].sum(), rel=1e-5)
    # with rare success overall, groups that succeed often weigh more; with frequent success, those that do rarely
    often = 1.0 - RARE
    for overall, larger, smaller in ((0.05, often, RARE), (0.95, RARE, often)):
        sizes = [np.abs(asymmetric_advantages(r, r.mean(), overall)[r == 0]).sum() for r in (larger, smaller)]
        assert sizes[0] / (larger.mean() / larger.std()) > sizes[1] / (smaller.mean() / smaller.std())


# ------------------------------------------------------------------ first states
def test_episodes_of_a_group_start_from_one_orbit():
    """Also the later ones, and although lengths differ."""
    venv = DummyVecEnv([lambda k=k: Plane(C4, length=3 + k % 4) for k in range(8)])
    starts = OrbitStarts(venv, C4, 4, seed=5)
    first = {(i, 0): row for i, row in enumerate(starts.reset())}
    for _ in range(12):
        rows, _, dones, _ = starts.step(np.zeros((8, 2), np.float32))
        first |= {(i, int(starts.episodes[i])): rows[i] for i in np.flatnonzero(dones)}
    transform = venv.observation_space.representation.transform
    for (i, k), row in first.items():
        if k <= 1:
            expected = transform(first[i - i % 4, k], C4.elements()[i % 4])
            assert row == pytest.approx(expected, abs=1e-6)
    assert not np.allclose(first[0, 0], first[4, 0])
    assert not np.allclose(first[0, 0], first[0, 1])


def test_first_states_in_the_batch_of_eqrl():
    """A robot's whole state is turned: the observations of a group are images of the first."""
    venv = eqrl.make_vec("eqrl/AntTarget-v0", 4, n_threads=1, max_episode_steps=2)
    starts = OrbitStarts(venv, SO2, 2, seed=1)
    transform = venv.observation_space.representation.transform
    rows = starts.reset()
    for _ in range(2):
        for group in (0, 1):
            g = starts._start(2 * group + 1)[1]
            assert rows[2 * group + 1] == pytest.approx(transform(rows[2 * group], g), abs=1e-5)
        for _ in range(2):
            rows = starts.step(np.zeros((4, 8), np.float32))[0]
    venv.close()


# ------------------------------------------------------------------ the spread
def spread(world) -> float:
    """Spread of the returns of a deterministic policy that commutes with the quarter turns."""
    venv = OrbitStarts(DummyVecEnv([lambda: world(C4)] * 8), C4, 4)
    model = PPO(EquivariantPolicy, venv, device="cpu", seed=0, policy_kwargs={"network_kwargs": {"output_gain": 1.0}})
    rows = venv.reset()
    for _ in range(30):
        rows = venv.step(model.predict(rows, deterministic=True)[0])[0]
    groups = [[total for total, _ in scores.values()] for scores in venv.finished.values()]
    assert [len(group) for group in groups] == [4, 4]
    return float(np.mean([np.std(group) for group in groups]))


def test_the_spread_tells_whether_the_world_is_exact():
    assert spread(Plane) < 1e-4
    assert spread(Windy) > 0.1


# ------------------------------------------------------------------ the prior
def test_samples_get_the_advantage_of_their_episode():
    """And those of episodes that have not ended yet get none."""
    venv = DummyVecEnv([lambda k=k: Plane(C4, length=5 + k) for k in range(4)])
    model = PPO("MlpPolicy", venv, n_steps=12, batch_size=48, device="cpu", seed=0, n_epochs=1)
    prior = OrbitAdvantage(strength=2.0)
    prior.attach(model)
    original, seen = prior._scored, []

    def spy():
        seen.append((model.rollout_buffer.advantages.copy(), scored := original()))
        return scored

    prior._scored = spy
    model.learn(48)
    before, scored = seen[0]
    after = model.rollout_buffer.advantages.reshape(4, 12).T
    extra = (after - before / (before.std() + 1e-8)) / 2.0
    assert {(i, k) for i, k, _ in scored} == {(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (3, 0)}
    for i in range(4):
        for t in range(12):
            expected = sum(a for j, k, a in scored if j == i and k == t // (5 + i))
            assert extra[t, i] == pytest.approx(expected, abs=1e-4)
    assert np.abs(extra).max() > 0.1
    share = model.logger.name_to_value["symmetry/orbit_advantage/share"]
    assert share == pytest.approx(np.mean(np.abs(extra) > 1e-4))


def test_who_ends_before_all_others_is_compared_with_nobody():
    """In rollouts of 10 steps, an episode of 9 ends in the first one, and those of 11 to 13 in the second."""
    venv = DummyVecEnv([lambda k=k: Plane(C4, length=k) for k in (9, 11, 12, 13)])
    model = PPO("MlpPolicy", venv, n_steps=10, batch_size=40, device="cpu", seed=0, n_epochs=1)
    prior = OrbitAdvantage()
    prior.attach(model)
    original, scored, shares = prior._scored, [], []
    prior._scored = lambda: scored.append(original()) or scored[-1]
    prior.after_update = lambda: shares.append(model.logger.name_to_value["symmetry/orbit_advantage/share"])
    model.learn(80)
    assert scored[0] == [(0, 0, 0.0)]
    later = {i: advantage for i, k, advantage in scored[1] if k == 0}
    assert set(later) == {0, 1, 2, 3}
    assert all(later.values())
    # of the second rollout, the 1, 2 and 3 samples until these episodes end have one, and none of episodes that go on
    assert shares == pytest.approx([0.0, 6 / 40])


def test_layers_stay_outside():
    """The returns that are compared are those of the environment, whatever scales its rewards."""
    env = VecNormalize(VecMonitor(DummyVecEnv([lambda: Plane(C4)] * 4)), norm_obs=False)
    model = PPO("MlpPolicy", env, n_steps=32, batch_size=64, device="cpu")
    prior = OrbitAdvantage(size=2)
    prior.attach(model)
    assert model.env is env
    assert isinstance(env.venv.venv, OrbitStarts)
    assert prior.starts is env.venv.venv


def test_refusals():
    with pytest.raises(ValueError, match="it has no method 'get_state'"):
        OrbitAdvantage().attach(PPO("MlpPolicy", DummyVecEnv([Walker] * 2), device="cpu"))
    with pytest.raises(ValueError, match="compares environments, and there is one"):
        OrbitAdvantage().attach(PPO("MlpPolicy", DummyVecEnv([lambda: Plane(C4)]), device="cpu")).learn(8)
    with pytest.raises(ValueError, match="size=1 is not a number of environments in a group"):
        OrbitAdvantage(size=1)
    with pytest.raises(ValueError, match="alpha=0"):
        OrbitAdvantage(alpha=0.0)
