"""Algorithms with a mirror loss from their constructor on: the baseline that is fitted to a symmetry by its loss."""

from __future__ import annotations

from typing import Any

from stable_baselines3 import PPO, SAC, TD3

from eqrl.agents.networks import GroupChoice
from eqrl.agents.soft.algorithm import WithPriors
from eqrl.agents.soft.mirror_loss import MirrorLoss
from eqrl.agents.soft.prior import weight


class WithMirrorLoss(WithPriors):
    """Mixin for algorithms with a mirror loss. It precedes SB3's class, or a similar one such as TQC, among the bases.

    The same as ``MirrorLoss(...).attach(model)``, with arguments that SB3's ``save`` stores.

    Args:
        args: arguments of SB3's class.
        mirror_coef: weight of the loss of the policy.
        mirror_value_coef: weight of the loss of the value or the Q-functions.
        mirror_group: a subgroup of the environment's group, by name or as a ``Group``; None means the whole group.
        kwargs: arguments of SB3's class.

    Raises:
        UntypedSpaceError: if a space is not typed.
        BreaksSymmetryError: if observations are normalised outside the policy, or the group does not keep the box of
            actions.
        ValueError: for a negative weight, or a group that the environment does not declare.
    """

    def __init__(
        self,
        *args: Any,
        mirror_coef: float = 1.0,
        mirror_value_coef: float = 0.0,
        mirror_group: GroupChoice | None = None,
        **kwargs: Any,
    ) -> None:
        self.mirror_coef = weight("mirror_coef", mirror_coef)
        self.mirror_value_coef = weight("mirror_value_coef", mirror_value_coef)
        self.mirror_group = mirror_group
        super().__init__(*args, **kwargs)

    def _setup_model(self) -> None:
        super()._setup_model()  # type: ignore[safe-super]
        self.priors = ()  # ``load`` makes a model without its constructor
        MirrorLoss(self.mirror_group, self.mirror_coef, self.mirror_value_coef).attach(self)


class MirrorLossPPO(WithMirrorLoss, PPO):
    """``MirrorLossPPO("MlpPolicy", env, mirror_coef=1.0)``: PPO with a mirror loss, see :class:`WithMirrorLoss`."""


class MirrorLossSAC(WithMirrorLoss, SAC):
    """``MirrorLossSAC("MlpPolicy", env, mirror_coef=1.0)``: SAC with a mirror loss, see :class:`WithMirrorLoss`."""


class MirrorLossTD3(WithMirrorLoss, TD3):
    """``MirrorLossTD3("MlpPolicy", env, mirror_coef=1.0)``: TD3 with a mirror loss, see :class:`WithMirrorLoss`."""
