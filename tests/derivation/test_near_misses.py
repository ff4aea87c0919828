"""What ``derive`` says where a symmetry does not hold: the part, the attribute, and two values that differ."""

from __future__ import annotations

import mujoco
import numpy as np
import planted_slips
import pytest

from eqrl import derive
from eqrl.derivation import Derivation
from eqrl.derivation.discrepancy import written

# position in front and to the left of the middle, as on robots of twelve joints with four legs
CORNERS = {"FL": (1, 1), "FR": (1, -1), "RL": (-1, 1), "RR": (-1, -1)}
LEG = """
<body name="{n}_hip" pos="{x} {y} 0">
  <inertial mass="0.68" pos="{ix} {iy} 0" diaginertia="0.0009 0.0006 0.0005"/>
  <joint name="{n}_hip_joint" axis="1 0 0" range="{low} {high}" damping="0.1" armature="0.01" frictionloss="0.2"/>
  <geom type="mesh" mesh="hip" contype="0" conaffinity="0"/>{hip}
  <body name="{n}_thigh" pos="0 {ty} 0">
    <inertial mass="1.15" pos="-0.004 {my} -0.033" quat="0.99 {q} 0 0" diaginertia="0.006 0.0058 0.0009"/>
    <joint name="{n}_thigh_joint" axis="{axis}" range="-1.6 3.4" damping="0.1" armature="0.01"/>
    <geom type="box" size="0.11 0.012 0.017" pos="0 0 -0.11" quat="0.7071068 0 0.7071068 0"/>{thigh}
    <body name="{n}_calf" pos="0 0 -0.213">
      <inertial mass="0.15" pos="0.005 0 -0.11" diaginertia="0.0011 0.00108 0.00004"/>
      <joint name="{n}_calf_joint" axis="0 1 0" range="-2.7 -0.8" damping="0.1" armature="0.01"/>
      <geom type="cylinder" size="0.012 0.06" pos="0.008 0 -0.06"/>
        <geom name="{n}_foot" type="{foot}" size="0.022 0.022 0.022" pos="0 0 -0.213"/>
      {calf}
    </body>
  </body>
</body>"""
VERTICES = " ".join(f"{x} {y} {z}" for x in (-0.03, 0.03) for y in (-0.03, 0.03) for z in (-0.03, 0.03))


def leg(name: str, **wrong: object) -> str:
    front, left = CORNERS[name]
    low, high = (-0.8, 0.9) if left > 0 else (-0.9, 0.8)
    usual: dict[str, object] = {
        "n": name, "x": 0.19 * front, "y": 0.047 * left, "ix": -0.005 * front, "iy": 0.002 * left, "low": low,
        "high": high, "hip": "",
        "ty": 0.095 * left, "my": -0.02 * left, "q": 0.1 * left, "axis": "0 1 0", "thigh": "", "foot": "sphere",
        "calf": "",
    }  # fmt: skip
    return LEG.format(**{**usual, **wrong})


def quadruped(trunk: str = "", gears: dict[str, float] | None = None, **wrong: dict[str, object]) -> Derivation:
    """A robot of twelve joints with meshes that do not collide and primitives that do; ``FL={...}`` changes one leg."""
    legs = "".join(leg(n, **wrong.get(n, {})) for n in CORNERS)
    motors = "".join(
        f'<motor name="{n}_{j}" joint="{n}_{j}_joint" gear="{(gears or {}).get(f"{n}_{j}", 1)}" ctrlrange="-23 23"/>'
        for n in CORNERS
        for j in ("hip", "thigh", "calf")
    )
    return derive(
        mujoco.MjModel.from_xml_string(
            f"""<mujoco><compiler angle="radian"/><option cone="elliptic"/>
<asset><mesh name="hip" vertex="{VERTICES}"/></asset>
<worldbody><geom name="floor" type="plane" size="0 0 1"/><body name="base" pos="0 0 0.45"><freejoint/>
<inertial mass="6.9" pos="0.02 0 -0.005" diaginertia="0.1 0.09 0.02"/>
  <geom name="box" type="box" size="0.19 0.047 0.057"/>
<geom name="head" type="cylinder" size="0.05 0.045" pos="0.28 0 0.01"/>{trunk}{legs}</body></worldbody>
  <actuator>{motors}</actuator></mujoco>"""
        )
    )


def said(found: Derivation) -> list[str]:
    return [*map(str, found.near_misses), *found.notes]


def test_the_robot_without_a_slip_has_its_mirror() -> None:
    found = quadruped()
    assert found.order() == 2
    assert said(found) == []


GUARD = '<geom name="guard" type="cylinder" size="0.046 0.02" pos="0 0.08 0"/>'
TOE = '<body name="toe" pos="0 0 -0.2"><joint name="toe" axis="0 1 0"/><geom size="0.01" mass="0.01"/></body>'


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"FL": {"hip": GUARD}}, ("geom guard", "FL_hip", "FR_hip", "has no image")),
        ({"RR": {"thigh": '<geom size="0.02" pos="0 0 -0.05"/>'}}, ("RR_thigh geom1", "RL_thigh", "has no image",
        "(0, 0, -0.05)")),
        (
            {"FL": {"thigh": '<geom name="a" size="0.02"/>'},
            "FR": {"thigh": '<geom name="b" size="0.02" pos="0 0 -0.2"/>'}},
            ("a pos (0, 0, 0) vs b (0, 0, -0.2)",),
        ),
        ({"RL": {"foot": "box"}}, ("RL_foot type box vs RR_foot sphere",)),
        ({"FR": {"calf": TOE}}, ("body toe", "FR_calf", "FL_calf", "has no image")),
        ({"FR": {"calf": '<body name="load"><inertial pos="0 0 0" mass="0.2" diaginertia="1e-4 1e-4 1e-4"/></body>'}},
        ("body load",)),
        ({"RL": {"y": 0.06}}, ("RL_hip pos (-0.19, -0.06, 0) vs RR_hip (-0.19, -0.047, 0)",)),
        ({"RL": {"x": -0.29}}, ("RL_hip pos", "RR_hip")),
        ({"FL": {"axis": "1 0 0"}}, ("FL_thigh_joint axis", "FR_thigh_joint")),
        ({"FL": {"axis": "0.1 1 0"}}, ("FR_thigh_joint axis", "FL_thigh_joint (0.0995, 0.995, 0)")),
        ({"RR": {"low": -0.8, "high": 0.9}}, ("RL_hip_joint range (-0.9, 0.8) vs RR_hip_joint (-0.8, 0.9)",)),
        ({"FR": {"q": 0.1}}, ("FL_thigh inertia", "FR_thigh")),
    ],
)  # fmt: skip
def test_a_slip_on_one_leg_is_named(wrong: dict[str, dict[str, object]], words: tuple[str, ...]) -> None:
    found = quadruped(**wrong)
    assert found.order() == 1
    assert any(all(w in line for w in words) for line in said(found)), said(found)


def test_both_hip_pairs_that_were_not_exchanged_are_named() -> None:
    copied = {"low": -0.8, "high": 0.9}
    found = quadruped(FR=copied, RR=copied)
    assert found.order("kinematic") == 1
    (miss,) = found.near_misses
    assert {(d.field, *d.of) for d in miss.discrepancies} == {
        ("range", "FL_hip_joint", "FR_hip_joint"),
        ("range", "RL_hip_joint", "RR_hip_joint"),
    }


def test_what_sits_beside_the_plane_of_a_mirror_is_named() -> None:
    found = quadruped(trunk='<geom name="lidar" size="0.03" pos="0.1 0.04 0.06" mass="0"/>')
    assert found.order() == 1
    assert any("lidar pos" in line for line in said(found))
    assert any("FL_calf" in line and "gear" in line for line in said(quadruped(gears={"FL_calf": 3.0})))


def test_a_leg_that_is_another_one_throughout_does_not_flood() -> None:
    other = (
        '<body name="{0}" pos="0 0.1 {1}"><joint name="{0}" axis="1 0.3 {1}"/><geom size="0.03" pos="0 {1}'
        ' 0"/>{2}</body>'
    )
    chain = ""
    for k in range(8, 0, -1):
        chain = other.format(f"l{k}", -0.02 * k, chain)
    found = quadruped(FL={"calf": chain, "y": 0.3, "axis": "0.5 0.5 1", "foot": "box"})
    assert found.order("kinematic") == 1
    assert len(said(found)) <= 4
    assert all(line.count(";") <= 6 for line in said(found))


@pytest.mark.parametrize("legs", [1, 2, 3])
def test_few_joints_are_enough_for_a_near_miss(legs: int) -> None:
    def side(n: str, s: int) -> str:
        return "".join(
            f"""<body name="{n}{k}" pos="{0.1 * k} {0.1 * s} 0">
  <joint name="{n}{k}" axis="1 0 0" range="{-25 * s - 15} {-25 * s + 15}"/>
            <geom type="capsule" fromto="0 0 0 0 {0.1 * s} -0.2" size="0.02"/></body>"""
            for k in range(legs)
        )

    right = side("r", -1).replace('range="10 40"', 'range="-30 40"', 1)
    assert right != side("r", -1)
    motors = "".join(f'<motor name="{n}{k}" joint="{n}{k}" ctrlrange="-1 1"/>' for n in "lr" for k in range(legs))
    text = f"""<mujoco><worldbody><body name="torso"><freejoint/><geom type="box" size="0.2 0.1 0.05" pos="0.05 0 0"/>
    <geom size="0.05" pos="0.3 0 0"/>{side("l", 1)}{right}</body></worldbody>
    <actuator>{motors}</actuator></mujoco>"""
    found = derive(mujoco.MjModel.from_xml_string(text))
    assert found.order("kinematic") == 1
    assert any("sagittal mirror" in line and "range" in line and "r0" in line for line in said(found)), said(found)


SHAPES = {
    "box longer": ('type="box" size="0.05 0.03 0.1"', 'type="box" size="0.05 0.03 0.104"', "size"),
    "box turned": ('type="box" size="0.05 0.03 0.1"', 'type="box" size="0.05 0.03 0.1" euler="0 0 4"', "quat"),
    "ellipsoid wider": ('type="ellipsoid" size="0.05 0.03 0.1"', 'type="ellipsoid" size="0.05 0.032 0.1"', "size"),
    "cylinder longer": ('type="cylinder" size="0.05 0.1"', 'type="cylinder" size="0.05 0.104"', "size"),
    "capsule tilted": ('type="capsule" size="0.03 0.1"', 'type="capsule" size="0.03 0.1" euler="4 0 0"', "zaxis"),
    "sphere larger": ('size="0.1"', 'size="0.1001"', "size"),
    "by less than is printed": ('size="0.1"', 'size="0.1000002"', "size"),
}


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_about_one_centre_show_what_differs(name: str) -> None:
    left, right, field = SHAPES[name]
    legs = "".join(
        f"""<body name="{n}" pos="0 {0.25 * s} 0"><joint name="{n}" axis="0 1 0"/>
  <inertial pos="0 0 0" mass="1" diaginertia="1 1 1"/>
        <geom name="{n}_shape" {shape} pos="0 0 -0.1"/></body>"""
        for n, s, shape in (("l", 1, left), ("r", -1, right))
    )
    body = f'<body name="torso"><freejoint/><geom size="0.2"/><geom size="0.1" pos="0.2 0 0.1"/>{legs}</body>'
    found = derive(mujoco.MjModel.from_xml_string(f"<mujoco><worldbody>{body}</worldbody></mujoco>"))
    assert found.order() == 1
    (miss,) = found.near_misses
    assert field in {d.field for d in miss.discrepancies}
    for d in miss.discrepancies:
        here, there = written(*d.values)
        assert here != there, str(d)


@pytest.mark.parametrize(
    ("here", "there"), [(1.0, 1.0 + 1e-15), ((0.1, 0.3), (0.1, 0.1 + 0.2)), (1e-9, 1.1e-9), (2.0, 3.0)]
)
def test_numbers_that_differ_are_written_differently(here: float, there: float) -> None:
    assert here != there
    assert len(set(written(here, there))) == 2


def test_what_pushes_or_pulls_has_to_sit_in_the_mirrored_place() -> None:
    def drone(y: float, tilt: float = 0.0) -> Derivation:
        sites = f'<site name="l" pos="0.1 0.2 0"/><site name="r" pos="0.1 {-y} 0"/>'
        motors = f'<motor site="l" gear="0 0 1 0 0 0.1"/><motor name="right" site="r" gear="0 {tilt} 1 0 0 -0.1"/>'
        body = (
            '<body name="frame"><freejoint/><inertial pos="0 0 0" mass="1" diaginertia="0.01 0.02'
            f' 0.03"/>{sites}</body>'
        )
        return derive(
            mujoco.MjModel.from_xml_string(
                f"<mujoco><worldbody>{body}</worldbody><actuator>{motors}</actuator></mujoco>"
            )
        )

    assert drone(0.2).order() == 2
    for wrong in (drone(0.2004), drone(0.203), drone(0.2, tilt=0.01)):
        assert wrong.order() == 1


def test_forces_of_joints_are_limited_as_the_mirror_turns_them() -> None:
    def legs(right: str) -> Derivation:
        each = (("l", 1, "-5 10"), ("r", -1, right))
        bodies = "".join(
            f"""<body pos="0 {0.2 * s} 0"><joint name="{n}" axis="1 0 0" actuatorfrcrange="{r}"/>
            <geom type="capsule" fromto="0 0 0 0 {0.1 * s} -0.2" size="0.02"/></body>"""
            for n, s, r in each
        )
        return derive(
            mujoco.MjModel.from_xml_string(
                f"<mujoco><worldbody><body><freejoint/><geom size='0.1'/>{bodies}</body></worldbody></mujoco>"
            )
        )

    assert legs("-10 5").order() > 1
    assert "actfrcrange" in "".join(said(legs("-5 10")))


@pytest.mark.parametrize("seed", range(len(planted_slips.SLIPS)))
def test_a_slip_of_any_kind_is_named_and_never_accepted(seed: int) -> None:
    made, at, slip = planted_slips.slipped(seed)
    found = derive(made.spec.compile())
    assert planted_slips._named(said(found), slip), (slip, said(found))
    assert not any(planted_slips._moves(found.model, g, at) for g in found.dynamic)
    for d in (d for miss in found.near_misses for d in miss.discrepancies):
        assert d.of[1] == "none" or str(d).count("vs") == 1
        assert not d.text or d.of[1] == "none" or d.field == "type"
        assert d.values[0] != d.values[1]
        np.testing.assert_equal(len(set(written(*d.values))), 2)
