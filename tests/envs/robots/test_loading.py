"""Anyone's robot is made ready to run, or refused in one line that says how to repair it."""

import importlib.util
from pathlib import Path

import mujoco
import numpy as np
import pytest

from eqrl.envs.robots.derived import group_of
from eqrl.envs.robots.loading import NAMES, load

MOTOR = '<motor joint="{j}" ctrlrange="-1 1"/>'
HEXAPOD = Path(__file__).parent / "hexapod.xml"
URDF = """<robot name="hopper">
  <link name="trunk"><inertial><mass value="2"/><inertia ixx=".1" iyy=".1" izz=".1" ixy="0" ixz="0" iyz="0"/></inertial>
    <collision><geometry><box size=".4 .2 .1"/></geometry></collision></link>
  <link name="leg"><inertial><origin xyz="0 0 -.1"/><mass value=".2"/>
    <inertia ixx=".01" iyy=".01" izz=".01" ixy="0" ixz="0" iyz="0"/></inertial>
    <collision><origin xyz="0 0 -.2"/><geometry><sphere radius=".05"/></geometry></collision></link>
  <joint name="hip" type="revolute"><parent link="trunk"/><child link="leg"/><axis xyz="0 1 0"/>
    <limit lower="-1" upper="1" effort="20" velocity="5"/></joint>
</robot>"""


def walker(root="<freejoint/>", motor=MOTOR, world="", rest="", joint=""):
    """A trunk on two legs; ``motor`` is written once for each hip."""
    legs = "".join(
        f"""<body name="{side}" pos="0 {y} 0"><joint name="{side}_hip" axis="0 1 0" range="-40 80" {joint}/>
          <geom name="{side}_leg" type="capsule" fromto="0 0 0 0 0 -0.5" size="0.05"/></body>"""
        for side, y in (("left", 0.1), ("right", -0.1))
    )
    motors = "".join(motor.format(j=f"{side}_hip", s=side) for side in ("left", "right"))
    return f"""<mujoco model="two legs"><worldbody>{world}<body name="trunk" pos="0.3 0 2">{root}
      <geom name="trunk" type="box" size="0.1 0.1 0.1"/>{legs}</body></worldbody>
      <actuator>{motors}</actuator>{rest}</mujoco>"""


def prepared(text):
    return load(mujoco.MjSpec.from_string(text))


def test_a_robot_of_ones_own_is_ready_to_run():
    robot = load(HEXAPOD)
    model = robot.spec.compile()
    assert robot.base == "trunk"
    assert group_of(model).name == "SO2 x C2xC2"  # front and rear are alike too
    assert model.opt.cone == mujoco.mjtCone.mjCONE_ELLIPTIC
    assert model.opt.tolerance <= 1e-12
    assert [drive.name for drive in robot.drives] == [model.actuator(u).name for u in range(model.nu)]
    for drive in robot.drives:  # servos without a range of controls go where their joints go
        ((joint, share),) = drive.shares.items()
        assert share == 1.0
        low, high = model.joint(joint).range
        assert (drive.middle - drive.reach, drive.middle + drive.reach) == pytest.approx((low, high))
        assert drive.strengths[joint] == 9.0  # what its forces are limited to
    assert any("elliptic" in remark for remark in robot.remarks)
    assert "a floor added" in robot.remarks


@pytest.mark.parametrize("name", ["quadruped", "humanoid_9_full", "hopper_3_shin", "hexapod"])
def test_it_stands_on_the_floor(name):
    robot = load(HEXAPOD if name == "hexapod" else name)
    model = robot.spec.compile()
    data = mujoco.MjData(model)
    np.testing.assert_array_equal(robot.pose[:2], 0.0)
    np.testing.assert_allclose(data.qpos[:7], robot.pose[:7], atol=1e-12)
    np.testing.assert_allclose(model.key("stand").qpos, robot.pose)
    data.qpos[:] = robot.pose
    data.qpos[2] -= 1e-4
    mujoco.mj_forward(model, data)
    assert data.contact.dist.min() == pytest.approx(-1e-4, abs=1e-9)
    assert robot.pose[2] == robot.standing_height


def test_our_robots_keep_their_symmetry_and_need_no_repair():
    assert "quadruped" in NAMES
    robot = load("quadruped")
    assert group_of(robot.spec.compile()).name == "SO2 x D4"
    assert robot.remarks == ()


def test_a_spec_stays_as_it_is():
    spec = mujoco.MjSpec.from_string(walker())
    before = spec.to_xml()
    load(spec)
    assert spec.to_xml() == before


def test_what_stands_around_the_robot_is_left_out():
    world = """<geom name="low" type="plane" size="9 9 1" pos="0 0 -3" friction="0.3"/>
      <geom name="ground" type="plane" size="9 9 1" pos="2 0 0.5" friction="0.7"/>
      <geom name="wall" type="plane" size="9 9 1" pos="9 0 0" zaxis="-1 0 0"/>
      <geom type="box" size="1 1 1" pos="5 0 0"/><camera name="far"/>
      <body name="ball" pos="0 0 9"><freejoint/><geom size="0.2"/></body>"""
    rest = """<equality><weld body1="ball" body2="trunk"/></equality>
      <sensor><framepos objtype="body" objname="ball"/></sensor>
      <keyframe><key qpos="0 0 9 1 0 0 0 4 5 6 0.8 0 0.6 0 0.3 -0.2"/></keyframe>"""
    robot = prepared(walker(world=world, rest=rest))
    model = robot.spec.compile()
    assert [model.body(i).name for i in range(1, model.nbody)] == ["trunk", "left", "right"]
    assert [model.geom(g).name for g in np.flatnonzero(model.geom_bodyid == 0)] == ["ground"]
    ground = model.geom("ground")
    assert (ground.friction[0], *ground.pos) == (0.7, 0.0, 0.0, 0.0)
    assert (model.neq, model.nsensor, model.nkey) == (0, 0, 1)
    (remark,) = [remark for remark in robot.remarks if remark.startswith("left out")]
    assert remark == "left out of the scene: low, wall, geom3, ball"
    # the first keyframe is how it stands, at the origin and on the floor
    np.testing.assert_allclose(robot.pose[3:], [0.8, 0.0, 0.6, 0.0, 0.3, -0.2])
    np.testing.assert_allclose(model.qpos0[:7], robot.pose[:7])


def test_a_base_in_a_frame_of_the_file_stands_upright_too():
    text = walker().replace('<body name="trunk"', '<frame pos="1 2 3" euler="0 0 30"><body name="trunk"')
    text = text.replace("</body></worldbody>", "</body></frame></worldbody>")
    robot = prepared(text)
    np.testing.assert_allclose(robot.spec.compile().qpos0[:7], robot.pose[:7], atol=1e-12)
    assert robot.standing_height == pytest.approx(0.55)


def test_joints_that_start_outside_their_ranges_are_moved_to_the_end():
    robot = prepared(walker().replace("-40 80", "10 80"))
    np.testing.assert_allclose(robot.pose[7:], np.deg2rad(10))
    assert any("left_hip, right_hip" in remark for remark in robot.remarks)


@pytest.mark.parametrize(
    ("motor", "joint", "ends", "share", "strength"),
    [
        ('<motor joint="{j}" gear="30" ctrlrange="-2 2"/>', "", (-2, 2), 1.0, 60.0),
        ('<motor joint="{j}" gear="-30" ctrlrange="-2 2"/>', "", (-2, 2), -1.0, 60.0),
        ('<motor joint="{j}" gear="30" ctrlrange="0 1"/>', "", (0, 1), 1.0, 15.0),
        ('<motor joint="{j}" gear="30" ctrlrange="-2 2" forcerange="-1 1"/>', "", (-2, 2), 1.0, 30.0),
        ('<motor joint="{j}" gear="2" forcerange="-7 7"/>', "", (-7, 7), 1.0, 14.0),
        ('<motor joint="{j}" gear="2"/>', 'actuatorfrcrange="-8 8"', (-4, 4), 1.0, 8.0),
        ('<motor joint="{j}" gear="0" ctrlrange="-1 1"/>', "", (-1, 1), 1.0, 0.0),
        ('<position joint="{j}" kp="5" ctrlrange="-0.5 0.5"/>', "", (-0.5, 0.5), 1.0, 2.5),
        ('<position joint="{j}" kp="5"/>', "", (np.deg2rad(-40), np.deg2rad(80)), 1.0, 5 * np.deg2rad(60)),
        ('<position joint="{j}" kp="5" gear="2"/>', "", (np.deg2rad(-80), np.deg2rad(160)), 1.0, 20 * np.deg2rad(60)),
        ('<velocity joint="{j}" kv="3" ctrlrange="-4 4"/>', "", (-4, 4), 1.0, 12.0),
        ('<general joint="{j}" gainprm="2" dyntype="filter" dynprm="0.1" ctrlrange="-1 1"/>', "", (-1, 1), 1.0, 2.0),
    ],
)
def test_actions_span_the_range_of_any_actuator(motor, joint, ends, share, strength):
    robot = prepared(walker(motor=motor, joint=joint))
    model = robot.spec.compile()
    assert model.na == 0
    for drive, name in zip(robot.drives, ("left_hip", "right_hip"), strict=True):
        assert drive.shares == {name: share}
        assert (drive.middle - drive.reach, drive.middle + drive.reach) == pytest.approx(ends)
        assert drive.strengths[name] == pytest.approx(strength)


@pytest.mark.parametrize("gear", [1.0, -3.0])
def test_a_tendon_is_pulled_by_the_actions_of_its_joints(gear):
    tendon = """<tendon><fixed name="both"><joint joint="left_hip" coef="0.5"/><joint joint="right_hip" coef="-1.5"/>
      </fixed></tendon><actuator><motor name="both" tendon="both" gear="{}" ctrlrange="-2 2"/></actuator>"""
    robot = prepared(walker(motor="", rest=tendon.format(gear)))
    (drive,) = robot.drives
    sign = np.sign(gear)
    assert drive.shares == {"left_hip": sign * 0.25, "right_hip": sign * -0.75}
    assert drive.strengths == pytest.approx({"left_hip": abs(gear), "right_hip": 3 * abs(gear)})
    # an action above 0 pushes a joint the way in which its angle grows
    model = robot.spec.compile()
    data = mujoco.MjData(model)
    data.ctrl[0] = drive.middle + drive.reach * (drive.shares["left_hip"] * 1.0)
    mujoco.mj_forward(model, data)
    assert data.qfrc_actuator[model.joint("left_hip").dofadr[0]] > 0


def test_a_urdf_gets_what_the_format_lacks(tmp_path):
    path = tmp_path / "hopper.urdf"
    path.write_text(URDF)
    robot = load(path)
    assert (robot.base, robot.standing_height) == ("trunk", pytest.approx(0.25))
    (drive,) = robot.drives
    assert drive.strengths == {"hip": 20.0}
    assert {"link trunk floats", "motors added to the 1 joints with an effort limit"} <= set(robot.remarks)


def test_near_misses_of_the_symmetry_are_told_with_their_attribute():
    text = walker().replace('name="left_hip"', 'name="left_hip" damping="0.2"')
    remarks = prepared(text).remarks
    assert any("nearly symmetric" in remark and "damping 0.2" in remark for remark in remarks)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (walker(root=""), "no body of it floats"),
        (walker(motor=""), "it has no actuators"),
        (walker(motor='<motor name="m{s}" joint="{j}"/>'), "actuator mleft has no range of controls; give it"),
        (
            walker(motor=f"{MOTOR}{MOTOR.replace('motor', 'damper').replace('-1', '0')}"),
            "actuators actuator0 and actuator1 drive joint left_hip both",
        ),
        (
            walker(motor='<intvelocity name="m{s}" joint="{j}" actrange="-1 1" ctrlrange="-1 1"/>'),
            "actuator mleft has a state of its own",
        ),
        (walker(motor='<adhesion name="m{s}" body="{s}" ctrlrange="0 1"/>'), "no actuator is on a joint below trunk"),
        (walker(motor=MOTOR + '<adhesion name="g{s}" body="{s}" ctrlrange="0 1"/>'), "actuator gleft is neither on"),
        (walker(rest='<option gravity="0 1 -9"/>'), "does not point straight down"),
        (walker(rest='<option wind="3 0 0" density="1.2"/>'), "it may not be turned about gravity"),
        (walker().replace("<geom ", '<geom contype="0" conaffinity="0" '), "none of its geoms touches the floor"),
    ],
)  # fmt: skip
def test_what_cannot_run_is_refused_in_one_line(text, message):
    with pytest.raises(ValueError, match=message) as caught:
        prepared(text)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("robot two legs: ")


def test_two_robots_are_refused():
    second = """<body name="other" pos="3 0 1"><freejoint/><geom size="0.1"/>
      <body><joint name="arm"/><geom size="0.1" pos="0 0 0.3"/></body></body>"""
    text = walker(world=second, rest='<actuator><motor joint="arm" ctrlrange="-1 1"/></actuator>')
    with pytest.raises(ValueError, match="bodies other, trunk float and have actuators"):
        prepared(text)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.xml", None, "there is no such file"),
        ("humanoid_9", None, "did you mean 'humanoid_9_full'"),
        ("broken.xml", "<mujoco><worldbody><body></worldbody></mujoco>", "XML"),
        ("wrong.xml", '<mujoco><worldbody><geom type="ball"/></worldbody></mujoco>', "ball"),
        ("binary.xml", b"\xff\xfe\x00", "robot"),
        ("model.mjb", b"", "give the MJCF"),
    ],
)
def test_broken_files_take_one_line(tmp_path, name, content, message):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=message) as caught:
        load(path if content is not None or "." in name else name)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(importlib.util.find_spec("dm_control") is None, reason="needs dm_control")
def test_the_quadruped_of_dm_control():
    folder = Path(importlib.util.find_spec("dm_control").submodule_search_locations[0])
    robot = load(folder / "suite" / "quadruped.xml")
    model = robot.spec.compile()
    assert (robot.base, model.nu, model.na) == ("torso", 12, 0)
    assert robot.standing_height == pytest.approx(0.52)
    assert group_of(model).name == "SO2 x C2"
    assert {len(drive.shares) for drive in robot.drives} == {1, 2, 3}
    assert "left out of the scene: wall_px, wall_py, wall_nx, wall_ny, terrain, ball" in robot.remarks
