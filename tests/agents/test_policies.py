"""Law 2 and law 8: whole policies keep the symmetry, and everything of Stable-Baselines3 works with them."""

from __future__ import annotations

import copy
import inspect
import io
import re

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import A2C, DDPG, PPO, SAC, TD3, HerReplayBuffer
from stable_baselines3.common.env_checker import check_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor
from toy_envs import PointMass, Reach, Walker

from eqrl.agents import (
    BallNoise,
    BreaksSymmetryError,
    EquivariantPolicy,
    EquivariantSACPolicy,
    EquivariantTD3Policy,
    EquivariantTQCPolicy,
    preset,
)
from eqrl.agents.networks import choose_networks
from eqrl.proof.check_policy import check_policy
from eqrl.symmetry import (
    SO3,
    TRIVIAL,
    EntitySet,
    Field,
    Generator,
    Representation,
    TypedBox,
    UntypedSpaceError,
    about_gravity,
    finite_group,
    representation_of,
)
from eqrl.symmetry.errors import SymmetryError

ENVS = [PointMass, Walker, Reach]
ALGOS = ["ppo", "sac", "td3"]


def make(algo, env, hidden=(16, 16), **policy_kwargs):
    """A small model; ``env`` is a class or an environment."""
    env = env() if isinstance(env, type) else env
    kwargs = {"network_kwargs": {"hidden": hidden}, **policy_kwargs}
    if algo == "ppo":
        return PPO(
            EquivariantPolicy, env, n_steps=64, batch_size=32, n_epochs=2, policy_kwargs=kwargs, device="cpu", seed=0
        )
    common = {"buffer_size": 500, "learning_starts": 20, "batch_size": 16, "device": "cpu", "seed": 0}
    if algo == "sac":
        return SAC(EquivariantSACPolicy, env, policy_kwargs=kwargs, **common)
    noise = BallNoise(env.action_space)
    return TD3(EquivariantTD3Policy, env, action_noise=noise, policy_kwargs=kwargs, **common)


def observations(model, n=16, seed=0):
    space = model.observation_space
    rng = np.random.default_rng(seed)
    if isinstance(space, spaces.Dict):
        return {k: rng.normal(size=(n, *s.shape)).astype(np.float32) for k, s in space.spaces.items()}
    return rng.normal(size=(n, *space.shape)).astype(np.float32)


def extractor(model):
    return getattr(model, "actor", model.policy).features_extractor


# ------------------------------------------------------------------ law 2
@pytest.mark.parametrize("env", ENVS)
@pytest.mark.parametrize("network", ["frame", "regular", "vector", "steerable", "mlp"])
@pytest.mark.parametrize("algo", ALGOS)
def test_whole_policy_is_equivariant(algo, network, env):
    model = make(algo, env, network=network)
    if network == "mlp":
        with pytest.raises(SymmetryError):
            check_policy(model, env())
        return
    check_policy(model, env())
    model.learn(128 if algo == "ppo" else 40)
    assert extractor(model).norm.samples > 0
    report = check_policy(model, env())
    assert report.errors["action"]


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("algo", ALGOS)
def test_separate_extractors_stay_equivariant(algo, share):
    model = make(algo, PointMass, share_features_extractor=share)
    model.learn(128 if algo == "ppo" else 40)
    check_policy(model, PointMass())


def test_a_policy_in_double_precision_sees_double_precision():
    """Through ``predict``, the error is that of float64."""
    model = PPO(EquivariantPolicy, PointMass(), device="cpu", seed=0, policy_kwargs={"network": "vector"})
    model.policy.double()
    rows = np.random.default_rng(0).normal(size=(8, model.observation_space.shape[0]))
    observation, action = (representation_of(s) for s in (model.observation_space, model.action_space))
    g = about_gravity(0.7)
    turned = model.predict(observation.transform(rows, g), deterministic=True)[0]
    assert np.abs(turned - action.transform(model.predict(rows, deterministic=True)[0], g)).max() < 1e-13


def test_mixed_networks():
    model = make("ppo", PointMass, network="vector", critic_network="frame", critic_kwargs={"hidden": (8,)})
    check_policy(model, PointMass())
    one_sided = make("ppo", PointMass, critic_network="mlp", critic_kwargs={"hidden": (8,)})
    assert one_sided.policy.group.name == "1"
    with pytest.raises(SymmetryError, match="value"):
        check_policy(one_sided, PointMass())


def test_exploration_stays_in_the_ball():
    model = make("ppo", PointMass, log_std_init=1.0)
    with torch.no_grad():
        actions, _, log_prob = model.policy(torch.as_tensor(observations(model, 2000)))
    clipped = np.clip(actions.numpy(), model.action_space.low, model.action_space.high)
    assert np.array_equal(clipped, actions.numpy())
    assert actions.norm(dim=-1).max() <= 2.0
    assert log_prob.isfinite().all()


# ------------------------------------------------------------------ groups
def test_group_choices():
    assert make("ppo", PointMass).policy.group.name == "O2"
    assert make("ppo", PointMass, group="SO2").policy.group.name == "SO2"
    assert make("ppo", Walker).policy.group.name == "SO2"  # the world part; the mirror also relabels joints
    with pytest.raises(ValueError, match="SO3 is not a subgroup of SO2"):
        make("ppo", Reach, group="SO3")
    with pytest.raises(ValueError, match=r"unknown group 'SO4'; did you mean 'SO3'\?.*'full'"):
        make("ppo", Reach, group="SO4")
    with pytest.raises(ValueError, match="frame"):
        make("ppo", Reach, network="framee")


def test_full_group_with_mirrored_joints():
    model = make("ppo", Walker, group="full")
    report = check_policy(model, Walker())
    assert "mirror" in report.errors["action"]


# ------------------------------------------------------------------ refusals
@pytest.mark.parametrize(("algorithm", "policy"), [(PPO, EquivariantPolicy), (SAC, EquivariantSACPolicy)])
def test_state_dependent_exploration_is_refused(algorithm, policy):
    with pytest.raises(BreaksSymmetryError, match="use_sde=False"):
        algorithm(policy, PointMass(), use_sde=True, device="cpu")


@pytest.mark.parametrize("algo", ALGOS)
def test_untyped_spaces_are_refused(algo):
    class Untyped(gymnasium.Wrapper):
        def __init__(self):
            super().__init__(PointMass())
            self.observation_space = spaces.Box(-np.inf, np.inf, (9,))

    with pytest.raises(UntypedSpaceError, match=r"the observation space is a Box .* TypedBox"):
        make(algo, Untyped())


def test_an_untyped_action_is_named():
    class Untyped(gymnasium.Wrapper):
        def __init__(self):
            super().__init__(PointMass())
            self.action_space = spaces.Box(-2.0, 2.0, (3,))

    with pytest.raises(UntypedSpaceError, match="the action space is a Box"):
        make("ppo", Untyped())


def with_group(group):
    """The point mass, declaring another group."""

    class Declaring(gymnasium.Wrapper):
        def __init__(self):
            super().__init__(PointMass())
            spaces_ = self.env.observation_space, self.env.action_space
            fields = [space.representation.fields for space in spaces_]
            self.observation_space = TypedBox(Representation(fields[0], group=group))
            self.action_space = TypedBox(Representation(fields[1], group=group), -2.0, 2.0)

    return Declaring()


@pytest.mark.parametrize("algo", ALGOS)
def test_a_forgotten_group_is_refused(algo):
    for options in (
        {},
        {"network": "vector"},
        {"group": "full"},
        {"critic_network": "mlp"},
        {"network": "mlp", "critic_network": "frame"},
    ):
        with pytest.raises(
            BreaksSymmetryError, match=r"declare the trivial group.*Representation\(fields, group=SO2\)"
        ):
            make(algo, with_group(TRIVIAL), **options)
    for options in ({"network": "mlp"}, {"group": "1"}, {"group": TRIVIAL}):
        assert not make(algo, with_group(TRIVIAL), **options).policy.group.generators


def test_a_group_that_only_relabels_has_to_be_asked_for():
    swap = finite_group("swap", [Generator.of("swap", None, {"pair": [[0.0, 1.0], [1.0, 0.0]]})])
    pair = EntitySet("pair", ("joint", "joint"))
    representation = Representation((Field("levels", "1x0e", entities="pair"),), (pair,), swap)
    space = TypedBox(representation)
    with pytest.raises(BreaksSymmetryError, match="group='full'"):
        choose_networks(space, TypedBox(representation, -1.0, 1.0), "frame", None, None, None, "auto")
    assert choose_networks(space, space, "frame", None, None, None, "full").group == swap


def test_wrong_network_options_are_named():
    with pytest.raises(ValueError, match=r"network_kwargs: 'frame' has no option 'hiden'; did you mean 'hidden'\?"):
        PPO(EquivariantPolicy, PointMass(), policy_kwargs={"network_kwargs": {"hiden": (8,)}}, device="cpu")
    with pytest.raises(ValueError, match=r"critic_kwargs: 'vector' has no option 'chanels'; did you mean 'channels'\?"):
        make("sac", PointMass, critic_network="vector", critic_kwargs={"chanels": 3})
    with pytest.raises(ValueError, match=r"critic_kwargs=3 .*hidden"):
        make("sac", PointMass, critic_kwargs=3)


def test_different_groups_are_refused():
    class Different(gymnasium.Wrapper):
        def __init__(self):
            super().__init__(PointMass())
            self.action_space = TypedBox(Representation((Field("force", "1x1o"),), group=SO3), -2, 2)

    with pytest.raises(BreaksSymmetryError, match="O2 and actions with SO3"):
        make("ppo", Different())


# ------------------------------------------------------------------ statistics
def test_first_epoch_has_ratio_one():
    model = make("ppo", PointMass)
    model.n_epochs, model.batch_size = 1, 64
    for _ in range(3):
        model.learn(64, reset_num_timesteps=False)
        assert model.logger.name_to_value["train/clip_fraction"] == 0.0
        assert abs(model.logger.name_to_value["train/approx_kl"]) < 1e-6


def test_statistics_move_once_per_rollout():
    model = make("ppo", PointMass)
    norm = extractor(model).norm
    model.learn(64)
    assert norm.samples == 1  # the very first batch
    gain = norm.running_gain.clone()
    model.predict(observations(model))
    model.policy.get_distribution(torch.as_tensor(observations(model)))
    assert torch.equal(gain, norm.running_gain)
    model.learn(64, reset_num_timesteps=False)
    assert norm.samples == 65
    assert not torch.equal(gain, norm.running_gain)


@pytest.mark.parametrize("algo", ALGOS)
def test_predict_changes_nothing(algo):
    model = make(algo, PointMass)
    model.learn(128 if algo == "ppo" else 40)
    before = copy.deepcopy(model.policy.state_dict())
    for deterministic in (True, False):
        model.predict(observations(model), deterministic=deterministic)
    after = model.policy.state_dict()
    assert all(torch.equal(before[k], after[k]) for k in before)


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("algo", ["sac", "td3"])
def test_target_networks_get_the_statistics(algo, share):
    model = make(algo, PointMass, share_features_extractor=share)
    model.learn(40)
    norm, target = model.critic.features_extractor.norm, model.critic_target.features_extractor.norm
    assert norm.samples == 20 * 16 == model.actor.features_extractor.norm.samples * (1 if share or algo == "sac" else 2)
    assert torch.equal(norm.running_gain, target.running_gain)
    assert torch.equal(norm.running_moments, target.running_moments)
    assert (norm is model.actor.features_extractor.norm) == share


def test_statistics_can_be_frozen_or_left_out():
    model = make("sac", PointMass, normalize_until=100)
    model.learn(40)
    assert 100 <= extractor(model).norm.samples < 100 + 16
    model = make("ppo", PointMass, normalize_until=100)
    model.learn(5 * 64)
    assert extractor(model).norm.samples == 1 + 2 * 64  # frozen from the third rollout on
    assert model.policy._get_constructor_parameters()["normalize_until"] == 100
    model = make("sac", PointMass, normalize=False)
    model.learn(30)
    assert extractor(model).norm is None


# ------------------------------------------------------------------ save and load
@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("algo", ALGOS)
def test_policy_save_load_is_exact(algo, share, tmp_path):
    model = (
        make(algo, Reach, share_features_extractor=share, network="vector", log_std_init=-1.0)
        if algo != "td3"
        else make(algo, Reach, share_features_extractor=share, network="vector")
    )
    model.learn(128 if algo == "ppo" else 40)
    model.policy.save(str(tmp_path / "policy"))
    loaded = type(model.policy).load(str(tmp_path / "policy"), device=model.device)
    ours, theirs = model.policy.state_dict(), loaded.state_dict()
    assert set(ours) == set(theirs)
    assert all(torch.equal(ours[k], theirs[k]) for k in ours)
    obs = observations(model)
    expected, actual = (policy.predict(obs, deterministic=True)[0] for policy in (model.policy, loaded))
    np.testing.assert_array_equal(actual, expected)
    # by default the policy is loaded to the best device of the machine, which may round differently
    on_best_device = type(model.policy).load(str(tmp_path / "policy")).predict(obs, deterministic=True)[0]
    np.testing.assert_allclose(on_best_device, expected, rtol=0.0, atol=1e-5)


@pytest.mark.parametrize("algo", ALGOS)
def test_model_save_load_and_set_parameters(algo):
    model = make(algo, PointMass)
    model.learn(128 if algo == "ppo" else 40)
    file = io.BytesIO()
    model.save(file)
    obs = observations(model)
    expected = model.predict(obs, deterministic=True)[0]
    loaded = type(model).load(file, device="cpu")
    assert np.array_equal(loaded.predict(obs, deterministic=True)[0], expected)
    fresh = make(algo, PointMass)
    assert not np.array_equal(fresh.predict(obs, deterministic=True)[0], expected)
    fresh.set_parameters(model.get_parameters())
    assert np.array_equal(fresh.predict(obs, deterministic=True)[0], expected)


def test_pending_statistics_survive_a_restart():
    """A run that is saved between rollouts and resumed ends with the same statistics as an uninterrupted one."""
    straight = make("ppo", PointMass)
    straight.learn(64)
    file = io.BytesIO()
    straight.save(file)
    resumed = PPO.load(file, env=straight.get_env(), device="cpu", force_reset=False)
    x = observations(straight, 64)
    for model in (straight, resumed):
        model.policy.set_training_mode(False)
        with torch.no_grad():
            model.policy(torch.as_tensor(x))
    a, b = straight.policy.features_extractor.norm, resumed.policy.features_extractor.norm
    assert a.samples == b.samples == 1 + 63 + 64
    assert torch.equal(a.running_gain, b.running_gain)


def test_same_seed_same_bits():
    runs = []
    for _ in range(2):
        model = make("ppo", Reach)
        model.learn(128)
        runs.append(torch.cat([p.flatten() for p in model.policy.parameters()]))
    assert torch.equal(*runs)


# ------------------------------------------------------------------ fits Stable-Baselines3
@pytest.mark.filterwarnings("ignore:We recommend you to use a symmetric and normalized Box")  # two toys do not
@pytest.mark.parametrize("env", ENVS)
def test_toy_environments_pass_the_checker(env):
    check_env(env())


@pytest.mark.parametrize("algo", ["sac", "td3"])
def test_hindsight_replay(algo):
    env = DummyVecEnv([Reach] * 2)
    policy = EquivariantSACPolicy if algo == "sac" else EquivariantTD3Policy
    model = (SAC if algo == "sac" else TD3)(
        policy,
        env,
        replay_buffer_class=HerReplayBuffer,
        replay_buffer_kwargs={"n_sampled_goal": 4},
        learning_starts=60,
        batch_size=16,
        buffer_size=1000,
        policy_kwargs={"network_kwargs": {"hidden": (16, 16)}},
        device="cpu",
        seed=0,
    )
    model.learn(120)
    check_policy(model, env)


@pytest.mark.parametrize("algorithm", [A2C, DDPG])
def test_relatives_of_ppo_and_td3(algorithm):
    policy = EquivariantPolicy if algorithm is A2C else EquivariantTD3Policy
    model = algorithm(policy, PointMass(), policy_kwargs={"network_kwargs": {"hidden": (16, 16)}}, device="cpu", seed=0)
    model.learn(110)
    check_policy(model, PointMass())


@pytest.mark.parametrize("algo", ALGOS)
def test_policies_can_be_copied_after_training(algo):
    model = make(algo, PointMass)
    model.learn(64 if algo == "ppo" else 25)
    twin = copy.deepcopy(model.policy)
    obs = observations(model)
    assert np.array_equal(twin.predict(obs, deterministic=True)[0], model.predict(obs, deterministic=True)[0])


def test_evaluate_policy():
    model = make("ppo", VecMonitor(DummyVecEnv([PointMass] * 2)))
    mean, _ = evaluate_policy(model, model.get_env(), n_eval_episodes=2)
    assert np.isfinite(mean)


@pytest.mark.parametrize("algo", ALGOS)
def test_no_dead_weights(algo):
    """Every parameter that an optimizer holds gets a gradient, and every parameter is in an optimizer."""
    model = make(algo, Reach)
    model.learn(128 if algo == "ppo" else 45)
    owners = [model.policy] if algo == "ppo" else [model.actor, model.critic]
    for owner in owners:
        held = {id(p) for group in owner.optimizer.param_groups for p in group["params"]}
        assert held == {id(p) for p in owner.parameters()}
        assert all(p.grad is not None for p in owner.parameters())


def test_describe():
    text = make("ppo", Reach).policy.describe()
    for part in ("commutes with SO2", "desired_goal/place", "motion", "trainable parameters", "frame(hidden=(16, 16))"):
        assert part in text


def test_initial_actions_are_nearly_central():
    model = make("ppo", PointMass)
    assert np.abs(model.predict(observations(model), deterministic=True)[0]).max() < 0.1


def test_presets():
    assert preset("PPO", "eqrl/AntTarget-v0")["n_envs"] == 64
    assert preset("ppo", "Unknown-v0")["network"] == "frame"
    reach = preset("sac", "eqrl/Reach-v0")
    assert reach["replay_buffer_class"] == "HerReplayBuffer"
    assert reach["gamma"] == 0.95
    merged = preset("ppo", "eqrl/Reach-v0")["policy_kwargs"]
    assert {"network_kwargs", "log_std_init"} <= set(merged)
    with pytest.raises(ValueError, match="did you mean 'ppo'"):
        preset("pp0", "eqrl/Reach-v0")


@pytest.mark.parametrize(
    "policy", [EquivariantPolicy, EquivariantSACPolicy, EquivariantTD3Policy, EquivariantTQCPolicy]
)
def test_signatures_name_every_option_with_its_type(policy):
    parameters = inspect.signature(policy).parameters
    assert list(parameters)[:3] == ["observation_space", "action_space", "lr_schedule"]
    types = policy.option_types()
    assert {"network", "critic_kwargs", "group", "normalize_until", "optimizer_kwargs"} <= set(types) <= set(parameters)
    assert types["normalize"] is bool
    assert ("log_std_init" in types) == (policy is not EquivariantTD3Policy)
    assert ("n_critics" in types) == (policy is not EquivariantPolicy)
    assert ("n_quantiles" in types) == (policy is EquivariantTQCPolicy)
    assert set(types) - {"use_sde"} <= policy.options()
    missing = [name for name in types if not re.search(rf"^    +{name}: ", policy.__doc__, flags=re.MULTILINE)]
    assert not missing or policy is EquivariantTQCPolicy  # which refers to SAC's
