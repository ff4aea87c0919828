"""Vectors with the channel as the last axis, ``(..., space, channels)``: bounds, quarter turns, weights of neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

LIMIT = 3.0  # lengths approach this number and never exceed it
_TINY = 1e-24


@dataclass(frozen=True)
class Algebra:
    """What vectors are made of, and what a mirror does to them.

    Attributes:
        space: components of a vector: 2 where the group keeps gravity, 3 where it does not. In the plane an axial
            vector turned by 90 degrees behaves as a polar one, so there are no axial vectors.
        mirrors: whether pseudoscalars and axial vectors are told apart from scalars and polar ones.
    """

    space: int
    mirrors: bool

    @property
    def plane(self) -> bool:
        """Whether vectors are horizontal."""
        return self.space == 2

    @property
    def axial(self) -> bool:
        """Whether there are axial vectors."""
        return self.mirrors and not self.plane


def soft_clip(v: Tensor) -> Tensor:
    """Vectors ``(..., space, channels)`` shortened smoothly to lengths below ``LIMIT``."""
    return v * (v.square().sum(-2, keepdim=True) * LIMIT**-2 + 1.0).rsqrt()


def soft_clip_numbers(s: Tensor) -> Tensor:
    """Numbers of any shape shortened smoothly to sizes below ``LIMIT``."""
    return s * (s.square() * LIMIT**-2 + 1.0).rsqrt()


def bounded(v: Tensor, scale: float) -> Tensor:
    """Vectors ``(..., space, channels)`` in units of a scale if they are shorter than it, else of length below one."""
    return v * (v.square().sum(-2, keepdim=True) + scale**2).rsqrt()


def bounded_numbers(s: Tensor, scale: float) -> Tensor:
    """Numbers of any shape in units of a scale if they are smaller than it, else below one."""
    return s * (s.square() + scale**2).rsqrt()


def length(v: Tensor) -> Tensor:
    """Length along the last axis, which stays; its gradient vanishes at zero."""
    return (v.square().sum(-1, keepdim=True) + _TINY).sqrt()


def quarter_turn(v: Tensor) -> Tensor:
    """Horizontal vectors ``(..., 2, channels)`` turned by 90 degrees about the vertical."""
    x, y = v.unbind(-2)
    return torch.stack([-y, x], dim=-2)


def cross(a: Tensor, b: Tensor) -> Tensor:
    """Cross products of vectors ``(..., 3, channels)``."""
    product: Tensor = torch.linalg.cross(a, b, dim=-2)
    return product


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Inner products of vectors ``(..., space, channels)``, one for each channel."""
    return (a * b).sum(-2)
