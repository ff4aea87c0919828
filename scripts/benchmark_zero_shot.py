"""Zero-shot benchmark: train on one sector, evaluate on every rotated one, with the baselines that matter.

    python scripts/benchmark_zero_shot.py                 # everything: 14 combinations of method and task, 3 seeds,
    about 1.5 hours on 2 cores python scripts/benchmark_zero_shot.py --quick         # a smoke run of some minutes
    python scripts/benchmark_zero_shot.py --tasks Push    # one task only

Every run is a separate process with one thread. Finished runs are skipped and interrupted ones resumed, so the same
command can be repeated at any time. All methods have the same preset, budget and seeds; none of them is tuned.
The results go to ``results/zero_shot``; the run folders stay in ``logs/zero_shot``.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from zero_shot_jobs import METHODS, PROTOCOLS, Job, Task, work_through
from zero_shot_report import write_report

_SECTOR = ("target_sector:(-15,15)", "heading:(-15,15)")
_ALL = ("target_sector:uniform", "heading:uniform")
# mlp is an MLP with eqrl's normalisation inside the policy; MlpPolicy is Stable-Baselines3's, without normalisation
_BASELINES = ("heading", "goal", "mlp", "MlpPolicy + augmentation", "MlpPolicy")
TASKS = {
    task.name: task
    for task in (
        Task("AntTarget", "eqrl/AntTarget-v0", _SECTOR, 300_000, ("frame", *_BASELINES)),
        Task(
            "Push",
            "eqrl/Push-v0",
            (*_SECTOR, "reward_type:dense", "approach_weight:0.5"),
            600_000,
            ("vector", *_BASELINES),
        ),
        Task("AntTarget-all-directions", "eqrl/AntTarget-v0", _ALL, 600_000, ("frame", "MlpPolicy"), 10),
    )
}


def main() -> None:
    """Run all jobs, then write the report from all finished runs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--methods", nargs="+", choices=METHODS, help="only these; by default those of each task")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2, help="runs at the same time")
    parser.add_argument("--episodes", type=int, help="at each angle; by default the number of each task")
    parser.add_argument("--rotations", type=int, default=12)
    parser.add_argument("--logs", type=Path, default=Path("logs/zero_shot"))
    parser.add_argument("--out", type=Path, default=Path("results/zero_shot"))
    parser.add_argument(
        "--quick", action="store_true", help="a smoke run: little training, few episodes, its own folders"
    )
    parser.add_argument("--report", action="store_true", help="train nothing, write the report from what is there")
    options = parser.parse_args()
    tasks = [TASKS[name] for name in options.tasks]
    rotations, evaluations = options.rotations, 20
    if options.quick:
        tasks = [replace(task, steps=20_000) for task in tasks]
        options.episodes, rotations, evaluations, options.seeds = 4, 4, 3, min(options.seeds, 2)
        options.logs = options.logs.with_name(options.logs.name + "_quick")
        options.out = options.logs / "report"
    jobs = [
        Job(
            task,
            method,
            seed,
            home=options.logs / task.name / method.replace(" ", "") / f"seed{seed}",
            episodes=options.episodes or task.episodes,
            rotations=rotations,
            evaluations=evaluations,
        )
        for seed in range(options.seeds)  # seed by seed, so that an early stop leaves complete comparisons
        for task in tasks
        for method in options.methods or task.methods
    ]
    failures = [] if options.report else work_through(jobs, options.jobs)
    complete = [job for job in jobs if all(job.numbers(p).is_file() for p in PROTOCOLS)]
    if complete:
        write_report(complete, options.out)
        print(f"report of {len(complete)} of {len(jobs)} runs: {options.out}/README.md")
    if failures:
        sys.exit("\n".join(failures))


if __name__ == "__main__":
    main()
