"""rsl_rl trains, saves and exports eqrl's networks, and they keep their symmetry."""

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.vec_env import DummyVecEnv

import eqrl
from eqrl.nn import BACKBONES
from eqrl.symmetry import UntypedSpaceError

pytest.importorskip("rsl_rl")
pytest.importorskip("tensordict")

import typed_env
from padded_env import Swarm
from rsl_rl.models import MLPModel
from rsl_rl_runs import GAUSSIAN, MODEL, configuration, environment, runner, turned, turned_actions
from tensordict import TensorDict

from eqrl.agents import BreaksSymmetryError
from eqrl.engines.rsl_rl import EquivariantModel, OrbitGaussian, TypedVecEnv
from eqrl.engines.rsl_rl.normalizer import TypedNormalizer
from eqrl.errors import UsageError

ANT, PUSH, REACH = "eqrl/AntTarget-v0", "eqrl/Push-v0", "eqrl/Reach-v0"
GOAL_GROUPS = ["observation", "achieved_goal", "desired_goal"]
ANGLES = [0.3, 1.1, 2.5, 4.0, 5.9]
# rsl_rl exports TorchScript, which PyTorch has deprecated, and asks for an old version of ONNX's operators
exports = pytest.mark.filterwarnings(
    "ignore:`torch.jit:DeprecationWarning",
    "ignore:.*opset_version:UserWarning",
    "ignore:.*treespec:FutureWarning",  # of PyTorch's own exporter
)


def trained(exact):
    """An environment, and rsl_rl's runner after 40 iterations."""
    env = environment(ANT)
    learner = runner(env, configuration(["policy"], exact=exact))
    learner.learn(40, init_at_random_ep_len=True)
    return env, learner


@pytest.fixture(scope="module")
def exact():
    env, learner = trained(exact=True)
    yield env, learner
    env.close()


@pytest.fixture
def reach():
    env = environment(REACH)
    yield env
    env.close()


@torch.no_grad()
def yaw_error(env, learner):
    """Largest difference between actions for turned observations and turned actions, by the largest action."""
    policy, observations = learner.get_inference_policy(), env.get_observations()
    actions = policy(observations)
    differences = [
        policy(turned(env, observations, g)) - turned_actions(env, actions, g) for g in map(eqrl.about_gravity, ANGLES)
    ]
    return float(torch.stack(differences).abs().max() / actions.abs().max())


def test_after_40_iterations_the_actor_is_exact_and_that_of_rsl_rl_is_not(exact):
    env, learner = exact
    plain_env, plain = trained(exact=False)
    errors = yaw_error(env, learner), yaw_error(plain_env, plain)
    plain_env.close()
    print(f"yaw error after 40 iterations: {errors[0]:.1e}, of rsl_rl's MLPModel {errors[1]:.2f}")
    assert type(learner.alg.actor) is EquivariantModel
    assert type(plain.alg.actor) is MLPModel
    assert errors[0] <= 1e-5
    assert errors[1] > 0.05


def test_training_changed_actor_critic_widths_and_statistics(exact):
    env, learner = exact
    fresh = runner(env, configuration(["policy"]))
    before, after = fresh.alg.save(), learner.alg.save()
    for model in ("actor_state_dict", "critic_state_dict"):
        same = [name for name, value in before[model].items() if torch.equal(value, after[model][name])]
        assert [name for name in same if not name.endswith("pending")] == []


@torch.no_grad()
def test_values_and_densities_are_invariant_after_training(exact):
    env, learner = exact
    actor, critic, observations = learner.alg.actor, learner.alg.critic, env.get_observations()
    values, actions = critic(observations), actor(observations, stochastic_output=True)
    densities = actor.get_output_log_prob(actions)
    for g in map(eqrl.about_gravity, ANGLES):
        moved = turned(env, observations, g)
        torch.testing.assert_close(critic(moved), values, rtol=1e-4, atol=1e-4)
        actor(moved, stochastic_output=True)
        torch.testing.assert_close(
            actor.get_output_log_prob(turned_actions(env, actions, g)), densities, rtol=1e-4, atol=1e-4
        )


@torch.no_grad()
def test_a_saved_model_acts_alike_when_it_is_loaded(exact, tmp_path):
    env, learner = exact
    learner.save(str(tmp_path / "model.pt"))
    other = runner(env, configuration(["policy"]), seed=1)
    observations = env.get_observations()
    assert not torch.equal(other.alg.actor(observations), learner.alg.actor(observations))
    other.load(str(tmp_path / "model.pt"))
    for model in ("actor", "critic"):
        assert torch.equal(getattr(other.alg, model)(observations), getattr(learner.alg, model)(observations))
    assert torch.equal(other.alg.actor.distribution.std_param, learner.alg.actor.distribution.std_param)


@exports
@torch.no_grad()
def test_exported_models_act_alike(exact, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    env, learner = exact
    learner.export_policy_to_jit(str(tmp_path))
    learner.export_policy_to_onnx(str(tmp_path))
    script = torch.jit.load(tmp_path / "policy.pt")
    script.reset()
    session = onnxruntime.InferenceSession(tmp_path / "policy.onnx")
    actor = learner.alg.actor
    observations = torch.cat([env.get_observations()["policy"], torch.zeros(1, actor.obs_dim)])
    expected = actor({"policy": observations})
    torch.testing.assert_close(script(observations), expected, rtol=1e-5, atol=1e-6)
    for x, action in zip(observations.split(1), expected.split(1), strict=True):
        torch.testing.assert_close(script(x), action, rtol=1e-5, atol=1e-6)
        given = session.run(["actions"], {"obs": x.numpy()})[0]
        np.testing.assert_allclose(given, action.numpy(), rtol=1e-4, atol=1e-5)


@exports
@torch.no_grad()
@pytest.mark.parametrize("network", sorted(set(BACKBONES) - {"heading", "hetero"}))  # Reach has none
def test_every_network_becomes_torchscript(network, reach):
    actor = runner(reach, configuration(GOAL_GROUPS, network=network)).alg.actor
    observations = reach.get_observations()
    expected = actor(observations)
    given = torch.cat([observations[name] for name in GOAL_GROUPS], dim=-1)
    script = torch.jit.script(actor.as_jit())
    torch.testing.assert_close(script(given), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(script(given[:1]), expected[:1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("groups", [GOAL_GROUPS, GOAL_GROUPS[::-1]], ids=["in order", "reversed"])
def test_several_groups_of_observations_are_one_representation(groups, reach):
    learner = runner(reach, configuration(groups, network_kwargs={"output_gain": 1.0}))
    learner.learn(2)
    assert yaw_error(reach, learner) < 1e-5


def test_widths_are_shared_by_what_the_group_mixes(reach):
    widths = runner(reach, configuration(GOAL_GROUPS)).alg.actor.distribution
    assert widths.orbit.tolist() == [0, 0, 1]  # gravity sets the vertical apart
    assert widths.std_param.shape == (2,)

    ant = environment(ANT, n_envs=2)
    alone, exchanged = (
        runner(ant, configuration(["policy"], group=group)).alg.actor.distribution for group in ("auto", "full")
    )
    ant.close()
    assert alone.std_param.shape == (8,)
    assert exchanged.orbit.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]


@pytest.mark.parametrize("std_type", ["scalar", "log"])
def test_the_gaussian_is_that_of_rsl_rl_with_tied_widths(std_type):
    from rsl_rl.modules import GaussianDistribution

    torch.manual_seed(0)
    tied = OrbitGaussian(3, init_std=0.7, std_range=(0.1, 2.0), std_type=std_type, orbits=[0, 0, 1])
    free = GaussianDistribution(3, init_std=0.7, std_range=(0.1, 2.0), std_type=std_type)
    name = "std_param" if std_type == "scalar" else "log_std_param"
    with torch.no_grad():
        getattr(tied, name).copy_(torch.tensor([0.5, 5.0]))
        getattr(free, name).copy_(torch.tensor([0.5, 0.5, 5.0]))
    mean, actions = torch.randn(2, 4, 3)
    for distribution in (tied, free):
        distribution.update(mean)
    torch.testing.assert_close(tied.log_prob(actions), free.log_prob(actions))
    torch.testing.assert_close(tied.entropy, free.entropy)
    other = mean + 0.1, torch.full((4, 3), 0.3)
    torch.testing.assert_close(tied.kl_divergence(tied.params, other), free.kl_divergence(free.params, other))
    tied.log_prob(actions).sum().backward()
    assert (getattr(tied, name).grad[:1] != 0).all()


def test_spaces_may_come_from_a_function_that_the_configuration_names(reach, monkeypatch):
    env = environment(ANT, n_envs=2)
    monkeypatch.setattr(typed_env, "spaces", lambda: (env.env.observation_space, env.env.action_space), raising=False)
    bare = TensorDict({"policy": torch.zeros(2, 34)}, batch_size=[2])
    sets = {"actor": ["policy"]}
    with pytest.raises(UntypedSpaceError, match=r"TypedVecEnv.*'spaces': 'my_robot:spaces'"):
        EquivariantModel(bare, sets, "actor", 8)
    model = EquivariantModel(bare, sets, "actor", 8, spaces="typed_env:spaces")
    assert model.group.name == "SO2"
    with pytest.raises(UsageError, match=r"returned 3; return \(observation space, action space\)"):
        EquivariantModel(bare, sets, "actor", 8, spaces=lambda: 3)
    env.close()


def test_what_does_not_fit_is_refused_in_one_line(reach):
    observations = reach.get_observations()
    sets = {"actor": GOAL_GROUPS, "other": ["other"], "short": ["observation"]}
    dim = reach.num_actions

    def refusal(kind, *arguments, **options):
        with pytest.raises(kind) as error:
            EquivariantModel(*arguments, **options)
        assert "\n" not in str(error.value)
        return str(error.value)

    stock = {"class_name": "GaussianDistribution"}
    assert GAUSSIAN in refusal(BreaksSymmetryError, observations, sets, "actor", dim, distribution_cfg=stock)
    assert "7 outputs" in refusal(UsageError, observations, sets, "actor", 7)
    assert "'fraem'" in refusal(ValueError, observations, sets, "actor", dim, network="fraem")
    more = observations.clone()
    more["other"] = torch.zeros(8, 2)
    assert "'other' has no typed space" in refusal(UsageError, reach.typed_spaces.attach(more), sets, "other", dim)
    cut = observations.clone()
    cut["observation"] = cut["observation"][:, 1:]
    assert "'observation' has" in refusal(UsageError, reach.typed_spaces.attach(cut), sets, "short", dim)
    with pytest.raises(UsageError, match="0 orbits for an action of 3"):
        OrbitGaussian(3)


def test_padded_actions_are_refused():
    env = TypedVecEnv(DummyVecEnv([Swarm]), max_episode_length=25)
    with pytest.raises(UsageError, match="padded slots"):
        runner(env, configuration(["policy"], network="transformer"))


def test_untyped_environments_are_refused_in_one_line():
    with pytest.raises(UntypedSpaceError, match=r"with_symmetry") as error:
        TypedVecEnv(DummyVecEnv([lambda: gymnasium.make("Pendulum-v1")]))
    assert "\n" not in str(error.value)
    with pytest.raises(UntypedSpaceError):
        TypedVecEnv(DummyVecEnv([lambda: typed_env.Point(cube=True)]), max_episode_length=20)


def test_the_environment_is_that_of_stable_baselines(reach):
    theirs = eqrl.make_vec(REACH, 8, seed=0, n_threads=1)
    expected = theirs.reset()
    assert reach.max_episode_length == 50
    rng = torch.Generator().manual_seed(0)
    ended = 0
    for _ in range(60):
        observations = reach.get_observations()
        assert {name: x.shape[0] for name, x in observations.items()} == dict.fromkeys(expected, 8)
        for name, x in observations.items():
            np.testing.assert_allclose(x.numpy(), expected[name], atol=1e-5)
        actions = 3.0 * torch.randn(8, reach.num_actions, generator=rng)
        lengths = torch.linalg.vector_norm(actions, dim=1, keepdim=True)
        _, rewards, dones, extras = reach.step(actions)
        radius = float(theirs.action_space.high[0])
        expected, their_rewards, their_dones, infos = theirs.step((actions * (radius / lengths).clamp(max=1.0)).numpy())
        np.testing.assert_allclose(rewards.numpy(), their_rewards, atol=1e-5)
        assert dones.tolist() == their_dones.tolist()
        assert extras["time_outs"].tolist() == [i.get("TimeLimit.truncated", False) for i in infos]
        ended += int(dones.sum())
        assert ("log" in extras) == bool(dones.any())
        assert (reach.episode_length_buf[dones] == 0).all()
    assert ended
    theirs.close()


def test_episodes_may_begin_at_different_times():
    env = environment(ANT, n_envs=4)
    env.episode_length_buf = torch.tensor([0, 299, 298, 7])
    dones = [env.step(torch.zeros(4, 8))[2].tolist() for _ in range(2)]
    assert dones == [[False, True, False, False], [False, False, True, False]]
    assert env.episode_length_buf.tolist() == [2, 1, 0, 9]
    env.close()

    other = TypedVecEnv(DummyVecEnv([typed_env.Point]), max_episode_length=20)
    with pytest.raises(UsageError, match="init_at_random_ep_len"):
        other.episode_length_buf = torch.zeros(1, dtype=torch.long)
    with pytest.raises(UsageError, match="max_episode_length"):
        TypedVecEnv(DummyVecEnv([typed_env.Point]))


def test_statistics_are_pooled_over_processes(monkeypatch):
    box = environment(ANT, n_envs=2).typed_spaces.groups["policy"]
    group = eqrl.SO2
    x, y = torch.randn(2, 50, 34)

    def statistics(*batches):
        normalizer = TypedNormalizer(box, ["policy"], group, True, True, False)
        for batch in batches:
            normalizer.update(batch)
        return normalizer.features.norm.running_gain, normalizer.features.norm.running_moments

    alone = statistics(torch.cat([x, x]), torch.cat([y, y]))
    # every process of two brings the same batches
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda tensor: tensor.mul_(2))
    for one, other in zip(statistics(x, y), alone, strict=True):
        torch.testing.assert_close(one, other)


def test_statistics_rest_outside_of_training(reach):
    actor = runner(reach, configuration(GOAL_GROUPS)).alg.actor.eval()
    actor.update_normalization(reach.get_observations())
    assert float(actor.obs_normalizer.features.norm.running_moments.abs().sum()) == 0.0
    actor.train().update_normalization(reach.get_observations())
    assert float(actor.obs_normalizer.features.norm.running_moments.abs().sum()) > 0.0


def test_names_of_the_classes_are_dotted_paths():
    from rsl_rl.utils import resolve_callable

    assert resolve_callable(MODEL) is EquivariantModel
    assert resolve_callable(GAUSSIAN) is OrbitGaussian
    assert isinstance(environment(PUSH, n_envs=2).env.observation_space, spaces.Dict)
