"""Normalised features of rsl_rl's observations, in place of its ``EmpiricalNormalization``."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from gymnasium import spaces
from torch import Tensor, nn

from eqrl.agents.features import TypedFeatures
from eqrl.symmetry import Group, TypedBox, representation_of


class TypedNormalizer(nn.Module):
    """Features of concatenated groups of observations, normalised without preferring a direction.

    It stands where rsl_rl has ``EmpiricalNormalization``, which gives every coordinate a scale of its own and so breaks
    the symmetry. Statistics are pooled over the processes of a distributed training, as there.

    Args:
        space: of the groups: a box for one, a dict for several.
        groups: names of the groups, in the order in which they are concatenated.
        group: group of symmetry to commute with.
        normalize: whether to normalise at all.
        relative_goal: whether a desired goal is replaced by its difference from the achieved one.
        keep_positions: whether positions stay as they are, for networks that take their differences.
    """

    def __init__(
        self,
        space: TypedBox | spaces.Dict,
        groups: Sequence[str],
        group: Group,
        normalize: bool,
        relative_goal: bool,
        keep_positions: bool,
    ) -> None:
        super().__init__()
        self.features = TypedFeatures(
            space, group, normalize, relative_goal=relative_goal, keep_positions=keep_positions
        )
        self.groups = list(groups)
        parts = [space[name] for name in groups] if isinstance(space, spaces.Dict) else [space]
        self.sizes = [representation_of(part).dim for part in parts]

    def forward(self, x: Tensor) -> Tensor:
        """Map concatenated observations ``(B, dim)`` to features ``(B, dim)``."""
        features: Tensor = self.features(self._by_group(x))
        return features

    @torch.no_grad()
    def update(self, x: Tensor) -> None:
        """Let the statistics of concatenated observations ``(B, dim)`` take effect, in training only."""
        norm = self.features.norm
        if norm is None or not self.training:
            return
        before = norm.running_moments.clone()
        norm.collect(self.features.flatten(self._by_group(x)))
        norm.commit()
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            added = norm.running_moments - before
            torch.distributed.all_reduce(added)
            norm.running_moments.copy_(before + added)
            norm.commit()

    def _by_group(self, x: Tensor) -> Tensor | dict[str, Tensor]:
        if len(self.groups) == 1:
            return x
        return dict(zip(self.groups, x.split_with_sizes(self.sizes, dim=-1), strict=True))
