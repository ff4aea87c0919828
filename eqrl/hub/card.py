"""The model card of a run: its README on a hub, from its configuration and its results."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from eqrl.errors import UsageError
from eqrl.runs.config import STOCK_POLICY, Config
from eqrl.runs.summary import headline

# numbers of result.json that a card shows, and what they are
_NUMBERS: Mapping[str, str] = {
    "timesteps": "environment steps",
    "return": "mean return over the rotations of the scene",
    "success": "success over the rotations of the scene",
    "retention_min": "retention at the worst rotation",
    "equivariance_error": "measured equivariance error of the deployed policy",
}
_METRICS = {"return": "mean_reward", "success": "success_rate"}  # names on the hub
_PACKAGES = ("eqrl", "torch", "stable-baselines3", "gymnasium", "mujoco")


def card(repo: str, config: Config, versions: Mapping[str, str], result_file: Path) -> str:
    """The text of a model card.

    Args:
        repo: the repository, ``owner/name``.
        config: the run's configuration.
        versions: of the packages that it was trained with.
        result_file: the run's ``result.json``; without it, the card says that the training has not ended.

    Raises:
        UsageError: if the results are damaged.
    """
    numbers = _numbers(result_file)
    title, _, about = headline(config)
    folder = repo.split("/")[-1]
    lines = [
        "---",
        yaml.safe_dump(_metadata(folder, config, numbers), sort_keys=False).rstrip(),
        "---",
        "",
        title,
        "",
        about,
        "",
        "## Result",
        "",
        *(_table(numbers) if numbers else ["The training has not ended."]),
        "",
        "## Use",
        "",
        "```bash",
        "pip install 'eqrl[hub]'",
        f"eqrl pull {repo}",
        f"eqrl evaluate {folder}",
        "```",
        "",
        "`eqrl pull` downloads numbers and options, compares them with their checksums and executes nothing.",
        "",
        "Trained with " + ", ".join(f"{name} {versions[name]}" for name in _PACKAGES if name in versions) + ".",
        "",
    ]
    return "\n".join(lines)


def _metadata(name: str, config: Config, numbers: Mapping[str, float]) -> dict[str, Any]:
    env = config.env.split(":")[-1]
    kind = "stock-policy" if config.network == STOCK_POLICY else "equivariant"
    metadata: dict[str, Any] = {
        "library_name": "eqrl",
        "tags": ["reinforcement-learning", "deep-reinforcement-learning", "stable-baselines3", kind, config.algo, env],
    }
    metrics = [{"type": kind, "name": kind, "value": numbers[n]} for n, kind in _METRICS.items() if n in numbers]
    if metrics:
        task = {"type": "reinforcement-learning", "name": "reinforcement-learning"}
        result = {"task": task, "dataset": {"name": env, "type": env}, "metrics": metrics}
        metadata["model-index"] = [{"name": name, "results": [result]}]
    return metadata


def _table(numbers: Mapping[str, float]) -> list[str]:
    rows = [f"| {text} | {_short(numbers[name])} |" for name, text in _NUMBERS.items() if name in numbers]
    return ["| | |", "|---|---|", *rows]


def _short(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) and value >= 1000 else f"{value:.3g}"


def _numbers(path: Path) -> dict[str, float]:
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        numbers = {name: float(stored[name]) for name in _NUMBERS if name in stored}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UsageError(f"{path} is damaged ({error}); delete it, and 'eqrl train --resume' writes it again") from None
    return {name: value for name, value in numbers.items() if math.isfinite(value)}
