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
from torch import Tensor

from eqrl.arrays import Floats, Ints

_ALTERNATIONS = 30
_NOTHING = 1e-6

Action = Sequence[csr_array]  # one matrix for each element of a group


@dataclass(frozen=True)
class Tensors:
    """A parameter of a layer and how a group acts around it.

    Attributes:
        parameter: weights ``(out, in)``, or biases ``(out,)``.
        left: for each candidate the matrices of its elements on the output.
        right: the same on the input; None for biases.
    """

    parameter: Tensor
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
        projectors: of each candidate, on the vector of all parameters.
        fractions: for each candidate the part of all dimensions that it forbids, ``1 - rank(P) / N``.
    """

    def __init__(self, tensors: Sequence[Tensors]) -> None:
        self.parameters = [part.parameter for part in tensors]
        count = len(tensors[0].left)
        self.projectors = [csr_array(block_diag([t.projector(j) for t in tensors], format="csr")) for j in range(count)]
        self.fractions = [1.0 - float(p.trace()) / p.shape[0] for p in self.projectors]
        self._gathers = _Gathers.of(self.projectors).to(self.parameters[0])

    def __call__(self) -> Tensor:
        """Distances of the parameters as they are."""
        distances: Tensor = _Distances.apply(self._here(), *self.parameters)  # type: ignore[no-untyped-call]
        return distances

    @torch.no_grad()
    def pull(self, rates: Sequence[float]) -> Tensor:
        """Move the parameters ``x`` by ``-sum_j rates_j (x - P_j x)``, and return the distances from which they come.

        Args:
            rates: one for each candidate, at least 0; their sum counts as 1 where it is larger, for more would
                overshoot.
        """
        x = torch.cat([p.flatten() for p in self.parameters])
        gaps = x - self._here().times(x)
        move = gaps.new_tensor(rates) / max(1.0, sum(rates)) @ gaps
        for parameter, part in zip(self.parameters, self._parts(move), strict=True):
            parameter.sub_(part)
        return 0.5 * gaps.square().sum(dim=1)

    def _here(self) -> _Gathers:
        if self._gathers.index.device != self.parameters[0].device:
            self._gathers = self._gathers.to(self.parameters[0])
        return self._gathers

    @torch.no_grad()
    def strengthen(self) -> None:
        """Give the part of every weight that all candidates allow the norm of the weight, and halve the rest.

        Of weights without structure, a group of n elements allows about a part of ``1 / sqrt(n)`` in each layer. Were
        the rest to go, hardly any signal would pass.
        """
        allowed = self._flat()
        for _ in range(_ALTERNATIONS):  # to the projection on what all allow (von Neumann)
            for projector in self.projectors:
                allowed = projector @ allowed
        for parameter, part in zip(self.parameters, self._parts(torch.as_tensor(allowed)), strict=True):
            whole = parameter.double().cpu()
            if parameter.dim() == 2 and (norm := part.norm()) > _NOTHING * whole.norm():
                parameter.copy_(0.5 * (whole - part) + part * (whole.norm() / norm))

    @torch.no_grad()
    def project(self, candidate: int) -> None:
        """Replace the parameters by their projections."""
        projected = torch.as_tensor(self.projectors[candidate] @ self._flat())
        for parameter, part in zip(self.parameters, self._parts(projected), strict=True):
            parameter.copy_(part)

    def _flat(self) -> Floats:
        """All parameters as one vector, in double precision."""
        return np.asarray(torch.cat([p.detach().flatten() for p in self.parameters]).double().cpu().numpy())

    def _parts(self, flat: Tensor) -> list[Tensor]:
        """A vector of all parameters, cut into their shapes."""
        parts = torch.split(flat, [p.numel() for p in self.parameters])
        return [part.view_as(p) for p, part in zip(self.parameters, parts, strict=True)]


@dataclass(frozen=True)
class _Gathers:
    """Sparse matrices whose rows are padded to equal length: gathers are fast everywhere, sparse products are not.

    Attributes:
        index: columns of the entries, shape ``(lengths * N,)``, int32, where ``lengths`` is the sum of the lengths of a
            row of each matrix.
        value: the entries, shape ``(lengths, N)``.
        sums: which of these belong to a matrix, shape ``(matrices, lengths)``.
    """

    index: Tensor
    value: Tensor
    sums: Tensor

    @classmethod
    def of(cls, matrices: Sequence[csr_array]) -> _Gathers:
        padded = [_padded(matrix) for matrix in matrices]
        index, value = (np.concatenate(parts) for parts in zip(*padded, strict=True))
        sums = np.repeat(np.eye(len(padded)), [len(part) for part, _ in padded], axis=1)
        return cls(torch.as_tensor(index.ravel()), torch.as_tensor(value), torch.as_tensor(sums))

    def to(self, like: Tensor) -> _Gathers:
        return _Gathers(self.index.to(like.device), self.value.to(like), self.sums.to(like))

    def times(self, x: Tensor) -> Tensor:
        """Products of all matrices with a vector, shape ``(matrices, N)``."""
        return self.sums @ x.index_select(0, self.index).view_as(self.value).mul_(self.value)


def _padded(matrix: csr_array) -> tuple[Ints, Floats]:
    """Columns and entries, entry after entry of all rows, both of shape ``(length, N)``."""
    counts = np.diff(matrix.indptr)
    rows = np.repeat(np.arange(len(counts)), counts)
    places = np.arange(matrix.nnz) - np.repeat(matrix.indptr[:-1], counts)
    shape = (int(counts.max(initial=1)), len(counts))
    index: Ints = np.zeros(shape, dtype=np.int32)
    value: Floats = np.zeros(shape)
    index[places, rows], value[places, rows] = matrix.indices, matrix.data
    return index, value


class _Distances(torch.autograd.Function):
    """One node for all parameters, because a chain of small ones costs more time than the arithmetic."""

    @staticmethod
    def forward(ctx: Any, gathers: _Gathers, *parameters: Tensor) -> Tensor:
        x = torch.cat([p.flatten() for p in parameters])
        gaps = x - gathers.times(x)
        ctx.save_for_backward(gaps)
        ctx.shapes = [p.shape for p in parameters]
        return 0.5 * gaps.square().sum(dim=1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (gaps,) = ctx.saved_tensors
        parts = (grad @ gaps).split([shape.numel() for shape in ctx.shapes])
        return None, *(part.view(shape) for part, shape in zip(parts, ctx.shapes, strict=True))
