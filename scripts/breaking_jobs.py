"""Runs of the breaking benchmark: which worlds and methods there are, and how a run is done."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from zero_shot_jobs import call, run_folder

SIZES = (0.02, 0.05, 0.1, 0.2, 0.5)
KINDS = ("wind", "gravity", "joint", "patch")
_PLAIN = ("--network", "mlp")
METHODS: Mapping[str, tuple[str, ...]] = {
    "exact": ("--network", "frame"),
    "none": _PLAIN,
    "mirror loss": (*_PLAIN, "--prior", "mirror_loss"),
    "augmentation": (*_PLAIN, "--prior", "augmentation"),
    "regulariser": (*_PLAIN, "--prior", "regulariser"),
    "symmetry loss": (*_PLAIN, "--prior", "symmetry_loss"),
    "constrained augmentation": (*_PLAIN, "--prior", "constrained_augmentation"),
    "residual": ("--network", "residual", "--prior", "residual"),
    "thresholded": ("--network", "residual", "--prior", "thresholded"),
    "gated": ("--network", "gated", "--prior", "gated"),
    "orbit advantage": (*_PLAIN, "--prior", "orbit_advantage"),
}


@dataclass(frozen=True)
class World:
    """A world of the benchmark.

    Attributes:
        name: for people and files.
        env: id of the environment.
        kind: what breaks its symmetry; "none" for the exact world.
        size: by how much.
        steps: environment steps of a training.
    """

    name: str
    env: str
    kind: str
    size: float
    steps: int = 300_000

    @property
    def options(self) -> tuple[str, ...]:
        """Options of the environment, as ``key:value``."""
        return () if self.kind == "none" else (f"breaking:{self.kind}", f"breaking_size:{self.size}")


def _worlds() -> dict[str, World]:
    ant = "eqrl/AntTarget-v0"
    worlds = [World("exact", ant, "none", 0.0)]
    worlds += [World(f"{kind}-{size}", ant, kind, size) for size in reversed(SIZES) for kind in KINDS]
    return {world.name: world for world in worlds}


WORLDS = _worlds()


@dataclass(frozen=True)
class Job:
    """One run: a world, a method and a seed."""

    task: World
    method: str
    seed: int
    rotations: int = 12
    episodes: int = 20

    @property
    def name(self) -> str:
        """For people and files."""
        return f"{self.task.name}/{self.method.replace(' ', '_')}/seed{self.seed}"

    def home(self, logs: Path) -> Path:
        """Folder of the run."""
        return logs / self.name

    def run(self, logs: Path) -> Path | None:
        """The run folder, if the training has begun."""
        return run_folder(self.home(logs))

    def numbers(self, logs: Path) -> Path:
        """File with the final evaluation."""
        return self.home(logs) / "numbers.json"

    def complete(self, logs: Path) -> bool:
        """Whether nothing is missing."""
        return self.numbers(logs).is_file()

    def shortened(self, steps: int) -> Job:
        """The same with less training and a smaller evaluation."""
        return replace(self, task=replace(self.task, steps=steps), rotations=2, episodes=2)


def jobs_of(world: World, methods: tuple[str, ...], seeds: int) -> list[Job]:
    """The runs of a world."""
    return [Job(world, method, seed) for method in methods for seed in range(seeds)]


def command_of(job: Job, logs: Path) -> list[str]:
    """The command that begins a training."""
    world = job.task
    command = ["train", "--algo", "ppo", "--env", world.env, *METHODS[job.method], "-n", str(world.steps)]
    command += [*(("--env-kwargs", *world.options) if world.options else ()), "--seed", str(job.seed)]
    command += ["-f", str(job.home(logs)), "--rotations", "0", "--num-threads", "1"]
    return [*command, "--eval-freq", str(max(world.steps // 10, 1)), "--eval-episodes", "20"]


def finish(job: Job, logs: Path) -> float:
    """Do what is missing of a run, and return the seconds that it took.

    Raises:
        RuntimeError: if a command fails; the message names its log.
    """
    start = time.monotonic()
    if job.complete(logs):
        return 0.0
    home = job.home(logs)
    if not (home / "trained").is_file():
        run = job.run(logs)
        call(command_of(job, logs) if run is None else ["train", "--resume", str(run)], home / "train.log")
        (home / "trained").touch()
    # the broken world stays as it is, and the goals turn in it
    command = ["evaluate", str(job.run(logs)), "--protocol", "goal", "--json", str(job.numbers(logs))]
    command += ["--rotations", str(job.rotations), "--episodes", str(job.episodes), "--num-threads", "1"]
    call(command, home / "evaluate.log")
    return time.monotonic() - start


def result(job: Job, logs: Path) -> dict[str, Any]:
    """Success and return over all directions, and what a prior learnt of the world."""
    numbers = json.loads(job.numbers(logs).read_text(encoding="utf-8"))
    success, returns = numbers["success"], numbers["return"]
    return {
        "success": sum(success) / len(success),
        "return": sum(returns) / len(returns),
        "equivariance_error": numbers["equivariance_error"],
        **learnt(job, logs),
    }


def learnt(job: Job, logs: Path) -> dict[str, float]:
    """The last logged value of everything that a prior reports."""
    run = job.run(logs)
    assert run is not None
    last: dict[str, float] = {}
    with (run / "progress.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            last |= {name: float(value) for name, value in row.items() if name.startswith("symmetry/") and value}
    return last
