"""Rotations of a whole representation about gravity, in a handful of tensor operations.

In a suitable basis, a rotation by the angle t about the vertical leaves some coordinates unchanged and turns all others
in pairs by m t with an integer weight m. For scalars and vectors this is the given basis and m = 1; only irreps with
``l >= 2`` need a fixed orthogonal change of basis. A batch of rotations therefore costs two elementwise products and a
gather.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from eqrl.nn.constants import ExactModule
from eqrl.symmetry import Field, Representation, about_gravity
from eqrl.symmetry.representation import WORLD


class Turn(ExactModule):
    """Rotations about gravity on one representation.

    A rotation is given by its cosine and sine ``u = (c, s)``. A ``u`` shorter than 1 also shrinks everything that it
    turns, and u = 0 sets it to zero, so that only the invariants remain.

    Attributes:
        trivial: whether rotations about gravity leave the whole vector unchanged.
    """

    partner: Tensor
    table: Tensor
    base: Tensor
    basis: Tensor | None

    def __init__(self, rep: Representation) -> None:
        super().__init__()
        basis, weights = _decompose(rep)
        self.degree = max(weights, default=0)
        self.trivial = self.degree == 0
        partner = torch.arange(rep.dim)
        table = torch.zeros(2 * self.degree, 2 * rep.dim, dtype=torch.float64)
        base = torch.zeros(2 * rep.dim, dtype=torch.float64)
        first = 0
        for m in weights:
            if m == 0:
                base[first] = 1.0
                first += 1
                continue
            cos, sin = 2 * m - 2, 2 * m - 1
            second = first + 1
            partner[first], partner[second] = second, first
            table[cos, [first, second]] = 1.0
            # the inverse rotation: x' = c x + s y, y' = c y - s x
            table[sin, rep.dim + first], table[sin, rep.dim + second] = 1.0, -1.0
            first += 2
        self.register_constant("partner", partner)
        self.register_constant("table", table)
        self.register_constant("base", base)
        is_identity = torch.equal(basis, torch.eye(rep.dim, dtype=torch.float64))
        self.register_optional("basis", None if is_identity else basis)

    def away(self, x: Tensor, u: Tensor) -> Tensor:
        """Turn by the inverse rotation and change to the turning basis.

        Args:
            x: vectors, shape ``(B, dim)``.
            u: cosine and sine, shape ``(B, 2)``.
        """
        if self.trivial:
            return x
        if self.basis is not None:
            x = x @ self.basis
        cos, sin = self._coefficients(u)
        return torch.addcmul(x * cos, x.index_select(1, self.partner), sin)

    def back(self, y: Tensor, u: Tensor) -> Tensor:
        """Undo :meth:`away`; same shapes."""
        if self.trivial:
            return y
        cos, sin = self._coefficients(u)
        y = torch.addcmul(y * cos, y.index_select(1, self.partner), sin, value=-1)
        return y if self.basis is None else y @ self.basis.mT

    def in_turning_basis(self, matrices: Tensor) -> Tensor:
        """Matrices on the representation, ``(*batch, dim, dim)``, float64, expressed in the turning basis."""
        basis = self._originals.get("basis")
        return matrices if basis is None else basis.mT @ matrices @ basis

    def _coefficients(self, u: Tensor) -> tuple[Tensor, ...]:
        powers = u
        if self.degree > 1:
            multiples = [u]  # cosine and sine of the angle, of twice the angle, ...
            c, s = u.unbind(1)
            for _ in range(self.degree - 1):
                a, b = multiples[-1].unbind(1)
                multiples.append(torch.stack([a * c - b * s, a * s + b * c], dim=1))
            powers = torch.cat(multiples, dim=1)
        return torch.addmm(self.base, powers, self.table).chunk(2, dim=1)


def _decompose(rep: Representation) -> tuple[Tensor, list[int]]:
    """Orthogonal basis (columns) of a representation.

    With it comes the weight m of each invariant (0) and each pair, in order.
    """
    bases: list[Tensor] = []
    weights: list[int] = []
    for block in rep.blocks():
        width = len(block.where)
        if block.frame != WORLD:
            bases.append(torch.eye(width, dtype=torch.float64))
            weights += [0] * width
        elif block.degree <= 1:
            bases.append(torch.eye(width, dtype=torch.float64))
            weights += [0] if block.degree == 0 else [1] if block.horizontal else [1, 0]
        else:
            basis, turning = _turning_basis(block.degree)
            bases.append(basis)
            weights += turning
    if not bases:
        return torch.zeros(0, 0, dtype=torch.float64), weights
    whole = torch.block_diag(*bases)  # type: ignore[no-untyped-call]
    return whole, weights


@lru_cache(maxsize=32)
def _turning_basis(degree: int) -> tuple[Tensor, list[int]]:
    rep = Representation((Field("one irrep", f"1x{degree}e"),))
    n = 2 * degree + 1
    angles = 2 * torch.pi * torch.arange(n, dtype=torch.float64) / n
    matrices = rep.matrix(about_gravity(angles))
    orders = torch.arange(1, degree + 1, dtype=torch.float64)
    # the matrices are trigonometric polynomials of this degree in the angle, so n samples give their derivative at zero
    slope = 2.0 / n * (torch.sin(orders[:, None] * angles) * orders[:, None]).sum(0)
    generator = torch.einsum("a,aij->ij", slope, matrices)
    values, vectors = torch.linalg.eigh(-1j * generator)
    columns = [vectors[:, values.abs().argmin()]]
    # the invariant's eigenvector is real up to a phase
    columns[0] = (columns[0] / columns[0][columns[0].abs().argmax()]).real
    columns[0] = columns[0] / columns[0].norm()
    for m in range(1, degree + 1):
        vector = vectors[:, (values - m).abs().argmin()] * 2.0**0.5
        columns += [vector.real, -vector.imag]
    return torch.stack(columns, dim=1), [0, *range(1, degree + 1)]
