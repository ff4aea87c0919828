"""Modules whose fixed numbers stay exact through every change of dtype."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor, nn


class ExactModule(nn.Module):
    """A module with constants: fixed index and coefficient tensors that follow ``.to()`` and ``.double()``.

    An ordinary buffer that went through float32 keeps the float32 rounding when the module becomes float64, and
    with it an equivariance error of 1e-8. Here the float64 original is kept, and each conversion starts from it.
    Constants follow from the constructor's arguments, so they are left out of the state dict.
    """

    def __init__(self) -> None:
        super().__init__()
        self._originals: dict[str, Tensor] = {}

    def register_constant(self, name: str, value: Tensor) -> None:
        """Register a tensor of integers or float64 numbers as ``self.<name>``.

        Args:
            name: attribute name.
            value: integers are kept as they are; floating numbers must be float64 and get the default dtype.

        Raises:
            ValueError: if a floating tensor is not float64, because its exact value is then lost already.
        """
        if value.is_floating_point():
            if value.dtype != torch.float64:
                raise ValueError(f"constant {name!r} must be given in float64, got {value.dtype}")
            self._originals[name] = value
            value = value.to(torch.get_default_dtype())
        self.register_buffer(name, value, persistent=False)

    def register_optional(self, name: str, value: Tensor | None) -> None:
        """As :meth:`register_constant`, or ``self.<name> = None``: an operation that is skipped."""
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
