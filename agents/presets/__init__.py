"""Hyperparameters as data: one YAML file for each algorithm, with defaults and overrides for single environments.

An override is for all ids that its key matches, such as ``eqrl/SGRL-*``; later ones win. A second file for each
algorithm, ``<algorithm>.search.yaml``, has the same form and holds what ``eqrl tune`` searches.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from fnmatch import fnmatchcase
from importlib import resources
from typing import Any

import yaml

_FILES = ("ppo", "sac", "td3")


def preset(algo: str, env_id: str) -> dict[str, Any]:
    """Hyperparameters of an algorithm on an environment.

    Args:
        algo: ``"ppo"``, ``"sac"`` or ``"td3"``, in any case.
        env_id: Gymnasium id; ids that the file does not name get the defaults.

    Returns:
        ``n_envs``, ``n_timesteps``, ``network``, and otherwise arguments of the SB3 algorithm; dictionaries such as
        ``policy_kwargs`` hold the defaults and the environment's own entries together.

    Raises:
        ValueError: for an unknown algorithm; the message names the closest one.
    """
    merged: dict[str, Any] = {}
    for layer in _layers(algo, "", env_id):
        for key, value in layer.items():
            both = isinstance(value, dict) and isinstance(merged.get(key), dict)
            merged[key] = {**merged[key], **value} if both else value
    return merged


def search_space(algo: str, env_id: str) -> dict[str, Any]:
    """What ``eqrl tune`` searches for an algorithm on an environment, as :mod:`eqrl.tuning.space` reads it.

    Args:
        algo: as for :func:`preset`.
        env_id: as for :func:`preset`.

    Raises:
        ValueError: for an unknown algorithm; the message names the closest one.
    """
    merged: dict[str, Any] = {}
    for layer in _layers(algo, ".search", env_id):
        merged.update(layer)
    return {key: value for key, value in merged.items() if value is not None}


def _layers(algo: str, kind: str, env_id: str) -> Iterator[Mapping[str, Any]]:
    """The defaults of a file, and its overrides for an environment."""
    name = algo.lower()
    if name not in _FILES:
        close = get_close_matches(name, _FILES, n=1, cutoff=0.3)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"no presets for {algo!r}, only for {', '.join(_FILES)}{hint}")
    content = yaml.safe_load(resources.files(__package__).joinpath(f"{name}{kind}.yaml").read_text(encoding="utf-8"))
    yield content.pop("default")
    for pattern, overrides in content.items():
        if fnmatchcase(env_id.split(":", 1)[-1], pattern):
            yield overrides
