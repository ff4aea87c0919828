"""The guard: a callback that checks every number and stops the training at the first that is not finite."""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from eqrl.checkpoint.parameters import optimizers_of
from eqrl.guards.bundle import Bundle
from eqrl.guards.data import finite, first_bad
from eqrl.guards.diagnosis import bad_observation, diagnose
from eqrl.guards.errors import Finding, Kind, TrainingDiverged
from eqrl.guards.evidence import batch_of, physics_of, seeds_of
from eqrl.guards.parameters import Gradients, all_finite, bad_parameter, named_numbers
from eqrl.guards.randomness import Randomness
from eqrl.guards.scene import scene_of

# Off-policy rollouts are one step long. Every update checks the gradients, which show bad parameters; this interval is
# for a parameter that a step made infinite without an effect on any gradient.
_UPDATES_BETWEEN_LOOKS = 64


class Guard(BaseCallback):
    """Stops a training at the first number that is not finite, and reports its origin.

    It checks observations, rewards and actions in every step; gradients before they are used, so that the parameters
    stay finite; parameters and running statistics; and logged losses. It explains diverged physics and errors of
    PyTorch's distributions in the same way. It is also a context manager, because some errors are raised outside
    callbacks::

        with Guard(env_id, folder, last_good) as guard:
            model.learn(steps, callback=[guard, ...])

    A guard does not change the training: it draws no random numbers and writes no parameters.

    Args:
        env_id: name of the environment, for the message.
        folder: run folder, in which ``failure_<steps>/`` is written.
        last_good: returns the name of the last good checkpoint; called only when needed.

    Attributes:
        divergences: number of episodes that ended because their physics diverged; logged as ``env/divergences``.

    Raises:
        TrainingDiverged: in ``__exit__``, with the diagnosis.
    """

    def __init__(self, env_id: str, folder: Path, last_good: Callable[[], str]) -> None:
        super().__init__()
        self.env_id = env_id
        self.folder = folder
        self.last_good = last_good
        self.divergences = 0
        self._hooks: list[RemovableHandle] = []
        self._randomness: Randomness | None = None
        self._seen: Any = None
        self._updates = -_UPDATES_BETWEEN_LOOKS

    # ------------------------------------------------------------------ around learn()
    def __enter__(self) -> Guard:
        """Do nothing: the model is known only in ``learn``."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the hooks, and raise the diagnosis of an error."""
        self._disarm()
        if isinstance(value, Exception) and (explained := self.explain(value)) is not None:
            raise explained from None

    def explain(self, error: Exception) -> TrainingDiverged | None:
        """Diagnose an error that ``learn`` raised and write the bundle.

        Args:
            error: the error, with its traceback.

        Returns:
            The error to raise instead, or None if the error is not about numbers.
        """
        if isinstance(error, TrainingDiverged) and error.explained:
            return error
        if getattr(self, "model", None) is None:  # it was raised before learn() began
            return None
        scene, steps = scene_of(error, self.model), self.model.num_timesteps
        bundle = Bundle(parameters=dict(named_numbers(self.model)))
        finding = diagnose(error, self.model, scene, self.env_id, self._randomness)
        if finding is None:
            return None
        path, trouble = None, ""
        try:
            env = self.model.get_env()
            bundle.batch = batch_of(self.model, scene, error, self._randomness)
            bundle.state = {} if env is None else physics_of(env, error)
            bundle.record = {
                "message": finding.text,
                "cause": finding.kind,
                "name": finding.name,
                "member": finding.member,
                "advice": finding.advice,
                "environment": self.env_id,
                "algorithm": type(self.model).__name__,
                "steps": steps,
                "updates": self.model._n_updates,
                "losses": {name: str(value) for name, value in scene.losses.items()},
                "last_good": self.last_good(),
                "divergences": self.divergences,
                **seeds_of(self.model),
                "traceback": traceback.format_exception(error),
            }
            path = bundle.write(self.folder, steps)
        except Exception as second:  # a full disk must not hide the failure itself
            trouble = str(second) or type(second).__name__
        return TrainingDiverged(finding, steps, self.last_good(), path, trouble, explained=True)

    def check(self) -> None:
        """Check all parameters and running statistics now, for instance before they are saved.

        Raises:
            TrainingDiverged: naming the first that is not finite.
        """
        numbers = named_numbers(self.model)
        if not all_finite(list(numbers.values())) and (finding := bad_parameter(numbers.items())) is not None:
            raise self._stopped(finding)

    def state_dict(self) -> dict[str, Any]:
        """The number of divergences, for checkpoints."""
        return {"divergences": self.divergences}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore :meth:`state_dict`."""
        self.divergences = int(state["divergences"])

    # ------------------------------------------------------------------ what SB3 calls
    def _on_training_start(self) -> None:
        self._disarm()
        for optimizer in optimizers_of(self.model).values():
            self._hooks.append(optimizer.register_step_pre_hook(partial(self._before_step, Gradients(optimizer))))

    def _on_training_end(self) -> None:
        self._disarm()
        self.check()

    def _on_rollout_start(self) -> None:
        if isinstance(self.model, OnPolicyAlgorithm) or self.model._n_updates - self._updates >= _UPDATES_BETWEEN_LOOKS:
            self._updates = self.model._n_updates
            self.check()
        for name, value in self.logger.name_to_value.items():
            # explained_variance is NaN by definition where returns do not vary
            if name.startswith("train/") and "variance" not in name and not math.isfinite(value):
                raise self._stopped(Finding("loss", f"{name} is {value}", name))
        last = self.model._last_obs
        if last is not self._seen:
            self._check_observation(last)

    def _on_step(self) -> bool:
        values = self.locals
        # the action first, because a bad one spoils the rest
        self._check_rows("action", values["actions"])
        normaliser = self.model.get_vec_normalize_env()
        # the original reward: clipping would hide an infinite one, and the statistics it spoils would blame every
        # member
        self._check_rows("reward", values["rewards"] if normaliser is None else normaliser.get_original_reward())
        self._check_observation(values["new_obs"])
        self._seen = values["new_obs"]
        for i in np.flatnonzero(values["dones"]).tolist():
            info = values["infos"][i]
            # new_obs does not hold the last observation of an episode, from which PPO bootstraps
            if (last := info.get("terminal_observation")) is not None:
                self._check_observation(last, i)
            self.divergences += bool(info.get("diverged"))
        return True

    def _on_rollout_end(self) -> None:
        self._randomness = Randomness.now(self.model.device)
        if self.divergences:
            self.logger.record("env/divergences", self.divergences)

    # ------------------------------------------------------------------ checks
    def _before_step(self, gradients: Gradients, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        if not gradients.finite():
            raise self._stopped(Finding("gradient", "a gradient is not finite"))

    def _check_observation(self, values: Any, member: int | None = None) -> None:
        if finite(values):
            return
        if member is not None:
            values = {k: v[None] for k, v in values.items()} if isinstance(values, dict) else values[None]
        if (finding := bad_observation(self.model, self.env_id, values, member)) is not None:
            raise self._stopped(finding)

    def _check_rows(self, kind: Kind, values: Any) -> None:
        if finite(values):
            return
        if (bad := first_bad(values)) is not None:
            what = "the policy gave" if kind == "action" else f"environment {self.env_id} returned"
            text = f"{what} {bad.value} in its {kind} (member {bad.row})"
            raise self._stopped(Finding(kind, text, member=bad.row))

    def _stopped(self, finding: Finding) -> TrainingDiverged:
        return TrainingDiverged(finding, self.model.num_timesteps, self.last_good())

    def _disarm(self) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks = []
