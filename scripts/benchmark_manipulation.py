"""Hands and objects: where a graph network pays, by task, clearance, number of shapes and correspondence.

    python scripts/benchmark_manipulation.py                             # everything that is missing
    python scripts/benchmark_manipulation.py --tasks Insertion           # some tasks
    python scripts/benchmark_manipulation.py --methods hetero heading    # some methods
    python scripts/benchmark_manipulation.py --report                    # train nothing, write the report
    python scripts/benchmark_manipulation.py --list                      # what is there, and what is missing

Every run is a process with one thread. Finished runs are skipped and interrupted ones resumed. A report keeps the runs
of an earlier one that have not been done again. All methods of a task have the same preset and budget; none is tuned.
Results go to ``results/manipulation``, run folders stay in ``logs/manipulation``.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from manipulation_jobs import METHODS, Job, curve, finish, jobs_of, result
from manipulation_report import write_report
from manipulation_tasks import TASKS
from zero_shot_jobs import work_through


def main() -> None:
    """Run what is missing, then write the report from all finished runs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS), metavar="TASK", help=", ".join(TASKS))
    parser.add_argument("--methods", nargs="+", choices=METHODS, metavar="METHOD", help=", ".join(METHODS))
    parser.add_argument("--seeds", type=int, help="for every method; by default those of each task")
    parser.add_argument("--jobs", type=int, default=2, help="runs at the same time")
    parser.add_argument("--logs", type=Path, default=Path("logs/manipulation"))
    parser.add_argument("--out", type=Path, default=Path("results/manipulation"))
    parser.add_argument("--list", action="store_true", help="only say what is there")
    parser.add_argument("--report", action="store_true", help="train nothing")
    parser.add_argument("--quick", action="store_true", help="a smoke run: 4,096 steps of each job, its own folders")
    options = parser.parse_args()
    jobs = [job for name in options.tasks for job in jobs_of(TASKS[name], options.methods, options.seeds)]
    jobs.sort(key=lambda job: (job.seed, job.method != "hetero"))  # an early stop leaves whole comparisons
    if options.quick:
        options.logs = options.logs / "quick"
        options.out = options.logs / "report"
        jobs = [job.shortened(4096, rotations=2, episodes=2) for job in jobs]
    idle = options.list or options.report
    failures = [] if idle else work_through(jobs, options.jobs, partial(finish, logs=options.logs))
    for job in jobs:
        print(f"{job.name:<48} {_state(job, options.logs)}")
    complete = [job for job in jobs if job.complete(options.logs)]
    if complete and not options.list:
        write_report(complete, options.logs, options.out)
        print(f"report of {len(complete)} of {len(jobs)} runs: {options.out}/README.md")
    if failures:
        sys.exit("\n".join(failures))


def _state(job: Job, logs: Path) -> str:
    if job.complete(logs):
        return ", ".join(f"{test} {result(job, logs, test)['success']:.2f}" for test in job.task.tests)
    rows = curve(job, logs)
    return f"{rows[-1]['timesteps']:,.0f} of {job.task.steps:,} steps" if rows else "missing"


if __name__ == "__main__":
    main()
