"""Zero-shot benchmark: train on one sector, evaluate on every rotated one, with the baselines that matter.

    python scripts/benchmark_zero_shot.py                 # everything: 14 methods on 3 tasks, 3 seeds, about 1.5 hours on 2 cores
    python scripts/benchmark_zero_shot.py --quick         # a smoke run of some minutes, to see that it works
    python scripts/benchmark_zero_shot.py --tasks Push    # only some of it

Every run is a process of its own with one thread. Finished runs are skipped and interrupted ones resumed, so the same
command can be given again at any time. All methods have the same preset, budget and seeds; nothing is tuned for one of
them. The results go to ``results/zero_shot``; the run folders stay in ``logs/zero_shot``.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path

from zero_shot_report import write_report

PROTOCOLS = ("scene", "goal")


@dataclass(frozen=True)
class Task:
    """What is trained.

    Attributes:
        name: for people and files.
        env: id of the environment.
        env_kwargs: its options, as ``key:value``; the sector is among them.
        steps: environment steps.
        methods: what is compared, names in ``METHODS``.
        episodes: evaluation episodes at each angle.
    """

    name: str
    env: str
    env_kwargs: tuple[str, ...]
    steps: int
    methods: tuple[str, ...]
    episodes: int = 20


@dataclass(frozen=True)
class Job:
    """One run: a task, a method and a seed, in a folder of its own."""

    task: Task
    method: str
    seed: int
    home: Path
    episodes: int
    rotations: int
    evaluations: int

    @property
    def run(self) -> Path | None:
        """The run folder, if the training has begun."""
        found = sorted(self.home.glob("ppo/*/checkpoints/step_*"))
        return found[0].parent.parent if found else None

    @property
    def trained(self) -> bool:
        """Whether the training has ended."""
        return (self.home / "trained").is_file()

    def numbers(self, protocol: str) -> Path:
        """File with the zero-shot evaluation of one protocol."""
        return self.home / f"{protocol}.json"


_SECTOR = ("target_sector:(-15,15)", "heading:(-15,15)")
_ALL = ("target_sector:uniform", "heading:uniform")
# mlp is an MLP with our normalisation inside the policy; MlpPolicy is Stable-Baselines3's own, without any
_BASELINES = ("heading", "goal", "mlp", "MlpPolicy + augmentation", "MlpPolicy")
TASKS = {
    task.name: task
    for task in (
        Task("AntTarget", "eqrl/AntTarget-v0", _SECTOR, 300_000, ("frame", *_BASELINES)),
        Task("Push", "eqrl/Push-v0", (*_SECTOR, "reward_type:dense", "approach_weight:0.5"), 600_000, ("vector", *_BASELINES)),
        Task("AntTarget-all-directions", "eqrl/AntTarget-v0", _ALL, 600_000, ("frame", "MlpPolicy"), 10),
    )
}
METHODS = {
    "frame": ("--network", "frame"),
    "vector": ("--network", "vector"),
    "heading": ("--network", "heading"),
    "goal": ("--network", "goal"),
    "mlp": ("--network", "mlp"),
    "MlpPolicy + augmentation": ("--network", "MlpPolicy", "--augment"),
    "MlpPolicy": ("--network", "MlpPolicy"),
    # all of the morphological group too; for scripts/benchmark_morphology.py
    "regular": ("--network", "regular", "--group", "full"),
    "mlp + augmentation": ("--network", "mlp", "--hyperparams", "rollout_buffer_class:SymmetricRolloutBuffer"),
    "mlp + mirror loss": ("--network", "mlp", "--mirror-loss", "0.5"),
}


def train(job: Job) -> None:
    """Train, or go on with an interrupted training."""
    if job.trained:
        return
    if job.run is not None:
        command = ["train", "--resume", str(job.run)]
    else:
        command = ["train", "--algo", "ppo", "--env", job.task.env, "--env-kwargs", *job.task.env_kwargs, *METHODS[job.method]]
        command += ["-n", str(job.task.steps), "--seed", str(job.seed), "-f", str(job.home), "--rotations", "0"]
        command += [
            "--eval-freq",
            str(max(job.task.steps // job.evaluations, 1)),
            "--eval-episodes",
            "20",
            "--num-threads",
            "1",
        ]
    call(command, job.home / "train.log")
    (job.home / "trained").touch()


def evaluate(job: Job) -> None:
    """Play every rotation under both protocols."""
    for protocol in PROTOCOLS:
        if not job.numbers(protocol).is_file():
            command = [
                "evaluate",
                str(job.run),
                "--protocol",
                protocol,
                "--json",
                str(job.numbers(protocol)),
                "--num-threads",
                "1",
            ]
            call([*command, "--episodes", str(job.episodes), "--rotations", str(job.rotations)], job.home / f"{protocol}.log")


def call(arguments: Sequence[str], log: Path) -> None:
    """Run an eqrl command in a process with one thread.

    Raises:
        RuntimeError: if it fails; the message names its log.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with log.open("a", encoding="utf-8") as file:
        done = subprocess.run(
            [sys.executable, "-m", "eqrl", *arguments], stdout=file, stderr=file, env=environment, check=False
        )
    if done.returncode:
        raise RuntimeError(f"'eqrl {' '.join(arguments)}' ended with code {done.returncode}; see {log}")


def finish(job: Job) -> float:
    """Do whatever is still missing of a job; the seconds that it took."""
    start = time.monotonic()
    train(job)
    evaluate(job)
    return time.monotonic() - start


def main() -> None:
    """Run all jobs, then write the report from what is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--methods", nargs="+", choices=METHODS, help="only these; by default those of each task")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2, help="runs at the same time")
    parser.add_argument("--episodes", type=int, help="at each angle; by default the number of each task")
    parser.add_argument("--rotations", type=int, default=12)
    parser.add_argument("--logs", type=Path, default=Path("logs/zero_shot"))
    parser.add_argument("--out", type=Path, default=Path("results/zero_shot"))
    parser.add_argument("--quick", action="store_true", help="a smoke run: little training, few episodes, its own folders")
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
        for seed in range(options.seeds)  # seed by seed, so that an early stop leaves whole comparisons
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


def work_through(jobs: Sequence[Job], at_once: int) -> list[str]:
    """Run jobs side by side; what failed."""
    failures = []
    with ThreadPoolExecutor(at_once) as pool:
        pending = {pool.submit(finish, job): job for job in jobs}
        try:
            for i, future in enumerate(as_completed(pending), start=1):
                job = pending[future]
                name = f"[{i}/{len(jobs)}] {job.task.name}, {job.method}, seed {job.seed}"
                if error := future.exception():
                    failures.append(f"{name}: {error}")
                    print(failures[-1], file=sys.stderr)
                elif future.result() > 1.0:
                    print(f"{name}: {future.result():.0f} s", flush=True)
        except KeyboardInterrupt:
            # the processes got the signal too and save themselves; nothing new is begun
            pool.shutdown(cancel_futures=True)
            raise SystemExit("stopped; the same command goes on") from None
    return failures


if __name__ == "__main__":
    main()
