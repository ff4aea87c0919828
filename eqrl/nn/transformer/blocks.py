"""Transformer layers on two kinds of channels: even ones, and odd ones, which a mirror reverses.

A hidden state is a pair of tensors of shape ``(rows, width)``, with a row for each token of each sample: even channels,
and odd ones or None. Without odd channels, these are the layers of a common pre-norm transformer (Vaswani et al.,
arXiv 1706.03762; Xiong et al., arXiv 2002.04745). Every operation commutes with a change of sign of the odd channels:
linear maps do not mix the kinds and have biases on even channels only, attention depends on products of equal kinds,
and odd channels enter even ones as absolute values and are gated by even ones.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from eqrl.nn.perceptron import Activation, activation_type, linear

Hidden = tuple[Tensor, Tensor | None]

_EPS = 1e-5
_NEVER = -1e30  # finite, so that a sample without any token stays finite


class PairLinear(nn.Module):
    """A linear map of each kind, with a bias on even channels."""

    def __init__(
        self, even: tuple[int, int], odd: tuple[int, int] | None, gain: float = 1.0, bias: bool = True
    ) -> None:
        """Create the maps.

        Args:
            even: widths of input and output of even channels.
            odd: those of odd channels; None for no odd channels.
            gain: gain of the initial weights.
            bias: whether even channels have a bias.
        """
        super().__init__()
        self.even = linear(*even, gain, bias=bias)
        self.odd = None if odd is None else linear(*odd, gain, bias=False)

    def forward(self, x: Hidden) -> Hidden:
        """Map both kinds."""
        even, odd = x
        return self.even(even), None if self.odd is None or odd is None else self.odd(odd)

    def added(self, to: Hidden, x: Hidden) -> Hidden:
        """``to + forward(x)`` for a map without bias, where each product is added in place of a copy."""
        even = torch.addmm(to[0], x[0], self.even.weight.mT)
        if self.odd is None or x[1] is None or to[1] is None:
            return even, None
        return even, torch.addmm(to[1], x[1], self.odd.weight.mT)


class _Normalised(torch.autograd.Function):
    """Rows divided by their root mean square over both kinds; autograd's own chain would pass over them thrice more."""

    @staticmethod
    def forward(ctx: Any, even: Tensor, odd: Tensor) -> tuple[Tensor, Tensor]:
        square = (even * even).sum(1, keepdim=True) + (odd * odd).sum(1, keepdim=True)
        scale = (square / (even.shape[1] + odd.shape[1]) + _EPS).rsqrt_()
        a, b = even * scale, odd * scale
        ctx.save_for_backward(a, b, scale)
        return a, b

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        a, b, scale = ctx.saved_tensors
        da, db = grads
        along = (da * a).sum(1, keepdim=True) + (db * b).sum(1, keepdim=True)
        along = along / -(a.shape[1] + b.shape[1])
        return torch.addcmul(da, a, along).mul_(scale), torch.addcmul(db, b, along).mul_(scale)


class PairNorm(nn.Module):
    """Root mean square normalisation of each row over both kinds together, with scales, and a bias on even channels."""

    def __init__(self, even: int, odd: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(even))
        self.bias = nn.Parameter(torch.zeros(even))
        self.odd_weight = nn.Parameter(torch.ones(odd)) if odd else None

    def forward(self, x: Hidden) -> Hidden:
        """Normalise."""
        even, odd = x
        if odd is None or self.odd_weight is None:
            return torch.addcmul(self.bias, functional.rms_norm(even, even.shape[1:], eps=_EPS), self.weight), None
        if torch.compiler.is_exporting():
            square = (even * even).sum(1, keepdim=True) + (odd * odd).sum(1, keepdim=True)
            scale = (square / (even.shape[1] + odd.shape[1]) + _EPS).rsqrt()
            even, odd = even * scale, odd * scale
        else:
            even, odd = _Normalised.apply(even, odd)  # type: ignore[no-untyped-call]
        return torch.addcmul(self.bias, even, self.weight), odd * self.odd_weight


class Attention(nn.Module):
    """Self-attention among the tokens of a sample; both kinds share its weights."""

    def __init__(self, even: int, odd: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.scale = (heads / (even + odd)) ** 0.5
        self.project = PairLinear((even, 3 * even), (odd, 3 * odd) if odd else None)
        self.merge = PairLinear((even, even), (odd, odd) if odd else None, gain=0.5, bias=False)

    def forward(self, state: Hidden, x: Hidden, tokens: int, bias: Tensor | None) -> Hidden:
        """Add what tokens learn from each other.

        Args:
            state: hidden state that it is added to.
            x: the same, normalised.
            tokens: number of tokens of a sample.
            bias: added to the attention logits, ``(batch, heads or 1, tokens, tokens)``; None for none.
        """
        kinds = [part.view(-1, tokens, part.shape[1]) for part in self.project(x) if part is not None]
        parts = [torch.chunk(kind, 3, dim=2) for kind in kinds]
        mixed: list[list[Tensor]] = [[] for _ in parts]
        for h in range(self.heads):
            logits = None
            for q, k, _ in parts:
                product = torch.bmm(self._head(q, h), self._head(k, h).mT)
                logits = product if logits is None else logits + product
            assert logits is not None
            logits = logits * self.scale
            if bias is not None:
                logits = logits + bias[:, h if bias.shape[1] > 1 else 0]
            weights = logits.softmax(-1)
            for kind, (_, _, v) in zip(mixed, parts, strict=True):
                kind.append(torch.bmm(weights, self._head(v, h)))
        rows = [(kind[0] if self.heads == 1 else torch.cat(kind, dim=2)).flatten(0, 1) for kind in mixed]
        return self.merge.added(state, (rows[0], rows[1] if len(rows) > 1 else None))

    def _head(self, x: Tensor, h: int) -> Tensor:
        size = x.shape[2] // self.heads
        return x if self.heads == 1 else x[:, :, h * size : (h + 1) * size]


class FeedForward(nn.Module):
    """A hidden layer on each row; odd channels are gated by even ones and enter them as absolute values."""

    def __init__(self, even: int, odd: int, hidden_even: int, hidden_odd: int, activation: Activation) -> None:
        super().__init__()
        self.activation = activation_type(activation)()
        self.first = PairLinear((even, hidden_even), (odd, hidden_odd) if odd else None)
        self.second = PairLinear((hidden_even, even), (hidden_odd, odd) if odd else None, gain=0.5, bias=False)
        self.gate = linear(even, hidden_odd, 1.0) if odd else None
        self.sizes = linear(hidden_odd, even, 0.5, bias=False) if odd else None

    def forward(self, state: Hidden, x: Hidden) -> Hidden:
        """Add what the hidden layer gives.

        Args:
            state: hidden state that it is added to.
            x: the same, normalised.
        """
        even, odd = self.first(x)
        if odd is None or self.gate is None or self.sizes is None:
            return self.second.added(state, (self.activation(even), None))
        even_state, odd_state = self.second.added(state, (self.activation(even), odd * self.gate(x[0]).sigmoid()))
        return torch.addmm(even_state, odd.abs(), self.sizes.weight.mT), odd_state


class Layer(nn.Module):
    """Attention and a feed-forward network, each after a normalisation and added to what it reads."""

    def __init__(self, even: int, odd: int, heads: int, activation: Activation) -> None:
        super().__init__()
        self.norm_attention, self.norm_feed_forward = PairNorm(even, odd), PairNorm(even, odd)
        self.attention = Attention(even, odd, heads)
        self.feed_forward = FeedForward(even, odd, 2 * even, 2 * odd, activation)

    def forward(self, x: Hidden, tokens: int, bias: Tensor | None) -> Hidden:
        """A hidden state of the same shapes; arguments as of :class:`Attention`."""
        x = self.attention(x, self.norm_attention(x), tokens, bias)
        y: Hidden = self.feed_forward(x, self.norm_feed_forward(x))
        return y


def hidden_tokens(real: Tensor) -> Tensor:
    """Attention logits that hide padded tokens, ``(batch, 1, 1, tokens)``, from a mask ``(batch, tokens)``."""
    return torch.where(real, 0.0, _NEVER)[:, None, None]
