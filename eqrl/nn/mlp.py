"""The baseline without symmetry."""

from __future__ import annotations

from typing import Unpack

from torch import Tensor

from eqrl.nn.backbone import Backbone, BackboneOptions
from eqrl.nn.perceptron import perceptron
from eqrl.symmetry import TRIVIAL, Group, Representation


class MLP(Backbone):
    """A multilayer perceptron. Its group is the trivial one, whatever group the representations declare."""

    label = "mlp"

    def __init__(
        self,
        in_rep: Representation,
        out_rep: Representation,
        group: Group | None = None,
        **common: Unpack[BackboneOptions],
    ) -> None:
        super().__init__(in_rep, out_rep, group, **common)
        self.net = perceptron(in_rep.dim, self.hidden, out_rep.dim, self.activation, self.output_gain)

    @classmethod
    def default_group(cls, in_rep: Representation) -> Group:
        """The trivial group."""
        return TRIVIAL

    @classmethod
    def check_group(cls, group: Group) -> None:
        """Refuse everything but the trivial group."""
        if not group.is_subgroup_of(TRIVIAL):
            raise ValueError(
                f"backbone 'mlp' has no symmetry and cannot honour group {group}; leave group=None for the baseline, "
                "or take 'frame', 'vector' or 'steerable'"
            )

    def compute(self, x: Tensor) -> Tensor:
        """Map ``(B, in_rep.dim)`` to ``(B, out_rep.dim)``, where padding is zero."""
        y: Tensor = self.net(x)
        return y
