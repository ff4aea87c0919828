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


# hyperparameters that a wrapper or a callback reads instead of the algorithm
_OF_CALLBACKS: Mapping[str, frozenset[str]] = {"ppo": frozenset({"desired_kl", "std_schedule"})}
OUTSIDE_THE_ALGORITHM = frozenset({"normalize"}).union(*_OF_CALLBACKS.values())


def known_hyperparams(algo: str) -> set[str]:
    """Names of the hyperparameters of an algorithm."""
    arguments = inspect.signature(ALGORITHMS[algo].__init__).parameters
    return {*arguments, "normalize", *_OF_CALLBACKS.get(algo, ())} - _NOT_HYPERPARAMETERS
