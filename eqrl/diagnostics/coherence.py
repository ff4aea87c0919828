"""Gradient coherence along orbits: does what is learnt at s teach the same at gs?

The influence of training at gx on x is ``grad L(x)^T chi grad L(gx)``, with the inverse of a regularised Gauss-Newton
matrix as metric chi, or the identity. Its cosine is 1 for a network that cannot break the symmetry, trained or not, and
less for one that has merely been fitted, however small its error (after Amarel et al., arXiv 2601.20172). So coherence
tells guaranteed from fitted, which the error of the function cannot. It does not tell how well something was fitted:
where an image is near, as after a small rotation, gradients are alike in any network, and values share their mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from eqrl.diagnostics.elements import elements_of
from eqrl.diagnostics.sample import Functions, Sample
from eqrl.diagnostics.spaces import Spaces
from eqrl.symmetry import Element

_TINY = 1e-30


@dataclass(frozen=True)
class Coherence:
    """Mean cosines of gradients.

    Attributes:
        orbit: of a sample and its image.
        random: of two different samples, the baseline.
        orbit_metric: as ``orbit``, in the Gauss-Newton metric.
        random_metric: as ``random``, in that metric.
    """

    orbit: float
    random: float
    orbit_metric: float
    random_metric: float


def coherence(
    functions: Functions,
    sample: Sample,
    spaces: Spaces,
    g: Element,
    what: str,
    *,
    here: Tensor | None = None,
    damping: float = 1e-3,
) -> Coherence:
    """Coherence of the gradients of a simple loss under an element.

    The loss of one sample is half the squared distance of the actor to the action that was taken, or of the value to
    its target. Targets are turned along.

    Args:
        functions: of the policy.
        sample: where to look; each costs a backward pass, and so does its image.
        spaces: how observations and actions turn.
        g: the element.
        what: ``"actor"`` or ``"value"``.
        here: :func:`gradients` of the sample, where they are known already.
        damping: of the Gauss-Newton matrix, relative to its mean eigenvalue on the gradients' span.
    """
    turned = Sample(spaces.observations(sample.observations, g), spaces.actions(sample.actions, g), sample.targets)
    here = gradients(functions, sample, what) if here is None else here
    there = gradients(functions, turned, what)
    plain = cosines(here, there)
    metric = cosines(*metric_products(here, there, damping))
    return Coherence(*plain, *metric)


def least_coherence(
    functions: Functions, sample: Sample, spaces: Spaces, g: Element, what: str, *, here: Tensor | None = None
) -> Coherence:
    """The least :func:`coherence` of orbits under the elements that stand for a candidate; arguments as there."""
    here = gradients(functions, sample, what) if here is None else here
    measured = [coherence(functions, sample, spaces, element, what, here=here) for element in elements_of(g)]
    return min(measured, key=lambda c: c.orbit)


def gradients(functions: Functions, sample: Sample, what: str) -> Tensor:
    """Gradient of each sample's loss, float64, ``(B, P)``. No ``.grad`` is touched."""
    parameters = functions.parameters(what)
    functions.policy.set_training_mode(False)
    rows = []
    for i in range(len(sample)):
        one = sample[slice(i, i + 1)]
        if what == "actor":
            difference = functions.actor(one.observations) - one.actions
        else:
            difference = functions.value(one.observations, one.actions) - one.targets
        grads = torch.autograd.grad(0.5 * difference.square().sum(), parameters, allow_unused=True)
        flat = [
            torch.zeros_like(p).flatten() if g is None else g.flatten() for g, p in zip(grads, parameters, strict=True)
        ]
        rows.append(torch.cat(flat).double())
    return torch.stack(rows)


def cosines(a: Tensor, b: Tensor) -> tuple[float, float]:
    """Mean cosine of equal rows, and of different rows of the first; rows that are zero are left out."""
    length = a.norm(dim=1), b.norm(dim=1)
    good = (length[0] > _TINY) & (length[1] > _TINY)
    if good.sum() < 2:
        return 0.0, 0.0
    unit, other = a[good] / length[0][good, None], b[good] / length[1][good, None]
    pairs = unit @ unit.T
    n = len(unit)
    return float((unit * other).sum(1).mean()), float((pairs.sum() - pairs.diagonal().sum()) / (n * (n - 1)))


def metric_products(here: Tensor, there: Tensor, damping: float) -> tuple[Tensor, Tensor]:
    """Rows whose plain products are those of the gradients in the metric ``chi = (J^T J / n + d I)^-1``.

    J holds the gradients of samples and images; d is the damping times the mean eigenvalue on their span. Nothing of
    the size of the parameters squared is formed: in the basis of the span, chi is a small matrix.

    Args:
        here: gradients, ``(B, P)``.
        there: gradients of the images, ``(B, P)``.
        damping: relative damping.
    """
    J = torch.cat([here, there])
    # J = U S V^T: all gradients lie in the span of V, where chi is diagonal
    U, S, _ = torch.linalg.svd(J, full_matrices=False)
    eigenvalues = S.square() / len(J)
    scaled = U * (S / (eigenvalues + damping * eigenvalues.mean()).sqrt())
    return scaled[: len(here)], scaled[len(here) :]
