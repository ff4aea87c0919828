"""TorchScript of modules that its compiler does not understand, by way of ``torch.export``."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, fx, nn


class ScriptedPolicy(nn.Module):
    """The deterministic policy of a model as TorchScript, with the methods of rsl_rl's exported models.

    Args:
        policy: maps observations ``(B, dim)`` to actions.
        dim: size of the observations.
    """

    def __init__(self, policy: nn.Module, dim: int) -> None:
        super().__init__()
        self.policy = scripted(policy, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Map concatenated observations ``(B, dim)`` to actions ``(B, action_dim)``."""
        return self.policy(x)  # type: ignore[no-any-return]

    @torch.jit.export
    def reset(self) -> None:
        """Do nothing: there is no memory."""


def scripted(module: nn.Module, dim: int) -> torch.jit.ScriptModule:
    """TorchScript of a module for inference, for batches of any size.

    The compiler of TorchScript reads Python and knows little of it. So the module is recorded by ``torch.export``,
    whose graph has only operators of PyTorch; the compiler is given that graph.

    Args:
        module: maps ``(B, dim)`` to one tensor; on the CPU.
        dim: size of the input.
    """
    # two is the smallest batch that is not taken for a constant
    example = torch.zeros(2, dim)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # TorchScript is deprecated, and the compiler has advice for the recorded code
        program = torch.export.export(module.eval(), (example,), dynamic_shapes=({0: torch.export.Dim("batch")},))
        recorded = program.module(check_guards=False)
        return torch.jit.script(_for_script(recorded))


def _for_script(recorded: fx.GraphModule) -> fx.GraphModule:
    """The recorded graph with operators as TorchScript names them, and one tensor as its result."""
    graph = recorded.graph
    aten: Any = torch.ops.aten
    for node in list(graph.nodes):
        if node.target is aten._assert_tensor_metadata.default:
            graph.erase_node(node)
        elif node.target is aten.sym_size.int:
            node.target = aten.size
        elif isinstance(node.target, torch._ops.OpOverload):
            node.target = node.target.overloadpacket
    (results,) = graph.output_node().args
    assert isinstance(results, tuple | list)
    graph.output_node().args = (results[0],)
    graph.set_codegen(fx.graph.CodeGen())  # torch.export's own takes and returns trees of tensors
    graph.eliminate_dead_code()
    return fx.GraphModule(recorded, graph)
