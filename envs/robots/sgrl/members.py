"""The 29 robots by name, and the published sets of them."""

from __future__ import annotations

from dataclasses import replace

from eqrl.envs.robots.sgrl.cheetah import CHEETAH
from eqrl.envs.robots.sgrl.family import Family
from eqrl.envs.robots.sgrl.hopper import HOPPER
from eqrl.envs.robots.sgrl.humanoid import HUMANOID
from eqrl.envs.robots.sgrl.parts import Limb
from eqrl.envs.robots.sgrl.walker import WALKER
from eqrl.errors import suggestion

FAMILIES: dict[str, Family] = {each.name: each for each in (HOPPER, WALKER, HUMANOID, CHEETAH)}
NAMES: tuple[str, ...] = tuple(name for each in FAMILIES.values() for name in each.members)

# held out of training in the paper
UNSEEN: tuple[str, ...] = (
    "walker_3_left_knee_right_knee",
    "walker_6_right_foot",
    "humanoid_7_left_leg",
    "humanoid_8_right_knee",
    "cheetah_11_leftbkneen_rightffoot",
    "cheetah_12_tail_leftffoot",
)


def _seen(*families: str) -> tuple[str, ...]:
    return tuple(name for each in families for name in FAMILIES[each].members if name not in UNSEEN)


# what the paper calls Hopper++ and so on: the robots that one policy trains on
SETS: dict[str, tuple[str, ...]] = {
    "Hoppers": _seen("hopper"),
    "Walkers": _seen("walker"),
    "Humanoids": _seen("humanoid"),
    "Cheetahs": _seen("cheetah"),
    "WHH": _seen("walker", "humanoid", "hopper"),
    "CWHH": _seen("cheetah", "walker", "humanoid", "hopper"),
}


def family(name: str) -> Family:
    """The family of a robot.

    Raises:
        ValueError: no robot has this name.
    """
    for each in FAMILIES.values():
        if name in each.members:
            return each
    raise ValueError(f"robot: there is no {name!r} among the robots of 3D-SGRL; {suggestion(name, NAMES)}")


def limbs(name: str) -> tuple[Limb, ...]:
    """The limbs of a robot, parents first, each with its parent and position in this robot.

    Raises:
        ValueError: no robot has this name.
    """
    kin = family(name)
    member = kin.members[name]
    present = []
    for limb in kin.limbs:
        if limb.name not in member.lacks:
            parent, position = member.joined.get(limb.name, (limb.parent, limb.position))
            present.append(replace(limb, parent=parent, position=position))
    return tuple(present)
