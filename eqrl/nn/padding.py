"""Padded slots in a batch of vectors: the masks in the observation tell which coordinates are real."""

from __future__ import annotations

import torch
from torch import Tensor

from eqrl.nn.constants import ExactModule
from eqrl.symmetry import Representation, mask_index

_REAL = 0.5  # masks are 0 or 1


class Padding(ExactModule):
    """Tells which coordinates of a vector belong to real entities.

    Attributes:
        dim: length of the vector.
    """

    first: Tensor
    second: Tensor | None

    def __init__(self, representation: Representation, observation: Representation) -> None:
        """Look up the coordinates of the masks.

        Args:
            representation: representation of the vector.
            observation: representation of the vector that holds the masks, perhaps the same one.
        """
        super().__init__()
        self.dim = representation.dim
        index = torch.as_tensor(mask_index(representation, observation))
        # coordinates without a mask read a one that is appended behind the last coordinate
        first, second = torch.where(index < 0, observation.dim, index).unbind(1)
        self.register_constant("first", first.contiguous())
        self.register_optional("second", second.contiguous() if bool((index[:, 1] >= 0).any()) else None)

    @classmethod
    def of(cls, representation: Representation, observation: Representation) -> Padding | None:
        """The padding of a vector, or None if nothing in it is masked."""
        return cls(representation, observation) if bool((mask_index(representation, observation) >= 0).any()) else None

    def valid(self, observation: Tensor) -> Tensor:
        """Which coordinates are real.

        Args:
            observation: vectors that hold the masks, shape ``(B, observation.dim)``, normalised or not.

        Returns:
            Booleans of shape ``(B, dim)``.
        """
        real = torch.cat([is_real(observation), torch.ones_like(observation[:, :1], dtype=torch.bool)], dim=1)
        valid = real.index_select(1, self.first)
        return valid if self.second is None else valid & real.index_select(1, self.second)


def is_real(mask: Tensor) -> Tensor:
    """Which entries of masks are set, normalised or not."""
    return mask > _REAL


def cleared(x: Tensor, valid: Tensor | None) -> Tensor:
    """Vectors with zeros in place of all invalid entries; ``valid=None`` means that all entries are valid."""
    return x if valid is None else torch.where(valid, x, 0.0)
