"""What a declaration that does not fit raises, and what a missing symmetry warns of."""

from __future__ import annotations


class DeclarationError(ValueError):
    """A declared symmetry does not fit the environment; the message names the entry, the sizes and the fix."""


class SymmetryWarning(UserWarning):
    """An environment has less symmetry than one might expect; the message says why."""
