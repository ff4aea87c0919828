"""Modules whose constants stay exact through every change of dtype."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor, nn


class ExactModule(nn.Module):
    """A module with constants: fixed index and coefficient tensors that follow ``.to()`` and ``.double()``.

    An ordinary buffer that was float32 once keeps its rounding errors when the module becomes float64, which leaves an
    equivariance error of 1e-8. This class stores the float64 original, and every conversion starts from it. Constants
    follow from the constructor's arguments, so the state dict does not hold them.
    """

    def __init__(self) -> None:
        super().__init__()
        self._originals: dict[str, Tensor] = {}

    def register_constant(self, name: str, value: Tensor) -> None:
        """Register a tensor of integers or float64 numbers as ``self.<name>``.

        Args:
            name: attribute name.
            value: integers, which keep their dtype, or float64 numbers, which get the default dtype.

        Raises:
            ValueError: if a floating-point tensor is not float64, because its exact value is lost already.
        """
        if value.is_floating_point():
            if value.dtype != torch.float64:
                raise ValueError(f"constant {name!r} must be given in float64, got {value.dtype}")
            self._originals[name] = value
            value = value.to(torch.get_default_dtype())
        self.register_buffer(name, value, persistent=False)

    def register_optional(self, name: str, value: Tensor | None) -> None:
        """As :meth:`register_constant`; None registers ``self.<name> = None``, for an operation that is skipped."""
        if value is None:
            self.register_buffer(name, None, persistent=False)
        else:
            self.register_constant(name, value)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for name, original in self._originals.items():
            converted = self._buffers[name]
            assert converted is not None
            # meta tensors have no values to restore; to_empty() on them is followed by a real conversion
            if not converted.is_meta:
                self._buffers[name] = original.to(converted)
        return self
