"""Matrices of irreps, in the notation of e3nn."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

_WITHOUT_DETERMINANT = frozenset({(0, 1), (1, -1)})
_TERM = re.compile(r"((?P<copies>\d+)\s*x\s*)?(?P<degree>\d+)(?P<parity>[eoy])", re.ASCII)


def e3nn() -> Any:
    """The module ``e3nn.o3``, imported when it is needed."""
    # the import takes as long as that of torch, and environments need none of its matrices up to vectors
    from e3nn import o3

    return o3


@cache
def parse_irreps(text: str) -> tuple[tuple[int, int], ...]:
    """(l, parity) of every irrep, with multiplicities written out.

    Args:
        text: such as ``"2x0e + 1o"``, as e3nn writes it; ``y`` is the parity of spherical harmonics.

    Raises:
        ValueError: for anything else.
    """
    copies: list[tuple[int, int]] = []
    for term in text.split("+") if text.strip() else ():
        parts = _TERM.fullmatch(term.strip())
        if parts is None:
            raise ValueError(f"{term.strip()!r} is no irrep")
        degree = int(parts["degree"])
        parity = {"e": 1, "o": -1, "y": (-1) ** degree}[parts["parity"]]
        copies += [(degree, parity)] * int(parts["copies"] or 1)
    return tuple(copies)


def irreps_matrix(copies: Sequence[tuple[int, int]], R: Tensor, horizontal: bool) -> Tensor:
    """The block-diagonal action of isometries on a sum of irreps.

    Args:
        copies: (l, parity) of each irrep.
        R: orthogonal matrices, shape ``(*batch, 3, 3)``.
        horizontal: whether only x and y of each vector are stored.

    Returns:
        Matrices of shape ``(*batch, width, width)``.
    """
    one = R.new_ones(*R.shape[:-2], 1, 1)
    # the determinant is the slowest part, and true scalars and polar vectors do without
    det = one if _WITHOUT_DETERMINANT.issuperset(copies) else torch.linalg.det(R)[..., None, None].sign()
    blocks = []
    for degree, parity in copies:
        sign = det if parity == -1 else one
        if degree == 0:
            blocks.append(sign)
        elif degree == 1:
            # R itself for polar vectors; det(R) R, the proper part, for axial ones
            vector = R if parity == -1 else det * R
            blocks.append(vector[..., :2, :2] if horizontal else vector)
        else:
            blocks.append(sign * _wigner(degree, det * R))
    return _block_diagonal(blocks)


@lru_cache(maxsize=32)
def _harmonic_points(degree: int) -> tuple[Tensor, Tensor]:
    points = torch.as_tensor(np.random.default_rng(0).standard_normal((4 * degree + 4, 3)))
    return points, torch.linalg.pinv(e3nn().spherical_harmonics(degree, points, normalize=True))


def _wigner(degree: int, rotation: Tensor) -> Tensor:
    # e3nn's Wigner matrices come out of its default dtype's generators (1e-6 in a float32 session); solving
    # Y(R p) = D Y(p) with e3nn's own polynomials gives the same matrices to 1e-14 whatever the default is.
    points, inverse = _harmonic_points(degree)
    turned = e3nn().spherical_harmonics(degree, points.to(rotation) @ rotation.mT, normalize=True)
    matrix: Tensor = inverse.to(rotation) @ turned
    return matrix.mT


def _block_diagonal(blocks: Sequence[Tensor]) -> Tensor:
    if len(blocks) == 1:
        return blocks[0]
    size = sum(b.shape[-1] for b in blocks)
    out = blocks[0].new_zeros(*blocks[0].shape[:-2], size, size)
    start = 0
    for block in blocks:
        stop = start + block.shape[-1]
        out[..., start:stop, start:stop] = block
        start = stop
    return out
