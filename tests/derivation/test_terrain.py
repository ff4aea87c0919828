"""Terrain hides the symmetry of what moves on it: what is in the way is named, and what holds there is still found."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from eqrl import derive, verify
from eqrl.derivation import Derivation, NearMiss

ROBOT = """<body name="trunk" pos="0 0 .8"><freejoint/><geom type="box" size=".2 .1 .05"/>
  <geom type="sphere" size=".04" pos=".2 0 .05"/>
<body pos="0 .12 0"><joint axis="0 1 0"/><geom type="capsule" fromto="0 0 0 0 0 -.3" size=".03"/></body>
<body pos="0 -.12 0"><joint axis="0 1 0"/><geom type="capsule" fromto="0 0 0 0 0 -.3" size=".03"/></body></body>"""
LOPSIDED = ROBOT.replace(
    'fromto="0 0 0 0 0 -.3" size=".03"/></body></body>', 'fromto="0 0 0 0 .1 -.2" size=".05"/></body></body>'
)
FLOOR = '<geom name="floor" type="plane" size="0 0 1"/>'
FIELD = '<asset><hfield name="h" nrow="21" ncol="21" size="3 3 .2 .1"/></asset>'
TETRAHEDRON = '<asset><mesh name="t" vertex="0 0 0 1 0 0 0 .5 0 .2 .1 1"/></asset>'


def stairs(y: float = 0.0) -> str:
    step = '<geom name="step{0}" type="box" size=".2 2 {1:.1f}" pos="{2:.1f} {3} 0"/>'
    return FLOOR + "".join(step.format(k, 0.1 * (k + 1), 2 + 0.4 * k, y) for k in range(4))


def on(ground: str, asset: str = "", robot: str = ROBOT, option: str = "") -> mujoco.MjModel:
    return mujoco.MjModel.from_xml_string(
        f'<mujoco><option cone="elliptic" {option}/>{asset}<worldbody>{ground}{robot}</worldbody></mujoco>'
    )


def sagittal(found: Derivation) -> NearMiss:
    """The mirror that the terrain hides; other near misses are of the robot alone."""
    return next(miss for miss in found.near_misses if miss.name == "sagittal mirror")


ROCK = '<geom name="rock" type="sphere" size=".1" pos="1 .7 0"/>'


@pytest.mark.parametrize(
    ("ground", "asset", "in_the_way"),
    [
        ('<geom name="ground" type="hfield" hfield="h"/>', FIELD, [("height field", "ground")]),
        (stairs() + ROCK, "", [("static sphere", "rock")]),
        (stairs(1.0) + ROCK, "", [("static sphere", "rock")]),
        (FLOOR + '<geom name="rubble" type="mesh" mesh="t" pos="1 1 0"/>', TETRAHEDRON, [("static mesh", "rubble")]),
        (
            FLOOR
            + '<body><geom name="wall" type="box" size=".1 1 1" pos="1 1 0"/></body>'
            + ROCK
            + stairs(-2)[len(FLOOR) :],
            "",
            None,
        ),
    ],
)
def test_what_hides_a_mirror_is_named(ground: str, asset: str, in_the_way: list[tuple[str, str]] | None) -> None:
    found = derive(on(ground, asset))
    assert found.order() == found.order("kinematic") == 1
    miss = sagittal(found)
    named = [(d.field, d.of[0]) for d in miss.discrepancies]
    assert named == in_the_way if in_the_way else {"rock", "wall"} & {name for _, name in named}
    assert np.linalg.det(miss.symmetry.R) < 0


def test_a_flat_height_field_is_really_not_mirrored_and_says_so() -> None:
    m = on('<geom name="ground" type="hfield" hfield="h"/>', FIELD)
    found = derive(m)
    miss = sagittal(found)
    (verdict,) = verify(m, [miss.symmetry], diagnosing=False)
    assert not verdict.holds
    # the near miss is the mirror of the robot on flat ground
    flat = on(FLOOR)
    assert verify(flat, [miss.symmetry.map(model=lambda _: flat, geoms=lambda _: derive(flat).dynamic[0].geoms)]).holds


@pytest.mark.parametrize(
    ("ground", "option", "group"),
    [
        (stairs(), "", "C2"),
        (stairs(1.0), "", "C2"),
        (FLOOR + ROCK, "", "D4"),  # about the rock
        (FLOOR + '<body pos="1 2 0"><geom type="box" size=".1 1 1" euler="0 0 20"/></body>', "", "C2xC2"),
        ('<geom name="slope" type="plane" size="0 0 1" zaxis=".2 .1 1"/>', "", "C2"),
        (FLOOR + '<geom name="slope" type="plane" size="0 0 1" zaxis="-.2 .3 1"/>', "", "C2"),
        (FLOOR, 'gravity="1 .5 -9"', "C2"),
    ],
)
def test_mirrors_that_terrain_slopes_and_tilted_gravity_keep(ground: str, option: str, group: str) -> None:
    m = on(ground, option=option)
    found = derive(m)
    assert found.group().name == group
    verdicts = verify(m, found, states=8, steps=(1, 25))
    assert verdicts.holds, str(verdicts)
    assert not any("static" in d.field for miss in found.near_misses for d in miss.discrepancies)


def test_of_a_robot_without_a_mirror_terrain_hides_none() -> None:
    found = derive(on('<geom name="ground" type="hfield" hfield="h"/>', FIELD, LOPSIDED))
    assert all(any(d.of[0] != "ground" for d in miss.discrepancies) for miss in found.near_misses)
    assert "trunk is not its own mirror image" in found.notes


@pytest.mark.parametrize(("y", "holds"), [(0.0, True), (0.05, False)])
def test_a_table_beside_an_arm(y: float, holds: bool) -> None:
    table = f'<geom name="table" type="box" size=".1 .3 .02" pos="1.5 {y} .3"/>'
    arm = """<body name="base" pos="0 0 .4"><joint axis="0 0 1" damping=".1"/>
  <geom type="capsule" fromto="0 0 0 .3 0 0" size=".03"/>
      <body pos=".3 0 0"><joint axis="0 0 1" damping=".1"/><geom type="capsule" fromto="0 0 0 .3 0 0" size=".03"/>
        </body></body>"""
    m = on(table, robot=arm)
    found = derive(m)
    assert (found.order() == 2) == holds
    assert verify(m, found, states=6, steps=(1, 20)).holds
    if not holds:
        (miss,) = found.near_misses
        assert {d.of[0] for d in miss.discrepancies} == {"table"}


def test_much_terrain_takes_no_time() -> None:
    rng = np.random.default_rng(0)
    tile = '<geom name="tile{0}" type="box" size=".2 .2 {1:.3f}" pos="{2:.1f} {3:.1f} 0"/>'
    m = on("".join(tile.format(k, 0.01 + 0.2 * rng.random(), 0.4 * (k % 15), 0.4 * (k // 15)) for k in range(225)))
    found = derive(m)
    assert len(sagittal(found).discrepancies) > 100
