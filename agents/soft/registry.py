"""Priors by name, for the command line. A new prior is one file and one line here."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm

from eqrl.agents.soft.algorithm import priors_of
from eqrl.agents.soft.augmentation import Augmentation
from eqrl.agents.soft.constrained import ConstrainedAugmentation
from eqrl.agents.soft.distil import Distil
from eqrl.agents.soft.gated import TaughtGate
from eqrl.agents.soft.mirror_loss import MirrorLoss
from eqrl.agents.soft.orbit_advantage import OrbitAdvantage
from eqrl.agents.soft.prior import SymmetryPrior
from eqrl.agents.soft.regulariser import Regulariser
from eqrl.agents.soft.residual import ResidualPathway
from eqrl.agents.soft.symmetry_loss import SymmetryLoss
from eqrl.agents.soft.thresholded import Thresholded
from eqrl.agents.symmetric_policy import SymmetricPolicy
from eqrl.errors import suggestion

PRIORS: Mapping[str, type[SymmetryPrior]] = {
    prior.name: prior
    for prior in (
        MirrorLoss,
        Augmentation,
        Regulariser,
        SymmetryLoss,
        ResidualPathway,
        Thresholded,
        TaughtGate,
        ConstrainedAugmentation,
        Distil,
        OrbitAdvantage,
    )
}


class WithoutPriorWarning(UserWarning):
    """A network has a free pathway that waits for a prior, and none is attached."""


def make_prior(name: str, **options: Any) -> SymmetryPrior:
    """A prior by its name.

    Args:
        name: a key of ``PRIORS``.
        options: its arguments.

    Raises:
        ValueError: for an unknown name or option, naming the closest one, or a value that does not fit.
    """
    if name not in PRIORS:
        raise ValueError(f"unknown prior {name!r}; {suggestion(name, PRIORS)}")
    known = set(inspect.signature(PRIORS[name].__init__).parameters) - {"self"}
    for option in options:
        if option not in known:
            raise ValueError(f"prior {name!r} has no option {option!r}; {suggestion(option, known)}")
    return PRIORS[name](**options)


def remark_missing_prior(model: BaseAlgorithm) -> None:
    """Warn of networks with a free pathway that nothing teaches, because no prior that is made for them is attached."""
    policy = model.policy
    if not isinstance(policy, SymmetricPolicy):
        return
    attached = {prior.network for prior in priors_of(model) if isinstance(prior, SymmetryPrior)}
    for network in sorted({policy.networks.network, policy.networks.critic_network} - attached):
        if names := [name for name, prior in PRIORS.items() if prior.network == network]:
            warnings.warn(
                f"network {network!r} has a free pathway, and no prior says how much it may break the symmetry; add"
                f" --prior {' or '.join(names)}",
                WithoutPriorWarning,
                stacklevel=3,
            )
