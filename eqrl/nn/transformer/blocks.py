"""Transformer layers on two kinds of channels: even ones, and odd ones, which a mirror reverses.

Hidden states have shape ``(parts, rows, width)`` with a row for each token of each sample. Part 0 holds even channels
and part 1 odd ones; without mirrors there is part 0 alone, and these are the layers of a common pre-norm transformer
(Vaswani et al., arXiv 1706.03762; Xiong et al., arXiv 2002.04745). Every operation commutes with a change of sign of
part 1: linear maps mix channels of one part only and have biases in part 0 only, attention depends on products of
equal parts, and odd channels enter even ones as absolute values and are gated by even ones.
"""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor, nn

_EPS = 1e-5
_NEVER = -1e30  # finite, so that a sample without any token stays finite


class PartLinear(nn.Module):
    """A linear map of each part, ``(parts, rows, n_in) -> (parts, rows, n_out)``, with a bias in part 0."""

    def __init__(self, parts: int, n_in: int, n_out: int, gain: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(parts, n_in, n_out))
        self.bias = nn.Parameter(torch.zeros(n_out))
        for part in self.weight:
            if n_in and n_out:
                nn.init.orthogonal_(part.data, gain)

    def forward(self, x: Tensor) -> Tensor:
        """Map both parts in one product."""
        if len(self.weight) == 1:
            return torch.addmm(self.bias, x[0], self.weight[0])[None]
        shift = torch.stack([self.bias, torch.zeros_like(self.bias)])[:, None]
        return torch.baddbmm(shift, x, self.weight)


class PartNorm(nn.Module):
    """Root mean square normalisation over both parts together, with scales for each and a bias in part 0."""

    def __init__(self, parts: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(parts, 1, width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise each row."""
        size = torch.linalg.vector_norm(x, dim=(0, 2), keepdim=True) / sqrt(x.shape[0] * x.shape[2])
        y = x / (size + _EPS) * self.weight
        if len(x) == 1:
            return y + self.bias
        return torch.stack([y[0] + self.bias, y[1]])


class Attention(nn.Module):
    """Self-attention among the tokens of a sample; both parts share the weights."""

    def __init__(self, parts: int, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.project = PartLinear(parts, width, 3 * width)
        self.merge = PartLinear(parts, width, width, gain=0.5)

    def forward(self, x: Tensor, tokens: int, bias: Tensor | None) -> Tensor:
        """Mix tokens.

        Args:
            x: hidden states, ``(parts, batch * tokens, width)``.
            tokens: number of tokens of a sample.
            bias: added to the attention logits, ``(batch, heads or 1, tokens, tokens)``; None for none.
        """
        parts, rows, width = x.shape
        batch, size = rows // tokens, width // self.heads
        # (3, batch, heads, tokens, parts, size): a query is one vector of both parts, and so is a value
        qkv = self.project(x).view(parts, batch, tokens, 3, self.heads, size).permute(3, 1, 4, 2, 0, 5)
        q, k, v = qkv.reshape(3, batch * self.heads, tokens, parts * size).unbind(0)
        logits = torch.bmm(q, k.mT) * (parts * size) ** -0.5
        if bias is not None:
            logits = (logits.view(batch, self.heads, tokens, tokens) + bias).view(-1, tokens, tokens)
        mixed = torch.bmm(logits.softmax(-1), v).view(batch, self.heads, tokens, parts, size)
        return self.merge(mixed.permute(3, 0, 2, 1, 4).reshape(parts, rows, width))


class FeedForward(nn.Module):
    """A hidden layer on each token; odd channels are gated by even ones and enter them as absolute values."""

    def __init__(self, parts: int, width: int, hidden: int) -> None:
        super().__init__()
        self.first = PartLinear(parts, width, hidden)
        self.second = PartLinear(parts, hidden, width, gain=0.5)
        self.gate = nn.Linear(width, hidden) if parts == 2 else None
        self.sizes = nn.Linear(hidden, width, bias=False) if parts == 2 else None

    def forward(self, x: Tensor) -> Tensor:
        """Map each row."""
        h = self.first(x)
        if self.gate is None or self.sizes is None:
            return self.second(h.relu())
        even, odd = h
        mixed = self.second(torch.stack([even.relu(), odd * self.gate(x[0]).sigmoid()]))
        return torch.stack([mixed[0] + self.sizes(odd.abs()), mixed[1]])


class Layer(nn.Module):
    """Attention and a feed-forward network, each after a normalisation and added to what it reads."""

    def __init__(self, parts: int, width: int, heads: int) -> None:
        super().__init__()
        self.norm_attention, self.norm_feed_forward = PartNorm(parts, width), PartNorm(parts, width)
        self.attention = Attention(parts, width, heads)
        self.feed_forward = FeedForward(parts, width, 2 * width)

    def forward(self, x: Tensor, tokens: int, bias: Tensor | None) -> Tensor:
        """Hidden states of the same shape; arguments as of :class:`Attention`."""
        x = x + self.attention(self.norm_attention(x), tokens, bias)
        return x + self.feed_forward(self.norm_feed_forward(x))


def hidden_tokens(real: Tensor) -> Tensor:
    """Attention logits that hide padded tokens, ``(batch, 1, 1, tokens)``, from a mask ``(batch, tokens)``."""
    return torch.where(real, 0.0, _NEVER)[:, None, None]
