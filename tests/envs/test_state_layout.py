"""Layouts read from models: for every kind of joint, turning a state and stepping commute."""

import mujoco
import numpy as np
import pytest
from mujoco.batch import Batch
from quadruped import robot_dog

from eqrl import O2, O3, SO2, Element, EntitySet, about_gravity, derive, finite_group
from eqrl.envs.core import StateLayout
from eqrl.envs.robots import quadruped
from eqrl.envs.robots.derived import group_of
from eqrl.symmetry import Generator

MIRROR = Element(about_gravity(0.4).R @ dict(O2.generators)["mirror y -> -y"].R)
TURN = about_gravity(np.deg2rad(37.0))
OPTION = '<option cone="elliptic" tolerance="1e-14" iterations="200" integrator="implicitfast" timestep="0.005"/>'
FLOOR = '<geom type="plane" size="0 0 1" friction="0.7 0.005 0.0001"/>'

# a T that slides and turns on a table; a rod hanging by a ball joint; a box on a free joint, pushed by a mocap post
YAW = f"""<mujoco>{OPTION}<worldbody>
  <body pos="0 0 .1" euler="0 0 20" gravcomp="1" name="tee"><joint name="x" type="slide" axis="1 0 0"/>
    <joint name="y" type="slide" axis="0 1 0"/>
    <joint name="yaw" axis="0 0 {{sense}}" damping=".01"/><geom type="box" size=".1 .02 .02" pos="0 .05 0"/>
      <geom type="box" size=".02 .06 .02"/></body>
  <body mocap="true" name="post" pos=".16 .1 .1"><geom size=".04"/></body>
</worldbody></mujoco>"""
SLIDES_FIRST = YAW.replace('euler="0 0 20" ', "")
BALLS = f"""<mujoco>{OPTION}<worldbody>{FLOOR}
  <body name="upper" pos=".3 -.2 .9" euler="30 10 50"><joint type="ball"/>
    <geom type="capsule" size=".03" fromto="0 0 0 0 0 -.4"/>
    <body name="lower" pos="0 0 -.4"><joint type="ball"/><geom type="capsule" size=".03" fromto="0 0 0 0 0 -.5"/>
      </body></body>
</worldbody></mujoco>"""
ON_SLIDES = BALLS.replace(
    '<body name="upper" pos=".3 -.2 .9" euler="30 10 50">',
    '<body name="cart" pos=".3 -.2 .9"><joint type="slide" axis="1 0 0"/><joint type="slide" axis="0 1 0"/>'
    '<geom size=".05"/><body name="upper" euler="30 10 50">',
).replace("</worldbody>", "</body></worldbody>")
BOX = f"""<mujoco>{OPTION}<worldbody>{FLOOR}
  <body name="box" pos="0 0 .1"><freejoint/><geom type="box" size=".1 .06 .05"/></body>
  <body mocap="true" name="post" pos=".13 .02 .1"><geom type="capsule" size=".04 .1"/></body>
</worldbody></mujoco>"""


def states(model, n=4):
    """Random ones, near the model's own, moving."""
    rng = np.random.default_rng(0)
    batch = Batch(model, n, 1)
    batch.bind("qpos")[:] += 0.05 * rng.standard_normal((n, model.nq))
    for j in range(model.njnt):
        if model.jnt_type[j] in (0, 1):
            at = model.jnt_qposadr[j] + (3 if model.jnt_type[j] == 0 else 0)
            q = batch.bind("qpos")[:, at : at + 4]
            q /= np.linalg.norm(q, axis=1, keepdims=True)
    batch.bind("qvel")[:] = rng.standard_normal((n, model.nv))
    return batch


def worst(model, layout, g, steps=60):
    """Largest difference between "turn, then step" and "step, then turn"."""
    plain = states(model)
    turned = Batch(model, plain.nsim, 1)
    turned.bind("qpos")[:] = layout.transform_qpos(plain.bind("qpos"), g)
    turned.bind("qvel")[:] = layout.transform_qvel(plain.bind("qvel"), g)
    if model.nmocap:
        moved = layout.transform_mocap(plain.bind("mocap_pos"), plain.bind("mocap_quat"), g)
        turned.bind("mocap_pos")[:], turned.bind("mocap_quat")[:] = moved
    contacts, error = 0, 0.0
    for _ in range(steps):
        plain.step()
        turned.step()
        contacts = max(contacts, int(plain.bind("ncon").max()))
        differences = layout.qpos_difference(layout.transform_qpos(plain.bind("qpos"), g), turned.bind("qpos"))
        error = max(error, *differences.values())
        error = max(error, np.abs(layout.transform_qvel(plain.bind("qvel"), g) - turned.bind("qvel")).max())
    return error, contacts


@pytest.mark.parametrize("g", [TURN, MIRROR], ids=["turn", "mirror"])
@pytest.mark.parametrize(
    ("xml", "reflections", "contact"),
    [
        (SLIDES_FIRST.format(sense=1), {"tee": (-1.0, 1.0, 1.0), "post": (1.0, -1.0, 1.0)}, True),
        (SLIDES_FIRST.format(sense=-1), {"tee": (-1.0, 1.0, 1.0), "post": (1.0, -1.0, 1.0)}, True),
        (BALLS, {"upper": (1.0, -1.0, 1.0)}, True),
        (ON_SLIDES, {"cart": (1.0, -1.0, 1.0), "upper": (1.0, -1.0, 1.0)}, True),
        (BOX, {"box": (1.0, -1.0, 1.0), "post": (1.0, 1.0, -1.0)}, True),
    ],
    ids=["yaw", "yaw downwards", "balls", "balls on slides", "free and mocap"],
)
def test_turning_and_stepping_commute(xml, reflections, contact, g):
    model = mujoco.MjModel.from_xml_string(xml)
    error, contacts = worst(model, StateLayout.of(model, O2, reflections=reflections), g)
    assert error < 1e-9
    assert (contacts > 0) == contact


@pytest.mark.parametrize("wrong", [{"tee": (1.0, -1.0, 1.0)}, {"tee": (1.0, 1.0, -1.0)}])
def test_a_wrong_reflection_is_found_by_the_physics(wrong):
    model = mujoco.MjModel.from_xml_string(SLIDES_FIRST.format(sense=1))
    error, _ = worst(model, StateLayout.of(model, O2, reflections={**wrong, "post": (1.0, -1.0, 1.0)}), MIRROR)
    assert error > 1e-4


def test_full_turns_of_a_yaw_hinge_are_kept():
    model = mujoco.MjModel.from_xml_string(SLIDES_FIRST.format(sense=1))
    layout = StateLayout.of(model, SO2)
    qpos = np.array([[0.0, 0.0, 9.0]])
    turned = layout.transform_qpos(qpos, TURN)
    assert turned[0, 2] == pytest.approx(9.0 + np.deg2rad(37.0))
    assert layout.qpos_difference(turned, turned + np.array([0.0, 0.0, 2 * np.pi]))["yaw"] < 1e-12


def test_the_group_that_the_quadruped_states_is_the_one_that_its_model_has():
    model = quadruped.build(60.0, mujoco.mjtIntegrator.mjINT_RK4, 0.01).compile()
    derived, stated = group_of(model), quadruped.GROUP
    assert group_of(model) is derived  # derived once for each model
    assert derived.connected == stated.connected
    assert len(derived.cosets.R) == len(stated.cosets.R) == 8
    here, there = quadruped.layout(model), StateLayout.of(model, derived)
    state = states(model)
    qpos, qvel = state.bind("qpos"), state.bind("qvel")
    actions = {_action(here, qpos, qvel, stated.cosets[i]) for i in range(8)}
    assert actions == {_action(there, qpos, qvel, derived.cosets[i]) for i in range(8)}
    assert len(actions) == 8


def _action(layout, qpos, qvel, g):
    """What an element does to some states, comparable.

    The world's part is undone, so that only the relabelling of the body counts.
    """
    heading = np.arctan2(float(g.R[1, 0]), float(g.R[0, 0]))
    undo = about_gravity(-heading)
    moved = (
        layout.transform_qpos(layout.transform_qpos(qpos, g), undo),
        layout.transform_qvel(layout.transform_qvel(qvel, g), undo),
    )
    return tuple(np.concatenate([m.ravel() for m in moved]).round(9) + 0.0)


def test_members_of_a_set_turn_and_change_places():
    slides = '<joint type="slide" axis="1 0 0"/><joint type="slide" axis="0 1 0"/>'
    beads = "".join(f'<body name="b{i}" gravcomp="1">{slides}<geom size=".05"/></body>' for i in range(3))
    model = mujoco.MjModel.from_xml_string(f"<mujoco><worldbody>{beads}</worldbody></mujoco>")
    swap = Generator.of("reversal", None, {"rope": np.eye(3)[::-1]})
    group = O2.product(finite_group("C2", [swap]))
    layout = StateLayout.of(
        model, group, entities=(EntitySet("rope", ("bead",) * 3),), members={"rope": ("b0", "b1", "b2")}
    )
    qpos = np.arange(6.0)[None]
    np.testing.assert_allclose(layout.transform_qpos(qpos, swap.element), [[4, 5, 2, 3, 0, 1]])
    np.testing.assert_allclose(
        layout.transform_qpos(qpos, about_gravity(np.pi / 2)), [[-1, 0, -3, 2, -5, 4]], atol=1e-12
    )


# two pads on one wrist, of which half a turn makes the other
JAWS = f"""<mujoco>{OPTION}<worldbody>
  <body name="wrist" gravcomp="1"><joint type="slide" axis="1 0 0"/><joint type="slide" axis="0 1 0"/>
    <joint name="yaw" axis="0 0 1" damping=".01"/><geom type="box" size=".02 .1 .02" mass=".5"/>
    <body name="left"><joint type="slide" axis="0 1 0" stiffness="5"/><geom size=".02" pos="0 .1 0"/></body>
    <body name="right"><joint type="slide" axis="0 -1 0" stiffness="5"/><geom size=".02" pos="0 -.1 0"/></body></body>
</worldbody></mujoco>"""
JAW_HANDS = {"entities": (EntitySet("jaws", ("jaw",) * 2),), "members": {"jaws": ("left", "right")}}


@pytest.mark.parametrize("g", ["rotation about gravity", "mirror y -> -y", "half a turn"])
def test_members_on_a_body_that_moves_change_places_with_it(g):
    swap = {"jaws": np.eye(2)[::-1], "wrist axes": np.diag([-1.0, -1.0, 1.0])}
    group = O2.product(finite_group("C2", [Generator.of("half a turn", None, swap)]))
    model = mujoco.MjModel.from_xml_string(JAWS)
    layout = StateLayout.of(model, group, reflections={"wrist": (-1.0, 1.0, 1.0)}, **JAW_HANDS)
    assert [(c.field.name, c.field.entities) for c in layout.coordinates] == [("wrist", None), ("jaws", "jaws")]
    assert worst(model, layout, dict(group.generators)[g])[0] < 1e-9


@pytest.mark.parametrize(
    ("xml", "group", "options", "message"),
    [
        (JAWS.replace('"right"><joint type="slide" axis="0 -1 0"', '"right"><joint type="slide" axis="1 0 0"'), O2,
        {"reflections": {"wrist": (-1.0, 1.0, 1.0)}, **JAW_HANDS}, "a mirror reverses some and not others"),
        (YAW.format(sense=1).replace('axis="0 1 0"', 'axis="1 1 0"'), SO2, {}, "body 'tee' has slides along"),
        (SLIDES_FIRST.format(sense=1), O3, {}, "tilts the axis of joint 'yaw'"),
        (BALLS.replace('<joint type="ball"/><geom type="capsule" size=".03" fromto="0 0 0 0 0 -.5"/>',
                       '<joint name="elbow" axis="0 1 0"/><geom size=".1"/>'), O2, {},
                       "joint 'elbow': group O2 has mirrors"),
        (SLIDES_FIRST.format(sense=1), O2, {"members": {"hands": ("tee", "left")}},
        "names 'left', which is no body on slides"),
    ],
)  # fmt: skip
def test_what_a_group_cannot_act_on_is_named(xml, group, options, message):
    model = mujoco.MjModel.from_xml_string(xml)
    with pytest.raises(ValueError, match=message):
        StateLayout.of(model, group, **options)


def test_a_body_that_is_no_mirror_image_of_itself_refuses_mirrors_alone():
    model = mujoco.MjModel.from_xml_string(BOX)
    layout = StateLayout.of(model, O2)
    assert worst(model, layout, TURN)[0] < 1e-9
    with pytest.raises(ValueError, match="body 'box' is not its own mirror image"):
        layout.transform_qpos(model.qpos0[None], MIRROR)


def test_derived_robots_need_no_words():
    """A dog of free and hinge joints: group and layout come from the model alone, and the physics agrees."""
    model = mujoco.MjModel.from_xml_string(robot_dog(option='tolerance="1e-14" iterations="200"'))
    layout = StateLayout.of(model, derive(model).group())
    assert {name for name, _ in layout.group.generators} > {"rotation about gravity"}
    for _, g in layout.group.generators:
        error, contacts = worst(model, layout, g, steps=20)
        assert error < 1e-7
        assert contacts > 0
