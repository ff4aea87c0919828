"""Proving a symmetry on the simulator, and finding out why one does not hold."""

from eqrl.proof.check_environment import GeneratorReport, check_environment
from eqrl.proof.check_policy import PolicyReport, check_policy
from eqrl.proof.errors import NonFiniteRolloutError
from eqrl.proof.measure_behaviour import Behaviour, measure_behaviour
from eqrl.proof.verdict import Cause, Verdict, Verdicts
from eqrl.proof.verify import verify
from eqrl.proof.worlds import SymmetricWorld

__all__ = [
    "Behaviour",
    "Cause",
    "GeneratorReport",
    "NonFiniteRolloutError",
    "PolicyReport",
    "SymmetricWorld",
    "Verdict",
    "Verdicts",
    "check_environment",
    "check_policy",
    "measure_behaviour",
    "verify",
]
