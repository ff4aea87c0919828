"""Ids of 3D-SGRL's robots and sets, without the models, which are heavy to import."""

from __future__ import annotations

RUN = "eqrl.envs.locomotion.run:Run"
MAX_EPISODE_STEPS = 1000

_SEEN = {
    "Hoppers": ("hopper_3_shin", "hopper_4_lower_shin", "hopper_5_full"),
    "Walkers": (
        "walker_2_right_leg_left_knee",
        "walker_3_left_leg_right_foot",
        "walker_4_right_knee_left_foot",
        "walker_5_foot",
        "walker_5_left_knee",
        "walker_7_full",
    ),
    "Humanoids": (
        "humanoid_7_left_arm",
        "humanoid_7_lower_arms",
        "humanoid_7_right_arm",
        "humanoid_7_right_leg",
        "humanoid_8_left_knee",
        "humanoid_9_full",
    ),
    "Cheetahs": (
        "cheetah_10_tail_leftbleg",
        "cheetah_11_leftfleg",
        "cheetah_11_tail_rightfknee",
        "cheetah_12_rightbknee",
        "cheetah_12_tail_leftbfoot",
        "cheetah_13_rightffoot",
        "cheetah_13_tail",
        "cheetah_14_full",
    ),
}
_UNSEEN = {
    "Hoppers": (),
    "Walkers": ("walker_3_left_knee_right_knee", "walker_6_right_foot"),
    "Humanoids": ("humanoid_7_left_leg", "humanoid_8_right_knee"),
    "Cheetahs": ("cheetah_11_leftbkneen_rightffoot", "cheetah_12_tail_leftffoot"),
}
# what the paper calls Hopper++ and so on; with the numbers of limbs of the largest robot
_UNIONS = {
    **{name: ((name,), slots) for name, slots in (("Hoppers", 5), ("Walkers", 7), ("Humanoids", 9), ("Cheetahs", 14))},
    "WHH": (("Walkers", "Humanoids", "Hoppers"), 9),
    "CWHH": (("Cheetahs", "Walkers", "Humanoids", "Hoppers"), 14),
}

ROBOTS: tuple[str, ...] = tuple(name for table in (_SEEN, _UNSEEN) for names in table.values() for name in names)
SETS: dict[str, tuple[tuple[str, ...], tuple[str, ...], int]] = {
    name: (
        tuple(robot for part in parts for robot in _SEEN[part]),
        tuple(robot for part in parts for robot in _UNSEEN[part]),
        slots,
    )
    for name, (parts, slots) in _UNIONS.items()
}


def sgrl_id(name: str) -> str:
    """The id of a robot or set."""
    return f"eqrl/SGRL-{name}-v0"
