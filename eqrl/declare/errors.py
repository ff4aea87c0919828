"""The error for a declaration that does not fit, and the warning about a missing symmetry."""

from __future__ import annotations

from eqrl.symmetry.errors import DeclarationError

__all__ = ["DeclarationError", "SymmetryWarning"]


class SymmetryWarning(UserWarning):
    """An environment has less symmetry than one might expect; the message says why."""
