"""Cost of the heterogeneous graph network, and its equivariance error against that of published orientation grids.

    python scripts/benchmark_hetero.py --json results/hetero.json

The graph is that of HEPi's tasks: 24 outline points with targets, and one or four effectors that act by a velocity, a
yaw rate and a grip. One network gives action and value (``share_network``). In every round each network does one
forward and backward pass at the same batch, in turns, and times are those of the processor, so that a busy machine
slows all of them alike; numbers are medians. One thread.

Errors are in float64, on random weights and on outlines with equal distances between their points, relative to the
largest output: of rotations about gravity for the networks in the plane, of all rotations for those in space.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from eqrl.commands import print_table
from eqrl.nn import Backbone, build
from eqrl.symmetry import O2, O3, SO2, SO3, EntitySet, Field, Group, Representation

POINTS = 24
PUBLISHED = {"width": 64, "orientations": 16, "neighbours": 3}
GRIDS = {SO2: (4, 8, 16, 32), SO3: (16, 64, 256)}


def scene(group: Group, effectors: int) -> tuple[Representation, Representation]:
    """Observation, and action with value."""
    points = EntitySet("points", ("point",) * POINTS, exchangeable=True)
    acting = EntitySet("effectors", ("effector",) * effectors, exchangeable=True)
    fields = (
        Field("point", "1x1o", "points", role="position"),
        Field("target", "1x1o", "points", role="position"),
        Field("effector", "1x1o", "effectors", role="position"),
        Field("velocity", "1x1o", "effectors"),
    )
    outputs = (
        Field("linear", "1x1o", "effectors"),
        Field("yaw_rate", "1x0o" if group.fixes_gravity else "1x1e", "effectors"),
        Field("grip", "1x0e", "effectors"),
        Field("value", "1x0e"),
    )
    return Representation(fields, (points, acting), group), Representation(outputs, (acting,), group)


def networks(effectors: int) -> Mapping[str, Backbone]:
    """What is compared in speed."""
    plane, space = scene(O2, effectors), scene(O3, effectors)
    width = PUBLISHED["width"]
    grid = {"hidden": (width, width), "orientations": PUBLISHED["orientations"]}
    near = {"internal": "neighbours", "neighbours": PUBLISHED["neighbours"]}
    return {
        "MLP 2x256": build("mlp", *plane, hidden=(256, 256)),
        "hub": build("hetero", *plane),
        "hub, SO(2)": build("hetero", *plane, SO2),
        "hub, width 64": build("hetero", *plane, hidden=(width, width)),
        "hub, O(3)": build("hetero", *space),
        "3 neighbours": build("hetero", *plane, **near),
        "3 neighbours, homogeneous": build("hetero", *plane, edges="homogeneous", **near),
        "16 orientations in the plane": build("hetero", *plane, **grid),
        "16 orientations in space": build("hetero", *space, **grid),
    }


def speed(effectors: int, batch: int, rounds: int) -> dict[str, float]:
    """Milliseconds of a forward and backward pass, for each state."""
    candidates = networks(effectors)
    x = 0.2 * torch.randn(batch, next(iter(candidates.values())).in_rep.dim)
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for k in range(rounds):
        for name, network in candidates.items():
            if "orientations" in name and k % 10:
                continue
            start = time.process_time()
            network(x).square().mean().backward()
            times[name].append(1e3 * (time.process_time() - start) / batch)
    return {name: round(statistics.median(values), 4) for name, values in times.items()}


def outlines(rep: Representation, count: int) -> Tensor:
    """Regular polygons with targets, turned and moved; points at equal distances from each other."""
    angle = 2 * math.pi * torch.arange(POINTS, dtype=torch.float64) / POINTS
    ring = 0.05 * torch.stack([angle.cos(), angle.sin(), 0 * angle], dim=1)
    turns = SO3.sample(2 * count, rng=0).R
    here, there = (ring @ turns.mT).split(count)
    effectors = rep.entity_set("effectors").size
    rest = 0.2 * torch.randn(count, effectors, 3, dtype=torch.float64), torch.randn(count, effectors, 3).double()
    return torch.cat([part.flatten(1) for part in (here, there + 0.02, *rest)], dim=1)


def error(group: Group, count: int = 64, **options: Any) -> float:
    """Largest equivariance error of a network with random weights, relative to its largest output."""
    torch.manual_seed(0)
    in_rep, out_rep = scene(group, 1)
    network = build("hetero", in_rep, out_rep, **options).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
        x, g = outlines(in_rep, count), group.sample(count, rng=1)
        expected = out_rep.transform(network(x), g)
        return float((network(in_rep.transform(x, g)) - expected).abs().max() / expected.abs().max())


def errors(quick: bool) -> dict[str, float]:
    """Equivariance errors of exact networks, and of grids with more and more orientations."""
    exact = {
        f"{internal}, {group}": error(group, internal=internal)
        for group in (SO2, O2, SO3, O3)
        for internal in ("hub", "neighbours")
    }
    grids = {
        f"{number} orientations, {group}": error(group, orientations=number)
        for group, numbers in GRIDS.items()
        for number in numbers[: 1 if quick else None]
    }
    return {name: float(f"{value:.1e}") for name, value in {**exact, **grids}.items()}


def main() -> None:
    """Run the benchmark and write its numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="file for the results")
    parser.add_argument("--rounds", type=int, default=60, help="passes of each network at a batch of 64")
    parser.add_argument("--quick", action="store_true", help="a smoke run: numbers are rough")
    args = parser.parse_args()
    batches = {64: 2} if args.quick else {64: args.rounds, 1024: max(args.rounds // 6, 1)}
    torch.set_num_threads(1)
    cost = {
        f"{effectors} effectors, batch {batch}": speed(effectors, batch, rounds)
        for batch, rounds in batches.items()
        for effectors in (1, 4)
    }
    table = Table(title="forward and backward pass, ms for each state")
    for column in ("network", *cost):
        table.add_column(column)
    for name in next(iter(cost.values())):
        table.add_row(name, *(f"{numbers[name]:.3f}" for numbers in cost.values()))
    print_table(Console(), table)
    symmetry = errors(args.quick)
    table = Table(title="equivariance error, float64")
    for column in ("network", "error"):
        table.add_column(column)
    for name, value in symmetry.items():
        table.add_row(name, f"{value:.0e}")
    print_table(Console(), table)
    if args.json:
        about = {"machine": platform.processor() or platform.machine(), "cores": os.cpu_count(), "points": POINTS}
        results = {**about, "ms_per_state": cost, "equivariance_error": symmetry}
        args.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
