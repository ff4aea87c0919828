"""Cost of the transformer against multilayer perceptrons, on the tokens of 3D-SGRL's robots.

    python scripts/benchmark_transformer.py --json results/transformer.json

In every round each network does one forward and backward pass at the same batch, in turns, so that a busy machine slows
all of them alike; a ratio is that of the medians. The reference is what PPO has otherwise: two perceptrons of
(256, 256) in the heading frame, one for actions and one for the value, on the same observations. A transformer serves
actor and value at once (``share_network``). SET has an actor and a critic of the published size, and it takes part in
every tenth round only. One thread.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

import eqrl
from eqrl.commands import print_table
from eqrl.nn import build
from eqrl.symmetry import SO2, TRIVIAL, Representation, scalars

SET = "SET, actor and critic"
ROBOTS = {"9 limbs": "humanoid_9_full", "14 limbs": "cheetah_14_full"}


def networks(observation: Representation, action: Representation) -> Mapping[str, Callable[[Tensor], Tensor]]:
    """What is compared, as functions from observations to actions and values."""
    value = scalars("value", 1, action.group)
    both = action + value
    actor, critic = (build("heading", observation, out, SO2, hidden=(256, 256)) for out in (action, value))
    transformer = build("transformer", observation, both)
    plain = build("transformer", observation, both, SO2)
    no_frame = build("transformer", observation, both, TRIVIAL)
    options = {"axes": ("axis_odd", "axis_even"), "relations": True}
    set_actor, set_critic = (build("set", observation, out, SO2, **options) for out in (action, value))
    return {
        "two heading MLPs": lambda x: torch.cat([actor(x), critic(x)], dim=1),
        "transformer, O2": transformer,
        "transformer, SO2": plain,
        "transformer, no frame": no_frame,
        SET: lambda x: torch.cat([set_actor(x), set_critic(x)], dim=1),
    }


def compare(robot: str, batch: int, rounds: int) -> dict[str, Any]:
    """Milliseconds of each network, and their ratios to the perceptrons."""
    env = eqrl.make_vec(f"eqrl/SGRL-{robot}-v0", 64, seed=0, n_threads=1)
    rows = [torch.as_tensor(env.reset())]
    while sum(map(len, rows)) < batch:
        env.step_async(torch.stack([torch.as_tensor(env.action_space.sample()) for _ in range(64)]).numpy())
        rows.append(torch.as_tensor(env.step_wait()[0]))
    x = torch.cat(rows)[:batch]
    candidates = networks(env.observation_space.representation, env.action_space.representation)
    times: dict[str, list[float]] = {name: [] for name in candidates}
    single: dict[str, list[float]] = {name: [] for name in candidates}
    for k in range(rounds):
        for name, network in candidates.items():
            if name == SET and k % 10:
                continue
            start = time.perf_counter()
            network(x).square().mean().backward()
            times[name].append(1e3 * (time.perf_counter() - start))
            with torch.no_grad():
                start = time.perf_counter()
                network(x[:1])
                single[name].append(1e3 * (time.perf_counter() - start))
    reference = statistics.median(times["two heading MLPs"])
    return {
        name: {
            "ms": round(statistics.median(values), 2),
            "ratio": round(statistics.median(values) / reference, 2),
            "ms_single_forward": round(statistics.median(single[name]), 3),
        }
        for name, values in times.items()
    }


def main() -> None:
    """Run the benchmark and write its numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="file for the results")
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--quick", action="store_true", help="a smoke run: numbers are rough")
    args = parser.parse_args()
    if args.quick:
        args.batch, args.rounds = 64, 2
    torch.set_num_threads(1)
    results = {limbs: compare(robot, args.batch, args.rounds) for limbs, robot in ROBOTS.items()}
    for limbs, numbers in results.items():
        table = Table(title=f"{limbs}, forward and backward of {args.batch}")
        for column in ("network", "ms", "ratio", "one observation, ms"):
            table.add_column(column)
        for name, row in numbers.items():
            table.add_row(name, *(str(row[key]) for key in ("ms", "ratio", "ms_single_forward")))
        print_table(Console(), table)
    if args.json:
        about = {"machine": platform.processor() or platform.machine(), "cores": os.cpu_count(), "batch": args.batch}
        args.json.write_text(json.dumps({**about, **results}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
