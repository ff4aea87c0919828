"""Residual pathway priors (Finzi, Benton and Wilson, arXiv 2112.01388): equivariant weights plus small free ones.

For a finite group, every layer of the perceptron of ``regular`` has both, ``W = P W_eq + W_free``. Its nonlinearity
commutes with the group as it is; the published network has gated nonlinearities and residual gates, which is a
departure. Other groups have no such layers here, so whole networks are added, an exact one and an mlp.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Unpack

import torch
from torch import Tensor, nn

from eqrl.nn.backbone import BackboneOptions
from eqrl.nn.mlp import MLP
from eqrl.nn.pathways import SoftBackbone
from eqrl.nn.perceptron import linear
from eqrl.nn.regular import Regular
from eqrl.nn.tied import Tied
from eqrl.symmetry import Group, Representation

FREE_SCALE = 1e-3  # of initial free weights, relative to the equivariant ones (published)
FREE_RATE = 0.1  # how fast Adam moves free weights, relative to the equivariant ones


class Softened(Tied):
    """An equivariant linear layer plus a free one of the same shape.

    Adam moves all parameters alike, however small a prior wants them to be: free weights would take over within a few
    hundred steps, and both together would take twice the step of one in each direction that is equivariant. So the
    free weights are ``FREE_RATE`` times their parameters.
    """

    def __init__(self, exact: Tied) -> None:
        """Initialise the free weights like the equivariant ones, times ``FREE_SCALE``, and the free biases by zero."""
        super().__init__()
        self.exact = exact
        with torch.no_grad():
            dense, _ = exact.dense()
            gain = float(torch.linalg.matrix_norm(dense, 2)) if dense.numel() else 0.0
        start = linear(dense.shape[1], dense.shape[0], FREE_SCALE / FREE_RATE * gain)
        self.free_weight, self.free_bias = nn.Parameter(start.weight), nn.Parameter(start.bias)

    def dense(self) -> tuple[Tensor, Tensor | None]:
        """Dense weights ``(out, in)`` and biases ``(out,)``."""
        weight, bias = self.exact.dense()
        free = FREE_RATE * self.free_bias
        return torch.add(weight, self.free_weight, alpha=FREE_RATE), free if bias is None else bias + free

    @torch.no_grad()
    def absorb(self) -> None:
        """Move the equivariant part of the free weights to the equivariant ones; the layer stays the same map."""
        for exact, free, weights, part in self._equivariant():
            exact.add_(weights, alpha=FREE_RATE)
            free.sub_(part)

    @torch.no_grad()
    def breaking(self) -> list[Tensor]:
        """The part of the free weights, and of the free biases, that is not equivariant."""
        parts = {id(free): part for _, free, _, part in self._equivariant()}
        free = (self.free_weight, self.free_bias)
        return [FREE_RATE * (each - parts[id(each)] if id(each) in parts else each) for each in free]

    def _equivariant(self) -> Iterator[tuple[nn.Parameter, nn.Parameter, Tensor, Tensor]]:
        """Equivariant and free parameters, the least-squares fit of the former to the latter, and its dense form.

        Tied layers are linear in their weights, ``W = A w``, with ``A^T A`` a multiple of the identity where ``A^T W``
        lies. So the fit is a multiple of ``A^T W``, which backpropagation gives.
        """
        for i, (exact, free) in enumerate(((self.exact.weight, self.free_weight), (self.exact.bias, self.free_bias))):
            if exact is None:
                continue
            with torch.enable_grad():
                dense = self.exact.dense()[i]
                assert dense is not None
                (fit,) = torch.autograd.grad(dense, exact, free.detach())
            before = exact.detach().clone()
            exact.copy_(fit)
            part = self.exact.dense()[i]
            assert part is not None
            exact.copy_(before)
            size = part.square().sum()
            factor = fit.square().sum() / size if size > 0.0 else size
            yield exact, free, factor * fit, factor * part


class Residual(SoftBackbone):
    """An exact network plus a free one that starts at (nearly) zero.

    With a finite group and without the option ``exact``, each layer has equivariant and free weights. Otherwise an mlp
    whose last layer starts at zero is added to an exact network.
    """

    label: ClassVar[str] = "residual"

    def __init__(
        self,
        in_rep: Representation,
        out_rep: Representation,
        group: Group | None = None,
        *,
        exact: str | None = None,
        exact_kwargs: Mapping[str, Any] | None = None,
        **common: Unpack[BackboneOptions],
    ) -> None:
        """Build both pathways.

        Args:
            in_rep: representation of the input.
            out_rep: representation of the output.
            group: group of the exact pathway; None means the largest one that it honours cheaply.
            exact: backbone of the exact pathway, beside an mlp; None means free weights in each layer of ``"regular"``
                for a finite group, else ``"frame"`` beside an mlp.
            exact_kwargs: further options of that backbone, such as ``anchors``.
            common: see :class:`~eqrl.nn.backbone.BackboneOptions`; both pathways take them.

        Raises:
            ValueError: if the backbone of the exact pathway is unknown, or refuses the group or an option.
        """
        super().__init__(in_rep, out_rep, group, exact=exact, exact_kwargs=exact_kwargs, **common)
        self.free: MLP | None = None
        if exact is None and isinstance(self.exact, Regular) and not self.exact.turns:
            self.exact.net.replace(Softened)
        else:
            options: BackboneOptions = {**common, "output_gain": 0.0}
            self.free = MLP(in_rep, out_rep, **options)

    def compute(self, x: Tensor) -> Tensor:
        """Map ``(B, in_rep.dim)`` to ``(B, out_rep.dim)``, where padding is zero."""
        y: Tensor = self.exact(x)
        return y if self.free is None else y + self.free(x)

    @property
    def free_rate(self) -> float:
        """Free weights of ``free_parts`` in units of their parameters."""
        return FREE_RATE if self.free is None else 1.0

    def free_parameters(self) -> Sequence[nn.Parameter]:
        """Parameters of the free pathway."""
        if self.free is not None:
            return list(self.free.parameters())
        return [parameter for part in self.free_parts() for parameter in part]

    def free_parts(self) -> Sequence[Sequence[nn.Parameter]]:
        """Free weights and biases of each layer; of an mlp those of its last layer, through which all else passes."""
        if self.free is not None:
            *_, last = (module for module in self.free.modules() if isinstance(module, nn.Linear))
            return [list(last.parameters())]
        return [[layer.free_weight, layer.free_bias] for layer in self._softened()]

    def absorb(self) -> None:
        """Leave to the free weights of layers only what breaks the symmetry; the network stays the same map."""
        for layer in self._softened():
            layer.absorb()

    def breaking(self) -> list[Tensor]:
        """Free weights and biases of ``free_parts``, without what is equivariant about them."""
        if self.free is not None:
            return [parameter.detach() for part in self.free_parts() for parameter in part]
        return [tensor for layer in self._softened() for tensor in layer.breaking()]

    def exact_weights(self) -> list[Tensor]:
        """Dense equivariant weights and biases of layers; of a whole exact network its parameters."""
        if self.free is not None:
            return [parameter.detach() for parameter in self.exact.parameters()]
        return [tensor for layer in self._softened() for tensor in layer.exact.dense() if tensor is not None]

    def _softened(self) -> list[Softened]:
        return [module for module in self.exact.modules() if isinstance(module, Softened)]
