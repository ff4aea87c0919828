"""Group elements: batched pairs (R, h) of a world isometry and its relabellings.

``R`` moves the world; ``h`` holds one orthogonal matrix for every entity set that the element relabels
(a signed permutation for limbs or joints, a 3x3 matrix for the axes of a body). The element maps a free body whose axes
are the columns of E to ``R @ E @ h["body"].T``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Element:
    """A batch of group elements.

    Attributes:
        R: orthogonal matrices that act on world vectors, shape ``(*batch, 3, 3)``, float64.
        h: orthogonal matrices of shape ``(*batch, n, n)`` for each entity set that is relabelled. All other sets
            stay unchanged.
    """

    R: Tensor
    h: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def batch_shape(self) -> torch.Size:
        """Shape of the batch, without the matrix axes."""
        return self.R.shape[:-2]

    @classmethod
    def stack(cls, elements: Sequence[Element]) -> Element:
        """Single elements as a batch of shape ``(n,)``; sets that some of them do not relabel stay unchanged there."""
        sizes = {name: matrix.shape[-1] for g in elements for name, matrix in g.h.items()}
        h = {name: torch.stack([g.matrix(name, size) for g in elements]) for name, size in sizes.items()}
        return cls(torch.stack([g.R for g in elements]), h)

    def matrix(self, entities: str, size: int) -> Tensor:
        """Relabelling of one entity set; the identity if the element does not name the set.

        Args:
            entities: name of the set.
            size: number of entities in it.

        Returns:
            Matrices of shape ``(*batch, size, size)``.

        Raises:
            ValueError: if the element relabels a set of that name with another size.
        """
        if entities not in self.h:
            return torch.eye(size, dtype=self.R.dtype).expand(*self.batch_shape, size, size)
        relabelling = self.h[entities]
        if relabelling.shape[-1] != size:
            raise ValueError(
                f"entity set {entities!r} has {size} entities, but the group element relabels {relabelling.shape[-1]}; "
                "give the group and the representation the same entity set"
            )
        return relabelling

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as arrays: ``torch.load`` moves tensors to the device of the model.

        Those of a space belong to the CPU.
        """
        return _of_arrays, (self.R.cpu().numpy(), {name: matrix.cpu().numpy() for name, matrix in self.h.items()})

    def __getitem__(self, index: object) -> Element:
        """Select from the batch, as with a tensor."""
        return Element(self.R[index], {k: v[index] for k, v in self.h.items()})  # type: ignore[index]

    def reshape(self, *shape: int) -> Element:
        """The same elements with another batch shape."""
        return Element(
            self.R.reshape(*shape, 3, 3),
            {k: v.reshape(*shape, *v.shape[-2:]) for k, v in self.h.items()},
        )

    def compose(self, other: Element) -> Element:
        """The product ``self * other``: first ``other`` acts, then ``self``."""
        h = dict(self.h)
        for name, matrix in other.h.items():
            h[name] = h[name] @ matrix if name in h else matrix.expand(*self._common_batch(other), *matrix.shape[-2:])
        h = {k: v.expand(*self._common_batch(other), *v.shape[-2:]) for k, v in h.items()}
        return Element(self.R @ other.R, h)

    def inverse(self) -> Element:
        """The inverse: all matrices are transposed, since they are orthogonal."""
        return Element(self.R.mT, {k: v.mT for k, v in self.h.items()})

    def _common_batch(self, other: Element) -> torch.Size:
        return broadcast(self.batch_shape, other.batch_shape)


def _of_arrays(R: NDArray[np.float64], h: Mapping[str, NDArray[np.float64]]) -> Element:
    def tensor(array: NDArray[np.float64]) -> Tensor:
        return torch.as_tensor(array.copy())  # those from shared memory are read-only, and PyTorch has no such tensors

    return Element(tensor(R), {name: tensor(matrix) for name, matrix in h.items()})


def broadcast(*shapes: torch.Size) -> torch.Size:
    """The common batch shape; torch's function of that name is untyped."""
    return torch.Size(np.broadcast_shapes(*shapes))


def about_gravity(angle: float | Tensor) -> Element:
    """Rotation about the vertical (+z) axis.

    Args:
        angle: angles in radians; their shape becomes the batch shape.
    """
    angle = torch.as_tensor(angle, dtype=torch.float64)
    c, s, zero, one = angle.cos(), angle.sin(), torch.zeros_like(angle), torch.ones_like(angle)
    rows = torch.stack([c, -s, zero, s, c, zero, zero, zero, one], dim=-1)
    return Element(rows.reshape(*angle.shape, 3, 3))
