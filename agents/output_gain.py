"""Initial weights of one network whose outputs need last layers of different gain."""

from __future__ import annotations

import torch

from eqrl.nn import Backbone

_SAMPLES = 64
_ZERO = 1e-6  # gradients below this fraction of the largest one are rounding errors


def take_last_layer(backbone: Backbone, twin: Backbone, start: int) -> None:
    """Give the outputs from ``start`` on the initial last layer of a twin with another ``output_gain``.

    The twin was built from the same random numbers, so the two differ in their last layers only. In these, every weight
    belongs to one output or to several that the group mixes, and the gradient of an output tells which are its own.
    No knowledge of the backbone is needed.

    Args:
        backbone: the network to change.
        twin: the same network with another gain of its last layer.
        start: index of the first of the outputs.
    """
    generator = torch.Generator().manual_seed(0)
    parameters = dict(twin.named_parameters())
    dtype = next(iter(parameters.values())).dtype
    x = torch.randn(_SAMPLES, twin.in_rep.dim, generator=generator, dtype=dtype)
    with torch.enable_grad():
        outputs = twin(x)[:, start:]
        weights = torch.randn(outputs.shape, generator=generator, dtype=dtype)
        gradients = torch.autograd.grad((outputs * weights).sum(), list(parameters.values()), allow_unused=True)
    with torch.no_grad():
        for parameter, theirs, gradient in zip(backbone.parameters(), parameters.values(), gradients, strict=True):
            if gradient is not None and gradient.numel():
                size = gradient.abs()
                parameter.copy_(torch.where(size > _ZERO * size.max(), theirs, parameter))
