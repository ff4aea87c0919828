"""Which of a model's symmetries a task keeps.

A model may be turned and mirrored in more ways than its task allows: a reward for speed along +x keeps what fixes x
only. Each element is tried with the world turned by quarter turns besides, so that a quarter turn of a robot's body,
which turns the world too, also appears as the exchange of legs that leaves the world as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import mujoco
import numpy as np

from eqrl.arrays import Floats
from eqrl.declare.layout import CannotTypeError
from eqrl.declare.one_step import try_motion
from eqrl.derivation import Derivation, Symmetry, world_rotation
from eqrl.derivation.discrepancy import Level
from eqrl.derivation.elements import closure, identity, key
from eqrl.proof.declared.motion import Motion, motion_of
from eqrl.proof.declared.twins import Twin

_FEW = 5  # samples that weed out most candidates
_MOST_TRIED = 256

ObservationMatrix = Callable[[Motion], "Floats | None"]


@dataclass(frozen=True)
class KeptSymmetries:
    """What a task keeps of a model's symmetries.

    Attributes:
        generators: of the group that it keeps.
        order: number of elements of that group.
        refused: name and reason for each element that was tried and does not hold.
    """

    generators: tuple[Symmetry, ...]
    order: int
    refused: tuple[tuple[str, str], ...]


def candidates(derivation: Derivation, level: Level = "dynamic") -> list[Symmetry]:
    """All elements of the finite part, each with the world turned by quarter turns.

    Those that move the world least first.
    """
    turns = (0, 1, 2, 3) if derivation.world.connected != "1" else (0,)
    generators = derivation.generators(level)
    elements: list[tuple[Symmetry, bool]] = []
    for element in derivation.elements(level):
        for k in turns:
            turn = f"world turned by {90 * k} degrees"
            name = turn if element.is_identity else f"{element.name}, {turn}"
            turned = _quarter_turns(derivation.model, k).compose(element, name) if k else element
            if not turned.is_identity:
                elements.append((turned, k == 0 and element in generators))
    # fewest changes of the world first; then what the derivation calls a generator
    elements.sort(key=lambda f: (np.linalg.norm(f[0].R - np.eye(3)), not f[1]))
    return [symmetry for symmetry, _ in elements[:_MOST_TRIED]]


def keep(
    twin: Twin, tried: Iterable[Symmetry], observation: ObservationMatrix, *, dynamics: bool = True, seed: int = 0
) -> KeptSymmetries:
    """Try symmetries on an environment and keep those under which nothing changes.

    Args:
        twin: where to try.
        tried: the symmetries, the most wanted first.
        observation: gives the matrix of a symmetry on observations, None if observations need not be compared. It
            raises ``CannotTypeError`` where there is none.
        dynamics: whether the physics has to keep them, or only nearly.
        seed: of the states.
    """
    generators: list[Symmetry] = []
    refused: list[tuple[str, str]] = []
    group: tuple[Symmetry, ...] = ()
    known: set[object] = set()
    for symmetry in tried:
        if key(symmetry) in known:
            continue
        reason = why_not(twin, symmetry, observation, dynamics=dynamics, seed=seed)
        if reason:
            refused.append((symmetry.name, reason))
            continue
        generators.append(symmetry)
        group = closure(generators, identity(symmetry.model))
        known = {key(s) for s in group}
    return KeptSymmetries(_fewest(generators, len(group)), max(1, len(group)), tuple(refused))


def why_not(
    twin: Twin, symmetry: Symmetry, observation: ObservationMatrix, *, dynamics: bool = True, seed: int = 0
) -> str:
    """Why a task does not keep a symmetry; empty if it does."""
    if symmetry.model.nu and np.abs(symmetry.ctrl_offsets).max() > 1e-9:
        return "it shifts controls, which no linear representation does"
    motion = motion_of(symmetry)
    try:
        matrix = observation(motion)
    except CannotTypeError as error:
        return str(error)
    for samples in (_FEW, 24):
        if reason := try_motion(twin, motion, matrix, samples=samples, seed=seed, wide=dynamics).broken(dynamics):
            return reason
    return ""


def _quarter_turns(model: mujoco.MjModel, k: int) -> Symmetry:
    turn = world_rotation(model, k * np.pi / 2)
    return turn.map(R=np.round)


def _fewest(generators: list[Symmetry], order: int) -> tuple[Symmetry, ...]:
    """Drop generators that the others generate."""
    needed = list(generators)
    for g in generators[::-1]:
        others = [k for k in needed if k is not g]
        if others and len(closure(others, identity(g.model))) == order:
            needed = others
    return tuple(needed)
