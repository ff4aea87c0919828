"""A gate mixes an exact and a free network, depending on the input.

After partially equivariant reinforcement learning (PI-MDP and PE-SAC, arXiv 2512.00915, ICLR 2026): where the world
keeps its symmetry, the exact network acts and evaluates; where it is broken, the free one does. A local breaking then
does not spread through the Bellman backup. Sizes and losses of the paper were not reachable, so they are ours.

The gate is not invariant under the group: it has to tell the place where the world is broken from its images, where it
is not. No gradient of the mixture reaches the gate; :class:`eqrl.agents.soft.Gated` teaches it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Unpack

import torch
from torch import Tensor, nn

from eqrl.nn.backbone import BackboneOptions
from eqrl.nn.mlp import MLP
from eqrl.nn.padding import cleared
from eqrl.nn.pathways import SoftBackbone
from eqrl.nn.perceptron import perceptron
from eqrl.symmetry import Group, Representation

# Closed until the world says otherwise. A policy that is not exact gathers data in some directions only, where any free
# model of the world is better than an exact one; an open gate would stay open.
INITIAL_EVIDENCE = -0.1


class Gated(SoftBackbone):
    """``(1 - gate(x)) exact(x) + gate(x) free(x)``, with a gate between 0 and 1.

    The free network is the exact one and a remainder that begins at zero, so that nothing is lost when a gate opens.
    What it learns does not reach the exact one. Without its prior, the gate stays closed and the network exact.
    """

    label: ClassVar[str] = "gated"

    def __init__(
        self,
        in_rep: Representation,
        out_rep: Representation,
        group: Group | None = None,
        *,
        exact: str | None = None,
        exact_kwargs: Mapping[str, Any] | None = None,
        gate_hidden: Sequence[int] = (64, 64),
        **common: Unpack[BackboneOptions],
    ) -> None:
        """Build both networks and the gate.

        Args:
            in_rep: representation of the input.
            out_rep: representation of the output.
            group: group of the exact network; None means the largest one that it honours cheaply.
            exact: backbone of the exact network; None means ``"regular"`` for a finite group, else ``"frame"``.
            exact_kwargs: further options of that backbone, such as ``anchors``.
            gate_hidden: widths of the gate's hidden layers.
            common: see :class:`~eqrl.nn.backbone.BackboneOptions`; the exact network and the remainder take them.

        Raises:
            ValueError: if the backbone of the exact network is unknown, or refuses the group or an option.
        """
        super().__init__(in_rep, out_rep, group, exact=exact, exact_kwargs=exact_kwargs, **common)
        self.remainder = MLP(in_rep, out_rep, **(common | {"output_gain": 0.0}))
        self.gate_net = perceptron(in_rep.dim, gate_hidden, 1, "relu", 0.0)
        last = self.gate_net[-1]
        assert isinstance(last, nn.Linear)
        nn.init.constant_(last.bias, INITIAL_EVIDENCE)

    def compute(self, x: Tensor) -> Tensor:
        """Map ``(B, in_rep.dim)`` to ``(B, out_rep.dim)``, where padding is zero."""
        exact, gate = self.exact(x), _opened(self.gate_net(x)).detach()
        return torch.lerp(exact, exact.detach() + self.remainder(x), gate)

    def evidence(self, x: Tensor) -> Tensor:
        """What the gate has learnt: how much worse an exact model of the world is than a free one.

        Args:
            x: inputs, shape ``(B, in_rep.dim)``.

        Returns:
            Estimates of what :func:`eqrl.agents.soft.one_step.evidence_of` says, shape ``(B, 1)``.
        """
        evidence: Tensor = self.gate_net(x if self._padding_in is None else cleared(x, self._padding_in.valid(x)))
        return evidence

    def gate(self, x: Tensor) -> Tensor:
        """The gate, shape ``(B, 1)``: 0 where the exact network decides alone, 1 where the free one does."""
        return _opened(self.evidence(x))

    def free_parameters(self) -> Sequence[nn.Parameter]:
        """Parameters of the remainder."""
        return list(self.remainder.parameters())

    def free_parts(self) -> Sequence[Sequence[nn.Parameter]]:
        """The network is exact where the gate is zero, whatever its free weights."""
        return []


def _opened(evidence: Tensor) -> Tensor:
    """Closed while the exact model is no worse, open once it is worse by half the square of their distance."""
    return (2.0 * evidence).clamp(0.0, 1.0)
