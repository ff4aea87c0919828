"""Symmetry loss: zero on exact networks, decoys lose their weight, and the effective group is what the world keeps."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
import torch
from broken_plane import BrokenPlane
from plane import Plane
from stable_baselines3 import PPO, SAC, TD3
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv
from toy_envs import PointMass, Reach, Walker

import eqrl
from eqrl.agents import SymmetryLoss, make_prior
from eqrl.agents.soft.candidates import as_generator, whole_candidates
from eqrl.agents.soft.refinement import CLOSURE, Candidate, Refinement
from eqrl.agents.soft.tension import DataTension, SimulatorTension, fresh_world, logged_transitions
from eqrl.declare import WithSymmetry, with_symmetry
from eqrl.discovery import Transitions
from eqrl.nn import build
from eqrl.symmetry import O2, SO2, Element, about_gravity, finite_group, representation_of, scalars

SHEAR = Element(torch.tensor([[1.0, 0.5, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64))
DECOYS = {"rotation": about_gravity(0.7), "shear": SHEAR}
MIRROR_Y, MIRROR_X = "mirror y -> -y", "turned mirror y -> -y"
HALF_TURN = finite_group("half turn", [as_generator("half turn", about_gravity(np.pi))])
QUARTER_TURN = finite_group("quarter turn", [as_generator("quarter turn", about_gravity(np.pi / 2.0))])


def stock(algorithm, env=PointMass, **options):
    policy = "MultiInputPolicy" if env is Reach else "MlpPolicy"
    return algorithm(policy, DummyVecEnv([env]), policy_kwargs={"net_arch": [16]}, seed=0, device="cpu", **options)


def attached(model, **options):
    prior = SymmetryLoss(**{"every": 1, **options})
    prior.attach(model)
    model._setup_learn(1000, None)
    return prior


def draw(prior, weights=None):
    """Draw elements as before an update, without asking any world."""
    prior._checked = 0.0
    prior.model._current_progress_remaining = 1.0
    prior.refinement.weights.update(weights or {})
    prior.before_update()


# ------------------------------------------------------------------ the loss
@pytest.mark.parametrize("env", [PointMass, Walker])
def test_exact_networks_lose_nothing(env):
    """The loss is zero to rounding, and so is its gradient."""
    torch.manual_seed(0)
    prior = attached(stock(TD3, env, buffer_size=10))
    draw(prior)
    observation, action = representation_of(prior.model.observation_space), representation_of(prior.model.action_space)
    actor = build("frame", observation, action, observation.group, hidden=(16,)).double()
    value = build("frame", observation, scalars("v", 1, observation.group), observation.group, hidden=(16,)).double()
    x = torch.randn(64, observation.dim, dtype=torch.float64)
    for network, term in ((actor, prior.policy_term(actor, x)), (value, prior.value_term(value, x))):
        assert float(term.detach()) < 1e-12
        gradients = torch.autograd.grad(term, list(network.parameters()), allow_unused=True)
        assert all(g is None or g.abs().max() < 1e-12 for g in gradients)


@pytest.mark.parametrize("env", [PointMass, Walker, Reach])
@pytest.mark.parametrize("algorithm", [PPO, SAC])
def test_ordinary_networks_lose(algorithm, env):
    """Means, standard deviations and values that are not equivariant count."""
    options = {"n_steps": 64} if algorithm is PPO else {"buffer_size": 10}
    prior = attached(stock(algorithm, env, **options))
    draw(prior)
    model = prior.model
    samples = [model.observation_space.sample() for _ in range(64)]
    if env is Reach:
        x = {key: torch.as_tensor(np.stack([s[key] for s in samples])) for key in samples[0]}
    else:
        x = torch.as_tensor(np.stack(samples))
    actions = torch.as_tensor(np.stack([model.action_space.sample() for _ in range(64)]))
    policy = model.policy
    assert float(prior.policy_term(None, x).detach()) > 1e-6
    value = (policy.predict_values, x) if algorithm is PPO else (policy.critic, x, actions)
    assert float(prior.value_term(*value).detach()) > 1e-8


def test_target_is_constant_and_a_mean():
    """For a linear map, the loss is that of the formula, and the gradient reaches the image alone."""
    prior = attached(stock(TD3, lambda: Plane(O2), buffer_size=10), candidates=[MIRROR_Y], fraction=1.0)
    draw(prior)
    W = torch.randn(2, 4, dtype=torch.float64, requires_grad=True)
    x = torch.randn(8, 4, dtype=torch.float64)
    term = prior.policy_term(lambda s: s @ W.T, x)
    M, N = torch.diag(torch.tensor([1.0, -1.0])).double(), torch.diag(torch.tensor([1.0, -1.0, 1.0, -1.0])).double()
    here, there = (x @ W.T).detach(), (x @ N @ W.T).detach()
    image = x @ N @ W.T
    expected = prior.strength * (image - 0.5 * (here + there @ M) @ M).square().mean()
    assert float(term.detach()) == pytest.approx(float(expected.detach()))
    (gradient,), (expected_gradient,) = torch.autograd.grad(term, W), torch.autograd.grad(expected, W)
    assert torch.allclose(gradient, expected_gradient)


def test_every_second_step_counts_twice():
    """Steps without a term are made up for by the weight of those that have one."""
    x, linear = torch.randn(8, 4), torch.randn(4, 2)
    terms = {}
    for every in (1, 2):
        prior = attached(stock(TD3, lambda: Plane(O2), buffer_size=10), candidates=[MIRROR_Y], every=every)
        draw(prior)
        terms[every] = [prior.policy_term(lambda s: s @ linear, x) for _ in range(4)]
    assert [term is None for term in terms[2]] == [True, False, True, False]
    assert [2.0 * float(term) for term in terms[1][1::2]] == [float(term) for term in terms[2][1::2]]


def test_standard_deviations():
    """Those of a vector that turns have to be equal, those of entries that are exchanged too; signs do not matter."""
    prior = attached(stock(PPO, lambda: Plane(O2), n_steps=64), value_strength=0.0, fraction=1.0)
    log_std = prior.model.policy.log_std
    draw(prior)
    x = torch.randn(64, 4)
    equal = float(prior.policy_term(None, x).detach())
    with torch.no_grad():
        log_std += torch.tensor([0.5, -0.5])
    assert float(prior.policy_term(None, x).detach()) > equal + 0.01
    draw(prior, {"rotation about gravity": 0.0})  # mirrors alone
    alike = float(prior.policy_term(None, x).detach())
    assert alike < equal + 0.01


def test_error_falls_with_the_strength():
    """The equivariance error of a perceptron that learns a broken field falls monotonically."""
    errors = []
    x = torch.randn(256, 4, generator=torch.Generator().manual_seed(0))
    y = 0.5 * x[:, :2] - x[:, 2:] + torch.tensor([0.5, 0.0])
    mirror_x = whole_candidates(O2)[2].finite[0].element
    for strength in (0.0, 0.1, 1.0, 10.0):
        prior = attached(stock(TD3, lambda: Plane(O2), buffer_size=10), strength=strength, fraction=1.0)
        draw(prior)
        torch.manual_seed(0)
        net = torch.nn.Sequential(torch.nn.Linear(4, 32), torch.nn.Tanh(), torch.nn.Linear(32, 2))
        optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
        for _ in range(300):
            term = prior.policy_term(net, x)
            loss = (net(x) - y).square().mean() + (0.0 if term is None else term)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            gap = net(prior.orbit.observations(x, mirror_x)) - prior.orbit.actions(net(x), mirror_x)
        errors.append(float(gap.norm(dim=1).mean()))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.2 * errors[0]


# ------------------------------------------------------------------ the effective group
def refined(world, checks=4, groups=None, **options):
    groups = whole_candidates(O2) if groups is None else groups
    candidates = [Candidate(g.name, g) for g in groups] + [Candidate(name, g) for name, g in DECOYS.items()]
    refinement = Refinement(candidates, **options)
    tension = SimulatorTension(world)
    for _ in range(checks):
        refinement.check(tension)
    return refinement


def same(a, b):
    return a.is_subgroup_of(b) and b.is_subgroup_of(a)


def test_a_symmetric_world_keeps_all_but_the_shear():
    """A rotation by 0.7 is one of all rotations, so it is no decoy here."""
    refinement = refined(BrokenPlane())
    assert refinement.weights.pop("shear") == 0.0
    assert min(refinement.weights.values()) > 0.9
    assert max(t for name, t in refinement.tensions.items() if name != "shear") < 1e-9
    assert same(refinement.effective, O2)


def test_wind_leaves_only_its_mirror():
    refinement = refined(BrokenPlane(wind=0.2))
    assert refinement.weights.pop(MIRROR_Y) == 1.0
    assert max(refinement.weights.values()) == 0.0
    assert [c.name for c in refinement.candidates] == [MIRROR_Y]
    assert same(refinement.effective, whole_candidates(O2)[1])


def test_decoys_are_pruned_and_the_closure_is_grown():
    """The drag leaves both mirrors and so the half turn, which is their product and no candidate here."""
    mirrors = whole_candidates(O2)[1:]
    refinement = refined(BrokenPlane(drag=0.3), groups=[*mirrors, QUARTER_TURN])
    for name in (*DECOYS, "quarter turn"):
        assert refinement.weights[name] < 0.05
    for name in (MIRROR_Y, MIRROR_X, CLOSURE):
        assert refinement.weights[name] > 0.9
    assert refinement.effective.order == 4
    assert HALF_TURN.is_subgroup_of(refinement.effective)


def test_tolerance_decides_about_weak_wind():
    """Without a tolerance, any breaking counts beside an exact symmetry; with one it is accepted up to a size."""
    strict, mild = (refined(BrokenPlane(wind=0.02), tolerance=t) for t in (0.01, 0.5))
    assert strict.weights[MIRROR_X] < 0.05 < 0.9 < mild.weights[MIRROR_X]
    weights = [refined(BrokenPlane(wind=w), checks=1, least=0.0).weights[MIRROR_X] for w in (0.0, 0.02, 0.05, 0.1, 0.2)]
    assert weights == sorted(weights, reverse=True)
    assert weights[0] == 1.0


def test_closure_is_tested_before_it_counts():
    """Accepted candidates whose products are refused do not grow; state continues where it was."""
    mirrors = [Candidate(g.name, g) for g in whole_candidates(O2)[1:]]
    refinement = Refinement(mirrors)
    refinement.check(lambda c: 0.0)
    assert refinement.weights[CLOSURE] == 0.0
    assert refinement.effective.order == 2
    again = Refinement(mirrors)
    again.load_state(refinement.state())
    for one in (refinement, again):
        one.check(lambda c: 1.0 if c.name == CLOSURE else 0.0)
        assert one.weights[CLOSURE] < 0.05
        assert one.effective.order == 2
        one.check(lambda c: 0.0)
    assert refinement.state() == again.state()
    with pytest.raises(ValueError, match="unknown candidates"):
        Refinement(mirrors[:1]).load_state(refinement.state())


def played(world, n, seed=0):
    """Transitions of random actions from random states."""
    rng = np.random.default_rng(seed)
    world.action_space.seed(seed)
    rows = []
    for _ in range(n):
        world.set_state(rng.normal(size=4))
        before, action = world.observe(), world.action_space.sample()
        after, reward, *_ = world.step(action)
        rows.append((before, action, reward, after))
    before, actions, rewards, after = (np.array(column, dtype=np.float64) for column in zip(*rows, strict=True))
    return Transitions(before, actions, after, rewards)


@pytest.mark.parametrize("wind", [0.0, 0.2])
def test_logged_transitions_tell_too(wind):
    """The same verdicts without the simulator, from transitions of the whole plane."""
    world = BrokenPlane(wind=wind)
    spaces = (world.observation_space, world.action_space)
    tension = DataTension(played(world, 2000), *map(representation_of, spaces))
    candidates = [Candidate(g.name, g) for g in whole_candidates(O2)] + [Candidate("shear", SHEAR)]
    refinement = Refinement(candidates)
    for _ in range(4):
        refinement.check(tension)
    kept = {MIRROR_Y} if wind else {MIRROR_Y, MIRROR_X, "rotation about gravity", CLOSURE}
    assert {name for name, w in refinement.weights.items() if w > 0.9} == kept
    assert max((w for name, w in refinement.weights.items() if name not in kept), default=0.0) < 0.05
    assert same(refinement.effective, whole_candidates(O2)[1] if wind else O2)


@pytest.mark.parametrize("n", [250, 1000])
def test_transitions_of_one_half_do_not_refute_turns(n):
    """What is turned to where no data are is not judged: a weight stays, and nothing is learnt of its tension."""
    world = BrokenPlane()
    rows = played(world, 4 * n)
    right = rows.observations[:, 0] > 0.5
    half = Transitions(
        rows.observations[right], rows.actions[right], rows.next_observations[right], rows.rewards[right]
    )
    tension = DataTension(half, *map(representation_of, (world.observation_space, world.action_space)))
    refinement = Refinement([Candidate(g.name, g) for g in whole_candidates(O2)[1:]], patience=1)
    refinement.check(tension)
    assert refinement.weights[MIRROR_X] == 1.0
    assert MIRROR_X not in refinement.tensions
    assert refinement.tensions[MIRROR_Y] == 0.0


# ------------------------------------------------------------------ in a run
@pytest.mark.parametrize("algorithm", [PPO, SAC])
@pytest.mark.parametrize("asked", [True, False], ids=["simulator", "transitions"])
def test_refined_in_a_run(algorithm, asked):
    """A run under wind refutes turns from a world to ask or from what it has logged, and the wrong mirror if asked.

    The wind hardly leaves where its mirror image would be, so that a log does not tell.
    """
    env = lambda: BrokenPlane(wind=0.1)  # noqa: E731
    options = {"n_steps": 1024, "n_epochs": 1} if algorithm is PPO else {"learning_starts": 1200, "train_freq": 50}
    model = stock(algorithm, env, **options)
    rotation = {"rotation": DECOYS["rotation"]}
    prior = SymmetryLoss(candidates=[MIRROR_Y, MIRROR_X], decoys=rotation, world=env() if asked else None, patience=1)
    prior.attach(model).learn(2048 if algorithm is PPO else 1300)
    weights = prior.refinement.weights
    assert weights["rotation"] == 0.0
    assert weights[MIRROR_Y] > 0.0
    if asked:
        assert weights[MIRROR_X] == 0.0
        assert same(prior.effective_group, whole_candidates(O2)[1])


@pytest.mark.parametrize(("broken", "kept"), [({}, 1.0), ({"breaking": "wind", "breaking_size": 0.2}, 0.0)])
def test_environments_of_eqrl_are_asked(broken, kept):
    """A batch gives an instance with the same arguments, whose state can be set: transitions need not be asked."""
    env = eqrl.make_vec("eqrl/AntTarget-v0", n_envs=2, seed=0, **broken)
    prior = SymmetryLoss(patience=1)
    prior.attach(PPO("MlpPolicy", env, n_steps=4, batch_size=8, n_epochs=1)).learn(8)
    assert prior.refinement.weights["rotation about gravity"] == kept
    assert prior.refinement.weights["sagittal mirror"] == 1.0


def test_worlds_that_were_typed_from_outside_are_asked():
    """Humanoid is made anew with its types, though layers that only watch lie around it; it is not stepped itself."""
    typed = with_symmetry(gymnasium.make("Humanoid-v5", max_episode_steps=7), approximate=True)
    env = DummyVecEnv([lambda: Monitor(typed)])
    world = fresh_world(env)
    assert isinstance(world, WithSymmetry)
    assert world.unwrapped is not typed.unwrapped
    assert representation_of(world.observation_space) == representation_of(typed.observation_space)
    tension = SimulatorTension(world)
    (mirror,) = whole_candidates(typed.types.group)
    assert tension(Candidate(mirror.name, mirror)) == pytest.approx(0.018, abs=0.01)
    upside_down = Element(torch.diag(torch.tensor([1.0, 1.0, -1.0], dtype=torch.float64)))
    assert tension(Candidate("upside down", upside_down)) is None  # no state of the model is its image
    with pytest.raises(gymnasium.error.ResetNeeded):
        typed.step(typed.action_space.sample())


def test_a_rollout_that_is_too_short_to_tell():
    """It says so, where a replay buffer would wait until it is longer."""
    model = SymmetryLoss().attach(PPO("MlpPolicy", DummyVecEnv([PointMass]), n_steps=64, batch_size=64, n_epochs=1))
    with pytest.warns(UserWarning, match="cannot ask the world: 61 transitions are too few"):
        model.learn(64)


@pytest.mark.parametrize("steps", [40, 130])
def test_a_replay_buffer_that_saves_memory_holds_the_same_transitions(steps):
    """All but the last of an episode, whose next observation it does not keep."""
    env = DummyVecEnv([lambda: PointMass(length=7)] * 2)
    logged = []
    for saving in (False, True):
        model = SAC(
            "MlpPolicy",
            env,
            buffer_size=100,
            learning_starts=1000,
            optimize_memory_usage=saving,
            replay_buffer_kwargs={"handle_timeout_termination": False},
            seed=0,
        )
        logged.append(logged_transitions(model.learn(steps)))
    full, saved = (np.concatenate([log.observations, log.actions, log.next_observations], axis=1) for log in logged)
    assert 0.7 * len(full) < len(saved) < len(full)
    gaps = np.abs(saved[:, None] - full).max(axis=-1)
    assert gaps.min(axis=1).max() == 0.0
    assert len(set(gaps.argmin(axis=1))) == len(saved)


def test_refusals():
    for options, message in (
        ({"fraction": 0.0}, "fraction=0"),
        ({"patience": 0}, "patience=0"),
        ({"tolerance": -1.0}, "tolerance=-1.0 is not a weight"),
    ):
        with pytest.raises(ValueError, match=message):
            make_prior("symmetry_loss", **options)
    with pytest.raises(ValueError, match="unknown candidate 'miror'"):
        SymmetryLoss(candidates=["miror"]).attach(stock(PPO))
    assert [c.name for c in whole_candidates(SO2)] == ["rotation about gravity"]
