"""Single traps of deriving symmetries, each with a model as small as it can be."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from eqrl import derive
from eqrl.derivation import Derivation, Symmetry

TWO_LEGS = """
<body name="torso" pos="0 0 1"><freejoint/><geom type="box" size="0.2 0.1 0.05"/><site name="front" pos="0.1 0 0"/>
  <body name="l" pos="0 0.1 0"><joint name="l" axis="1 0 0"/>
    <geom name="lg" type="capsule" fromto="0 0 0 0.1 0.2 -0.1" size="0.03"/><site name="l" pos="0 0.2 -0.1"/></body>
  <body name="r" pos="0 -0.1 0"><joint name="r" axis="1 0 0"/>
    <geom name="rg" type="capsule" fromto="0 0 0 0.1 -0.2 -0.1" size="0.03"/><site name="r" pos="0 -0.2 -0.1"/></body>
  {more}
</body>"""


def two_legs(rest: str = "", more: str = "", world: str = "") -> Derivation:
    body = TWO_LEGS.format(more=more)
    text = f"<mujoco><worldbody><geom type='plane' size='0 0 1'/>{world}{body}</worldbody>{rest}</mujoco>"
    return derive(mujoco.MjModel.from_xml_string(text))


def gaps(model: mujoco.MjModel, g: Symmetry) -> tuple[float, float]:
    """Largest differences in acceleration and in sensor readings between a turned state and the state from before."""
    rng = np.random.default_rng(0)
    here, there = mujoco.MjData(model), mujoco.MjData(model)
    here.qpos[:] = g.reference
    mujoco.mj_integratePos(model, here.qpos, 0.1 * rng.standard_normal(model.nv), 1.0)
    here.qvel[:], here.ctrl[:] = rng.standard_normal(model.nv), rng.uniform(0, 1, model.nu)
    there.qpos[:], there.qvel[:], there.ctrl[:] = g.qpos(here.qpos), g.qvel(here.qvel, here.qpos), g.ctrl(here.ctrl)
    for data in (here, there):
        mujoco.mj_step(model, data)
        mujoco.mj_forward(model, data)
    motion = np.abs(g.qvel(here.qvel, here.qpos) - there.qvel).max()
    known = np.abs(g.sensor_matrix).sum(1) > 0
    readings = np.abs(g.sensordata(here.sensordata) - there.sensordata)[known]
    return float(motion), float(readings.max(initial=0.0))


def fixed(attributes: str, coefs: tuple[float, float] = (1.0, 1.0)) -> str:
    joints = f"<joint joint='l' coef='{coefs[0]}'/><joint joint='r' coef='{coefs[1]}'/>"
    return f"<tendon><fixed name='both' {attributes}>{joints}</fixed></tendon>"


@pytest.mark.parametrize(
    ("rest", "order"),
    [
        (fixed("limited='true' range='-0.1 0.1'"), 2),
        (fixed("limited='true' range='-0.1 0.4'"), 1),
        (fixed("stiffness='10' springlength='0.3'"), 1),
        (fixed("stiffness='10' springlength='0.3'", (1.0, -1.0)), 2),
        (fixed("stiffness='10'").replace("both", "a") + fixed("stiffness='10'").replace("both", "b"), 2),
        ("<equality><connect site1='l' site2='r'/></equality>", 2),
        ("<equality><connect body1='l' body2='r' anchor='0 -0.1 0'/></equality>", 2),
        ("<equality><connect body1='l' body2='r' anchor='0 -0.05 0'/></equality>", 1),
        ("<equality><joint joint1='l' joint2='r' polycoef='0.1 -1 0 0 0'/></equality>", 1),
        ("<equality><joint joint1='l' joint2='r' polycoef='0.1 1 0 0 0'/></equality>", 2),
        ("<equality><joint joint1='l' joint2='r' polycoef='0 -0.5 0 0 0'/></equality>", 1),
        ("<equality><weld body1='torso' body2='l'/><weld body1='torso' body2='r'/></equality>", 2),
        (
            (
                "<equality><weld body1='torso' body2='l' relpose='0 0.1 0 1 0.1 0 0'/><weld body1='torso'"
                " body2='r'/></equality>"
            ),
            1,
        ),
        ("<contact><pair geom1='lg' geom2='rg'/></contact>", 2),
    ],
)
def test_what_ties_two_legs(rest: str, order: int) -> None:
    found = two_legs(rest)
    assert found.order() == order
    for g in found.dynamic:
        assert gaps(found.model, g)[0] < 1e-9


@pytest.mark.parametrize(("radius", "order"), [(0.05, 2), (0.03, 1)])
def test_geoms_that_tendons_wrap_around_count_without_colliding(radius: float, order: int) -> None:
    wrap = (
        "<geom name='w{0}' type='cylinder' zaxis='1 0 0' pos='0 {1} 0' size='{2} 0.05' contype='0' conaffinity='0'"
        " mass='0'/>"
    )
    sites = "<site name='s{0}' pos='0 {1} 0.05'/><site name='side{0}' pos='0 {2} 0.08'/>"
    more = "".join(
        wrap.format(n, 0.1 * s, r) + sites.format(n, 0.04 * s, 0.1 * s)
        for n, s, r in (("l", 1, 0.05), ("r", -1, radius))
    )
    path = (
        "<spatial name='{0}' stiffness='5'><site site='s{0}'/><geom geom='w{0}' sidesite='side{0}'/><site"
        " site='{0}'/></spatial>"
    )
    found = two_legs(f"<tendon>{path.format('l')}{path.format('r')}</tendon>", more)
    assert found.order() == order


def test_what_is_tied_to_the_world_may_not_leave_it() -> None:
    line = "<tendon><spatial stiffness='10'><site site='w'/><site site='front'/></spatial></tendon>"
    found = two_legs(line, world="<site name='w' pos='1 0.5 2'/>")
    assert found.world.connected == "1"
    (mirror,) = found.dynamic  # in the plane through the site, not through the origin
    assert mirror.t[1] == pytest.approx(1.0)
    assert gaps(found.model, mirror)[0] < 1e-9
    assert (
        two_legs("<equality><connect body1='torso' body2='world' anchor='0.1 0 0'/></equality>").world.connected == "1"
    )
    marker = (
        "<body name='goal' mocap='true' pos='1 2 3'><geom type='sphere' size='0.1' contype='0' conaffinity='0'/></body>"
    )
    assert two_legs(world=marker).world.connected == "SO2"
    assert two_legs("<equality><weld body1='goal' body2='torso'/></equality>", world=marker).world.connected == "1"


@pytest.mark.parametrize(("rotors", "torque", "order"), [(4, 0.0, 8), (4, 0.02, 4), (6, 0.02, 6), (6, 0.0, 12)])
def test_propellers_turn_the_right_way(rotors: int, torque: float, order: int) -> None:
    sites, motors = "", ""
    for k in range(rotors):
        angle = 2 * np.pi * (k + 0.5) / rotors
        sites += f"<site name='r{k}' pos='{0.2 * np.cos(angle)} {0.2 * np.sin(angle)} 0.02'/>"
        motors += f"<motor site='r{k}' gear='0 0 1 0 0 {torque * (-1) ** k}'/>"
    body = f"<body><freejoint/><inertial pos='0 0 0' mass='1' diaginertia='0.01 0.01 0.02'/>{sites}</body>"
    found = derive(
        mujoco.MjSpec.from_string(f"<mujoco><worldbody>{body}</worldbody><actuator>{motors}</actuator></mujoco>")
    )
    assert found.order() == order
    for g in found.dynamic:
        assert gaps(found.model, g)[0] < 1e-9, g.name


def test_slides_of_one_body_are_exchanged() -> None:
    joints = "<joint name='x' type='slide' axis='1 0 0'/><joint name='y' type='slide' axis='0 1 0'/>"
    motors = "<actuator><motor joint='x'/><motor joint='y'/></actuator>"
    text = f"<mujoco><worldbody><body>{joints}<geom size='0.1'/></body></worldbody>{motors}</mujoco>"
    found = derive(mujoco.MjSpec.from_string(text))
    assert found.order() == 8
    for g in found.dynamic:
        assert gaps(found.model, g)[0] < 1e-9, g.name


def test_a_motor_that_lacks_is_a_near_miss() -> None:
    leg = "<body pos='0 {0} {1}'><joint name='{2}' axis='1 0 0'/><geom type='box' size='0.05 0.04 0.03'/></body>"
    legs = [(0.1 * s, -0.05 * k, f"{n}{k}") for k in range(1, 7) for n, s in (("l", 1), ("r", -1))]
    more = "".join(leg.format(*at) for at in legs)
    motors = "".join(f"<motor name='{name}' joint='{name}'/>" for *_, name in legs if name != "l3")
    found = two_legs(f"<actuator>{motors}</actuator>", more)
    assert found.order() == 1
    (miss,) = found.near_misses
    assert [(d.field, d.of[0]) for d in miss.discrepancies] == [("actuator", "r3")]


def test_sensors_between_two_things_and_in_the_field_of_the_earth() -> None:
    distances = "<distance geom1='box' geom2='lg'/><distance geom1='box' geom2='rg'/>"
    tendon = fixed("", (1.0, -1.0)) + "<actuator><position tendon='both' kp='3'/></actuator>"
    box = "<geom name='box' type='box' size='0.02 0.02 0.02' pos='0.1 0 0.1'/>"
    rest = (
        f"{tendon}<sensor>{distances}<magnetometer site='front'/><tendonpos tendon='both'/><gyro"
        " site='front'/></sensor>"
    )
    for magnetic, known in (("0 0 -0.5", True), ("0 -0.5 0", False)):
        found = two_legs(f"<option magnetic='{magnetic}'/>{rest}", box)
        (mirror,) = found.dynamic
        assert (mirror.sensors[2] >= 0) == known
        assert mirror.sensors[:2].tolist() == [1, 0]
        assert max(gaps(found.model, mirror)) < 1e-8


def test_a_left_and_a_right_hand_are_mirror_images_of_each_other() -> None:
    hand = """<body name="{0}" pos="0 {1} 1"><freejoint/><geom type="box" size="0.05 0.04 0.01"/>
      <body pos="0.05 {2} 0"><joint axis="0 1 0"/><geom type="capsule" fromto="0 0 0 0.05 0 0.01" size="0.01"/></body>
      <body pos="0 {3} 0.003"><joint axis="1 {4} 0.1"/>
        <geom type="capsule" fromto="0 0 0 0.02 {2} 0.01" size="0.012"/></body>
    </body>"""
    hands = "".join(hand.format(n, 0.3 * s, 0.03 * s, 0.05 * s, 0.3 * s) for n, s in (("left", 1), ("right", -1)))
    found = derive(mujoco.MjSpec.from_string(f"<mujoco><worldbody>{hands}</worldbody></mujoco>"))
    assert found.order() == 2
    (mirror,) = found.dynamic
    assert np.linalg.det(mirror.R) < 0
    assert gaps(found.model, mirror)[0] < 1e-9


def test_exchanges_too_many_to_list_are_told_as_one() -> None:
    box = "<body pos='{0} 0 0.2'><freejoint/><geom type='box' size='0.1 0.05 0.02'/></body>"
    boxes = "".join(box.format(k) for k in range(9))
    found = derive(mujoco.MjSpec.from_string(f"<mujoco><worldbody>{boxes}</worldbody></mujoco>"))
    assert found.order() == 2
    assert "9 bodies may be exchanged freely" in str(found)


@pytest.mark.parametrize(("left", "mirrors"), [("-0.9 0.1", 1), ("-0.1 0.9", 0)])
def test_legs_in_one_place_are_told_apart_by_the_ranges_of_their_joints(left: str, mirrors: int) -> None:
    # a leg that may swing out to the right has no image but the one that may swing out to the left as far
    leg = """<body name='{0}' pos='0 0 -0.1'><joint name='{0}' axis='1 0 0' range='{1}' limited='true'/>
      <geom type='capsule' fromto='0 0 0 0 0 -0.4' size='0.03'/></body>"""
    legs = leg.format("right", "-0.1 0.9") + leg.format("left", left)
    torso = f"<freejoint/><geom type='box' size='0.2 0.1 0.05' pos='0.03 0 0'/>{legs}"
    world = f"<geom type='plane' size='0 0 1'/><body pos='0 0 1'>{torso}</body>"
    text = f"<mujoco><compiler angle='radian'/><worldbody>{world}</worldbody></mujoco>"
    found = [
        s for s in derive(mujoco.MjModel.from_xml_string(text)).generators() if np.linalg.det(s.frames[1, :3, :3]) < 0
    ]
    assert len(found) == mirrors
    for mirror in found:
        assert [mirror.model.joint(j).name for j in mirror.joints[1:]] == ["left", "right"]
