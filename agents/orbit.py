"""Transformation of transitions by group elements, for the baselines that learn a symmetry from transformed data."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from eqrl.agents.errors import BreaksSymmetryError
from eqrl.agents.networks import GroupChoice
from eqrl.agents.options import representation_in
from eqrl.errors import suggestion
from eqrl.nn import Padding
from eqrl.proof.check_policy import transform_observation
from eqrl.symmetry import GROUPS, Element, Group, finite_group
from eqrl.symmetry.bounds import check_box
from eqrl.symmetry.group import canonical

Observations = Any  # a tensor of shape (B, dim), or a dict of them


class Orbit:
    """The action of a group on the observations and actions of an environment.

    Actions may be in the units of the environment or, as SAC and TD3 store them, scaled to [-1, 1]: the group has to
    map the box of actions to itself, and then the scaling commutes with the group.

    Args:
        observation_space: a ``TypedBox``, or a ``Dict`` of them.
        action_space: a ``TypedBox``.
        group: a subgroup of the environment's group, by name or as a ``Group``; None means the whole group.

    Raises:
        UntypedSpaceError: if a space is not typed.
        BreaksSymmetryError: if the group does not keep the box of actions, or the two spaces declare different groups.
        ValueError: if the group is unknown, trivial, or not a subgroup of the environment's group.
    """

    def __init__(
        self,
        observation_space: gymnasium.Space[Any],
        action_space: gymnasium.Space[Any],
        group: GroupChoice | None = None,
    ) -> None:
        observation = representation_in(observation_space, "observation")
        self._action = representation_in(action_space, "action")
        if observation.group != self._action.group:
            raise BreaksSymmetryError(
                f"observations turn with group {observation.group} and actions with {self._action.group}; "
                "give both representations the same group, Representation(fields, group=...)"
            )
        self.group = _resolved_group(group, observation.group)
        assert isinstance(action_space, spaces.Box)  # representation_in accepts no other action space
        check_box(action_space, self._action, self.group)
        self._observation_space = observation_space
        self._padding = Padding.of(self._action, observation)

    def draw(self, *batch: int) -> Element:
        """Uniform elements of a batch shape, from NumPy's global generator, which SB3's buffers use too."""
        return self.group.sample(*batch, rng=int(np.random.randint(2**31)))

    def observations(self, observations: Observations, g: Element) -> Observations:
        """``g s`` for a batch of observations.

        Args:
            observations: tensor of shape ``(B, dim)``, or a dict of such tensors.
            g: elements of batch shape ``()`` or ``(B,)``.
        """
        return transform_observation(self._observation_space, observations, g)

    def actions(self, actions: Tensor, g: Element) -> Tensor:
        """``g a`` for a batch of actions of shape ``(B, action_dim)``."""
        return self._action.transform(actions, g)

    def valid(self, observations: Observations) -> Tensor | None:
        """Entries of the actions that are not padding, shape ``(B, action_dim)``, bool; None if nothing is masked."""
        if self._padding is None:
            return None
        if isinstance(observations, dict):
            observations = torch.cat([observations[key] for key in sorted(observations)], dim=-1)
        return self._padding.to(observations.device).valid(observations)


def parts_of(group: Group) -> tuple[Group, ...]:
    """The connected part of a group, and the group that each of its generators generates, under its name."""
    connected = [] if group.connected == "1" else [canonical(group.connected, ())]
    return (*connected, *(finite_group(generator.name, [generator]) for generator in group.finite))


def _resolved_group(choice: GroupChoice | None, declared: Group) -> Group:
    if choice is None:
        choice = declared
    elif isinstance(choice, str):
        known = {**GROUPS, **{part.name: part for part in parts_of(declared)}, declared.name: declared}
        if choice not in known:
            fitting = [name for name, group in known.items() if group.generators and group.is_subgroup_of(declared)]
            raise ValueError(
                f"unknown group {choice!r}; {suggestion(choice, fitting)} A Group object does as well, or None for all"
                " that the environment declares"
            )
        choice = known[choice]
    elif not isinstance(choice, Group):
        raise ValueError(f"group={choice!r} is neither the name of a group nor a Group")
    if not choice.is_subgroup_of(declared):
        raise ValueError(f"group {choice} is not a subgroup of {declared}, which the environment declares")
    if not choice.generators:
        raise ValueError(f"group {choice} is trivial, so there is nothing to turn; the environment declares {declared}")
    return choice
