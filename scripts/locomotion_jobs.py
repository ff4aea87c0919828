"""Runs of the locomotion benchmark: train with the fast integrator, measure on the published physics."""

from __future__ import annotations

import ast
import csv
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm
from zero_shot_jobs import run_folder

import eqrl

ROTATIONS = 12
# inputs that never change act as many biases, whose steps add up: without them perceptrons learn several times faster
_WIDE = ("--policy-kwargs", "network_kwargs:{hidden:[256,256]}", "share_network:false")
_MLP = ("--env-kwargs", "morphology:hidden", *_WIDE)
METHODS: Mapping[str, tuple[str, ...]] = {
    # exact for rotations and mirrors
    "transformer": ("--network", "transformer"),
    # the same width, depth and frame without parity: exact for rotations only
    "plain transformer": ("--network", "transformer", "--group", "SO2"),
    # exact for nothing
    "transformer without frame": ("--network", "transformer", "--group", "1"),
    "heading": ("--network", "heading", *_MLP),
    "heading with constants": ("--network", "heading", *_WIDE),
    "goal": ("--network", "goal", *_MLP),
    "mlp": ("--network", "mlp", *_MLP),
}


@dataclass(frozen=True)
class Job:
    """One run.

    Attributes:
        env: id without ``eqrl/SGRL-`` and ``-v0``: a robot or a set.
        method: one of ``METHODS``.
        seed: of everything random.
        steps: transitions, of all robots together.
        unseen: robots that the trained policy is measured on besides.
        robot: file of a robot that is not ours; then ``env`` is its name.
    """

    env: str
    method: str
    seed: int
    steps: int
    unseen: tuple[str, ...] = ()
    robot: str = ""

    @property
    def env_id(self) -> str:
        """Id of the environment."""
        return "eqrl/Run-v0" if self.robot else f"eqrl/SGRL-{self.env}-v0"

    @property
    def name(self) -> str:
        """For people and files."""
        return f"{self.env}/{self.method.replace(' ', '_')}/{self.steps // 1000}k/seed{self.seed}"

    def shortened(self, steps: int) -> Job:
        """The same with fewer transitions."""
        return replace(self, steps=steps)

    def home(self, logs: Path) -> Path:
        """Folder of the run."""
        return logs / self.name

    def result(self, logs: Path) -> Path:
        """File of its final numbers."""
        return self.home(logs) / "result.json"

    def so_far(self, logs: Path) -> Path:
        """File of the numbers of a run that was cut short."""
        return self.home(logs) / "so_far.json"

    def numbers(self, logs: Path) -> Path:
        """The file of its numbers: the final ones, or those so far."""
        return self.result(logs) if self.result(logs).is_file() else self.so_far(logs)

    def run(self, logs: Path) -> Path | None:
        """The run folder, if the training has begun."""
        return run_folder(self.home(logs))

    def progress(self, logs: Path) -> int:
        """Transitions so far, as far as they were evaluated."""
        rows = curve(self, logs)
        return int(rows[-1]["timesteps"]) if rows else 0


def _jobs() -> tuple[Job, ...]:
    cheetah, humanoid = "cheetah_14_full", "humanoid_9_full"
    cheetahs = ("cheetah_11_leftbkneen_rightffoot", "cheetah_12_tail_leftffoot")
    humanoids = ("humanoid_7_left_leg", "humanoid_8_right_knee")
    long = [  # as far as time allows; --so-far reports what is there
        Job(cheetah, "transformer", 0, 2_000_000),
        Job(humanoid, "heading with constants", 0, 4_000_000),
        Job(humanoid, "heading", 0, 4_000_000),
        Job("Cheetahs", "transformer", 0, 1_000_000, cheetahs),
        Job(humanoid, "transformer", 0, 4_000_000),
    ]
    short = [  # is it the parity? equal budgets, three seeds
        Job(cheetah, method, seed, 400_000)
        for seed in range(3)
        for method in ("transformer", "plain transformer", "heading")
    ]
    baselines = [Job(cheetah, method, 0, 400_000) for method in ("goal", "mlp", "transformer without frame")]
    sets = [Job("Humanoids", "transformer", 0, 1_000_000, humanoids)]
    return (*long, *short, *baselines, *sets)


JOBS = _jobs()


def curve(job: Job, logs: Path) -> list[dict[str, float]]:
    """Evaluations during the training, of the deterministic policy on the published physics."""
    run = job.run(logs)
    if run is None or not (run / "evaluations.csv").is_file():
        return []
    with (run / "evaluations.csv").open(encoding="utf-8") as file:
        return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]


def finish(job: Job, logs: Path, episodes: int) -> None:
    """Train, or resume an interrupted training, and measure the trained policy.

    Raises:
        RuntimeError: if a command fails; the message names its log.
    """
    if job.result(logs).is_file():
        return
    home = job.home(logs)
    run = job.run(logs)
    command = ["eqrl", "train", "-n", str(job.steps)]
    if run is not None:
        command += ["--resume", str(run)]
    else:
        command += ["--algo", "ppo", "--env", job.env_id, *_with_robot(METHODS[job.method], job.robot)]
        command += [
            "--eval-freq",
            "100000",
            "--eval-episodes",
            "10",
            "--seed",
            str(job.seed),
            "-f",
            str(home),
            "--rotations",
            "0",
            "--num-threads",
            "1",
        ]
    _call(["-m", *command], home / "train.log")
    measure_apart(job, logs, episodes, job.result(logs))


def measure_apart(job: Job, logs: Path, episodes: int, out: Path) -> None:
    """Measure the newest policy of a run in a process of its own."""
    _call([__file__, str(logs), str(episodes), str(out), *map(str, astuple(job))], job.home(logs) / "measure.log")


def _with_robot(options: tuple[str, ...], robot: str) -> list[str]:
    """Command-line options with a robot among the arguments of the environment."""
    if not robot:
        return list(options)
    return (
        [*options, "--env-kwargs", f"robot:{robot}"]
        if "--env-kwargs" not in options
        else [
            part
            for option in options
            for part in ([option, f"robot:{robot}"] if option == "--env-kwargs" else [option])
        ]
    )


def measure(job: Job, logs: Path, episodes: int) -> dict[str, Any]:
    """Play a trained policy on every robot that it is for."""
    run = job.run(logs)
    assert run is not None
    model, _ = eqrl.load(run)
    registered = eqrl.ENVIRONMENTS[job.env_id]
    members = sorted(registered.members or {job.env: {}})
    spaces = {name: value for name, value in registered.kwargs.items() if name != "robot"}
    if job.robot:
        spaces["robot"] = job.robot
    if "morphology:hidden" in METHODS[job.method]:
        spaces["morphology"] = "hidden"
    ids = {name: job.env_id if job.robot else f"eqrl/SGRL-{name}-v0" for name in (*members, *job.unseen)}
    numbers = {name: _play(model, env_id, episodes, spaces) for name, env_id in ids.items()}
    means = {k: float(np.mean([numbers[name][k] for name in members])) for k in ("return", "share", "speed", "length")}
    rows = curve(job, logs)
    return {
        **means,
        "steps": int(model.num_timesteps),
        "seconds": rows[-1]["seconds"],
        "parameters": sum(p.numel() for p in model.policy.parameters()),
        "episodes": episodes,
        "robots": numbers,
        "curve": rows,
    }


def _play(model: BaseAlgorithm, env_id: str, episodes: int, spaces: Mapping[str, Any]) -> dict[str, Any]:
    """The first episode of every environment, under twelve rotations of the world."""
    n = ROTATIONS * episodes
    env = eqrl.make_vec(
        env_id,
        n,
        seed=10_000,
        n_threads=1,
        scene_rotation=np.repeat(np.arange(ROTATIONS) * 360.0 / ROTATIONS, episodes),
        on_divergence="reset",
        **spaces,
    )
    env.unwrapped.seed([10_000 + i % episodes for i in range(n)])
    returns, shares, gained, lengths = np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n)
    active, observation = np.ones(n, dtype=bool), env.reset()
    while active.any():
        action, _ = model.predict(observation, deterministic=True)
        observation, rewards, dones, infos = env.step(action)
        returns += active * rewards
        lengths += active
        for i in np.flatnonzero(active & dones):
            shares[i], gained[i] = infos[i]["share"], infos[i]["distance_gained"]
        active &= ~dones
    seconds = lengths * env.unwrapped.simulation.dt
    env.close()
    by_rotation = returns.reshape(ROTATIONS, episodes).mean(axis=1)
    return {
        "return": float(returns.mean()),
        "return_sd": float(returns.std()),
        "share": float(shares.mean()),
        "share_by_rotation": shares.reshape(ROTATIONS, episodes).mean(axis=1).round(4).tolist(),
        "return_by_rotation": by_rotation.round(1).tolist(),
        "speed": float((gained / seconds).mean()),
        "length": float(lengths.mean()),
    }


def _call(arguments: list[str], log: Path) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with log.open("a", encoding="utf-8") as file:
        done = subprocess.run([sys.executable, *arguments], stdout=file, stderr=file, env=environment, check=False)
    if done.returncode:
        raise RuntimeError(f"python {' '.join(arguments)} ended with code {done.returncode}; see {log}")


if __name__ == "__main__":
    folder, count, out, env, method, seed, steps, unseen, robot = sys.argv[1:]
    chosen = Job(env, method, int(seed), int(steps), ast.literal_eval(unseen), robot)
    numbers = measure(chosen, Path(folder), int(count))
    Path(out).write_text(json.dumps(numbers, indent=1), encoding="utf-8")
