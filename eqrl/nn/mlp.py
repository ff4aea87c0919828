"""The baseline without symmetry."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from eqrl.nn.backbone import Backbone
from eqrl.nn.perceptron import Activation, perceptron
from eqrl.symmetry import TRIVIAL, Group, Representation


class MLP(Backbone):
    """A multilayer perceptron. Its group is the trivial one, whatever the representations declare."""

    label = "mlp"

    def __init__(
        self,
        in_rep: Representation,
        out_rep: Representation,
        group: Group | None = None,
        *,
        hidden: Sequence[int] | None = None,
        activation: Activation = "relu",
        output_gain: float = 1.0,
    ) -> None:
        super().__init__(in_rep, out_rep, group, hidden=hidden, activation=activation, output_gain=output_gain)
        self.net = perceptron(in_rep.dim, self.hidden, out_rep.dim, activation, output_gain)

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
