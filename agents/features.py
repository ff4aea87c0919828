"""From a typed observation, a box or a dict of boxes, to one flat, normalised feature vector."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Self, TypeAlias

import gymnasium
import torch
from gymnasium import spaces
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor

from eqrl.agents.normalization import RunningNorm
from eqrl.symmetry import Field, Group, Representation, representation_of

Observation: TypeAlias = Tensor | dict[str, Tensor]
ACHIEVED, DESIRED = "achieved_goal", "desired_goal"


class TypedFeatures(BaseFeaturesExtractor):
    """Flatten a typed observation and normalise it. Nothing is learnt here.

    The entries of a dict are concatenated in sorted order. If both goals have the same representation, ``desired_goal``
    becomes ``desired_goal - achieved_goal``; if they differ, so do those fields that have the same name and type in
    both. This map is linear, invertible and equivariant. The achieved goal stays as it is, so features of goals that
    are places in the world tell where the scene is, unless they have the role ``"position"`` and a network takes
    differences of them.

    Args:
        observation_space: a ``TypedBox``, or a ``Dict`` of them.
        group: group that the normaliser commutes with, by default that of the representation.
        normalize: whether to normalise at all.
        normalize_until: number of samples after which the statistics are frozen; None means never.
        relative_goal: whether to replace the desired goal by its difference from the achieved one.
        keep_positions: whether fields with role ``"position"`` stay as they are, for networks that take differences of
            them.

    Raises:
        UntypedSpaceError: if the space is not typed.
    """

    partners: Tensor | None
    unit: Tensor

    def __init__(
        self,
        observation_space: gymnasium.Space[Any],
        group: Group | None = None,
        normalize: bool = True,
        normalize_until: int | None = None,
        relative_goal: bool = True,
        keep_positions: bool = False,
    ) -> None:
        representation = representation_of(observation_space)
        super().__init__(observation_space, representation.dim)
        self.representation = representation
        self.keys = sorted(observation_space.spaces) if isinstance(observation_space, spaces.Dict) else None
        kept = _positions(representation) if keep_positions else frozenset()
        self.norm = RunningNorm(representation, group, until=normalize_until, keep=kept) if normalize else None
        partners = _partners(observation_space, keep_positions) if relative_goal else None
        self.register_buffer("partners", partners, persistent=False)
        self.register_buffer("unit", torch.ones(()), persistent=False)  # has the precision that the policy computes in
        self._minibatch: tuple[Observation, tuple[int, ...], Tensor] | None = None

    def forward(self, observation: Observation) -> Tensor:
        """Features of a batch of observations, shape ``(B, dim)``."""
        if (features := self._cached(observation)) is not None:
            return features
        x = self.flatten(observation)
        return x if self.norm is None else self.norm(x)

    def flatten(self, observation: Observation) -> Tensor:
        """Features before normalisation, shape ``(B, dim)``."""
        if isinstance(observation, Tensor):
            return observation.to(self.unit.dtype)
        parts = {key: value.to(self.unit.dtype) for key, value in observation.items()}
        if self.partners is not None:
            achieved = torch.nn.functional.pad(parts[ACHIEVED], (0, 1))
            parts[DESIRED] = parts[DESIRED] - achieved.index_select(-1, self.partners)
        return torch.cat([parts[key] for key in self.keys or ()], dim=-1)

    def observe(self, observation: Observation, commit: bool) -> Tensor:
        """Collect statistics from a batch and return its features.

        Args:
            observation: a batch of observations.
            commit: whether the statistics take effect at once.
        """
        x = self.flatten(observation)
        if self.norm is None:
            return x
        if not self.norm.frozen:
            self.norm.collect(x)
            if commit:
                self.norm.commit()
        return self.norm(x)  # type: ignore[no-any-return]

    def observe_minibatch(self, observation: Observation) -> Tensor:
        """``observe`` for a gradient step, in which actor and critic both ask for the features of one minibatch.

        The statistics of the minibatch are collected once and take effect at once; its features are computed once.
        """
        if (features := self._cached(observation)) is None:
            features = self.observe(observation, commit=True)
            self._minibatch = observation, _versions(observation), features
        return features

    def train(self, mode: bool = True) -> Self:
        """Set the mode and forget the last minibatch, whose tensor may be overwritten between gradient steps."""
        self._minibatch = None
        return super().train(mode)

    def _cached(self, observation: Observation) -> Tensor | None:
        """The features of the last minibatch, if this is the same object and nothing has written to it."""
        if (
            self._minibatch is None
            or self._minibatch[0] is not observation
            or self._minibatch[1] != _versions(observation)
        ):
            return None
        return self._minibatch[2]


def _positions(representation: Representation) -> frozenset[str]:
    """Names of the fields that hold positions of entities."""
    return frozenset(field.name for field in representation.fields if field.role == "position")


def _versions(observation: Observation) -> tuple[int, ...]:
    """How many times each tensor has been written to."""
    tensors = (observation,) if isinstance(observation, Tensor) else observation.values()
    return tuple(tensor._version for tensor in tensors)


def _partners(space: gymnasium.Space[Any], keep_positions: bool) -> Tensor | None:
    """For each coordinate of the desired goal, which coordinate of the achieved goal is subtracted.

    A number behind the last coordinate stands for zero. None if nothing is subtracted.
    """
    if not isinstance(space, spaces.Dict) or not {ACHIEVED, DESIRED} <= set(space.spaces):
        return None
    achieved, desired = representation_of(space[ACHIEVED]), representation_of(space[DESIRED])
    partners = torch.full((desired.dim,), achieved.dim, dtype=torch.int64)
    absolute = desired.markers | (_positions(desired) if keep_positions else frozenset())
    for name, twin in _twins(achieved, desired):
        if name not in absolute:
            where = achieved.slices[twin]
            partners[desired.slices[name]] = torch.arange(where.start, where.stop)
    return partners if bool((partners < achieved.dim).any()) else None


def _twins(achieved: Representation, desired: Representation) -> list[tuple[str, str]]:
    """Names of fields of the desired goal, each with the field of the achieved one that means the same."""
    if _anonymous(achieved) == _anonymous(desired):
        return [(a.name, b.name) for a, b in zip(desired.fields, achieved.fields, strict=True)]
    known = {field.name: field for field in achieved.fields}
    return [
        (f.name, f.name) for f in desired.fields if f.name in known and _without_role(f) == _without_role(known[f.name])
    ]


def _anonymous(representation: Representation) -> Representation:
    """The representation without names, roles and masks."""
    fields = tuple(replace(_without_role(field), name=str(i)) for i, field in enumerate(representation.fields))
    entities = tuple(replace(entity_set, mask=None) for entity_set in representation.entities)
    return Representation(fields, entities, representation.group)


def _without_role(field: Field) -> Field:
    """The field without its role."""
    return replace(field, role="")
