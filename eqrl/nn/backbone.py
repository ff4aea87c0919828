"""The interface of all networks: a map between two representations that commutes with a group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self, TypedDict

from torch import Tensor

from eqrl.nn.constants import ExactModule
from eqrl.nn.padding import Padding, cleared
from eqrl.nn.perceptron import Activation
from eqrl.nn.signatures import whole_signature
from eqrl.symmetry import GROUPS, Group, Representation


class BackboneOptions(TypedDict, total=False):
    """Options that every backbone has.

    Attributes:
        hidden: widths of the hidden layers; None means the backbone's default.
        activation: activation, by name or type; None means the backbone's default.
        output_gain: gain of the last layer's initial weights.
    """

    hidden: Sequence[int] | None
    activation: Activation | None
    output_gain: float


class Backbone(ExactModule):
    """A network f with ``f(g x) = g f(x)`` for every g in ``self.group``.

    Backbones are plain torch modules: they can be saved, copied, pickled and converted to float64. In float64 they are
    equivariant to 1e-10 for any weights and inputs.

    Where an entity set of the input is masked, the contents of padded slots have no effect, and outputs over that set
    are zero there. Subclasses implement ``compute``, which sees zeros in padded slots, and need not handle padding
    themselves.

    Attributes:
        in_rep: representation of the input.
        out_rep: representation of the output.
        group: the group that the network commutes with.
        hidden: widths of the hidden layers.
        activation: activation after each hidden layer.
        output_gain: gain of the last layer's initial weights.
        stacks: whether the parameters may have a leading axis of ensemble members, which the output then has too.
        exchanges: whether the network commutes with every exchange of entities in exchangeable sets and does not depend
            on the number of slots, unless an option says otherwise. Networks with separate weights for each slot do
            not.
        guarantees: whether the network commutes with ``group`` for all weights. Where it does not, ``default_group`` is
            that of its exact pathway (:mod:`eqrl.nn.pathways`).
        takes_positions: whether the network itself takes differences of fields with role ``"position"``. Policies then
            pass them on in the units of the environment, neither normalised nor relative to an achieved goal.
    """

    label: ClassVar[str] = "backbone"
    stacks: ClassVar[bool] = False
    exchanges: ClassVar[bool] = False
    guarantees: ClassVar[bool] = True
    takes_positions: ClassVar[bool] = False
    default_hidden: ClassVar[tuple[int, ...]] = (256, 256)
    default_activation: ClassVar[Activation] = "relu"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Show the common options in the signature of every backbone."""
        super().__init_subclass__(**kwargs)
        cls.__signature__ = whole_signature(cls, Backbone)  # type: ignore[attr-defined]

    def __init__(
        self,
        in_rep: Representation,
        out_rep: Representation,
        group: Group | None = None,
        *,
        hidden: Sequence[int] | None = None,
        activation: Activation | None = None,
        output_gain: float = 1.0,
    ) -> None:
        """Check that the group can be honoured. Subclasses build their layers.

        Args:
            in_rep: representation of the input.
            out_rep: representation of the output.
            group: group to commute with; None means the largest one that this backbone honours cheaply.
            hidden: widths of the hidden layers; None means the backbone's default.
            activation: activation, by name or type; None means the backbone's default.
            output_gain: gain of the last layer's initial weights.

        Raises:
            ValueError: if this backbone cannot honour the group, or the group tilts a horizontal field.
        """
        super().__init__()
        self.in_rep = in_rep
        self.out_rep = out_rep
        self.group = self.default_group(in_rep) if group is None else group
        self.hidden = self.default_hidden if hidden is None else tuple(hidden)
        self.activation = self.default_activation if activation is None else activation
        self.output_gain = output_gain
        self.check_group(self.group)
        # each raises if the group would tilt a horizontal field
        in_rep.with_group(self.group)
        out_rep.with_group(self.group)
        self._padding_in = Padding.of(in_rep, in_rep)
        self._padding_out = Padding.of(out_rep, in_rep)

    @classmethod
    def default_group(cls, in_rep: Representation) -> Group:
        """The largest group that the backbone honours cheaply for an input of this representation."""
        return in_rep.group.world_part()

    @classmethod
    def default_group_with(cls, in_rep: Representation, options: Mapping[str, Any]) -> Group:
        """``default_group`` with these options, where one of them makes a difference."""
        return cls.default_group(in_rep)

    @classmethod
    def check_group(cls, group: Group) -> None:
        """Refuse a group that the backbone cannot honour.

        Raises:
            ValueError: naming the group, the backbone and the fix.
        """
        raise NotImplementedError

    @classmethod
    def exchanges_with(cls, options: Mapping[str, Any]) -> bool:
        """``exchanges`` with these options, where one of them makes a difference."""
        return cls.exchanges

    @classmethod
    def takes_positions_with(cls, options: Mapping[str, Any]) -> bool:
        """``takes_positions`` with these options, where one of them makes a difference."""
        return cls.takes_positions

    def freeze(self) -> Self:
        """Prepare for inference: switch to evaluation mode and cache everything that depends on the weights alone.

        The state dict does not change. ``load_state_dict`` renews the cache; weights that are changed in any other way
        take effect after the next ``freeze``. ``train()`` drops the cache. Most backbones have nothing to cache.
        """
        return self.eval()

    def forward(self, x: Tensor) -> Tensor:
        """Map inputs of shape ``(B, in_rep.dim)`` to outputs of shape ``(B, out_rep.dim)``."""
        if self._padding_in is None:
            return self.compute(x)
        y = self.compute(cleared(x, self._padding_in.valid(x)))
        return y if self._padding_out is None else cleared(y, self._padding_out.valid(x))

    def compute(self, x: Tensor) -> Tensor:
        """``forward`` without regard to padding, which is zero in the input and arbitrary in the output."""
        raise NotImplementedError

    def extra_repr(self) -> str:
        """Sizes and group, for printing."""
        return f"{self.in_rep.dim} -> {self.out_rep.dim}, group={self.group}"


def same_group(a: Group, b: Group) -> bool:
    """Whether two groups have the same elements, whatever their names and generators."""
    return a.is_subgroup_of(b) and b.is_subgroup_of(a)


def standard_group(group: Group) -> Group | None:
    """The group among 1, SO2, O2, SO3 and O3 that has the same elements, or None."""
    return next((known for known in GROUPS.values() if same_group(group, known)), None)


def largest_standard_subgroup(group: Group) -> Group:
    """The largest of 1, SO2, O2, SO3 and O3 that a group contains."""
    contained = [known for known in GROUPS.values() if known.is_subgroup_of(group)]
    return next(g for g in contained if all(other.is_subgroup_of(g) for other in contained))
