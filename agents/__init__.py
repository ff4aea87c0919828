"""Equivariant policies for Stable-Baselines3, and baselines that learn the symmetry from data instead."""

from eqrl.agents.augmentation import RandomRotation
from eqrl.agents.errors import BreaksSymmetryError
from eqrl.agents.mirror_loss import MirrorLossPPO, MirrorLossSAC, MirrorLossTD3, WithMirrorLoss
from eqrl.agents.noise import BallNoise
from eqrl.agents.orbit_starts import OrbitStarts
from eqrl.agents.ppo_policy import EquivariantPolicy
from eqrl.agents.presets import preset
from eqrl.agents.replay_buffers import SymmetricDictReplayBuffer, SymmetricHerReplayBuffer, SymmetricReplayBuffer
from eqrl.agents.reward_statistics import StatisticsByMember
from eqrl.agents.rollout_buffers import SymmetricDictRolloutBuffer, SymmetricRolloutBuffer, first_ratios
from eqrl.agents.sac_policy import EquivariantSACPolicy
from eqrl.agents.schedules import KLAdaptiveLR, StdSchedule
from eqrl.agents.soft import (
    PRIORS,
    AlreadyExactWarning,
    Augmentation,
    ConstrainedAugmentation,
    Distil,
    MirrorLoss,
    OrbitAdvantage,
    Regulariser,
    ResidualPathway,
    SymmetryLoss,
    SymmetryPrior,
    TaughtGate,
    Thresholded,
    WithoutPriorWarning,
    make_prior,
    priors_of,
)
from eqrl.agents.td3_policy import EquivariantTD3Policy
from eqrl.agents.tqc_policy import EquivariantTQCPolicy

__all__ = [
    "PRIORS",
    "AlreadyExactWarning",
    "Augmentation",
    "BallNoise",
    "BreaksSymmetryError",
    "ConstrainedAugmentation",
    "Distil",
    "EquivariantPolicy",
    "EquivariantSACPolicy",
    "EquivariantTD3Policy",
    "EquivariantTQCPolicy",
    "KLAdaptiveLR",
    "MirrorLoss",
    "MirrorLossPPO",
    "MirrorLossSAC",
    "MirrorLossTD3",
    "OrbitAdvantage",
    "OrbitStarts",
    "RandomRotation",
    "Regulariser",
    "ResidualPathway",
    "StatisticsByMember",
    "StdSchedule",
    "SymmetricDictReplayBuffer",
    "SymmetricDictRolloutBuffer",
    "SymmetricHerReplayBuffer",
    "SymmetricReplayBuffer",
    "SymmetricRolloutBuffer",
    "SymmetryLoss",
    "SymmetryPrior",
    "TaughtGate",
    "Thresholded",
    "WithMirrorLoss",
    "WithoutPriorWarning",
    "first_ratios",
    "make_prior",
    "preset",
    "priors_of",
]
