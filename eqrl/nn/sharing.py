"""Weighted means over several frames, with weights that depend continuously on the input.

Weighted frames (Dym et al., arXiv 2402.16077): every proposed direction counts with an invariant weight that vanishes
with its length, so that nothing jumps where a vector vanishes. The remaining weight goes to the null frame, which sets
everything that turns to zero.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from operator import mul

import torch
from torch import Tensor

# proposals shorter than this fraction of eps are divided by that length instead of their own, so that gradients stay
# finite
SHORTEST = 1e-6
_EMPTY = 1e-30


def smoothstep(t: Tensor) -> Tensor:
    """Cubic step from 0 at ``t <= 0`` to 1 at ``t >= 1``, with slope 0 at both ends."""
    t = t.clamp(0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def priority(length: Tensor, eps: float, ranks: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Weights of ranked proposals: each rank takes what it claims of the weight that earlier ranks leave.

    A proposal claims a share that grows smoothly from 0 to 1 with its length. Proposals of one rank divide its weight
    in proportion to their claims, so that their order does not matter.

    Args:
        length: lengths of the proposals, shape ``(B, n)``.
        eps: length from which a proposal claims everything.
        ranks: number of proposals in each rank, ``n`` in sum.

    Returns:
        Weights of shape ``(B, n)`` and the remaining weight, shape ``(B, 1)``.
    """
    claims = smoothstep(length / eps)
    if all(size == 1 for size in ranks) and not torch.compiler.is_exporting():  # ONNX has no cumulative product
        remaining = torch.cat([claims.new_ones(claims.shape[0], 1), torch.cumprod(1 - claims, dim=1)], dim=1)
        return claims * remaining[:, :-1], remaining[:, -1:]
    weights, remaining = [], claims.new_ones(claims.shape[0], 1)
    for rank in torch.split(claims, list(ranks), dim=1):
        unclaimed = reduce(mul, torch.split(1 - rank, 1, dim=1))
        shares = rank / rank.sum(1, keepdim=True).clamp_min(_EMPTY)
        weights.append(remaining * (1 - unclaimed) * shares)
        remaining = remaining * unclaimed
    return torch.cat(weights, dim=1), remaining


def by_norm(length: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Weights in proportion to the lengths, which claim everything together where their sum exceeds ``eps``.

    Args:
        length: lengths of the proposals, shape ``(B, n)``.
        eps: the sum of lengths from which nothing remains.

    Returns:
        Weights of shape ``(B, n)`` and the remaining weight, shape ``(B, 1)``.
    """
    total = length.sum(1, keepdim=True)
    claimed = smoothstep(total / eps)
    return claimed * length / total.clamp_min(SHORTEST * eps), 1 - claimed


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
        inside: function of inputs ``(N, in)`` and of the cosines and sines of frames ``(N, 2)``, with values ``(N,
            out)``.
        x: inputs, shape ``(B, in)``.
        vectors: proposed directions, shape ``(B, n, 2)``.
        length: their lengths, shape ``(B, n)``.
        weights: their weights ``(B, n)``, and the remaining weight ``(B, 1)``, which goes to the null frame.
        eps: the length that the weights refer to.
    """
    u = vectors / length.clamp_min(SHORTEST * eps)[..., None]
    u = torch.cat([u, torch.zeros_like(x[:, None, :2])], dim=1)
    share = torch.cat(weights, dim=1)
    if torch.compiler.is_exporting():
        # the graph of an export cannot depend on the input, so it evaluates every frame
        count = share.shape[1]
        y = inside(x[:, None].expand(-1, count, -1).reshape(-1, x.shape[1]), u.reshape(-1, 2))
        return (y.view(-1, count, y.shape[1]) * share[..., None]).sum(1)
    # NaN counts as non-zero, so it reaches the output instead of vanishing
    row, frame = torch.nonzero(share, as_tuple=True)
    y = inside(x[row], u[row, frame]) * share[row, frame, None]
    return y.new_zeros(x.shape[0], y.shape[1]).index_add(0, row, y)
