"""Equivariant exploration: Gaussian noise of equal width on every orbit, squashed radially where actions are vectors."""

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
    """Gaussian with one width per orbit of the action, pushed through the radial squash.

    Where nothing is squashed (joint torques under PPO) this is SB3's diagonal Gaussian with tied widths, at its
    cost. It has ``log_prob(g a | g s) = log_prob(a | s)`` exactly.

    Entries of padding are no part of it: they are exactly zero in every action and count neither in densities nor in
    entropies. Only in TRPO's divergence, a mean over entries, they count as entries that never differ.

    Args:
        geometry: blocks and radii of the action space.
        group: group with which to commute, by default the action representation's own.
    """

    def __init__(self, geometry: ActionGeometry, group: Group | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        found = orbits(geometry.representation, group)
        self.geometry = geometry
        self.orbit = found.index
        self.orbits = found.count
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
            valid: entries that are no padding, shape ``(B, dim)``, bool; None if all are real.
        """
        if self.orbit.device != mean.device:
            self.orbit = self.orbit.to(mean.device)
        self.valid = valid
        self.mean = cleared(mean, valid)
        self.log_std = log_std.index_select(-1, self.orbit)
        return self

    def log_prob(self, actions: Tensor) -> Tensor:
        """Log-density of squashed actions of shape ``(B, dim)``, shape ``(B,)``."""
        u = self.geometry.unsquash(cleared(actions, self.valid))
        log_density = self._log_density((u - self.mean) * (-self.log_std).exp())
        return log_density - self.geometry.log_det(u, self.valid) if self.geometry.any_squashed else log_density

    def entropy(self) -> Tensor:
        """Differential entropy, shape ``(B,)``.

        It is exact without squash. With it, one reparameterised sample stands for the mean of the Jacobian: unbiased,
        and with a gradient, which SB3's estimate for squashed Gaussians (entropy ``None``) lacks under PPO.
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

        The squash is a bijection, so a KL divergence of two such Gaussians, which TRPO bounds, is that of the actions.
        """
        return Normal(self.mean, cleared(self.log_std, self.valid).exp().expand_as(self.mean))

    def __copy__(self) -> Self:
        """The same parameters in an object of its own, for TRPO's old distribution."""
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        return twin

    def __getstate__(self) -> dict[str, object]:
        """Leave out the parameters of the last batch: tensors inside a gradient's graph cannot be copied in depth."""
        return {**self.__dict__, "mean": torch.zeros(0), "log_std": torch.zeros(0), "valid": None}

    def _log_density(self, z: Tensor) -> Tensor:
        """Log-density of the Gaussian, before the squash, at noise ``z`` in units of its widths."""
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
        """Actions, given the parameters."""
        return self.proba_distribution(mean, log_std, valid).get_actions(deterministic=deterministic)

    def log_prob_from_params(self, mean: Tensor, log_std: Tensor, valid: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Reparameterised actions and their log-density, without a lossy inversion of the squash."""
        self.proba_distribution(mean, log_std, valid)
        z = self._noise()
        actions, log_det = self.geometry.squash_with_log_det(self.mean + self.log_std.exp() * z, self.valid)
        # the noise is known, so nothing has to be inverted, neither the squash nor mean and width
        return actions, self._log_density(z) - log_det
