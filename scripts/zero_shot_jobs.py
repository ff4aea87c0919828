"""Runs of the zero-shot benchmarks: train and play every rotation, side by side in separate processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROTOCOLS = ("scene", "goal")


@dataclass(frozen=True)
class Task:
    """A task of the benchmark.

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
    """One run: a task, a method and a seed, in a separate folder."""

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
        return run_folder(self.home)

    @property
    def trained(self) -> bool:
        """Whether the training has ended."""
        return (self.home / "trained").is_file()

    def numbers(self, protocol: str) -> Path:
        """File with the zero-shot evaluation of one protocol."""
        return self.home / f"{protocol}.json"


METHODS = {
    "frame": ("--network", "frame"),
    "vector": ("--network", "vector"),
    "heading": ("--network", "heading"),
    "goal": ("--network", "goal"),
    "mlp": ("--network", "mlp"),
    "MlpPolicy + augmentation": ("--network", "MlpPolicy", "--augment"),
    "MlpPolicy": ("--network", "MlpPolicy"),
    # the whole morphological group too; for scripts/benchmark_morphology.py
    "regular": ("--network", "regular", "--group", "full"),
    "mlp + augmentation": ("--network", "mlp", "--hyperparams", "rollout_buffer_class:SymmetricRolloutBuffer"),
    "mlp + mirror loss": ("--network", "mlp", "--mirror-loss", "0.5"),
}


def run_folder(home: Path, algo: str = "ppo") -> Path | None:
    """The run folder within the folder of a job, if the training has begun."""
    checkpoints = sorted(home.glob(f"{algo}/*/checkpoints/step_*"))
    return checkpoints[0].parent.parent if checkpoints else None


def train(job: Job) -> None:
    """Train, or resume an interrupted training."""
    if job.trained:
        return
    if job.run is not None:
        command = ["train", "--resume", str(job.run)]
    else:
        command = [
            "train",
            "--algo",
            "ppo",
            "--env",
            job.task.env,
            "--env-kwargs",
            *job.task.env_kwargs,
            *METHODS[job.method],
        ]
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
            call(
                [*command, "--episodes", str(job.episodes), "--rotations", str(job.rotations)],
                job.home / f"{protocol}.log",
            )


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
    """Do the missing parts of a job, and return the seconds that they took."""
    start = time.monotonic()
    train(job)
    evaluate(job)
    return time.monotonic() - start


def work_through(jobs: Sequence[Any], at_once: int, do: Callable[[Any], float] = finish) -> list[str]:
    """Run jobs side by side, and return the failures.

    Args:
        jobs: each with a task, a method and a seed.
        at_once: how many run at the same time.
        do: does what is missing of a job, and returns the seconds that it took.
    """
    failures = []
    with ThreadPoolExecutor(at_once) as pool:
        pending = {pool.submit(do, job): job for job in jobs}
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
            # the processes have received the signal too and save their state; no new one is started
            pool.shutdown(cancel_futures=True)
            raise SystemExit("stopped; the same command goes on") from None
    return failures
