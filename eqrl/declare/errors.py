"""What a declaration that does not fit raises, and what a missing symmetry warns of."""

from __future__ import annotations

from eqrl.symmetry.errors import DeclarationError

__all__ = ["DeclarationError", "SymmetryWarning"]


class SymmetryWarning(UserWarning):
    """An environment has less symmetry than one might expect; the message says why."""
