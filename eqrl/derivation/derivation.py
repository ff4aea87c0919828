"""The result of a derivation: generators on two levels, near misses, the world's part, and the group of all of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import mujoco
import numpy as np

from eqrl.arrays import Floats
from eqrl.derivation.discrepancy import Level, NearMiss
from eqrl.derivation.elements import closure, identity, key, order_of, turning, world_rotation
from eqrl.derivation.exchangeable import Exchangeable
from eqrl.derivation.model_parts import Parts
from eqrl.derivation.symmetrise import symmetrised
from eqrl.derivation.symmetry import Symmetry, signed_permutation
from eqrl.symmetry.group import Connected, Generator, Group
from eqrl.symmetry.naming import finite_name


@dataclass(frozen=True)
class WorldPart:
    """What may be done to the world alone: gravity, static geometry and fixed bases decide.

    Attributes:
        connected: continuous rotations: ``"1"``, ``"SO2"`` (about gravity) or ``"SO3"``.
        translations: directions along which everything may be shifted, ``(n, 3)`` with n of 0 to 3.
        reasons: why it is not more, one line each.
        open_ground: continuous rotations that gravity and static geometry leave; free joints with terms of their own
            may break them.
    """

    connected: Connected
    translations: Floats
    reasons: tuple[str, ...] = ()
    open_ground: Connected = "1"

    @property
    def is_broken_by_joints(self) -> bool:
        """Whether nothing but terms of free joints keeps the world from being turned about gravity."""
        return self.connected == "1" and self.open_ground != "1"


@dataclass(frozen=True, eq=False)
class Derivation:
    """The symmetry of a model.

    Attributes:
        model: the compiled model.
        world: the world's part.
        kinematic: generators of the finite part that hold for tree, joint frames, ranges, actuators and shapes.
        dynamic: those that hold for masses, inertias, armature, damping, stiffness, friction and gains too.
        near_misses: kinematic generators that are not dynamic, and those that hold within the tolerance only.
        notes: remarks on what could not be decided, one line each.
        spec: what the model was compiled from, where that is known.
        sets: like trees that may be exchanged freely, by level; the finite part leaves these exchanges out.
    """

    model: mujoco.MjModel
    world: WorldPart
    kinematic: tuple[Symmetry, ...]
    dynamic: tuple[Symmetry, ...]
    near_misses: tuple[NearMiss, ...] = ()
    notes: tuple[str, ...] = field(default=())
    spec: mujoco.MjSpec | None = None
    sets: Mapping[Level, tuple[Exchangeable, ...]] = field(default_factory=dict)

    def __str__(self) -> str:
        """The group, what may be exchanged freely, and why it is not more: one line each."""
        first = ", and ".join([self.group().name, *map(str, self.exchangeable())])
        return "\n".join([first, *map(str, self.near_misses), *self.world.reasons, *self.notes])

    def exchangeable(self, level: Level = "dynamic") -> tuple[Exchangeable, ...]:
        """Like trees that may be exchanged freely; the finite part leaves these exchanges out."""
        return self.sets.get(level, ())

    def generators(self, level: Level = "dynamic") -> tuple[Symmetry, ...]:
        """Generators of the finite part on a level."""
        return self.kinematic if level == "kinematic" else self.dynamic

    def elements(self, level: Level = "dynamic") -> tuple[Symmetry, ...]:
        """All elements of the finite part, the identity first.

        Raises:
            ValueError: if there are more than 4096.
        """
        return self._kinematic_elements if level == "kinematic" else self._dynamic_elements

    def order(self, level: Level = "dynamic") -> int:
        """Number of elements of the finite part."""
        return len(self.elements(level))

    @cached_property
    def _kinematic_elements(self) -> tuple[Symmetry, ...]:
        return closure(self.kinematic, self.identity)

    def contains(self, symmetry: Symmetry, level: Level = "dynamic") -> bool:
        """Whether a symmetry is an element of the finite part."""
        return key(symmetry) in {key(s) for s in self.elements(level)}

    @cached_property
    def _dynamic_elements(self) -> tuple[Symmetry, ...]:
        return closure(self.dynamic, self.identity)

    @property
    def identity(self) -> Symmetry:
        """The element that does nothing."""
        one = identity(self.model)
        free = [g for like in self.exchangeable("kinematic") for g in like.generators]
        elements = [*self.kinematic, *free, *(m.symmetry for m in self.near_misses)]
        return replace(one, reference=elements[0].reference) if elements else one

    def rotation(self, angle: float) -> Symmetry:
        """Rotation of the world about the vertical axis through the origin, by an angle in radians.

        Raises:
            ValueError: if the model's world does not allow it.
        """
        if self.world.connected == "1":
            raise ValueError("this model may not be turned about gravity: " + "; ".join(self.world.reasons))
        return world_rotation(self.model, angle)

    def group(self, level: Level = "dynamic") -> Group:
        """The full group without translations and without free exchanges, for representations.

        Its entity sets are ``"joints"`` (hinges and slides in the model's order, signed), ``"actuators"`` (signed),
        ``"bodies"`` (permuted; what is welded together counts as one), and for each body with a free or ball joint
        ``"<body> axes"``, 3x3.
        """
        generators = self.generators(level)
        connected = self.world.connected
        name: str = connected if connected != "1" else ""
        order = self.order(level)
        if order > 1:
            name = f"{name} x {self._finite_name(level)}" if name else self._finite_name(level)
        return Group(name or "1", connected, tuple(as_generator(s) for s in generators))

    def symmetrise(self, near_misses: bool = True) -> tuple[mujoco.MjSpec, tuple[str, ...]]:
        """The model with all attributes averaged over their orbits, so that the kinematic group becomes dynamic.

        Args:
            near_misses: also make those symmetries exact that only hold nearly.

        Returns:
            A new specification, and what was changed, one line for each attribute.

        Raises:
            ValueError: if the model was given compiled, or the group is too large to list.
        """
        if self.spec is None:
            raise ValueError("a compiled model cannot be changed; give derive() the MJCF file or an MjSpec")
        free = self.exchangeable("kinematic")
        nearly = [
            m.symmetry for m in self.near_misses if near_misses and not any(like.covers(m.symmetry) for like in free)
        ]
        spec = self.spec
        changes: list[str] = []
        # what is averaged over one set stays so when others are averaged
        for generators in (*(like.averaging() for like in free), (*self.kinematic, *nearly)):
            elements = closure(generators, self.identity)
            moved = [self._poses[s.bodies] @ s.frames @ np.linalg.inv(self._poses) for s in elements]
            spec, changed = symmetrised(spec, elements, moved)
            changes += changed
        return spec, tuple(changes)

    @cached_property
    def _poses(self) -> Floats:
        return Parts.of(self.model, self.identity.reference).poses

    def _finite_name(self, level: Level) -> str:
        elements = self.elements(level)
        orders = [order_of(e, len(elements)) for e in elements]
        abelian = all(_same(a.compose(b), b.compose(a)) for a in self.generators(level) for b in self.generators(level))
        return finite_name(orders, abelian)


def as_generator(symmetry: Symmetry) -> Generator:
    """A symmetry as a generator of an abstract group, with its relabellings as matrices."""
    m = symmetry.model
    h: dict[str, Floats] = {}
    if len(symmetry.scalar_joints):
        h["joints"] = symmetry.joint_matrix
    if m.nu:
        h["actuators"] = symmetry.ctrl_matrix
    heads = np.flatnonzero(m.body_weldid == np.arange(m.nbody))
    h["bodies"] = signed_permutation(symmetry.bodies, np.ones(m.nbody), heads)
    for body in turning(m):
        if symmetry.bodies[body] == body:
            h[f"{m.body(body).name or f'body{body}'} axes"] = symmetry.frames[body, :3, :3]
    return Generator.of(symmetry.name, symmetry.R, h)


def _same(a: Symmetry, b: Symmetry) -> bool:
    return key(a) == key(b)
