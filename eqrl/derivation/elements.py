"""Elements of a model's group: the identity, motions of the world, products, and a key that distinguishes them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import mujoco
import numpy as np

from eqrl.arrays import Floats
from eqrl.derivation.connections import Connections
from eqrl.derivation.model_parts import Parts
from eqrl.derivation.sensors import sensors
from eqrl.derivation.symmetry import Symmetry

_LARGEST = 4096
_TURNS = (int(mujoco.mjtJoint.mjJNT_FREE), int(mujoco.mjtJoint.mjJNT_BALL))


def identity(model: mujoco.MjModel, name: str = "identity") -> Symmetry:
    """The element that does nothing to a model."""
    return Symmetry(
        name=name,
        kind="world",
        model=model,
        R=np.eye(3),
        t=np.zeros(3),
        bodies=np.arange(model.nbody),
        joints=np.arange(model.njnt),
        geoms=np.arange(model.ngeom),
        sites=np.arange(model.nsite),
        tendons=np.arange(model.ntendon),
        actuators=np.arange(model.nu),
        sensors=np.arange(model.nsensor),
        frames=np.tile(np.eye(4), (model.nbody, 1, 1)),
        joint_signs=np.ones(model.njnt),
        ctrl_signs=np.ones(model.nu),
        ctrl_offsets=np.zeros(model.nu),
        sensor_matrix=np.eye(model.nsensordata),
        sensor_offset=np.zeros(model.nsensordata),
        reference=model.qpos0.copy(),
    )


def world_rotation(model: mujoco.MjModel, angle: float) -> Symmetry:
    """Everything turned about the vertical axis through the origin, by an angle in radians; nothing is relabelled."""
    c, s = np.cos(angle), np.sin(angle)
    R = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
    return world_motion(model, R, name=f"rotation about gravity by {np.rad2deg(angle):.0f} degrees")


def world_motion(
    model: mujoco.MjModel, R: Floats, t: Floats | None = None, name: str = "motion of the world"
) -> Symmetry:
    """Everything moved by ``x -> R x + t``; nothing is relabelled, but sensors that measure in the world turn.

    Args:
        model: the model.
        R: rotation matrix.
        t: translation, none by default.
        name: of the symmetry.
    """
    one, t = identity(model, name), np.zeros(3) if t is None else t
    still = np.tile(np.eye(4), (model.nbody, 1, 1))
    connections = Connections(
        Parts.of(model), still, one.bodies, one.joints, one.joint_signs, one.geoms, slack=1e-9, R=R
    )
    images, matrix, offset, _ = sensors(connections, R, t)
    return replace(one, R=R, t=t, sensors=images, sensor_matrix=matrix, sensor_offset=offset)


def closure(generators: Iterable[Symmetry], one: Symmetry) -> tuple[Symmetry, ...]:
    """All products of generators, the identity first.

    Raises:
        ValueError: if there are more than 4096.
    """
    generators = tuple(generators)
    elements, frontier, seen = [one], [one], {key(one)}
    while frontier:
        fresh = []
        for known in frontier:
            for generator in generators:
                candidate = generator.compose(known)
                if (signature := key(candidate)) not in seen:
                    seen.add(signature)
                    # a generator keeps its own name
                    fresh.append(generator if known is one else candidate)
        if len(elements) + len(fresh) > _LARGEST:
            raise ValueError(f"the generators give more than {_LARGEST} elements; choose a subgroup of them")
        elements += fresh
        frontier = fresh
    return tuple(elements)


def key(s: Symmetry) -> tuple[float, ...]:
    """A key that distinguishes an element from the others of its finite group."""
    # translations are not compared: of a finite group each element has but one
    heads = s.model.body_weldid == np.arange(s.model.nbody)
    # where nothing floats, no coordinate tells two world isometries apart that relabel alike
    floats = bool((s.model.jnt_type == _TURNS[0]).any())
    parts: list[np.ndarray] = [s.R.ravel()] if floats else []
    parts += [s.joints, s.joint_signs, s.actuators, s.ctrl_signs, s.bodies[heads]]
    parts += [s.frames[b, :3, :3].ravel() for b in turning(s.model)]
    return tuple((np.concatenate(parts).astype(np.float64).round(3) + 0.0).tolist())


def order_of(s: Symmetry, most: int) -> int:
    """The order of an element, or ``most`` if it is larger."""
    one, power = key(identity(s.model)), s
    for n in range(1, most + 1):
        if key(power) == one:
            return n
        power = s.compose(power)
    return most


def turning(model: mujoco.MjModel) -> list[int]:
    """Bodies with a free or a ball joint, which carry axes of their own."""
    # compared as integers: numpy's do not equal MuJoCo's enumeration
    return [int(model.jnt_bodyid[j]) for j in range(model.njnt) if int(model.jnt_type[j]) in _TURNS]
