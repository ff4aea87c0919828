"""Networks of two pathways: one commutes with a group, the other one is free to break it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self, Unpack

from torch import nn

from eqrl.errors import suggestion
from eqrl.nn.backbone import Backbone, BackboneOptions
from eqrl.nn.frame import Frame, Goal, Heading
from eqrl.nn.hetero import Hetero
from eqrl.nn.regular import Regular
from eqrl.nn.steerable import Steerable
from eqrl.nn.transformer import SubequivariantTransformer, Transformer
from eqrl.nn.vector import Vector
from eqrl.symmetry import TRIVIAL, Group, Representation

EXACT: Mapping[str, type[Backbone]] = {
    kind.label: kind
    for kind in (Frame, Heading, Goal, Vector, Steerable, Regular, Transformer, SubequivariantTransformer, Hetero)
}


class SoftBackbone(Backbone):
    """A network with an exact pathway, which commutes with ``soft_group``, and a free one, which need not.

    As a whole it guarantees nothing: its ``group`` is the trivial one. How much the free pathway says is decided by
    training, and by a prior of :mod:`eqrl.agents.soft`.

    Attributes:
        exact: the exact pathway.
        exact_kwargs: its own options.
        soft_group: the group of the exact pathway.
    """

    guarantees: ClassVar[bool] = False

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
        """Build the exact pathway; subclasses add the free one.

        Args:
            in_rep: representation of the input.
            out_rep: representation of the output.
            group: group of the exact pathway; None means the largest one that it honours cheaply.
            exact: backbone of the exact pathway; None means ``"regular"`` for a finite group, else ``"frame"``.
            exact_kwargs: further options of that backbone, such as ``anchors``.
            common: see :class:`~eqrl.nn.backbone.BackboneOptions`; both pathways take them.

        Raises:
            ValueError: if the backbone of the exact pathway is unknown, or refuses the group or an option.
        """
        super().__init__(in_rep, out_rep, TRIVIAL, **common)
        kind = exact_kind(exact, in_rep.group if group is None else group)
        self.exact_kwargs = dict(exact_kwargs or {})
        self.exact = kind(in_rep, out_rep, group, **{**common, **self.exact_kwargs})
        self.soft_group = self.exact.group

    @classmethod
    def default_group(cls, in_rep: Representation) -> Group:
        """The group of the exact pathway, by default."""
        return cls.default_group_with(in_rep, {})

    @classmethod
    def default_group_with(cls, in_rep: Representation, options: Mapping[str, Any]) -> Group:
        """The group of the exact pathway, with these options."""
        kind = exact_kind(options.get("exact"), in_rep.group)
        return kind.default_group_with(in_rep, options.get("exact_kwargs") or {})

    @classmethod
    def takes_positions_with(cls, options: Mapping[str, Any]) -> bool:
        """Whether the exact pathway does."""
        return options.get("exact") in EXACT and EXACT[options["exact"]].takes_positions

    @classmethod
    def check_group(cls, group: Group) -> None:
        """Accept the trivial group, which is all that is kept; the exact pathway checks its own."""

    def freeze(self) -> Self:
        """Switch to evaluation mode and cache what depends on the weights of the exact pathway alone."""
        super().freeze()
        self.exact.freeze()
        return self

    # ------------------------------------------------------------------ what priors ask
    def free_parameters(self) -> Sequence[nn.Parameter]:
        """Parameters of the free pathway."""
        raise NotImplementedError

    def exact_parameters(self) -> Sequence[nn.Parameter]:
        """Parameters of the exact pathway."""
        free = {id(parameter) for parameter in self.free_parameters()}
        return [parameter for parameter in self.exact.parameters() if id(parameter) not in free]

    def free_parts(self) -> Sequence[Sequence[nn.Parameter]]:
        """Groups of free parameters; where all entries of one are zero, the part of the network it sits in is exact.

        The whole network is exact where all groups are zero.
        """
        raise NotImplementedError


def exact_kind(name: str | None, group: Group) -> type[Backbone]:
    """The backbone of an exact pathway.

    Args:
        name: a key of ``EXACT``; None means ``"regular"`` for a finite group, else ``"frame"``.
        group: the group to commute with.

    Raises:
        ValueError: for an unknown name, naming the closest one.
    """
    if name is None:
        return Regular if group.order is not None else Frame
    if name not in EXACT:
        raise ValueError(f"exact={name!r} is no exact backbone; {suggestion(str(name), EXACT)}")
    return EXACT[name]
