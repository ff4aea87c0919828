"""Soft symmetry: priors that pull ordinary networks of SB3's algorithms towards a symmetry, and know when to let go."""

from eqrl.agents.soft.algorithm import WithPriors, priors_of
from eqrl.agents.soft.augmentation import Augmentation
from eqrl.agents.soft.constrained import ConstrainedAugmentation
from eqrl.agents.soft.distil import Distil
from eqrl.agents.soft.gated import TaughtGate
from eqrl.agents.soft.mirror_loss import MirrorLoss
from eqrl.agents.soft.orbit_advantage import OrbitAdvantage
from eqrl.agents.soft.prior import AlreadyExactWarning, SymmetryPrior
from eqrl.agents.soft.registry import PRIORS, WithoutPriorWarning, make_prior, remark_missing_prior
from eqrl.agents.soft.regulariser import Regulariser
from eqrl.agents.soft.residual import ResidualPathway
from eqrl.agents.soft.symmetry_loss import SymmetryLoss
from eqrl.agents.soft.thresholded import Thresholded

__all__ = [
    "PRIORS",
    "AlreadyExactWarning",
    "Augmentation",
    "ConstrainedAugmentation",
    "Distil",
    "MirrorLoss",
    "OrbitAdvantage",
    "Regulariser",
    "ResidualPathway",
    "SymmetryLoss",
    "SymmetryPrior",
    "TaughtGate",
    "Thresholded",
    "WithPriors",
    "WithoutPriorWarning",
    "make_prior",
    "priors_of",
    "remark_missing_prior",
]
