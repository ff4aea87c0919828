"""Shards on Ray against one process: steps/s of both, as a ratio, and what a message costs.

    python scripts/benchmark_ray.py --json results/ray.json

Both step the same environments with the same actions and have the same number of threads: one process with all of
them, or ``--shards`` processes that share them. The two take turns, and the ratios are medians over pairs, so that a
busy machine slows both alike. For each number of environments:

- ``ratio``: steps/s of the shards over those of one process, by the clock.
- ``cpu_ratio``: the same by CPU seconds of all processes, which counts the work of the messages and does not depend on
  what else the machine does (Linux; Ray's own services, which idle, are left out).
- ``message_ms``: a question to all shards and their answers, without any step.

Needs ``pip install 'eqrl[ray]'``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.vec_env import VecEnv

import eqrl
from eqrl.engines import ray as on_ray


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="file for the results")
    parser.add_argument("--env", default="eqrl/AntTarget-v0")
    parser.add_argument("--shards", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2, help="threads of each side in all")
    parser.add_argument("--n-envs", type=int, nargs="+", default=[16, 64, 256])
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="a smoke run: numbers are rough")
    args = parser.parse_args()

    sizes = [compare(args, n) for n in args.n_envs]
    result = {
        "sizes": sizes,
        "setup": {
            "env": args.env,
            "shards": args.shards,
            "threads": args.threads,
            "pairs": 1 if args.quick else args.pairs,
            "quick": args.quick,
            "cores": os.cpu_count(),
            "load": os.getloadavg()[0],
            "machine": platform.machine(),
            "python": platform.python_version(),
            **{name: version(name) for name in ("eqrl", "mujoco", "numpy", "ray")},
        },
    }
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


def compare(args: argparse.Namespace, n_envs: int) -> dict[str, Any]:
    """Both sides with so many environments."""
    one = eqrl.make_vec(args.env, n_envs, seed=0, n_threads=args.threads)
    many = on_ray.make_vec(args.env, n_envs, seed=0, n_threads=args.threads, shards=args.shards)
    base: Any = many.unwrapped
    steps = max(2048 // n_envs, 4) if args.quick else max(8192 // n_envs, 20)
    rng = np.random.default_rng(0)
    actions = rng.uniform(-1, 1, (steps, n_envs, *one.action_space.shape)).astype(np.float32)
    try:
        for env in (one, many):
            env.reset()
            seconds(env, actions, lambda: 0.0)
        pairs = []
        for k in range(1 if args.quick else args.pairs):
            pair = {}
            for env in (one, many) if k % 2 else (many, one):
                pids = () if env is one else tuple(base.pids)
                pair["one" if env is one else "many"] = seconds(env, actions, lambda pids=pids: cpu_seconds(pids))
            pairs.append(pair)
        message = statistics.median(question(many) for _ in range(50))
    finally:
        one.close()
        many.close()
    size = {
        "n_envs": n_envs,
        "ratio": statistics.median(pair["one"][0] / pair["many"][0] for pair in pairs),
        "cpu_ratio": statistics.median(pair["one"][1] / pair["many"][1] for pair in pairs),
        "message_ms": 1e3 * message,
        "one_steps_per_s": steps * n_envs / statistics.median(pair["one"][0] for pair in pairs),
        "many_steps_per_s": steps * n_envs / statistics.median(pair["many"][0] for pair in pairs),
        "one_cpu_us_per_step": 1e6 * statistics.median(pair["one"][1] for pair in pairs) / (steps * n_envs),
        "many_cpu_us_per_step": 1e6 * statistics.median(pair["many"][1] for pair in pairs) / (steps * n_envs),
    }
    print(", ".join(f"{name} {value:.4g}" for name, value in size.items()), flush=True)
    return size


def seconds(env: VecEnv, actions: np.ndarray, cpu: Callable[[], float]) -> tuple[float, float]:
    """Seconds by the clock, and of CPU, for these actions."""
    begin, begin_cpu = time.perf_counter(), cpu()
    for action in actions:
        env.step(action)
    return time.perf_counter() - begin, cpu() - begin_cpu


def cpu_seconds(pids: tuple[int, ...]) -> float:
    """CPU seconds so far of this process and others of this machine."""
    total = time.process_time()
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def question(env: VecEnv) -> float:
    """Seconds until all shards have answered a question that costs them nothing."""
    begin = time.perf_counter()
    env.get_attr("max_episode_steps")
    return time.perf_counter() - begin


if __name__ == "__main__":
    raise SystemExit(main())
