"""``policy_kwargs`` of stock scripts: they work, or the message tells the fix."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from padded_env import Swarm
from stable_baselines3 import PPO, SAC, TD3
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor, CombinedExtractor, FlattenExtractor
from torch import nn
from toy_envs import PointMass, Reach, Walker

from eqrl import check_policy
from eqrl.agents import EquivariantPolicy, EquivariantSACPolicy, EquivariantTD3Policy
from eqrl.nn import BACKBONES

POLICIES = {PPO: EquivariantPolicy, SAC: EquivariantSACPolicy, TD3: EquivariantTD3Policy}


def make(algorithm, env=PointMass, **kwargs):
    buffer = {} if algorithm is PPO else {"buffer_size": 100}
    return algorithm(POLICIES[algorithm], env(), policy_kwargs=kwargs, device="cpu", seed=0, **buffer)


def backbones(model):
    policy = model.policy
    if isinstance(model, PPO):
        return policy.action_net, policy.value_net
    return policy.actor.backbone, policy.critic.qf0


def widths(model):
    return tuple(list(net.hidden) for net in backbones(model))


@pytest.mark.parametrize("algorithm", POLICIES)
def test_widths_and_activation_arrive(algorithm):
    critic = "vf" if algorithm is PPO else "qf"
    assert widths(make(algorithm, net_arch=[24, 16])) == ([24, 16], [24, 16])
    assert widths(make(algorithm, net_arch={"pi": [8], critic: (16, 12)})) == ([8], [16, 12])
    assert widths(make(algorithm, net_arch=[{"pi": [8], critic: [16]}])) == ([8], [16])  # as of SB3 1.7
    assert widths(make(algorithm, net_arch=None)) == widths(make(algorithm))
    model = make(algorithm, net_arch=np.array([8, 8]).tolist(), activation_fn=nn.Tanh)
    for net in backbones(model):
        kinds = {type(module) for module in net.modules()}
        assert nn.Tanh in kinds
        assert nn.ReLU not in kinds


@pytest.mark.parametrize("env", [PointMass, Walker])
@pytest.mark.parametrize("network", sorted(name for name in BACKBONES if name != "mlp" and BACKBONES[name].guarantees))
def test_with_every_backbone(network, env):
    value = [8, 8] if BACKBONES[network].exchanges else [12, 8]  # layers of a transformer have one width
    env = Swarm if network == "hetero" and env is PointMass else env  # it needs an entity set
    model = make(PPO, env, network=network, net_arch={"pi": [8], "vf": value}, activation_fn=nn.ELU)
    check_policy(model, env())


def test_a_whole_line_of_rl_zoo():
    line = {
        "log_std_init": -2,
        "activation_fn": nn.ReLU,
        "net_arch": {"pi": [16, 16], "vf": [16, 16]},
        "share_features_extractor": True,
    }
    harmless = {
        "ortho_init": True,
        "full_std": True,
        "use_expln": False,
        "squash_output": False,
        "normalize_images": True,
    }
    model = make(
        PPO, Reach, **line, **harmless, features_extractor_class=CombinedExtractor, features_extractor_kwargs={}
    )
    assert model.policy.log_std.tolist() == [-2.0] * len(model.policy.log_std)
    make(SAC, log_std_init=-3, net_arch=[16], clip_mean=2.0, use_expln=True, n_critics=1)
    make(TD3, net_arch=[16, 8], features_extractor_class=FlattenExtractor, optimizer_class=torch.optim.SGD)


def test_tqc():
    contrib = pytest.importorskip("sb3_contrib")
    from eqrl.agents import EquivariantTQCPolicy

    options = {"n_quantiles": 5, "net_arch": {"pi": [8], "qf": [12]}, "activation_fn": nn.SiLU}
    model = contrib.TQC(EquivariantTQCPolicy, PointMass(), policy_kwargs=options, buffer_size=100, device="cpu")
    assert widths(model) == ([8], [12])


def test_options_of_a_backbone_may_stand_beside():
    model = make(PPO, network="vector", network_kwargs={"channels": 4}, net_arch=[8])
    assert [net.hidden for net in backbones(model)] == [(8,), (8,)]
    other = make(PPO, network="vector", critic_network="frame", net_arch={"pi": [8], "vf": [6]})
    assert [(net.label, net.hidden) for net in backbones(other)] == [("vector", (8,)), ("frame", (6,))]
    assert widths(make(SAC, critic_kwargs={"activation": "tanh"}, net_arch=[8])) == ([8], [8])


@pytest.mark.parametrize("algorithm", POLICIES)
def test_saved_and_loaded(algorithm, tmp_path):
    model = make(algorithm, net_arch=[12], activation_fn=nn.LeakyReLU)
    model.save(tmp_path / "model")
    observation = np.random.default_rng(0).normal(size=(5, 9)).astype(np.float32)
    action = model.predict(observation, deterministic=True)[0]
    loaded = algorithm.load(tmp_path / "model", env=PointMass(), device="cpu")
    np.testing.assert_array_equal(loaded.predict(observation, deterministic=True)[0], action)
    file = io.BytesIO()
    model.policy.save(file)
    file.seek(0)
    alone = POLICIES[algorithm].load(file, device="cpu")
    np.testing.assert_array_equal(alone.predict(observation, deterministic=True)[0], action)


class Trained(BaseFeaturesExtractor):
    pass


@pytest.mark.parametrize(
    ("algorithm", "options", "message"),
    [
        (PPO, {"ortho_init": False}, r"ortho_init=False .* leave ortho_init out.*network_kwargs=\{'output_gain'"),
        (PPO, {"squash_output": True}, "squash_output=True .* leave it out"),
        (PPO, {"features_extractor_class": Trained}, r"features_extractor_class=\S*Trained .*network_kwargs="),
        (SAC, {"features_extractor_kwargs": {"features_dim": 64}}, "features_extractor_kwargs=.*network_kwargs="),
        (TD3, {"lstm_hidden_size": 64}, "no recurrent policy"),
        (PPO, {"net_arch": 64}, r"net_arch=64 .*\[64, 64\]"),
        (PPO, {"net_arch": [64, 0]}, r"net_arch=\[64, 0\]"),
        (PPO, {"net_arch": {"pi": [8], "qf": [8]}}, r"'pi' and 'vf'.*network_kwargs"),
        (SAC, {"net_arch": {"pi": [8], "vf": [8]}}, r"'pi' and 'qf'"),
        (TD3, {"net_arch": {"pi": [8]}}, r"'pi' and 'qf'"),
        (PPO, {"net_arch": [32, {"pi": [8], "vf": [8]}]}, r"net_arch=\[32, "),
        (PPO, {"activation_fn": torch.relu}, "does not make a module; give the class, torch.nn.ReLU"),
        (SAC, {"activation_fn": "rellu"}, "did you mean 'relu'"),
        (
            PPO,
            {"net_arch": [8], "network_kwargs": {"hidden": [8]}},
            r"net_arch and network_kwargs=\{'hidden': \.\.\.\} say the same",
        ),
        (SAC, {"net_arch": [8], "critic_kwargs": {"hidden": [8]}}, r"net_arch and critic_kwargs=\{'hidden': \.\.\.\}"),
        (TD3, {"activation_fn": nn.ReLU, "network_kwargs": {"activation": "tanh"}}, "activation_fn and network_kwargs"),
        (PPO, {"netarch": [8]}, "no option 'netarch'; did you mean 'net_arch'"),
        (TD3, {"log_std_init": -1}, "no option 'log_std_init'"),
    ],
)
def test_what_cannot_be_honoured_says_what_to_write(algorithm, options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make(algorithm, **options)
