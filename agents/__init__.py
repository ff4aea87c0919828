"""Equivariant policies for Stable-Baselines3."""

from eqrl.agents.errors import BreaksSymmetryError
from eqrl.agents.ppo_policy import EquivariantPolicy
from eqrl.agents.sac_policy import EquivariantSACPolicy

__all__ = ["BreaksSymmetryError", "EquivariantPolicy", "EquivariantSACPolicy"]
