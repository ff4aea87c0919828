"""Typing environments that were not written for eqrl: ready-made, declared, derived from the model, or inferred."""

from eqrl.declare.errors import DeclarationError, SymmetryWarning
from eqrl.declare.fetch import make_fetch
from eqrl.declare.inference import infer_types
from eqrl.declare.of_gymnasium import CLASSIC, MUJOCO, describe_model, find_symmetries
from eqrl.declare.proposal import Proposal, Unexplained
from eqrl.declare.types import Types
from eqrl.declare.wrapper import WithSymmetry, with_symmetry

__all__ = [
    "CLASSIC",
    "MUJOCO",
    "DeclarationError",
    "Proposal",
    "SymmetryWarning",
    "Types",
    "Unexplained",
    "WithSymmetry",
    "describe_model",
    "find_symmetries",
    "infer_types",
    "make_fetch",
    "with_symmetry",
]
