"""The README of a run folder."""

from __future__ import annotations

from collections.abc import Mapping

from eqrl.evaluation.protocol import ZeroShot
from eqrl.runs.config import Config
from eqrl.runs.folder import RunFolder

_FILES = """\
| file | what it is |
|---|---|
| `config.yaml` | every option, presets filled in |
| `command.txt`, `versions.txt` | how it was started, and with what |
| `checkpoints/step_*/` | the newest complete checkpoints, each with a manifest; numbers only, \
nothing in them is executed |
| `checkpoints/best_*/` | the policy with the best evaluation |
| `replay/` | the replay buffer, in chunks that the checkpoints share |
| `progress.csv`, `evaluations.csv`, `tensorboard/` | learning curves |
| `result.json`, `zero_shot.json`, `zero_shot.png` | the final numbers and success on rotated worlds, \
once the training has ended |
| `failure_*/` | what was at hand when a guard stopped the training, if one did |
"""


def readme(
    folder: RunFolder, config: Config, metrics: Mapping[str, float] | None = None, result: ZeroShot | None = None
) -> str:
    """The text of the README in Markdown: what the run is, how it ended and how to use it."""
    lines = [
        *headline(config),
        "",
        "## Result",
        "",
        *_result(metrics, result),
        "",
        "## Commands",
        "",
        "```",
        f"eqrl evaluate {folder.path} --rotations 12 --protocol scene --plot zero_shot.png --video zero_shot.mp4",
        f"eqrl train --resume {folder.path}      # go on after an interruption, or with -n for more steps",
        f"eqrl train --config {folder.config_file}      # the same again, in a new folder",
        "```",
        "",
        "```python",
        "import eqrl",
        "",
        f'model, config = eqrl.load("{folder.path}")',
        "```",
        "",
        "## Files",
        "",
        _FILES,
    ]
    return "\n".join(lines)


def headline(config: Config) -> list[str]:
    """The title of a run, an empty line, and a sentence on its training."""
    policy = "Stable-Baselines3's stock policy" if config.network == "MlpPolicy" else f"network `{config.network}`"
    return [
        f"# {config.algo} on {config.env}, {policy}, seed {config.seed}",
        "",
        f"{config.n_timesteps:,} steps in {config.n_envs} environments"
        + (f", options {config.env_kwargs}" if config.env_kwargs else "")
        + (", training episodes turned at random" if config.augment else "")
        + (f", mirror loss of weight {config.mirror_loss:g}" if config.mirror_loss else "")
        + (f", priors {', '.join(config.prior)}" if config.prior else "")
        + ".",
    ]


def _result(metrics: Mapping[str, float] | None, result: ZeroShot | None) -> list[str]:
    if metrics is None:
        return ["The training has not ended."]
    lines = [f"- steps: {metrics['timesteps']:,.0f} ({metrics['seconds']:.0f} s of training)"]
    if result is None:
        return [*lines, "- no zero-shot evaluation"]
    n = len(result.angles_deg)
    over = f" over {n} rotations of the scene" if n > 1 else ""
    lines.append(f"- mean return{over}: {metrics['return']:.2f}")
    if result.success is not None:
        lines.append(f"- success: {metrics['success']:.2f} on average, {result.success.min():.2f} at the worst angle")
    if "retention_min" in metrics:
        lines.append(f"- retention at the worst angle ({result.retention_of}): {metrics['retention_min']:.2f}")
    if "equivariance_error" in metrics:
        lines.append(f"- measured equivariance error of the deployed policy: {metrics['equivariance_error']:.1e}")
    if result.members:
        lines += ["", "| member | return | success |", "|---|---|---|"]
        for name, member in result.members.items():
            numbers = member.summary()
            success = f"{numbers['success']:.2f}" if "success" in numbers else "-"
            lines.append(f"| {name} | {numbers['return']:.2f} | {success} |")
    return lines
