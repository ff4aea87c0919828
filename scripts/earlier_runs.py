"""Runs of an earlier report, which a new one keeps: run folders are large, and work may be shared between machines."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def with_earlier_runs(
    out: Path, rows: Sequence[Row], points: Sequence[Row], names: Sequence[str]
) -> tuple[list[Row], list[Row]]:
    """Rows and points of learning curves, with those of earlier runs that have not been done again.

    Args:
        out: folder of the report, with ``runs.json`` and ``curves.csv`` of the earlier one, if there is one.
        rows: results of the new runs.
        points: their learning curves.
        names: columns that tell runs apart.
    """

    def run(row: Row) -> tuple[str, ...]:
        return tuple(str(row[name]) for name in names)

    new = {run(row) for row in rows}
    kept = [row for row in _rows(out / "runs.json") if run(row) not in new]
    curves = [point for point in _points(out / "curves.csv", names) if run(point) not in new]
    return [*kept, *rows], [*curves, *points]


def _rows(path: Path) -> list[Row]:
    rows: list[Row] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    return rows


def _points(path: Path, names: Sequence[str]) -> list[Row]:
    if not path.is_file():
        return []
    words = {*names, "kind"} - {"seed"}
    with path.open(encoding="utf-8") as file:
        return [
            {
                name: value if name in words else int(value) if name == "seed" else float(value)
                for name, value in row.items()
            }
            for row in csv.DictReader(file)
        ]
