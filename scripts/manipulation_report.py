"""The report of the manipulation benchmark: one table of where the graph pays, one a task, and learning curves."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from earlier_runs import with_earlier_runs
from manipulation_jobs import METHODS, Job, curve, result
from manipulation_tasks import TASKS
from zero_shot_tables import write_csv

from eqrl.evaluation import PALETTE, bootstrap_interval, figure, interquartile_mean, save_figure
from eqrl.versions import versions_text

Row = dict[str, Any]
_TEXT = """# Hands and objects

Written by `scripts/benchmark_manipulation.py`. Algorithms are Stable-Baselines3's, one thread a run; all methods of a
task have the same preset and budget, and none is tuned. *Success* is that of the deterministic policy at the end of an
episode, over all rotations of the scene: the interquartile mean over seeds, with a 95 % bootstrap interval where there
is more than one. A test has 3 rotations of the scene (12 in a sector), and all rotations and shapes begin with the same
80 draws (200 in a sector), so that the number of an exact policy rests on these; older tests had 12 rotations
and 20 draws. *Worst rotation* is the success at the worst rotation over that at 0 degrees. Hours are those of
a run on a machine with two cores that ran others beside it. Runs that have not been repeated are from earlier reports.
"""


def write_report(jobs: Sequence[Job], logs: Path, out: Path) -> None:
    """Write tables, curves and raw numbers of finished runs, and of those of an earlier report."""
    out.mkdir(parents=True, exist_ok=True)
    rows, points = with_earlier_runs(
        out,
        [_row(job, logs, test) for job in jobs for test in job.task.tests],
        [{**_key(job), **point} for job in jobs for point in curve(job, logs)],
        ("task", "method", "seed"),
    )
    rows, points = (sorted(part, key=_order) for part in (rows, points))
    write_csv(out / "runs.csv", rows)
    write_csv(out / "curves.csv", points)
    (out / "runs.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    (out / "env.txt").write_text(
        f"{versions_text()}\n{platform.processor() or platform.machine()}, {os.cpu_count()} cores, one thread a run\n",
        encoding="utf-8",
    )
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    sections = [_TEXT, _overview(rows, tasks)]
    for task in tasks:
        sections.append(_task(task, [row for row in rows if row["task"] == task]))
        sections.append(_curves(task, [point for point in points if point["task"] == task], out))
        if (out / f"strip_{task}.png").is_file():
            sections.append(f"![{task}, one episode](strip_{task}.png)\n")
    (out / "README.md").write_text("\n".join(sections), encoding="utf-8")


def _key(job: Job) -> Row:
    return {"task": job.task.name, "method": job.method, "seed": job.seed}


def _order(row: Row) -> tuple[int, int, int]:
    return list(TASKS).index(row["task"]), list(METHODS).index(row["method"]), row["seed"]


def _row(job: Job, logs: Path, test: str) -> Row:
    seconds = curve(job, logs)[-1]["seconds"]
    return {**_key(job), "test": test, "steps": job.task.steps, "seconds": round(seconds, 1), **result(job, logs, test)}


def _overview(rows: Sequence[Row], tasks: Sequence[str]) -> str:
    methods = list(dict.fromkeys(row["method"] for row in rows))
    lines = [
        "## Where the graph pays\n",
        "Success where it was trained, and on what was not seen in training.\n",
        f"| task | {' | '.join(f'`{m}`' for m in methods)} |",
        f"|---|{'---|' * len(methods)}",
    ]
    for task in tasks:
        of_task = [row for row in rows if row["task"] == task]
        tests = list(dict.fromkeys(row["test"] for row in of_task))
        for test in tests:
            of_test = [row for row in of_task if row["test"] == test]
            cells = [_cell([row for row in of_test if row["method"] == method], "success") for method in methods]
            name = f"{task}, {test}" if len(tests) > 1 else task
            lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _task(task: str, rows: Sequence[Row]) -> str:
    tests = list(dict.fromkeys(row["test"] for row in rows))
    columns = [f"success, {test}" for test in tests]
    lines = [
        f"## {task}\n",
        f"{rows[0]['steps']:,} steps.\n",
        f"| method | seeds | {' | '.join(columns)} | worst rotation | return | hours | equivariance error |",
        f"|---|---|{'---|' * (len(columns) + 4)}",
    ]
    for method in dict.fromkeys(row["method"] for row in rows):
        runs = [row for row in rows if row["method"] == method]
        first = [row for row in runs if row["test"] == tests[0]]
        cells = [_cell([row for row in runs if row["test"] == test], "success") for test in tests]
        errors = [row["equivariance_error"] for row in runs if row["equivariance_error"] is not None]
        hours = float(np.mean([row["seconds"] for row in first])) / 3600
        more = (_cell(first, "retention"), _cell(first, "return"), f"{hours:.2f}")
        error = f"{max(errors):.0e}" if errors else "-"
        lines.append(f"| `{method}` | {len(first)} | {' | '.join((*cells, *more, error))} |")
    return "\n".join(lines) + "\n"


def _cell(rows: Sequence[Row], name: str) -> str:
    values = np.array([row[name] for row in rows if row[name] is not None], dtype=np.float64)
    if not len(values):
        return "-"
    if len(values) == 1:
        return f"{values[0]:.2f}"
    low, high = bootstrap_interval(values)
    return f"{float(interquartile_mean(values)):.2f} [{float(low):.2f}, {float(high):.2f}]"


def _curves(task: str, points: Sequence[Row], out: Path) -> str:
    """Success against steps, and against seconds, a line for each run."""
    drawing, axes = figure(columns=2, size=4.6)
    methods = list(dict.fromkeys(point["method"] for point in points))
    for axis, x in zip(axes[0], ("timesteps", "seconds"), strict=True):
        for method, seed in dict.fromkeys((point["method"], point["seed"]) for point in points):
            run = [point for point in points if point["method"] == method and point["seed"] == seed]
            colour = PALETTE[methods.index(method) % len(PALETTE)]
            label = method if seed == 0 else None
            axis.plot([p[x] for p in run], [p["success_rate"] for p in run], color=colour, linewidth=1.6, label=label)
        axis.set(ylim=(-0.02, 1.02), xlim=(0, None), xlabel={"timesteps": "environment steps"}.get(x, "seconds"))
        axis.spines[["top", "right"]].set_visible(False)
    axes[0, 0].set_ylabel("success")
    axes[0, 0].ticklabel_format(axis="x", style="sci", scilimits=(0, 0))
    drawing.legend(
        *axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False, fontsize=9
    )
    drawing.suptitle(task, fontsize=12)
    save_figure(drawing, out / f"{task}.png")
    return f"![{task}]({task}.png)\n"
