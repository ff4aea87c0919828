"""Like bodies that may be exchanged freely.

Told as sets, proved by two generators each, and never listed one by one.
"""

from __future__ import annotations

from pathlib import Path

import mujoco
import numpy as np
import pytest

from eqrl import derive, verify
from eqrl.check import check
from eqrl.derivation import Derivation, Exchangeable

BALL = '<geom size=".1"/>'
BOX = '<geom type="box" size=".1 .05 .02"/>'
ODD = BOX + '<geom size=".03" pos=".1 .05 .02"/>'
ROBOT = (
    '<geom type="box" size=".2 .1 .05"/><geom size=".04" pos=".2 0 .05"/>'
    '<body pos="0 .1 0"><joint axis="0 1 0"/><geom type="capsule" fromto="0 0 0 0 0 -.2" size=".03"/></body>'
    '<body pos="0 -.1 0"><joint axis="0 1 0"/><geom type="capsule" fromto="0 0 0 0 0 -.2" size=".03"/></body>'
)


def free(n: int, name: str, content: str, row: int = 0) -> str:
    body = '<body name="{0}{1}" pos="{2} {3} .3"><freejoint/>{4}</body>'
    return "".join(body.format(name, k, 0.6 * (k % 5), 0.6 * (k // 5) + row, content) for k in range(n))


def scene(bodies: str, rest: str = "") -> str:
    ground = '<geom type="plane" size="0 0 1"/>'
    return f'<mujoco><option cone="elliptic"/><worldbody>{ground}{bodies}</worldbody>{rest}</mujoco>'


def proved(text: str) -> Derivation:
    m = mujoco.MjModel.from_xml_string(text)
    found = derive(m)
    verdicts = verify(m, found, states=4, steps=(1, 10))
    assert verdicts.holds, str(verdicts)
    names = {v.name for v in verdicts}
    assert {g.name for like in found.exchangeable() for g in like.generators} <= names
    assert len(names) == len(verdicts)
    return found


@pytest.mark.parametrize(
    ("bodies", "group", "order", "sets"),
    [
        (free(8, "ball", BALL), "SO2 x C2", 2, {"8 bodies may be exchanged freely: ball0 .. ball7"}),
        (free(7, "odd", ODD), "SO2", 1, {"7 bodies may be exchanged freely: odd0 .. odd6"}),
        (free(10, "robot", ROBOT), "SO2 x C2", 2, {"10 bodies may be exchanged freely: robot0 .. robot9"}),
        (
            free(4, "ball", BALL) + free(5, "brick", BOX, 4),
            "SO2 x C2",
            2,
            {
                "4 bodies may be exchanged freely: ball0 .. ball3",
                (
                    "5 bodies may be exchanged freely: brick0 .. brick4; each of them may be turned about itself: "
                    "half turn about z, half turn about x"
                ),
            },
        ),
    ],
)
def test_sets_are_told_and_the_rest_is_listed(bodies: str, group: str, order: int, sets: set[str]) -> None:
    found = proved(scene(bodies))
    assert (found.group().name, found.order(), len(found.elements())) == (group, order, order)
    assert set(map(str, found.exchangeable())) == sets
    assert set(map(str, found.exchangeable("kinematic"))) == sets
    assert str(found).startswith(group + ", and ")
    assert all(line in str(found) for line in sets)
    assert len(found.group().cosets.R) == order


def test_two_like_bodies_are_an_element_like_any_other() -> None:
    found = proved(scene(free(2, "odd", ODD)))
    assert found.exchangeable() == ()
    assert [s.name for s in found.dynamic] == ["exchange of odd0 and odd1"]


def test_a_robot_among_like_balls_keeps_its_mirror() -> None:
    robot = f'<body name="robot" pos="0 -3 1"><freejoint/>{ROBOT}</body>'
    found = proved(scene(free(9, "ball", BALL) + robot))
    assert "sagittal mirror" in {s.name for s in found.dynamic}
    (balls,) = found.exchangeable()
    assert balls.bodies == tuple(f"ball{k}" for k in range(9))


def test_the_two_generators_give_all_exchanges() -> None:
    (balls,) = proved(scene(free(5, "ball", BALL))).exchangeable()
    swap, cycle = (g.bodies for g in balls.exchanges)
    seen, todo = set(), [tuple(range(6))]
    while todo:
        order = todo.pop()
        if order not in seen:
            seen.add(order)
            todo += [tuple(g[list(order)].tolist()) for g in (swap, cycle)]
    assert len(seen) == 120


def test_so_many_different_boxes_that_turning_each_cannot_be_listed() -> None:
    boxes = "".join(free(1, f"box{k}_", f'<geom type="box" size=".1 .05 {0.01 + 0.005 * k}"/>', k) for k in range(10))
    found = proved(scene(boxes))
    assert found.order() == 2
    assert [len(like.bodies) for like in found.exchangeable()] == [1] * 10
    assert "box3_0 may be turned about itself: half turn about z, half turn about x" in str(found)


def test_pairs_of_many_kinds() -> None:
    pairs = "".join(free(2, f"kind{k}_", f'<geom size="{0.03 * 1.3**k:.4f}"/>', 2 * k) for k in range(13))
    found = proved(scene(pairs))
    assert found.order() == 2
    assert len(found.exchangeable()) == 13


def test_masses_that_differ_split_a_set_and_are_named() -> None:
    ball = '<geom size=".1" mass="{}"/>'
    bodies = free(4, "light", ball.format(1)) + free(3, "heavy", ball.format(1.05), 3)
    found = proved(scene(bodies))
    assert [len(like.bodies) for like in found.exchangeable("kinematic")] == [7]
    assert sorted(like.bodies[0] for like in found.exchangeable()) == ["heavy0", "light0"]
    (miss,) = found.near_misses
    assert {d.field for d in miss.discrepancies} == {"mass", "inertia"}


def test_symmetrising_makes_almost_like_bodies_alike() -> None:
    masses = "".join(free(1, f"ball{k}_", f'<geom size=".1" mass="{1 + 0.01 * k}"/>', k) for k in range(8))
    found = derive(mujoco.MjSpec.from_string(scene(masses)))
    assert found.exchangeable() == ()
    spec, changes = found.symmetrise()
    assert any("mass" in change for change in changes)
    again = derive(spec)
    assert [len(like.bodies) for like in again.exchangeable()] == [8]
    assert np.ptp(again.model.body_mass[1:]) < 1e-12
    assert again.near_misses == ()


@pytest.mark.parametrize("ring", [False, True])
def test_what_is_tied_together_may_not_be_exchanged_one_by_one(ring: bool) -> None:
    """Every ball of a chain has its own neighbours; the beads of a hub have one and the same."""
    n = 8
    links = "".join(
        f'<connect body1="ball{0 if ring else k}" body2="ball{k + 1}" anchor="0 0 .1"/>' for k in range(n - 1)
    )
    found = derive(mujoco.MjModel.from_xml_string(scene(free(n, "ball", BALL), f"<equality>{links}</equality>")))
    assert all("ball0" not in like.bodies for like in found.exchangeable())
    if not ring:
        assert found.exchangeable() == ()


def test_a_swarm_on_slides_is_exchanged_about_a_common_place() -> None:
    puck = (
        '<body name="puck{0}" pos="{1} 0 .1"><joint type="slide" axis="1 0 0"/><joint type="slide" axis="0 1'
        ' 0"/>{2}</body>'
    )
    found = proved(scene("".join(puck.format(k, 0.3 * k, BALL) for k in range(8))))
    (pucks,) = found.exchangeable()
    assert len(pucks.bodies) == 8


def test_replicated_particles_and_a_cloth() -> None:
    grid = (
        '<replicate count="5" offset=".3 0 0"><replicate count="5" offset="0 .3 0">'
        '<body name="p" pos="0 0 .2"><freejoint/><geom size=".05"/></body></replicate></replicate>'
    )
    (particles,) = proved(scene(grid)).exchangeable()
    assert len(particles.bodies) == 25
    cloth = (
        '<flexcomp name="cloth" type="grid" count="5 5 1" spacing=".1 .1 .1" pos="0 0 .3" dim="2" mass=".5"'
        ' radius=".01"><edge equality="true"/><contact selfcollide="none"/></flexcomp>'
    )
    found = proved(scene(cloth))
    assert found.exchangeable() == ()  # neighbours stay neighbours
    assert found.group().name == "D4"


def test_a_pattern_of_a_cloth_keeps_only_what_its_triangles_keep() -> None:
    """Cut along one diagonal a pinned square has its half turn and both diagonal mirrors, and no quarter turn."""
    cloth = (
        '<flexcomp name="cloth" type="grid" count="4 4 1" spacing=".1 .1 .1" pos="0 0 1" dim="2" mass=".5"'
        ' radius=".01"><edge equality="true"/><contact selfcollide="none"/><pin id="0 3 12 15"/></flexcomp>'
    )
    m = mujoco.MjModel.from_xml_string(scene(cloth))
    found = derive(m)
    assert verify(m, found, states=4, steps=(1, 10)).holds
    assert found.group().name == "C2xC2"
    assert {s.name for s in found.dynamic} == {"half turn about z", "mirror in the vertical plane at 45 degrees"}


def test_the_command_tells_sets(tmp_path: Path) -> None:
    path = tmp_path / "balls.xml"
    path.write_text(scene(free(8, "ball", BALL)))
    report = check(path, states=4)
    assert report.holds
    assert report.order == 2
    assert "8 bodies may be exchanged freely: ball0 .. ball7" in report.notes
    assert {"exchange of ball0 and ball1", "cycle of ball0 .. ball7"} <= {v.name for v in report.verdicts}


def test_names_in_short() -> None:
    assert str(Exchangeable(("a", "b", "c"), ())) == "3 bodies may be exchanged freely: a, b, c"
    names = tuple(f"x{k * k}" for k in range(9))
    assert str(Exchangeable(names, ())) == "9 bodies may be exchanged freely: x0, x1, x4, x9 and 5 more"
