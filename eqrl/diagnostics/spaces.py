"""How the observations and actions of a model turn."""

from __future__ import annotations

from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from torch import Tensor

from eqrl.proof.check_policy import transform_observation
from eqrl.symmetry import Element, Group, representation_of


class Spaces:
    """Typed spaces of a model. Unlike :class:`eqrl.agents.orbit.Orbit` they take any element, decoys included.

    Args:
        model: the model.

    Raises:
        UntypedSpaceError: if a space does not say how it turns.
    """

    def __init__(self, model: BaseAlgorithm) -> None:
        self._observation_space = model.observation_space
        self.observation = representation_of(model.observation_space)
        self.action = representation_of(model.action_space)

    @property
    def group(self) -> Group:
        """What the observation space declares."""
        return self.observation.group

    def observations(self, observations: Any, g: Element) -> Any:
        """``g s`` for a batch, or a dict of batches."""
        return transform_observation(self._observation_space, observations, g)

    def actions(self, actions: Tensor, g: Element) -> Tensor:
        """``g a``, in either unit, for ``(B, A)``."""
        return self.action.transform(actions, g)
