"""The algorithms of Stable-Baselines3 by name, and the names of their hyperparameters."""

from __future__ import annotations

import inspect
from collections.abc import Mapping

from stable_baselines3 import PPO, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm

ALGORITHMS: Mapping[str, type[BaseAlgorithm]] = {"ppo": PPO, "sac": SAC, "td3": TD3}
_NOT_HYPERPARAMETERS = {
    "self",
    "policy",
    "env",
    "seed",
    "device",
    "verbose",
    "tensorboard_log",
    "policy_kwargs",
    "_init_setup_model",
}


def known_hyperparams(algo: str) -> set[str]:
    """Names of the hyperparameters of an algorithm."""
    return {*inspect.signature(ALGORITHMS[algo].__init__).parameters, "normalize"} - _NOT_HYPERPARAMETERS
