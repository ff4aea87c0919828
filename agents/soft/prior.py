"""What a soft symmetry prior is: a term in the loss, or a change of the samples, with a strength that may adapt."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any, ClassVar, TypeVar

import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from torch import Tensor

from eqrl.agents.networks import GroupChoice
from eqrl.agents.orbit import Orbit
from eqrl.agents.rewriting import refuse_rewritten
from eqrl.agents.soft.algorithm import add_prior
from eqrl.agents.symmetric_policy import SymmetricPolicy

Algorithm = TypeVar("Algorithm", bound=BaseAlgorithm)
Function = Callable[..., Any]


class AlreadyExactWarning(UserWarning):
    """A prior was attached to a policy that cannot break the symmetry anyway."""


class SymmetryPrior:
    """Base of all priors. ``Prior(...).attach(model)`` is all that a user writes.

    A subclass overrides what it needs of ``bind``, ``before_learning``, ``policy_term``, ``value_term``, ``samples``,
    ``before_update``, ``after_step``, ``after_update``, ``contexts`` and ``state``. Terms are added to the loss of
    SB3's ``train`` with their weights.
    What adapts is kept in ``state``, which checkpoints restore to the bit.

    Args:
        group: a subgroup of the environment's group, by name or as a ``Group``; None means the whole group.
        strength: weight of the term, at least 0.

    Raises:
        ValueError: for a strength that is negative or not finite.
    """

    name: ClassVar[str]
    network: ClassVar[str | None] = None  # the network that the prior needs; None for any
    algorithms: ClassVar[tuple[type[BaseAlgorithm], ...]] = (BaseAlgorithm,)  # those that it is made for

    def __init__(self, group: GroupChoice | None = None, strength: float = 1.0) -> None:
        self.group = group
        self.strength = weight("strength", strength)
        self.model: BaseAlgorithm | None = None

    def attach(self, model: Algorithm) -> Algorithm:
        """Add the prior to an algorithm of Stable-Baselines3, which is returned.

        The algorithm stays an instance of its class. Its ``save`` leaves priors out: after ``load``, attach them again.

        Raises:
            UntypedSpaceError: if a space is not typed.
            BreaksSymmetryError: if observations are normalised outside the policy, or the group does not keep the box
                of actions.
            ValueError: for a group that the environment does not declare, an algorithm that the prior is not made for,
                or if the prior is attached already.
        """
        if self.model is not None:
            raise ValueError(f"prior {self.name!r} is attached to a model already; make a new one")
        if not isinstance(model, self.algorithms):
            known = " and ".join(algorithm.__name__ for algorithm in self.algorithms)
            raise ValueError(
                f"prior {self.name!r} works with {known}, not with {type(model).__name__}; choose another prior or"
                " algorithm"
            )
        if model.env is not None:
            refuse_rewritten(model.env)
        self.orbit = Orbit(model.observation_space, model.action_space, self.group)
        self.bind(model)
        if isinstance(model.policy, SymmetricPolicy) and self.idle_on(model.policy):
            warnings.warn(
                f"prior {self.name!r} has nothing to do: network {model.policy.networks.network!r} is exact for"
                f" {model.policy.group}, which holds {self.orbit.group}",
                AlreadyExactWarning,
                stacklevel=2,
            )
        self.model = model
        add_prior(model, self)
        return model

    # ------------------------------------------------------------------ what members override
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

    def idle_on(self, policy: SymmetricPolicy) -> bool:
        """Whether an exact policy leaves nothing to do."""
        return self.orbit.group.is_subgroup_of(policy.group)

    # ------------------------------------------------------------------ what members use
    def record(self, key: str, value: float) -> None:
        """Log ``symmetry/NAME/KEY``: the mean of what is recorded until the next row of the log."""
        assert self.model is not None
        self.model.logger.record_mean(f"symmetry/{self.name}/{key}", float(value))

    def record_each(self, key: str, value: float) -> None:
        """The same for one of several things of a kind, whose names are too long for the table on the screen."""
        assert self.model is not None
        self.model.logger.record_mean(f"symmetry/{self.name}/{key}", float(value), exclude="stdout")


def weight(name: str, value: float) -> float:
    """A finite number of at least 0.

    Raises:
        ValueError: naming the argument.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not (value >= 0.0 and math.isfinite(value)):
        raise ValueError(f"{name}={value!r} is not a weight; give a finite number of at least 0")
    return float(value)
