"""The symmetry of a MuJoCo model, derived from the model itself."""

from eqrl.symmetry.morphology.derivation import (
    Derivation,
    Discrepancy,
    Level,
    NearMiss,
    WorldPart,
    identity,
    world_motion,
    world_rotation,
)
from eqrl.symmetry.morphology.derive import derive
from eqrl.symmetry.morphology.exchangeable import Exchangeable
from eqrl.symmetry.morphology.symmetry import Symmetry

__all__ = [
    "Derivation",
    "Discrepancy",
    "Exchangeable",
    "Level",
    "NearMiss",
    "Symmetry",
    "WorldPart",
    "derive",
    "identity",
    "world_motion",
    "world_rotation",
]
