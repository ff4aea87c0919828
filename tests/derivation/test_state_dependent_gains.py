"""Actuators of every kind on a joint whose sign a mirror flips.

The sign of the control follows from the form of the force.
"""

from __future__ import annotations

import mujoco
import pytest

from eqrl import derive, verify

ROBOT = """<mujoco><option cone="elliptic"/><worldbody><geom type="plane" size="0 0 1"/>
<body name="trunk" pos="0 0 .6"><freejoint/><geom type="box" size=".2 .1 .05"/>
  <geom type="sphere" size=".04" pos=".2 0 .05"/>
  <body name="head" pos="0 0 .1">
    <joint name="w" axis="1 0 0" range="-60 60" limited="true" damping=".1" armature=".01"/>
    <geom size=".04" pos="0 0 .1"/></body>
  <body pos="0 .1 0"><joint name="l" axis="1 0 0"/><geom type="capsule" fromto="0 0 0 0 .05 -.3" size=".03"/></body>
  <body pos="0 -.1 0"><joint name="r" axis="1 0 0"/><geom type="capsule" fromto="0 0 0 0 -.05 -.3" size=".03"/></body>
</body></worldbody><actuator>{0}</actuator></mujoco>"""
THERMAL = 'motorconst=".5" resistance="2" inductance=".1" thermal="1 2 0 .02 20 25"'


def robot(actuators: str) -> mujoco.MjModel:
    return mujoco.MjModel.from_xml_string(ROBOT.format(actuators))


@pytest.mark.parametrize(
    ("actuator", "sign"),
    [
        ('<motor joint="w"/>', -1),
        ('<position joint="w" kp="9" kv="1" ctrlrange="-1 1"/>', -1),
        ('<velocity joint="w" kv="2" ctrlrange="-1 1"/>', -1),
        ('<intvelocity joint="w" kp="9" actrange="-1 1"/>', -1),
        ('<damper joint="w" kv="2" ctrlrange="0 1"/>', 1),
        (
            (
                '<general joint="w" gaintype="affine" gainprm="0 0 2" dyntype="filter" dynprm=".1" ctrllimited="true"'
                ' ctrlrange="-1 0"/>'
            ),
            1,
        ),
        ('<general joint="w" gaintype="affine" gainprm="0 -2 0" ctrllimited="true" ctrlrange="0 1"/>', 1),
        (
            (
                '<general joint="w" gaintype="affine" gainprm="0 0 -2" dyntype="integrator" actlimited="true"'
                ' actrange="0 1"/>'
            ),
            1,
        ),
        ('<general joint="w" gaintype="affine" gainprm="2 0 0" biastype="affine" biasprm="0 -1 -1"/>', -1),
        ('<cylinder joint="w" area="2" bias="0 -2 -.1" timeconst=".1"/>', -1),
        ('<adhesion body="head" gain="3" ctrlrange="0 1"/>', 1),
        ('<dcmotor joint="w" motorconst=".5" resistance="2" cogging=".1 6 0"/>', -1),
        (f'<dcmotor joint="w" {THERMAL}/>', -1),
    ],
)
def test_the_sign_of_the_control_follows_from_the_force(actuator: str, sign: int) -> None:
    m = robot(actuator)
    found = derive(m)
    (mirror,) = found.dynamic
    assert mirror.ctrl_signs.tolist() == [sign]
    verdicts = verify(m, found, states=8, steps=(1, 25))
    assert verdicts.holds, str(verdicts)


@pytest.mark.parametrize(
    ("actuator", "field"),
    [
        ('<general joint="w" gaintype="affine" gainprm="1 0 .5"/>', "gainprm"),
        ('<general joint="w" gaintype="affine" gainprm="1 .5 0"/>', "gainprm"),
        ('<general joint="w" gaintype="affine" gainprm="0 0 1" biastype="affine" biasprm=".5 0 0"/>', "biasprm"),
        ('<general joint="w" dyntype="muscle" dynprm=".01 .04"/>', "gainprm"),
        ('<damper joint="w" kv="2" ctrlrange="0 1" forcelimited="true" forcerange="-1 1.1"/>', "forcerange"),
        ('<muscle joint="w" lengthrange="-1 1"/>', "gear"),  # it can only pull to one side
        ('<dcmotor joint="w" motorconst=".5" resistance="2" cogging=".1 6 .3"/>', "biasprm"),
        ('<damper joint="l" kv="2" ctrlrange="0 1"/><damper joint="r" kv="3" ctrlrange="0 1"/>', "gainprm"),
    ],
)
def test_where_no_sign_fits_the_attribute_is_named(actuator: str, field: str) -> None:
    m = robot(actuator.replace("joint=", 'name="first" joint=', 1))
    found = derive(m)
    assert found.order() == 1
    (miss,) = found.near_misses
    assert {d.field for d in miss.discrepancies} == {field}
    assert miss.discrepancies[0].of[0] == "first"
    assert miss.discrepancies[0].values[0] != miss.discrepancies[0].values[1]
    (verdict,) = verify(m, [miss.symmetry], states=8, steps=(1, 25))
    assert not verdict.holds
    assert verdict.cause is not None
    if field != "gear":
        assert field in verdict.cause.id, verdict.cause


def test_a_brake_and_a_motor_on_one_joint() -> None:
    m = robot('<motor joint="w" ctrlrange="-1 1"/><damper joint="w" kv="2" ctrlrange="0 1"/>')
    found = derive(m)
    (mirror,) = found.dynamic
    assert mirror.ctrl_signs.tolist() == [-1, 1]
    assert verify(m, found, states=8, steps=(1, 25)).holds


def test_control_ranges_are_compared_under_the_sign_that_was_derived() -> None:
    for right, holds in (((0.0, 1.0), True), ((-1.0, 0.0), False)):
        m = robot('<damper joint="l" kv="2" ctrlrange="0 1"/><damper joint="r" kv="2" ctrlrange="0 1"/>')
        m.actuator_ctrlrange[1] = right  # MJCF refuses a damper that pushes
        found = derive(m)
        assert (found.order() == 2) == holds
        assert verify(m, found, states=6, steps=(1, 20)).holds


def test_a_servo_and_its_integral_where_joints_do_not_measure_from_zero() -> None:
    """The integral of a velocity has an offset under a mirror, the velocity that is the control has none."""
    m = mujoco.MjModel.from_xml_string(
        ROBOT.replace('<joint name="l" axis="1 0 0"/>', '<joint name="l" axis="1 0 0" ref="20"/>').format(
            '<intvelocity joint="l" kp="9" actrange="-2 2"/><intvelocity joint="r" kp="9" actrange="-2 2"/>'
        )
    )
    m.actuator_actrange[0] += m.qpos0[m.joint("l").qposadr[0]]
    m.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_AUTORESET)
    found = derive(m)
    (mirror,) = found.dynamic
    assert abs(mirror.ctrl_offsets).max() == pytest.approx(0.349, abs=1e-3)
    assert mirror.ctrl([0.0, 0.0]).tolist() == [0.0, 0.0]
    assert mirror.act([0.0, 0.0])[0] == pytest.approx(abs(mirror.ctrl_offsets).max())
    assert verify(m, found, states=8, steps=(1, 25)).holds


def test_symmetrising_turns_gains_by_their_form() -> None:
    text = ROBOT.format(
        '<general joint="w" gaintype="affine" gainprm="1 0 .1" biastype="affine" biasprm=".2 -1 -1"/>'
        '<damper joint="l" kv="2" ctrlrange="0 1"/><damper joint="r" kv="2.2" ctrlrange="0 1"/>'
    )
    spec, _ = derive(mujoco.MjSpec.from_string(text)).symmetrise()
    m = spec.compile()
    assert m.actuator_gainprm[:, :3].tolist() == [[1, 0, 0], [0, 0, pytest.approx(-2.1)], [0, 0, pytest.approx(-2.1)]]
    assert m.actuator_biasprm[0, :3].tolist() == [0, -1, -1]
    found = derive(m)
    assert found.order() == 2
    assert verify(m, found, states=6, steps=(1, 20)).holds


def test_an_actuator_with_several_controls_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="actuator arm has 2 controls"):
        derive(robot('<pid name="arm" joint="w" kp="3"/>'))
    assert derive(robot('<pid name="arm" joint="w" kp="3" input="pos"/>')).order() == 2
