"""Runs of the manipulation benchmark: which tasks, methods and tests there are, and how a run is done."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from zero_shot_jobs import call, run_folder

METHODS: Mapping[str, tuple[str, ...]] = {
    # exact for rotations and mirrors, on a graph of points and effectors
    "hetero": ("--network", "hetero", "--policy-kwargs", "network_kwargs:{hidden:[32,32]}"),
    # the same without kinds of edges, as in EMPN
    "homogeneous": ("--network", "hetero", "--policy-kwargs", "network_kwargs:{hidden:[32,32],edges:homogeneous}"),
    # one network for policy and value: half the cost
    "hetero, shared": (
        "--network",
        "hetero",
        "--policy-kwargs",
        "network_kwargs:{hidden:[32,32]}",
        "share_network:true",
    ),
    # exact for rotations, by one frame
    "heading": ("--network", "heading"),
    "goal": ("--network", "goal"),
    # exact for rotations and mirrors, without a graph
    "vector": ("--network", "vector"),
    # exact for nothing
    "transformer": ("--network", "transformer", "--group", "1", "--policy-kwargs", "network_kwargs:{hidden:[64,64]}"),
    "mlp": ("--network", "mlp"),
    "mlp + augmentation": ("--network", "mlp", "--prior", "augmentation"),
}
_BASELINES = ("heading", "mlp", "mlp + augmentation", "transformer", "homogeneous", "vector")


@dataclass(frozen=True)
class Task:
    """A task of the benchmark.

    Attributes:
        name: for people and files.
        env: id of the environment.
        steps: environment steps of a training.
        env_kwargs: its options, as ``key:value``.
        algo: the algorithm.
        tests: what a trained policy is tested on, as further options of the environment; the first is what it was
            trained on.
        methods: what is compared beside ``hetero``.
        seeds: number of seeds of ``hetero`` and of the first baseline; all others have one.
        rotations: rotations of the scene in each test.
        episodes: episodes at each rotation, which are the same at all: an exact policy shows no others.
    """

    name: str
    env: str
    steps: int
    env_kwargs: tuple[str, ...] = ()
    algo: str = "ppo"
    tests: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: {"seen": ()})
    methods: tuple[str, ...] = _BASELINES
    seeds: int = 1
    rotations: int = 3
    episodes: int = 80


@dataclass(frozen=True)
class Job:
    """One run: a task, a method and a seed."""

    task: Task
    method: str
    seed: int

    @property
    def name(self) -> str:
        """For people and files."""
        return f"{self.task.name}/{self.method.replace(',', '').replace(' ', '_')}/seed{self.seed}"

    def home(self, logs: Path) -> Path:
        """Folder of the run."""
        return logs / self.name

    def run(self, logs: Path) -> Path | None:
        """The run folder, if the training has begun."""
        return run_folder(self.home(logs), self.task.algo)

    def trained(self, logs: Path) -> bool:
        """Whether the training has ended."""
        return (self.home(logs) / "trained").is_file()

    def numbers(self, logs: Path, test: str) -> Path:
        """File with the result of a test."""
        return self.home(logs) / f"{test}.json"

    def complete(self, logs: Path) -> bool:
        """Whether nothing is missing."""
        return all(self.numbers(logs, test).is_file() for test in self.task.tests)

    def shortened(self, steps: int, rotations: int, episodes: int) -> Job:
        """The same with less training and smaller tests."""
        return replace(self, task=replace(self.task, steps=steps, rotations=rotations, episodes=episodes))


def jobs_of(task: Task, methods: Iterable[str] | None, seeds: int | None) -> list[Job]:
    """The runs of a task, with several seeds for ``hetero`` and the first baseline."""
    several = ("hetero", *task.methods[:1])
    return [
        Job(task, method, seed)
        for method in methods or ("hetero", *task.methods)
        for seed in range(seeds or (task.seeds if method in several else 1))
    ]


def finish(job: Job, logs: Path) -> float:
    """Do what is missing of a run, and return the seconds that it took.

    Raises:
        RuntimeError: if a command fails; the message names its log.
    """
    start = time.monotonic()
    if not job.trained(logs):
        _train(job, logs)
    run = job.run(logs)
    for test, options in job.task.tests.items():
        if not job.numbers(logs, test).is_file():
            command = ["evaluate", str(run), "--json", str(job.numbers(logs, test)), "--num-threads", "1"]
            command += ["--rotations", str(job.task.rotations), "--episodes", str(job.task.episodes)]
            call([*command, *(("--env-kwargs", *options) if options else ())], job.home(logs) / f"{test}.log")
    return time.monotonic() - start


def command_of(job: Job, logs: Path) -> list[str]:
    """The command that begins a training."""
    task = job.task
    command = ["train", "--algo", task.algo, "--env", task.env, *METHODS[job.method], "-n", str(task.steps)]
    command += [*(("--env-kwargs", *task.env_kwargs) if task.env_kwargs else ()), "--seed", str(job.seed)]
    command += ["-f", str(job.home(logs)), "--rotations", "0", "--num-threads", "1"]
    return [*command, "--eval-freq", str(max(task.steps // 15, 1)), "--eval-episodes", "20"]


def _train(job: Job, logs: Path) -> None:
    run = job.run(logs)
    command = command_of(job, logs) if run is None else ["train", "--resume", str(run)]
    call(command, job.home(logs) / "train.log")
    (job.home(logs) / "trained").touch()


def curve(job: Any, logs: Path) -> list[dict[str, float]]:
    """Evaluations of the deterministic policy during the training of a job whose folder ``job.run(logs)`` is."""
    run = job.run(logs)
    if run is None or not (run / "evaluations.csv").is_file():
        return []
    names = ("timesteps", "seconds", "success_rate", "mean_reward")
    with (run / "evaluations.csv").open(encoding="utf-8") as file:
        return [{name: float(row[name]) for name in names} for row in csv.DictReader(file)]


def result(job: Job, logs: Path, test: str) -> dict[str, Any]:
    """Success of a finished run in one test: the mean over all rotations, and the worst over that at 0 degrees."""
    numbers = json.loads(job.numbers(logs, test).read_text(encoding="utf-8"))
    success, returns = numbers["success"], numbers["return"]
    errors = numbers["equivariance_error_by_angle"] or [None]
    return {
        "success": sum(success) / len(success),
        "return": sum(returns) / len(returns),
        "retention": min(success) / success[0] if success[0] else None,
        "equivariance_error": None if None in errors else max(errors),
    }
