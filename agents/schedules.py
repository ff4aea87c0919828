"""Callbacks for stock PPO: a learning rate that adapts to the KL divergence, and a schedule of the exploration noise.

Neither keeps state of its own: the learning rate is the optimiser's, and the noise follows from the progress. A
training that is resumed from a checkpoint therefore continues to the bit.
"""

from __future__ import annotations

import math

import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.type_aliases import Schedule
from stable_baselines3.common.utils import FloatSchedule
from torch import nn

_KL = "train/approx_kl"


class KLAdaptiveLR(BaseCallback):
    """Adapts PPO's learning rate so that an update changes the policy by about ``desired_kl``.

    Before each update, the rate is divided by ``factor`` if the KL divergence of the last update was above twice the
    desired one, and multiplied by it if the divergence was below half of it. This is the adaptive schedule of rsl_rl
    (Rudin et al., arXiv 2109.11978), once a rollout. The divergence is the ``train/approx_kl`` that
    Stable-Baselines3 logs, a mean over the last epoch of the update::

        PPO("MlpPolicy", env, learning_rate=5e-4).learn(1_000_000, callback=KLAdaptiveLR())

    ``learning_rate`` of the model is the first rate, and later the current one, a plain number that ``model.save``
    stores. In a list with :class:`~eqrl.checkpoint.SaveTraining`, the order of the two does not matter.

    Args:
        desired_kl: KL divergence of an update, in nats.
        min_lr: lower bound of the learning rate.
        max_lr: upper bound of the learning rate.
        factor: factor of one adaptation, above 1.

    Raises:
        ValueError: for impossible numbers; at the start of a training, for an algorithm other than PPO and its
            relatives, and for a model whose learning rate follows a schedule already.
    """

    def __init__(
        self, desired_kl: float = 0.015, min_lr: float = 1e-5, max_lr: float = 1e-2, factor: float = 1.5
    ) -> None:
        super().__init__()
        if not desired_kl > 0.0:
            raise ValueError(f"desired_kl={desired_kl} must be positive; 0.01 to 0.02 is usual")
        if not (0.0 < min_lr <= max_lr and factor > 1.0):
            raise ValueError(
                f"min_lr={min_lr}, max_lr={max_lr} and factor={factor} are not possible; give 0 < min_lr <= max_lr and"
                " a factor above 1"
            )
        self.desired_kl = desired_kl
        self.min_lr = min_lr
        self.max_lr = max_lr
        self.factor = factor
        self._adapted = False

    def _on_training_start(self) -> None:
        if not hasattr(self.model, "clip_range"):
            raise ValueError(
                f"KLAdaptiveLR needs the KL divergence that PPO logs, and {type(self.model).__name__} logs none; leave"
                " the callback out"
            )
        if callable(self.model.learning_rate):
            raise ValueError(
                "KLAdaptiveLR changes the learning rate, which follows a schedule already; give the algorithm a number,"
                " learning_rate=5e-4 for instance"
            )

    def _on_rollout_start(self) -> None:
        self._adapted = False
        self._adapt()

    def _on_step(self) -> bool:
        if not self._adapted:  # SaveTraining restores logged values at the start of a rollout, perhaps after this one
            self._adapt()
        return True

    def _adapt(self) -> None:
        # the rate of the last update, also in a model that was loaded
        rate = float(self.model.policy.optimizer.param_groups[0]["lr"])
        kl = self.logger.name_to_value.get(_KL)
        if kl is not None:
            self._adapted = True
            if kl > 2.0 * self.desired_kl:
                rate = max(rate / self.factor, self.min_lr)
            elif kl < 0.5 * self.desired_kl:
                rate = min(rate * self.factor, self.max_lr)
        self.model.learning_rate = rate
        self.model._setup_lr_schedule()


class StdSchedule(BaseCallback):
    """Sets the standard deviation of the actions of PPO or A2C by a schedule, at the start of every rollout.

    All widths are the same then. Without the schedule they are parameters that the policy gradient changes::

        PPO("MlpPolicy", env).learn(1_000_000, callback=StdSchedule(LinearSchedule(0.6, 0.3, end_fraction=0.5)))

    Where an action is squashed into its ball, this is the width before the squash.

    Args:
        schedule: standard deviation as a function of the remaining progress, from 1 to 0, such as Stable-Baselines3's
            ``LinearSchedule``; or a constant.

    Raises:
        ValueError: at the start of a training, for a policy whose standard deviation is not a parameter; in it, if the
            schedule returns a number that is not positive.
    """

    def __init__(self, schedule: Schedule | float) -> None:
        super().__init__()
        self.schedule = FloatSchedule(schedule)

    def _on_training_start(self) -> None:
        log_std = getattr(self.model.policy, "log_std", None)
        if not isinstance(log_std, nn.Parameter) or self.model.use_sde:
            raise ValueError(
                f"StdSchedule sets the standard deviation of the actions, and that of {type(self.model).__name__} is no"
                " parameter of the policy here; take PPO or A2C with continuous actions and use_sde=False"
            )
        self._log_std = log_std

    def _on_rollout_start(self) -> None:
        remaining = 1.0 - self.model.num_timesteps / self.model._total_timesteps
        std = self.schedule(max(remaining, 0.0))
        if not std > 0.0:
            raise ValueError(f"the schedule of the standard deviation returned {std}, which must be positive")
        with torch.no_grad():
            self._log_std.fill_(math.log(std))

    def _on_step(self) -> bool:
        return True
