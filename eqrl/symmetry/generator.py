"""Named generators of finite groups, stored as tuples of numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike

from eqrl.symmetry.element import Element

Matrix = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Generator:
    """One named generator of a finite group. It is hashable, so that spaces can be compared.

    Attributes:
        name: name for messages, for instance ``"sagittal mirror"``.
        R: action on world vectors, 3x3.
        h: relabellings, pairs of (entity set, matrix).
    """

    name: str
    R: Matrix
    h: tuple[tuple[str, Matrix], ...] = ()

    @classmethod
    def of(cls, name: str, R: ArrayLike | None = None, h: Mapping[str, ArrayLike] | None = None) -> Generator:
        """Build a generator from arrays; ``R`` defaults to the identity.

        Raises:
            ValueError: if a matrix is not square and orthogonal.
        """
        pairs = tuple(sorted((k, _orthogonal(v)) for k, v in (h or {}).items()))
        return cls(name, _orthogonal(np.eye(3) if R is None else R), pairs)

    @property
    def element(self) -> Element:
        """The generator as a group element without batch axes."""
        return Element(
            torch.tensor(self.R, dtype=torch.float64),
            {k: torch.tensor(v, dtype=torch.float64) for k, v in self.h},
        )


def _orthogonal(matrix: ArrayLike) -> Matrix:
    array = np.asarray(matrix, dtype=np.float64)
    if array.ndim != 2 or array.shape[0] != array.shape[1]:
        raise ValueError(f"a group generator needs square matrices, got shape {array.shape}")
    if not np.allclose(array @ array.T, np.eye(len(array)), atol=1e-8):
        raise ValueError(f"a group generator needs orthogonal matrices, got\n{array}")
    return tuple(tuple(float(v) for v in row) for row in array)
