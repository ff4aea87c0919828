"""Speed of environments: what they cost beside their physics, and fleets against single robots.

    python scripts/benchmark_environments.py --json results/environments.json
    python scripts/benchmark_environments.py --only Insertion Rope  # by a part of the name

`bare` is `mujoco.batch` alone, which steps the same model with random controls from the states in which the environment
is; everything else (observations, rewards, infos, resets) is the environment's. Both take turns in every round, so that
a busy machine slows both alike. `fleet` steps eight cheetahs in one `VecEnv`; it is compared with the harmonic mean of
its members alone, at the same batch size and at 64 simulations each.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from mujoco.batch import Batch
from rich.console import Console
from rich.table import Table

import eqrl
from eqrl.commands import print_table

SINGLE: dict[str, tuple[str, dict[str, Any]]] = {
    f"{robot}, {integrator}": (f"eqrl/SGRL-{robot}-v0", {"integrator": integrator})
    for robot in ("humanoid_9_full", "cheetah_14_full")
    for integrator in ("published", "implicitfast")
} | {
    name: (f"eqrl/{name}-v0", {})
    for name in (
        *("Reach", "Push", "Sliding", "Insertion", "InsertionTwoHands"),
        *("RopeClosing", "RopeShaping", "ClothHanging", "PickAndPlace"),
    )
}
CHEETAHS = tuple(eqrl.ENVIRONMENTS["eqrl/SGRL-Cheetahs-v0"].members or ())


class Stepper:
    """An environment that takes random actions, and its bare physics."""

    def __init__(self, env_id: str, n: int, threads: int, **kwargs: Any) -> None:
        self.env = eqrl.make_vec(env_id, n, seed=0, n_threads=threads, **kwargs)
        self.env.reset()
        rng = np.random.default_rng(0)
        self.actions = [rng.uniform(-1, 1, (n, *self.env.action_space.shape)).astype(np.float32) for _ in range(32)]
        self.n, self.threads = n, threads

    def step(self, steps: int) -> float:
        """Control steps a second of the environment."""
        start = time.perf_counter()
        for k in range(steps):
            self.env.step(self.actions[k % 32])
        return self.n * steps / (time.perf_counter() - start)

    def bare(self) -> Callable[[int], float]:
        """The same for the physics alone, from where the environment is."""
        simulation = self.env.unwrapped.simulation
        task = simulation.task
        batch = Batch(task.model, self.n, self.threads)
        controls = batch.bind("ctrl")
        low, high = task.model.actuator_ctrlrange.T
        noise = np.random.default_rng(1).uniform(low, high, (32, self.n, task.model.nu))
        if not task.model.actuator_ctrllimited.all():  # velocities; take those of the environment
            noise[:] = simulation.world.data.ctrl

        def step(steps: int) -> float:
            batch.state[...] = simulation.batch.state
            start = time.perf_counter()
            for k in range(steps):
                controls[:] = noise[k % 32]
                batch.step(nstep=task.frame_skip, stage=mujoco.mjtStage.mjSTAGE_VEL)
                if k % 16 == 15:
                    batch.state[...] = simulation.batch.state  # or they would all lie on the ground
            return self.n * steps / (time.perf_counter() - start)

        return step


def single(env_id: str, threads: int, rounds: int, steps: int, **kwargs: Any) -> dict[str, float]:
    """One robot or object in 64 simulations against its bare physics."""
    env = Stepper(env_id, 64, threads, **kwargs)
    bare = env.bare()
    pairs = [(env.step(steps), bare(steps)) for _ in range(rounds)]
    return {
        "steps_per_second": round(statistics.median(a for a, _ in pairs)),
        "bare": round(statistics.median(b for _, b in pairs)),
        "ratio": round(statistics.median(a / b for a, b in pairs), 3),
    }


def fleet(each: int, threads: int, rounds: int, steps: int, integrator: str = "published") -> dict[str, float]:
    """Eight cheetahs together against each alone."""
    shared = eqrl.ENVIRONMENTS["eqrl/SGRL-Cheetahs-v0"].kwargs
    together = Stepper("eqrl/SGRL-Cheetahs-v0", each * len(CHEETAHS), threads, integrator=integrator)

    def alone(n: int) -> list[Stepper]:
        return [Stepper(f"eqrl/SGRL-{r}-v0", n, threads, integrator=integrator, **shared) for r in CHEETAHS]

    small, large = alone(each), alone(64)
    same, best, own = [], [], []
    for _ in range(rounds):
        own.append(together.step(steps))
        same.append(own[-1] / _harmonic([member.step(steps) for member in small]))
        best.append(own[-1] / _harmonic([member.step(max(steps // 4, 1)) for member in large]))
    return {
        "steps_per_second": round(statistics.median(own)),
        "over_singles_of_equal_size": round(statistics.median(same), 3),
        "over_singles_of_64": round(statistics.median(best), 3),
    }


def _harmonic(rates: Sequence[float]) -> float:
    return len(rates) / sum(1.0 / rate for rate in rates)


def main() -> None:
    """Run the benchmark and write its numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="file for the results")
    parser.add_argument("--only", nargs="+", metavar="PART", help="only those with such a part in their name")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=40, help="control steps a round")
    parser.add_argument("--quick", action="store_true", help="a smoke run: numbers are rough")
    args = parser.parse_args()
    if args.quick:
        args.rounds, args.steps = 2, 4
    results: dict[str, dict[str, float]] = {}

    def asked(name: str) -> bool:
        return not args.only or any(part in name for part in args.only)

    for name, (env_id, kwargs) in SINGLE.items():
        if asked(name):
            results[name] = single(env_id, args.threads, args.rounds, args.steps, **kwargs)
    for each in (8, 32):
        if asked(name := f"fleet of 8 cheetahs x {each}"):
            results[name] = fleet(each, args.threads, max(args.rounds // 3, 1), args.steps)
    table = Table("", "steps/s", "ratios", title=f"{args.threads} threads")
    for name, row in results.items():
        rest = ", ".join(f"{key} {value:g}" for key, value in row.items() if key != "steps_per_second")
        table.add_row(name, f"{row['steps_per_second']:,}", rest)
    print_table(Console(), table)
    if args.json:
        about = {
            "machine": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "threads": args.threads,
        }
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps({**about, **results}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
