"""Equality constraints on one joint or tendon, between two, switched off, and with polynomials that a mirror turns."""

from __future__ import annotations

import mujoco
import pytest

from eqrl import derive, verify

WALKER = """<mujoco><option cone="elliptic"/><worldbody><geom type="plane" size="0 0 1"/>
<body name="trunk" pos="0 0 .6"><freejoint/><geom type="box" size=".2 .1 .05"/>
  <geom type="sphere" size=".04" pos=".2 0 .05"/>
  <body pos="0 0 .1"><joint name="waist" axis="1 0 0" {waist}/><geom size=".04" pos="0 0 .1"/></body>
  <body pos="0 .1 0"><joint name="l" axis="1 0 0"/><geom type="capsule" fromto="0 0 0 0 .05 -.3" size=".03"/></body>
  <body pos="0 -.1 0"><joint name="r" axis="1 0 0"/><geom type="capsule" fromto="0 0 0 0 -.05 -.3" size=".03"/></body>
</body></worldbody>{rest}</mujoco>"""
# under the mirror the sum of both hips changes its sign, and their difference does not
SUM = '<fixed name="sum"><joint joint="l" coef="1"/><joint joint="r" coef="1"/></fixed>'
DIFFERENCE = '<fixed name="difference"><joint joint="l" coef="1"/><joint joint="r" coef="-1"/></fixed>'
WAIST = '<fixed name="lean"><joint joint="waist" coef="1"/></fixed>'


def walker(equality: str, tendon: str = "", waist: str = "") -> mujoco.MjModel:
    rest = (f"<tendon>{tendon}</tendon>" if tendon else "") + f"<equality>{equality}</equality>"
    return mujoco.MjModel.from_xml_string(WALKER.format(rest=rest, waist=waist))


@pytest.mark.parametrize(
    ("equality", "tendon", "mirrored"),
    [
        ('<joint joint1="waist"/>', "", True),
        ('<joint joint1="waist" polycoef="0 3 1 2 1"/>', "", True),  # what is behind the first is not read
        ('<joint joint1="waist" polycoef=".2 0 0 0 0"/>', "", False),
        ('<joint joint1="l" polycoef=".1 1 0 0 0"/><joint joint1="r" polycoef="-.1 1 0 0 0"/>', "", True),
        ('<joint joint1="l" polycoef=".1 1 0 0 0"/><joint joint1="r" polycoef=".1 1 0 0 0"/>', "", False),
        ('<joint joint1="l"/>', "", False),
        ('<tendon tendon1="sum"/>', SUM, True),
        ('<tendon tendon1="difference" polycoef=".1 1 0 0 0"/>', DIFFERENCE, True),
        ('<tendon tendon1="sum" polycoef=".1 1 0 0 0"/>', SUM, False),
        ('<tendon tendon1="lean" tendon2="sum" polycoef="0 1 0 2 0"/>', SUM + WAIST, True),
        ('<tendon tendon1="lean" tendon2="sum" polycoef="0 0 1 0 1"/>', SUM + WAIST, False),
        ('<tendon tendon1="difference" tendon2="lean" polycoef="0 0 1 0 1"/>', DIFFERENCE + WAIST, True),
        ('<tendon tendon1="lean" tendon2="difference" polycoef="0 0 1 0 1"/>', DIFFERENCE + WAIST, False),
        (
            (
                '<joint joint1="l" joint2="waist" polycoef="0 .5 .1 .2 0"/><joint joint1="r" joint2="waist" polycoef="0'
                ' .5 -.1 .2 0"/>'
            ),
            "",
            True,
        ),
        (
            (
                '<joint joint1="l" joint2="waist" polycoef="0 .5 .1 .2 0"/><joint joint1="r" joint2="waist" polycoef="0'
                ' .5 .1 .2 0"/>'
            ),
            "",
            False,
        ),
    ],
)
def test_only_what_is_read_is_compared_and_with_its_sign(equality: str, tendon: str, mirrored: bool) -> None:
    m = walker(equality, tendon)
    found = derive(m)
    assert found.order() == (2 if mirrored else 1)
    verdicts = verify(m, found, states=8, steps=(1, 25))
    assert len(verdicts) == (2 if mirrored else 1)
    assert verdicts.holds, str(verdicts)


def test_a_constraint_that_is_switched_off_breaks_nothing_and_is_told() -> None:
    off = '<joint name="brake" joint1="l" active="false"/><weld name="grasp" body1="trunk" active="false"/>'
    m = walker(off)
    found = derive(m)
    assert found.group().name == "SO2 x C2"  # nothing ties the trunk to the world
    assert verify(m, found, states=6, steps=(1, 20)).holds
    assert {note.split()[1] for note in found.notes if "switched off" in note} == {"brake", "grasp"}
    assert derive(walker(off.replace('active="false"', 'active="true"'))).order() == 1


def test_a_coefficient_that_is_slightly_off_is_named_once_with_both_values() -> None:
    found = derive(
        walker(
            '<joint name="a" joint1="l" polycoef=".1 1 0 0 0"/><joint name="b" joint1="r" polycoef="-.10005 1 0 0 0"/>'
        )
    )
    assert found.order("kinematic") == 2
    assert found.order() == 1
    (miss,) = found.near_misses
    (difference,) = miss.discrepancies
    assert difference.field == "polycoef"
    assert set(difference.of) == {"a", "b"}
    assert sorted(map(abs, difference.values)) == pytest.approx([0.1, 0.10005])  # type: ignore[arg-type]


def test_two_constraints_do_not_share_one_image() -> None:
    twice = '<joint joint1="l"/><joint joint1="l"/><joint joint1="r"/>'
    assert derive(walker(twice)).order() == 1
    assert derive(walker(twice + '<joint joint1="r"/>')).order() == 2


def test_a_gripper_whose_fingers_are_coupled_by_a_tendon() -> None:
    finger = """<body pos="0 {0} .1"><joint name="{1}" type="slide" axis="0 {2} 0" limited="true" range="0 .04"/>
      <geom type="box" size=".01 .005 .04"/></body>"""
    text = f"""<mujoco><worldbody><body name="hand" pos="0 0 1"><geom type="box" size=".03 .06 .02"/>
      {finger.format(0.05, "left", -1)}{finger.format(-0.05, "right", 1)}</body></worldbody>
      <tendon><fixed name="split"><joint joint="left" coef=".5"/><joint joint="right" coef=".5"/></fixed></tendon>
      <equality><tendon tendon1="split" polycoef=".02 1 0 0 0"/></equality>
      <actuator><position tendon="split" kp="100" ctrllimited="true" ctrlrange="0 .04"/></actuator></mujoco>"""
    m = mujoco.MjModel.from_xml_string(text)
    found = derive(m)
    assert "sagittal mirror" in {s.name for s in found.dynamic}
    assert verify(m, found, states=6, steps=(1, 20)).holds
