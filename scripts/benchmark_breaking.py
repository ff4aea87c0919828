"""Worlds whose symmetry is broken by a known amount: which prior is worth using, and when.

    python scripts/benchmark_breaking.py                              # everything that is missing
    python scripts/benchmark_breaking.py --worlds exact wind-0.5      # some worlds
    python scripts/benchmark_breaking.py --methods exact none gated   # some methods
    python scripts/benchmark_breaking.py --report                     # train nothing, write the report
    python scripts/benchmark_breaking.py --list                       # what is there, and what is missing

Every run is a process with one thread. Finished runs are skipped and interrupted ones resumed. A report keeps the runs
of an earlier one that have not been done again. All methods have the same preset and budget; none is tuned. ``distil``
learns from the exact run of its world, which is trained first. Results go to ``results/breaking``, run folders stay in
``logs/breaking``.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from breaking_jobs import METHODS, WORLDS, Job, finish, jobs_of, result
from breaking_report import write_report
from manipulation_jobs import curve
from zero_shot_jobs import work_through


def main() -> None:
    """Run what is missing, then write the report from all finished runs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--worlds", nargs="+", choices=WORLDS, default=list(WORLDS), metavar="WORLD", help=", ".join(WORLDS)
    )
    parser.add_argument(
        "--methods", nargs="+", choices=METHODS, default=list(METHODS), metavar="METHOD", help=", ".join(METHODS)
    )
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--first-seed", type=int, default=0, help="above 0 where another machine does the others")
    parser.add_argument("--steps", type=int, help="train each job for so many, in folders of their own")
    parser.add_argument("--jobs", type=int, default=2, help="runs at the same time")
    parser.add_argument("--logs", type=Path, default=Path("logs/breaking"))
    parser.add_argument("--out", type=Path, help="default: results/breaking; for other --steps, beside the run folders")
    parser.add_argument("--list", action="store_true", help="only say what is there")
    parser.add_argument("--report", action="store_true", help="train nothing")
    parser.add_argument("--quick", action="store_true", help="a smoke run: 4,096 steps of each job, its own folders")
    options = parser.parse_args()
    worlds = [WORLDS[name] for name in options.worlds]
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    jobs = [job for world in worlds for job in jobs_of(world, tuple(options.methods), seeds)]
    jobs.sort(key=lambda job: job.seed)  # an early stop leaves whole comparisons
    steps = 4096 if options.quick else options.steps
    if steps is not None:
        options.logs = options.logs / f"{steps}_steps"
        jobs = [job.shortened(steps) for job in jobs]
    out = options.out or (Path("results/breaking") if steps is None else options.logs / "report")
    idle = options.list or options.report
    failures = [] if idle else work_through(jobs, options.jobs, partial(finish, logs=options.logs))
    for job in jobs:
        print(f"{job.name:<48} {_state(job, options.logs)}")
    complete = [job for job in jobs if job.complete(options.logs)]
    if complete and not options.list:
        write_report(complete, options.logs, out)
        print(f"report of {len(complete)} of {len(jobs)} runs: {out}/README.md")
    if failures:
        sys.exit("\n".join(failures))


def _state(job: Job, logs: Path) -> str:
    if job.complete(logs):
        reached = result(job, logs)
        return f"return {reached['return']:.0f}" if reached["success"] is None else f"success {reached['success']:.2f}"
    rows = curve(job, logs)
    return f"{rows[-1]['timesteps']:,.0f} of {job.task.steps:,} steps" if rows else "missing"


if __name__ == "__main__":
    main()
