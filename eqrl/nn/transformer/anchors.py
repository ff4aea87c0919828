"""Directions for a frame that do not depend on the order of tokens."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from eqrl.nn.anchors import Anchors, anchor_fields, anchor_starts
from eqrl.nn.padding import is_real
from eqrl.symmetry import Representation


class TokenAnchors(Anchors):
    """The vectors of fields without entities, and the means of vectors over the real entities of a set.

    Axial vectors are turned by 90 degrees, so that a vertical mirror maps them as it maps polar ones.
    """

    columns: Tensor

    def __init__(self, rep: Representation, names: Sequence[str]) -> None:
        """Prepare sums over entities.

        Args:
            rep: representation of the input.
            names: names of the fields, best first.

        Raises:
            ValueError: if a field does not exist or holds no world vector.
        """
        super().__init__()
        # multiplied from the right, one pair of columns for each vector
        self._masks: list[slice | None] = []
        pairs: list[Tensor] = []
        for name in names:
            starts = anchor_starts(rep, (name,))
            field = rep.field(name)
            entities = None if field.entities is None else rep.entity_set(field.entities)
            size, mask = (1, None) if entities is None else (entities.size, entities.mask)
            copies = len(starts) // size
            parities = [parity for degree, parity in field.copies if degree == 1]
            for copy, parity in enumerate(parities):
                pair = torch.zeros(rep.dim, 2, dtype=torch.float64)
                for start in starts[copy::copies]:
                    share = 1.0 if mask is not None else 1.0 / size
                    if parity < 0:
                        pair[start, 0], pair[start + 1, 1] = share, share
                    else:
                        pair[start + 1, 0], pair[start, 1] = -share, share
                pairs.append(pair)
                self._masks.append(None if mask is None else rep.slices[mask])
        self.count = len(pairs)
        self.register_constant("columns", torch.cat(pairs, dim=1) if pairs else torch.zeros(rep.dim, 0).double())

    def forward(self, x: Tensor) -> Tensor:
        """All vectors, best first, ``(B, count, 2)``."""
        vectors = (x @ self.columns).view(x.shape[0], self.count, 2)
        if all(mask is None for mask in self._masks):
            return vectors
        one = x.new_ones(x.shape[0], 1)
        counts = [
            one if mask is None else is_real(x[:, mask]).sum(1, keepdim=True).clamp_min(1).to(x) for mask in self._masks
        ]
        return vectors / torch.cat(counts, dim=1)[..., None]


def polar_fields(rep: Representation) -> tuple[str, ...]:
    """Names of the fields of polar vectors: goal, heading, others without entities, and then those over sets."""
    polar = [name for name in anchor_fields(rep) if all(kind == (1, -1) for kind in rep.field(name).copies)]
    return tuple(sorted(polar, key=lambda name: rep.field(name).entities is not None))
