"""Symmetry groups of robots and worlds.

Every group in eqrl is a connected group of rotations (none, SO(2) about gravity, or SO(3)) extended by finitely many
elements: a mirror, the exchange of limbs, the permutation of equal objects. One class therefore represents all of them,
and the product of a continuous and a finite group is an instance of it again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from eqrl.symmetry.element import Element, about_gravity
from eqrl.symmetry.generator import Generator
from eqrl.symmetry.quaternions import quaternion_to_matrix

# files of older versions pickle generators under this module's name
__all__ = [
    "GENERIC_ANGLE", "GROUPS", "O2", "O3", "SO2", "SO3", "TRIVIAL", "Connected", "Generator", "Group", "finite_group",
]  # fmt: skip

Connected = Literal["1", "SO2", "SO3"]

_LARGEST_CLOSURE = 4096
_DIMENSION: Mapping[Connected, int] = {"1": 0, "SO2": 1, "SO3": 3}
_SAME = 1e-9
# A generic angle: 90 degrees would hide pyramidal friction cones and limits along single axes.
GENERIC_ANGLE = float(np.deg2rad(37.0))


@dataclass(frozen=True)
class Group:
    """A connected rotation group extended by a finite group.

    Attributes:
        name: name for people, such as ``"O2"``.
        connected: ``"1"`` (none), ``"SO2"`` (about gravity, the z axis) or ``"SO3"``.
        finite: generators of the finite part. Each must normalise the connected part; for ``"SO2"`` this
            means that its ``R`` maps the vertical axis to itself or to its opposite.
    """

    name: str
    connected: Connected = "1"
    finite: tuple[Generator, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a finite part that does not normalise the connected part."""
        if self.connected not in ("1", "SO2", "SO3"):
            raise ValueError(f"group {self.name!r}: connected must be '1', 'SO2' or 'SO3', got {self.connected!r}")
        if self.connected == "SO2":
            for generator in self.finite:
                if abs(abs(generator.R[2][2]) - 1.0) > _SAME:
                    raise ValueError(
                        f"group {self.name!r}: generator {generator.name!r} moves the vertical axis, so it does not "
                        "go together with rotations about gravity"
                    )

    # ------------------------------------------------------------------ elements
    def identity(self, *batch: int) -> Element:
        """The neutral element, with the given batch shape."""
        return Element(torch.eye(3, dtype=torch.float64).expand(*batch, 3, 3))

    @cached_property
    def cosets(self) -> Element:
        """All elements of the finite part, one for each coset of the connected part.

        Batch shape ``(n,)``, identity first.

        Raises:
            ValueError: if the generators do not generate a finite group of at most 4096 elements.
        """
        sizes = {name: len(matrix) for g in self.finite for name, matrix in g.h}
        identity = Element(self.identity().R, {k: torch.eye(n, dtype=torch.float64) for k, n in sizes.items()})
        generators = [identity.compose(g.element) for g in self.finite]
        elements, frontier = [identity], [identity]
        seen = {_key(identity)}
        while frontier:
            fresh = []
            for known in frontier:
                for generator in generators:
                    candidate = generator.compose(known)
                    if (key := _key(candidate)) not in seen:
                        seen.add(key)
                        fresh.append(candidate)
            elements += fresh
            frontier = fresh
            if len(elements) > _LARGEST_CLOSURE:
                raise ValueError(
                    f"group {self.name!r}: its generators give more than {_LARGEST_CLOSURE} elements; a rotation by "
                    "an angle that does not divide a full turn belongs into the connected part"
                )
        return Element(
            torch.stack([e.R for e in elements]), {k: torch.stack([e.h[k] for e in elements]) for k in sizes}
        )

    @property
    def order(self) -> int | None:
        """Number of elements, or None for a continuous group."""
        return self.cosets.R.shape[0] if self.connected == "1" else None

    def elements(self) -> Element:
        """All elements of a finite group, batch shape ``(order,)``.

        Raises:
            ValueError: for a continuous group.
        """
        if self.connected != "1":
            raise ValueError(f"group {self.name!r} is continuous and cannot be listed; use sample()")
        return self.cosets

    def sample(self, *batch: int, rng: np.random.Generator | int | None = None) -> Element:
        """Sample elements uniformly (Haar measure).

        Args:
            batch: batch shape; without one, a single element is sampled.
            rng: a NumPy generator or a seed.
        """
        rng = np.random.default_rng(rng)
        rotation = self._random_rotation(batch, rng)
        cosets = self.cosets
        index = torch.as_tensor(rng.integers(cosets.R.shape[0], size=batch))
        return cosets[index] if self.connected == "1" else rotation.compose(cosets[index])

    def compose(self, a: Element, b: Element) -> Element:
        """The product ``a * b``: first ``b`` acts, then ``a``."""
        return a.compose(b)

    def inverse(self, a: Element) -> Element:
        """The inverse element."""
        return a.inverse()

    @cached_property
    def generators(self) -> tuple[tuple[str, Element], ...]:
        """Named elements that represent the group in checks; rotations are by a generic 37 degrees."""
        rotation = about_gravity(GENERIC_ANGLE)
        named = []
        if self.connected != "1":
            named.append(("rotation about gravity", rotation))
        if self.connected == "SO3":
            cycle = torch.eye(3, dtype=torch.float64)[[1, 2, 0]]
            named.append(("rotation about x", Element(cycle.mT @ rotation.R @ cycle)))
        return (*named, *((g.name, g.element) for g in self.finite))

    # ------------------------------------------------------------------ structure
    @property
    def fixes_gravity(self) -> bool:
        """Whether every element maps the vertical direction to itself."""
        up = self.cosets.R[:, 2, 2]
        return self.connected != "SO3" and bool((up > 1 - _SAME).all())

    @property
    def has_mirrors(self) -> bool:
        """Whether some element reverses orientation, so that polar and axial vectors differ."""
        return bool((torch.linalg.det(self.cosets.R) < 0).any())

    @property
    def relabels(self) -> frozenset[str]:
        """Names of the entity sets on which some element acts non-trivially."""
        return frozenset(
            k for k, v in self.cosets.h.items() if not torch.allclose(v, torch.eye(v.shape[-1], dtype=v.dtype))
        )

    def world_part(self) -> Group:
        """The subgroup of elements that relabel nothing: pure rotations and mirrors of the world."""
        if not self.relabels:
            return self
        finite = []
        for i in range(1, self.cosets.R.shape[0]):
            element = self.cosets[i]
            if all(torch.allclose(m, torch.eye(m.shape[-1], dtype=m.dtype)) for m in element.h.values()):
                finite.append(Generator.of(f"{self.name} coset {i}", element.R.numpy()))
        return canonical(self.connected, tuple(finite))

    def about_gravity(self) -> Group:
        """The subgroup that keeps gravity: SO(3) becomes SO(2), O(3) becomes O(2)."""
        if self.fixes_gravity:
            return self
        if self.relabels:
            raise ValueError(f"group {self.name!r}: restrict it with world_part() first")
        if self.connected == "SO3":
            # composed with a suitable rotation, any element that reverses orientation is a vertical mirror
            return canonical("SO2", (_MIRROR,) if self.has_mirrors else ())
        upright = [i for i in range(self.cosets.R.shape[0]) if self.cosets.R[i, 2, 2] > 1 - _SAME]
        finite = tuple(Generator.of(f"{self.name} coset {i}", self.cosets.R[i].numpy()) for i in upright[1:])
        return canonical(self.connected, finite)

    def contains(self, element: Element, atol: float = 1e-9) -> bool:
        """Whether a single element belongs to the group."""
        for i in range(self.cosets.R.shape[0]):
            quotient = element.compose(self.cosets[i].inverse())
            unlabelled = all(
                torch.allclose(m, torch.eye(m.shape[-1], dtype=m.dtype), atol=atol) for m in quotient.h.values()
            )
            if unlabelled and self._in_connected(quotient.R, atol):
                return True
        return False

    def is_subgroup_of(self, other: Group) -> bool:
        """Whether all of this group's generators lie in the other group."""
        # dimensions first: a finite group may contain the rotation by the generic angle, but never all rotations
        if _DIMENSION[self.connected] > _DIMENSION[other.connected]:
            return False
        return all(other.contains(element) for _, element in self.generators)

    def product(self, other: Group, name: str | None = None) -> Group:
        """Direct product with a group that acts on other entity sets.

        Raises:
            ValueError: if both are continuous, or both relabel the same entity set.
        """
        if self.connected != "1" and other.connected != "1":
            raise ValueError(
                f"groups {self.name!r} and {other.name!r} are both continuous; their product is not a set of (R, h)"
                " pairs"
            )
        if shared := self.relabels & other.relabels:
            raise ValueError(
                f"groups {self.name!r} and {other.name!r} both relabel {sorted(shared)}; a direct product acts on"
                " separate sets"
            )
        connected = self.connected if self.connected != "1" else other.connected
        return Group(name or f"{self.name} x {other.name}", connected, self.finite + other.finite)

    def __str__(self) -> str:
        """The name alone, for tables and messages."""
        return self.name

    # ------------------------------------------------------------------ internals
    def _random_rotation(self, batch: tuple[int, ...], rng: np.random.Generator) -> Element:
        """Uniform elements of the connected part."""
        if self.connected == "1":
            return self.identity(*batch)
        if self.connected == "SO2":
            return about_gravity(torch.as_tensor(rng.uniform(-np.pi, np.pi, size=batch)))
        # a Gaussian direction in 4D is a uniform unit quaternion
        return Element(torch.as_tensor(quaternion_to_matrix(rng.standard_normal((*batch, 4)))))

    def _in_connected(self, R: Tensor, atol: float) -> bool:
        if torch.linalg.det(R) < 0:
            return False
        if self.connected == "SO3":
            return True
        if self.connected == "SO2":
            return bool(abs(R[2, 2] - 1) < atol)
        return torch.allclose(R, torch.eye(3, dtype=R.dtype), atol=atol)


def _key(element: Element) -> tuple[float, ...]:
    """The rounded entries of all matrices, by which equal elements are recognised."""
    parts = [element.R, *(element.h[k] for k in sorted(element.h))]
    flat = torch.cat([p.flatten() for p in parts])
    return tuple((flat.mul(1e6).round() / 1e6 + 0.0).tolist())


_MIRROR = Generator.of("mirror y -> -y", np.diag([1.0, -1.0, 1.0]))
_INVERSION = Generator.of("inversion", -np.eye(3))

TRIVIAL = Group("1")
SO2 = Group("SO2", "SO2")
O2 = Group("O2", "SO2", (_MIRROR,))
SO3 = Group("SO3", "SO3")
O3 = Group("O3", "SO3", (_INVERSION,))
GROUPS: Mapping[str, Group] = {g.name: g for g in (TRIVIAL, SO2, O2, SO3, O3)}


def canonical(connected: Connected, finite: tuple[Generator, ...]) -> Group:
    """A group of rotations and mirrors; one of ``GROUPS`` if it equals that."""
    group = Group(f"{connected} + {len(finite)}", connected, finite)
    for known in GROUPS.values():
        if known.connected == connected and group.is_subgroup_of(known) and known.is_subgroup_of(group):
            return known
    return group


def finite_group(name: str, generators: Iterable[Generator]) -> Group:
    """The finite group that some generators generate.

    Args:
        name: name for people.
        generators: named pairs (R, h).

    Raises:
        ValueError: if they do not generate a finite group, which is checked at once.
    """
    group = Group(name, "1", tuple(generators))
    _ = group.cosets
    return group
