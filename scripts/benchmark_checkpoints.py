"""The cost of checkpoints as a share of the wall-clock time of a training.

    python scripts/benchmark_checkpoints.py --json results/reliability/checkpoint_cost.json

PPO trains the job of ``eqrl train`` without options; SAC trains with its preset on AntTarget and a full replay buffer
of 1,000,000 transitions. Both measure the steps/s of ``learn``, the seconds of a save after one default interval, and
their ratio. SAC also measures the additional memory of a save, and the first save of a full buffer, which no run has to
pay at once.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

from eqrl.checkpoint import Description, Store, buffer_bytes
from eqrl.commands import print_table
from eqrl.threads import ShareCores
from eqrl.train import DEFAULT_JOB, Config, make_env, make_model, resolve
from eqrl.versions import versions


def main() -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="file for the results")
    parser.add_argument("--buffer", type=int, default=1_000_000, help="transitions in SAC's replay buffer")
    parser.add_argument("--folder", type=Path, help="where to write checkpoints; they are deleted afterwards")
    parser.add_argument("--quick", action="store_true", help="a smoke run: numbers are rough")
    args = parser.parse_args()
    buffer = 50_000 if args.quick else args.buffer
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        result["ppo"] = measure(resolve(Config.from_dict(DEFAULT_JOB)), Path(folder) / "ppo", args.quick)
        sac = resolve(Config(algo="sac", hyperparams={"buffer_size": buffer}))
        result["sac"] = measure(sac, Path(folder) / "sac", args.quick)
        result["free_bytes"] = shutil.disk_usage(folder).free
    result |= {"versions": versions(), "quick": args.quick}
    show(result)
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(result, indent=1) + "\n")
        print(f"written to {args.json}")
    return 0


def measure(config: Config, folder: Path, quick: bool) -> dict[str, Any]:
    """The training rate and the cost of saving for one configuration."""
    env = make_env(config, seed=config.seed)
    model = make_model(config, env)
    interval, total = config.save_freq or 0, config.n_timesteps or 0
    if isinstance(model, OffPolicyAlgorithm):
        fill(model)
        # the log counts rows by steps, and a run with a full buffer has made at least this many
        model.num_timesteps = model.buffer_size
    rate = train(model, (2_000 if quick else 20_000) if config.algo == "ppo" else 400 if quick else 4_000)
    store, about = Store(folder, keep=config.keep_checkpoints), Description(config.to_dict(), versions())
    before, first = peak(), save(store, model, about)
    seconds = []
    for _ in range(2 if quick else 5):
        if isinstance(model, OffPolicyAlgorithm):
            fill(model, interval)
            model.num_timesteps += interval
        else:
            train(model, 4_000)
        seconds.append(save(store, model, about))
    numbers: dict[str, Any] = {
        "n_timesteps": total,
        "interval_steps": interval,
        "training_steps_per_s": rate,
        "save_s": statistics.median(seconds),
        "first_save_s": first,
        "share": statistics.median(seconds) * rate / interval,
        "checkpoint_bytes": sum(f.stat().st_size for f in store.at(store.steps()[0]).iterdir()),
    }
    if isinstance(model, OffPolicyAlgorithm):
        assert model.replay_buffer is not None
        size = buffer_bytes(model.replay_buffer)
        numbers |= {"buffer_bytes": size, "extra_memory_share": (peak() - before) / size}
        again = make_model(config, env)
        start = time.perf_counter()
        store.resume(again, *store.newest(complete=True))
        numbers["resume_s"] = time.perf_counter() - start
    env.close()
    return numbers


def train(model: BaseAlgorithm, steps: int) -> float:
    """Steps/s of ``learn``, as in ``eqrl train``; the first rollout is not counted."""
    model.learn(1, callback=ShareCores(), reset_num_timesteps=False)
    begin, start = model.num_timesteps, time.perf_counter()
    model.learn(steps, callback=ShareCores(), reset_num_timesteps=False)
    return (model.num_timesteps - begin) / (time.perf_counter() - start)


def fill(model: OffPolicyAlgorithm, steps: int | None = None) -> None:
    """Add random transitions, by default as many as the buffer holds."""
    buffer = model.replay_buffer
    assert buffer is not None
    rng = np.random.default_rng(0)
    shape = (buffer.n_envs, *buffer.obs_shape)
    for _ in range((model.buffer_size if steps is None else steps) // buffer.n_envs):
        x = rng.standard_normal(shape, dtype=np.float32)
        action = rng.uniform(-0.5, 0.5, (buffer.n_envs, buffer.action_dim)).astype(np.float32)
        zeros = np.zeros(buffer.n_envs)
        buffer.add(x, x, action, zeros, zeros, [{}] * buffer.n_envs)


def save(store: Store, model: BaseAlgorithm, about: Description) -> float:
    """Seconds of one save."""
    start = time.perf_counter()
    store.save(model, about, {"seconds": 0.0})
    return time.perf_counter() - start


def peak() -> int:
    """Peak memory of this process, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def show(result: dict[str, Any]) -> None:
    """Print the shares as a table."""
    table = Table(title="Checkpoints at the default interval")
    for column in ("", "interval", "training", "a save", "share of wall-clock", "extra memory / buffer"):
        table.add_column(column, justify="left" if not column else "right")
    for name, numbers in result.items():
        if isinstance(numbers, dict) and "share" in numbers:
            table.add_row(
                name,
                f"{numbers['interval_steps']:,} steps",
                f"{numbers['training_steps_per_s']:,.0f} steps/s",
                f"{1000 * numbers['save_s']:.0f} ms",
                f"{100 * numbers['share']:.2f} %",
                f"{100 * numbers['extra_memory_share']:.1f} %" if "extra_memory_share" in numbers else "-",
            )
    print_table(Console(), table)


if __name__ == "__main__":
    sys.exit(main())
