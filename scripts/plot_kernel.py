"""What a known symmetry is worth to kernel reinforcement learning: numbers and the figure of docs/theory.md.

    python scripts/plot_kernel.py --out results/theory

A grid of 7 x 7 cells with four moves has 196 pairs of state and action, and 28 orbits under the group D4 of the square.
Compared are a Gaussian kernel and its average over the group: eigenvalues, information gain, and the episodes that
optimistic value iteration needs, on the symmetric grid and on one whose goal is not in the middle. The last panel is
what it costs to choose among groups of actions where a wind breaks the symmetry.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from eqrl.theory import (
    Grid,
    action_groups,
    averaged,
    episodes_to_optimum,
    grouped_policy,
    information_gain,
    policy_values,
    rank,
    rbf,
)

PAGE = """# What a known symmetry is worth to kernels

Written by `scripts/plot_kernel.py`; [the page of theory](../../docs/theory.md) says what it shows. Numbers are in
`kernel.json`.

![Eigenvalues, information gain, episodes and the loss of grouping](kernel.png)
"""
LENGTH, NOISE, LEARNING_LENGTH = 0.5, 0.3, 1.0
PLAIN, KNOWING = "#8d8d92", "#0b7a75"
WINDS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4)
DISCOUNT = 0.9


def spectra() -> dict[str, Any]:
    """Eigenvalues, ranks, and information gain as observations come in."""
    grid = Grid()
    gram = rbf(grid.pairs, LENGTH)
    mean = averaged(gram, [grid.on_pairs(g) for g in grid.group])
    order = np.random.default_rng(0).permutation(len(gram))
    counts = sorted({*range(7, len(gram), 7), len(gram)})
    kernels = {"plain": gram, "averaged": mean}
    return {
        "pairs": len(gram),
        "orbits": int(grid.orbits.max() + 1),
        "rank": {name: rank(K) for name, K in kernels.items()},
        "eigenvalues": {name: np.linalg.eigvalsh(K)[::-1].clip(0.0).tolist() for name, K in kernels.items()},
        "observations": counts,
        "information_gain": {
            name: [information_gain(K[np.ix_(order[:n], order[:n])], NOISE) for n in counts]
            for name, K in kernels.items()
        },
    }


def episodes(seeds: int, most: int) -> dict[str, Any]:
    """Episodes to the optimum, null where it is not reached."""
    results: dict[str, Any] = {}
    for name, goal in (("symmetric", (0, 0)), ("broken", (2, 1))):
        grid = Grid(goal=goal)
        gram = rbf(grid.pairs, LEARNING_LENGTH)
        mean = averaged(gram, [grid.on_pairs(g) for g in grid.group])
        results[name] = {
            kernel: [episodes_to_optimum(grid, K, most=most, seed=seed) for seed in range(seeds)]
            for kernel, K in (("plain", gram), ("averaged", mean))
        }
    return {"most": most, **results}


def grouping() -> dict[str, Any]:
    """Largest loss of value for choosing among groups of actions."""
    losses = []
    for wind in WINDS:
        grid = Grid(wind=wind)
        free = np.tile(np.arange(grid.actions), (grid.states, 1))
        groups = action_groups(grid.group, grid.states, grid.actions)
        P, R = grid.transitions, grid.rewards
        values = [policy_values(P, R, DISCOUNT, grouped_policy(P, R, DISCOUNT, g)) for g in (free, groups)]
        losses.append(float((values[0] - values[1]).max()))
    return {"wind": list(WINDS), "loss": losses}


def draw(numbers: dict[str, Any], path: Path) -> None:
    """The figure."""
    figure = Figure(figsize=(13.0, 3.4), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    spectrum, gain, learning, loss = figure.subplots(1, 4)
    for name, colour in (("plain", PLAIN), ("averaged", KNOWING)):
        label = f"{name}, rank {numbers['rank'][name]}"
        spectrum.semilogy(np.maximum(numbers["eigenvalues"][name], 1e-12), color=colour, label=label)
        gain.plot(numbers["observations"], numbers["information_gain"][name], color=colour, label=name)
    spectrum.set_ylim(1e-3, None)
    spectrum.set(xlabel="eigenvalue", title="eigenvalues of the kernel")
    gain.set(xlabel="observations", title="information gain in nats")
    for i, world in enumerate(("symmetric", "broken")):
        for kernel, colour, shift in (("plain", PLAIN, -0.15), ("averaged", KNOWING, 0.15)):
            needed = numbers["episodes"][world][kernel]
            reached = [n for n in needed if n is not None]
            learning.plot([i + shift] * len(reached), reached, "o", color=colour)
            if missing := len(needed) - len(reached):
                learning.text(i + shift, numbers["episodes"]["most"], f"never\n({missing} of {len(needed)})",
                              ha="center", va="top", fontsize=8, color=colour)  # fmt: skip
    learning.set_xticks([0, 1], ["goal in the middle", "goal elsewhere"])
    learning.set_xlim(-0.5, 1.5)
    learning.set_ylim(0.0, 1.05 * numbers["episodes"]["most"])
    learning.set_title("episodes to the optimum")
    loss.plot(numbers["grouping"]["wind"], numbers["grouping"]["loss"], "o-", color="#5b5ea6")
    loss.set(xlabel="wind", title="loss of grouped actions")
    for axis in (spectrum, gain):
        axis.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=150)


def main() -> None:
    """Compute, write, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("results/theory"))
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--most", type=int, default=500, help="episodes after which a learner is given up")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    numbers = {**spectra(), "episodes": episodes(options.seeds, options.most), "grouping": grouping()}
    (options.out / "README.md").write_text(PAGE, encoding="utf-8")
    (options.out / "kernel.json").write_text(json.dumps(numbers, indent=1) + "\n")
    draw(numbers, options.out / "kernel.png")
    gains = {name: round(values[-1], 1) for name, values in numbers["information_gain"].items()}
    print(f"rank {numbers['rank']}, information gain {gains}")
    print(f"episodes {numbers['episodes']}")
    print(f"loss of grouped actions {numbers['grouping']}")


if __name__ == "__main__":
    main()
