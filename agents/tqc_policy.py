"""The policy for sb3-contrib's TQC: SAC's actor, and Q-functions that return invariant quantiles."""

from __future__ import annotations

from typing import Any

import gymnasium
from gymnasium import spaces
from stable_baselines3.common.type_aliases import PyTorchObs, Schedule
from torch import Tensor

from eqrl.agents.critic import EquivariantCritic
from eqrl.agents.features import TypedFeatures
from eqrl.agents.networks import Networks
from eqrl.agents.sac_policy import EquivariantSACPolicy


class EquivariantQuantileCritic(EquivariantCritic):
    """Invariant quantiles of the return.

    Args:
        observation_space: typed observation space.
        action_space: ``TypedBox`` with finite bounds.
        networks: choice of backbones.
        features_extractor: extractor, perhaps shared with the actor.
        n_critics: number of Q-functions.
        n_quantiles: number of quantiles of each Q-function.
    """

    def __init__(
        self,
        observation_space: gymnasium.Space[Any],
        action_space: spaces.Box,
        networks: Networks,
        features_extractor: TypedFeatures,
        n_critics: int = 2,
        n_quantiles: int = 25,
    ) -> None:
        super().__init__(observation_space, action_space, networks, features_extractor, n_critics, outputs=n_quantiles)
        self.n_critics = n_critics
        self.n_quantiles = n_quantiles
        self.quantiles_total = n_critics * n_quantiles

    def forward(self, obs: PyTorchObs, actions: Tensor) -> Tensor:  # type: ignore[override]
        """Quantiles of all Q-functions, shape ``(B, n_critics, n_quantiles)``.

        Args:
            obs: batch of observations.
            actions: actions in units of their bounds, shape ``(B, action_dim)``.
        """
        return self.values(obs, actions).transpose(0, 1)


class EquivariantTQCPolicy(EquivariantSACPolicy):
    """Drop-in policy: ``TQC(EquivariantTQCPolicy, env)`` with sb3-contrib, also with ``HerReplayBuffer``.

    It has the properties of :class:`EquivariantSACPolicy`, and every quantile of the return is invariant
    (truncated quantile critics: Kuznetsov et al., 2020).

    Args:
        observation_space: ``TypedBox``, or ``Dict`` of them.
        action_space: ``TypedBox`` with finite bounds.
        lr_schedule: learning rate as a function of the remaining progress.
        n_quantiles: number of quantiles of each Q-function.
        options: arguments of :class:`EquivariantSACPolicy`.

    Raises:
        UntypedSpaceError: if a space is not typed.
        BreaksSymmetryError: for ``use_sde``, an action box that the group does not map to itself, or unequal groups.
        ValueError: for an unknown backbone or group, or a group that the environment does not declare.
    """

    def __init__(
        self,
        observation_space: gymnasium.Space[Any],
        action_space: spaces.Box,
        lr_schedule: Schedule,
        *,
        n_quantiles: int = 25,
        **options: Any,
    ) -> None:
        self.n_quantiles = n_quantiles
        super().__init__(observation_space, action_space, lr_schedule, **options)

    def make_critic(  # type: ignore[override]
        self, features_extractor: TypedFeatures | None = None
    ) -> EquivariantQuantileCritic:
        """Create the Q-functions; called by the base class."""
        return EquivariantQuantileCritic(
            self.observation_space,
            self.action_space,
            self.networks,
            features_extractor or self._make_extractor(),
            n_critics=self._constructor_options["n_critics"],
            n_quantiles=self.n_quantiles,
        ).to(self.device)

    def _get_constructor_parameters(self) -> dict[str, Any]:
        return {**super()._get_constructor_parameters(), "n_quantiles": self.n_quantiles}
