"""Augmentation as a constraint: what is sampled, when it turns on, and what its multipliers tell."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from plane import C4, MIRROR_Y, Plane
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.vec_env import DummyVecEnv
from torch import nn

import eqrl
from eqrl.agents import ConstrainedAugmentation
from eqrl.agents.soft.metropolis import metropolis_hastings
from eqrl.agents.soft.multipliers import Multipliers
from eqrl.symmetry import O2, SO2

LOSSES = torch.tensor([0.2, 0.3, 0.5, 0.8, 1.0, 1.2, 1.7, 2.3], dtype=torch.float64)
TARGET = (LOSSES / LOSSES.sum()).numpy()


def total_variation(states: int, chains: int, burn_in: int) -> float:
    """Distance of the states of chains, after the first ones, from the distribution in proportion to the loss."""
    torch.manual_seed(0)
    proposals = torch.randint(len(LOSSES), (states, chains))
    path = metropolis_hastings(LOSSES[proposals])[burn_in:]
    visited = proposals.gather(0, path).flatten()
    return 0.5 * float(np.abs(np.bincount(visited, minlength=len(LOSSES)) / len(visited) - TARGET).sum())


def test_chains_visit_elements_in_proportion_to_their_loss():
    """After 2e5 steps, and one proposal is uniform augmentation."""
    assert total_variation(220, 1000, 20) < 0.01
    uniform, two = total_variation(1, 200_000, 0), total_variation(2, 200_000, 1)
    assert uniform == pytest.approx(0.5 * float(np.abs(1 / 8 - TARGET).sum()), abs=0.005)
    assert two < 0.5 * uniform


def test_a_loss_of_zero_lets_every_proposal_through():
    path = metropolis_hastings(torch.zeros(3, 2))
    assert path.tolist() == [[0, 0], [1, 1], [2, 2]]


def test_multipliers():
    """They stay at 0 below the bound, and converge to the KKT multiplier of a convex problem."""
    multipliers = Multipliers(1, 0.0, epsilon=1.5, step=0.01, smoothing=0.9)
    assert all(multipliers.ascend(0, 1.4, 1.0) == 0.0 for _ in range(1000))
    # minimise (x - 2)^2 with x^2 <= 1: x = 1, and 2 (x - 2) + 2 gamma x = 0 gives gamma = 1
    multipliers, x = Multipliers(1, 0.0, epsilon=1.0, step=0.05, smoothing=0.9), 0.0
    for _ in range(4000):
        gamma = multipliers.ascend(0, x * x, 1.0)
        x -= 0.05 * (2 * (x - 2) + 2 * gamma * x)
    assert x == pytest.approx(1.0, abs=1e-3)
    assert multipliers.values[0] == pytest.approx(1.0, abs=1e-3)


def model_in(group, algorithm=PPO, n: int = 4):
    options = (
        {"n_steps": 32, "batch_size": 64}
        if algorithm is PPO
        else {"learning_starts": 8, "batch_size": 64, "ent_coef": 0.1}
    )
    return algorithm("MlpPolicy", DummyVecEnv([lambda: Plane(group)] * n), device="cpu", seed=0, **options)


class Minibatch:
    """What a prior reads of SB3's samples."""

    def __init__(self, observations, actions, returns) -> None:
        self.observations, self.actions, self.returns = observations, actions, returns


def fit(prior, reward, steps: int = 800) -> None:
    """Regression of a reward by an ordinary network under the constraints of a prior."""
    torch.manual_seed(0)
    np.random.seed(0)
    net = nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 1))
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    for _ in range(steps):
        x = torch.empty(128, 4).uniform_(-1, 1)
        batch = Minibatch(x, None, reward(x) + 0.05 * torch.randn(128))
        prior.see(batch, batch)
        term = prior.value_term(net, x)
        loss = (net(x)[:, 0] - batch.returns).square().mean() + (0.0 if term is None else term)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def values_of(prior) -> dict[str, float]:
    return {o.group.name: v for o, v in zip(prior.orbits, prior.multipliers["value"].values, strict=True)}


@pytest.fixture(scope="module")
def multipliers():
    """By the world, the multipliers of the rotations and of a mirror, after the same training."""
    worlds = {
        "calm": lambda x: -x[:, :2].norm(dim=1),
        "wind": lambda x: -(x[:, :2] - torch.tensor([0.4, 0.0])).norm(dim=1),  # the goal is blown along x
    }
    result = {}
    for name, reward in worlds.items():
        prior = ConstrainedAugmentation(epsilon=1.5, dual_step=1e-2, share=1.0, every=1)
        prior.attach(model_in(O2))
        fit(prior, reward)
        result[name] = values_of(prior)
    return result


def test_multipliers_vanish_where_the_symmetry_is_true_and_free(multipliers):
    assert max(multipliers["calm"].values()) < 0.08


def test_the_multiplier_of_a_planted_decoy_is_far_larger(multipliers):
    """Wind along x breaks the rotations and keeps the mirror y -> -y."""
    decoy, true = multipliers["wind"]["SO2"], multipliers["wind"]["mirror y -> -y"]
    assert decoy > 1.0
    assert decoy > 10 * true


def angles(states: int) -> tuple[np.ndarray, float]:
    """Angles that are sampled for ``V = x^2``, which half turns keep, and the mean loss there."""
    prior = ConstrainedAugmentation(SO2, states=states, share=1.0, every=1)
    prior.attach(model_in(SO2))
    np.random.seed(0)
    torch.manual_seed(0)
    x = torch.tensor([[1.0, 0.0, 0.0, 0.0]]).repeat(20_000, 1)
    value = lambda x: x[:, :1].square()  # noqa: E731
    prior.see(None, Minibatch(x, None, value(x)[:, 0]))
    prior.multipliers["value"].clean = 1.0
    prior.multipliers["value"].smoothing = 0.0
    prior.value_term(value, x)
    R = prior.sampled["SO2"]["value"].R.numpy()
    angle = np.arctan2(R[:, 1, 0], R[:, 0, 0])
    return angle, float(np.mean(np.sin(angle) ** 4))


def test_angles_concentrate_where_the_world_is_broken():
    """The loss of an angle is ``sin^4``: far from half turns in a chain, anywhere with one uniform proposal."""
    uniform, chain = angles(1), angles(8)
    for (angle, loss), expected in ((uniform, 3 / 8), (chain, 35 / 48)):  # means of sin^4, and of sin^8 / sin^4
        assert loss == pytest.approx(expected, rel=0.05)
        assert abs(float(np.sin(2 * angle).mean())) < 0.05
    broken = lambda angle: float((np.abs(np.sin(angle)) > np.sin(np.pi / 4)).mean())  # noqa: E731
    assert broken(uniform[0]) == pytest.approx(0.5, abs=0.02)
    assert broken(chain[0]) > 0.85


def test_an_exact_network_is_left_alone():
    """All multipliers stay at 0 in PPO where actions ignore the state, and nothing is added to the loss."""
    prior = ConstrainedAugmentation(C4, every=1)
    prior.attach(model_in(C4))
    x = torch.randn(64, 4)
    mean = lambda x: -x[:, :2]  # noqa: E731
    prior.see(None, Minibatch(x, mean(x) + torch.randn(64, 2), None))
    assert prior.policy_term(mean, x) is None
    wrong = lambda x: x[:, :2] * torch.tensor([100.0, 0.0])  # noqa: E731
    prior.see(None, Minibatch(x, wrong(x) + torch.randn(64, 2), None))
    term = prior.policy_term(wrong, x)
    assert term is not None
    assert float(term) > 0.0


def test_candidates_take_turns_in_every_second_step():
    """Policy and values count for themselves, since TD3 updates its policy less often."""
    prior = ConstrainedAugmentation(O2)
    prior.attach(model_in(O2))
    x, seen = torch.randn(64, 4), []
    for step in range(8):
        prior.see(None, Minibatch(x, x[:, :2], x[:, 0]))
        prior.value_term(lambda x: x[:, :1], x)
        if step % 2:
            prior.policy_term(lambda x: -x[:, :2], x)
        seen.append({name: sorted(roles) for name, roles in prior.sampled.items()})
    first, second = seen[0]
    assert seen[0] == {first: [], second: []}
    assert seen[1] == {first: [], second: ["value"]}
    assert seen[3] == {first: ["value"], second: ["policy", "value"]}
    assert seen[7] == {first: ["policy", "value"], second: ["policy", "value"]}


def test_targets_of_sac_are_those_of_its_loss():
    """Put together from what ``train`` computes anyway."""
    prior = ConstrainedAugmentation()
    model = prior.attach(model_in(MIRROR_Y, SAC))
    original, measured = prior.value_term, []

    def spy(value, observations, actions):
        with torch.no_grad():
            target = prior._targets.of(prior._samples)
            measured.append(float(sum((q - target).square().mean() for q in value(observations, actions))) / 2)
        return original(value, observations, actions)

    prior.value_term = spy
    model.learn(12)
    losses = model.logger.name_to_value["train/critic_loss"]
    assert measured[-1] == pytest.approx(losses, rel=1e-5)


def test_refusals():
    for options, message in (
        ({"epsilon": 0.5}, "less than the clean loss"),
        ({"states": 0}, "not a length of a chain"),
        ({"share": 1.5}, "no fraction of a minibatch"),
        ({"smoothing": 1.0}, "never forgets"),
        ({"dual_step": -1.0}, "dual_step=-1.0 is not a weight"),
    ):
        with pytest.raises(ValueError, match=message):
            ConstrainedAugmentation(**options)
    with pytest.raises(ValueError, match="unknown group 'SO9'"):
        ConstrainedAugmentation(candidates=["SO9"]).attach(model_in(C4))
    named = ConstrainedAugmentation(candidates=["quarter turn"])
    named.attach(model_in(C4))
    assert [orbit.group.name for orbit in named.orbits] == ["quarter turn"]


def test_the_table_on_the_screen_does_not_stop_the_training(capsys):
    """SB3 cuts its keys to 36 characters and refuses two that are then equal: names of candidates stay out of it."""
    env = eqrl.make_vec("eqrl/AntTarget-v0", n_envs=2, n_threads=1)
    model = PPO("MlpPolicy", env, n_steps=16, batch_size=32, n_epochs=2, verbose=1, device="cpu")
    ConstrainedAugmentation().attach(model).learn(64)
    assert "total_timesteps" in capsys.readouterr().out
