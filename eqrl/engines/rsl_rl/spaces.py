"""How a model of rsl_rl learns how its observations and actions turn.

rsl_rl hands a model tensors and a table of options, but no spaces. They therefore travel with the first observations of
:class:`~eqrl.engines.rsl_rl.TypedVecEnv`, or a function that the configuration names returns them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium
from gymnasium import spaces
from rsl_rl.utils import resolve_callable

from eqrl.agents.options import representation_in
from eqrl.errors import UsageError
from eqrl.symmetry import TypedBox, UntypedSpaceError

# rsl_rl's name for the only group of observations
POLICY = "policy"
SpacesOption = str | Callable[[], tuple[gymnasium.Space[Any], gymnasium.Space[Any]]]


@dataclass(frozen=True)
class TypedSpaces:
    """How the groups of observations of an environment turn, and its actions.

    Attributes:
        groups: the space of each group of observations.
        action: space of the actions.
    """

    groups: Mapping[str, TypedBox]
    action: TypedBox

    @classmethod
    def of(cls, observation: gymnasium.Space[Any], action: gymnasium.Space[Any]) -> TypedSpaces:
        """Read the spaces of an environment; a box is the group ``"policy"``, a dict has a group for each entry.

        Raises:
            UntypedSpaceError: if a space is not typed.
        """
        representation_in(observation, "observation")
        representation_in(action, "action")
        if not isinstance(action, TypedBox):
            raise UntypedSpaceError(f"the action space is a {type(action).__name__}; rsl_rl needs a TypedBox")
        groups = observation.spaces if isinstance(observation, spaces.Dict) else {POLICY: observation}
        return cls({name: space for name, space in groups.items() if isinstance(space, TypedBox)}, action)

    @classmethod
    def find(cls, observations: Any, option: SpacesOption | None) -> TypedSpaces:
        """The spaces that a model's configuration names, or else those that its observations carry.

        Args:
            observations: rsl_rl's ``TensorDict``.
            option: the option ``spaces`` of the model.

        Raises:
            UntypedSpaceError: if there are none, or they are not typed.
            UsageError: if the option does not return two spaces.
        """
        if option is None:
            carried = getattr(observations, "typed_spaces", None)
            if not isinstance(carried, TypedSpaces):
                raise UntypedSpaceError(
                    "EquivariantModel: the observations do not say how they turn; make the environment with"
                    " eqrl.engines.rsl_rl.TypedVecEnv, or name a function that returns typed spaces in the model's"
                    " configuration: 'spaces': 'my_robot:spaces'"
                )
            return carried
        given = resolve_callable(option)()
        if not isinstance(given, tuple) or len(given) != 2:
            raise UsageError(f"spaces={option!r} returned {given!r}; return (observation space, action space)")
        return cls.of(*given)

    def attach(self, observations: Any) -> Any:
        """The observations, which carry the spaces from now on; their copies do not."""
        observations.typed_spaces = self
        return observations

    def observed(self, groups: Sequence[str], sizes: Sequence[int]) -> TypedBox | spaces.Dict:
        """The space of some groups of observations: a box for one, a dict for several.

        Args:
            groups: names.
            sizes: number of entries that each group has.

        Raises:
            UsageError: naming the group that is not typed, or is of another size.
        """
        for group, size in zip(groups, sizes, strict=True):
            if group not in self.groups:
                raise UsageError(
                    f"observation group {group!r} has no typed space, the typed ones are {sorted(self.groups)}; change"
                    " obs_groups, or add its space"
                )
            if self.groups[group].representation.dim != size:
                raise UsageError(
                    f"observation group {group!r} has {size} entries, but its typed space has"
                    f" {self.groups[group].representation.dim}"
                )
        if len(groups) == 1:
            return self.groups[groups[0]]
        return spaces.Dict([(group, self.groups[group]) for group in groups])
