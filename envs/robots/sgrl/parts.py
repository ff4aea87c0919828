"""What robots of 3D-SGRL are written in: limbs made of capsules and spheres, with three hinges each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

Vector = tuple[float, float, float]
Kind = Literal["torso", "thigh", "shin", "foot", "arm", "tail"]

# the axes of a hinge on the right side or in the middle; the letter names it
AXES: Mapping[str, Vector] = {"x": (1.0, 0.0, 0.0), "y": (0.0, -1.0, 0.0), "z": (0.0, 0.0, 1.0)}


@dataclass(frozen=True)
class Capsule:
    """A capsule between two points of the limb's frame, in metres."""

    radius: float
    start: Vector
    end: Vector

    @staticmethod
    def pitched(radius: float, half: float, centre: Vector, pitch: float) -> Capsule:
        """A capsule of half length ``half`` whose axis, first vertical, turns by ``pitch`` degrees about y."""
        lean, rise = half * np.sin(np.deg2rad(pitch)), half * np.cos(np.deg2rad(pitch))
        x, y, z = centre
        return Capsule(radius, (x - lean, y, z - rise), (x + lean, y, z + rise))

    @staticmethod
    def crosswise(radius: float, half: float, x: float, z: float) -> Capsule:
        """A capsule that lies across the robot, in its middle."""
        return Capsule(radius, (x, -half, z), (x, half, z))

    def mirrored(self) -> Capsule:
        """Its image in the sagittal plane."""
        return Capsule(self.radius, _mirrored(self.start), _mirrored(self.end))


@dataclass(frozen=True)
class Sphere:
    """A sphere in the limb's frame, in metres."""

    radius: float
    centre: Vector

    def mirrored(self) -> Sphere:
        """Its image in the sagittal plane."""
        return Sphere(self.radius, _mirrored(self.centre))


@dataclass(frozen=True)
class Hinge:
    """One of the three hinges of a limb.

    Attributes:
        range: degrees.
        gear: N m a unit of control; a motor with gear 0 is dead, as half of the published ones are.
        axis: in the limb's frame, of any length; None is the axis that the hinge's letter names.
        armature: kg m^2; None is the limb's.
        reversed_by_mirror: the joint's image has the range with its sign changed, and the axis too.
    """

    range: tuple[float, float]
    gear: float = 0.0
    axis: Vector | None = None
    armature: float | None = None
    reversed_by_mirror: bool = False


LOCKED = Hinge((-1.0, 1.0))  # the published form of a joint that is not there


@dataclass(frozen=True)
class Limb:
    """A body.

    Attributes:
        name: as published.
        parent: name of the limb that it hangs on; empty for the torso.
        kind: what the limb is.
        position: of its frame in the parent's frame, in metres; frames are all parallel.
        shapes: its geoms.
        hinges: by letter, in the order x, y, z; none for the torso, which floats.
        anchor: where the hinges' axes cross, in the limb's frame.
        stiffness: N m/rad for each hinge's letter; a letter that is not there has 0.
        damping: N m s/rad of the hinges.
        armature: kg m^2 of the hinges.
        friction: sliding friction of its geoms; None is the family's.
    """

    name: str
    parent: str
    kind: Kind
    position: Vector
    shapes: tuple[Capsule | Sphere, ...]
    hinges: Mapping[str, Hinge] = field(default_factory=dict)
    anchor: Vector = (0.0, 0.0, 0.0)
    stiffness: Mapping[str, float] = field(default_factory=dict)
    damping: float = 0.0
    armature: float = 0.0
    friction: float | None = None

    @property
    def side(self) -> int:
        """1 for a left limb, -1 for a right one, 0 in the middle."""
        return {"left": 1, "right": -1}.get(self.name.split("_")[0], 0)

    def axis(self, letter: str) -> Vector:
        """The axis of a hinge in the limb's frame, as written: not of unit length for the humanoid's arms."""
        return self.hinges[letter].axis or AXES[letter]


def joint_name(limb: Limb, letter: str) -> str:
    """The published name of a hinge, which is also its motor's."""
    return f"{limb.name}_joint_{letter}"


def left_of(right: Iterable[Limb]) -> tuple[Limb, ...]:
    """The left limbs that are the mirror images of right ones.

    A hinge turns as its image does: by the same angle about the image of its axis, which is an axial vector.
    """
    return tuple(
        replace(
            limb,
            name=_left(limb.name),
            parent=_left(limb.parent),
            position=_mirrored(limb.position),
            shapes=tuple(shape.mirrored() for shape in limb.shapes),
            hinges={letter: _image(hinge, limb.axis(letter)) for letter, hinge in limb.hinges.items()},
            anchor=_mirrored(limb.anchor),
        )
        for limb in right
    )


def _left(name: str) -> str:
    return name.replace("right", "left")


def _mirrored(v: Vector) -> Vector:
    return v[0], -v[1], v[2]


def _image(hinge: Hinge, axis: Vector) -> Hinge:
    low, high = hinge.range
    if hinge.reversed_by_mirror:
        return replace(hinge, axis=_mirrored(axis), range=(-high, -low))
    return replace(hinge, axis=(-axis[0], axis[1], -axis[2]))
