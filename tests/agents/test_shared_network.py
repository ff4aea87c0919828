"""``share_network=True``: one backbone for actor and value, with all laws of the policies."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from stable_baselines3 import A2C, PPO
from toy_envs import PointMass, Reach, Walker

from eqrl.agents import EquivariantPolicy, MirrorLossPPO
from eqrl.nn import BACKBONES
from eqrl.proof.check_policy import check_policy
from eqrl.symmetry import TRIVIAL, representation_of
from eqrl.symmetry.errors import SymmetryError

ENVS = [PointMass, Walker, Reach]
NETWORKS = ["frame", "regular", "vector", "steerable", "heading", "goal", "transformer", "set", "hetero"]
NETWORKS += ["mlp", "residual", "gated"]  # which guarantee nothing


def make(env=PointMass, network="frame", algorithm=PPO, **policy_kwargs):
    kwargs = {"network": network, "network_kwargs": {"hidden": (16, 16)}, "share_network": True, **policy_kwargs}
    options = {"n_steps": 64, "batch_size": 32, "n_epochs": 2} if issubclass(algorithm, PPO) else {}
    return algorithm(EquivariantPolicy, env(), policy_kwargs=kwargs, device="cpu", seed=0, **options)


def observations(model, n=256):
    x = torch.randn(n, representation_of(model.observation_space).dim, generator=torch.Generator().manual_seed(1))
    keys = getattr(model.observation_space, "spaces", None)
    if keys is None:
        return x
    sizes = [keys[key].shape[0] for key in sorted(keys)]
    return dict(zip(sorted(keys), x.split(sizes, dim=1), strict=True))


def test_every_backbone_is_tested():
    assert {*NETWORKS} == {*BACKBONES}


@pytest.mark.parametrize("env", ENVS)
@pytest.mark.parametrize("network", [name for name in NETWORKS if name not in ("heading", "goal")])
def test_the_whole_policy_is_equivariant(network, env):
    if network == "hetero" and env is not Walker:
        pytest.skip("its spaces have no entity set")
    model = make(env, network)
    if network in ("mlp", "residual", "gated"):
        assert model.policy.group == TRIVIAL
        with torch.no_grad():  # some are exact when they are new
            for parameter in model.policy.parameters():
                parameter += 0.1 * torch.randn_like(parameter)
        with pytest.raises(SymmetryError):
            check_policy(model, env())
        return
    check_policy(model, env())
    model.learn(128)
    assert check_policy(model, env()).errors["value"]


@pytest.mark.filterwarnings("ignore::eqrl.agents.AlreadyExactWarning")
def test_relatives_of_ppo_train_it_too():
    for algorithm in (A2C, MirrorLossPPO):
        model = make(algorithm=algorithm)
        model.learn(64)
        check_policy(model, PointMass())


@pytest.mark.parametrize("env", ENVS)
@pytest.mark.parametrize("network", NETWORKS)
def test_actions_begin_small_and_values_at_full_size(network, env):
    if network in ("heading", "goal") and env is Reach:
        pytest.skip("its spaces name neither a heading nor a goal")
    if network == "hetero" and env is not Walker:
        pytest.skip("its spaces have no entity set")
    torch.manual_seed(0)
    shared = make(env, network).policy
    torch.manual_seed(0)
    separate = make(env, network, share_network=False).policy
    # the gains of the last layers of separate networks
    full = make(env, network, share_network=False, network_kwargs={"hidden": (16, 16), "output_gain": 1.0}).policy
    x = observations(make(env, network))
    with torch.no_grad():
        sizes = [
            [policy.get_distribution(x).mean.square().mean().sqrt(), policy.predict_values(x).std()]
            for policy in (shared, separate, full)
        ]
    (action, value), (small, value_alone), (large, _) = sizes
    assert small == pytest.approx(0.01 * large, rel=0.5)
    assert 0.3 < action / small < 3
    assert 0.2 < value / value_alone < 5


def test_one_network_runs_once():
    model = make(network="vector")
    separate = make(network="vector", share_network=False)
    assert model.policy.value_net is None
    names = dict(model.policy.named_parameters())
    assert len(names) < len(dict(separate.policy.named_parameters()))
    calls = []
    model.policy.action_net.register_forward_hook(lambda *_: calls.append(1))
    model.policy.evaluate_actions(observations(model), torch.zeros(256, 3))
    assert len(calls) == 1
    model.learn(128)
    assert all(p.grad is not None for p in model.policy.parameters())


def test_the_value_is_the_same_in_every_method():
    model = make(Walker, "regular")
    model.learn(128)
    x = observations(model)
    model.policy.set_training_mode(False)
    with torch.no_grad():
        values = model.policy(x)[1]  # first, because it puts the statistics of the rollout into effect
        assert torch.equal(model.policy.predict_values(x), values)
        assert torch.equal(model.policy.evaluate_actions(x, torch.zeros(256, 4))[0], values)
    assert values.shape == (256, 1)


@pytest.mark.parametrize("network", ["frame", "vector"])
def test_save_and_load(network, tmp_path):
    model = make(Reach, network)
    model.learn(128)
    x = {key: value.numpy() for key, value in observations(model).items()}
    expected = model.predict(x, deterministic=True)[0]
    file = io.BytesIO()
    model.save(file)
    model.policy.save(str(tmp_path / "policy"))
    for policy in (PPO.load(file, device="cpu"), EquivariantPolicy.load(str(tmp_path / "policy"), device="cpu")):
        assert np.array_equal(policy.predict(x, deterministic=True)[0], expected)


def test_building_it_draws_the_random_numbers_of_one_network():
    states = []
    for gain in (0.01, 1.0):
        make(network_kwargs={"hidden": (16, 16), "output_gain": gain})
        states.append(torch.get_rng_state())
    assert torch.equal(*states)


def test_it_describes_itself():
    text = make(network="vector").policy.describe()
    assert "actor and critic: vector(hidden=(16, 16)), commutes with O2" in text
    assert "critic: " not in text.replace("actor and critic: ", "")


@pytest.mark.parametrize(
    ("options", "fix"),
    [
        ({"critic_network": "vector"}, r"critic's \(vector\(\)\) differs .* leave out critic_network"),
        ({"critic_kwargs": {"hidden": (8,)}}, r"critic's \(frame\(hidden=\(8,\)\)\) differs"),
        ({"network_kwargs": None, "net_arch": {"pi": [8], "vf": [16]}}, "net_arch the same widths"),
        ({"share_features_extractor": False}, "leave out share_features_extractor=False"),
    ],
)
def test_options_of_a_separate_critic_are_refused(options, fix):
    with pytest.raises(ValueError, match=f"share_network=True uses one network.*{fix}"):
        make(**options)


def test_equal_widths_of_stock_scripts_are_accepted():
    model = make(network_kwargs=None, net_arch={"pi": [8], "vf": [8]})
    file = io.BytesIO()
    model.save(file)
    assert PPO.load(file, device="cpu").policy.value_net is None
