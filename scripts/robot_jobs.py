"""Runs of the benchmark of real robots: how one is trained, and how its gait is measured."""

from __future__ import annotations

import csv
import json
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm
from zero_shot_jobs import call, run_folder

import eqrl
from eqrl.envs.robots import RobotWarning
from eqrl.evaluation import equivariance_error

ENV = "eqrl/Velocity-v0"
METHODS: Mapping[str, tuple[str, ...]] = {
    # exact for the sagittal mirror
    "regular": ("--network", "regular"),
    # exact for nothing
    "mlp": ("--network", "mlp"),
}
_EVALUATIONS = 40
_FIRST_SEED, _SEEN = 50_000, 20
_MODEL = {"symmetrise": True, "contacts": "feet", "timestep": 0.005}  # as in the preset
_AHEAD = {"command_sector": (0.0, 0.0), "turn": 0.0, "standing": 0.0, "push_time": 0.0}
_SIDES = {"left": (45.0, 135.0), "right": (-135.0, -45.0)}


@dataclass(frozen=True)
class Job:
    """One run.

    Attributes:
        robot: name of the robot.
        method: one of ``METHODS``.
        seed: of everything random.
        steps: transitions.
        episodes: of each final measurement.
    """

    robot: str
    method: str
    seed: int
    steps: int
    episodes: int = 200

    @property
    def task(self) -> Job:
        """For messages about a run."""
        return self

    @property
    def name(self) -> str:
        """For people and files."""
        return f"{self.robot}/{self.method}/{self.steps // 1000}k/seed{self.seed}"

    def shortened(self, steps: int, episodes: int) -> Job:
        """The same with less of everything."""
        return replace(self, steps=steps, episodes=episodes)

    def home(self, logs: Path) -> Path:
        """Folder of the run."""
        return logs / self.name

    def run(self, logs: Path) -> Path | None:
        """The run folder, if the training has begun."""
        return run_folder(self.home(logs))

    def result(self, logs: Path) -> Path:
        """File of its final numbers."""
        return self.home(logs) / "result.json"


def curve(job: Job, logs: Path) -> list[dict[str, float]]:
    """Evaluations of the deterministic policy during the training."""
    run = job.run(logs)
    if run is None or not (run / "evaluations.csv").is_file():
        return []
    with (run / "evaluations.csv").open(encoding="utf-8") as file:
        return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]


def finish(job: Job, logs: Path) -> float:
    """Do what is missing of a run, and return the seconds that it took.

    Raises:
        RuntimeError: if the training fails; the message names its log.
    """
    start = time.monotonic()
    trained = job.home(logs) / "trained"
    if not trained.is_file():
        run = job.run(logs)
        if run is not None:
            command = ["train", "--resume", str(run)]
        else:
            command = ["train", "--algo", "ppo", "--env", ENV, "--env-kwargs", f"robot:{job.robot}"]
            command += [*METHODS[job.method], "-n", str(job.steps), "--seed", str(job.seed), "-f", str(job.home(logs))]
            command += ["--eval-freq", str(max(job.steps // _EVALUATIONS, 4096)), "--eval-episodes", "20"]
            command += ["--rotations", "0", "--num-threads", "1"]
        call(command, job.home(logs) / "train.log")
        trained.touch()
    if not job.result(logs).is_file():
        job.result(logs).write_text(json.dumps(measure(job, logs), indent=1), encoding="utf-8")
    return time.monotonic() - start


def measure(job: Job, logs: Path) -> dict[str, Any]:
    """How well a trained policy follows commands, and how symmetric it is.

    ``asymmetry`` is Robinson's index of the time that feet stand, left against right, 0 to 2, in walks straight ahead
    from symmetric distributions; over all episodes together, so that single lame steps cancel and a habit does not.
    """
    run = job.run(logs)
    assert run is not None
    model, _ = eqrl.load(run)
    overall = _walk(model, job, {})
    ahead = _walk(model, job, _AHEAD)
    sides = {side: _walk(model, job, {"command_sector": sector}) for side, sector in _SIDES.items()}
    rows = curve(job, logs)
    return {
        **{name: overall[name] for name in ("success", "return", "linear_error", "yaw_error", "length")},
        "asymmetry": ahead["asymmetry"],
        "sides": {side: numbers["linear_error"] for side, numbers in sides.items()},
        "equivariance_error": overall["equivariance_error"],
        "steps": int(model.num_timesteps),
        "seconds": rows[-1]["seconds"] if rows else 0.0,
        "parameters": sum(p.numel() for p in model.policy.parameters()),
        "curve": rows,
    }


def _walk(model: BaseAlgorithm, job: Job, commands: Mapping[str, Any]) -> dict[str, float]:
    """The first episode of the deterministic policy in every environment."""
    n = job.episodes
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RobotWarning)
        env = eqrl.make_vec(ENV, n, _FIRST_SEED, 1, on_divergence="reset", robot=job.robot, **_MODEL, **commands)
    simulation = env.unwrapped.simulation
    returns, lengths, errors, success = np.zeros(n), np.zeros(n), np.zeros((n, 2)), np.zeros(n, dtype=bool)
    stood = np.zeros(simulation.world.variables.stood.shape[1])
    active, observation, seen = np.ones(n, dtype=bool), env.reset(), []
    while active.any():
        if len(seen) < _SEEN:
            seen.append(observation[active])
        action, _ = model.predict(observation, deterministic=True)
        observation, rewards, dones, infos = env.step(action)
        returns += active * rewards
        lengths += active
        for i in np.flatnonzero(active & dones):
            errors[i], success[i] = (infos[i]["linear_error"], infos[i]["yaw_error"]), infos[i]["is_success"]
        active &= ~dones
        stood += simulation.task.senses.touches(simulation.world)[active].sum(axis=0)
    mirror = simulation.task.group.finite[0]
    image = stood[np.asarray(dict(mirror.h)["feet"]).argmax(axis=0)]
    env.close()
    return {
        "success": float(success.mean()),
        "return": float(returns.mean()),
        "length": float(lengths.mean()),
        "linear_error": float(errors[:, 0].mean()),
        "yaw_error": float(errors[:, 1].mean()),
        "asymmetry": float((2.0 * np.abs(stood - image) / np.maximum(stood + image, 1.0)).mean()),
        "equivariance_error": equivariance_error(model, np.concatenate(seen), mirror.element),
    }
