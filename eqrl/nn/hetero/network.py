"""A heterogeneous graph network on typed entity sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Unpack

from torch import Tensor

from eqrl.nn.backbone import Backbone, BackboneOptions, largest_standard_subgroup, standard_group
from eqrl.nn.hetero.geometry import Algebra
from eqrl.nn.hetero.graph import Internal, choose_graph
from eqrl.nn.hetero.inputs import NodeInputs
from eqrl.nn.hetero.orientations import OrientationSteps, exact_group
from eqrl.nn.hetero.pooling import Pool, Pooling
from eqrl.nn.hetero.read_outs import ReadOuts
from eqrl.nn.hetero.steps import Settings, Steps
from eqrl.nn.layout import layout
from eqrl.nn.tokens import GLOBALS
from eqrl.symmetry import O2, O3, SO2, SO3, TRIVIAL, Group, Representation, family


class Hetero(Backbone):
    """A graph of typed nodes, the entities of all sets, with typed edges between them; no frame, no grid.

    In a first step, the nodes of each object exchange messages with a hub at their centre, or with their nearest
    neighbours. In a second one, all objects send to the effectors, and these to each other. Where a set has positions,
    edges know their direction and length, so that moving the scene changes nothing; further positions of a node, such
    as its target, enter as differences. Nodes and messages have invariants, vectors and, under groups with mirrors,
    pseudoscalars and axial vectors.

    The graph is that of HEPi (Hoang et al., arXiv 2502.07005). Its features on a grid of orientations, which make it
    equivariant up to an error, are replaced by scalars and vectors, which are exact (Schuett et al., arXiv 2102.03150;
    Satorras et al., arXiv 2102.09844).
    """

    label: ClassVar[str] = "hetero"
    exchanges: ClassVar[bool] = True
    takes_positions: ClassVar[bool] = True
    default_hidden: ClassVar[tuple[int, ...]] = (32, 32)

    def __init__(
        self,
        in_rep: Representation,
        out_rep: Representation,
        group: Group | None = None,
        *,
        internal: Internal = "hub",
        neighbours: int = 3,
        edges: Literal["heterogeneous", "homogeneous"] = "heterogeneous",
        effectors: Sequence[str] | None = None,
        pooling: Pooling = "mean",
        channels: int = 4,
        scales: Sequence[float] = (0.005, 0.05),
        orientations: int | None = None,
        **common: Unpack[BackboneOptions],
    ) -> None:
        """Build embeddings, messages and read-outs.

        Args:
            in_rep: representation of the input, with at least one entity set.
            out_rep: representation of the output.
            group: group to commute with; None means the largest of SO2, O2, SO3 and O3 within the input's group up to
                exchange (:func:`eqrl.symmetry.family`).
            internal: edges within an object: to and from a hub at its centre, or between nearest neighbours.
            neighbours: their number.
            edges: ``"homogeneous"`` shares the weights of all messages of a step between all types of edges, which are
                told apart by a code (the baseline EMPN of HEPi).
            effectors: sets that receive from all others; None means those that the output has fields over, for a value
                those of kind ``"effector"``, else all.
            pooling: how nodes are pooled for outputs without entities, such as a value.
            channels: number of vectors of each kind of a node.
            scales: lengths in units of the positions, ascending, at which differences are resolved. Without a small
                one, errors of millimetres drown in distances of decimetres.
            orientations: number of orientations of the published features, which are equivariant up to an error alone;
                None for scalars and vectors, which are exact. The network then says that it commutes with the rotations
                of the grid: ``C16`` for 16 orientations in the plane, nothing in space.
            common: see :class:`~eqrl.nn.backbone.BackboneOptions`; ``hidden`` holds the number of invariants in both
                steps, all equal.

        Raises:
            ValueError: for inputs without entity sets, for irreps with ``l >= 2``, for other groups, and for unknown
                or impossible options.
        """
        if orientations is not None:
            standard, group = _on_grid(in_rep, group, orientations)
            internal = "neighbours"
        super().__init__(in_rep, out_rep, group, **common)
        self._check(internal, neighbours, edges, pooling, channels, scales)
        if orientations is None:
            standard = _smallest(self.group)
        self.algebra = Algebra(2 if standard.fixes_gravity else 3, standard.has_mirrors)
        self.graph = choose_graph(in_rep, out_rep, effectors, internal)
        self.inputs = NodeInputs(
            in_rep, layout(in_rep, standard, self.label), self.algebra, scales, self.graph.receivers
        )
        width = self.hidden[0]
        settings = Settings(
            self.algebra, width, channels, self.activation, tuple(scales), neighbours, edges == "homogeneous"
        )
        counts = self.inputs.counts
        self.steps: Steps | OrientationSteps
        if orientations is None:
            self.steps = Steps(self.graph, in_rep, counts, settings)
        else:
            self.steps = OrientationSteps(self.graph, in_rep, counts, settings, orientations)
        out_layout, sizes = layout(out_rep, standard, self.label), (width, channels)
        self.read_outs = ReadOuts(out_rep, out_layout, self.algebra, self.graph.sets, *sizes, self.output_gain)
        self.pool: Pool | None = None
        if self.read_outs.pooled:
            self.pool = Pool(self.algebra, *sizes, len(self.graph.sets), pooling, self.activation)

    def _check(
        self, internal: str, neighbours: int, edges: str, pooling: str, channels: int, scales: Sequence[float]
    ) -> None:
        choices = (
            ("internal", internal, ("hub", "neighbours")),
            ("edges", edges, ("heterogeneous", "homogeneous")),
            ("pooling", pooling, ("mean", "sum", "attention")),
        )
        for name, value, known in choices:
            if value not in known:
                raise ValueError(f"{name}={value!r} is unknown; choose one of {list(known)}")
        if len(set(self.hidden)) != 1:
            raise ValueError(f"hidden={self.hidden} must hold one width for both steps, such as (32, 32)")
        if neighbours < 1 or channels < 1:
            raise ValueError(f"neighbours={neighbours} and channels={channels} must be at least 1")
        if not scales or min(scales) <= 0 or list(scales) != sorted(scales):
            raise ValueError(
                f"scales={tuple(scales)} must be positive lengths in ascending order, such as (0.005, 0.05)"
            )

    @classmethod
    def default_group(cls, in_rep: Representation) -> Group:
        """The largest of SO2, O2, SO3 and O3 within the input's group up to exchange."""
        return largest_standard_subgroup(family(in_rep).world_part())

    @classmethod
    def check_group(cls, group: Group) -> None:
        """Refuse groups that are neither SO3 nor O3 nor a subgroup of O2."""
        if not group.is_subgroup_of(O2) and standard_group(group) is None:
            raise ValueError(
                f"backbone 'hetero' honours SO2, O2, SO3 and O3 and cannot honour group {group}; leave group=None for"
                " the largest of these within the environment's group, or take 'frame', which averages over any finite"
                " part"
            )

    @classmethod
    def default_group_with(cls, in_rep: Representation, options: Mapping[str, Any]) -> Group:
        """With orientations, the rotations of their grid."""
        if (count := options.get("orientations")) is not None:
            return _on_grid(in_rep, None, count)[1]
        return cls.default_group(in_rep)

    def compute(self, x: Tensor) -> Tensor:
        """Map ``(B, in_rep.dim)`` to ``(B, out_rep.dim)``, where padding is zero."""
        inputs = self.inputs(x)
        states, hubs = self.steps(inputs)
        if (pool := self.pool) is not None:
            sets = []
            for name in self.graph.sets:
                # a hub is a mean over its nodes already
                through_hub = pool.pooling == "mean" and name in hubs and name not in self.graph.effectors
                sets.append((hubs[name], None) if through_hub else (states[name], inputs[name].places.real))
            states[GLOBALS] = pool(sets)
        y: Tensor = self.read_outs(states)
        return y


def _smallest(group: Group) -> Group:
    """The smallest group that the network can be exact for and that contains the given one."""
    if group == TRIVIAL:
        raise ValueError(
            "backbone 'hetero' cannot do without a group, and group 1 has no symmetry to keep; leave group=None, or"
            " take 'transformer' or 'mlp'"
        )
    return next(known for known in (SO2, O2, SO3, O3) if group.is_subgroup_of(known))


def _on_grid(in_rep: Representation, group: Group | None, count: int) -> tuple[Group, Group]:
    """The rotations that orientations approximate, and those that they honour exactly.

    Raises:
        ValueError: for too few orientations, and for a group that they do not honour.
    """
    rotations = SO2 if Hetero.default_group(in_rep).fixes_gravity else SO3
    if count < 4:
        raise ValueError(f"orientations={count} are too few to tell directions apart; give at least 4, such as 16")
    exact = exact_group(2 if rotations == SO2 else 3, count)
    if group is not None and not group.is_subgroup_of(exact):
        raise ValueError(
            f"backbone 'hetero' with orientations={count} commutes with {exact} exactly and cannot honour group"
            f" {group}; leave out group, or leave out orientations for features that are exact"
        )
    return rotations, exact if group is None else group
