"""What the collider leaves open is not held against a symmetry, and what is really different still is."""

import mujoco
import numpy as np
import pytest
from true_symmetries import examine

from eqrl import derive, verify
from eqrl.proof.converged import converged, described_otherwise, with_exact_solver
from tests.support.quadruped import robot_dog

TOUCHING = """
<mujoco><option cone="elliptic" {option}/><worldbody><geom type="plane" size="0 0 1"/>
  <body pos="0 0 .4"><freejoint/><geom {one} pos="0 0 .08"/><geom type="sphere" size=".05" pos=".1 0 0"/>
    <site name="imu"/>
    <body pos=".07 .02 0"><joint axis="{axis}" damping=".4"/><geom {two} pos=".05 0 -.1"/>
      <body pos="0 .01 -.2"><joint axis="{axis}" damping=".4"/><geom {one} pos="0 0 -.02"/></body>
    </body>
  </body>
</worldbody><sensor><accelerometer site="imu"/><force site="imu"/></sensor></mujoco>
"""
SHAPES = {
    "cylinder": 'type="cylinder" size=".05 .09"',
    "box": 'type="box" size=".05 .04 .07"',
    "ellipsoid": 'type="ellipsoid" size=".05 .04 .08"',
    "capsule": 'type="capsule" size=".04 .07"',
}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("one", "two", "axis", "option"),
    [
        ("cylinder", "cylinder", "1 0 0", ""),
        ("cylinder", "ellipsoid", "0 1 0", 'impratio="10"'),
        ("ellipsoid", "box", "1 1 0", 'integrator="implicitfast"'),
        ("capsule", "cylinder", "0 1 1", 'ccd_tolerance="1e-4" ccd_iterations="20"'),
        ("box", "cylinder", "1 0 0", 'solver="PGS"'),
    ],
)
def test_convex_shapes_that_touch_keep_the_rotation(one, two, axis, option):
    model = mujoco.MjModel.from_xml_string(TOUCHING.format(one=SHAPES[one], two=SHAPES[two], axis=axis, option=option))
    derivation = derive(model)
    for seed in range(2):
        verdict = verify(model, derivation, seed=seed, states=12)["rotation about gravity"]
        assert verdict.holds, (verdict.field, verdict.step, verdict.cause)


def sole(corners, mirrored, rng, longer=0.0):
    """Vertices of a prism, in random order; an asymmetric one and its mirror image have no order in common."""
    angle = 2 * np.pi * np.arange(corners) / corners + 0.3
    rim = np.stack([(0.06 + longer) * np.cos(angle) + 0.02, 0.04 * np.sin(angle)], axis=1)
    both = np.concatenate([np.column_stack([rim, np.full(corners, z)]) for z in (-0.02, 0.02)])
    both[:, 1] *= -1.0 if mirrored else 1.0
    return " ".join(f"{x:.17g}" for x in both[rng.permutation(len(both))].ravel())


def on_soles(corners, longer=0.0):
    rng = np.random.default_rng(corners)
    legs = "".join(
        f'<body pos="0 {y} -.1"><joint axis="0 1 0" damping=".2" armature=".01"/>'
        '<geom type="capsule" size=".02" fromto="0 0 0 0 0 -.2" contype="0" conaffinity="0"/>'
        '<body pos="0 0 -.25"><joint axis="0 1 0" damping=".2" range="-30 30" armature=".01"/>'
        f'<geom type="mesh" mesh="{side}" mass=".3"/></body></body>'
        for side, y in (("left", 0.1), ("right", -0.1))
    )
    return mujoco.MjModel.from_xml_string(f"""<mujoco><option cone="elliptic"/>
        <asset><mesh name="left" vertex="{sole(corners, False, rng, longer)}"/>
          <mesh name="right" vertex="{sole(corners, True, rng)}"/></asset>
        <worldbody><geom type="plane" size="0 0 1"/><body pos="0 0 .5"><freejoint/>
          <geom type="box" size=".1 .05 .03" mass="2"/>{legs}
        </body></worldbody></mujoco>""")


@pytest.mark.parametrize("corners", [5, 6, 8])
def test_of_flat_soles_the_points_are_chosen_which_is_remarked(corners):
    model = on_soles(corners)
    verdicts = verify(model)
    assert verdicts.holds
    mirror = verdicts["sagittal mirror"]
    assert mirror.error_50 < 1e-10
    assert any(remark.startswith("collider: with the model's own contact points") for remark in mirror.remarks)
    assert not any(remark.startswith("collider") for remark in verdicts["rotation about gravity"].remarks)


def test_a_sole_that_is_really_longer_is_found():
    model, longer = on_soles(8), on_soles(8, longer=0.003)
    mirror = derive(model).dynamic[0].map(model=lambda _: longer)
    assert not verify(longer, mirror)[0].holds


def test_a_robot_dog_holds_and_says_how_far_it_was_compared():
    verdicts = verify(mujoco.MjModel.from_xml_string(robot_dog()))
    assert [(v.name, v.holds) for v in verdicts] == [("rotation about gravity", True), ("sagittal mirror", True)]
    assert verdicts[0].error_50 < 1e-4
    # folded legs lie on each other along lines
    assert any(remark.startswith("ill-conditioned: ") for v in verdicts for remark in v.remarks)


def test_a_robot_dog_with_one_heavier_calf_does_not_hold():
    model = mujoco.MjModel.from_xml_string(robot_dog())
    mirror = next(s for s in derive(model).dynamic if s.name == "sagittal mirror")
    model.body("RL_calf").mass *= 1.01
    verdict = verify(model, mirror.map(model=lambda _: model))[0]
    assert not verdict.holds
    assert verdict.cause.id == "mass of RL_calf"


@pytest.mark.parametrize("number", [3, 58, 99])
def test_random_robots_whose_symmetry_is_true(number):
    row = examine(number, seeds=1, states=24)
    assert row["derived"] == row["order"]
    assert row["refusals"] == []


ROVER = """
<mujoco><option cone="elliptic" {}/><worldbody><geom type="plane" size="0 0 1"/><body pos="0 0 .2"><freejoint/>
<geom type="box" size=".2 .08 .04"/><geom size=".03" pos=".2 0 .05"/>{}</body></worldbody></mujoco>
"""
WHEEL = (
    '<body pos="{} {} -.05"><joint axis="0 1 0" damping=".1"/><geom type="cylinder" size=".06 .02" zaxis="0 1'
    ' 0"/></body>'
)


@pytest.mark.parametrize("option", ["", 'noslip_iterations="5"', 'solver="PGS" iterations="3"'])
def test_wheels(option):
    wheels = "".join(WHEEL.format(x, y) for x in (0.15, -0.15) for y in (0.12, -0.12))
    verdicts = verify(mujoco.MjModel.from_xml_string(ROVER.format(option, wheels)), states=12)
    assert [(v.name, v.holds) for v in verdicts] == [("rotation about gravity", True), ("sagittal mirror", True)]
    assert any(remark.startswith("solver tolerance") for remark in verdicts[1].remarks) is bool(option)


def test_under_an_upright_cylinder_the_points_are_chosen():
    slides = "".join(f'<joint type="slide" axis="{axis}"/>' for axis in ("1 0 0", "0 1 0", "0 0 1"))
    model = mujoco.MjModel.from_xml_string(
        f"""<mujoco><option cone="elliptic"/><worldbody><geom type="plane" size="0 0 1"/>
        <body pos="0 0 .1">{slides}<joint axis="0 0 1"/><geom type="cylinder" size=".1 .1"/>
        <body pos="0 0 .1"><joint axis="1 0 0"/><geom type="capsule" fromto="0 0 0 0 0 .3" size=".02"/></body></body>
        </worldbody></mujoco>"""
    )
    for verdict in verify(model):
        # whether it turns with the base or not, MuJoCo's three points under the disc do not make a cause
        assert verdict.holds or verdict.cause.id == "ill-conditioned contacts"


def test_a_cylinder_described_otherwise_is_the_same():
    model = mujoco.MjModel.from_xml_string(
        TOUCHING.format(one=SHAPES["cylinder"], two=SHAPES["box"], axis="1 0 0", option="")
    )
    twin = described_otherwise(model, np.random.default_rng(0))
    a, b = mujoco.MjData(model), mujoco.MjData(twin)
    for m, d in ((model, a), (twin, b)):
        d.qpos[7:] = 0.3
        mujoco.mj_forward(m, d)
    upright = [2, 5, 8]
    assert np.allclose(a.geom_xmat[:, upright], b.geom_xmat[:, upright], atol=1e-15)
    assert not np.allclose(a.geom_xmat, b.geom_xmat, atol=0.1)
    assert np.allclose(a.geom_xpos, b.geom_xpos, atol=1e-15)


def test_converged_changes_a_copy_and_never_for_the_worse():
    model = mujoco.MjModel.from_xml_string(
        '<mujoco><option ccd_tolerance="1e-15" noslip_iterations="3" tolerance="1e-15"><flag'
        ' sleep="enable"/></option></mujoco>'
    )
    exact, solved = converged(model), with_exact_solver(model)
    assert (model.opt.noslip_iterations, model.opt.ccd_iterations) == (3, 35)
    assert exact.opt.ccd_tolerance == exact.opt.tolerance == 1e-15
    assert exact.opt.noslip_iterations == solved.opt.noslip_iterations == 0
    assert solved.opt.ccd_iterations == 35
    assert not exact.opt.enableflags & int(mujoco.mjtEnableBit.mjENBL_SLEEP)
    assert exact.opt.disableflags & int(mujoco.mjtDisableBit.mjDSBL_MULTICCD)
