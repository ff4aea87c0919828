"""Equivariant exploration: Gaussian noise with one width for each orbit, and a radial squash of vector actions."""

from __future__ import annotations

import math
from typing import Self

import torch
from stable_baselines3.common.distributions import Distribution
from torch import Tensor, nn
from torch.distributions import Normal

from eqrl.agents.actions import ActionGeometry
from eqrl.nn import cleared
from eqrl.symmetry import Group, orbits

_HALF_LOG_TAU = 0.5 * math.log(2.0 * math.pi)


class EquivariantGaussian(Distribution):
    """Gaussian with one width for each orbit of the action, followed by the radial squash.

    Where nothing is squashed (joint torques under PPO), this is SB3's diagonal Gaussian with tied widths, and it costs
    the same. ``log_prob(g a | g s) = log_prob(a | s)`` holds exactly.

    Padded entries are not part of the distribution: they are exactly zero in every action, and densities and entropies
    leave them out. Only TRPO's divergence, a mean over entries, counts them, as entries that never differ.

    Args:
        geometry: blocks and radii of the action space.
        group: group to commute with, by default that of the action's representation.
    """

    def __init__(self, geometry: ActionGeometry, group: Group | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        action_orbits = orbits(geometry.representation, group)
        self.geometry = geometry
        self.orbit = action_orbits.index
        self.orbits = action_orbits.count
        self.mean = torch.zeros(0)
        self.log_std = torch.zeros(0)
        self.valid: Tensor | None = None

    def proba_distribution_net(self, log_std_init: float = 0.0) -> nn.Parameter:  # type: ignore[override]
        """State-independent log-widths, one per orbit, shape ``(orbits,)``."""
        return nn.Parameter(torch.full((self.orbits,), float(log_std_init)))

    def proba_distribution(self, mean: Tensor, log_std: Tensor, valid: Tensor | None = None) -> EquivariantGaussian:
        """Set the parameters.

        Args:
            mean: means before squashing, shape ``(B, dim)``.
            log_std: log-widths, shape ``(orbits,)`` or ``(B, orbits)``.
            valid: entries that are not padding, shape ``(B, dim)``, bool; None if all are real.
        """
        if self.orbit.device != mean.device:
            self.orbit = self.orbit.to(mean.device)
        self.valid = valid
        self.mean = cleared(mean, valid)
        self.log_std = log_std.index_select(-1, self.orbit)
        return self

    def log_prob(self, actions: Tensor) -> Tensor:
        """Log-density, shape ``(B,)``, of squashed actions of shape ``(B, dim)``."""
        u = self.geometry.unsquash(cleared(actions, self.valid))
        log_density = self._log_density((u - self.mean) * (-self.log_std).exp())
        return log_density - self.geometry.log_det(u, self.valid) if self.geometry.any_squashed else log_density

    def entropy(self) -> Tensor:
        """Differential entropy, shape ``(B,)``.

        It is exact without a squash. With a squash, one reparameterised sample estimates the mean log-determinant of
        the Jacobian. This estimate is unbiased and has a gradient, whereas SB3 has no entropy for squashed Gaussians
        (``None``).
        """
        entropy = cleared(self.log_std + (0.5 + _HALF_LOG_TAU), self.valid).sum(-1)
        if self.geometry.any_squashed:
            return entropy + self.geometry.log_det(self._draw(), self.valid)
        return entropy.expand(self.mean.shape[:1])

    def sample(self) -> Tensor:
        """Reparameterised actions, shape ``(B, dim)``."""
        return self.geometry.squash(self._draw())

    def mode(self) -> Tensor:
        """The squashed mean, shape ``(B, dim)``: what ``predict(deterministic=True)`` returns."""
        return self.geometry.squash(self.mean)

    @property
    def distribution(self) -> Normal:  # type: ignore[override]
        """The Gaussian before the squash, ``(B, dim)``.

        The squash is a bijection, so the KL divergence of two such Gaussians, which TRPO bounds, is that of the
        actions.
        """
        return Normal(self.mean, cleared(self.log_std, self.valid).exp().expand_as(self.mean))

    def __copy__(self) -> Self:
        """A separate object with the same parameters, for TRPO's old distribution."""
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        return twin

    def __getstate__(self) -> dict[str, object]:
        """Leave out the parameters of the last batch: tensors with a gradient graph cannot be deep-copied."""
        return {**self.__dict__, "mean": torch.zeros(0), "log_std": torch.zeros(0), "valid": None}

    def _log_density(self, z: Tensor) -> Tensor:
        """Log-density of the Gaussian before the squash, at noise ``z`` in units of its widths."""
        if self.valid is None:
            return -0.5 * z.square().sum(-1) - self.log_std.sum(-1) - _HALF_LOG_TAU * self.geometry.dim
        return cleared(-0.5 * z.square() - self.log_std - _HALF_LOG_TAU, self.valid).sum(-1)

    def _draw(self) -> Tensor:
        return self.mean + self.log_std.exp() * self._noise()

    def _noise(self) -> Tensor:
        return cleared(torch.randn_like(self.mean), self.valid)

    def actions_from_params(
        self, mean: Tensor, log_std: Tensor, valid: Tensor | None = None, deterministic: bool = False
    ) -> Tensor:
        """Actions for given parameters."""
        return self.proba_distribution(mean, log_std, valid).get_actions(deterministic=deterministic)

    def log_prob_from_params(self, mean: Tensor, log_std: Tensor, valid: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Reparameterised actions and their log-density, computed without inverting the squash."""
        self.proba_distribution(mean, log_std, valid)
        z = self._noise()
        actions, log_det = self.geometry.squash_with_log_det(self.mean + self.log_std.exp() * z, self.valid)
        # the noise is known, so neither the squash nor the affine map has to be inverted
        return actions, self._log_density(z) - log_det
