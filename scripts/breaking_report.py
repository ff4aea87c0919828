"""The report of the breaking benchmark: success against the size of the breaking, and strengths against the truth."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from breaking_jobs import HUMANOID, KINDS, METHODS, WORLDS, Job, result
from earlier_runs import with_earlier_runs
from manipulation_jobs import curve
from scipy.stats import spearmanr
from zero_shot_tables import write_csv

from eqrl.evaluation import PALETTE, figure, save_figure
from eqrl.versions import versions_text

Row = dict[str, Any]
_TENSION = "symmetry/symmetry_loss/tension/"
_TEXT = """# Broken symmetry

Written by `scripts/benchmark_breaking.py`. PPO of Stable-Baselines3, one thread a run; all methods have the same preset
and budget, and none is tuned. *Success* is that of the deterministic policy over goals in all directions of the world
as it is: 12 directions, with the same 60 draws in each (20 in older tests). It is a mean over seeds;
brackets hold the least and the greatest seed where there are several. `distil` has the exact run of the same world and
seed as its teacher, so that it has seen twice as many steps as the others. Runs have {steps} steps. Those that have not
been repeated are from earlier reports.
"""


def write_report(jobs: Sequence[Job], logs: Path, out: Path) -> None:
    """Write tables, curves and raw numbers of finished runs, and of those of an earlier report."""
    out.mkdir(parents=True, exist_ok=True)
    rows, points = with_earlier_runs(
        out,
        [_row(job, logs) for job in jobs],
        [{**_key(job), **point} for job in jobs for point in curve(job, logs)],
        ("world", "method", "seed"),
    )
    rows, points = (sorted(part, key=_order) for part in (rows, points))
    names = list(dict.fromkeys(name for row in rows for name in row))
    write_csv(out / "runs.csv", [{name: row.get(name) for name in names} for row in rows])
    write_csv(out / "curves.csv", points)
    (out / "env.txt").write_text(
        f"{versions_text()}\n{platform.processor() or platform.machine()}, {os.cpu_count()} cores, one thread a run\n",
        encoding="utf-8",
    )
    (out / "runs.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    steps = " or ".join(f"{n:,}" for n in sorted({row["steps"] for row in rows}))
    sections = [_TEXT.format(steps=steps)]
    for kind in KINDS:
        of_kind = [row for row in rows if row["kind"] in (kind, "none")]
        if any(row["kind"] == kind for row in of_kind):
            sections += [_table(kind, of_kind), _picture(kind, of_kind, out)]
    if humanoid := _of(rows, world=HUMANOID.name):
        sections.append(_returns(humanoid))
    sections += [_speed(rows, points), _strengths(rows), *_tensions(rows, out)]
    (out / "README.md").write_text("\n".join(sections), encoding="utf-8")


def _order(row: Row) -> tuple[int, int, int]:
    return list(WORLDS).index(row["world"]), list(METHODS).index(row["method"]), row["seed"]


def _key(job: Job) -> Row:
    return {
        "world": job.task.name,
        "kind": job.task.kind,
        "size": job.task.size,
        "method": job.method,
        "seed": job.seed,
    }


def _row(job: Job, logs: Path) -> Row:
    return {**_key(job), "steps": job.task.steps, "seconds": curve(job, logs)[-1]["seconds"], **result(job, logs)}


def _of(rows: Sequence[Row], **key: Any) -> list[Row]:
    return [row for row in rows if all(row[name] == value for name, value in key.items())]


def _table(kind: str, rows: Sequence[Row]) -> str:
    sizes = sorted({row["size"] for row in rows})
    lines = [f"## {kind}\n", f"| method | {' | '.join(f'{s:g}' for s in sizes)} |", f"|---|{'---|' * len(sizes)}"]
    for method in METHODS:
        if of_method := _of(rows, method=method):
            cells = [_cell([row["success"] for row in _of(of_method, size=size)], ".2f") for size in sizes]
            lines.append(f"| {method} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _returns(rows: Sequence[Row]) -> str:
    """What all methods reach on the real near miss, which has no success."""
    lines = [
        "## A real near miss\n",
        f"Gymnasium's {HUMANOID.env}: a spring in one knee and the armature of one hip break its mirror, by"
        f" {HUMANOID.size:.1%} of what changes in a step (`eqrl check {HUMANOID.env} --accept 0.05`). The exact policy"
        f" has the network `{HUMANOID.exact}`. Return of the deterministic policy after {rows[0]['steps']:,} steps.\n",
        "| method | return | equivariance error |",
        "|---|---|---|",
    ]
    for method in METHODS:
        if of_method := _of(rows, method=method):
            returns, errors = ([row[name] for row in of_method] for name in ("return", "equivariance_error"))
            lines.append(f"| {method} | {_cell(returns, ',.0f')} | {_cell(errors, '.1e')} |")
    return "\n".join(lines) + "\n"


def _cell(values: Sequence[float], how: str) -> str:
    """The mean, and the least and the greatest of several."""
    if not values:
        return "-"
    spread = f" [{min(values):{how}}, {max(values):{how}}]" if len(values) > 1 else ""
    return f"{float(np.mean(values)):{how}}{spread}"


def _picture(kind: str, rows: Sequence[Row], out: Path) -> str:
    """Success against the size of the breaking, a line for each method."""
    drawing, axes = figure(columns=1, size=5.4)
    axis = axes[0, 0]
    for i, method in enumerate(METHODS):
        of_method = _of(rows, method=method)
        sizes = sorted({row["size"] for row in of_method})
        means = [np.mean([row["success"] for row in _of(of_method, size=size)]) for size in sizes]
        if sizes:
            style = "o-" if i < len(PALETTE) else "s--"  # there are more methods than colours
            axis.plot(sizes, means, style, color=PALETTE[i % len(PALETTE)], linewidth=1.6, markersize=4, label=method)
    axis.set_xscale("symlog", linthresh=0.02)
    axis.set(ylim=(-0.02, 1.02), xlabel=f"size of the breaking by {kind}", ylabel="success in all directions")
    axis.spines[["top", "right"]].set_visible(False)
    drawing.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    save_figure(drawing, out / f"{kind}.png")
    return f"![{kind}]({kind}.png)\n"


def _speed(rows: Sequence[Row], points: Sequence[Row]) -> str:
    """When methods began to succeed in half of the episodes, in every world where one of them did."""
    lines = [
        "## How fast\n",
        "Thousands of steps to the first of ten evaluations, of 20 episodes each, in which half of the episodes"
        " succeeded: one number a seed; - where no evaluation did.\n",
    ]
    reached: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        if row["success"] is not None:
            curve = _of(points, **{name: row[name] for name in ("world", "method", "seed")})
            first = next((point["timesteps"] for point in curve if point["success_rate"] >= 0.5), None)
            reached.setdefault((row["world"], row["method"]), []).append(
                "-" if first is None else f"{first / 1000:.0f}"
            )
    worlds = [w for w in WORLDS if any({"-"} != set(steps) for (world, _), steps in reached.items() if world == w)]
    if not worlds:
        return ""
    lines += [f"| method | {' | '.join(worlds)} |", f"|---|{'---|' * len(worlds)}"]
    for method in METHODS:
        cells = [", ".join(reached.get((world, method), [])) for world in worlds]
        if any(cells):
            lines.append(f"| {method} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _strengths(rows: Sequence[Row]) -> str:
    """How well what a prior learnt ranks the true sizes of global breaking: Spearman's coefficient."""
    lines = [
        "## What the priors learnt of the world\n",
        "Spearman's rank correlation of a logged value with the true size, over the worlds of one kind, for every value"
        " that a prior reports and that is not the same everywhere.\n",
        "| kind | method | value | correlation | runs |",
        "|---|---|---|---|---|",
    ]
    names = sorted({name for row in rows for name in row if name.startswith("symmetry/")})
    for kind in KINDS:
        for method in METHODS:
            of_method = [row for row in rows if row["method"] == method and row["kind"] in (kind, "none")]
            for name in names:
                pairs = [(row["size"], row[name]) for row in of_method if row.get(name) is not None]
                if len({size for size, _ in pairs}) >= 3 and len({value for _, value in pairs}) > 1:
                    rank = spearmanr(*zip(*pairs, strict=True)).statistic
                    lines.append(
                        f"| {kind} | {method} | {name.removeprefix('symmetry/')} | {rank:.2f} | {len(pairs)} |"
                    )
    return "\n".join(lines) + "\n"


def _tensions(rows: Sequence[Row], out: Path) -> list[str]:
    """What symmetry loss measured against the true size of a global breaking: one plot a kind, a line a candidate."""
    of_method = _of(rows, method="symmetry loss")
    kinds = [kind for kind in KINDS if kind != "patch" and len(_of(of_method, kind=kind)) >= 2]
    names = sorted({name for row in of_method for name in row if name.startswith(_TENSION) and "closure" not in name})
    if not kinds:
        return []
    drawing, axes = figure(columns=len(kinds), size=3.6)
    for axis, kind in zip(axes[0], kinds, strict=True):
        of_kind = sorted((row for row in of_method if row["kind"] in (kind, "none")), key=lambda row: row["size"])
        for colour, name in zip(PALETTE, names, strict=False):
            points = [(row["size"], max(row[name], 0.0)) for row in of_kind if row.get(name) is not None]
            axis.plot(*zip(*points, strict=True), "o-", color=colour, linewidth=1.6, label=name.removeprefix(_TENSION))
        axis.set_xscale("symlog", linthresh=0.02)
        axis.set(xlabel=f"size of the breaking by {kind}", ylabel="measured violation")
        axis.spines[["top", "right"]].set_visible(False)
    drawing.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    save_figure(drawing, out / "tensions.png")
    return ["What `symmetry loss` measured, one line for each candidate:\n", "![tensions](tensions.png)\n"]
