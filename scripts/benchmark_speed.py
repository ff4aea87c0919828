"""Speed of eqrl relative to MuJoCo, Stable-Baselines3 and PyTorch, as ratios measured side by side.

    python scripts/benchmark_speed.py --json results/speed.json

``benchmark_off_policy.py`` measures off-policy updates. The ratios, each from interleaved repetitions on the same
machine and thread count:

- ``env_ratio``: steps/s of our ``VecEnv`` with observation, reward and resets, over bare ``mujoco.batch`` stepping of
  the same model.
- ``ppo_ratio``: end-to-end steps/s of ``PPO.learn`` over that bare rate, for the ``frame``, ``vector`` and ``regular``
  networks (the last with the exchange of legs) and for SB3's ``MlpPolicy`` with the same hidden sizes.
- ``networks``: forward+backward at batch 256 and forward at batch 1, as multiples of a torch MLP 2x256 on the same
  input (10 scalars and 10 vectors in, 2 scalars and 2 vectors out; for the finite groups 40 joint coordinates in and 8
  out, which the group permutes with signs). ``infer_b1_frozen`` is the latter after ``freeze()``.
"""

from __future__ import annotations

import argparse
import copy
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from stable_baselines3 import PPO

import eqrl
from eqrl import O3, SO2, EntitySet, EquivariantPolicy, Field, Generator, Group, Representation, finite_group
from eqrl.commands import print_table
from eqrl.nn import Regular, build
from eqrl.threads import ShareCores

ANT = "eqrl/AntTarget-v0"
HIDDEN = [128, 128]
LEGS = EntitySet("legs", ("leg",) * 8)


def main() -> int:
    """Run the benchmarks and write their ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="file for the results")
    parser.add_argument("--threads", type=int, default=2, help="threads for simulation and torch (networks: always 1)")
    parser.add_argument("--n-envs", type=int, default=64, help="simulations in the batch")
    parser.add_argument("--quick", action="store_true", help="a smoke run: everything once, numbers are rough")
    args = parser.parse_args()

    rounds = 1 if args.quick else 5
    torch.set_num_threads(args.threads)
    steps = stepping(args.n_envs, args.threads, rounds, 20 if args.quick else 150)
    bare = steps["bare"]
    ppo = ppo_rates(args.n_envs, args.threads, 1 if args.quick else 3, 1 if args.quick else 6)
    torch.set_num_threads(1)
    networks = network_costs(rounds=2 if args.quick else 15, repeats=3 if args.quick else 20)
    result: dict[str, Any] = {
        "env_ratio": steps["vec_env"] / bare,
        "ppo_ratio": {name: rate / bare for name, rate in ppo.items()},
        "networks": networks,
        "absolute": {
            "bare_steps_per_s": bare,
            "vec_env_steps_per_s": steps["vec_env"],
            "ppo_steps_per_s": ppo,
        },
        "setup": {
            "n_envs": args.n_envs,
            "threads": args.threads,
            "quick": args.quick,
            "machine": platform.machine(),
            "python": platform.python_version(),
            **{
                name: version(name)
                for name in ("eqrl", "torch", "mujoco", "stable-baselines3", "gymnasium", "e3nn", "numpy")
            },
        },
    }
    show(result)
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(result, indent=2) + "\n")
        print(f"written to {args.json}")
    return 0


def interleaved(jobs: dict[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Median rate of each job; the jobs take turns, so that a busy machine slows all of them alike."""
    rates: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, job in jobs.items():
            rates[name].append(job())
    return {name: statistics.median(values) for name, values in rates.items()}


def stepping(n_envs: int, threads: int, rounds: int, steps: int) -> dict[str, float]:
    """Steps/s of the bare batch and of the ``VecEnv`` around a batch of the same model, with random controls."""
    from mujoco.batch import Batch

    env = eqrl.make_vec(ANT, n_envs, seed=0, n_threads=threads)
    env.reset()
    task = env.unwrapped.task  # type: ignore[attr-defined]
    batch = Batch(task.model, n_envs, threads)
    batch.bind("qpos")[:] = env.unwrapped.simulation.world.data.qpos  # type: ignore[attr-defined]
    control = batch.bind("ctrl")
    rng = np.random.default_rng(0)
    actions = rng.uniform(-1, 1, size=(steps, n_envs, task.model.nu)).astype(np.float32)

    def bare() -> float:
        start = time.perf_counter()
        for action in actions:
            control[:] = action
            batch.step(nstep=task.frame_skip)
        return steps * n_envs / (time.perf_counter() - start)

    def ours() -> float:
        start = time.perf_counter()
        for action in actions:
            env.step(action)
        return steps * n_envs / (time.perf_counter() - start)

    for _ in range(2):  # warm up, and let the robots of both fall to the ground
        bare(), ours()
    return interleaved({"bare": bare, "vec_env": ours}, rounds)


def ppo_rates(n_envs: int, threads: int, rounds: int, rollouts: int) -> dict[str, float]:
    """End-to-end steps/s of ``PPO.learn`` with the preset's rollout and minibatch sizes.

    PyTorch and the simulation share the cores as in ``eqrl train``.
    """
    common: dict[str, Any] = {"n_steps": 32, "batch_size": 1024, "n_epochs": 5, "device": "cpu", "seed": 0}

    def model(name: str) -> PPO:
        env = eqrl.make_vec(ANT, n_envs, seed=0, n_threads=threads)
        if name == "mlp":
            return PPO("MlpPolicy", env, policy_kwargs={"net_arch": HIDDEN}, **common)
        options = {
            "network": name,
            "network_kwargs": {"hidden": HIDDEN},
            "group": "full" if name == "regular" else "auto",
        }
        return PPO(EquivariantPolicy, env, policy_kwargs=options, **common)

    models = {name: model(name) for name in ("frame", "vector", "regular", "mlp")}
    chunk = rollouts * n_envs * common["n_steps"]

    def job(agent: PPO) -> Callable[[], float]:
        def run() -> float:
            start = time.perf_counter()
            agent.learn(chunk, callback=ShareCores(), reset_num_timesteps=False)
            return chunk / (time.perf_counter() - start)

        return run

    jobs = {name: job(agent) for name, agent in models.items()}
    for run in jobs.values():
        run()
    return interleaved(jobs, rounds)


def network_costs(rounds: int, repeats: int) -> list[dict[str, Any]]:
    """Cost of every backbone relative to a torch MLP 2x256 on the same input, on one thread."""
    nets: dict[str, tuple[torch.nn.Module, int]] = {}
    for group in (O3, SO2):
        rep_in = Representation((Field("scalars", "10x0e"), Field("vectors", "10x1o", role="goal")), (), group)
        rep_out = Representation((Field("scalars", "2x0e"), Field("vectors", "2x1o")), (), group)
        nets.setdefault("torch MLP 2x256", (torch_mlp(rep_in.dim, rep_out.dim), rep_in.dim))
        for name in ("vector", "frame", "regular", "steerable") if group is O3 else ("vector", "frame", "regular"):
            net = build(name, rep_in, rep_out, None if name in ("frame", "regular") else group)
            nets[f"{name} ({group})"] = (net, rep_in.dim)
    for group in legged_groups():
        rep_in, rep_out = (
            Representation((Field("joints", irreps, "legs"),), (LEGS,), group) for irreps in ("4x0e + 1x0o", "1x0o")
        )
        nets[f"regular ({group})"] = (build("regular", rep_in, rep_out), rep_in.dim)
    frozen = {name: copy.deepcopy(net).freeze() for name, (net, _) in nets.items() if isinstance(net, Regular)}
    big, small = torch.randn(256, 40), torch.randn(1, 40)

    def train(net: torch.nn.Module) -> Callable[[], float]:
        def run() -> float:
            start = time.perf_counter()
            for _ in range(repeats):
                net.zero_grad()
                net(big).square().sum().backward()
            return repeats / (time.perf_counter() - start)

        return run

    def infer(net: torch.nn.Module) -> Callable[[], float]:
        def run() -> float:
            start = time.perf_counter()
            with torch.no_grad():
                for _ in range(10 * repeats):
                    net(small)
            return 10 * repeats / (time.perf_counter() - start)

        return run

    rates = {}
    for what, job in (("train_b256", train), ("infer_b1", infer)):
        jobs = {name: job(net) for name, (net, _) in nets.items()}
        if what == "infer_b1":
            jobs |= {f"{name}, frozen": job(net) for name, net in frozen.items()}
        for run in jobs.values():
            run()
        rates[what] = interleaved(jobs, rounds)
    base = "torch MLP 2x256"
    return [
        {
            "name": name,
            "params": sum(p.numel() for p in net.parameters()),
            **{what: rate[base] / rate[name] for what, rate in rates.items()},
            **(
                {"infer_b1_frozen": rates["infer_b1"][base] / rates["infer_b1"][f"{name}, frozen"]}
                if name in frozen
                else {}
            ),
        }
        for name, (net, _) in nets.items()
    ]


def legged_groups() -> tuple[Group, Group]:
    """C2, which exchanges left and right, and D4, the symmetries of a square, on two times four legs."""
    mirror, two = np.diag([1.0, -1.0, 1.0]), np.eye(2)
    swap = Generator.of("mirror", mirror, {"legs": np.kron(two, np.eye(4)[::-1])})
    turn = Generator.of("exchange of legs", None, {"legs": np.kron(two, np.roll(np.eye(4), 1, axis=0))})
    return finite_group("C2", [swap]), finite_group("D4", [turn, swap])


def torch_mlp(inputs: int, outputs: int) -> torch.nn.Module:
    """The reference MLP."""
    return torch.nn.Sequential(
        torch.nn.Linear(inputs, 256), torch.nn.Tanh(), torch.nn.Linear(256, 256), torch.nn.Tanh(), torch.nn.Linear(256,
        outputs)
    )  # fmt: skip


def show(result: dict[str, Any]) -> None:
    """Print the ratios as tables."""
    console, absolute = Console(), result["absolute"]
    table = Table(title=f"AntTarget, {result['setup']['n_envs']} simulations, {result['setup']['threads']} threads")
    for column in ("", "steps/s", "over bare mujoco.batch"):
        table.add_column(column, justify="left" if not column else "right")
    table.add_row("bare mujoco.batch", f"{absolute['bare_steps_per_s']:,.0f}", "1.00")
    table.add_row("VecEnv (env_ratio)", f"{absolute['vec_env_steps_per_s']:,.0f}", f"{result['env_ratio']:.2f}")
    for name, ratio in result["ppo_ratio"].items():
        table.add_row(f"PPO.learn, {name}", f"{absolute['ppo_steps_per_s'][name]:,.0f}", f"{ratio:.2f}")
    print_table(console, table)
    table = Table(title="Networks, multiples of a torch MLP 2x256, 1 thread")
    for column in ("network", "parameters", "forward+backward B=256", "forward B=1", "frozen"):
        table.add_column(column, justify="left" if column == "network" else "right")
    for row in result["networks"]:
        frozen = f"{row['infer_b1_frozen']:.2f}x" if "infer_b1_frozen" in row else "-"
        table.add_row(row["name"], f"{row['params']:,}", f"{row['train_b256']:.2f}x", f"{row['infer_b1']:.2f}x", frozen)
    print_table(console, table)


if __name__ == "__main__":
    sys.exit(main())
