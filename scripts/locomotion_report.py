"""The report of the locomotion benchmark: tables and curves beside the published numbers."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from locomotion_jobs import Job

from eqrl.evaluation import PALETTE, figure, mean_interval, save_figure
from eqrl.versions import versions_text

# Chen et al., ICML 2023, poster: returns after 1 to 5 million counted steps. The code counts transitions and gradient
# steps, so that these are 0.5 to 2.5 million transitions.
PUBLISHED = {
    "cheetah_14_full": {"SET": (4327, 6671, 11240, 14272, 15508)},
    "humanoid_9_full": {
        "SET": (733, 4391, 8559, 10288, 8542),
        "MLP in the heading frame": (1384, 7762, 7643, 9595, 9677),
    },
    "Cheetahs": {"SET": (2066, 4016, 5436, 5906, 6606)},
    "Humanoids": {"SET": (269, 711, 2772, 4468, 7166)},
}
PUBLISHED_UNSEEN = {
    "humanoid_7_left_leg": 244.8,
    "humanoid_8_right_knee": 299.6,
    "cheetah_11_leftbkneen_rightffoot": 4643.9,
    "cheetah_12_tail_leftffoot": 916.0,
}
_TEXT = """# 3D-SGRL's robots learn to run to a target

Written by `scripts/benchmark_locomotion.py`. Every policy is stock PPO of Stable-Baselines3 on 64 environments, one
thread, with one preset for all methods; nothing was tuned for a method. Training may use the faster `implicitfast`
integrator. All numbers are of the deterministic policy on the published physics, the mean over twelve rotations of the
world.

*Return* is the published one, which pays a robot half for running straight ahead whatever the target is. *Share* is the
share of the path that led to the target, and *speed* counts metres towards it: they tell whether a robot steers.
*Rotations* is the smallest and the largest mean return among the twelve. SET stands at equal transitions; its
return was measured there on directions drawn anew, and its pyramidal friction cones make some directions faster.
"""


def write_report(jobs: Sequence[Job], logs: Path, out: Path) -> None:
    """Write tables, curves and raw numbers of finished runs."""
    out.mkdir(parents=True, exist_ok=True)
    runs = [(job, json.loads(job.numbers(logs).read_text(encoding="utf-8"))) for job in jobs]
    raw = [{"env": job.env, "method": job.method, "seed": job.seed, **numbers} for job, numbers in runs]
    (out / "runs.json").write_text(json.dumps(raw, indent=1) + "\n", encoding="utf-8")
    (out / "env.txt").write_text(
        f"{versions_text()}\n{platform.processor() or platform.machine()}, {os.cpu_count()} cores, one thread a run\n",
        encoding="utf-8",
    )
    sections = [_TEXT, _table(runs), _by_method(runs), _by_robot(runs), _curves(runs, out)]
    (out / "README.md").write_text("\n".join(s for s in sections if s), encoding="utf-8")


def _table(runs: Sequence[tuple[Job, dict[str, Any]]]) -> str:
    rows = [
        "## Runs\n",
        "| robots | method | seed | transitions | hours | return | share | speed, m/s | rotations | SET |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for job, n in runs:
        turns = np.mean([n["robots"][r]["return_by_rotation"] for r in n["robots"] if r not in job.unseen], axis=0)
        rows.append(
            f"| {job.env} | `{job.method}` | {job.seed} | {n['steps'] / 1e6:.2f} M | {n['seconds'] / 3600:.2f} |"
            f" {n['return']:.0f} | {n['share']:.2f} | {n['speed']:.2f} | {turns.min():.0f} .. {turns.max():.0f} |"
            f" {_at(job.env, n['steps'])} |"
        )
    return "\n".join(rows) + "\n"


def _at(env: str, steps: int) -> str:
    """SET's return at as many transitions, where it is known."""
    k = steps / 500_000 - 1
    known = PUBLISHED.get(env, {}).get("SET")
    if known is None or k < -0.01:
        return ""
    return f"{np.interp(k, range(5), known):.0f}" + (" (at 2.5 M)" if k > 4.01 else "")


def _by_method(runs: Sequence[tuple[Job, dict[str, Any]]]) -> str:
    """Methods with the same budget, over seeds."""
    cells: dict[tuple[str, int, str], list[dict[str, Any]]] = {}
    for job, n in runs:
        if n["steps"] >= job.steps:  # not those that were cut short
            cells.setdefault((job.env, job.steps, job.method), []).append(n)
    budgets = {key[:2] for key in cells if len({k[2] for k in cells if k[:2] == key[:2]}) > 1}
    if not budgets:
        return ""
    rows = [
        "## Equal budgets\n",
        "Means over seeds with 95 % t intervals.\n",
        "| robots | transitions | method | seeds | return | share | hours a run |",
        "|---|---|---|---|---|---|---|",
    ]
    for (env, steps, method), numbers in sorted(cells.items(), key=lambda c: (c[0][:2], -_mean(c[1], "return"))):
        if (env, steps) in budgets:
            returns = np.array([n["return"] for n in numbers])
            low, high = mean_interval(returns) if len(returns) > 1 else (np.nan, np.nan)
            interval = f" ({low:.0f} .. {high:.0f})" if len(returns) > 1 else ""
            rows.append(
                f"| {env} | {steps / 1e6:g} M | `{method}` | {len(numbers)} | {returns.mean():.0f}{interval} |"
                f" {_mean(numbers, 'share'):.2f} | {_mean(numbers, 'seconds') / 3600:.2f} |"
            )
    return "\n".join(rows) + "\n"


def _mean(numbers: Sequence[dict[str, Any]], name: str) -> float:
    return float(np.mean([n[name] for n in numbers]))


def _by_robot(runs: Sequence[tuple[Job, dict[str, Any]]]) -> str:
    sets = [(job, n) for job, n in runs if len(n["robots"]) > 1]
    if not sets:
        return ""
    rows = [
        "## One policy for many robots\n",
        "| policy | robot | return | share | speed, m/s | SET, never seen |",
        "|---|---|---|---|---|---|",
    ]
    for job, n in sets:
        for robot, numbers in n["robots"].items():
            name = f"**{robot}** (never seen)" if robot in job.unseen else robot
            published = f"{PUBLISHED_UNSEEN[robot]:.0f}" if robot in job.unseen else ""
            rows.append(
                f"| {job.env}, `{job.method}`, seed {job.seed} | {name} | {numbers['return']:.0f} |"
                f" {numbers['share']:.2f} | {numbers['speed']:.2f} | {published} |"
            )
    return "\n".join(rows) + "\n"


def _curves(runs: Sequence[tuple[Job, dict[str, Any]]], out: Path) -> str:
    """A figure for each environment: evaluations during the training."""
    lines = ["## Curves\n"]
    methods = list(dict.fromkeys(job.method for job, _ in runs))
    for env in dict.fromkeys(job.env for job, _ in runs):
        fig, ((ax,),) = figure()
        for job, n in runs:
            if job.env == env:
                steps, returns = zip(*((row["timesteps"] / 1e6, row["mean_reward"]) for row in n["curve"]), strict=True)
                colour = PALETTE[methods.index(job.method) % len(PALETTE)]
                ax.plot(steps, returns, color=colour, label=job.method if job.seed == 0 else None)
        for k, (name, returns) in enumerate(PUBLISHED.get(env, {}).items()):
            ax.plot(np.arange(1, 6) / 2, returns, "k" + ("o:", "s:")[k], alpha=0.5, label=f"{name}, published")
        ax.set_xlabel("million transitions")
        ax.set_ylabel("return, deterministic, published physics")
        ax.set_title(env)
        ax.legend(fontsize=8)
        save_figure(fig, out / f"{env}.png")
        lines.append(f"![{env}]({env}.png)\n")
    return "\n".join(lines)
