"""A rope in the plane: beads on slides, and strings between neighbours that may go slack but not stretch."""

from __future__ import annotations

from itertools import pairwise

import mujoco
import numpy as np

_AXES = np.eye(3)


def bead_names(beads: int) -> tuple[str, ...]:
    """Names of the beads' bodies, in order."""
    return tuple(f"bead_{i}" for i in range(beads))


def add_rope(
    spec: mujoco.MjSpec, first: str, last: str, beads: int, length: float, radius: float = 0.012, mass: float = 0.1
) -> None:
    """Hang a rope between two bodies of a specification.

    The strings are tendons with an upper limit of their length, so the rope has no direction: exchanging its ends is an
    exact symmetry, which it is not for a chain of links that begins at one of them.

    Args:
        spec: the model.
        first: name of the body at one end.
        last: name of the body at the other.
        beads: number of beads between them.
        length: of the whole rope, m.
        radius: of a bead, m.
        mass: of all beads together, kg.
    """
    ends = [next(body for body in spec.bodies if body.name == name) for name in (first, last)]
    height = float(ends[0].pos[2])
    bodies = [ends[0]]
    for name in bead_names(beads):
        bead = spec.worldbody.add_body(name=name, pos=[0, 0, height], gravcomp=1.0)
        bead.add_geom(
            type=mujoco.mjtGeom.mjGEOM_SPHERE, size=[radius, 0, 0], mass=mass / beads, rgba=[0.45, 0.58, 0.75, 1],
            contype=0, conaffinity=0,
        )  # fmt: skip
        for i, axis in enumerate("xy"):
            bead.add_joint(name=f"{name}_{axis}", type=mujoco.mjtJoint.mjJNT_SLIDE, axis=_AXES[i], damping=0.05)
        bodies.append(bead)
    bodies.append(ends[1])
    for body in bodies:
        body.add_site(name=f"{body.name} string", pos=[0, 0, 0], size=[0.5 * radius] * 3)
    for i, (one, other) in enumerate(pairwise(bodies)):
        string = spec.add_tendon(
            name=f"string_{i}", limited=True, range=[0.0, length / (beads + 1)], width=0.4 * radius, rgba=[0.45, 0.58,
            0.75, 1]
        )  # fmt: skip
        string.wrap_site(f"{one.name} string")
        string.wrap_site(f"{other.name} string")
