"""Transformer layers on scalars and vectors side by side, without a frame.

The layers of SET (Chen et al., 3D-SGRL, ICML 2023, arXiv 2305.18951), which follow Han et al. (SGNN, arXiv 2210.06876).
Hidden states of a token are scalars ``(batch, tokens, width)`` and vectors ``(batch, tokens, 3, width)``. Linear maps
mix vectors as a whole. Beside the learned channels, every layer sees external vectors: gravity and those of the whole
scene. Inner products of all of them are the invariants on which everything else depends. As all is a function of inner
products, maps commute with rotations and mirrors of all vectors together, and at fixed gravity with those about it.

Results are divided by the size of the matrix of inner products, as in the published code.
"""

from __future__ import annotations

from math import sqrt
from typing import NamedTuple

import torch
from torch import Tensor, nn

from eqrl.nn.perceptron import Activation, activation_type, linear


class Sizes(NamedTuple):
    """Sizes that all layers share.

    Attributes:
        width: channels of scalars, and of vectors.
        heads: of the attention.
        channels: vectors that invariants are made of, beside external ones.
        external: number of external vectors.
        activation: of all hidden layers.
    """

    width: int
    heads: int
    channels: int
    external: int
    activation: Activation

    @property
    def narrow(self) -> int:
        """Number of vectors of which all inner products are taken."""
        return self.channels + self.external


class Embedding(nn.Module):
    """A linear map of raw inputs, of which there may be none, with small random weights."""

    def __init__(self, n_in: int, n_out: int, bias: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_out, n_in).uniform_(-0.1, 0.1))
        self.bias = nn.Parameter(torch.zeros(n_out)) if bias else None
        self.scale = sqrt(n_out)

    def forward(self, x: Tensor) -> Tensor:
        """Map the last axis."""
        return nn.functional.linear(x, self.weight, self.bias) * self.scale


class Invariants(nn.Module):
    """Scalars of inner products of learned and external vectors, and the size of the matrix of inner products."""

    def __init__(self, n_in: int, hidden: int, sizes: Sizes) -> None:
        super().__init__()
        self.project = nn.Linear(n_in, sizes.channels, bias=False)
        self.mlp = two_layers(sizes.narrow**2, hidden, sizes.width, sizes.activation)

    def forward(self, vectors: Tensor, external: Tensor) -> tuple[Tensor, Tensor]:
        """Map vectors ``(B, N, 3, n_in)`` to invariants ``(B, N, width)`` and sizes of at least 1, ``(B, N, 1)``."""
        narrow = torch.cat([self.project(vectors), external], dim=3)
        gram = (narrow.mT @ narrow).flatten(2)
        size: Tensor = torch.linalg.vector_norm(gram, dim=2, keepdim=True) + 1.0
        return self.mlp(gram), size


class Mixing(nn.Module):
    """Learned and external vectors, mixed by a matrix that depends on invariants."""

    def __init__(self, n_in: int, sizes: Sizes) -> None:
        super().__init__()
        self.project = nn.Linear(n_in, sizes.channels, bias=False)
        self.mlp = two_layers(2 * sizes.width, 2 * sizes.width, sizes.narrow**2, sizes.activation)

    def forward(self, vectors: Tensor, external: Tensor, invariants: Tensor, size: Tensor) -> Tensor:
        """Map vectors ``(B, N, 3, n_in)`` to ``(B, N, 3, narrow)``."""
        narrow = torch.cat([self.project(vectors), external], dim=3)
        matrix: Tensor = self.mlp(invariants) / size
        return narrow @ matrix.view(*matrix.shape[:2], narrow.shape[3], narrow.shape[3])


class VectorAttention(nn.Module):
    """Attention by invariants, with the same weights for scalars and for vectors."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        width, self.heads = sizes.width, sizes.heads
        self.invariants = Invariants(width, 2 * width, sizes)
        self.project = nn.Linear(2 * width, 6 * width)
        self.merge = nn.Linear(2 * width, width)
        # a head carries as many vectors as scalars, external ones among them
        channels = max(2 * width // sizes.heads - sizes.external, 1)
        self.project_vectors = nn.Linear(width, sizes.heads * channels, bias=False)
        self.merge_vectors = nn.Linear(sizes.heads * (channels + sizes.external), width, bias=False)

    def forward(self, h: Tensor, vectors: Tensor, external: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
        """Changes of scalars and vectors; ``bias`` is added to the logits, ``(B, heads or 1, N or 1, N)``."""
        batch, tokens, _ = h.shape
        invariants, size = self.invariants(vectors, external)
        qkv = self.project(torch.cat([invariants, h], dim=2)) / size
        q, k, v = qkv.view(batch, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        logits = q @ k.mT * q.shape[-1] ** -0.5
        weights = (logits if bias is None else logits + bias).softmax(-1)
        mixed = self.merge((weights @ v).transpose(1, 2).flatten(2))
        learned = self.project_vectors(vectors).view(batch, tokens, 3, self.heads, -1)
        carried = torch.cat([learned, external[:, :, :, None].expand(-1, -1, -1, self.heads, -1)], dim=4)
        # (batch, heads, tokens, 3 * channels)
        rows = carried.permute(0, 3, 1, 2, 4).flatten(3)
        moved = (weights @ rows).unflatten(3, (3, -1)).permute(0, 2, 3, 1, 4).flatten(3)
        return mixed, self.merge_vectors(moved)


class VectorLayer(nn.Module):
    """Attention, then a feed-forward network on what the attention has added to the vectors."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        width = sizes.width
        self.attention = VectorAttention(sizes)
        self.norm_attention, self.norm_feed_forward = nn.LayerNorm(width), nn.LayerNorm(width)
        self.invariants = Invariants(width, 2 * width, sizes)
        self.mixing = Mixing(width, sizes)
        self.widen = nn.Linear(sizes.narrow, width, bias=False)
        self.mlp = two_layers(2 * width, 2 * width, width, sizes.activation)

    def forward(self, h: Tensor, vectors: Tensor, external: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
        """Scalars and vectors of the same shapes; arguments as of :class:`VectorAttention`."""
        change, added = self.attention(h, vectors, external, bias)
        h = self.norm_attention(h + change)
        invariants, size = self.invariants(added, external)
        state = torch.cat([invariants, h], dim=2)
        vectors = vectors + added + self.widen(self.mixing(added, external, state, size))
        return self.norm_feed_forward(h + self.mlp(state) / size), vectors


class ReadOut(nn.Module):
    """Vectors and invariants of each token, from raw inputs and hidden states together."""

    def __init__(
        self, raw_scalars: int, raw_vectors: int, n_scalars: int, n_vectors: int, sizes: Sizes, gain: float
    ) -> None:
        """Build the layers.

        Args:
            raw_scalars: number of raw scalars of a token.
            raw_vectors: number of raw vectors of a token.
            n_scalars: number of invariants to read out.
            n_vectors: number of vectors to read out.
            sizes: sizes of all layers.
            gain: gain of the initial weights of the last layers.
        """
        super().__init__()
        width = sizes.width
        self.invariants = Invariants(raw_vectors + width, width, sizes)
        self.mlp = two_layers(raw_scalars + width, width, width, sizes.activation)
        self.scalars = linear(2 * width, n_scalars, gain) if n_scalars else None
        self.mixing = Mixing(raw_vectors + width, sizes) if n_vectors else None
        self.vectors = linear(sizes.narrow, n_vectors, gain, bias=False) if n_vectors else None

    def forward(self, h: Tensor, vectors: Tensor, external: Tensor) -> tuple[Tensor, Tensor]:
        """Invariants ``(B, N, n_scalars)`` and vectors ``(B, N, n_vectors, 3)``, from raw and hidden ones together."""
        invariants, size = self.invariants(vectors, external)
        state = torch.cat([invariants, self.mlp(h)], dim=2)
        scalars = h[:, :, :0] if self.scalars is None else self.scalars(state) / size
        if self.mixing is None or self.vectors is None:
            return scalars, vectors.mT[:, :, :0]
        return scalars, self.vectors(self.mixing(vectors, external, state, size)).mT


def two_layers(n_in: int, hidden: int, n_out: int, activation: Activation) -> nn.Sequential:
    """A perceptron with one hidden layer and PyTorch's initial weights, as in the published code."""
    return nn.Sequential(nn.Linear(n_in, hidden), activation_type(activation)(), nn.Linear(hidden, n_out))
