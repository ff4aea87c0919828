"""Equivariant models for rsl_rl, the trainer of Isaac Lab, mjlab and MuJoCo Playground.

rsl_rl's configuration names them by dotted path: ``"eqrl.engines.rsl_rl:EquivariantModel"`` as the class of the actor
and of the critic, and ``"eqrl.engines.rsl_rl:OrbitGaussian"`` as the class of the actor's distribution.
"""

from eqrl.errors import import_extra

import_extra("rsl_rl.models", "eqrl.engines.rsl_rl", "rsl-rl")

from eqrl.engines.rsl_rl.distribution import OrbitGaussian  # noqa: E402
from eqrl.engines.rsl_rl.model import EquivariantModel  # noqa: E402
from eqrl.engines.rsl_rl.vec_env import TypedVecEnv  # noqa: E402

__all__ = ["EquivariantModel", "OrbitGaussian", "TypedVecEnv"]
