"""Robots of 3D-SGRL that learn to run to a target, and the baselines that matter.

    python scripts/benchmark_locomotion.py                     # everything that is missing, two runs at a time
    python scripts/benchmark_locomotion.py --jobs cheetah_14   # some of it, by the beginning of a name
    python scripts/benchmark_locomotion.py --robot my.xml      # a robot of yours, in eqrl/Run-v0
    python scripts/benchmark_locomotion.py --report            # train nothing, write the report from what is there
    python scripts/benchmark_locomotion.py --list              # what is there, and what is missing

Every run is a process with one thread. Finished runs are skipped and interrupted ones resumed. Training uses the
`implicitfast` integrator; every number of the report is measured on the published physics, with the deterministic
policy, on twelve rotations of the world. Results go to ``results/locomotion``, run folders stay in
``logs/locomotion``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from locomotion_jobs import JOBS, Job, finish, measure_apart
from locomotion_report import write_report


def main() -> None:
    """Run what is missing, then write the report from all finished runs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", nargs="+", metavar="NAME", help="only jobs whose names begin like this")
    parser.add_argument("--robot", nargs="+", type=Path, default=[], metavar="FILE", help="only these robots")
    parser.add_argument("--parallel", type=int, default=2, help="runs at the same time")
    parser.add_argument("--episodes", type=int, default=20, help="episodes of the final evaluation at each rotation")
    parser.add_argument("--logs", type=Path, default=Path("logs/locomotion"))
    parser.add_argument("--out", type=Path, default=Path("results/locomotion"))
    parser.add_argument("--list", action="store_true", help="only say what is there")
    parser.add_argument("--report", action="store_true", help="train nothing")
    parser.add_argument("--so-far", action="store_true", help="train nothing, measure runs that were cut short too")
    parser.add_argument("--quick", action="store_true", help="a smoke run: 20,000 steps of every job, its own folders")
    options = parser.parse_args()
    robots = [Job(path.stem, "transformer", 0, 500_000, robot=str(path)) for path in options.robot]
    jobs = robots or [job for job in JOBS if not options.jobs or job.name.startswith(tuple(options.jobs))]
    if not jobs:
        parser.error(f"no job begins like {options.jobs}; the jobs are {', '.join(job.name for job in JOBS)}")
    if options.quick:
        options.logs, options.out, options.episodes = options.logs / "quick", options.logs / "quick" / "report", 2
        jobs = [job.shortened(20_000) for job in jobs]
    idle = options.report or options.list or options.so_far
    failures = [] if idle else _work(jobs, options.logs, options.parallel, options.episodes)
    if options.so_far:
        for job in jobs:
            if job.run(options.logs) and not job.result(options.logs).is_file():
                measure_apart(job, options.logs, options.episodes, job.so_far(options.logs))
    complete = [job for job in jobs if job.numbers(options.logs).is_file()]
    for job in jobs:
        print(f"{job.name:<42} {_state(job, options.logs)}")
    if complete and not options.list:
        write_report(complete, options.logs, options.out)
        print(f"report of {len(complete)} of {len(jobs)} runs: {options.out}/README.md")
    if failures:
        sys.exit("\n".join(failures))


def _work(jobs: Sequence[Job], logs: Path, parallel: int, episodes: int) -> list[str]:
    failures = []
    with ThreadPoolExecutor(parallel) as pool:
        pending = [(job, pool.submit(finish, job, logs, episodes)) for job in jobs]
        try:
            for job, future in pending:
                if (error := future.exception()) is not None:
                    failures.append(f"{job.name}: {error}")
                    print(failures[-1], file=sys.stderr)
        except KeyboardInterrupt:
            pool.shutdown(cancel_futures=True)  # the processes have received the signal too and save their state
            raise SystemExit("stopped; the same command goes on") from None
    return failures


def _state(job: Job, logs: Path) -> str:
    if job.numbers(logs).is_file():
        numbers = json.loads(job.numbers(logs).read_text(encoding="utf-8"))
        return f"return {numbers['return']:.0f}, share {numbers['share']:.2f} after {numbers['steps']:,} transitions"
    return f"{job.progress(logs):,} of {job.steps:,} transitions" if job.progress(logs) else "missing"


if __name__ == "__main__":
    main()
