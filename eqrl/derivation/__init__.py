"""The symmetry of a MuJoCo model, derived from the model itself."""

from eqrl.derivation.derivation import (
    Derivation,
    Discrepancy,
    Level,
    NearMiss,
    WorldPart,
    identity,
    world_motion,
    world_rotation,
)
from eqrl.derivation.derive import derive
from eqrl.derivation.exchangeable import Exchangeable
from eqrl.derivation.symmetry import Symmetry

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
