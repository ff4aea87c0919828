"""The symmetry of a MuJoCo model, derived from the model itself."""

from eqrl.derivation.derivation import Derivation, WorldPart
from eqrl.derivation.derive import derive
from eqrl.derivation.discrepancy import Discrepancy, Level, NearMiss
from eqrl.derivation.elements import identity, world_motion, world_rotation
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
