"""Distances of parameters from the subspaces that groups allow, with gradients (PER: Kim et al., arXiv 2306.00356).

The projection of a weight is ``P W = mean_h rho_out(h) W rho_in(h)^-1``; the distance ``R = |W - P W|^2 / 2`` has the
gradient ``W - P W``. All parameters of a network are one vector here, and P is a sparse matrix on it. Its rows have few
entries, at most as many as the group has elements where these permute entries up to signs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.sparse import block_diag, csr_array, kron
from torch import Tensor, nn

Action = Sequence[csr_array]  # one matrix for each element of a group


@dataclass(frozen=True)
class Tensors:
    """A parameter of a layer and how a group acts around it.

    Attributes:
        parameter: weights ``(out, in)``, or biases ``(out,)``.
        left: for each candidate the matrices of its elements on the output.
        right: the same on the input; None for biases.
    """

    parameter: nn.Parameter
    left: Sequence[Action]
    right: Sequence[Action] | None = None

    def projector(self, candidate: int) -> csr_array:
        """The projection of one candidate, on the entries in the order of rows."""
        left = self.left[candidate]
        right = self.right[candidate] if self.right is not None else None
        terms = left if right is None else [kron(a, b, format="csr") for a, b in zip(left, right, strict=True)]
        mean = csr_array(sum(terms[1:], start=terms[0]) / len(terms))
        mean.data[np.abs(mean.data) < 1e-12] = 0.0
        mean.eliminate_zeros()
        return mean


class Projections:
    """Projections of all parameters of a network, one for each candidate.

    Calling it returns the distances ``R_j``, shape ``(candidates,)``, with their exact gradients.

    Args:
        tensors: the parameters, with the same number of candidates each.

    Attributes:
        fractions: for each candidate the part of all dimensions that it forbids, ``1 - rank(P) / N``.
    """

    def __init__(self, tensors: Sequence[Tensors]) -> None:
        self._parameters = [part.parameter for part in tensors]
        count = len(tensors[0].left)
        self.projectors = [csr_array(block_diag([t.projector(j) for t in tensors], format="csr")) for j in range(count)]
        self.fractions = [1.0 - float(p.trace()) / p.shape[0] for p in self.projectors]
        self._rows = [_Rows.of(p, self._parameters[0]) for p in self.projectors]

    def __call__(self) -> Tensor:
        """Distances of the parameters as they are."""
        device = self._parameters[0].device
        if self._rows[0].index.device != device:
            self._rows = [rows.to(device) for rows in self._rows]
        distances: Tensor = _Distances.apply(torch.cat([p.flatten() for p in self._parameters]), self._rows)  # type: ignore[no-untyped-call]
        return distances

    @torch.no_grad()
    def project(self, candidate: int) -> None:
        """Replace the parameters by their projections."""
        flat = torch.cat([p.flatten() for p in self._parameters]).double().cpu().numpy()
        projected = torch.as_tensor(self.projectors[candidate] @ flat)
        for parameter, part in zip(
            self._parameters, projected.split([p.numel() for p in self._parameters]), strict=True
        ):
            parameter.copy_(part.view_as(parameter))


@dataclass(frozen=True)
class _Rows:
    """A sparse matrix whose rows are padded to equal length: gathers are several times as fast as sparse products.

    Attributes:
        index: columns of the entries, entry after entry, shape ``(length * N,)``, int32.
        value: the entries, shape ``(length, N)``.
        length: entries of a row.
    """

    index: Tensor
    value: Tensor
    length: int

    @classmethod
    def of(cls, matrix: csr_array, like: Tensor) -> _Rows:
        n = matrix.shape[0]
        counts = np.diff(matrix.indptr)
        length = max(1, int(counts.max()))
        rows = np.repeat(np.arange(n), counts)
        places = np.arange(matrix.nnz) - np.repeat(matrix.indptr[:-1], counts)
        index = np.zeros((length, n), dtype=np.int32)
        value = np.zeros((length, n))
        index[places, rows], value[places, rows] = matrix.indices, matrix.data
        device = like.device
        return cls(torch.as_tensor(index.ravel(), device=device), torch.as_tensor(value).to(like), length)

    def to(self, device: torch.device) -> _Rows:
        return _Rows(self.index.to(device), self.value.to(device), self.length)

    def times(self, x: Tensor) -> Tensor:
        return (x.index_select(0, self.index).view(self.length, -1) * self.value).sum(0)


class _Distances(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, rows: Sequence[_Rows]) -> Tensor:
        gaps = torch.stack([x - row.times(x) for row in rows])
        ctx.save_for_backward(gaps)
        return 0.5 * gaps.square().sum(dim=1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (gaps,) = ctx.saved_tensors
        return grad @ gaps, None
