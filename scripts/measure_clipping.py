"""The share of an augmented rollout that PPO clips before its first gradient step, and its effect on learning.

Turned samples keep the log-probability under which they were drawn (``reuse``) or get the policy's at the turned sample
(``recompute``); see ``eqrl.agents.rollout_buffers``. For both, ``eqrl.agents.first_ratios`` measures the fraction of
importance ratios outside
``1 +- clip_range`` at the start of every update. Without augmentation (``-``), a turned copy of the rollout is measured
but not trained on.

    python scripts/measure_clipping.py [--env eqrl/AntTarget-v0] [-n 150000] [--seed 0]
"""

from __future__ import annotations

import argparse
from copy import copy
from typing import Any

import numpy as np
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback

import eqrl
from eqrl import EquivariantPolicy
from eqrl.agents import SymmetricDictRolloutBuffer, SymmetricRolloutBuffer, first_ratios, preset
from eqrl.threads import ShareCores

ARRAYS = ("observations", "actions", "values", "log_probs", "advantages", "returns")


class Clipped(BaseCallback):
    """Measures the ratios of every rollout just before its update.

    Args:
        turned: a buffer to turn a copy of the rollout in, if the model's own buffer does not turn.
    """

    def __init__(self, turned: SymmetricRolloutBuffer | None = None) -> None:
        super().__init__()
        self.turned = turned
        self.outside: list[float] = []
        self.median: list[float] = []

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        assert isinstance(self.model, PPO)
        original = self.model.rollout_buffer
        if self.turned is not None:
            self.turned.reset()
            for name in ARRAYS:
                # a copy, because drawing minibatches reorders the buffer
                setattr(self.turned, name, copy(getattr(original, name)))
            self.turned.full = True
            self.model.rollout_buffer = self.turned
        ratios = first_ratios(self.model)
        self.model.rollout_buffer = original
        self.outside.append(float(np.mean(np.abs(ratios - 1.0) > 0.2)))
        self.median.append(float(np.median(ratios)))


def measure(env_id: str, policy: str, log_prob: str | None, steps: int, seed: int) -> str:
    """Train once, and return a row of the table."""
    env = eqrl.make_vec(env_id, 64, seed=seed, **preset("ppo", env_id).get("env_kwargs", {}))
    is_dict = hasattr(env.observation_space, "spaces")
    options: dict[str, Any] = {}
    buffer_class = SymmetricDictRolloutBuffer if is_dict else SymmetricRolloutBuffer
    if log_prob:
        options["rollout_buffer_class"] = buffer_class
        options["rollout_buffer_kwargs"] = {"log_prob": log_prob, "group": "SO2"}
    chosen: Any = (
        EquivariantPolicy if policy == "EquivariantPolicy" else ("MultiInputPolicy" if is_dict else "MlpPolicy")
    )
    width = {"network_kwargs": {"hidden": (128, 128)}} if chosen is EquivariantPolicy else {"net_arch": [128, 128]}
    model = PPO(
        chosen,
        env,
        n_steps=32,
        batch_size=1024,
        n_epochs=5,
        learning_rate=1e-3,
        gamma=0.98,
        policy_kwargs={**width, "log_std_init": -0.5},
        seed=seed,
        device="cpu",
        **options,
    )
    if log_prob == "recompute":
        model.rollout_buffer.bind(model.policy)
    spaces = env.observation_space, env.action_space
    clipped = Clipped(None if log_prob else buffer_class(32, *spaces, "cpu", n_envs=64, group="SO2"))
    model.learn(steps, callback=[ShareCores(), clipped])
    at = [round(f * (len(clipped.outside) - 1)) for f in (0.0, 0.1, 0.5, 1.0)]
    shares = " | ".join(f"{100 * clipped.outside[i]:.0f} %" for i in at)
    success = np.mean(model.ep_success_buffer) if model.ep_success_buffer else float("nan")
    returns = np.mean([episode["r"] for episode in model.ep_info_buffer or ()])
    env.close()
    return f"| {policy} | {log_prob or '-'} | {shares} | {clipped.median[-1]:.2f} | {returns:.1f} | {success:.2f} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--env", default="eqrl/AntTarget-v0")
    parser.add_argument("-n", "--n-timesteps", type=int, default=150_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    print(
        "| policy | log-probabilities | outside at start | after 10 % | after half | at the end | median | return |"
        " success |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for policy, log_prob in (
        ("MlpPolicy", None),
        ("MlpPolicy", "reuse"),
        ("MlpPolicy", "recompute"),
        ("EquivariantPolicy", "reuse"),
    ):
        print(measure(given.env, policy, log_prob, given.n_timesteps, given.seed), flush=True)


if __name__ == "__main__":
    main()
