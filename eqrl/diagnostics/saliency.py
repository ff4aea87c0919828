"""Equivariance of explanations: if a value is invariant, its gradient turns with the observation.

``Equiv = E_g cos(rho(g) e(x), e(g x))`` is 1 for the gradient of a function that is invariant itself, about 0 for
unrelated explanations (Crabbé and van der Schaar, NeurIPS 2023, arXiv 2304.06715). Of the actor the gradient of
``|pi(s)|^2 / 2`` is taken, which is invariant if the actor is equivariant.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from eqrl.diagnostics.elements import elements_of
from eqrl.diagnostics.sample import Functions, Sample
from eqrl.diagnostics.spaces import Spaces
from eqrl.symmetry import Element

_TINY = 1e-20


def saliency_equivariance(functions: Functions, sample: Sample, spaces: Spaces, g: Element, what: str) -> float:
    """Mean cosine of turned saliency and saliency of what is turned; observations without saliency are left out.

    Args:
        functions: of the policy.
        sample: where to look.
        spaces: how observations and actions turn.
        g: the element, an orthogonal one.
        what: ``"actor"`` or ``"value"``.
    """
    turned = Sample(spaces.observations(sample.observations, g), spaces.actions(sample.actions, g), sample.targets)
    expected = spaces.observations(saliency(functions, sample, what), g)
    return mean_cosine(_flat(expected), _flat(saliency(functions, turned, what)))


def least_saliency_equivariance(functions: Functions, sample: Sample, spaces: Spaces, g: Element, what: str) -> float:
    """The least :func:`saliency_equivariance` under the elements that stand for a candidate; arguments as there."""
    return min(saliency_equivariance(functions, sample, spaces, element, what) for element in elements_of(g))


def saliency(functions: Functions, sample: Sample, what: str) -> Any:
    """Gradient of the value, or of half the squared length of the actor's output, as observations are."""
    functions.policy.set_training_mode(False)
    given = sample.observations
    leaves = {k: v.detach().clone().requires_grad_() for k, v in _items(given).items()}
    observations = leaves if isinstance(given, dict) else leaves[""]
    if what == "actor":
        output = 0.5 * functions.actor(observations).square().sum()
    else:
        output = functions.value(observations, sample.actions).sum()
    grads = torch.autograd.grad(output, list(leaves.values()), allow_unused=True)
    filled = [torch.zeros_like(x) if grad is None else grad for grad, x in zip(grads, leaves.values(), strict=True)]
    result = dict(zip(leaves, filled, strict=True))
    return result if isinstance(given, dict) else result[""]


def mean_cosine(a: Tensor, b: Tensor) -> float:
    """Mean cosine of rows; rows that are zero in either are left out."""
    a, b = a.double(), b.double()
    size = a.norm(dim=1) * b.norm(dim=1)
    good = size > _TINY
    return float(((a * b).sum(1)[good] / size[good]).mean()) if bool(good.any()) else 0.0


def _items(observations: Any) -> dict[str, Tensor]:
    return observations if isinstance(observations, dict) else {"": observations}


def _flat(observations: Any) -> Tensor:
    return torch.cat([x.flatten(1) for _, x in sorted(_items(observations).items())], dim=1)
