"""TQC of sb3-contrib: invariant quantiles, and the baselines with it."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from plane import C4, Plane
from stable_baselines3 import HerReplayBuffer
from toy_envs import PointMass, Reach, Walker

from eqrl import check_policy
from eqrl.agents import EquivariantTQCPolicy, SymmetricReplayBuffer, WithMirrorLoss
from eqrl.proof.check_policy import transform_observation
from eqrl.symmetry.errors import SymmetryError

SMALL = {"network_kwargs": {"hidden": (16, 16)}, "n_quantiles": 5}
OPTIONS = {"learning_starts": 60, "batch_size": 16, "buffer_size": 500, "device": "cpu", "seed": 0}


@pytest.fixture
def tqc():
    return pytest.importorskip("sb3_contrib").TQC


@pytest.mark.parametrize("env", [PointMass, Walker])
def test_quantiles_are_invariant(env):
    """Every single quantile is invariant, in the order of the network; works without sb3-contrib."""
    space, actions = env().observation_space, env().action_space
    policy = EquivariantTQCPolicy(space, actions, lambda _: 1e-3, **SMALL, n_critics=3)
    rng = np.random.default_rng(0)
    x = torch.as_tensor(rng.normal(size=(12, *space.shape)), dtype=torch.float32)
    a = torch.as_tensor(rng.uniform(-0.5, 0.5, size=(12, *actions.shape)), dtype=torch.float32)
    with torch.no_grad():
        quantiles = policy.critic(x, a)
        assert quantiles.shape == (12, 3, 5)
        assert policy.critic.quantiles_total == 15
        for _, g in policy.group.generators:
            turned = policy.critic(transform_observation(space, x, g), actions.representation.transform(a, g))
            torch.testing.assert_close(turned, quantiles, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("env", [PointMass, Walker, Reach])
def test_whole_policy(tqc, env):
    her = {"replay_buffer_class": HerReplayBuffer} if env is Reach else {}
    model = tqc(EquivariantTQCPolicy, env(), policy_kwargs=SMALL, **her, **OPTIONS)
    model.learn(100)
    assert set(check_policy(model, env()).errors) == {"action", "log_prob", "q"}
    plain = tqc(EquivariantTQCPolicy, env(), policy_kwargs={**SMALL, "network": "mlp"}, **OPTIONS)
    with pytest.raises(SymmetryError):
        check_policy(plain, env(), group="full")


def test_save_and_load(tqc, tmp_path):
    model = tqc(EquivariantTQCPolicy, PointMass(), policy_kwargs=SMALL, **OPTIONS)
    model.learn(80)
    file = io.BytesIO()
    model.save(file)
    model.policy.save(tmp_path / "policy.pth")
    obs = np.random.default_rng(0).normal(size=(7, 9)).astype(np.float32)
    expected = model.predict(obs, deterministic=True)[0]
    for loaded in (tqc.load(file, device="cpu"), EquivariantTQCPolicy.load(tmp_path / "policy.pth", device="cpu")):
        assert np.array_equal(loaded.predict(obs, deterministic=True)[0], expected)
        assert loaded.critic.n_quantiles == 5


@pytest.mark.filterwarnings("ignore::eqrl.agents.AlreadyExactWarning")
def test_baselines(tqc):
    """The mirror loss works with TQC's critic, and the buffer keeps the batch size that TQC relies on."""

    class MirrorLossTQC(WithMirrorLoss, tqc):
        pass

    for policy, kwargs in ((EquivariantTQCPolicy, SMALL), ("MlpPolicy", {"net_arch": [16]})):
        model = MirrorLossTQC(
            policy,
            Plane(C4),
            mirror_value_coef=1.0,
            replay_buffer_class=SymmetricReplayBuffer,
            replay_buffer_kwargs={"mode": "all"},
            policy_kwargs=kwargs,
            **{**OPTIONS, "batch_size": 18},
        )
        model.learn(80, log_interval=None)
        losses = [model.logger.name_to_value[f"symmetry/mirror_loss/{name}"] for name in ("policy", "value")]
        assert (max(losses) < 1e-9) == (policy is EquivariantTQCPolicy)
