"""Which symmetry of a model a declared generator means.

A generator says what it does to the world and to entity sets that only the declaration knows. The model's symmetries
that do the same to the world are its candidates; the one that explains most of what is observed is meant.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import mujoco
import numpy as np

from eqrl.arrays import Floats
from eqrl.derivation import Derivation, Symmetry
from eqrl.derivation.elements import key, world_motion
from eqrl.proof.declared.motion import Motion, TwinState, motion_of
from eqrl.proof.quaternion_signs import quaternion_slices

_SAME = 1e-6
_MOST = 256


@dataclass(frozen=True, eq=False)
class Candidate:
    """A symmetry that moves the world as a declared generator does.

    Attributes:
        motion: what it does to states.
        but_for: what breaks it, empty if the model keeps it.
    """

    motion: Motion
    but_for: str = ""


def counterparts(derivation: Derivation, R: Floats) -> list[Candidate]:
    """Symmetries of a model with a given action on the world, the exact ones first.

    Without any, those that it nearly keeps.

    Args:
        derivation: of the model.
        R: action on world vectors, ``(3, 3)``.
    """
    exact = [Candidate(m) for s in _with_world(derivation, derivation.elements("dynamic"), R) for m in _motions(s)]
    if exact:
        return exact[:_MOST]
    nearly: list[Candidate] = []
    for miss in derivation.near_misses:
        nearly += [Candidate(m, str(miss)) for s in _with_world(derivation, (miss.symmetry,), R) for m in _motions(s)]
    known = {key(c.motion.symmetry) for c in nearly if c.motion.symmetry is not None}
    for s in _with_world(derivation, derivation.elements("kinematic"), R):
        if key(s) not in known:
            nearly += [Candidate(m, "bodies move so, but their masses, inertias or drives differ") for m in _motions(s)]
    return nearly[:_MOST]


def what_there_is(derivation: Derivation) -> str:
    """The symmetries of a model in words."""
    turns = {"1": (), "SO2": ("rotations about gravity",), "SO3": ("all rotations",)}[derivation.world.connected]
    names = [*turns, *(s.name for s in derivation.dynamic)]
    misses = "".join(f"; {m}" for m in derivation.near_misses)
    return (f"it has {', '.join(names)}" if names else "it has none") + misses


def in_the_way(derivation: Derivation, R: Floats) -> str:
    """What in a model does not turn with the world, in words.

    Args:
        derivation: of the model.
        R: action on world vectors, ``(3, 3)``.
    """
    obstacles = [*derivation.world.reasons]
    along_axes = np.abs(np.abs(R) - np.round(np.abs(R))).max() < _SAME
    if derivation.model.opt.cone == mujoco.mjtCone.mjCONE_PYRAMIDAL and not along_axes:
        obstacles.append("the pyramidal friction cone has edges along axes of the world")
    return "; in the way: " + ", ".join(obstacles) if obstacles else ""


def _with_world(derivation: Derivation, elements: tuple[Symmetry, ...], R: Floats) -> Iterator[Symmetry]:
    """Elements whose action on the world is the wanted one, after a turn of the world where that is needed."""
    for element in elements:
        turn = R @ element.R.T
        if np.abs(turn - np.eye(3)).max() < _SAME:
            yield element
        elif _in_world(turn, derivation.world.connected):
            yield world_motion(derivation.model, turn, name=element.name).compose(element, element.name)


def _in_world(turn: Floats, connected: str) -> bool:
    if connected == "1" or np.linalg.det(turn) < 0:
        return False
    return connected == "SO3" or abs(turn[2, 2] - 1.0) < _SAME


def _motions(symmetry: Symmetry) -> Iterator[Motion]:
    """Its actions on states: two where there are quaternions, for a quaternion and its opposite are one pose."""
    motion = motion_of(symmetry)
    yield motion
    m = symmetry.model
    if m.nq > m.nv:
        signs = np.ones(m.nq)
        for q in quaternion_slices(m):
            signs[q] = -1.0

        def opposite(state: TwinState) -> TwinState:
            moved = motion.state(state)
            return replace(moved, qpos=moved.qpos * signs)

        yield Motion(motion.name, motion.R, opposite, motion.control, symmetry)
