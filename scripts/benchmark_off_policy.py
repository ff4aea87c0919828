"""Speed of SAC and TD3: gradient updates, and seconds until SAC with hindsight replay has solved Reach.

    python scripts/benchmark_off_policy.py --json results/off_policy.json
    python scripts/benchmark_off_policy.py --before ../older_checkout --json results/off_policy.json

Updates a second on one thread, batch 256, two hidden layers of ``--width``, as ratios to Stable-Baselines3's
``MlpPolicy`` of the same width, from interleaved repetitions. A further reference is an MLP with as many parameters as
``vector`` and the same one-pass Adam. Processor time is measured, so that other jobs disturb less; measure on an idle
machine all the same.

``--before`` names another checkout. The two versions then alternate, in separate processes, and every rate is divided
by that of
``MlpPolicy`` in the same process: the gain is the ratio of these ratios. The seconds until the success rate of 50
episodes is 0.95 are compared in the same way.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

TASKS = {"Reach": "eqrl/Reach-v0", "AntTarget": "eqrl/AntTarget-v0"}
ALGORITHMS = ("sac", "td3")
STOCK, EQUAL, NETWORKS = "MlpPolicy", "MLP of equal parameters, fused Adam", ("vector", "regular")
SOLVED = 0.95


def main() -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="file for the results")
    parser.add_argument("--before", type=Path, help="checkout of another version, for the gain since then")
    parser.add_argument("--width", type=int, default=256, help="width of both hidden layers, in all networks")
    parser.add_argument("--rounds", type=int, default=9, help="repetitions of each measurement")
    parser.add_argument("--seeds", type=int, default=3, help="trainings on Reach by each version")
    parser.add_argument("--quick", action="store_true", help="a smoke run: everything once, numbers are rough")
    parser.add_argument("--child", choices=("rates", "solve"), help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.quick:
        args.rounds, args.seeds = 1, 1
    if args.child:
        print(json.dumps(rates(args.width, args.rounds, 10) if args.child == "rates" else solve(args.seed)))
        return 0
    setup = {
        "width": args.width,
        "rounds": args.rounds,
        "quick": args.quick,
        "machine": platform.machine(),
        "threads": 1,
        **{name: version(name) for name in ("torch", "stable-baselines3", "numpy")},
    }
    result: dict[str, Any] = {"setup": setup, "ratios": rates(args.width, args.rounds, 5 if args.quick else 40)}
    show(result["ratios"])
    for part in (gain, solving) if args.before else ():
        result |= part(args)
        write(result, args.json)
    write(result, args.json)
    return 0


def write(result: dict[str, Any], path: Path | None) -> None:
    """Write the numbers so far, so that a run that is cut short leaves them."""
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(result, indent=2) + "\n")
        print(f"written to {path}")


def rates(width: int, rounds: int, updates: int) -> list[dict[str, Any]]:
    """Updates per second of every network, task and algorithm, and their ratios to the stock policy."""
    import torch

    torch.set_num_threads(1)
    rows = []
    for algorithm in ALGORITHMS:
        for task, env_id in TASKS.items():
            models = dict(_models(algorithm, env_id, width))
            measured: dict[str, list[float]] = {name: [] for name in models}
            for _ in range(rounds):
                for name, model in models.items():
                    start = time.process_time()
                    model.train(gradient_steps=updates, batch_size=256)
                    measured[name].append(updates / (time.process_time() - start))
            for name, values in measured.items():
                ratios = [a / b for a, b in zip(values, measured[STOCK], strict=True)]
                rows.append(
                    {
                        "algorithm": algorithm,
                        "task": task,
                        "network": name,
                        "parameters": sum(p.numel() for p in models[name].policy.parameters()),
                        "updates_per_s": statistics.median(values),
                        "over_mlp_policy": statistics.median(ratios),
                        "quartiles": statistics.quantiles(ratios, n=4)[::2] if len(ratios) > 1 else ratios * 2,
                    }
                )
    return rows


def _models(algorithm: str, env_id: str, width: int) -> Iterator[tuple[str, Any]]:
    import stable_baselines3

    import eqrl
    from eqrl.agents import EquivariantSACPolicy, EquivariantTD3Policy

    def model(policy: Any, options: dict[str, Any]) -> Any:
        env = eqrl.make_vec(env_id, 8, seed=0, n_threads=1)
        kind = getattr(stable_baselines3, algorithm.upper())
        agent = kind(
            policy,
            env,
            policy_kwargs=options,
            batch_size=256,
            learning_starts=500,
            buffer_size=10_000,
            seed=0,
            device="cpu",
        )
        return agent.learn(600)

    ours = {"sac": EquivariantSACPolicy, "td3": EquivariantTD3Policy}[algorithm]
    stock = "MultiInputPolicy" if env_id == TASKS["Reach"] else "MlpPolicy"
    yield STOCK, model(stock, {"net_arch": [width, width]})
    networks = {name: model(ours, {"network": name, "network_kwargs": {"hidden": [width, width]}}) for name in NETWORKS}
    yield from networks.items()
    count = _parameters(networks["vector"])
    sizes = {w: _parameters(model(stock, {"net_arch": [w, w]})) for w in (width, width + 16)}
    slope = (sizes[width + 16] - sizes[width]) / 16
    equal = round(width + (count - sizes[width]) / slope)
    yield EQUAL, model(stock, {"net_arch": [equal, equal], "optimizer_kwargs": {"fused": True}})


def _parameters(model: Any) -> int:
    return sum(p.numel() for p in model.policy.parameters())


def gain(args: argparse.Namespace) -> dict[str, Any]:
    """Ratios of this version over those of the other one, from alternating processes."""
    turns: dict[str, list[list[dict[str, Any]]]] = {"before": [], "after": []}
    for _ in range(1 if args.quick else 3):
        for name, runs in turns.items():
            runs.append(_child(args, name, "rates"))
    rows = []
    for i, row in enumerate(turns["after"][0]):
        medians = {name: statistics.median(run[i]["over_mlp_policy"] for run in runs) for name, runs in turns.items()}
        if row["network"] in NETWORKS:
            key = {name: row[name] for name in ("algorithm", "task", "network")}
            rows.append({**key, **medians, "gain": medians["after"] / medians["before"]})
            print(
                "{algorithm} {task} {network}: {before:.2f} before, {after:.2f} after, gain {gain:.2f}".format(
                    **rows[-1]
                )
            )
    return {"gain": rows}


def solving(args: argparse.Namespace) -> dict[str, Any]:
    """Seconds until Reach is solved, with both versions alternating."""
    turns: dict[str, list[dict[str, Any]]] = {"before": [], "after": []}
    for seed in range(args.seeds):
        for name, runs in turns.items():
            runs.append(_child(args, name, "solve", "--seed", str(seed)))
    seconds = {name: statistics.median(run["seconds"] for run in runs) for name, runs in turns.items()}
    updates = {name: statistics.median(run["seconds_per_step"] for run in runs) for name, runs in turns.items()}
    ratio, per_step = seconds["after"] / seconds["before"], updates["after"] / updates["before"]
    print(
        f"SAC+HER on Reach to {SOLVED}: {seconds['before']:.1f} s before, {seconds['after']:.1f} s after, ratio"
        f" {ratio:.2f}"
    )
    return {"reach_solved": {"seconds": seconds, "ratio": ratio, "ratio_per_step": per_step, "runs": turns}}


def _child(args: argparse.Namespace, which: str, part: str, *more: str) -> Any:
    """Run a part of this script on one of the two versions."""
    root = args.before if which == "before" else Path(__file__).parents[1]
    command = [sys.executable, __file__, "--child", part, "--width", str(args.width), "--rounds", "5", *more]
    env = {**os.environ, "PYTHONPATH": str(root.resolve()), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{which}: {done.stderr.strip()[-1000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def solve(seed: int) -> dict[str, float]:
    """Seconds and steps of training, without evaluations, until the success rate of 50 episodes of Reach is enough."""
    import torch
    from stable_baselines3 import SAC, HerReplayBuffer

    import eqrl
    from eqrl.agents import EquivariantSACPolicy, preset

    torch.set_num_threads(1)
    env = eqrl.make_vec(TASKS["Reach"], 8, seed=seed, n_threads=1)
    trial = eqrl.make_vec(TASKS["Reach"], 50, seed=1000 + seed, n_threads=1)
    options = {
        k: v
        for k, v in preset("sac", TASKS["Reach"]).items()
        if k in ("learning_rate", "gamma", "tau", "learning_starts")
    }
    policy = {"network": "vector", "network_kwargs": {"hidden": [256, 256]}}
    model = SAC(
        EquivariantSACPolicy,
        env,
        policy_kwargs=policy,
        replay_buffer_class=HerReplayBuffer,
        gradient_steps=4,
        seed=seed,
        **options,
    )
    spent = 0.0
    for chunk in range(100):
        start = time.process_time()
        model.learn(400, reset_num_timesteps=chunk == 0)
        spent += time.process_time() - start
        if _success(model, trial) >= SOLVED:
            break
    return {"seconds": spent, "steps": model.num_timesteps, "seconds_per_step": spent / model.num_timesteps}


def _success(model: Any, env: Any) -> float:
    import numpy as np

    observations, done, success = env.reset(), np.zeros(env.num_envs, dtype=bool), np.zeros(env.num_envs, dtype=bool)
    while not done.all():
        observations, _, ended, infos = env.step(model.predict(observations, deterministic=True)[0])
        for i in np.flatnonzero(ended & ~done):
            success[i] = bool(infos[i]["is_success"])
        done |= ended
    return float(success.mean())


def show(rows: list[dict[str, Any]]) -> None:
    """Print the ratios as a table."""
    table = Table(title="Gradient updates on one thread, batch 256")
    columns: list[tuple[str, Callable[[dict[str, Any]], str]]] = [
        ("", lambda r: f"{r['algorithm'].upper()} {r['task']}, {r['network']}"),
        ("parameters", lambda r: f"{r['parameters']:,}"),
        ("updates/s", lambda r: f"{r['updates_per_s']:.0f}"),
        ("over MlpPolicy", lambda r: f"{r['over_mlp_policy']:.2f} [{r['quartiles'][0]:.2f}, {r['quartiles'][1]:.2f}]"),
    ]
    for name, _ in columns:
        table.add_column(name, justify="right" if name else "left", overflow="fold")
    for row in rows:
        table.add_row(*(text(row) for _, text in columns))
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
