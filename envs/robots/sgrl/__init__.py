"""The 29 robots of 3D-SGRL: hoppers, walkers, humanoids and cheetahs, most of them with limbs cut off."""

from eqrl.envs.robots.sgrl.build import build
from eqrl.envs.robots.sgrl.family import FRAME_SKIP, Family, Member, Noise
from eqrl.envs.robots.sgrl.members import FAMILIES, NAMES, SETS, UNSEEN, family, limbs
from eqrl.envs.robots.sgrl.parts import Hinge, Kind, Limb, joint_name

__all__ = [
    "FAMILIES",
    "FRAME_SKIP",
    "NAMES",
    "SETS",
    "UNSEEN",
    "Family",
    "Hinge",
    "Kind",
    "Limb",
    "Member",
    "Noise",
    "build",
    "family",
    "joint_name",
    "limbs",
]
