"""A number that is not finite, planted in a real training: it stops within one update and names the origin."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback

from eqrl.commands import main as command
from eqrl.envs.core.simulation import Simulation
from eqrl.envs.forms.sb3 import TaskVecEnv
from faults.children import in_child
from faults.jobs import Job, off_policy, ppo
from faults.kills import runs_in
from faults.watch import Watch

_EXIT_CODE = 3
_FROM = 600  # environment steps


def guard_jobs() -> list[Job]:
    """One on-policy and one off-policy, on legs that can fall apart."""
    return [
        ppo("ppo", "eqrl/AntTarget-v0"),
        off_policy("sac", "sac", "eqrl/AntTarget-v0"),
        off_policy("td3", "td3", "eqrl/AntTarget-v0"),
    ]


def run(work: Path, seed: int, *, quick: bool) -> dict[str, Any]:
    """Plant numbers everywhere.

    Args:
        work: an empty folder.
        seed: not used, nothing here is random.
        quick: PPO only.
    """
    begun = time.monotonic()
    watch, failures = Watch(), []
    tried: dict[str, int] = {}
    for number, job in enumerate(guard_jobs()[: 1 if quick else None]):
        for cause, plant in PLANTS.items():
            tried[cause] = tried.get(cause, 0) + 1
            wrong = _stopped(job, cause, plant, work / f"{cause}_{number}", watch)
            if wrong is not None:
                failures.append(f"{job.name}, {cause}: {wrong}")
                print(f"FAILED {failures[-1]}", flush=True)
    return {"tried": tried, "failures": failures, "seconds": round(time.monotonic() - begun, 1)}


def _stopped(job: Job, cause: str, plant: Callable[[Watch], None], folder: Path, watch: Watch) -> str | None:
    output, errors = folder.with_suffix(".txt"), folder.with_suffix(".err")

    def train() -> int:
        watch.install()
        plant(watch)
        return command(job.command(folder))

    watch.clear()
    code = in_child(train, output, kill_after=120.0, errors=errors)
    said = errors.read_text()
    lines = [line for line in said.splitlines() if line.startswith("eqrl: error: ")]
    if code != _EXIT_CODE or len(lines) != 1 or "Traceback" in said:
        return f"exit code {code}: {said[-300:]}"
    if cause not in lines[0]:
        return f"the cause is not named: {lines[0][:300]}"
    update = job.longest_loss - job.number("--save-freq")
    if not _FROM <= watch.steps <= _FROM + 2 * update:
        return f"stopped only after {watch.steps} steps"
    run = runs_in(folder)[0]
    if len(list(run.glob("failure_*/failure.json"))) != 1:
        return "there is no bundle"
    again = in_child(lambda: command(["train", "--resume", str(run), "--no-progress"]), output)
    return f"it cannot go on: exit code {again}" if again else None


def _reward(watch: Watch) -> None:
    step = TaskVecEnv.step_wait

    def spoilt(env: TaskVecEnv) -> Any:
        observation, reward, done, infos = step(env)
        if watch.steps >= _FROM and watch.phase == "training":
            reward[0] = np.nan
        return observation, reward, done, infos

    TaskVecEnv.step_wait = spoilt  # type: ignore[method-assign]


def _observation(watch: Watch) -> None:
    step = TaskVecEnv.step_wait

    def spoilt(env: TaskVecEnv) -> Any:
        observation, *rest = step(env)
        if watch.steps >= _FROM and watch.phase == "training":
            (next(iter(observation.values())) if isinstance(observation, dict) else observation)[0, 0] = np.inf
        return observation, *rest

    TaskVecEnv.step_wait = spoilt  # type: ignore[method-assign]


def _physics(watch: Watch) -> None:
    step = Simulation.step

    def spoilt(simulation: Simulation, action: Any) -> Any:
        if watch.steps >= _FROM and watch.phase == "training":
            state = simulation.get_state()
            state.qvel[0] = 1e12
            simulation.set_state(state)
        return step(simulation, action)

    Simulation.step = spoilt  # type: ignore[method-assign]


def _parameter(watch: Watch) -> None:
    def spoil(model: Any) -> None:
        with torch.no_grad():
            next(iter(model.policy.parameters())).view(-1)[0] = torch.nan

    _once(watch, spoil)


def _gradient(watch: Watch) -> None:
    _once(
        watch,
        lambda model: [p.register_hook(lambda g: g * torch.nan) for p in model.policy.parameters() if p.requires_grad][
            :0
        ],
    )


def _once(watch: Watch, act: Callable[[Any], Any]) -> None:
    """At the end of a rollout."""
    end, done = BaseCallback.on_rollout_end, []

    def then(callback: BaseCallback) -> None:
        if watch.steps >= _FROM and not done:
            done.append(True)
            act(callback.model)
        end(callback)

    BaseCallback.on_rollout_end = then  # type: ignore[method-assign]


PLANTS: dict[str, Callable[[Watch], None]] = {
    "reward": _reward,
    "observation": _observation,
    "parameter": _parameter,
    "gradient": _gradient,
    "physics": _physics,
}
