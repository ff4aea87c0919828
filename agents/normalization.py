"""Running normalisation inside the policy, equivariant by construction.

Statistics of single coordinates, such as those of ``VecNormalize``, scale the axes of a vector differently and so break
its rotation. Here every orbit of coordinates has one scale, an offset is removed only where the group permits one, and
outliers are shortened along their own direction.

The statistics are buffers named ``running_*``. Stable-Baselines3 therefore saves them with the weights and copies them
into target networks unchanged, instead of averaging them.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import torch
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor, nn

from eqrl.nn import Padding, cleared
from eqrl.symmetry import Group, Representation, orbits

_ZERO = 1e-9


class RunningNorm(nn.Module):
    """Scale every orbit of coordinates to unit size, by running statistics.

    ``collect`` only collects statistics; ``commit`` makes them effective. They are separate because PPO compares
    log-probabilities between a rollout and its training: the normaliser must not change within such a cycle.

    Padded slots do not count, whatever they contain, and become zero. Masks and edges are passed on unchanged. The
    entities of an exchangeable set share their statistics.

    Args:
        representation: representation of the input.
        group: group to commute with, by default that of the representation.
        clip: largest length of a normalised vector, and largest size of a normalised scalar.
        until: number of samples in effect after which the statistics are frozen; None means never.
        keep: names of fields that are passed on unchanged, in addition to masks and edges.
    """

    running_moments: Tensor  # (3, orbits) float64: number, sum, sum of squares; raw sums stay exact for 1e12 samples
    running_shift: Tensor  # (dim,)
    running_gain: Tensor  # (dim,)
    pending: Tensor  # (3, orbits) float64, collected but not yet in effect
    orbit: Tensor
    size: Tensor
    offset: Tensor
    fixed: Tensor
    block: Tensor

    def __init__(
        self,
        representation: Representation,
        group: Group | None = None,
        clip: float = 10.0,
        until: int | None = None,
        keep: Collection[str] = (),
    ) -> None:
        super().__init__()
        group = group or representation.group
        partition = orbits(representation, group)
        block, self._blocks = _mixed_blocks(representation, group)
        fixed = torch.zeros(representation.dim, dtype=torch.bool)
        for name in {*representation.markers, *keep}:
            fixed[representation.slices[name]] = True
        self.clip = clip
        self.until = until
        self._any_kept = len(keep) > 0
        self._any_vector = self._blocks < representation.dim
        self.padding = Padding.of(representation, representation)
        self.register_buffer("running_moments", torch.zeros(3, partition.count, dtype=torch.float64))
        self.register_buffer("running_shift", torch.zeros(representation.dim))
        self.register_buffer("running_gain", torch.ones(representation.dim))
        self.register_buffer("pending", torch.zeros(3, partition.count, dtype=torch.float64))
        size = torch.bincount(partition.index, minlength=partition.count)
        constants = {"orbit": partition.index, "size": size, "offset": partition.offset, "fixed": fixed, "block": block}
        for name, value in constants.items():
            self.register_buffer(name, value, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise.

        Args:
            x: raw features, shape ``(B, dim)``.

        Returns:
            Normalised features, shape ``(B, dim)``.
        """
        y = (x - self.running_shift) * self.running_gain
        if self.padding is not None:
            y = cleared(y, self.padding.valid(x))
        if not self._any_vector:
            return y.clamp(-self.clip, self.clip)
        length = y.new_zeros(y.shape[0], self._blocks).index_add_(1, self.block, y.square())
        # clamping before the root keeps the gradient of a zero vector finite
        shrink = length.mul_(self.clip**-2).clamp_min_(1.0).rsqrt_()
        shortened = y * shrink.index_select(1, self.block)
        return torch.where(self.fixed, y, shortened) if self._any_kept else shortened

    @torch.no_grad()
    def collect(self, x: Tensor) -> None:
        """Collect the statistics of raw features of shape ``(B, dim)``; they take effect with ``commit``.

        The very first batch takes effect at once, since there is nothing yet to be consistent with.
        """
        wide = x.double()
        if self.padding is not None:
            valid = self.padding.valid(x)
            wide = cleared(wide, valid)
            number = valid.double().sum(0)
        else:
            number = torch.full_like(wide[0], len(wide))
        self.pending.index_add_(1, self.orbit, torch.stack([number, wide.sum(0), wide.square().sum(0)]))
        if self.samples == 0.0:
            self.commit()

    @torch.no_grad()
    def commit(self) -> None:
        """Let all collected statistics take effect."""
        self.running_moments += self.pending
        self.pending.zero_()
        number, total, squares = self.running_moments
        mean = torch.where(self.offset, total / number.clamp_min(1.0), 0.0)
        variance = (squares / number.clamp_min(1.0) - mean.square()).clamp_min(0.0)
        # One virtual sample of unit size limits the gain of coordinates that have hardly varied yet, such as velocities
        # at reset.
        variance = (number * variance + 1.0) / (number + 1.0)
        gain = variance.clamp_min(1e-8).rsqrt()
        # in place, because SAC and TD3 hold references to these tensors
        self.running_shift.copy_(torch.where(self.fixed, 0.0, mean[self.orbit]))
        self.running_gain.copy_(torch.where(self.fixed, 1.0, gain[self.orbit]))

    @property
    def frozen(self) -> bool:
        """Whether the statistics no longer change."""
        return self.until is not None and self.samples >= self.until

    @property
    def samples(self) -> float:
        """Number of observations whose statistics are in effect; padded entities do not count."""
        return float((self.running_moments[0] / self.size).max())


def _mixed_blocks(representation: Representation, group: Group) -> tuple[Tensor, int]:
    """The smallest blocks of coordinates that the group maps to each other, preserving their lengths.

    Coordinates belong to one block if some generator mixes them by more than a signed permutation: x and y under
    rotations about gravity, all three under SO(3), none under an exchange of limbs.
    """
    together = csr_array(np.eye(representation.dim))
    for _, generator in group.generators:
        touched = csr_array((np.abs(representation.matrix(generator).numpy()) > _ZERO).astype(np.float64))
        together = together + touched @ touched.T + touched.T @ touched
    count, index = connected_components(together, directed=False)
    return torch.as_tensor(index, dtype=torch.int64), int(count)
