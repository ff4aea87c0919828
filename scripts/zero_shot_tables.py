"""Rows of the zero-shot benchmark, read from the run folders, and their aggregates over the seeds."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from zero_shot_jobs import Job

from eqrl.evaluation import bootstrap_interval, interquartile_mean

Row = dict[str, Any]
THRESHOLD = 0.9
_LAST = 3  # evaluations whose mean is the final return


def _key(job: Job) -> Row:
    return {"task": job.task.name, "method": job.method, "seed": job.seed}


def same_run(row: Row, job: Job) -> bool:
    """Whether a row is of the run of a job."""
    return all(row[k] == v for k, v in _key(job).items())


def curve_rows(job: Job) -> Iterable[Row]:
    """The learning curve of a run, a row for each evaluation."""
    assert job.run is not None
    with (job.run / "evaluations.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            yield {
                **_key(job),
                "timesteps": int(row["timesteps"]),
                **{k: float(row[k]) for k in ("seconds", "success_rate", "mean_reward")},
            }


def angle_rows(job: Job, protocol: str) -> Iterable[Row]:
    """Results of a run under one protocol, a row for each angle."""
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


def run_row(job: Job, curve: Sequence[Row], angles: Sequence[Row]) -> Row:
    """The row of a run, from its learning curve and its results at all angles."""
    row = {
        **_key(job),
        "env": job.task.env,
        "algo": "ppo",
        "steps": curve[-1]["timesteps"],
        "seconds": round(curve[-1]["seconds"], 1),
    }
    for protocol in ("scene", "goal"):
        rows = select(angles, protocol=protocol)
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
        if min(now["success_rate"], after["success_rate"]) >= THRESHOLD:
            return now
    return None


def aggregated(runs: Sequence[Row]) -> Row:
    """Aggregates over the seeds of one method on one task."""
    aggregate: Row = {"seeds": len(runs)}
    names = [
        k
        for k in runs[0]
        if k.startswith(("scene_", "goal_")) or k in ("equivariance_error", "seconds", "final_return")
    ]
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
        # a run that never reaches the threshold counts as infinite, which a median can take into account and a mean
        # cannot
        values = np.array([np.inf if r[name] is None else r[name] for r in runs], dtype=np.float64)
        median = float(np.median(values))
        aggregate[name] = {"median": median if np.isfinite(median) else None, "reached": int(np.isfinite(values).sum())}
    return aggregate


def stacked(rows: Sequence[Row], axis: str, value: str) -> tuple[np.ndarray, np.ndarray]:
    """Values as an array ``(points, seeds)``, restricted to points that all seeds have."""
    seeds = sorted({r["seed"] for r in rows})
    tables = [{r[axis]: r[value] for r in rows if r["seed"] == seed} for seed in seeds]
    points = sorted(set.intersection(*(set(t) for t in tables)))
    return np.array(points, dtype=np.float64), np.array([[t[p] for t in tables] for p in points], dtype=np.float64)


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """Write rows of equal keys."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def select(rows: Sequence[Row], **values: Any) -> list[Row]:
    """Rows with the given values."""
    return [r for r in rows if all(r[k] == v for k, v in values.items())]


def tasks_in(rows: Sequence[Row]) -> list[str]:
    """Names of the tasks, in the order of the rows."""
    return list(dict.fromkeys(r["task"] for r in rows))


def methods_in(rows: Sequence[Row], task: str) -> list[str]:
    """Names of a task's methods, in the order of the rows."""
    return list(dict.fromkeys(r["method"] for r in rows if r["task"] == task))
