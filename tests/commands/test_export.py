"""Exported policies: what ``predict`` returns, and the symmetry with it."""

import importlib.util
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from padded_env import Swarm
from stable_baselines3 import A2C, PPO, SAC, TD3
from toy_envs import PointMass, Reach, Walker

import eqrl
from eqrl import export
from eqrl.agents import EquivariantPolicy, EquivariantSACPolicy, EquivariantTD3Policy
from eqrl.commands import main
from eqrl.errors import UsageError
from eqrl.export import DeterministicPolicy, export_policy
from eqrl.nn.steerable import Steerable
from eqrl.proof.check_policy import transform_observation
from eqrl.runs.config import Config
from eqrl.train import train

POLICIES = {
    PPO: (EquivariantPolicy, {"n_steps": 32, "batch_size": 32}),
    SAC: (EquivariantSACPolicy, {"learning_starts": 20}),
    TD3: (EquivariantTD3Policy, {"learning_starts": 20}),
    A2C: (EquivariantPolicy, {}),
}
NETWORKS = ["frame", "vector", "regular", "heading", "goal", "transformer", "set", "mlp"]
LEARNED = "frame with a learned anchor"


def make(algorithm, env, network, steps=40, **policy_kwargs):
    policy, options = POLICIES[algorithm]
    kwargs = {"network": network, "network_kwargs": {"hidden": (16, 16)}, **policy_kwargs}
    model = algorithm(policy, env, policy_kwargs=kwargs, seed=0, device="cpu", **options)
    model.learn(steps)  # statistics of the normaliser, and weights that are not those of the start
    return model


def observations(model, n=9, seed=0):
    rng = np.random.default_rng(seed)

    def draw(space):
        x = rng.standard_normal((n, *space.shape)).astype(np.float32)
        x[-1], x[-2] = 0.0, 1e-3 * x[-2]  # where frames vanish
        return x

    space = model.observation_space
    return {key: draw(entry) for key, entry in space.spaces.items()} if hasattr(space, "spaces") else draw(space)


def run_onnx(path, observation):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    given = observation if isinstance(observation, dict) else {"observation": observation}
    assert sorted(given) == [i.name for i in session.get_inputs()]
    assert [o.name for o in session.get_outputs()] == ["action"]
    return session.run(["action"], given)[0]


def run_pt2(path, observation):
    graph = torch.export.load(path).module()
    given = (
        {k: torch.as_tensor(observation[k]) for k in sorted(observation)}
        if isinstance(observation, dict)
        else observation
    )
    return graph(torch.as_tensor(given) if isinstance(given, np.ndarray) else given).detach().numpy()


RUN = {".onnx": run_onnx, ".pt2": run_pt2}


def part(observation, rows):
    return {k: v[rows] for k, v in observation.items()} if isinstance(observation, dict) else observation[rows]


@pytest.mark.parametrize(
    ("network", "algorithm", "env", "suffix"),
    [
        *((network, PPO, PointMass, ".onnx") for network in NETWORKS),
        *(("regular", *case) for case in ((TD3, PointMass, ".onnx"), (SAC, Reach, ".onnx"), (PPO, Walker, ".pt2"))),
        *(("frame", *case) for case in ((PPO, Reach, ".onnx"), (SAC, Reach, ".pt2"), (PPO, Walker, ".onnx"))),
        ("vector", SAC, Reach, ".onnx"),
        *((network, PPO, Walker, ".pt2") for network in ("transformer", "set", LEARNED)),
        (LEARNED, PPO, PointMass, ".onnx"),
        *((network, SAC, Swarm, ".onnx") for network in ("transformer", "hetero")),
        *(("hetero", PPO, env, suffix) for env, suffix in ((Swarm, ".onnx"), (Walker, ".pt2"))),
    ],
)
def test_the_file_is_predict_and_keeps_the_symmetry(network, algorithm, env, suffix, tmp_path):
    options = {"network_kwargs": {"hidden": (16, 16), "anchors": "learned"}} if network == LEARNED else {}
    model = make(algorithm, env(), "frame" if network == LEARNED else network, **options)
    path = export_policy(model, tmp_path / f"policy{suffix}")
    assert path == tmp_path / f"policy{suffix}"
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    x = observations(model)
    assert bool(np.isfinite(RUN[suffix](path, x)).all())
    for rows in (slice(None), slice(0, 1), slice(0, 5)):
        expected = model.predict(part(x, rows), deterministic=True)[0]
        assert np.abs(RUN[suffix](path, part(x, rows)) - expected).max() < 1e-5
    if network in ("heading", "goal"):
        x = part(x, slice(0, 7))  # they break where their one vector vanishes
    action = RUN[suffix](path, x)
    for name, g in model.policy.group.generators:
        turned = RUN[suffix](path, transform_observation(model.observation_space, x, g))
        moved = model.action_space.representation.transform(action, g)
        # relative to the bounds: SAC and TD3 round in units of them
        assert np.abs(turned - moved).max() < 1e-4 * np.abs(action).max() + 1e-6, name
    if network != "mlp":
        assert model.policy.group.generators


@pytest.mark.parametrize("suffix", RUN)
def test_the_exchange_of_legs(suffix, tmp_path):
    model = make(PPO, eqrl.make_vec("eqrl/AntTarget-v0", 2, seed=0, n_threads=1), "regular", steps=64)
    assert str(model.policy.group) == "SO2 x D4"
    path = export_policy(model, tmp_path / f"ant{suffix}")
    x = observations(model, 16)
    action = RUN[suffix](path, x)
    assert np.abs(action - model.predict(x, deterministic=True)[0]).max() < 1e-5
    # out of the clip's reach, where the network alone decides
    assert np.abs(action).max() < 0.9
    for _, g in model.policy.group.generators:
        turned = RUN[suffix](path, transform_observation(model.observation_space, x, g))
        assert (
            np.abs(turned - model.action_space.representation.transform(action, g)).max() < 1e-4 * np.abs(action).max()
        )
    other = np.roll(np.eye(4), 2, axis=0)
    assert not np.allclose(action.reshape(-1, 2, 4) @ other.T, action.reshape(-1, 2, 4), atol=1e-4)


@pytest.mark.parametrize("suffix", RUN)
def test_a_network_that_is_shared_with_the_value(suffix, tmp_path):
    model = make(PPO, Walker(), "regular", share_network=True)
    x = observations(model)
    action = RUN[suffix](export_policy(model, tmp_path / f"policy{suffix}"), x)
    assert action.shape == (len(x), 4)
    assert np.abs(action - model.predict(x, deterministic=True)[0]).max() < 1e-5


def test_relatives_and_steerable(tmp_path):
    # e3nn's own code is generated; it is exported in its plain form
    model = make(A2C, PointMass(), "steerable", network_kwargs={"hidden": (4,)})
    assert isinstance(model.policy.action_net, Steerable)
    x = observations(model)
    path = export_policy(model, tmp_path / "policy.pt2")
    assert np.abs(run_pt2(path, x) - model.predict(x, deterministic=True)[0]).max() < 1e-5


def test_a_clip_is_part_of_the_policy(tmp_path):
    model = make(PPO, Walker(), "frame")
    with torch.no_grad():
        model.policy.action_net.net[-1].weight.mul_(1e4)
    x = observations(model)
    expected = model.predict(x, deterministic=True)[0]
    assert (np.abs(expected) == 1.0).any()
    assert np.abs(run_onnx(export_policy(model, tmp_path / "p.onnx"), x) - expected).max() < 1e-5


def test_zero_observations_give_zero_vectors(tmp_path):
    model = make(PPO, PointMass(), "vector", normalize=False)
    x = np.zeros((3, 9), np.float32)
    assert np.abs(model.predict(x, deterministic=True)[0][:, :2]).max() == 0.0
    assert np.abs(run_onnx(export_policy(model, tmp_path / "p.onnx"), x)[:, :2]).max() == 0.0


def test_metadata(tmp_path):
    model = make(SAC, Reach(), "vector")
    stored = onnx.load(export_policy(model, tmp_path / "p.onnx"))
    metadata = {entry.key: entry.value for entry in stored.metadata_props}
    assert metadata["group"] == "SO2"
    assert metadata["network"] == "vector"
    assert "place" in metadata["desired_goal"]
    assert "grip" in metadata["action"]
    assert [d.dim_param or d.dim_value for d in stored.graph.input[0].type.tensor_type.shape.dim] == ["batch", 3]
    extra = {"eqrl.json": ""}
    torch.export.load(export_policy(model, tmp_path / "p.pt2"), extra_files=extra)
    assert json.loads(extra["eqrl.json"]) == metadata


@pytest.mark.parametrize("suffix", RUN)
def test_the_file_does_not_tell_where_it_was_made(suffix, tmp_path):
    path = export_policy(make(PPO, PointMass(), "regular"), tmp_path / f"p{suffix}")
    contents = [path.read_bytes()]
    if suffix == ".pt2":
        with zipfile.ZipFile(path) as archive:
            contents = [archive.read(name) for name in archive.namelist()]
            assert {name.split("/")[0] for name in archive.namelist()} == {"p"}
    here = str(Path(export.__file__).parents[1]).encode()
    assert not any(here in content or str(tmp_path).encode() in content for content in contents)


def test_the_model_is_left_alone(tmp_path):
    model = make(PPO, PointMass(), "regular")
    model.policy.set_training_mode(True)
    before = {k: v.clone() for k, v in model.policy.state_dict().items()}
    export_policy(model, tmp_path / "p.pt2")
    assert model.policy.training
    assert not model.policy.action_net.net.frozen
    assert all(torch.equal(v, before[k]) for k, v in model.policy.state_dict().items())
    model.learn(40)


def test_refusals(tmp_path, monkeypatch):
    model = make(PPO, PointMass(), "frame")
    with pytest.raises(UsageError, match=r"unknown kind '.txt'; use .onnx or .pt2"):
        export_policy(model, tmp_path / "p.txt")
    with pytest.raises(UsageError, match="ActorCriticPolicy is no policy of eqrl"):
        export_policy(PPO("MlpPolicy", PointMass()), tmp_path / "p.pt2")
    with monkeypatch.context() as patch:
        patch.setattr(
            DeterministicPolicy,
            "forward",
            lambda self, observation: observation if observation.sum() > 0 else -observation,
        )
        with pytest.raises(UsageError, match=r"^network 'frame' cannot be exported: [^\n]+$"):
            export_policy(model, tmp_path / "p.pt2")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'eqrl\[export\]'"):
        export_policy(model, tmp_path / "p.onnx")
    assert not list(tmp_path.iterdir())


# ------------------------------------------------------------------ the command
@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    shared = {"env": "eqrl/Push-v0", "rotations": 0, "eval_freq": 0, "num_threads": 1, "log_folder": str(folder)}
    return {
        name: str(train(Config(network=name, n_timesteps=2048, **shared)).path) for name in ("regular", "MlpPolicy")
    }


def test_the_command(runs, tmp_path, capsys):
    path = tmp_path / "deep" / "policy.onnx"
    assert main(["export", runs["regular"], "--out", str(path)]) == 0
    said = capsys.readouterr().out
    assert "action (batch, 2)" in said
    assert str(path) in said
    model, _ = eqrl.load(runs["regular"])
    x = observations(model)
    assert np.abs(run_onnx(path, x) - model.predict(x, deterministic=True)[0]).max() < 1e-5


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("RUN --out policy.txt", ["'.txt'", ".onnx or .pt2"]),
        ("RUN --oot policy.onnx", ["'--oot'", "'--out'"]),
        ("RUN --checkpoint 17", ["no checkpoint '17'"]),
        ("nowhere", ["not a run folder"]),
        ("STOCK --out policy.pt2", ["ActorCriticPolicy", "mlp"]),
    ],
)
def test_mistakes_are_one_line(runs, tmp_path, capsys, monkeypatch, options, words):
    monkeypatch.chdir(tmp_path)
    argv = options.replace("RUN", runs["regular"]).replace("STOCK", runs["MlpPolicy"]).split()
    assert main(["export", *argv]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert all(word in said for word in words), said
    assert not list(tmp_path.iterdir())


def test_module_form(runs, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "eqrl.export", runs["regular"], "--out", "p.pt2"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "p.pt2").is_file()
    assert done.stderr == ""
