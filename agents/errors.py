"""Errors for options that an equivariant policy has to refuse."""

from __future__ import annotations

from eqrl.symmetry.errors import BreaksSymmetryError

__all__ = ["BreaksSymmetryError", "refuse_sde"]


def refuse_sde(use_sde: bool) -> None:
    """Refuse state-dependent exploration.

    Raises:
        BreaksSymmetryError: if ``use_sde`` is true.
    """
    if use_sde:
        raise BreaksSymmetryError(
            "use_sde=True draws one noise matrix for the latent features and so prefers some directions of the world; "
            "leave use_sde=False: the noise here has equal width in all directions of a vector"
        )
