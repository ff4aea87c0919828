"""Guards: a training stops at the first number that is not finite, reports its origin and saves the evidence."""

from eqrl.guards.errors import TrainingDiverged
from eqrl.guards.guard import Guard

__all__ = ["Guard", "TrainingDiverged"]
