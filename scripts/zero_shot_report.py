"""Tables, figures and files of the zero-shot benchmark, made from the run folders."""

from __future__ import annotations

import csv
import json
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from zero_shot_jobs import Job

from eqrl.evaluation import (
    PALETTE,
    Curve,
    bootstrap_interval,
    draw_polar,
    figure,
    interquartile_mean,
    save_figure,
)
from eqrl.versions import versions_text

Row = dict[str, Any]
_THRESHOLD = 0.9
_LAST = 3  # evaluations whose mean is the final return
_SECTOR_DEGREES = 30.0
_ALL = "all-directions"


@dataclass(frozen=True)
class Heading:
    """The heading of a report.

    Attributes:
        title: title of the report.
        script: the script that wrote it.
        text: description of the experiment, in Markdown.
    """

    title: str
    script: str
    text: str


ZERO_SHOT = Heading(
    "Zero-shot rotation: trained on one sector, evaluated on all",
    "scripts/benchmark_zero_shot.py",
    """*scene*: goal and robot turn together; *goal*: only the goal turns. Retention is success at an angle over success at
0 degrees, of the same run. Runs of tasks in all directions are there for the sample efficiency: they leave nothing to
generalise to.""",
)


def write_report(jobs: Sequence[Job], out: Path, heading: Heading = ZERO_SHOT) -> None:
    """Write the report into a folder.

    Args:
        jobs: complete runs.
        out: the folder; files of an older report are replaced.
        heading: heading of the report.
    """
    out.mkdir(parents=True, exist_ok=True)
    curves = [row for job in jobs for row in _curve(job)]
    angles = [row for job in jobs for protocol in ("scene", "goal") for row in _angles(job, protocol)]
    runs = [_run(job, [r for r in curves if _same(r, job)], [r for r in angles if _same(r, job)]) for job in jobs]
    for name, rows in (("runs", runs), ("zero_shot", angles), ("curves", curves)):
        _write_csv(out / f"{name}.csv", rows)
    aggregate = {
        task: {m: _aggregate(_select(runs, task=task, method=m)) for m in _methods(runs, task)} for task in _tasks(runs)
    }
    (out / "aggregate.json").write_text(json.dumps(aggregate, indent=2) + "\n", encoding="utf-8")
    (out / "env.txt").write_text(_environment(), encoding="utf-8")
    pictures = []
    for task in _tasks(runs):
        if not task.endswith(_ALL):
            pictures.append(_polar_figure(task, _select(angles, task=task), out))
        pictures.append(_learning_figure(task, _select(curves, task=task), out))
    (out / "README.md").write_text(_readme(aggregate, runs, pictures, heading), encoding="utf-8")


# ---------------------------------------------------------------------- rows
def _key(job: Job) -> Row:
    return {"task": job.task.name, "method": job.method, "seed": job.seed}


def _same(row: Row, job: Job) -> bool:
    return all(row[k] == v for k, v in _key(job).items())


def _curve(job: Job) -> Iterable[Row]:
    assert job.run is not None
    with (job.run / "evaluations.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            yield {
                **_key(job),
                "timesteps": int(row["timesteps"]),
                **{k: float(row[k]) for k in ("seconds", "success_rate", "mean_reward")},
            }


def _angles(job: Job, protocol: str) -> Iterable[Row]:
    numbers = json.loads(job.numbers(protocol).read_text(encoding="utf-8"))
    nothing = [None] * len(numbers["angles_deg"])
    for i, angle in enumerate(numbers["angles_deg"]):
        # retention of success only: a ratio of returns means little where nothing was learnt
        retention = numbers["retention"] if numbers["retention_of"] == "success" else None
        yield {
            **_key(job),
            "protocol": protocol,
            "angle_deg": angle,
            "return": numbers["return"][i],
            "success": numbers["success"][i],
            "retention": (retention or nothing)[i],
            "equivariance_error": (numbers["equivariance_error_by_angle"] or nothing)[i],
        }


def _run(job: Job, curve: Sequence[Row], angles: Sequence[Row]) -> Row:
    row = {
        **_key(job),
        "env": job.task.env,
        "algo": "ppo",
        "steps": curve[-1]["timesteps"],
        "seconds": round(curve[-1]["seconds"], 1),
    }
    for protocol in ("scene", "goal"):
        rows = _select(angles, protocol=protocol)
        retentions = [r["retention"] for r in rows if r["retention"] is not None]
        row[f"{protocol}_success_unturned"] = rows[0]["success"]
        row[f"{protocol}_success_mean"] = float(np.mean([r["success"] for r in rows]))
        row[f"{protocol}_success_min"] = float(np.min([r["success"] for r in rows]))
        row[f"{protocol}_retention_mean"] = float(np.mean(retentions)) if retentions else None
        row[f"{protocol}_retention_min"] = float(np.min(retentions)) if retentions else None
    errors = [r["equivariance_error"] for r in angles if r["equivariance_error"] is not None]
    row["equivariance_error"] = max(errors) if errors else None
    row["final_return"] = float(np.mean([r["mean_reward"] for r in curve[-_LAST:]]))
    reached = _reached(curve)
    row["steps_to_0.9"] = reached["timesteps"] if reached else None
    row["seconds_to_0.9"] = round(reached["seconds"], 1) if reached else None
    return row


def _reached(curve: Sequence[Row]) -> Row | None:
    """The first of two consecutive evaluations with a success of at least 0.9, because a single one may be luck."""
    for now, after in pairwise(curve):
        if min(now["success_rate"], after["success_rate"]) >= _THRESHOLD:
            return now
    return None


# ---------------------------------------------------------------------- aggregates
def _aggregate(runs: Sequence[Row]) -> Row:
    aggregate: Row = {"seeds": len(runs)}
    names = [k for k in runs[0] if k.startswith(("scene_", "goal_")) or k in ("equivariance_error", "seconds", "final_return")]
    for name in names:
        values = np.array([r[name] for r in runs if r[name] is not None], dtype=np.float64)
        if len(values):
            low, high = bootstrap_interval(values)
            aggregate[name] = {
                "iqm": float(interquartile_mean(values)),
                "low": float(low),
                "high": float(high),
                "runs": len(values),
            }
    for name in ("steps_to_0.9", "seconds_to_0.9"):
        # a run that never reaches the threshold counts as infinite, which a median can take into account and a mean cannot
        values = np.array([np.inf if r[name] is None else r[name] for r in runs], dtype=np.float64)
        median = float(np.median(values))
        aggregate[name] = {"median": median if np.isfinite(median) else None, "reached": int(np.isfinite(values).sum())}
    return aggregate


def _stacked(rows: Sequence[Row], axis: str, value: str) -> tuple[np.ndarray, np.ndarray]:
    """Values as an array ``(points, seeds)``, restricted to points that all seeds have."""
    seeds = sorted({r["seed"] for r in rows})
    tables = [{r[axis]: r[value] for r in rows if r["seed"] == seed} for seed in seeds]
    points = sorted(set.intersection(*(set(t) for t in tables)))
    return np.array(points, dtype=np.float64), np.array([[t[p] for t in tables] for p in points], dtype=np.float64)


# ---------------------------------------------------------------------- figures
def _polar_figure(task: str, rows: Sequence[Row], out: Path) -> str:
    drawing, axes = figure(columns=2, size=5.2, projection="polar")
    titles = {"scene": "scene turned: goal and robot together", "goal": "goal turned: the robot keeps its heading"}
    for axis, (protocol, title) in zip(axes[0], titles.items(), strict=True):
        curves = {}
        for method in _methods(rows, task):
            angles, scores = _stacked(_select(rows, method=method, protocol=protocol), "angle_deg", "success")
            curves[method] = Curve(angles, interquartile_mean(scores), *bootstrap_interval(scores))
        draw_polar(axis, curves, _SECTOR_DEGREES, title)
    drawing.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    drawing.suptitle(f"{task}: success against the angle of rotation (interquartile mean, 95% bootstrap)", fontsize=12)
    return _save(drawing, out, f"polar_{task}")


def _learning_figure(task: str, rows: Sequence[Row], out: Path) -> str:
    drawing, axes = figure(columns=2, size=4.6)
    for axis, x in zip(axes[0], ("timesteps", "seconds"), strict=True):
        for i, method in enumerate(_methods(rows, task)):
            mine = _select(rows, method=method)
            points, scores = _stacked(mine, "timesteps", "success_rate")
            if x == "seconds":
                points = _stacked(mine, "timesteps", "seconds")[1].mean(axis=1)
            low, high = bootstrap_interval(scores)
            axis.fill_between(points, low, high, color=PALETTE[i], alpha=0.14, linewidth=0)
            axis.plot(points, interquartile_mean(scores), color=PALETTE[i], linewidth=2, label=method)
        axis.axhline(_THRESHOLD, color="#c9d1d9", linewidth=1, zorder=0)
        axis.set(
            ylim=(0, 1.02), xlim=(0, None), xlabel={"timesteps": "environment steps", "seconds": "seconds, one thread"}[x]
        )
        axis.spines[["top", "right"]].set_visible(False)
    axes[0, 0].set_ylabel("success where it trains")
    axes[0, 0].ticklabel_format(axis="x", style="sci", scilimits=(0, 0))
    drawing.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    drawing.suptitle(f"{task}: learning (interquartile mean, 95% bootstrap)", fontsize=12)
    return _save(drawing, out, f"learning_{task}")


def _save(drawing: Any, out: Path, stem: str) -> str:
    for suffix in ("png", "svg"):
        save_figure(drawing, out / "figures" / f"{stem}.{suffix}")
    return f"figures/{stem}.png"


# ---------------------------------------------------------------------- text
def _readme(aggregate: Mapping[str, Any], runs: Sequence[Row], pictures: Sequence[str], heading: Heading) -> str:
    lines = [
        f"# {heading.title}",
        "",
        f"Made by `python {heading.script}`; every number here is computed from `runs.csv`, `zero_shot.csv` and",
        "`curves.csv`. PPO, the same preset, budget and seeds for every method, one thread a run. Values are interquartile means",
        "over seeds with 95% bootstrap intervals (of few seeds, so read them as a range).",
        *heading.text.splitlines(),
        "",
    ]
    for task, methods in aggregate.items():
        lines += [f"## {task}", "", f"{max(r['steps'] for r in _select(runs, task=task)):,} steps.", ""]
        lines += [
            "| method | seeds | success at 0° | scene: mean success | scene: least retention | goal: mean success | final return | steps to 0.9 | seconds | equivariance error |"
        ]
        lines += ["|---|---|---|---|---|---|---|---|---|---|"]
        for method, a in methods.items():
            steps = a["steps_to_0.9"]
            reached = "-" if steps["median"] is None else f"{steps['median']:,.0f}"
            error = f"{a['equivariance_error']['iqm']:.0e}" if "equivariance_error" in a else "-"
            cells = [
                _cell(a, k)
                for k in (
                    "scene_success_unturned",
                    "scene_success_mean",
                    "scene_retention_min",
                    "goal_success_mean",
                    "final_return",
                )
            ]
            lines.append(
                f"| {method} | {a['seeds']} | {' | '.join(cells)} | {reached} ({steps['reached']} of {a['seeds']}) "
                f"| {a['seconds']['iqm']:.0f} | {error} |"
            )
        lines += ["", *(f"![{task}]({p})" for p in pictures if p.endswith(f"_{task}.png")), ""]
    return "\n".join(lines)


def _cell(aggregate: Row, name: str) -> str:
    if name not in aggregate:
        return "-"
    a = aggregate[name]
    return f"{a['iqm']:.2f} [{a['low']:.2f}, {a['high']:.2f}]"


def _environment() -> str:
    packages = sorted(
        {f"{d.metadata['Name']}=={d.version}" for d in metadata.distributions() if d.metadata["Name"]}, key=str.lower
    )
    return (
        f"{versions_text()}cores {os.cpu_count()}\nprocessor {platform.processor() or platform.machine()}\n\n"
        + "\n".join(packages)
        + "\n"
    )


def _write_csv(path: Path, rows: Sequence[Row]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _select(rows: Sequence[Row], **values: Any) -> list[Row]:
    return [r for r in rows if all(r[k] == v for k, v in values.items())]


def _tasks(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(r["task"] for r in rows))


def _methods(rows: Sequence[Row], task: str) -> list[str]:
    return list(dict.fromkeys(r["method"] for r in rows if r["task"] == task))
