"""The global random number generators that an update draws from, so that the same update can be repeated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Randomness:
    """States of the global generators.

    Attributes:
        numpy_state: state of NumPy's generator, from which SB3's buffers draw.
        torch_state: state of PyTorch's generator on the CPU.
        cuda_state: state of PyTorch's generator on the model's device, or None for the CPU.
    """

    numpy_state: dict[str, Any]
    torch_state: Tensor
    cuda_state: Tensor | None

    @classmethod
    def now(cls, device: torch.device) -> Randomness:
        """Copy the states."""
        cuda = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
        return cls(np.random.get_state(legacy=False), torch.get_rng_state(), cuda)

    def restore(self, device: torch.device) -> None:
        """Restore the states."""
        np.random.set_state(self.numpy_state)
        torch.set_rng_state(self.torch_state)
        if self.cuda_state is not None:
            torch.cuda.set_rng_state(self.cuda_state, device)

    def arrays(self) -> dict[str, Any]:
        """The states as arrays, for a file."""
        inner = self.numpy_state["state"]
        return {
            "random.numpy_key": inner["key"],
            "random.numpy_position": np.asarray(inner["pos"]),
            "random.torch": self.torch_state.numpy(),
            **({} if self.cuda_state is None else {"random.cuda": self.cuda_state.numpy()}),
        }
