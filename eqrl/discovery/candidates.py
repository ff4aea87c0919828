"""What may be a symmetry: what is declared or derived, what nearly holds, what nobody declared, and decoys.

Decoys hold in hardly any world. They tell whether a residual can be trusted: a method that accepts them is blind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, Self, TypeVar

import mujoco
import numpy as np
import torch

from eqrl.arrays import Floats
from eqrl.derivation import Derivation, Symmetry, world_rotation
from eqrl.proof.model import ANGLE, ROTATION, generators_of, named, tilt
from eqrl.symmetry import Element, Group, Representation, about_gravity

_FREE = int(mujoco.mjtJoint.mjJNT_FREE)
_SHEAR = ((1.0, 0.5, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


class Composable(Protocol):
    """Whatever can be multiplied: an ``Element``, a ``Symmetry``, a :class:`LinearMap`."""

    def compose(self, other: Self) -> Self:
        """The product: first ``other`` acts, then this one."""


T = TypeVar("T", bound=Composable)


@dataclass(frozen=True, eq=False)
class Candidate(Generic[T]):
    """Something that may be a symmetry.

    Attributes:
        name: for people.
        kind: ``"world"``, ``"morphology"``, ``"exchange"`` or ``"map"`` for what is declared or derived, else
            ``"near miss"``, ``"undeclared"`` or ``"decoy"``.
        element: what it does.
        claimed: whether anyone says that it holds.
    """

    name: str
    kind: str
    element: T
    claimed: bool = True


@dataclass(frozen=True, eq=False)
class LinearMap:
    """What an element does to observations and actions.

    Attributes:
        observation: matrix, ``(D, D)``.
        action: matrix, ``(A, A)``.
    """

    observation: Floats
    action: Floats

    @classmethod
    def of(cls, observation: Representation, action: Representation, g: Element) -> LinearMap:
        """The action of a group element on typed spaces."""
        return cls(observation.matrix(g).numpy(), action.matrix(g).numpy())

    def compose(self, other: LinearMap) -> LinearMap:
        """The product: first ``other`` acts, then this one."""
        return LinearMap(self.observation @ other.observation, self.action @ other.action)

    @property
    def key(self) -> bytes:
        """What distinguishes it from other maps."""
        entries = np.concatenate([self.observation.ravel(), self.action.ravel()])
        return bytes((np.round(entries, 6) + 0.0).tobytes())


# ------------------------------------------------------------------ typed spaces
def candidates_of_group(group: Group) -> list[Candidate[Element]]:
    """The generators of a group, motions of the world outside it, and parts of its generators as decoys.

    Args:
        group: what an environment declares.
    """
    found = [Candidate(name, "morphology" if g.h else "world", g) for name, g in group.generators]
    for name, g in _motions().items():
        if not group.contains(g):
            found.append(Candidate(name, "undeclared", g, claimed=False))
    one = torch.eye(3, dtype=torch.float64)
    for name, g in group.generators:
        if g.h and not torch.allclose(g.R, one):
            relabelling = Element(one, g.h)
            if not group.contains(relabelling):
                found.append(Candidate(f"{name}, its relabelling alone", "decoy", relabelling, claimed=False))
    return found


def _motions() -> Mapping[str, Element]:
    mirrors = {"mirror x -> -x": (-1.0, 1.0, 1.0), "mirror y -> -y": (1.0, -1.0, 1.0)}
    return {
        "rotation about gravity": about_gravity(ANGLE),
        "quarter turn": about_gravity(0.5 * np.pi),
        **{name: Element(torch.diag(torch.tensor(d, dtype=torch.float64))) for name, d in mirrors.items()},
    }


def candidates_of_spaces(observation: Representation, action: Representation) -> list[Candidate[LinearMap]]:
    """Candidates for logged transitions: those of the declared group, and two decoys, as matrices.

    Decoys are a shear, where there are vectors in the world, and a generator that moves observations but not actions.

    Args:
        observation: representation of the observations; its group is what is declared.
        action: representation of the actions.
    """
    known = candidates_of_group(observation.group)
    maps = [Candidate(c.name, c.kind, LinearMap.of(observation, action, c.element), c.claimed) for c in known]
    blocks = [*observation.blocks()]
    if all(b.degree < 2 for b in blocks) and any(b.degree == 1 and b.frame == "world" for b in blocks):
        shear = Element(torch.tensor(_SHEAR, dtype=torch.float64))
        maps.append(Candidate("shear", "decoy", LinearMap.of(observation, action, shear), claimed=False))
    return _distinct([*maps, *halves([m for m in maps if m.claimed])])


def candidates_of_maps(
    names: Sequence[str], observation: Sequence[Floats], action: Sequence[Floats]
) -> list[Candidate[LinearMap]]:
    """Candidates from matrices, and as decoys the same without what they do to actions."""
    maps = [Candidate(n, "map", LinearMap(o, a)) for n, o, a in zip(names, observation, action, strict=True)]
    return _distinct([*maps, *halves(maps)])


def halves(maps: Sequence[Candidate[LinearMap]]) -> list[Candidate[LinearMap]]:
    """Decoys that move observations as a map does, and leave actions alone."""
    return [
        Candidate(
            f"{c.name}, actions left alone",
            "decoy",
            LinearMap(c.element.observation, np.eye(len(c.element.action))),
            claimed=False,
        )
        for c in maps
    ]


def _distinct(maps: Sequence[Candidate[LinearMap]]) -> list[Candidate[LinearMap]]:
    """The first of each, without the identity."""
    first: dict[bytes, Candidate[LinearMap]] = {}
    for c in maps:
        first.setdefault(c.element.key, c)
    one = LinearMap(*(np.eye(len(m)) for m in (maps[0].element.observation, maps[0].element.action))) if maps else None
    return [c for key, c in first.items() if one is None or key != one.key]


# ------------------------------------------------------------------ models
def candidates_of_model(derivation: Derivation) -> list[Candidate[Symmetry]]:
    """What a derivation proposes, its near misses, and decoys: a wrong sign for each generator, and world motions.

    Args:
        derivation: of the model.
    """
    known = generators_of(derivation)
    claims_rotation = not derivation.world.is_broken_by_joints
    found = [Candidate(s.name, s.kind, s, claimed=s.name != ROTATION or claims_rotation) for s in known]
    found += [Candidate(m.name, "near miss", m.symmetry, claimed=False) for m in derivation.near_misses]
    model = derivation.model
    if (model.jnt_type == _FREE).any():  # without free bodies no coordinate shows a motion of the world
        names = {s.name for s in known}
        if ROTATION not in names:
            rotation = named(world_rotation(model, ANGLE), ROTATION)
            found.append(Candidate(ROTATION, "undeclared", rotation, claimed=False))
        if (tilted := tilt(model, ANGLE)).name not in names:
            found.append(Candidate(tilted.name, "decoy", tilted, claimed=False))
    for symmetry in derivation.dynamic:
        if (wrong := _with_wrong_sign(symmetry)) is not None:
            found.append(Candidate(wrong.name, "decoy", wrong, claimed=False))
    return found


def _with_wrong_sign(symmetry: Symmetry) -> Symmetry | None:
    """The same map with the sign of its first driven hinge or slide reversed."""
    joints = symmetry.scalar_joints
    if not len(joints):
        return None
    first = int(joints[0])
    name = f"{symmetry.name}, {symmetry.model.joint(first).name or first} reversed"

    def reverse(signs: Any) -> Any:
        signs = signs.copy()
        signs[first] *= -1.0
        return signs

    return symmetry.map(joint_signs=reverse, name=lambda _: name)
