"""The 29 robots of 3D-SGRL: numbers as published, repairs that make mirror images exact."""

import json
from pathlib import Path

import mujoco
import numpy as np
import pytest

from eqrl import derive
from eqrl.envs.robots import sgrl

# what the published models compile to, six digits of each number; limbs of one name are alike in a family
REFERENCE = json.loads((Path(__file__).parent / "sgrl_reference.json").read_text())
INTEGRATORS = {"RK4": mujoco.mjtIntegrator.mjINT_RK4, "Euler": mujoco.mjtIntegrator.mjINT_EULER}
# friction of the limbs, and what decides a contact besides: collides with limbs, condim, margin, first of solimp
SURFACES = {
    "hopper": ((0.9, 0.005, 0.0001), 1, 1, 0.001, (0.8, 0.8, 0.01)),
    "walker": ((0.9, 0.1, 0.1), 0, 3, 0.0, (0.9, 0.95, 0.001)),
    "humanoid": ((0.7, 0.1, 0.1), 0, 3, 0.0, (0.9, 0.95, 0.001)),
    "cheetah": ((0.4, 0.1, 0.1), 0, 3, 0.0, (0.0, 0.8, 0.01)),
}
MIRROR = np.array([1.0, -1.0, 1.0])
ROTATION_MIRROR = np.array([-1.0, 1.0, -1.0])  # of axial vectors


def agree(ours, published, size=None):
    """Six digits of a number, relative to the largest of its vector."""
    scale = np.max(np.abs(published)) if size is None else size
    np.testing.assert_allclose(ours, published, rtol=0, atol=1e-5 * max(float(scale), 1e-3))


def bodies_of(model):
    return [model.body(i).name for i in range(1, model.nbody)]


@pytest.fixture(scope="module")
def published():
    return {name: sgrl.build(name, parity="published").compile() for name in sgrl.NAMES}


@pytest.mark.parametrize("name", sgrl.NAMES)
def test_the_published_form_has_the_published_numbers(name, published):
    model, kin, robot = published[name], sgrl.family(name).name, REFERENCE["robots"][name]
    assert model.opt.timestep == robot["timestep"]
    assert model.opt.integrator == INTEGRATORS[robot["integrator"]]
    assert model.opt.cone == mujoco.mjtCone.mjCONE_PYRAMIDAL
    assert bodies_of(model) == list(robot["limbs"])
    agree(model.body_mass.sum(), robot["mass"])
    for limb, (parent, position) in robot["limbs"].items():
        body, told = model.body(limb), REFERENCE["limbs"][kin][limb]
        assert model.body(body.parentid[0]).name == parent
        agree(body.pos, position, 1.0)
        agree(body.mass[0], told["mass"])
        agree(body.ipos, told["ipos"], 1.0)
        agree(np.sort(body.inertia), np.sort(told["inertia"]))


@pytest.mark.parametrize("name", sgrl.NAMES)
def test_the_published_form_has_the_published_joints_and_motors(name, published):
    model, kin = published[name], sgrl.family(name).name
    hinges = [f"{limb}_joint_{k}" for limb in REFERENCE["robots"][name]["limbs"] if limb != "torso" for k in "xyz"]
    assert [model.joint(j).name for j in range(model.njnt)] == ["root", *hinges]
    assert [model.joint(model.actuator_trnid[u, 0]).name for u in range(model.nu)] == hinges
    assert (model.actuator_ctrlrange == (-1.0, 1.0)).all()
    assert model.actuator_ctrllimited.all()
    assert model.jnt_limited[1:].all()
    for limb in bodies_of(model)[1:]:
        for letter, told in zip("xyz", REFERENCE["limbs"][kin][limb]["joints"], strict=True):
            anchor, axis, degrees, stiffness, damping, armature, gear = told
            joint, dof = model.joint(f"{limb}_joint_{letter}"), model.joint(f"{limb}_joint_{letter}").dofadr[0]
            agree(joint.pos, anchor, 1.0)
            agree(joint.axis, axis)
            agree(np.rad2deg(joint.range), degrees)
            agree(np.ravel(model.jnt_stiffness[joint.id])[0], stiffness)
            agree(np.ravel(model.dof_damping[dof])[0], damping)
            agree(model.dof_armature[dof], armature)
            agree(model.actuator(joint.name).gear[0], gear)
            if kin == "cheetah":
                assert tuple(model.jnt_solimp[joint.id][:3]) == (0.0, 0.8, 0.03)


@pytest.mark.parametrize("name", sgrl.NAMES)
def test_the_published_form_has_the_published_shapes_and_contacts(name, published):
    model, kin = published[name], sgrl.family(name).name
    friction, collides, condim, margin, solimp = SURFACES[kin]
    for limb in bodies_of(model):
        geoms = [model.geom(g) for g in np.flatnonzero(model.geom_bodyid == model.body(limb).id)]
        solid = [g for g in geoms if g.contype[0]]
        told = REFERENCE["limbs"][kin][limb]["geoms"]
        assert len(solid) == len(told)
        for geom, (shape, size, position, axis) in zip(solid, told, strict=True):
            assert geom.type[0] == getattr(mujoco.mjtGeom, f"mjGEOM_{shape.upper()}")
            agree(geom.size, size, 1.0)
            agree(geom.pos, position, 1.0)
            if axis is not None:
                turned = np.zeros(3)
                mujoco.mju_rotVecQuat(turned, np.array([0.0, 0.0, 1.0]), geom.quat)
                agree(np.cross(turned, axis), np.zeros(3), 1.0)
            sliding = 2.0 if (kin, limb) == ("hopper", "foot") else friction[0]
            assert tuple(geom.friction) == (sliding, *friction[1:])
            assert (geom.conaffinity[0], geom.condim[0], geom.margin[0]) == (collides, condim, margin)
            assert tuple(geom.solimp[:3]) == solimp
    floor = model.geom("floor")
    assert (floor.condim[0], floor.margin[0]) == (3, margin)
    assert floor.friction[0] == (1.0 if kin == "hopper" else pytest.approx(0.7 if kin == "walker" else friction[0]))


@pytest.mark.parametrize(
    ("name", "limbs", "motors", "live"),
    [
        ("hopper_3_shin", 3, 6, 6),
        ("hopper_4_lower_shin", 4, 9, 9),
        ("hopper_5_full", 5, 12, 12),
        ("walker_2_right_leg_left_knee", 2, 3, 3),
        ("walker_3_left_leg_right_foot", 3, 6, 4),
        ("walker_4_right_knee_left_foot", 4, 9, 7),
        ("walker_5_foot", 5, 12, 8),
        ("walker_5_left_knee", 5, 12, 9),
        ("walker_7_full", 7, 18, 12),
        ("humanoid_7_left_arm", 7, 18, 11),
        ("humanoid_7_lower_arms", 7, 18, 12),
        ("humanoid_7_right_leg", 7, 18, 10),
        ("humanoid_8_left_knee", 8, 21, 13),
        ("humanoid_9_full", 9, 24, 14),
        ("cheetah_10_tail_leftbleg", 10, 27, 18),
        ("cheetah_14_full", 14, 39, 26),
    ],
)
def test_sizes(name, limbs, motors, live):
    model = sgrl.build(name).compile()
    assert (model.nbody - 1, model.nu, int((model.actuator_gear[:, 0] > 0).sum())) == (limbs, motors, live)
    assert len(sgrl.limbs(name)) == limbs


def test_sets_are_the_published_ones():
    assert {key: len(members) for key, members in sgrl.SETS.items()} == {
        "Hoppers": 3, "Walkers": 6, "Humanoids": 6, "Cheetahs": 8, "WHH": 15, "CWHH": 23,
    }  # fmt: skip
    assert set(sgrl.SETS["CWHH"]) | set(sgrl.UNSEEN) == set(sgrl.NAMES)
    assert not set(sgrl.SETS["CWHH"]) & set(sgrl.UNSEEN)
    assert set(sgrl.NAMES) == set(REFERENCE["robots"])


@pytest.mark.parametrize("name", sgrl.NAMES)
def test_every_robot_starts_alive_and_has_a_kind_for_each_limb(name):
    kin = sgrl.family(name)
    model = sgrl.build(name).compile()
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    low, high = kin.members[name].heights
    measured = [data.body(limb).xpos[2] for limb in kin.measured if limb in bodies_of(model)]
    assert low < min(measured) <= max(measured) < high
    kinds = {limb.name: limb.kind for limb in sgrl.limbs(name)}
    for word in ("torso", "thigh", "shin", "foot", "arm", "tail"):
        assert {limb for limb, kind in kinds.items() if kind == word} == {limb for limb in kinds if word in limb}


def test_what_is_repaired_is_the_cone_and_the_armature_of_the_humanoid():
    for name in sgrl.NAMES:
        model, as_published = sgrl.build(name).compile(), sgrl.build(name, parity="published").compile()
        assert model.opt.cone == mujoco.mjtCone.mjCONE_ELLIPTIC
        differing = [j for j in range(model.nv) if model.dof_armature[j] != as_published.dof_armature[j]]
        joints = {model.joint(model.dof_jntid[j]).name for j in differing}
        assert joints == sgrl.family(name).published_armature.keys() & {model.joint(j).name for j in range(model.njnt)}
        np.testing.assert_array_equal(model.body_mass, as_published.body_mass)


def image(model, other):
    """Where hinges of a model go, and with which sign, in the mirror image that another model is."""
    adr, signs = [], []
    for j in range(1, model.njnt):
        name = model.joint(j).name
        swapped = name.replace("left", "RIGHT").replace("right", "left").replace("RIGHT", "right")
        there = other.joint(swapped)
        adr.append(int(there.dofadr[0]))
        along = float((ROTATION_MIRROR * model.jnt_axis[j]) @ there.axis)
        assert abs(abs(along) - 1.0) < 1e-12
        signs.append(np.sign(along))
    return np.array(adr), np.array(signs)


def mirrored_gap(name, twin, parity, steps=60):
    """How far a robot gets from the mirror image of its twin, in metres and radians, and steps in contact."""
    a, b = (sgrl.build(each, parity=parity).compile() for each in (name, twin))
    here, there = mujoco.MjData(a), mujoco.MjData(b)
    adr, signs = image(a, b)
    rng = np.random.default_rng(3)
    here.qpos[3:7] = rng.standard_normal(4) * 0.05 + (1.0, 0.0, 0.0, 0.0)
    here.qpos[3:7] /= np.linalg.norm(here.qpos[3:7])
    here.qpos[2] -= 0.1  # the feet are close above the floor
    here.qvel[:] = 0.1 * rng.standard_normal(a.nv)
    there.qpos[:7] = [*MIRROR * here.qpos[:3], here.qpos[3], *ROTATION_MIRROR * here.qpos[4:7]]
    there.qvel[:6] = [*MIRROR * here.qvel[:3], *ROTATION_MIRROR * here.qvel[3:6]]
    there.qpos[1 + adr], there.qvel[adr] = signs * here.qpos[7:], signs * here.qvel[6:]
    worst, touched = 0.0, 0
    for _ in range(steps):
        here.ctrl[:] = rng.uniform(-1, 1, a.nu)
        there.ctrl[adr - 6] = signs * here.ctrl
        for model, data in ((a, here), (b, there)):
            mujoco.mj_step(model, data, sgrl.FRAME_SKIP)
        touched += bool(here.ncon) and here.ncon == there.ncon
        gaps = (there.qpos[:3] - MIRROR * here.qpos[:3], there.qpos[1 + adr] - signs * here.qpos[7:])
        worst = max(worst, *(float(np.abs(gap).max()) for gap in gaps))
    return worst, touched


@pytest.mark.parametrize(
    ("unseen", "seen"),
    [("humanoid_7_left_leg", "humanoid_7_right_leg"), ("humanoid_8_right_knee", "humanoid_8_left_knee")],
)
def test_held_out_humanoids_are_mirror_images_of_training_robots_once_repaired(unseen, seen):
    gap, touched = mirrored_gap(unseen, seen, "repaired")
    assert touched > 5
    assert gap < 1e-12
    gap, _ = mirrored_gap(unseen, seen, "published")
    assert gap > 1e-4


@pytest.mark.parametrize(
    "name",
    ["hopper_3_shin", "hopper_4_lower_shin", "hopper_5_full", "walker_7_full", "cheetah_14_full", "humanoid_9_full"],
)
def test_the_sagittal_mirror_is_derived(name):
    found = derive(sgrl.build(name).compile())
    assert found.group().name == "SO2 x C2"
    (mirror,) = found.generators()
    signs = {found.model.joint(j).name: mirror.joint_signs[j] for j in range(1, found.model.njnt)}
    images = {found.model.joint(j).name: found.model.joint(mirror.joints[j]).name for j in range(1, found.model.njnt)}
    for limb in sgrl.limbs(name)[1:]:
        for letter, hinge in limb.hinges.items():
            joint = sgrl.joint_name(limb, letter)
            turns = hinge.reversed_by_mirror or (limb.side == 0 and letter in "xz")
            assert signs[joint] == (-1.0 if turns else 1.0), joint
            assert (images[joint] == joint) == (limb.side == 0)


def test_the_published_humanoid_has_no_mirror_and_is_told_why():
    found = derive(sgrl.build("humanoid_9_full", parity="published").compile())
    assert found.group().name == "SO2"
    (miss,) = [m for m in found.near_misses if "sagittal" in str(m)]
    assert "right_thigh_joint_y armature 0.008" in str(miss)
    assert "left_upper_arm_joint_z 0.0028" in str(miss)


def test_training_may_use_another_integrator():
    model = sgrl.build("humanoid_9_full", integrator="implicitfast").compile()
    assert model.opt.integrator == mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    assert model.opt.timestep == 0.002


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("humanoid_9_ful", {}, "did you mean 'humanoid_9_full'"),
        ("humanoid_9_full", {"parity": "exact"}, "parity: expected 'repaired' or 'published', got 'exact'"),
        ("humanoid_9_full", {"integrator": "RK4"}, "integrator: expected 'published' or 'implicitfast', got 'RK4'"),
    ],
)
def test_bad_arguments(name, options, message):
    with pytest.raises(ValueError, match=message):
        sgrl.build(name, **options)
