"""What happens beside the training: evaluation, measured equivariance, checkpoints, a guard against NaN, a clean stop."""

from __future__ import annotations

import csv
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecEnv

from eqrl.checkpoint import save_checkpoint
from eqrl.errors import UsageError
from eqrl.protocol import equivariance_error, play, typed
from eqrl.run_folder import RunFolder
from eqrl.symmetry import TRIVIAL, Group, representation_of

_EVALUATION_SEED = 20_000


class Every(BaseCallback):
    """Does something every so many environment steps, counted from step 0 of the run.

    Args:
        steps: environment steps between two calls of :meth:`act`; 0 for never.
    """

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps
        self._next = steps

    def _on_training_start(self) -> None:
        if self.steps:  # a resumed run keeps the rhythm of the first one
            self._next = (self.model.num_timesteps // self.steps + 1) * self.steps

    def _on_step(self) -> bool:
        if self.steps and self.num_timesteps >= self._next:
            self._next = (self.num_timesteps // self.steps + 1) * self.steps
            self.act()
        return True

    def act(self) -> None:
        """What to do."""
        raise NotImplementedError


class Evaluate(Every):
    """Play the same episodes again and again, log ``eval/``, write ``evaluations.csv`` and keep the best model.

    Better means more successes, and among equals a higher return. Nothing of the training's random numbers is used.

    Args:
        env: environments for evaluation, one for each episode.
        steps: environment steps between evaluations.
        folder: where to write.
    """

    def __init__(self, env: VecEnv, steps: int, folder: RunFolder) -> None:
        super().__init__(steps)
        self.env = env
        self.folder = folder
        self.table = folder.path / "evaluations.csv"
        rows = _rows(self.table)
        self.best = max((_score(float(r["success_rate"]), float(r["mean_reward"])) for r in rows), default=(-np.inf, -np.inf))
        # wall-clock goes on where the stretch before an interruption ended
        self._clock = time.monotonic() - (float(rows[-1]["seconds"]) if rows else 0.0)

    def act(self) -> None:
        """Evaluate once."""
        seeds = [_EVALUATION_SEED + i for i in range(self.env.num_envs)]
        played = play(self.model, self.env, seeds)
        success = float("nan") if played.successes is None else float(played.successes.mean())
        row = {
            "timesteps": self.num_timesteps,
            "mean_reward": float(played.returns.mean()),
            "std_reward": float(played.returns.std()),
            "success_rate": success,
            "mean_ep_length": float(played.lengths.mean()),
            "seconds": time.monotonic() - self._clock,
        }
        for name in ("mean_reward", "mean_ep_length"):
            self.logger.record(f"eval/{name}", row[name])
        if played.successes is not None:
            self.logger.record("eval/success_rate", success)
        self.logger.record("time/total_timesteps", self.num_timesteps, exclude="tensorboard")
        self.logger.dump(self.num_timesteps)
        new = not self.table.exists()
        with self.table.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, row)
            if new:
                writer.writeheader()
            writer.writerow(row)
        score = _score(success, row["mean_reward"])
        if score > self.best:
            self.best = score
            save_checkpoint(self.model, self.folder.best, {"evaluation": row})


class Equivariance(BaseCallback):
    """Measure, once a rollout (and at most every so many steps), how well the deployed policy keeps the symmetry.

    Logs the relative error of ``model.predict`` on current observations, under generic elements of the policy's group (of the
    environment's world symmetry, if the policy has none), as ``equivariance/predict_error``.

    Args:
        steps: least number of environment steps between two measurements.
        samples: group elements a measurement.
    """

    def __init__(self, steps: int, samples: int = 4) -> None:
        super().__init__()
        self.steps = steps
        self.samples = samples
        self._next = 0
        self._rng = np.random.default_rng(0)

    def _on_rollout_end(self) -> None:
        if self.num_timesteps < self._next or not (typed(self.model.observation_space) and typed(self.model.action_space)):
            return
        self._next = self.num_timesteps + self.steps
        group = symmetry_of(self.model)
        if group == TRIVIAL:
            return
        observation: Any = self.model._last_obs
        errors = [equivariance_error(self.model, observation, group.sample(rng=self._rng)) for _ in range(self.samples)]
        self.logger.record("equivariance/predict_error", max(errors))

    def _on_step(self) -> bool:
        return True


class Checkpoints(Every):
    """Save ``model/last.safetensors``, and numbered checkpoints that are kept.

    Args:
        steps: environment steps between numbered checkpoints; 0 for none.
        folder: where to save.
    """

    def __init__(self, steps: int, folder: RunFolder) -> None:
        super().__init__(steps)
        self.folder = folder

    def _on_training_start(self) -> None:
        super()._on_training_start()
        if not self.folder.last.exists():  # so that a run that fails early still is a run that can be opened
            save_checkpoint(self.model, self.folder.last)

    def act(self) -> None:
        """Save once."""
        refuse_nan_parameters(self.model, self.folder.last, self.num_timesteps)
        save_checkpoint(self.model, self.folder.step(self.num_timesteps))
        save_checkpoint(self.model, self.folder.last)


class NanGuard(BaseCallback):
    """Stop at the first number that is not finite, in what the environment returns or in the losses.

    Args:
        env_id: name of the environment, for the message.
        last: last good checkpoint, for the message.
    """

    def __init__(self, env_id: str, last: Path) -> None:
        super().__init__()
        self.env_id = env_id
        self.last = last

    def _on_rollout_start(self) -> None:
        for name, value in self.logger.name_to_value.items():
            # explained_variance is NaN by definition where returns do not vary
            if name.startswith("train/") and "variance" not in name and not np.isfinite(value):
                raise UsageError(
                    f"{name} is {value} after {self.num_timesteps} steps, the training diverged; lower learning_rate or "
                    f"max_grad_norm and train again (last good model: {self.last})"
                )
        self._check("observation", self.model._last_obs)

    def _on_step(self) -> bool:
        self._check("reward", self.locals["rewards"])
        self._check("observation", self.locals["new_obs"])
        for i in np.flatnonzero(self.locals["dones"]):
            # the last observation of an episode is not in new_obs, but PPO bootstraps from it
            self._check("observation", self.locals["infos"][i].get("terminal_observation", 0.0), member=int(i))
        return True

    def _check(self, what: str, values: Any, member: int | None = None) -> None:
        for key, array in values.items() if isinstance(values, dict) else (("", values),):
            if not np.isfinite(np.sum(array)):  # the sum of finite numbers this small is finite, and one pass is cheap
                self._complain(what, key, np.asarray(array), member)

    def _complain(self, what: str, key: str, array: NDArray[Any], member: int | None) -> None:
        bad = np.argwhere(~np.isfinite(array))
        if not len(bad):
            return
        where = f" {key!r}" if key else ""
        if what == "observation":
            space: Any = self.model.observation_space[key] if key else self.model.observation_space  # type: ignore[index]
            fields = getattr(space, "representation", None)
            if fields is not None:
                where += f" field {next(n for n, s in fields.slices.items() if s.start <= bad[0][-1] < s.stop)!r}"
        raise UsageError(
            f"environment {self.env_id} returned {array[tuple(bad[0])]} in its {what}{where} (member {bad[0][0] if member is None else member}, after "
            f"{self.num_timesteps} steps); repair the environment or make its physics milder "
            f"(last good model: {self.last})"
        )


def symmetry_of(model: Any) -> Group:
    """The group that a policy keeps; for a policy without one, what its environment declares about gravity."""
    group = getattr(model.policy, "group", TRIVIAL)
    if isinstance(group, Group) and group != TRIVIAL:
        return group
    return representation_of(model.observation_space).group.world_part().about_gravity()


def refuse_nan_parameters(model: Any, last: Path, steps: int) -> None:
    """Stop where the training has diverged.

    Raises:
        UsageError: naming the first parameter that is not finite, and the last good model.
    """
    for name, parameter in model.policy.named_parameters():
        if not bool(torch.isfinite(parameter).all()):
            raise UsageError(
                f"parameter {name} is not finite after {steps} steps, the training diverged; lower learning_rate and "
                f"train again (last good model: {last})"
            )


def _score(success: float, mean_reward: float) -> tuple[float, float]:
    return (0.0 if np.isnan(success) else success, mean_reward)


def _rows(table: Path) -> list[dict[str, str]]:
    if not table.exists():
        return []
    with table.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))
