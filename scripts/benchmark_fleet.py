"""Speed of a fleet against its members one after the other, in the same minutes, with the same threads.

    python scripts/benchmark_fleet.py --json results/fleet.json

The members are hanging chains of 2 to 9 links (``tests/support/chains.py``), a batch of 8 simulations each, with
observation, reward and resets. In every round the fleet and each of its members alone take the same number of control
steps, in turns, so that a busy machine slows all of them alike. A ratio is the members' time together over the fleet's:
1 means that a step of the fleet costs what its members' steps cost one after the other. Medians over the rounds, with
the smallest and the largest.

``three`` are three members of the same size, which two threads cannot share out evenly. ``one_each`` is a single
simulation a member, where a member alone has nothing for a second thread to do.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from stable_baselines3.common.vec_env import VecEnv

import eqrl
from eqrl.commands import print_table

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from chains import CHAINS, SIZES, register_chains

THREE = {name: {"links": 6} for name in ("a", "b", "c")}


def main() -> int:
    """Run the benchmark and write its ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="file for the results")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="numbers of threads to try")
    parser.add_argument("--each", type=int, default=8, help="simulations of each member")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--steps", type=int, default=20, help="control steps a round")
    parser.add_argument("--quick", action="store_true", help="a smoke run: numbers are rough")
    args = parser.parse_args()
    if args.quick:
        args.rounds, args.steps = 3, 4

    register_chains()
    result: dict[str, Any] = {
        name: {
            f"{threads} threads": compare(members, each, threads, args.rounds, args.steps) for threads in args.threads
        }
        for name, members, each in (("batches", SIZES, args.each), ("three", THREE, args.each), ("one_each", SIZES, 1))
    }
    show(result)
    result["setup"] = {
        "members": list(SIZES),
        "simulations_each": args.each,
        "rounds": args.rounds,
        "steps": args.steps,
        "quick": args.quick,
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("eqrl", "mujoco", "stable-baselines3", "numpy")},
    }
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(result, indent=2) + "\n")
        print(f"written to {args.json}")
    return 0


def compare(members: dict[str, dict[str, Any]], each: int, threads: int, rounds: int, steps: int) -> dict[str, Any]:
    """The fleet against its members alone, in turns."""
    fleet = eqrl.make_vec(CHAINS, each * len(members), seed=0, n_threads=threads, members=members)
    alone = [eqrl.make_vec(CHAINS, each, seed=0, n_threads=threads, **arguments) for arguments in members.values()]
    envs = [fleet, *alone]
    for env in envs:
        env.reset()
        seconds(env, 5)  # warm up: let every field be bound
    ratios, fleets = [], []
    for _ in range(rounds):
        together, *apart = (seconds(env, steps) for env in envs)
        ratios.append(sum(apart) / together)
        fleets.append(fleet.num_envs * steps / together)
    for env in envs:
        env.close()
    return {"ratio": middle(ratios), "fleet_steps_per_s": middle(fleets)}


def seconds(env: VecEnv, steps: int) -> float:
    """Seconds for some control steps with random actions."""
    shape = (steps, env.num_envs, *(env.action_space.shape or ()))
    actions = np.random.default_rng(0).uniform(-1.0, 1.0, shape).astype(np.float32)
    start = time.perf_counter()
    for action in actions:
        env.step(action)
    return time.perf_counter() - start


def middle(values: Sequence[float]) -> dict[str, float]:
    """Median, smallest and largest."""
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def show(result: dict[str, Any]) -> None:
    """Print the ratios."""
    table = Table(title="fleet against its members one after the other", title_justify="left")
    table.add_column("simulations")
    for name in ("threads", "ratio", "least", "most", "steps/s"):
        table.add_column(name, justify="right")
    for name, rows in result.items():
        for threads, row in rows.items():
            ratio = row["ratio"]
            numbers = [f"{ratio[key]:.2f}" for key in ("median", "least", "most")]
            table.add_row(name, threads.split()[0], *numbers, f"{row['fleet_steps_per_s']['median']:.0f}")
    print_table(Console(), table)


if __name__ == "__main__":
    sys.exit(main())
