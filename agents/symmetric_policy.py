"""What the policies of all algorithms share."""

from __future__ import annotations

from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import Schedule

from eqrl.agents.critic import EquivariantCritic
from eqrl.agents.describe import describe
from eqrl.agents.features import TypedFeatures
from eqrl.agents.networks import Networks
from eqrl.symmetry import Group

# options of PyTorch's Adam that say how it computes, not what
_KERNELS = {"fused", "foreach", "capturable", "differentiable"}


class SymmetricPolicy(BasePolicy):
    """A policy that knows its group; mixed in before SB3's policy class.

    Attributes:
        networks: choice of backbones.
    """

    networks: Networks
    optimizer_class: type[torch.optim.Optimizer]
    optimizer_kwargs: dict[str, Any]
    _own_parameters: dict[str, Any]

    @property
    def group(self) -> Group:
        """The group with which the whole policy commutes."""
        return self.networks.group

    def describe(self) -> str:
        """Fields, group, networks and number of parameters, as text."""
        return describe(self, self.networks)

    def _get_constructor_parameters(self) -> dict[str, Any]:
        """Everything that ``load`` needs; SB3's own list forgets ``share_features_extractor``."""
        return {
            "observation_space": self.observation_space,
            "action_space": self.action_space,
            "lr_schedule": self._dummy_schedule,
            "optimizer_class": self.optimizer_class,
            "optimizer_kwargs": self.optimizer_kwargs,
            **self._own_parameters,
        }

    def _choose_kernel(self) -> None:
        """Let Adam take its step in one pass over all parameters, unless the user chose otherwise; before it is built."""
        if self.optimizer_class in (torch.optim.Adam, torch.optim.AdamW) and not _KERNELS & set(self.optimizer_kwargs):
            self.optimizer_kwargs = {**self.optimizer_kwargs, "fused": True}


class OffPolicyMixin(SymmetricPolicy):
    """What SAC and TD3 share besides: invariant Q-functions."""

    action_space: spaces.Box

    def _build(self, lr_schedule: Schedule) -> None:
        """Create networks and optimizers; called by the base class."""
        self._choose_kernel()
        super()._build(lr_schedule)  # type: ignore[misc]

    def make_critic(self, features_extractor: TypedFeatures | None = None) -> EquivariantCritic:
        """Create the Q-functions; called by the base class."""
        return EquivariantCritic(
            self.observation_space,
            self.action_space,
            self.networks,
            features_extractor or self._make_extractor(),
            n_critics=self._own_parameters["n_critics"],
        ).to(self.device)

    def _make_extractor(self) -> TypedFeatures:
        extractor = self.make_features_extractor()
        assert isinstance(extractor, TypedFeatures)
        return extractor
