"""Terms that act along each axis of a free or ball joint apart.

What they leave of the world's turns and of a robot's own.
"""

from __future__ import annotations

from collections.abc import Callable

import mujoco
import numpy as np
import pytest

from eqrl import derive, verify

PAIR = """
<body name="l" pos="0 .1 0"><joint name="l" axis="0 1 0" damping=".1"/>
  <geom type="capsule" fromto="0 0 0 0 0 -.3" size=".03"/></body>
<body name="r" pos="0 -.1 0"><joint name="r" axis="0 1 0" damping=".1"/>
  <geom type="capsule" fromto="0 0 0 0 0 -.3" size=".03"/></body>"""
TRUNK = (
    """<body name="trunk" pos="0 0 .6"><joint name="root" type="free" {0}/><geom type="box" size=".2 .1 .05"/>
<geom type="sphere" size=".04" pos=".2 0 .05"/>"""
    + PAIR
    + "</body>"
)


def model(
    body: str, rest: str = "", option: str = "", ground: str = '<geom type="plane" size="0 0 1"/>'
) -> mujoco.MjModel:
    text = f'<mujoco><option cone="elliptic" {option}/><worldbody>{ground}{body}</worldbody>{rest}</mujoco>'
    return mujoco.MjModel.from_xml_string(text)


def edited(
    change: Callable[[mujoco.MjModel], None], option: str = "", ground: str = '<geom type="plane" size="0 0 1"/>'
) -> mujoco.MjModel:
    m = model(TRUNK.format(""), option=option, ground=ground)
    change(m)
    mujoco.mj_setConst(m, mujoco.MjData(m))
    return m


def check(m: mujoco.MjModel, group: str) -> tuple[str, ...]:
    """The derived group has this name, and all of it holds on the simulator."""
    found = derive(m)
    assert found.group().name == group
    verdicts = verify(m, found, states=8, steps=(1, 25))
    assert verdicts.holds, str(verdicts)
    # where only the joint is in the way the proof shows that it is
    refused = [v for v in verdicts if not v.claimed]
    assert [v.name for v in refused] == ["rotation about gravity"] * (not group.startswith("SO2"))
    assert not any(v.holds for v in refused)
    return found.world.reasons


@pytest.mark.parametrize(
    ("attributes", "group", "words"),
    [
        ('frictionloss=".2"', "D4", ("root", "frictionloss 0.2", "set frictionloss to 0")),
        ('damping=".1 .2 .3"', "D4", ("root", "damping 0.2 0.3")),
        ('stiffness="5"', "C2", ("root", "stiffness 5", "set stiffness 0")),
        ('damping=".3" armature=".2"', "SO2 x C2", ()),
    ],
)
def test_terms_of_the_root_and_what_they_leave(attributes: str, group: str, words: tuple[str, ...]) -> None:
    reasons = check(model(TRUNK.format(attributes)), group)
    assert len(reasons) == bool(words)
    assert all(word in reasons[0] for word in words)


def test_friction_that_only_hinders_turning_is_of_the_body_and_leaves_the_world_alone() -> None:
    def change(m: mujoco.MjModel) -> None:
        m.dof_frictionloss[3:6] = 0.3

    assert check(edited(change), "SO2 x C2") == ()


@pytest.mark.parametrize(
    ("field", "values", "group"),
    [
        ("frictionloss", (0.0, 0.0, 0.3), "SO2 x C2"),
        ("damping", (0.2, 0.2, 0.5), "SO2 x C2"),
        ("damping", (0.1, 0.2, 0.3), "C2xC2"),
        ("armature", (0.1, 0.2, 0.3), "C2xC2"),
        ("armature", (0.2, 0.2, 0.3), "SO2 x C2"),
    ],
)
def test_values_that_differ_between_axes_of_the_world(field: str, values: tuple[float, ...], group: str) -> None:
    def change(m: mujoco.MjModel) -> None:
        getattr(m, f"dof_{field}")[:3] = values

    reasons = check(edited(change), group)
    assert [f"has {field}" in reason for reason in reasons] == ([] if group.startswith("SO2") else [True])


def test_what_is_special_about_the_vertical_leaves_rotations_about_it_in_space() -> None:
    def change(m: mujoco.MjModel) -> None:
        m.dof_damping[2] = 0.5

    m = edited(change, option='gravity="0 0 0"', ground="")
    found = derive(m)
    assert found.world.connected == "SO2"
    assert "damping 0 0 0.5" in found.world.reasons[0]
    assert derive(model(TRUNK.format(""), option='gravity="0 0 0"', ground="")).world.connected == "SO3"


@pytest.mark.parametrize(
    ("motors", "group"),
    [
        ('<motor joint="root" gear="1 0 0 0 0 0"/>', "C2xC2"),
        ('<motor joint="root" gear="1 0 0 0 0 0"/><motor joint="root" gear="0 1 0 0 0 0"/>', "D4"),
        ('<motor joint="root" gear="0 0 1 0 0 0"/>', "SO2 x C2"),
        ('<motor joint="root" gear="0 0 0 0 0 1"/>', "SO2 x C2"),
        ('<motor jointinparent="root" gear="0 0 0 1 0 0"/><motor jointinparent="root" gear="0 0 0 0 1 0"/>', "D4"),
    ],
)
def test_motors_that_push_a_free_body_along_the_world(motors: str, group: str) -> None:
    reasons = check(model(TRUNK.format(""), f"<actuator>{motors}</actuator>"), group)
    assert all("pushes joint root" in reason for reason in reasons)


def hexapod(attributes: str) -> mujoco.MjModel:
    leg = (
        '<body euler="0 0 {0}"><joint axis="0 1 0" pos=".2 0 0"/><geom type="capsule" fromto=".2 0 0 .3 0 -.2"'
        ' size=".02"/></body>'
    )
    legs = "".join(leg.format(60 * k) for k in range(6))
    return model(
        f'<body pos="0 0 .5"><joint name="root" type="free" {attributes}/><geom type="cylinder" size=".15'
        f' .03"/>{legs}</body>'
    )


@pytest.mark.parametrize(("attributes", "order"), [("", 12), ('frictionloss=".2"', 4)])
def test_friction_about_the_axes_of_a_body_breaks_sixth_turns(attributes: str, order: int) -> None:
    m = hexapod(attributes)
    found = derive(m)
    own = {tuple(np.round(s.frames[1, :3, :3], 3).ravel() + 0.0) for s in found.elements()}
    assert len(own) == order
    assert verify(m, found, states=6, steps=(1, 20)).holds
    if attributes:
        named = {d.field for miss in found.near_misses for d in miss.discrepancies}
        assert "frictionloss" in named


@pytest.mark.parametrize(
    ("attributes", "order"), [('frictionloss=".2"', 2), ('damping=".1 .3 0"', 2), ('stiffness="3" springref="0"', 2)]
)
def test_ball_joints_feel_each_axis_of_their_body(attributes: str, order: int) -> None:
    arm = """<body name="{0}" pos="0 {1} 0"><joint name="{0}" type="ball" {2}/>
      <geom type="capsule" fromto="0 0 0 .05 {3} -.2" size=".03"/></body>"""
    arms = "".join(arm.format(n, 0.1 * s, attributes, 0.1 * s) for n, s in (("a", 1), ("b", -1)))
    m = model(
        '<body pos="0 0 .7"><freejoint/><geom type="box" size=".1 .05 .05"/><geom size=".03" pos=".1 0'
        f' .05"/>{arms}</body>'
    )
    found = derive(m)
    assert found.order() == order
    assert verify(m, found, states=6, steps=(1, 20)).holds


def test_a_ball_joint_whose_axes_differ_is_named() -> None:
    arm = (
        '<body name="{0}" pos="0 {1} 0"><joint name="{0}" type="ball"/><geom type="capsule" fromto="0 0 0 .05 {1} -.2"'
        ' size=".03"/></body>'
    )
    arms = arm.format("a", 0.1) + arm.format("b", -0.1)
    m = model(
        '<body pos="0 0 .7"><freejoint/><geom type="box" size=".1 .05 .05"/><geom size=".03" pos=".1 0'
        f' .05"/>{arms}</body>'
    )
    m.dof_frictionloss[6:9] = 0.2, 0.3, 0.4
    m.dof_frictionloss[9:12] = 0.2, 0.3, 0.5
    found = derive(m)
    assert found.order() == 1
    (miss,) = found.near_misses
    assert [d.field for d in miss.discrepancies] == ["frictionloss"]
    m.dof_frictionloss[11] = 0.4
    assert verify(m, derive(m), states=6, steps=(1, 20)).holds
