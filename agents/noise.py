"""Exploration noise that has no preferred direction."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import Space
from numpy.typing import NDArray
from stable_baselines3.common.noise import ActionNoise

from eqrl.symmetry import representation_of, vector_blocks


class BallNoise(ActionNoise):
    """Gaussian action noise for TD3 and DDPG, limited in the length of vectors instead of in their components.

    The Gaussian is isotropic for every vector, but clipping its components is not. Long samples are therefore shortened
    along their own direction, which leaves as little as possible to SB3's component-wise clip of action plus noise.

    Args:
        action_space: the typed action space.
        sigma: standard deviation of every entry, in units of the action's bounds.
        limit: largest length of a noise vector and largest size of the noise of a scalar, in the same units.
    """

    def __init__(self, action_space: Space[Any], sigma: float = 0.1, limit: float = 0.5) -> None:
        super().__init__()
        self.sigma, self.limit = sigma, limit
        representation = representation_of(action_space)
        self._same = np.eye(representation.dim)
        for block in vector_blocks(representation):
            self._same[np.ix_(block, block)] = 1.0

    def __call__(self) -> NDArray[np.float32]:
        """One sample, shape ``(action_dim,)``, from NumPy's global generator like SB3's noises."""
        noise = np.random.normal(scale=self.sigma, size=len(self._same))
        length = np.sqrt(self._same @ noise**2)
        return (noise * np.minimum(1.0, self.limit / np.maximum(length, 1e-12))).astype(np.float32)

    def __repr__(self) -> str:
        """Width and limit."""
        return f"BallNoise(sigma={self.sigma}, limit={self.limit})"
