"""What a soft prior costs in PPO's update: processor time with it, relative to the same network without.

    python scripts/benchmark_priors.py                                   # results/priors.json
    python scripts/benchmark_priors.py --priors symmetry_loss --pairs 5  # some of it, printed only

Updates with and without the prior take turns in one process with one thread, so that other work on the machine
disturbs both alike, and the median of the ratios is reported. ``constrained_augmentation`` is measured twice: idle, as
long as its constraints hold, and active, with a term in the loss.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import CallbackList

import eqrl
from eqrl.agents import make_prior
from eqrl.versions import versions_text

PRIORS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "regulariser": ("regulariser", {}),
    "symmetry_loss": ("symmetry_loss", {}),
    "constrained_augmentation, idle": ("constrained_augmentation", {"dual_step": 0.0}),
    "constrained_augmentation, active": ("constrained_augmentation", {"dual_step": 0.0, "strength": 1.0}),
}
TARGETS = {"regulariser": 1.3, "symmetry_loss": 1.5, "constrained_augmentation": 1.6}
HIDDEN = ((64, 64), (256, 256))


def main() -> None:
    """Measure, print, and write the file if everything has been measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--priors", nargs="+", choices=PRIORS, default=list(PRIORS), metavar="PRIOR")
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--pairs", type=int, default=15, help="pairs of updates")
    parser.add_argument("--out", type=Path, default=Path("results/priors.json"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for hidden in HIDDEN:
        plain = _model(hidden, options.batch_size)
        for label in options.priors:
            name, arguments = PRIORS[label]
            model = _model(hidden, options.batch_size, label)
            pairs = [(_update(plain), _update(model)) for _ in range(options.pairs)]
            ratios = sorted(b / a for a, b in pairs)
            quarter = len(ratios) // 4
            rows.append(
                {
                    "prior": label,
                    "options": arguments,
                    "hidden": list(hidden),
                    "milliseconds_without": round(1e3 * statistics.median(a for a, _ in pairs), 2),
                    "ratio": round(statistics.median(ratios), 3),
                    "middle_half": [round(ratios[quarter], 3), round(ratios[-1 - quarter], 3)],
                    "target": TARGETS[name],
                }
            )
            print(f"{label:<34} {hidden!s:<12} {rows[-1]['ratio']:.2f}  {rows[-1]['middle_half']}", flush=True)
    if options.priors == list(PRIORS):
        described = {
            "environment": "eqrl/AntTarget-v0",
            "policy": "MlpPolicy of PPO",
            "batch_size": options.batch_size,
            "pairs": options.pairs,
            "gradient_steps_an_update": _STEPS,
            "machine": platform.processor() or platform.machine(),
            "versions": versions_text(),
        }
        options.out.write_text(json.dumps({**described, "rows": rows}, indent=1) + "\n", encoding="utf-8")


_STEPS = 10  # as eqrl's preset of this environment has


def _model(hidden: tuple[int, ...], batch_size: int, label: str | None = None) -> PPO:
    """PPO whose rollout buffer is full."""
    n_envs = 8
    model = PPO(
        "MlpPolicy",
        eqrl.make_vec("eqrl/AntTarget-v0", n_envs, n_threads=1),
        n_steps=2 * batch_size // n_envs,
        batch_size=batch_size,
        n_epochs=_STEPS // 2,  # of two minibatches each
        device="cpu",
        seed=0,
        policy_kwargs={"net_arch": list(hidden)},
    )
    if label is not None:
        name, arguments = PRIORS[label]
        make_prior(name, **arguments).attach(model)
    model._setup_learn(1_000_000, None)
    callback = CallbackList([])
    callback.init_callback(model)
    assert model.env is not None
    model.collect_rollouts(model.env, callback, model.rollout_buffer, model.n_steps)
    model.train()  # what happens once only
    return model


def _update(model: PPO) -> float:
    """Seconds of processor time of an update."""
    start = time.process_time()
    model.train()
    return time.process_time() - start


if __name__ == "__main__":
    main()
