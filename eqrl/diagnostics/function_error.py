"""How far the functions of a policy are from a symmetry: the error that PER reports (arXiv 2306.00356)."""

from __future__ import annotations

import torch
from torch import Tensor

from eqrl.diagnostics.elements import elements_of
from eqrl.diagnostics.sample import Functions, Sample
from eqrl.diagnostics.spaces import Spaces
from eqrl.symmetry import Element

_TINY = 1e-12


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
    """The largest of :func:`function_errors` under the elements that stand for a candidate.

    Args:
        functions: of the policy.
        sample: where to look.
        spaces: how observations and actions turn.
        g: the candidate's element.
    """
    errors = [function_errors(functions, sample, spaces, element) for element in elements_of(g)]
    return {what: max(error[what] for error in errors) for what in errors[0]}
