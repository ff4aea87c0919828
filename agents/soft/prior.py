"""What a soft symmetry prior is: a term in the loss, or a change of the samples, with a strength that may adapt."""

from __future__ import annotations

import math
import warnings
from numbers import Integral, Real
from typing import ClassVar, TypeVar

from stable_baselines3.common.base_class import BaseAlgorithm

from eqrl.agents.networks import GroupChoice
from eqrl.agents.orbit import Orbit
from eqrl.agents.rewriting import refuse_rewritten
from eqrl.agents.soft.algorithm import add_prior
from eqrl.agents.soft.hooks import Hooks
from eqrl.agents.symmetric_policy import SymmetricPolicy

Algorithm = TypeVar("Algorithm", bound=BaseAlgorithm)


class AlreadyExactWarning(UserWarning):
    """A prior was attached to a policy that cannot break the symmetry anyway."""


class SymmetryPrior(Hooks):
    """Base of all priors. ``Prior(...).attach(model)`` is all that a user writes.

    A subclass overrides the hooks that it needs.

    Args:
        group: a subgroup of the environment's group, by name or as a ``Group``; None means the whole group.
        strength: weight of the term, at least 0.

    Raises:
        ValueError: for a strength that is negative or not finite.
    """

    network: ClassVar[str | None] = None  # the network that the prior needs; None for any
    algorithms: ClassVar[tuple[type[BaseAlgorithm], ...]] = (BaseAlgorithm,)  # those that it is made for

    def __init__(self, group: GroupChoice | None = None, strength: float = 1.0) -> None:
        self.group = group
        self.strength = weight("strength", strength)

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

    def idle_on(self, policy: SymmetricPolicy) -> bool:
        """Whether an exact policy leaves nothing to do."""
        return self.orbit.group.is_subgroup_of(policy.group)


def weight(name: str, value: float) -> float:
    """A finite number of at least 0.

    Raises:
        ValueError: naming the argument.
    """
    if isinstance(value, bool) or not isinstance(value, Real) or not (value >= 0.0 and math.isfinite(value)):
        raise ValueError(f"{name}={value!r} is not a weight; give a finite number of at least 0")
    return float(value)


def gradient_steps(name: str, value: int) -> int:
    """A number of gradient steps, at least 1.

    Raises:
        ValueError: naming the argument.
    """
    return whole_number(name, value, "a number of gradient steps")


def whole_number(name: str, value: int, what: str, least: int = 1) -> int:
    """A whole number of at least ``least``.

    Raises:
        ValueError: naming the argument, and what it is.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise ValueError(f"{name}={value!r} is not {what}; give a whole number of at least {least}")
    return int(value)
