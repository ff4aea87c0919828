"""Diagnostics of trained agents: what is exact, what is fitted, what is broken."""

from eqrl.diagnostics.callback import SymmetryDiagnostics
from eqrl.diagnostics.diagnosis import Diagnosis, OfCandidate, diagnose_model
from eqrl.diagnostics.noether import Noether, noether_test
from eqrl.diagnostics.parity import attention_by_irreps, attention_parity, parity_energy, parts_of
from eqrl.diagnostics.picture import draw
from eqrl.diagnostics.plasticity import Plasticity
from eqrl.diagnostics.sample import Functions, Sample, play, recall

__all__ = [
    "Diagnosis",
    "Functions",
    "Noether",
    "OfCandidate",
    "Plasticity",
    "Sample",
    "SymmetryDiagnostics",
    "attention_by_irreps",
    "attention_parity",
    "diagnose_model",
    "draw",
    "noether_test",
    "parity_energy",
    "parts_of",
    "play",
    "recall",
]
