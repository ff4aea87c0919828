"""Laws 9 and 10 for policies.

Padding changes no action, density, entropy, statistic or gradient, and members may be exchanged.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium import spaces
from padded_env import SIZES, Swarm, representations, resized, with_garbage
from sb3_contrib import TQC
from stable_baselines3 import PPO, SAC, TD3
from stable_baselines3.common.vec_env import DummyVecEnv
from token_network import TokenAttention

from eqrl import check_policy
from eqrl.agents import (
    BallNoise,
    EquivariantPolicy,
    EquivariantSACPolicy,
    EquivariantTD3Policy,
    EquivariantTQCPolicy,
    MirrorLossPPO,
    MirrorLossSAC,
    RandomRotation,
    SymmetricReplayBuffer,
    priors_of,
)
from eqrl.agents.actions import ActionGeometry
from eqrl.agents.distributions import EquivariantGaussian
from eqrl.agents.normalization import RunningNorm
from eqrl.nn import BACKBONES, Padding
from eqrl.symmetry import O2, Element, Field, Representation, TypedBox, random_exchange

ALGORITHMS = {
    PPO: (EquivariantPolicy, {"n_steps": 64, "batch_size": 32, "n_epochs": 2}),
    SAC: (EquivariantSACPolicy, {"learning_starts": 40, "batch_size": 32, "buffer_size": 2000}),
    TD3: (EquivariantTD3Policy, {"learning_starts": 40, "batch_size": 32, "buffer_size": 2000}),
    TQC: (EquivariantTQCPolicy, {"learning_starts": 40, "batch_size": 32, "buffer_size": 2000}),
}
OFF_POLICY = (SAC, TD3, TQC)
NETWORKS = ("frame", "regular", "vector", "tokens", "transformer", "hetero")
OBSERVATION, ACTION = representations()
REAL = OBSERVATION.slices["real"]
each_algorithm = pytest.mark.parametrize("algorithm", ALGORITHMS, ids=lambda kind: kind.__name__)


@pytest.fixture(autouse=True)
def _with_tokens(monkeypatch):
    monkeypatch.setitem(BACKBONES, TokenAttention.label, TokenAttention)


def made(algorithm, network="vector", env=None, policy_kwargs=(), **changes):
    policy, options = ALGORITHMS[algorithm]
    kwargs = {"network": network, "network_kwargs": {"hidden": (16, 16)}, **dict(policy_kwargs)}
    env = Swarm() if env is None else env
    if algorithm is TD3:
        options = {**options, "action_noise": BallNoise(env.action_space)}
    return algorithm(policy, env, policy_kwargs=kwargs, seed=0, device="cpu", **{**options, **changes})


def observations(n=24, slots=5, seed=0, env=None):
    env = Swarm(slots) if env is None else env
    batch = [env.reset(seed=seed)[0]]
    rng = np.random.default_rng(seed)
    while len(batch) < n:
        batch.append(env.step(rng.uniform(-1, 1, env.action_space.shape[0]).astype(np.float32))[0])
        if rng.random() < 0.4:
            batch[-1] = env.reset()[0]
    batch = np.stack(batch).astype(np.float32)
    members = batch[:, OBSERVATION.slices["real"]].sum(1) if slots == 5 else None
    assert members is None or set(members) == set(SIZES)
    return batch


def dirty(x, size):
    return with_garbage(OBSERVATION, x, size, np.random.default_rng(1))


def shaken(model, x):
    """Random weights without zeros, and a normaliser with statistics."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.policy.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    for module in model.policy.modules():
        if isinstance(module, RunningNorm):
            module.collect(torch.as_tensor(x))
            module.commit()
    return model


def quantities(model, x, actions):
    """All outputs of a policy for observations and actions, and the gradient of all of them."""
    policy = model.policy
    policy.set_training_mode(False)
    obs, acts = torch.as_tensor(x), torch.as_tensor(actions)
    torch.manual_seed(0)
    if isinstance(model, PPO):
        told = [*policy.evaluate_actions(obs, acts), policy.get_distribution(obs).mode()]
    elif isinstance(model, TD3):
        told = [policy.actor(obs), *policy.critic(obs, acts), policy.critic.q1_forward(obs, acts)]
    else:
        values = policy.critic(obs, acts)
        told = [*policy.actor.action_log_prob(obs), *(values if isinstance(values, tuple) else [values])]
    policy.zero_grad()
    sum((t * torch.linspace(-1, 2, t.numel()).view(t.shape)).sum() for t in told).backward()
    gradients = {name: p.grad.clone() for name, p in policy.named_parameters() if p.grad is not None}
    return [t.detach() for t in told], gradients, model.predict(x, deterministic=True)[0]


# ---------------------------------------------------------------------- law 9
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize(
    ("algorithm", "options"),
    [*((kind, {}) for kind in ALGORITHMS), (PPO, {"share_network": True})],
    ids=[*(kind.__name__ for kind in ALGORITHMS), "PPO shared"],
)
def test_contents_of_padding_change_nothing(algorithm, options, network):
    x = observations()
    model = shaken(made(algorithm, network, policy_kwargs=options), x)
    actions = np.random.default_rng(0).uniform(-0.5, 0.5, (len(x), ACTION.dim)).astype(np.float32)
    before, gradients, mode = quantities(model, x, actions)
    assert all(t.isfinite().all() for t in before)
    for size in (1.0, 1e4, np.inf):
        garbage = with_garbage(ACTION, actions, size, np.random.default_rng(2), masks=x[:, REAL])
        assert not np.array_equal(garbage, actions)
        after, dirty_gradients, dirty_mode = quantities(model, dirty(x, size), garbage)
        assert all(map(torch.equal, before, after))
        assert np.array_equal(mode, dirty_mode)
        assert gradients.keys() == dirty_gradients.keys()
        assert all(torch.equal(gradients[name], dirty_gradients[name]) for name in gradients)
    assert not padded_entries(x, mode).any()
    assert padded_entries(1 - x, mode).all()


def padded_entries(x, actions):
    """The entries of actions in padded slots."""
    padding = x[:, REAL] < 0.5
    force = actions[:, ACTION.slices["force"]].reshape(len(x), -1, 3)[padding]
    return np.concatenate([force.ravel(), actions[:, ACTION.slices["brake"]][padding]])


@pytest.mark.parametrize("exchangeable", [True, False])
def test_statistics_leave_padding_out(exchangeable):
    rep, _ = representations(exchangeable=exchangeable)
    x = torch.as_tensor(observations()).double()

    def statistics(x, rep=rep):
        norm = RunningNorm(rep).double()
        norm.collect(x[:12])
        norm.collect(x[12:])
        norm.commit()
        return norm

    clean = statistics(x)
    for size in (1.0, 1e6, np.inf):
        garbage = with_garbage(rep, x, size, np.random.default_rng(1))
        other = statistics(garbage)
        assert torch.equal(other.running_moments, clean.running_moments)
        assert torch.equal(other(garbage), clean(x))
    y = clean(x)
    for name in rep.markers:
        assert torch.equal(y[:, rep.slices[name]], x[:, rep.slices[name]])
    assert clean.samples == len(x)
    padding = x[:, REAL] == 0
    assert not y[:, rep.slices["charge"]].view(len(x), 5, 2)[padding].any()
    charge = clean.running_gain[rep.slices["charge"]].view(5, 2)
    if exchangeable:
        larger, _ = representations(slots=8)
        wide = statistics(with_garbage(larger, resized(rep, larger, x), 1.0, np.random.default_rng(1)), larger)
        assert torch.equal(wide.running_gain[larger.slices["charge"]].view(8, 2)[:5], charge)
        assert torch.equal(
            wide.running_shift[larger.slices["charge"]].view(8, 2)[:5],
            clean.running_shift[rep.slices["charge"]].view(5, 2),
        )
        moved = statistics(rep.transform(x, random_exchange(rep, len(x), rng=0)))
        assert torch.allclose(moved.running_moments, clean.running_moments, rtol=1e-12)
        # the mean and spread of all real members together
        real = x[:, rep.slices["charge"]].view(len(x), 5, 2)[~padding]
        assert torch.allclose(clean.running_shift[rep.slices["charge"]].view(5, 2)[3], real.mean(0))
    else:
        assert not torch.equal(charge[0], charge[1])


@pytest.mark.parametrize(("unit", "bounded"), [(True, True), (False, True), (False, False)])
def test_densities_and_entropies_are_those_of_fewer_slots(unit, bounded):
    """Padding counts as absent, whatever the widths are."""
    (observation, wide), narrow = representations(slots=6), representations(slots=4)[1]
    radius = 2.0 if bounded else np.inf
    x = torch.as_tensor(observations(slots=6)).double()
    x = x[x[:, observation.slices["real"]].sum(1) == 4]
    assert len(x) > 3
    valid = Padding(wide, observation).valid(x)
    large, small = (
        EquivariantGaussian(ActionGeometry(TypedBox(rep, -radius, radius), unit=unit).double())
        for rep in (wide, narrow)
    )
    assert large.orbits == small.orbits
    rng = torch.Generator().manual_seed(0)
    mean = 0.3 * torch.randn(len(x), wide.dim, generator=rng, dtype=torch.float64)
    for shift in (0.0, -1.0, 0.7):
        log_std = (torch.linspace(-3, -1.5, large.orbits, dtype=torch.float64) + shift).requires_grad_()
        results = []
        for distribution, inputs in ((large, mean), (small, resized(wide, narrow, mean))):
            distribution.proba_distribution(inputs, log_std, valid if distribution is large else None)
            mode = distribution.mode()
            density = distribution.log_prob(0.5 * mode)
            entropy = distribution.entropy() if not (unit or bounded) else density
            (gradient,) = torch.autograd.grad(density.sum() + entropy.sum(), log_std)
            results.append((resized(wide, narrow, mode) if distribution is large else mode, density, entropy, gradient))
        for a, b in zip(*results, strict=True):
            assert torch.allclose(a, b, rtol=1e-12, atol=1e-12)
        large.proba_distribution(mean, log_std, valid)
        for actions in (large.sample(), large.mode(), large.actions_from_params(mean, log_std, valid)):
            assert not actions[~valid].any()
            assert actions[valid].all()
        actions, density = large.log_prob_from_params(mean, log_std, valid)
        assert not actions[~valid].any()
        if unit or bounded:
            assert torch.allclose(density, large.log_prob(actions), rtol=1e-5)
        kl = torch.distributions.kl_divergence(
            large.distribution, large.proba_distribution(mean, log_std + 1, valid).distribution
        )
        assert not kl[~valid].any()


@each_algorithm
def test_more_slots_of_padding_change_nothing(algorithm):
    small, large = made(algorithm, "tokens"), made(algorithm, "tokens", Swarm(slots=8))
    x = observations()
    shaken(small, x)
    # the statistics of coordinates have another size; they follow from the moments
    sizes = {name: value.shape for name, value in large.policy.state_dict().items()}
    fitting = {name: value for name, value in small.policy.state_dict().items() if value.shape == sizes[name]}
    large.policy.load_state_dict(fitting, strict=False)
    wide_obs, wide_act = representations(slots=8)
    wide = resized(OBSERVATION, wide_obs, x).numpy()
    for module in large.policy.modules():
        if isinstance(module, RunningNorm):
            module.commit()
    for (name, a), (other, b) in zip(small.policy.named_parameters(), large.policy.named_parameters(), strict=True):
        assert name == other
        assert torch.equal(a, b)
    actions = small.predict(x, deterministic=True)[0]
    predicted = large.predict(wide, deterministic=True)[0]
    assert np.allclose(predicted, resized(ACTION, wide_act, actions).numpy(), atol=1e-5)
    inputs = 0.5 * actions
    wide_inputs = resized(ACTION, wide_act, inputs).numpy()
    for model_quantity in range(1, 3) if algorithm is not PPO else range(2):
        a, b = (
            quantities(m, *args)[0][model_quantity] for m, args in ((small, (x, inputs)), (large, (wide, wide_inputs)))
        )
        if algorithm in (SAC, TQC) and model_quantity == 1:
            continue  # its noise differs, and so does its density
        assert torch.allclose(a, b, atol=1e-4, rtol=1e-4)


# ---------------------------------------------------------------------- law 10
@each_algorithm
def test_members_may_change_places(algorithm):
    x = observations(32)
    model = shaken(made(algorithm, "tokens"), x)
    g = random_exchange(OBSERVATION, len(x), rng=0)
    moved = OBSERVATION.transform(x, g)
    actions = 0.5 * model.predict(x, deterministic=True)[0]
    turned = ACTION.transform(actions, g)
    assert np.allclose(model.predict(moved, deterministic=True)[0] / 2, turned, atol=1e-5)
    fixed = {PPO: (0, 1), TD3: (1, 2, 3), SAC: (2, 3), TQC: (2,)}[algorithm]
    before, after = quantities(model, x, actions)[0], quantities(model, moved, turned)[0]
    for i in fixed:
        assert torch.allclose(before[i], after[i], atol=1e-4, rtol=1e-4)


def test_policies_say_what_they_make_of_exchange():
    assert "commutes with O2, and with every exchange of 'swarm'" in made(PPO, "tokens").policy.describe()
    assert "gives each slot weights of its own, not exchange of 'swarm'" in made(PPO, "vector").policy.describe()
    with_codes = {"network_kwargs": {"hidden": (16, 16), "positions": True}}
    assert "not exchange of 'swarm'" in made(PPO, "set", policy_kwargs=with_codes).policy.describe()
    assert "with every exchange of 'swarm'" in made(PPO, "set").policy.describe()
    assert "exchange" not in made(PPO, "vector", Swarm(exchangeable=False)).policy.describe()


# ---------------------------------------------------------------------- training
@pytest.mark.parametrize("network", ["vector", "tokens"])
@each_algorithm
def test_training_with_padding(algorithm, network):
    env = Swarm(filler=3.0)
    model = made(algorithm, network, env)
    before = [p.detach().clone() for p in model.policy.parameters()]
    model.learn(256 if algorithm is PPO else 160)
    assert all(p.isfinite().all() for p in model.policy.parameters())
    assert sum(not torch.equal(a, b) for a, b in zip(before, model.policy.parameters(), strict=True)) > len(before) // 2
    check_policy(model, env, group="O2", n=16)
    # padding is exactly zero in what the environment gets, and in what is stored
    if algorithm is PPO:
        buffer = model.rollout_buffer
        stored, seen = buffer.actions.reshape(-1, ACTION.dim), buffer.observations.reshape(-1, OBSERVATION.dim)
    else:
        n = model.replay_buffer.pos
        stored, seen = model.replay_buffer.actions[:n, 0], model.replay_buffer.observations[:n, 0]
    assert len(stored) >= 64
    assert not padded_entries(seen, stored).any()
    assert padded_entries(1 - seen, stored).any()
    acted = np.stack(env.acted[: len(stored)])
    if algorithm is not PPO:
        assert not padded_entries(seen, acted).any()


@pytest.mark.parametrize("algorithm", OFF_POLICY, ids=lambda kind: kind.__name__)
def test_what_stands_in_padding_is_never_learnt(algorithm):
    """Two runs that differ in the contents of padding alone are the same run."""
    runs = []
    for filler in (0.0, 5.0):
        model = made(algorithm, "vector", Swarm(filler=filler))
        model.learn(80)
        runs.append(model)
    a, b = (model.policy.state_dict() for model in runs)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)
    if algorithm is not TD3:
        assert torch.equal(runs[0].log_ent_coef, runs[1].log_ent_coef)


def test_ppo_never_learns_what_stands_in_padding():
    runs = []
    for filler in (0.0, 5.0):
        model = made(PPO, "vector", Swarm(filler=filler), ent_coef=0.01)
        runs.append(model.learn(192).policy.state_dict())
    assert all(torch.equal(runs[0][name], runs[1][name]) for name in runs[0])


# ---------------------------------------------------------------------- SAC's target
@pytest.mark.parametrize("algorithm", [SAC, TQC], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("target", ["auto", -7.0])
def test_target_entropy_counts_valid_entries(algorithm, target, tmp_path):
    model = made(algorithm, target_entropy=target)
    model.learn(150)
    share = 1.0 if target == "auto" else 7.0 / ACTION.dim
    targets = []
    original = model.replay_buffer.sample

    def sample(*args, **kwargs):
        data = original(*args, **kwargs)
        targets.append(-share * float((4 * data.observations[:, REAL].sum(1) + 3).mean()))
        return data

    model.replay_buffer.sample = sample
    for _ in range(3):
        model.train(1, 32)
        assert model.target_entropy == pytest.approx(targets[-1])
        assert isinstance(model.target_entropy, float)
    assert len(set(targets)) > 1
    # the loss of the temperature is the mean over samples with separate targets
    del model.replay_buffer.sample
    data = model.replay_buffer.sample(32)
    model.policy.set_training_mode(True)
    log_prob = model.actor.action_log_prob(data.observations)[1].detach()
    each = log_prob - share * (4 * data.observations[:, REAL].sum(1) + 3)
    assert model.actor.entropy_target is not None
    model.actor.entropy_target.set(model, model.actor.padding.valid(data.observations))
    assert float((log_prob + model.target_entropy).mean()) == pytest.approx(float(each.mean()), rel=1e-5)
    # and a saved model goes on with the same share
    model.save(tmp_path / "model")
    again = algorithm.load(tmp_path / "model", env=Swarm())
    assert again.target_entropy == pytest.approx(model.target_entropy)
    again.actor.entropy_target.set(again, torch.ones(4, ACTION.dim, dtype=torch.bool))
    assert again.target_entropy == pytest.approx(-share * ACTION.dim)


def test_a_target_that_is_set_later_counts():
    model = made(SAC)
    everything = torch.ones(2, ACTION.dim, dtype=torch.bool)
    model.actor.entropy_target.set(model, everything)
    assert model.target_entropy == -ACTION.dim
    model.target_entropy = -2.0
    half = everything.clone()
    half[1] = False
    model.actor.entropy_target.set(model, half)
    assert model.target_entropy == -1.0
    fixed = made(SAC, ent_coef=0.1)
    fixed.actor.entropy_target.set(None, everything)  # outside an algorithm there is no target


def test_without_padding_nothing_is_added():
    from toy_envs import PointMass

    for algorithm in ALGORITHMS:
        policy = made(algorithm, "vector", PointMass()).policy
        assert not [name for name in policy.state_dict() if "entropy_target" in name or "padding" in name]
        assert not [m for m in policy.modules() if isinstance(m, Padding)]
    assert made(SAC, "vector", PointMass()).target_entropy == -3.0


# ---------------------------------------------------------------------- losses and augmentation
def mean_with_garbage(x, equivariant):
    """Means that are equivariant in real slots and arbitrary in padding."""
    parts = OBSERVATION.split(x)
    force = parts["where"] if equivariant else parts["where"] + 1.0
    mean = torch.cat([force, parts["charge"].view(len(x), -1, 2)[..., 0], parts["goal"]], dim=1)
    return with_garbage(ACTION, mean, 100.0, np.random.default_rng(3), masks=x[:, REAL].numpy())


@pytest.mark.parametrize("kind", [MirrorLossPPO, MirrorLossSAC], ids=lambda kind: kind.__name__)
def test_mirror_loss_leaves_padding_out(kind):
    options = (
        {"n_steps": 32, "batch_size": 16} if kind is MirrorLossPPO else {"learning_starts": 20, "buffer_size": 200}
    )
    model = kind("MlpPolicy", Swarm(), seed=0, device="cpu", **options)
    x = torch.as_tensor(observations())
    model.learn(1)
    (prior,) = priors_of(model)
    assert float(prior.policy_term(lambda x: mean_with_garbage(x, True), x)) < 1e-10
    assert float(prior.policy_term(lambda x: mean_with_garbage(x, False), x)) > 1e-2
    valid = prior.orbit.valid(x)
    assert valid.sum(1).tolist() == (4 * x[:, REAL].sum(1) + 3).tolist()
    model.learn(40)


def test_turned_samples_keep_their_padding():
    env = Swarm()
    model = SAC(
        "MlpPolicy",
        env,
        seed=0,
        learning_starts=300,
        buffer_size=400,
        replay_buffer_class=SymmetricReplayBuffer,
        device="cpu",
    )
    model.learn(200)
    data = model.replay_buffer.sample(64)
    real = data.observations[:, REAL]
    assert set(real.unique().tolist()) == {0.0, 1.0}
    padding = real == 0
    for name in ("where", "velocity"):
        assert not data.observations[:, OBSERVATION.slices[name]].view(64, 5, 3)[padding].any()
    edges = data.observations[:, OBSERVATION.slices["leader"]].view(64, 5, 5)
    assert edges.sum().item() == (real.sum(1) - 1).sum().item()
    turned = RandomRotation(DummyVecEnv([Swarm]), seed=0)
    observation = turned.reset()
    assert not observation[:, OBSERVATION.slices["where"]].reshape(1, 5, 3)[observation[:, REAL] == 0].any()


# ---------------------------------------------------------------------- what is refused, and dict observations
def boxed(low, high):
    env = Swarm()
    bounds = [np.full(ACTION.dim, value, dtype=np.float32) for value in (-1.0, 1.0)]
    bounds[0][ACTION.slices["brake"]], bounds[1][ACTION.slices["brake"]] = low, high
    env.action_space = TypedBox(ACTION, *bounds)
    return env


def test_padding_has_to_fit_into_the_box():
    with pytest.raises(ValueError, match=r"'brake'.*0 \.\. 1.*may be padding.*symmetric bounds"):
        made(SAC, env=boxed(0.0, 1.0))
    made(PPO, env=boxed(0.0, 1.0))  # 0 is inside
    with pytest.raises(ValueError, match=r"'brake'.*0.5 \.\. 1.*may be padding.*both sides of 0"):
        made(PPO, env=boxed(0.5, 1.0))


class _Sorted(Swarm):
    """The swarm as a dict, with a desired goal relative to an achieved one."""

    def __init__(self, filler):
        super().__init__(filler=filler)
        position = TypedBox(Representation((Field("position", "1x1o"),), group=O2))
        self.observation_space = spaces.Dict(
            {"observation": self.observation_space, "achieved_goal": position, "desired_goal": position}
        )

    def _observe(self):
        x = super()._observe()
        return {"observation": x, "achieved_goal": self.x.mean(0).astype(np.float32), "desired_goal": x[:3]}


@each_algorithm
def test_dict_observations(algorithm):
    env = _Sorted(filler=2.0)
    model = made(algorithm, "vector", env)
    model.learn(96 if algorithm is PPO else 60)
    obs = [env.reset(seed=i)[0] for i in range(8)]
    x = {key: np.stack([o[key] for o in obs]) for key in obs[0]}
    assert not padded_entries(x["observation"], model.predict(x)[0]).any()
    garbage = {**x, "observation": dirty(x["observation"], 9.0)}
    assert np.array_equal(model.predict(x, deterministic=True)[0], model.predict(garbage, deterministic=True)[0])


def test_elements_may_hold_exchanges_and_rotations_at_once():
    x = observations(16)
    model = shaken(made(PPO, "tokens"), x)
    turn, exchange = O2.sample(16, rng=0), random_exchange(OBSERVATION, 16, rng=1)
    both = Element(turn.R, exchange.h)
    expected = ACTION.transform(model.predict(x, deterministic=True)[0], both)
    assert np.allclose(model.predict(OBSERVATION.transform(x, both), deterministic=True)[0], expected, atol=1e-4)
