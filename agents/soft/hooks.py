"""What a prior may do in the training of an algorithm: the hooks, all empty."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any, ClassVar

import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from torch import Tensor

Function = Callable[..., Any]


class Hooks:
    """What an algorithm calls of its priors. Members override what they need.

    Terms are added to the loss of SB3's ``train`` with their weights. What adapts is kept in ``state``, which
    checkpoints restore to the bit.
    """

    name: ClassVar[str]
    model: BaseAlgorithm | None = None

    def bind(self, model: BaseAlgorithm) -> None:
        """Prepare for a model; ``self.orbit`` is there already, ``self.model`` is not."""

    def prepare(self, load: Callable[[str], BaseAlgorithm]) -> None:
        """Called once before the training of a run begins.

        Args:
            load: loads the model of a run, for options that name one.

        Raises:
            ValueError: if something does not fit, before any work is lost.
        """

    def before_learning(self) -> None:
        """Called at the beginning of each ``learn``, before the environment is reset."""

    def policy_term(self, mean: Function, observations: Any) -> Tensor | None:
        """Term of the policy's loss, with its weight; called in each gradient step of the policy.

        Args:
            mean: most likely actions of observations, shape ``(B, action_dim)``.
            observations: the minibatch.
        """
        return None

    def value_term(self, value: Function, observations: Any, actions: Tensor | None = None) -> Tensor | None:
        """Term of the critic's loss, with its weight; called in each gradient step of the critic.

        Args:
            value: ``V(s)``, shape ``(B, 1)``; or ``Q(s, a)``, for several critics a tuple.
            observations: the minibatch.
            actions: those of the minibatch, for Q-functions.
        """
        return None

    def samples(self, samples: Any) -> Any:
        """What the algorithm learns from in place of a minibatch."""
        return samples

    def see(self, drawn: Any, learnt: Any) -> None:
        """Look at each minibatch, after the priors have changed it.

        Args:
            drawn: what the buffer gave.
            learnt: what the algorithm learns from.
        """

    def before_update(self) -> None:
        """Called before each ``train`` of the algorithm; PPO's rollout buffer is full then."""

    def after_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Called after each step of an optimizer of the policy."""

    def after_update(self) -> None:
        """Called after each ``train`` of the algorithm."""

    def contexts(self) -> Iterable[AbstractContextManager[Any]]:
        """Contexts in which the algorithm's ``train`` runs."""
        return ()

    def state(self) -> dict[str, Any]:
        """Everything that changes in training, as numbers, strings, NumPy arrays, and lists and dicts of them."""
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from what :meth:`state` returned; the prior is attached already.

        Raises:
            LookupError, TypeError, ValueError: if it does not fit.
        """

    def record(self, key: str, value: float) -> None:
        """Log ``symmetry/NAME/KEY``: the mean of what is recorded until the next row of the log."""
        assert self.model is not None
        self.model.logger.record_mean(f"symmetry/{self.name}/{key}", float(value))

    def record_each(self, key: str, value: float) -> None:
        """The same for one of several things of a kind, whose names are too long for the table on the screen."""
        assert self.model is not None
        self.model.logger.record_mean(f"symmetry/{self.name}/{key}", float(value), exclude="stdout")
