"""A rope in the plane as a chain of stiff links that grows from its middle, so that both ends are alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from eqrl.arrays import Floats
from eqrl.envs.core.coordinates import Reflection
from eqrl.envs.core.world import World
from eqrl.symmetry import EntitySet

_HINGES = "hinges"


@dataclass(frozen=True)
class Chain:
    """A rope of stiff links on hinges, each end tied to another body.

    Its middle link slides and turns in the plane; from it a branch of links grows towards each end. A rope that grows
    from one end has a direction, by which the integration of its coordinates breaks the exchange of the ends; this one
    keeps it to rounding, and is faster since the two branches share no row of the mass matrix. Links do not stretch.
    The armature of the hinges keeps a taut rope from buzzing: without it steps of 5 ms are too long.

    Attributes:
        ends: names of the bodies that its ends are tied to.
        links: number of links, odd.
        length: m.
        mass: of all links together, kg.
        radius: of a link, m.
        damping: of a hinge, N m s/rad.
        armature: of a hinge, kg m^2.
    """

    ends: tuple[str, str]
    links: int = 41
    length: float = 1.0
    mass: float = 0.2
    radius: float = 0.01
    damping: float = 1e-3
    armature: float = 1e-4

    def __post_init__(self) -> None:
        """Refuse a chain that has no middle link."""
        if self.links < 3 or self.links % 2 == 0:
            raise ValueError(f"links={self.links} must be odd and at least 3, so that the rope has a middle link")

    @property
    def branches(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Names of the links of each branch from its end to the middle; the middle link itself is named ``rope``."""
        half = self.links // 2
        first, second = (tuple(f"link_{side}_{i}" for i in range(half)) for side in ("first", "second"))
        return first, second

    @property
    def node_bodies(self) -> tuple[str, ...]:
        """Bodies whose origins are the ends of links, along the rope: an end, all hinges, the other end."""
        first, second = self.branches
        return (self.ends[0], *first, *second[::-1], self.ends[1])

    # ------------------------------------------------------------------ how it turns
    @property
    def entities(self) -> EntitySet:
        """The hinges as an entity set of a task."""
        return EntitySet(_HINGES, ("hinge",) * (self.links - 1))

    @property
    def members(self) -> dict[str, tuple[str, ...]]:
        """The links that hang on these hinges, along the rope."""
        first, second = self.branches
        return {_HINGES: (*first, *second[::-1])}

    @property
    def reflections(self) -> dict[str, Reflection]:
        """A mirror of the world leaves a link as it is, with its x axis along the rope."""
        return {"rope": (1.0, -1.0, 1.0)}

    @property
    def reversal(self) -> dict[str, Floats]:
        """What the exchange of its ends relabels: hinges, and the axes of the middle link."""
        return {_HINGES: np.eye(self.links - 1)[::-1], "rope axes": np.diag([-1.0, -1.0, 1.0])}

    # ------------------------------------------------------------------ the model
    def add_to(self, spec: mujoco.MjSpec, **geom: object) -> None:
        """Add the rope to a specification that has the bodies at its ends.

        Args:
            spec: the model.
            geom: further attributes of the links.
        """
        # twice as fast as sparse; and MuJoCo 4.0.0's sparse factors of a chain lose digits, so that the solver wanders
        spec.option.jacobian = mujoco.mjtJacobian.mjJAC_DENSE
        step = self.length / self.links
        height = float(spec.body(self.ends[0]).pos[2])
        look: dict[str, Any] = {"rgba": [0.45, 0.58, 0.75, 1], "mass": self.mass / self.links, **geom}
        capsule = {"type": mujoco.mjtGeom.mjGEOM_CAPSULE, "size": [self.radius, 0, 0], **look}
        middle = spec.worldbody.add_body(name="rope", pos=[0, 0, height])
        for letter, axis in (("x", [1, 0, 0]), ("y", [0, 1, 0])):
            middle.add_joint(name=f"rope_{letter}", type=mujoco.mjtJoint.mjJNT_SLIDE, axis=axis)
        hinge = {"type": mujoco.mjtJoint.mjJNT_HINGE, "axis": [0, 0, 1]}
        hinge |= {"damping": self.damping, "armature": self.armature}
        middle.add_joint(name="rope_yaw", **hinge)
        middle.add_geom(fromto=[-step / 2, 0, 0, step / 2, 0, 0], **capsule)
        for sense, end, branch in zip((-1.0, 1.0), self.ends, self.branches, strict=True):
            body, at = middle, 0.5 * sense * step
            for name in reversed(branch):
                body = body.add_body(name=name, pos=[at, 0, 0])
                body.add_joint(name=name, **hinge)
                body.add_geom(fromto=[0, 0, 0, sense * step, 0, 0], **capsule)
                at = sense * step
            # sites, since a tie between bodies would keep the offset that they have in the default state
            body.add_site(name=f"rope {end}", pos=[at, 0, 0], size=[0.5 * self.radius] * 3)
            spec.body(end).add_site(name=f"{end} rope", size=[0.5 * self.radius] * 3)
            spec.add_equality(
                name=f"rope {end}", type=mujoco.mjtEq.mjEQ_CONNECT, objtype=mujoco.mjtObj.mjOBJ_SITE,
                name1=f"rope {end}", name2=f"{end} rope", solref=[0.01, 1.0],
            )  # fmt: skip

    # ------------------------------------------------------------------ values
    def lay_straight(self, sim: World, middle: Floats, angle: float) -> Floats:
        """Lay the rope along a line.

        Args:
            sim: one simulation, whose hinges are straight, as they are in the model.
            middle: of the rope, ``(2,)``, m.
            angle: of its direction, from the first end to the second, rad.

        Returns:
            Where its two ends are, ``(2, 2)``; the bodies there are still to be moved.
        """
        along = np.array([np.cos(angle), np.sin(angle)])
        sim.positions.rope, sim.positions.rope_yaw = middle, angle
        ends: Floats = middle + 0.5 * self.length * np.outer([-1.0, 1.0], along)
        return ends

    def node_ids(self, model: mujoco.MjModel) -> NDArray[np.int64]:
        """Indices of ``node_bodies`` in the model, ``(links + 1,)``."""
        return np.array([model.body(name).id for name in self.node_bodies])

    @staticmethod
    def nodes(world: World, ids: NDArray[np.int64]) -> Floats:
        """Where nodes of the rope are, ``(n, len(ids), 2)``, m."""
        points: Floats = world.data.xpos[:, ids, :2]
        return points

    @staticmethod
    def node_velocities(world: World, model: mujoco.MjModel, ids: NDArray[np.int64]) -> Floats:
        """How fast they move, ``(n, len(ids), 2)``, m/s."""
        twist = world.data.cvel[:, ids]  # angular and linear, at the centre of mass of the tree that the body is in
        arm = world.data.xpos[:, ids, :2] - world.data.subtree_com[:, model.body_rootid[ids], :2]
        velocity: Floats = np.stack(
            [twist[..., 3] - twist[..., 2] * arm[..., 1], twist[..., 4] + twist[..., 2] * arm[..., 0]], axis=-1
        )
        return velocity
