"""Short trainings by rsl_rl, for tests: its own perceptron, and eqrl's model in its place."""

from __future__ import annotations

import copy
from typing import Any

import torch
from rsl_rl.runners import OnPolicyRunner
from tensordict import TensorDict
from torch import Tensor

import eqrl
from eqrl.engines.rsl_rl import TypedVecEnv
from eqrl.symmetry import Element

MODEL = "eqrl.engines.rsl_rl:EquivariantModel"
GAUSSIAN = "eqrl.engines.rsl_rl:OrbitGaussian"


def configuration(groups: list[str], *, exact: bool = True, **model: Any) -> dict[str, Any]:
    """rsl_rl's configuration of a small PPO, whose networks are eqrl's or rsl_rl's own."""
    common = {
        "class_name": MODEL if exact else "MLPModel",
        "hidden_dims": [32, 32],
        "activation": "elu",
        "obs_normalization": True,
        **model,
    }
    distribution = {"class_name": GAUSSIAN if exact else "GaussianDistribution", "init_std": 0.5}
    return {
        "num_steps_per_env": 8,
        "save_interval": 1000,
        "obs_groups": {"actor": groups, "critic": groups},
        "algorithm": {"class_name": "PPO", "num_learning_epochs": 3, "num_mini_batches": 2},
        "actor": {**common, "distribution_cfg": distribution},
        "critic": common,
    }


def runner(env: TypedVecEnv, cfg: dict[str, Any], seed: int = 0) -> OnPolicyRunner:
    """A runner without a log, which leaves the configuration alone."""
    torch.manual_seed(seed)
    return OnPolicyRunner(env, copy.deepcopy(cfg))


def environment(env_id: str, n_envs: int = 8, **options: Any) -> TypedVecEnv:
    """A vector environment of eqrl for rsl_rl, on one core."""
    return TypedVecEnv(eqrl.make_vec(env_id, n_envs, seed=0, n_threads=1, **options))


def turned(env: TypedVecEnv, observations: TensorDict, g: Element) -> TensorDict:
    """The observations after the group element has moved the scene."""
    spaces = env.typed_spaces.groups
    return TensorDict(
        {name: _moved(spaces[name].representation, x, g) for name, x in observations.items()},
        batch_size=observations.batch_size,
    )


def turned_actions(env: TypedVecEnv, actions: Tensor, g: Element) -> Tensor:
    """The actions after the group element has moved the scene."""
    return _moved(env.typed_spaces.action.representation, actions, g)


def _moved(representation: eqrl.Representation, x: Tensor, g: Element) -> Tensor:
    return representation.transform(x.double(), g).float()
