"""The geometry of an action space: which coordinates form a vector, how long it may be, and how it is squashed.

A vector action lives in a ball, not in a cube: the squash ``u -> tanh(|u|) u / |u|`` commutes with every rotation,
whereas
``tanh`` of the single components does not. For a scalar, a block of size one, it is the usual ``tanh``.
For a block of ``d`` entries and length r, its log-determinant is ``log(1 - tanh(r)^2) + (d - 1) log(tanh(r) / r)``.
"""

from __future__ import annotations

import math
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor
from torch.nn.functional import softplus

from eqrl.nn import cleared
from eqrl.nn.constants import ExactModule
from eqrl.symmetry import Group, representation_of, vector_blocks
from eqrl.symmetry.bounds import check_box

# Largest length after squashing: its float32 inverse is still accurate, and clipping to the box never changes it.
_INSIDE = 1.0 - 1e-6
# Longest mean before the squash, which maps it to 0.995 of the radius. PPO infers the noise from the squashed action;
# means far out on the flat part of the squash would make its importance ratios explode.
_LONGEST_MEAN = 3.0
_TINY = 1e-12


class ActionGeometry(ExactModule):
    """Blocks, radii and the radial squash of an action space. It has no parameters.

    Args:
        action_space: a ``TypedBox``.
        group: group that has to map the box to itself, by default that of the action's representation.
        unit: whether actions are in units of their bounds, as in SAC and TD3; scalars are then squashed too. Otherwise,
            as in PPO, actions are in the units of the box, and SB3 clips the scalars.

    Raises:
        UntypedSpaceError: if the space is not typed.
        BreaksSymmetryError: if the group does not map the box to itself.
    """

    same: Tensor
    squashed: Tensor
    radius: Tensor
    share: Tensor

    def __init__(self, action_space: gymnasium.Space[Any], group: Group | None = None, *, unit: bool) -> None:
        super().__init__()
        representation = representation_of(action_space)
        assert isinstance(action_space, spaces.Box)
        check_box(action_space, representation, group)
        dim = representation.dim
        same, size = torch.eye(dim, dtype=torch.float64), torch.ones(dim, dtype=torch.float64)
        squashed = torch.full((dim,), unit)
        radius = torch.ones(dim, dtype=torch.float64)
        high = torch.as_tensor(action_space.high, dtype=torch.float64)
        self.has_vectors = False
        for block in vector_blocks(representation):
            self.has_vectors = True
            same[np.ix_(block, block)] = 1.0
            size[block] = len(block)
            squashed[block] = bool(torch.isfinite(high[block]).all())
            if not unit:
                radius[block] = torch.where(squashed[block], high[block], 1.0)
        self.representation = representation
        self.dim = dim
        self.any_squashed = bool(squashed.any())
        self.all_squashed = bool(squashed.all())
        self.log_volume = float(radius.log().sum())
        for name, value in {"same": same, "squashed": squashed, "radius": radius, "share": 1.0 / size}.items():
            self.register_constant(name, value)

    def squash(self, u: Tensor) -> Tensor:
        """Map unbounded vectors into their balls, shape ``(B, dim)`` to ``(B, dim)``."""
        if not self.any_squashed:
            return u
        if not self.has_vectors:
            return self._squash_scalars(u)
        r = self._length(u)
        return self._squash(u, r, r.tanh())

    def squash_with_log_det(self, u: Tensor, valid: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """``squash`` and ``log_det`` together, which is cheaper than separate calls."""
        if not self.any_squashed:
            return u, u.new_zeros(u.shape[:-1])
        if not self.has_vectors:
            return self._squash_scalars(u), self._total(self._log_derivative(u), valid)
        r = self._length(u)
        short = r.tanh()
        return self._squash(u, r, short), self._log_det(r, short, valid)

    def bound(self, mean: Tensor) -> Tensor:
        """Shorten unbounded means smoothly to a length of at most 3, each block along its own direction.

        Without this, PPO's importance ratios explode once a policy has learnt to act at full length: on the flat part
        of
        ``tanh``, float32 cannot resolve the noise.
        """
        if not self.any_squashed:
            return mean
        r = self._length(mean)
        factor = (r / _LONGEST_MEAN).tanh() * _LONGEST_MEAN / r
        return mean * (factor if self.all_squashed else torch.where(self.squashed, factor, 1.0))

    def unsquash(self, a: Tensor) -> Tensor:
        """Inverse of ``squash``; actions on or beyond the boundary are taken to lie just inside."""
        if not self.any_squashed:
            return a
        a = a / self.radius
        r = self._length(a)
        factor = torch.atanh(r.clamp(max=_INSIDE)) / r
        return a * (factor if self.all_squashed else torch.where(self.squashed, factor, 1.0))

    def log_det(self, u: Tensor, valid: Tensor | None = None) -> Tensor:
        """Logarithm of the Jacobian determinant of the squash, shape ``(B,)``.

        Args:
            u: unbounded vectors, shape ``(B, dim)``.
            valid: entries that count, shape ``(B, dim)``, bool; None means all.
        """
        if not self.any_squashed:
            return u.new_zeros(u.shape[:-1])
        r = self._length(u)
        return self._log_det(r, r.tanh(), valid)

    def project(self, a: Tensor) -> Tensor:
        """Shorten vectors that reach out of their ball; scalars stay unchanged."""
        if not self.has_vectors:
            return a
        a = a / self.radius
        shrink = (a.square() @ self.same).clamp_min(1.0).rsqrt()
        return a * torch.where(self.squashed & (self.share < 1.0), shrink, 1.0) * self.radius

    def _squash_scalars(self, u: Tensor) -> Tensor:
        """The squash of a space without vectors, in which every entry is squashed."""
        return u.tanh().clamp(-_INSIDE, _INSIDE) * self.radius

    def _squash(self, u: Tensor, r: Tensor, short: Tensor) -> Tensor:
        factor = short.clamp(max=_INSIDE) / r * self.radius
        return u * (factor if self.all_squashed else torch.where(self.squashed, factor, 1.0))

    def _log_det(self, r: Tensor, short: Tensor, valid: Tensor | None) -> Tensor:
        # every coordinate contributes its share of the block, so that one sum over coordinates serves blocks of all
        # sizes
        terms = self.share * self._log_derivative(r) + (1.0 - self.share) * (short / r).log()
        if not self.all_squashed:
            terms = torch.where(self.squashed, terms, 0.0)
        return self._total(terms, valid)

    def _total(self, terms: Tensor, valid: Tensor | None) -> Tensor:
        """Log-determinant of squash and scaling, from the terms of the squash for each coordinate."""
        if valid is None:
            return terms.sum(-1) + self.log_volume
        return cleared(terms + self.radius.log(), valid).sum(-1)

    def _log_derivative(self, r: Tensor) -> Tensor:
        """``log(1 - tanh(r)^2)``, accurate for any r."""
        return 2.0 * (math.log(2.0) - r - softplus(-2.0 * r))

    def _length(self, u: Tensor) -> Tensor:
        """Length of each coordinate's block, plus a tiny constant that makes its gradient at the origin vanish."""
        return (u.square() @ self.same + _TINY).sqrt()
