"""The value of a body's symmetry: AntTarget with all headings and targets, learnt by seven methods.

    python scripts/benchmark_morphology.py            # 3 seeds, about 25 minutes on 2 cores
    python scripts/benchmark_morphology.py --report   # train nothing, write the report from the finished runs

The ant has four like legs: its group is that of the square (D4), on top of rotations about gravity. ``regular`` keeps
all of it by its weights, ``frame`` and ``heading`` only the rotations, ``mlp`` nothing; augmentation and mirror loss
teach all of it to the ``mlp``. Runs, skipping and resuming are those of ``benchmark_zero_shot.py``; results go to
``results/morphology``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from zero_shot_jobs import PROTOCOLS, Job, Task, work_through
from zero_shot_report import Heading, write_report

TASK = Task(
    "AntTarget-all-directions",
    "eqrl/AntTarget-v0",
    ("target_sector:uniform", "heading:uniform"),
    300_000,
    ("regular", "frame", "heading", "mlp", "mlp + augmentation", "mlp + mirror loss", "MlpPolicy"),
    10,
)
HEADING = Heading(
    "The symmetry of a robot's body: AntTarget with all headings and targets",
    "scripts/benchmark_morphology.py",
    """`regular` keeps rotations about gravity and the exchange of legs (SO2 x D4) by its weights, `frame` and \
`heading` the rotations
alone; augmentation turns every minibatch by a random element of the whole group, the mirror loss has weight 0.5, \
both on `mlp`.
The final return is the mean of the last three evaluations.""",
)


def main() -> None:
    """Run the missing jobs, then write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--methods", nargs="+", choices=TASK.methods, default=TASK.methods)
    parser.add_argument("--jobs", type=int, default=2, help="runs at the same time")
    parser.add_argument("--logs", type=Path, default=Path("logs/morphology"))
    parser.add_argument("--out", type=Path, default=Path("results/morphology"))
    parser.add_argument("--report", action="store_true", help="train nothing, write the report from what is there")
    options = parser.parse_args()
    jobs = [
        Job(
            TASK,
            m,
            seed,
            options.logs / m.replace(" ", "") / f"seed{seed}",
            episodes=TASK.episodes,
            rotations=6,
            evaluations=20,
        )
        for seed in range(options.seeds)
        for m in options.methods
    ]
    failures = [] if options.report else work_through(jobs, options.jobs)
    complete = [job for job in jobs if all(job.numbers(p).is_file() for p in PROTOCOLS)]
    if complete:
        write_report(complete, options.out, HEADING)
        print(f"report of {len(complete)} of {len(jobs)} runs: {options.out}/README.md")
    if failures:
        sys.exit("\n".join(failures))


if __name__ == "__main__":
    main()
