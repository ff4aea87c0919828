"""Sharing an output between several frames with weights that depend continuously on the input.

Weighted frames (Dym et al., arXiv 2402.16077): every proposed direction counts with an invariant weight that vanishes with
its length, so that nothing jumps where a vector vanishes. What the proposals leave goes to the frame that removes all that
turns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from operator import mul

import torch
from torch import Tensor

# below this fraction of eps a proposed direction is shrunk, which keeps its gradient finite
SHORTEST = 1e-6
_EMPTY = 1e-30


def smoothstep(t: Tensor) -> Tensor:
    """From 0 at ``t <= 0`` to 1 at ``t >= 1``, with slope 0 at both ends."""
    t = t.clamp(0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def priority(length: Tensor, eps: float, ranks: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Weights of proposals of which earlier ranks decide, as far as they are longer than ``eps``.

    Proposals of one rank share its say in proportion to their own, so that their order does not matter.

    Args:
        length: lengths of the proposals, shape ``(B, n)``.
        eps: length from which a proposal has full say.
        ranks: number of proposals in each rank, ``n`` in sum.

    Returns:
        Weights of shape ``(B, n)`` and what is left, shape ``(B, 1)``.
    """
    own = smoothstep(length / eps)
    if all(size == 1 for size in ranks) and not torch.compiler.is_exporting():  # ONNX knows no products over an axis
        left = torch.cat([torch.ones_like(own[:, :1]), torch.cumprod(1 - own, dim=1)], dim=1)
        return own * left[:, :-1], left[:, -1:]
    weights, left = [], torch.ones_like(own[:, :1])
    for says in torch.split(own, list(ranks), dim=1):
        unsaid = reduce(mul, torch.split(1 - says, 1, dim=1))
        shares = says / says.sum(1, keepdim=True).clamp_min(_EMPTY)
        weights.append(left * (1 - unsaid) * shares)
        left = left * unsaid
    return torch.cat(weights, dim=1), left


def by_norm(length: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Weights in proportion to the lengths; as :func:`priority` otherwise."""
    total = length.sum(1, keepdim=True)
    said = smoothstep(total / eps)
    return said * length / total.clamp_min(SHORTEST * eps), 1 - said


def shared(
    inside: Callable[[Tensor, Tensor], Tensor],
    x: Tensor,
    vectors: Tensor,
    length: Tensor,
    weights: tuple[Tensor, Tensor],
    eps: float,
) -> Tensor:
    """The weighted sum of a function's values in all proposed frames.

    Args:
        inside: function of inputs ``(N, in)`` and cosines and sines ``(N, 2)``, which gives ``(N, out)``.
        x: inputs, shape ``(B, in)``.
        vectors: proposed directions, shape ``(B, n, 2)``.
        length: their lengths, shape ``(B, n)``.
        weights: their weights ``(B, n)``, and what is left for the frame that removes all that turns, ``(B, 1)``.
        eps: the length that the weights refer to.
    """
    u = vectors / length.clamp_min(SHORTEST * eps)[..., None]
    u = torch.cat([u, torch.zeros_like(x[:, None, :2])], dim=1)
    share = torch.cat(weights, dim=1)
    if torch.compiler.is_exporting():
        # an exported graph cannot depend on the input, so it evaluates every frame
        count = share.shape[1]
        every = inside(x[:, None].expand(-1, count, -1).reshape(-1, x.shape[1]), u.reshape(-1, 2))
        return (every.view(-1, count, every.shape[1]) * share[..., None]).sum(1)
    # nan counts as non-zero and so reaches the output instead of vanishing
    row, frame = torch.nonzero(share, as_tuple=True)
    y = inside(x[row], u[row, frame]) * share[row, frame, None]
    return y.new_zeros(x.shape[0], y.shape[1]).index_add(0, row, y)
