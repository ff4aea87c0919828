"""Two checkouts side by side: are their trainings the same to the bit, and how fast is each?

    python scripts/compare_versions.py --before ../older_checkout --json results/versions.json

Both versions run by turns, each in processes of its own, on one thread. Digests cover 300 steps of every environment in
turned scenes, and all parameters after short trainings with PPO and SAC. Rates are ratios of processor time, after over
before, medians over the rounds; measure on an idle machine.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

TASKS = ("eqrl/AntTarget-v0", "eqrl/Push-v0", "eqrl/Reach-v0")
STEPS = {"eqrl/AntTarget-v0": 150, "eqrl/Push-v0": 400, "eqrl/Reach-v0": 1500}


def main() -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, help="checkout of the other version")
    parser.add_argument("--rounds", type=int, default=7, help="repetitions of each measurement")
    parser.add_argument("--json", type=Path, help="file for the results")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        print(json.dumps({"digests": digests(), "seconds": seconds()}))
        return 0
    if args.before is None:
        parser.error("--before names the other checkout")
    here = Path(__file__).parents[1]
    runs: dict[str, list[dict[str, Any]]] = {"before": [], "after": []}
    for k in range(args.rounds):
        for name in ("before", "after") if k % 2 else ("after", "before"):
            runs[name].append(child(args.before if name == "before" else here))
        print(f"round {k + 1} of {args.rounds}", flush=True)
    same = {key: runs["before"][0]["digests"][key] == value for key, value in runs["after"][0]["digests"].items()}
    rates = {
        name: statistics.median(b["seconds"][name] / a["seconds"][name] for b, a in zip(*runs.values(), strict=True))
        for name in runs["after"][0]["seconds"]
    }
    for key, equal in same.items():
        print(f"{key:<32} {'same bits' if equal else 'DIFFERENT'}")
    for name, ratio in rates.items():
        print(f"{name:<32} {ratio:.3f} times as fast as before")
    if args.json:
        report = {"rounds": args.rounds, "same_bits": same, "rate_after_over_before": rates}
        args.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0 if all(same.values()) else 1


def child(checkout: Path) -> dict[str, Any]:
    """Run this script in the other version, whose folder comes first on the path."""
    env = {**os.environ, "PYTHONPATH": str(checkout.resolve()), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(Path(__file__).resolve()), "--child"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, cwd=checkout)
    if done.returncode:
        raise SystemExit(
            f"{checkout}: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else done.returncode}"
        )
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def digests() -> dict[str, str]:
    """Digests of environments and trainings, which two versions share if they compute the same."""
    import numpy as np
    from stable_baselines3 import PPO, SAC

    import eqrl
    from eqrl.agents import EquivariantPolicy, EquivariantSACPolicy

    table = {}
    for task in TASKS:
        env = eqrl.make_vec(
            task, 6, seed=3, n_threads=1, scene_rotation=[0, 37, 0, 90, 0, 0], goal_rotation=[0, 0, 120, 0, 5, 0]
        )
        env.action_space.seed(0)
        digest = hashlib.sha256(_bytes(env.reset()))
        for _ in range(300):
            observation, reward, done, _ = env.step(np.stack([env.action_space.sample() for _ in range(6)]))
            digest.update(_bytes(observation) + reward.tobytes() + done.tobytes())
        table[f"300 steps of {task}"] = digest.hexdigest()
    ppo = PPO(EquivariantPolicy, eqrl.make_vec(TASKS[0], 8, seed=0, n_threads=1), n_steps=64, batch_size=128, seed=0)
    table["2,000 steps of PPO"] = _parameters(ppo.learn(2000))
    sac = SAC(EquivariantSACPolicy, eqrl.make_vec(TASKS[2], 4, seed=0, n_threads=1), learning_starts=200, seed=0)
    table["2,000 steps of SAC"] = _parameters(sac.learn(2000))
    return table


def seconds() -> dict[str, float]:
    """Processor seconds of the same work in every version."""
    import gymnasium
    import numpy as np
    from stable_baselines3 import PPO, SAC

    import eqrl
    from eqrl.agents import EquivariantPolicy, EquivariantSACPolicy

    spent = {}
    for task in TASKS:
        env = eqrl.make_vec(task, 64, seed=0, n_threads=1)
        env.action_space.seed(0)
        env.reset()
        actions = [np.stack([env.action_space.sample() for _ in range(64)]) for _ in range(20)]
        spent[f"64 x {task}"] = _timed(
            lambda env=env, actions=actions, n=STEPS[task]: [env.step(actions[k % 20]) for k in range(n)]
        )
        single = gymnasium.make(task)
        single.reset(seed=0)
        spent[f"1 x {task}"] = _timed(lambda env=single, actions=actions, n=4 * STEPS[task]: _play(env, actions, n))
    for network in ("vector", "regular"):
        options = {"policy_kwargs": {"network": network}, "seed": 0}
        ppo = PPO(
            EquivariantPolicy, eqrl.make_vec(TASKS[0], 64, seed=0, n_threads=1), n_steps=32, batch_size=1024, **options
        )
        spent[f"PPO {network}"] = _timed(lambda model=ppo: model.learn(3 * 2048))
        sac = SAC(EquivariantSACPolicy, eqrl.make_vec(TASKS[2], 4, seed=0, n_threads=1), learning_starts=100, **options)
        spent[f"SAC {network}"] = _timed(lambda model=sac: model.learn(1400))
    return spent


def _play(env: Any, actions: list[Any], steps: int) -> None:
    for k in range(steps):
        *_, terminated, truncated, _ = env.step(actions[k % len(actions)][0])
        if terminated or truncated:
            env.reset()


def _timed(work: Any) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def _bytes(observation: Any) -> bytes:
    parts = [observation[key] for key in sorted(observation)] if isinstance(observation, dict) else [observation]
    return b"".join(part.tobytes() for part in parts)


def _parameters(model: Any) -> str:
    digest = hashlib.sha256()
    for name, value in sorted(model.policy.state_dict().items()):
        digest.update(name.encode() + value.cpu().numpy().tobytes())
    return digest.hexdigest()


if __name__ == "__main__":
    raise SystemExit(main())
