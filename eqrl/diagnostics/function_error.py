"""How far the functions of a policy are from a symmetry: the error that PER reports (arXiv 2306.00356)."""

from __future__ import annotations

from itertools import accumulate, repeat

import torch
from torch import Tensor

from eqrl.diagnostics.sample import Functions, Sample
from eqrl.diagnostics.spaces import Spaces
from eqrl.symmetry import Element

_TINY = 1e-12
_SAME = 1e-9
_POWERS = (1, 2, 5)  # of a rotation by 37 degrees, so that the last one is nearly a half turn
_LARGEST_ORDER = 24  # an element of higher order stands for a continuous group


def relative_error(actual: Tensor, expected: Tensor) -> float:
    """``||a - b|| / (||a|| + ||b||)``, between 0 and 1; 0 where both are zero."""
    a, b = actual.double(), expected.double()
    size = float(a.norm() + b.norm())
    return float((a - b).norm()) / size if size > _TINY else 0.0


@torch.no_grad()
def function_errors(functions: Functions, sample: Sample, spaces: Spaces, g: Element) -> dict[str, float]:
    """Errors of ``"actor"`` and ``"value"`` under an element.

    Values count without their mean, which is invariant and says nothing.

    Args:
        functions: of the policy.
        sample: where to look.
        spaces: how observations and actions turn.
        g: the element.
    """
    turned = spaces.observations(sample.observations, g)
    action = spaces.actions(functions.actor(sample.observations), g)
    here = functions.value(sample.observations, sample.actions)
    there = functions.value(turned, spaces.actions(sample.actions, g))
    mean = 0.5 * (here.mean() + there.mean())
    return {
        "actor": relative_error(functions.actor(turned), action),
        "value": relative_error(there - mean, here - mean),
    }


def largest_errors(functions: Functions, sample: Sample, spaces: Spaces, g: Element) -> dict[str, float]:
    """The larger of :func:`function_errors` under an element and, where it stands for a continuous group, its powers.

    A network that is far from a symmetry may hardly differ after a small rotation.

    Args:
        functions: of the policy.
        sample: where to look.
        spaces: how observations and actions turn.
        g: the element.
    """
    powers = list(accumulate(repeat(g, _LARGEST_ORDER), Element.compose))
    one = torch.eye(3, dtype=g.R.dtype)
    continuous = not any(torch.allclose(power.R, one, atol=_SAME) for power in powers)
    tried = [powers[k - 1] for k in _POWERS] if continuous else [g]
    errors = [function_errors(functions, sample, spaces, power) for power in tried]
    return {what: max(error[what] for error in errors) for what in errors[0]}
