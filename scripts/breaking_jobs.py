"""Runs of the breaking benchmark: which worlds and methods there are, and how a run is done."""

from __future__ import annotations

import csv
import json
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any

from zero_shot_jobs import call, run_folder

SIZES = (0.02, 0.05, 0.1, 0.2, 0.5)
KINDS = ("wind", "gravity", "joint", "patch")
_PLAIN = ("--network", "mlp")
_EXACT, _TEACHER = "EXACT", "TEACHER"  # stand for what a world, and another run, decides
METHODS: Mapping[str, tuple[str, ...]] = {
    "exact": ("--network", _EXACT),
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
    # it has seen twice as many steps as the others: its teacher is the exact run of the same world and seed
    "distil": (*_PLAIN, "--prior", f"distil:{{{_TEACHER}}}"),
}


@dataclass(frozen=True)
class World:
    """A world of the benchmark.

    Attributes:
        name: for people and files.
        env: id of the environment.
        kind: what breaks its symmetry; "none" for the exact world.
        size: by how much; of a real near miss, what ``eqrl check --accept`` measures.
        steps: environment steps of a training.
        exact: network of the exact method.
        taught: the group that this network can teach, by name; None for the whole group.
        extra: further options of the training.
        without: methods that cannot work in it.
    """

    name: str
    env: str
    kind: str
    size: float
    steps: int = 500_000
    exact: str = "frame"
    taught: str | None = "SO2"
    extra: tuple[str, ...] = ()
    without: tuple[str, ...] = ()

    @property
    def options(self) -> tuple[str, ...]:
        """Options of the environment, as ``key:value``."""
        return (f"breaking:{self.kind}", f"breaking_size:{self.size}") if self.kind in KINDS else ()


# A real near miss: one knee has a spring and one hip another armature, which nobody meant.
HUMANOID = World(
    "humanoid",
    "Humanoid-v5",
    "near miss",
    0.009,
    500_000,
    exact="regular",
    taught=None,
    extra=("--approximate", "-params", "gamma:0.99", "normalize:{norm_obs:false,norm_reward:true}"),
    without=("orbit advantage",),  # states of Gymnasium's environments cannot be set
)


def _worlds() -> dict[str, World]:
    ant = "eqrl/AntTarget-v0"
    worlds = [World("exact", ant, "none", 0.0)]
    worlds += [World(f"{kind}-{size}", ant, kind, size) for size in reversed(SIZES) for kind in KINDS]
    worlds.append(HUMANOID)
    return {world.name: world for world in worlds}


WORLDS = _worlds()


@dataclass(frozen=True)
class Job:
    """One run: a world, a method and a seed."""

    task: World
    method: str
    seed: int
    rotations: int = 12
    episodes: int = 60  # the same in all directions: an exact policy in an exact world shows no others

    @property
    def name(self) -> str:
        """For people and files."""
        return f"{self.task.name}/{self.method.replace(' ', '_')}/seed{self.seed}"

    @property
    def teacher(self) -> Job | None:
        """The run that has to be finished before this one begins."""
        return replace(self, method="exact") if self.method == "distil" else None

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


def jobs_of(world: World, methods: tuple[str, ...], seeds: Iterable[int]) -> list[Job]:
    """The runs of a world."""
    return [Job(world, method, seed) for method in methods if method not in world.without for seed in seeds]


def command_of(job: Job, logs: Path) -> list[str]:
    """The command that begins a training."""
    world = job.task
    teacher = "" if job.teacher is None else f"teacher:{job.teacher.run(logs)}"
    teacher += "" if world.taught is None else f",group:{world.taught}"
    method = [word.replace(_EXACT, world.exact).replace(_TEACHER, teacher) for word in METHODS[job.method]]
    command = ["train", "--algo", "ppo", "--env", world.env, *method, *world.extra, "-n", str(world.steps)]
    command += [*(("--env-kwargs", *world.options) if world.options else ()), "--seed", str(job.seed)]
    command += ["-f", str(job.home(logs)), "--rotations", "0", "--num-threads", "1"]
    return [*command, "--eval-freq", str(max(world.steps // 10, 1)), "--eval-episodes", "20"]


_DOING: defaultdict[Job, Lock] = defaultdict(Lock)  # a teacher may be asked for while it is trained


def finish(job: Job, logs: Path) -> float:
    """Do what is missing of a run and of its teacher, and return the seconds that it took.

    Raises:
        RuntimeError: if a command fails; the message names its log.
    """
    start = time.monotonic()
    if job.teacher is not None:
        finish(job.teacher, logs)
    with _DOING[job]:
        if not job.complete(logs):
            _finish(job, logs)
    return time.monotonic() - start


def _finish(job: Job, logs: Path) -> None:
    home = job.home(logs)
    if not (home / "trained").is_file():
        run = job.run(logs)
        call(command_of(job, logs) if run is None else ["train", "--resume", str(run)], home / "train.log")
        (home / "trained").touch()
    # the broken world stays as it is, and the goals turn in it; where there is no goal, nothing turns
    command = ["evaluate", str(job.run(logs)), "--protocol", "goal", "--json", str(job.numbers(logs))]
    command += ["--rotations", str(job.rotations), "--episodes", str(job.episodes), "--num-threads", "1"]
    call(command, home / "evaluate.log")


def result(job: Job, logs: Path) -> dict[str, Any]:
    """Success, where the task has one, and return over all directions, and what a prior learnt of the world."""
    numbers = json.loads(job.numbers(logs).read_text(encoding="utf-8"))
    success, returns = numbers["success"], numbers["return"]
    return {
        "success": None if success is None else sum(success) / len(success),
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
