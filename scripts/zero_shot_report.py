"""The report of the zero-shot benchmark: figures, tables and text, made from the run folders."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from zero_shot_jobs import Job
from zero_shot_tables import (
    THRESHOLD,
    Row,
    aggregated,
    angle_rows,
    curve_rows,
    methods_in,
    run_row,
    same_run,
    select,
    stacked,
    tasks_in,
    write_csv,
)

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
    """*scene*: goal and robot turn together; *goal*: only the goal turns. \
Retention is success at an angle over success at
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
    curves = [row for job in jobs for row in curve_rows(job)]
    angles = [row for job in jobs for protocol in ("scene", "goal") for row in angle_rows(job, protocol)]
    runs = [
        run_row(job, [r for r in curves if same_run(r, job)], [r for r in angles if same_run(r, job)]) for job in jobs
    ]
    for name, rows in (("runs", runs), ("zero_shot", angles), ("curves", curves)):
        write_csv(out / f"{name}.csv", rows)
    aggregate = {
        task: {m: aggregated(select(runs, task=task, method=m)) for m in methods_in(runs, task)}
        for task in tasks_in(runs)
    }
    (out / "aggregate.json").write_text(json.dumps(aggregate, indent=2) + "\n", encoding="utf-8")
    (out / "env.txt").write_text(_environment(), encoding="utf-8")
    pictures = []
    for task in tasks_in(runs):
        if not task.endswith(_ALL):
            pictures.append(_polar_figure(task, select(angles, task=task), out))
        pictures.append(_learning_figure(task, select(curves, task=task), out))
    (out / "README.md").write_text(_readme(aggregate, runs, pictures, heading), encoding="utf-8")


# ---------------------------------------------------------------------- figures
def _polar_figure(task: str, rows: Sequence[Row], out: Path) -> str:
    drawing, axes = figure(columns=2, size=5.2, projection="polar")
    titles = {"scene": "scene turned: goal and robot together", "goal": "goal turned: the robot keeps its heading"}
    for axis, (protocol, title) in zip(axes[0], titles.items(), strict=True):
        curves = {}
        for method in methods_in(rows, task):
            angles, scores = stacked(select(rows, method=method, protocol=protocol), "angle_deg", "success")
            curves[method] = Curve(angles, interquartile_mean(scores), *bootstrap_interval(scores))
        draw_polar(axis, curves, _SECTOR_DEGREES, title)
    drawing.legend(
        *axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False, fontsize=9
    )
    drawing.suptitle(f"{task}: success against the angle of rotation (interquartile mean, 95% bootstrap)", fontsize=12)
    return _save(drawing, out, f"polar_{task}")


def _learning_figure(task: str, rows: Sequence[Row], out: Path) -> str:
    drawing, axes = figure(columns=2, size=4.6)
    for axis, x in zip(axes[0], ("timesteps", "seconds"), strict=True):
        for i, method in enumerate(methods_in(rows, task)):
            mine = select(rows, method=method)
            points, scores = stacked(mine, "timesteps", "success_rate")
            if x == "seconds":
                points = stacked(mine, "timesteps", "seconds")[1].mean(axis=1)
            low, high = bootstrap_interval(scores)
            axis.fill_between(points, low, high, color=PALETTE[i], alpha=0.14, linewidth=0)
            axis.plot(points, interquartile_mean(scores), color=PALETTE[i], linewidth=2, label=method)
        axis.axhline(THRESHOLD, color="#c9d1d9", linewidth=1, zorder=0)
        axis.set(
            ylim=(0, 1.02),
            xlim=(0, None),
            xlabel={"timesteps": "environment steps", "seconds": "seconds, one thread"}[x],
        )
        axis.spines[["top", "right"]].set_visible(False)
    axes[0, 0].set_ylabel("success where it trains")
    axes[0, 0].ticklabel_format(axis="x", style="sci", scilimits=(0, 0))
    drawing.legend(
        *axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False, fontsize=9
    )
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
        (
            "`curves.csv`. PPO, the same preset, budget and seeds for every method, one thread a run. Values are"
            " interquartile means"
        ),
        "over seeds with 95% bootstrap intervals (of few seeds, so read them as a range).",
        *heading.text.splitlines(),
        "",
    ]
    for task, methods in aggregate.items():
        lines += [f"## {task}", "", f"{max(r['steps'] for r in select(runs, task=task)):,} steps.", ""]
        lines += [
            "| method | seeds | success at 0° | scene: mean success | scene: least retention | goal: mean success |"
            " final return | steps to 0.9 | seconds | equivariance error |"
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
