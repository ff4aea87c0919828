"""A report keeps the runs of an earlier one, and forgets those that have been done again."""

import csv
import json

from earlier_runs import with_earlier_runs

NAMES = ("task", "method", "seed")


def row(seed, success):
    return {"task": "Push", "method": "mlp", "seed": seed, "success": success}


def point(seed, steps):
    return {"task": "Push", "method": "mlp", "seed": seed, "timesteps": steps}


def test_first_report(tmp_path):
    assert with_earlier_runs(tmp_path, [row(0, 0.5)], [point(0, 10.0)], NAMES) == ([row(0, 0.5)], [point(0, 10.0)])


def test_later_report(tmp_path):
    (tmp_path / "runs.json").write_text(json.dumps([row(0, 0.5), row(1, 0.25)]))
    with (tmp_path / "curves.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, list(point(0, 0)))
        table.writeheader()
        table.writerows([point(0, 10.0), point(1, 10.0), point(1, 20.0)])
    rows, points = with_earlier_runs(tmp_path, [row(0, 1.0)], [point(0, 30.0)], NAMES)
    assert rows == [row(1, 0.25), row(0, 1.0)]
    assert points == [point(1, 10.0), point(1, 20.0), point(0, 30.0)]
