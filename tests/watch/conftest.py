"""Untrained agents, which is what exactness is about."""

import pytest

from eqrl.runs.config import Config
from eqrl.train import train


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """Two runs on AntTarget that differ in the network, which have hardly been trained."""
    shared = {
        "env": "eqrl/AntTarget-v0",
        "n_envs": 2,
        "n_timesteps": 128,
        "hyperparams": {"n_steps": 32, "batch_size": 64},
        "rotations": 0,
        "eval_freq": 0,
        "num_threads": 1,
        "log_folder": str(tmp_path_factory.mktemp("runs")),
    }
    return {name: train(Config(network=name, **shared)).path for name in ("frame", "mlp")}
