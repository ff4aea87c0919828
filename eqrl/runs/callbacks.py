"""Callbacks of a run: evaluation, measured equivariance, checkpoints and a clean stop."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecEnv

from eqrl.checkpoint.training import restore_randomness
from eqrl.checkpoint.values import set_generator
from eqrl.evaluation.protocol import equivariance_error, play, typed
from eqrl.files.atomic import write_whole
from eqrl.runs.fleets import rows_of_members
from eqrl.runs.interrupt import StopOnSignal, StoppedBySignal
from eqrl.runs.logs import table_text
from eqrl.symmetry import TRIVIAL, Group, representation_of

Watch = Callable[[Sequence[Mapping[str, float]]], None]
_EVALUATION_SEED = 20_000
RETRY_SECONDS = 10.0  # delay after a checkpoint that could not be written


class Every(BaseCallback):
    """Calls :meth:`act` at a fixed interval of environment steps, counted from step 0 of the run.

    Args:
        steps: environment steps between two calls; 0 for never.
    """

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps
        self._next = steps

    def _on_training_start(self) -> None:
        if self.steps:  # a resumed run keeps the schedule of the first one
            self._next = (self.model.num_timesteps // self.steps + 1) * self.steps

    def _on_step(self) -> bool:
        if self.steps and self.num_timesteps >= self._next:
            self._next = (self.num_timesteps // self.steps + 1) * self.steps
            self.act()
        return True

    def act(self) -> None:
        """The action; subclasses implement it."""
        raise NotImplementedError


class Evaluate(Every):
    """Plays the same episodes in every evaluation, logs ``eval/``, writes ``evaluations.csv`` and keeps the best model.

    Each member of a fleet has additional columns. A model is better if it succeeds more often, or equally often with a
    higher return. The random numbers of the training are not used.

    Args:
        env: environments for evaluation, one for each episode.
        steps: environment steps between evaluations.
        table: the CSV file.
        keep_best: called with the row of an evaluation that is better than all before.
        clock: returns the seconds of training so far.
        watch: called after each evaluation with the rows of all so far; what it raises ends the training.
    """

    def __init__(
        self,
        env: VecEnv,
        steps: int,
        table: Path,
        keep_best: Callable[[Mapping[str, float]], None],
        clock: Callable[[], float],
        watch: Watch | None = None,
    ) -> None:
        super().__init__(steps)
        self.env = env
        self.watch = watch
        self.table = table
        self.keep_best = keep_best
        self.clock = clock
        self.rows: list[dict[str, float]] = []

    def state_dict(self) -> dict[str, Any]:
        """The evaluations so far, for checkpoints."""
        return {"rows": self.rows}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore :meth:`state_dict`; later rows are removed from the file, because the run writes them again."""
        self.rows = [{str(name): float(value) for name, value in row.items()} for row in state["rows"]]
        self.write_table()

    def act(self) -> None:
        """Evaluate once."""
        members = rows_of_members(self.env)
        episodes = np.arange(self.env.num_envs)
        for rows in members.values():  # every member of a fleet plays the same episodes
            episodes[rows] = np.arange(len(rows))
        seeds = (_EVALUATION_SEED + episodes).tolist()
        played = play(self.model, self.env, seeds)
        success = float("nan") if played.successes is None else float(played.successes.mean())
        row = {
            "timesteps": self.num_timesteps,
            "mean_reward": float(played.returns.mean()),
            "std_reward": float(played.returns.std()),
            "success_rate": success,
            "mean_ep_length": float(played.lengths.mean()),
            "seconds": self.clock(),
        }
        for name in ("mean_reward", "mean_ep_length"):
            self.logger.record(f"eval/{name}", row[name])
        if played.successes is not None:
            self.logger.record("eval/success_rate", success)
        for name, rows in members.items():
            row[f"mean_reward/{name}"] = float(played.returns[rows].mean())
            self.logger.record(f"eval/mean_reward/{name}", row[f"mean_reward/{name}"])
            if played.successes is not None:
                row[f"success_rate/{name}"] = float(played.successes[rows].mean())
                self.logger.record(f"eval/success_rate/{name}", row[f"success_rate/{name}"])
        self.logger.record("time/total_timesteps", self.num_timesteps, exclude="tensorboard")
        self.logger.dump(self.num_timesteps)
        best = all(_score(row) > _score(earlier) for earlier in self.rows)
        self.rows.append(row)
        self.write_table()
        if best:
            self.keep_best(row)
        if self.watch:
            self.watch(self.rows)

    def write_table(self) -> None:
        """Write the CSV file."""
        if not self.rows:
            self.table.unlink(missing_ok=True)
            return
        rows = [{**row, "timesteps": int(row["timesteps"])} for row in self.rows]
        try:
            write_whole(self.table, table_text(list(rows[0]), rows))
        except OSError as error:  # the rows stay in memory and are written with the next evaluation
            warnings.warn(f"{self.table} cannot be written ({error.strerror}); the training goes on", stacklevel=2)


class Equivariance(BaseCallback):
    """Measures, at most once a rollout, how well the deployed policy keeps the symmetry.

    Logs the relative error of ``model.predict`` on current observations as ``equivariance/predict_error``. The group
    elements are random ones of the policy's group, or of the environment's world symmetry if the policy has no group.

    Args:
        steps: minimum number of environment steps between two measurements.
        samples: group elements per measurement.
    """

    def __init__(self, steps: int, samples: int = 4) -> None:
        super().__init__()
        self.steps = steps
        self.samples = samples
        self._next = 0
        self._rng = np.random.default_rng(0)

    def state_dict(self) -> dict[str, Any]:
        """When the next measurement is due, and the random numbers, for checkpoints."""
        return {"next": self._next, "random": self._rng}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore :meth:`state_dict`."""
        self._next = int(state["next"])
        set_generator(self._rng, state["random"])

    def _on_rollout_end(self) -> None:
        if self.num_timesteps < self._next or not (
            typed(self.model.observation_space) and typed(self.model.action_space)
        ):
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


class Checkpoints(BaseCallback):
    """Saves and restores the whole training at the start of a rollout, and leaves ``learn`` there after a signal.

    Args:
        steps: environment steps between checkpoints; 0 for only the first one.
        save: writes a checkpoint.
        stop: records signals.
        randomness: random numbers of the checkpoint that the run continues from, or None for a new run.
        say: prints a line.
    """

    def __init__(
        self,
        steps: int,
        save: Callable[[], None],
        stop: StopOnSignal,
        randomness: Mapping[str, Any] | None,
        say: Callable[[str], None],
    ) -> None:
        super().__init__()
        self.steps = steps
        self.save = save
        self.stop = stop
        self.say = say
        self._randomness = randomness
        self._next = 0
        self._again = 0.0

    def _on_training_start(self) -> None:
        if self._randomness is not None:
            self._plan()

    def _on_rollout_start(self) -> None:
        if self._randomness is not None:
            # only here, because SB3 draws random numbers before the first rollout too
            restore_randomness(self.model, self._randomness)
            self._randomness = None
        if self.stop.stopped:
            raise StoppedBySignal
        if self.num_timesteps >= self._next and time.monotonic() >= self._again:
            self._try()

    def _on_step(self) -> bool:
        return True

    def _try(self) -> None:
        try:
            self.save()
        except OSError as error:
            self._again = time.monotonic() + RETRY_SECONDS
            self.say(
                f"[yellow]warning[/]  no checkpoint at {self.num_timesteps:,} steps: {error.strerror or error}; older"
                f" ones are intact, the training goes on and tries again in {RETRY_SECONDS:g} s"
            )
        else:
            self._plan()

    def _plan(self) -> None:
        self._next = (self.num_timesteps // self.steps + 1) * self.steps if self.steps else sys.maxsize


def symmetry_of(model: Any) -> Group:
    """The group of a policy; without one, the symmetry about gravity that its environment declares."""
    group = getattr(model.policy, "group", TRIVIAL)
    if isinstance(group, Group) and group != TRIVIAL:
        return group
    return representation_of(model.observation_space).group.world_part().about_gravity()


def _score(row: Mapping[str, float]) -> tuple[float, float]:
    return (0.0 if np.isnan(row["success_rate"]) else row["success_rate"], row["mean_reward"])
