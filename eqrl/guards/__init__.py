"""Guards: a training stops at the first number that is not finite, says where it began and leaves what is needed to see why."""

from eqrl.guards.errors import TrainingDiverged
from eqrl.guards.guard import Guard

__all__ = ["Guard", "TrainingDiverged"]
