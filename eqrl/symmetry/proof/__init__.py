"""Proving a symmetry on the simulator, and finding out why one does not hold."""

from eqrl.symmetry.proof.errors import NonFiniteRolloutError
from eqrl.symmetry.proof.verdict import Cause, Verdict, Verdicts

__all__ = ["Cause", "NonFiniteRolloutError", "Verdict", "Verdicts"]
