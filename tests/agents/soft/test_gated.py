"""The gate opens where the world is broken, and there alone; values elsewhere are none the worse."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from plane import C4, Plane, in_patch
from scipy.stats import rankdata
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.logger import configure

from eqrl.agents import EquivariantPolicy, EquivariantSACPolicy, make_prior, priors_of
from eqrl.agents.soft.algorithm import add_prior
from eqrl.agents.soft.hooks import Hooks
from eqrl.agents.soft.one_step import evidence_of, held_out
from eqrl.nn import Gated

PATCH = (0.5, 0.3, 0.4)
WIND = 0.3


def stepped(states, actions, wind):
    """The step of ``Plane`` for many states ``(n, 4)``, and its rewards."""
    x, v = states[:, :2], 0.8 * states[:, 2:] + 0.2 * np.clip(actions, -1.0, 1.0)
    v = v + wind * in_patch(x, PATCH)[:, None] * [1.0, 0.0]
    x = x + 0.3 * v
    return np.concatenate([x, v], axis=1), -np.linalg.norm(x, axis=1)


def drawn(n, seed):
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.uniform(-1.0, 1.0, (n, 2)), rng.uniform(-0.5, 0.5, (n, 2))], axis=1)


def tensor(x):
    return torch.as_tensor(np.asarray(x), dtype=torch.float32)


@cache
def taught(wind):
    """A SAC model with gated networks whose gates have learnt from 4000 transitions."""
    torch.manual_seed(0)
    kwargs = {"network": "gated", "network_kwargs": {"hidden": (16, 16)}}
    model = SAC(EquivariantSACPolicy, Plane(C4), seed=0, device="cpu", policy_kwargs=kwargs, buffer_size=100)
    model.set_logger(configure(None, []))
    prior = make_prior("gated", learning_rate=3e-3)
    prior.attach(model)
    rng = np.random.default_rng(0)
    states, actions = drawn(4000, 0), rng.uniform(-1.0, 1.0, (4000, 2))
    later, rewards = stepped(states, actions, wind)
    transitions = [tensor(x) for x in (states, actions, later, rewards[:, None])]
    model.policy.critic.features_extractor.observe(transitions[0], True)
    for _ in range(600):
        rows = torch.as_tensor(rng.integers(0, 4000, 256))
        prior.teach(*(x[rows] for x in transitions))
    return model


def gates(model, states, actions):
    """Gates of a Q-function, of states and actions, and of the actor, of states."""
    with torch.no_grad():
        features = model.policy.critic.features_extractor(tensor(states))
        pairs = model.policy.critic.inputs(features, tensor(actions))
        both = model.policy.critic.q_networks[0].gate(pairs), model.actor.backbone.gate(features)
    return [gate[:, 0].numpy() for gate in both]


def area(score, positive):
    """Area under the ROC curve, from the mean rank of the positives."""
    n, m = positive.sum(), (~positive).sum()
    return (rankdata(score)[positive].sum() - n * (n + 1) / 2) / (n * m)


def test_the_step_is_that_of_the_plane():
    env = Plane(C4, patch=PATCH, wind=WIND)
    env.reset(seed=0)
    states, actions = drawn(50, 1), np.random.default_rng(1).uniform(-1.0, 1.0, (50, 2))
    later, rewards = stepped(states, actions, WIND)
    for i, state in enumerate(states):
        env.set_state(state)
        observation, reward, *_ = env.step(actions[i])
        assert np.allclose(observation, later[i], atol=1e-6)
        assert reward == pytest.approx(rewards[i])


def test_a_quarter_is_held_out_by_contents_alone():
    x = torch.randn(4000, 3)
    held = held_out(x)
    assert 0.2 < float(held.float().mean()) < 0.3
    order = torch.randperm(4000)
    assert torch.equal(held_out(x[order]), held[order])


def test_refusals():
    for options, words in (
        ({"epochs": 0}, "epochs=0"),
        ({"strength": -1}, "strength=-1"),
    ):
        with pytest.raises(ValueError, match=words):
            make_prior("gated", **options)


def test_closed_everywhere_in_an_exact_world():
    states, actions = drawn(2000, 2), np.random.default_rng(2).uniform(-1.0, 1.0, (2000, 2))
    for gate in gates(taught(0.0), states, actions):
        assert gate.mean() < 0.01
        assert np.quantile(gate, 0.99) < 0.1


def test_open_in_the_broken_patch_alone():
    states, actions = drawn(2000, 2), np.random.default_rng(2).uniform(-1.0, 1.0, (2000, 2))
    broken = in_patch(states, PATCH)
    for gate in gates(taught(WIND), states, actions):
        assert area(gate, broken) >= 0.9
        assert gate[broken].mean() > 0.5
        assert gate[~broken].mean() < 0.05


@pytest.mark.parametrize("wind", [0.0, WIND])
def test_the_log_tells_whether_the_gate_opens(wind):
    model = taught(wind)
    (prior,) = priors_of(model)
    states, actions = drawn(2000, 2), np.random.default_rng(2).uniform(-1.0, 1.0, (2000, 2))
    model.set_logger(configure(None, []))
    later, rewards = stepped(states, actions, wind)
    prior.teach(*(tensor(x) for x in (states, actions, later, rewards[:, None])))
    logged = {name: model.logger.name_to_value[f"symmetry/gated/{name}"] for name in ("gate", "gate_95")}
    gate = gates(model, states, actions)[1]
    assert logged["gate"] == pytest.approx(gate.mean(), abs=0.03)
    assert logged["gate_95"] > 0.9 if wind else logged["gate_95"] < 0.1


# ------------------------------------------------------------------ values, in a table
SIZE = 9
MOVES = np.array([[0, 0], [1, 0], [0, 1], [-1, 0], [0, -1]])
BLOWN = 12  # cells of the broken patch


def grid(wind):
    """Probabilities ``(cells, moves, cells)`` of a walk that slips, with wind along +x in one corner, and rewards."""
    cells = np.stack(np.meshgrid(*[np.arange(SIZE) - SIZE // 2] * 2, indexing="ij"), -1).reshape(-1, 2)
    corner = (cells[:, 0] >= 0) & (cells[:, 0] <= 2) & (cells[:, 1] >= 1) & (cells[:, 1] <= 4)
    index = {tuple(cell): i for i, cell in enumerate(cells)}
    steps = np.zeros((len(cells), len(MOVES), len(cells)))
    for i, cell in enumerate(cells):
        for a in range(len(MOVES)):
            for slip, share in ((a, 0.8), *((b, 0.04) for b in range(len(MOVES)))):
                there = cell + MOVES[slip] + (wind and corner[i]) * np.array([2, 0])
                steps[i, a, index[tuple(np.clip(there, -(SIZE // 2), SIZE // 2))]] += share
    turned = np.array([index[-y, x] for x, y in cells])
    return steps, -np.linalg.norm(cells, axis=1), corner, turned


def optimal(steps, rewards, discount=0.95):
    value = np.zeros(len(rewards))
    for _ in range(400):
        value = rewards + discount * (steps @ value).max(1)
    return value


def averaged(steps, turned):
    """The mean over quarter turns of cells and moves: the model of an exact agent."""
    images, moves, cells = [], np.arange(len(MOVES)), np.arange(len(turned))
    for _ in range(4):
        images.append(steps[cells][:, moves][:, :, cells])
        cells, moves = turned[cells], np.array([0, 2, 3, 4, 1])[moves]
    return np.mean(images, axis=0)


def errors(wind, seed=0, n=400):
    """Errors of optimal values outside the corner, for models from samples: gated, exact and free."""
    steps, rewards, corner, turned = grid(wind)
    rng = np.random.default_rng(seed)
    learnt, fresh = (rng.multinomial(n, steps) / n for _ in range(2))
    exact = averaged(learnt, turned)
    # the squares of an outcome less its prediction, a mean over fresh outcomes
    squares = [torch.as_tensor(1.0 - 2.0 * (fresh * p).sum(-1) + (p * p).sum(-1)) for p in (exact, learnt)]
    apart = torch.as_tensor(np.square(exact - learnt).sum(-1))
    gate = (evidence_of(*squares, apart, 0.01) > 0.0).numpy()[..., None]
    true = optimal(steps, rewards)
    models = {"gated": np.where(gate, learnt, exact), "exact": exact, "free": learnt}
    return {name: np.abs(optimal(p, rewards) - true)[~corner].max() for name, p in models.items()}, gate, corner


def test_a_local_breaking_does_not_spread_through_gated_backups():
    """Backups of the exact model are wrong far away from the corner; gated ones are no worse than those of samples."""
    assert grid(True)[2].sum() == BLOWN
    quiet, closed, _ = errors(False)
    broken, gate, corner = errors(True)
    assert not closed.any()
    assert gate[corner].all()
    assert broken["gated"] <= broken["free"]
    assert broken["exact"] > 5.0 * broken["gated"]
    assert quiet["gated"] <= quiet["free"]


# ------------------------------------------------------------------ in PPO
class Ratios(Hooks):
    """Compares the policy that PPO is about to improve with the one that has acted."""

    name = "ratios"

    def before_update(self):
        buffer, policy = self.model.rollout_buffer, self.model.policy
        observations, actions = (torch.as_tensor(x).flatten(0, 1) for x in (buffer.observations, buffer.actions))
        with torch.no_grad():
            log_prob = policy.evaluate_actions(observations, actions)[1]
        self.largest.append(float((log_prob - torch.as_tensor(buffer.log_probs).flatten()).abs().max()))


def test_the_policy_that_ppo_improves_is_the_one_that_has_acted():
    env = make_vec_env(lambda: Plane(C4, patch=PATCH, wind=WIND), 4, seed=0)
    model = PPO(EquivariantPolicy, env, n_steps=64, batch_size=64, seed=0, policy_kwargs={"network": "gated"})
    make_prior("gated", learning_rate=3e-2).attach(model)
    spy = Ratios()
    spy.model, spy.largest = model, []
    add_prior(model, spy)
    actor = next(net for net in model.policy.modules() if isinstance(net, Gated))
    with torch.no_grad():  # an open gate shall change the policy
        for parameter in actor.remainder.parameters():
            parameter += torch.randn_like(parameter)
    model.learn(5 * 256)
    features = model.policy.pi_features_extractor(tensor(drawn(500, 3)))
    assert float(actor.gate(features).detach().max()) > 0.0
    assert max(spy.largest) < 1e-4


def test_the_exact_pathway_may_have_its_own_width():
    options = {"network": "gated", "network_kwargs": {"hidden": (16, 16), "exact_kwargs": {"hidden": (8, 8)}}}
    model = PPO(EquivariantPolicy, Plane(C4), n_steps=64, seed=0, device="cpu", policy_kwargs=options)
    make_prior("gated", hidden=(8,)).attach(model)
    model.learn(64)
    assert [gated.exact.hidden for gated in (model.policy.action_net, model.policy.value_net)] == [(8, 8)] * 2
