"""Inner products of vector channels, with a hand-written backward pass."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from eqrl.nn.constants import ExactModule

_TINY = 1e-24


class Gram(ExactModule):
    """Divide channels by their common length plus a constant.

    Take inner products of divided with undivided channels.

    The divided channels stay bounded, and the products grow linearly with large inputs. Every product is taken once,
    ``(v_i . v_j) / n`` with ``n = |v| + scale``, so the gradient of all products is one symmetric matrix times the
    channels. Autograd would gather and scatter twice as many numbers, in three times as many operations.

    Args:
        pairs: which products to take, shape ``(2, products)``; no pair may occur together with its reverse.
        channels: number of channels.
        scale: the constant that is added to the length.
        share: factor on the sum of squares in the length; one half where every channel occurs twice, once turned.
    """

    left: Tensor
    right: Tensor
    product: Tensor
    count: Tensor

    def __init__(self, pairs: Tensor, channels: int, scale: float, share: float) -> None:
        super().__init__()
        self.scale, self.share = scale, share
        # for each entry of the symmetric matrix: the number of its product, and its factor in the gradient
        product = torch.zeros(channels, channels, dtype=torch.int64)
        count = torch.zeros(channels, channels, dtype=torch.float64)
        for number, (i, j) in enumerate(pairs.T.tolist()):
            product[i, j] = product[j, i] = number
            count[i, j] = count[j, i] = 2.0 if i == j else 1.0
        for name, value in {"left": pairs[0], "right": pairs[1], "product": product.flatten()}.items():
            self.register_constant(name, value)
        self.register_constant("count", count.flatten()[:, None])

    def forward(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """Map channels ``(channels, space, B)`` to the divided channels and the products ``(products, B)``."""
        if v.requires_grad and torch.is_grad_enabled() and not torch.compiler.is_compiling():
            divided, products = _Gram.apply(v, self)  # type: ignore[no-untyped-call]
            return divided, products
        return self.evaluate(v)

    def evaluate(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """The same in operations that autograd can differentiate."""
        divided = v / self._size(v)[1]
        return divided, (divided.index_select(-3, self.left) * v.index_select(-3, self.right)).sum(-2)

    def gradient(
        self, v: Tensor, products: Tensor, grad_divided: Tensor | None, grad_products: Tensor | None
    ) -> Tensor:
        """The gradient with respect to the channels, from those with respect to the outputs."""
        length, n = self._size(v)
        along: Tensor | None = None  # minus the factor of the gradient of n
        grad: Tensor | None = None
        if grad_products is not None:
            matrix = grad_products.index_select(-2, self.product) * self.count
            matrix = matrix.view(*v.shape[:-3], v.shape[-3], v.shape[-3], 1, v.shape[-1])
            grad = (matrix * v.unsqueeze(-4)).sum(-3)
            along = (grad_products * products).sum(-2, keepdim=True).unsqueeze(-2)
        if grad_divided is not None:
            grad = grad_divided if grad is None else grad + grad_divided
            outer = (grad_divided * v).sum((-3, -2), keepdim=True) / n
            along = outer if along is None else along + outer
        assert grad is not None
        assert along is not None
        return torch.addcmul(grad, v, along * (-self.share / length)) / n

    def _size(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """Common length, plus a tiny constant that makes its gradient at zero vanish, and the divisor."""
        length = (v.square().sum((-3, -2), keepdim=True) * self.share + _TINY).sqrt()
        return length, length + self.scale


class _Gram(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, v: Tensor, gram: Gram) -> tuple[Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        divided, products = gram.evaluate(v)
        ctx.gram = gram
        ctx.save_for_backward(v, products)
        return divided, products

    @staticmethod
    def backward(ctx: Any, grad_divided: Tensor | None, grad_products: Tensor | None) -> tuple[Tensor | None, None]:
        if grad_divided is None and grad_products is None:
            return None, None
        return ctx.gram.gradient(*ctx.saved_tensors, grad_divided, grad_products), None
