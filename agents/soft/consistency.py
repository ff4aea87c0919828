"""How far a function is from a symmetry, as differentiable terms: the building blocks of several priors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from eqrl.agents.orbit import Orbit
from eqrl.symmetry import Element

Function = Callable[..., Any]


def images_of(orbit: Orbit, n: int) -> list[Element]:
    """The elements by which ``n`` observations are turned: generators of a finite group, else a random one for each."""
    return [g for _, g in orbit.group.generators] if orbit.group.order is not None else [orbit.draw(n)]


def policy_difference(mean: Function, observations: Any, orbit: Orbit, images: Sequence[Element]) -> Tensor:
    """``|| mean(g s) - g mean(s) ||^2``, a mean over entries, observations and elements."""
    turned = [orbit.observations(observations, g) for g in images]
    here, *there = mean(joined([observations, *turned])).chunk(1 + len(images))
    return torch.stack(
        [mean_square(a, orbit.actions(here, g), orbit.valid(x)) for a, g, x in zip(there, images, turned, strict=True)]
    ).mean()


def value_difference(
    value: Function, observations: Any, actions: Tensor | None, orbit: Orbit, images: Sequence[Element]
) -> Tensor:
    """``(V(g s) - V(s))^2``, or with actions ``(Q(g s, g a) - Q(s, a))^2``."""
    inputs = [joined([observations, *(orbit.observations(observations, g) for g in images)])]
    if actions is not None:
        inputs.append(torch.cat([actions, *(orbit.actions(actions, g) for g in images)]))
    values = value(*inputs)
    values = torch.cat(values, dim=-1) if isinstance(values, tuple) else values
    here, *there = values.chunk(1 + len(images))
    return torch.stack([mse_loss(v, here) for v in there]).mean()


def mean_square(a: Tensor, b: Tensor, valid: Tensor | None) -> Tensor:
    """Mean square difference of the entries that are not padding."""
    return mse_loss(a, b) if valid is None else mse_loss(a[valid], b[valid])


def length(observations: Any) -> int:
    """Number of observations in a batch."""
    return len(next(iter(observations.values())) if isinstance(observations, dict) else observations)


def joined(batches: Sequence[Any]) -> Any:
    """Batches of observations behind each other."""
    if isinstance(batches[0], dict):
        return {key: torch.cat([batch[key] for batch in batches]) for key in batches[0]}
    return torch.cat(list(batches))
