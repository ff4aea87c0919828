"""Equivariant policies for Stable-Baselines3, and the augmentation baseline."""

from eqrl.agents.augmentation import RandomRotation
from eqrl.agents.errors import BreaksSymmetryError
from eqrl.agents.noise import BallNoise
from eqrl.agents.ppo_policy import EquivariantPolicy
from eqrl.agents.presets import preset
from eqrl.agents.sac_policy import EquivariantSACPolicy
from eqrl.agents.td3_policy import EquivariantTD3Policy

__all__ = [
    "BallNoise",
    "BreaksSymmetryError",
    "EquivariantPolicy",
    "EquivariantSACPolicy",
    "EquivariantTD3Policy",
    "RandomRotation",
    "preset",
]
