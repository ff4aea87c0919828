"""Several networks of one architecture on one input, evaluated in one pass."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from eqrl.nn.backbone import Backbone


class Ensemble:
    """Networks that share their architecture and their input, but not their weights.

    The members' parameters lie side by side in memory, so that one batched matrix product replaces one product for each
    member. The members themselves do not change: each remains a module with its own parameters, gradients, state dict
    and optimiser. Backbones whose layers do not support an axis of members (``Backbone.stacks``) are evaluated one by
    one.

    Args:
        members: networks of the same type, options and representations.
    """

    def __init__(self, members: Sequence[Backbone]) -> None:
        self.members = tuple(members)
        self.together = len(self.members) > 1 and all(member.stacks for member in self.members)
        owners = [list(_owners(member)) for member in self.members] if self.together else []
        self._owners = list(zip(*owners, strict=True))  # for each parameter, (module, parameter name) in every member
        self._side_by_side: list[Tensor] = []

    def __call__(self, x: Tensor, constant: bool = False) -> Tensor:
        """Map ``(B, in_rep.dim)`` to ``(members, B, out_rep.dim)``.

        Args:
            x: the common input.
            constant: whether to treat the parameters as constants, so that gradients reach the input alone.
        """
        if not self.together or torch.compiler.is_compiling():
            with constants(self.members) if constant else nullcontext():
                return torch.stack([member(x) for member in self.members])
        stacked = self._stacked(constant or not torch.is_grad_enabled())
        # the first member evaluates all of them: its parameters are replaced by the stacked ones for one pass
        first = [owners[0] for owners in self._owners]
        originals = [module._parameters[name] for module, name in first]
        try:
            for (module, name), tensor in zip(first, stacked, strict=True):
                module._parameters[name] = tensor  # need not be an nn.Parameter
            y: Tensor = self.members[0](x)
            return y
        finally:
            for (module, name), parameter in zip(first, originals, strict=True):
                module._parameters[name] = parameter

    def _stacked(self, constant: bool) -> Sequence[Tensor]:
        """Each parameter of all members as one tensor ``(members, ...)``."""
        parameters = [[module._parameters[name] for module, name in owners] for owners in self._owners]
        if not self._side_by_side or not all(map(_are_rows, parameters, self._side_by_side)):
            # the first time, and after a copy or a change of device or dtype
            self._side_by_side = [torch.stack([parameter.detach() for parameter in row]) for row in parameters]
            for row, tensor in zip(parameters, self._side_by_side, strict=True):
                for parameter, part in zip(row, tensor, strict=True):
                    parameter.data = part
        if constant:
            return self._side_by_side
        stacked: tuple[Tensor, ...] = _Rows.apply(self._side_by_side, *itertools.chain(*parameters))  # type: ignore[no-untyped-call]
        return stacked

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the stacked tensors, which follow from the parameters."""
        return {**self.__dict__, "_side_by_side": []}


@contextmanager
def constants(modules: Sequence[nn.Module]) -> Iterator[None]:
    """Context in which the parameters of modules count as constants.

    The graph built within it gives them no gradients.
    """
    learnt = [parameter for module in modules for parameter in module.parameters() if parameter.requires_grad]
    for parameter in learnt:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learnt:
            parameter.requires_grad_(True)


class _Rows(torch.autograd.Function):
    """Join parameters into the tensors whose rows they already are in memory, without a copy in either direction."""

    @staticmethod
    def forward(ctx: Any, tensors: list[Tensor], *parameters: Tensor) -> tuple[Tensor, ...]:
        return tuple(tensor.view_as(tensor) for tensor in tensors)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return None, *itertools.chain(*(grad.unbind(0) for grad in grads))


def _owners(module: nn.Module) -> Iterator[tuple[nn.Module, str]]:
    for inner in module.modules():
        for name in inner._parameters:
            if inner._parameters[name] is not None:
                yield inner, name


def _are_rows(parameters: Sequence[Tensor], tensor: Tensor) -> bool:
    """Whether parameters are, in order, the rows of a tensor: in the same memory, not just equal."""
    if len(tensor) != len(parameters) or tensor.dtype != parameters[0].dtype:
        return False
    start, step = tensor.data_ptr(), parameters[0].numel() * tensor.element_size()
    return all(parameter.data_ptr() == start + i * step for i, parameter in enumerate(parameters))
