"""Symmetries derived from models: the ones of Gymnasium, planted ones, and what connects parts."""

from __future__ import annotations

from pathlib import Path

import gymnasium
import mujoco
import numpy as np
import planted_models
import pytest

from eqrl import derive
from eqrl.derivation import Derivation, Symmetry, identity

ASSETS = Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets"


def gymnasium_model(name: str) -> mujoco.MjModel:
    env = gymnasium.make(name)
    model: mujoco.MjModel = env.unwrapped.model  # type: ignore[attr-defined]
    env.close()
    return model


def drift(model: mujoco.MjModel, g: Symmetry, steps: int, seed: int = 0) -> float:
    """Largest difference between a rollout turned by ``g`` and the rollout from the turned state."""
    rng = np.random.default_rng(seed)
    here, there = mujoco.MjData(model), mujoco.MjData(model)
    here.qpos[:] = model.qpos0 + 0.1 * rng.standard_normal(model.nq) * (
        np.arange(model.nq) >= (model.nq - model.nv) * 7
    )
    here.qvel[:] = 0.5 * rng.standard_normal(model.nv)
    mujoco.mj_normalizeQuat(model, here.qpos)
    there.qpos[:], there.qvel[:] = g.qpos(here.qpos), g.qvel(here.qvel, here.qpos)
    worst = 0.0
    for _ in range(steps):
        u = rng.uniform(-1, 1, model.nu)
        here.ctrl[:], there.ctrl[:] = u, g.ctrl(u)
        for data in (here, there):
            data.qacc_warmstart[:] = 0.0
            mujoco.mj_step(model, data)
        gap = np.abs(g.qvel(here.qvel, here.qpos) - there.qvel).max()
        worst = max(worst, float(gap))
    return worst


@pytest.mark.parametrize(
    ("name", "kinematic", "dynamic", "group"),
    [
        ("Ant-v5", 8, 8, "SO2 x D4"),
        ("HalfCheetah-v5", 1, 1, "1"),
        ("Hopper-v5", 1, 1, "1"),
        ("Walker2d-v5", 2, 2, "C2"),
        ("Humanoid-v5", 2, 1, "SO2"),
        ("HumanoidStandup-v5", 1, 1, "SO2"),
        ("Swimmer-v5", 2, 2, "C2"),
        ("Reacher-v5", 2, 2, "C2"),
        ("Pusher-v5", 1, 1, "1"),
        ("InvertedPendulum-v5", 1, 1, "1"),
        ("InvertedDoublePendulum-v5", 2, 1, "1"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*out of date.*:DeprecationWarning")
def test_models_of_gymnasium(name: str, kinematic: int, dynamic: int, group: str) -> None:
    model = gymnasium_model(name)
    found = derive(model)
    assert (found.order("kinematic"), found.order("dynamic"), found.group().name) == (kinematic, dynamic, group)
    for g in found.dynamic:
        assert drift(model, g, 3) < 1e-9, g.name


def test_the_ant_has_the_group_of_its_four_legs() -> None:
    found = derive(gymnasium_model("Ant-v5"))
    assert {g.name for g in found.dynamic} == {"quarter turn about z", "sagittal mirror"}
    turn = next(g for g in found.dynamic if g.name.startswith("quarter"))
    assert turn.compose(turn).compose(turn.compose(turn)).is_identity
    assert not turn.compose(turn).is_identity
    assert found.group().connected == "SO2"
    assert len(found.group().cosets.R) == 8
    assert found.near_misses == ()
    legs = [found.model.body(n).id for n in ("front_left_leg", "front_right_leg", "back_leg", "right_back_leg")]
    assert [turn.bodies[i] for i in legs] == legs[1:] + legs[
        :1
    ]  # welded to the torso, all with their origin in its middle


def test_a_near_miss_names_exactly_what_is_broken() -> None:
    found = derive(gymnasium_model("Humanoid-v5"))
    (miss,) = found.near_misses
    assert miss.name == "sagittal mirror"
    assert {(d.field, *sorted(d.of)) for d in miss.discrepancies} == {
        ("armature", "left_hip_y", "right_hip_y"),
        ("stiffness", "left_knee", "right_knee"),
    }
    assert "right_hip_y armature 0.008 vs left_hip_y 0.01" in str(miss)
    assert drift(found.model, miss.symmetry, 1) > 1e-4


def test_symmetrising_makes_the_near_miss_exact() -> None:
    found = derive(ASSETS / "humanoid.xml")
    spec, changes = found.symmetrise()
    assert any("right_hip_y armature 0.008 -> 0.009" in line for line in changes)
    assert any("knee stiffness" in line for line in changes)
    again = derive(spec)
    assert again.order() == 2
    assert again.near_misses == ()
    assert drift(again.model, again.dynamic[0], 1) < 1e-12
    assert derive(ASSETS / "humanoid.xml").order() == 1  # the original is untouched


@pytest.mark.parametrize("group", list(planted_models.PLANTED))
def test_planted_groups_are_found_in_full_and_never_a_larger_one(group: str) -> None:
    for seed, fixed in ((3, False), (4, True)):
        planted = planted_models.plant(seed, group=group, fixed=fixed)
        found = derive(planted.spec.compile())
        assert found.order("dynamic") == found.order("kinematic") == planted.order
        assert found.near_misses == ()
        for g in found.dynamic:
            assert drift(found.model, g, 3) < 1e-9, g.name


@pytest.mark.parametrize("damage", planted_models.DAMAGES)
def test_damage_to_one_limb_is_named(damage: str) -> None:
    planted = planted_models.plant(11, group="D3", damage=damage)
    assert planted.damaged
    found = derive(planted.spec)
    assert found.order("dynamic") < planted.order
    named = [d for miss in found.near_misses for d in miss.discrepancies if d.field == damage]
    assert any(part.startswith(planted.damaged) for d in named for part in d.of)


CONNECTED = """
<mujoco>
  <option cone="elliptic" tolerance="1e-12"/>
  <worldbody>
    <geom type="plane" size="0 0 1"/>
    <body name="torso" pos="0 0 0.6">
      <freejoint/>
      <geom type="box" size="0.2 0.1 0.05"/>
      <site name="imu" pos="0.05 0 0.02" euler="0 0 20"/>
      <body name="left" pos="0 0.1 0">
        <joint name="left_roll" axis="1 0 0" range="-20 40"/>
        <geom type="capsule" fromto="0 0 0 0.05 0.2 -0.1" size="0.03"/>
        <site name="left_foot" pos="0.05 0.2 -0.1"/>
        <body name="left_tip" pos="0.05 0.2 -0.1">
          <joint name="left_tip" axis="0 1 0" range="-30 30"/>
          <geom type="box" size="0.05 0.02 0.01"/>
        </body>
      </body>
      <body name="right" pos="0 -0.1 0">
        <joint name="right_roll" axis="1 0 0" range="-40 20"/>
        <geom type="capsule" fromto="0 0 0 0.05 -0.2 -0.1" size="0.03"/>
        <site name="right_foot" pos="0.05 -0.2 -0.1"/>
        <body name="right_tip" pos="0.05 -0.2 -0.1">
          <joint name="right_tip" axis="0 -1 0" range="-30 30"/>
          <geom type="box" size="0.05 0.02 0.01"/>
        </body>
      </body>
      <body name="head" pos="0.2 0 0.05"><joint name="neck" type="ball"/>
        <geom type="ellipsoid" size="0.06 0.04 0.05"/></body>
    </body>
  </worldbody>
  <contact><exclude body1="torso" body2="left"/><exclude body1="torso" body2="right"/></contact>
  <tendon>
    <fixed name="spread"><joint joint="left_roll" coef="1"/><joint joint="right_roll" coef="-1"/></fixed>
    <spatial name="line" stiffness="3"><site site="left_foot"/><site site="imu"/><site site="right_foot"/></spatial>
  </tendon>
  <actuator>
    <position name="left_roll" joint="left_roll" kp="5" ctrlrange="-0.3 0.7"/>
    <position name="right_roll" joint="right_roll" kp="5" ctrlrange="-0.7 0.3"/>
    <motor name="spread" tendon="spread" gear="2"/>
    <general name="left_tip" joint="left_tip" dyntype="filter" dynprm="0.05"/>
    <general name="right_tip" joint="right_tip" dyntype="filter" dynprm="0.05"/>
  </actuator>
  <sensor>
    <jointpos name="l" joint="left_roll"/><jointpos name="r" joint="right_roll"/>
    <gyro name="gyro" site="imu"/><accelerometer name="acc" site="imu"/>
    <framepos name="where" objtype="site" objname="left_foot"/>
      <framepos name="where2" objtype="site" objname="right_foot"/>
    <subtreeangmom name="spin" body="torso"/><tendonpos name="spread" tendon="spread"/>
  </sensor>
</mujoco>
"""


def connected(text: str = CONNECTED) -> Derivation:
    # the site on the mirror plane is turned in the plane of the mirror's normal, so make it its own image first
    return derive(mujoco.MjSpec.from_string(text.replace('euler="0 0 20"', 'euler="0 20 0"')))


def test_tendons_servos_filters_and_a_ball_joint_follow() -> None:
    found = connected()
    (mirror,) = found.dynamic
    assert mirror.name == "sagittal mirror"
    name = [found.model.actuator(i).name for i in range(found.model.nu)]
    images = {name[i]: (name[j], s) for i, (j, s) in enumerate(zip(mirror.actuators, mirror.ctrl_signs, strict=True))}
    assert images["left_roll"] == ("right_roll", -1.0)
    assert images["spread"] == ("spread", 1.0)
    assert images["left_tip"] == ("right_tip", -1.0)
    assert drift(found.model, mirror, 40) < 1e-8


def test_sensors_whose_readings_do_not_turn_linearly_are_named() -> None:
    assert not any("readings" in note for note in connected().notes)
    found = connected(
        CONNECTED.replace("</sensor>", '<framequat name="pose" objtype="body" objname="torso"/></sensor>')
    )
    assert "readings without a linear map, or without an image: sensors pose" in found.notes


def test_sensor_readings_turn_with_the_state() -> None:
    found = connected()
    for g in (*found.dynamic, found.rotation(0.7), found.dynamic[0].compose(found.rotation(0.7))):
        readings_turn(found.model, g)


def readings_turn(model: mujoco.MjModel, mirror: Symmetry) -> None:
    rng = np.random.default_rng(1)
    here, there = mujoco.MjData(model), mujoco.MjData(model)
    here.qpos[:] = model.qpos0 + 0.05 * rng.standard_normal(model.nq)
    here.qvel[:] = rng.standard_normal(model.nv)
    mujoco.mj_normalizeQuat(model, here.qpos)
    there.qpos[:], there.qvel[:] = mirror.qpos(here.qpos), mirror.qvel(here.qvel, here.qpos)
    for data in (here, there):
        mujoco.mj_forward(model, data)
    np.testing.assert_allclose(mirror.sensordata(here.sensordata), there.sensordata, atol=1e-9)


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ('kp="5" ctrlrange="-0.7 0.3"', 'kp="6" ctrlrange="-0.7 0.3"', "gainprm"),
        ('range="-40 20"', 'range="-40 24"', "range"),
        ('<exclude body1="torso" body2="right"/>', "", "exclude"),
        ('joint="right_roll" coef="-1"', 'joint="right_roll" coef="-0.5"', "tendon"),
        ('<site site="imu"/><site site="right_foot"/></spatial>', '<site site="imu"/></spatial>', "tendon"),
    ],
)
def test_what_connects_parts_can_break_it(old: str, new: str, field: str) -> None:
    assert old in CONNECTED
    found = connected(CONNECTED.replace(old, new))
    assert found.order() == 1
    reported = {d.field for miss in found.near_misses for d in miss.discrepancies}
    assert field in reported or not found.near_misses


def test_like_objects_are_exchanged_and_mirrored_with_the_world() -> None:
    box = '<body name="{0}" pos="{1} 0 0.2"><freejoint/><geom type="box" size="0.1 0.05 0.02"/></body>'
    text = (
        "<mujoco><worldbody><geom type='plane' size='0 0"
        f" 1'/>{box.format('a', 0)}{box.format('b', 1)}</worldbody></mujoco>"
    )
    found = derive(mujoco.MjSpec.from_string(text))
    assert any(g.kind == "exchange" for g in found.dynamic)
    # each box has the four proper symmetries of its shape; they mirror together; and they can be exchanged
    assert found.order() == 4 * 4 * 2 * 2
    for g in found.dynamic:
        assert drift(found.model, g, 30) < 1e-8, g.name


def test_the_world_decides_what_may_be_done_to_it() -> None:
    body = '<body><freejoint/><geom type="box" size="0.1 0.05 0.02"/></body>'

    def world(options: str, statics: str = "") -> str:
        spec = mujoco.MjSpec.from_string(f"<mujoco>{options}<worldbody>{statics}{body}</worldbody></mujoco>")
        return derive(spec).world.connected

    assert world("") == "SO2"
    assert world('<option gravity="0 0 0"/>') == "SO3"
    assert world('<option gravity="0.1 0 -9.81"/>') == "1"
    assert world('<option wind="1 0 0" density="1"/>') == "1"
    assert world("", '<geom type="plane" size="0 0 1"/>') == "SO2"
    assert world("", '<geom type="plane" size="0 0 1" euler="5 0 0"/>') == "1"
    assert world("", '<geom type="box" size="1 1 1" pos="3 0 0"/>') == "1"


def test_no_symmetry_is_an_answer() -> None:
    found = derive(planted_models.plant(5, group="1", fixed=True).spec.compile())
    assert found.order() == found.order("kinematic") == 1
    assert found.group().name == "1"
    assert found.generators() == ()
    assert found.identity.is_identity


def test_group_and_matrices_fit_representations() -> None:
    found = derive(gymnasium_model("Ant-v5"))
    group = found.group()
    for g, (name, element) in zip(found.dynamic, group.generators[1:], strict=True):
        assert name == g.name
        np.testing.assert_array_equal(element.h["joints"].numpy(), g.joint_matrix)
        np.testing.assert_array_equal(element.h["actuators"].numpy(), g.ctrl_matrix)


def test_composition_acts_one_after_the_other() -> None:
    model = gymnasium_model("Ant-v5")
    found = derive(model)
    a, b = found.dynamic
    rng = np.random.default_rng(0)
    q, v, u = rng.standard_normal(model.nq), rng.standard_normal(model.nv), rng.standard_normal(model.nu)
    ab = a.compose(b)
    np.testing.assert_allclose(ab.qvel(v, q), a.qvel(b.qvel(v, q), b.qpos(q)), atol=1e-12)
    np.testing.assert_allclose(np.abs(ab.qpos(q)[3:7]), np.abs(a.qpos(b.qpos(q))[3:7]), atol=1e-12)
    np.testing.assert_allclose(ab.ctrl(u), a.ctrl(b.ctrl(u)))
    assert identity(model).compose(a).joints.tolist() == a.joints.tolist()


def test_bad_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no model file"):
        derive(tmp_path / "nothing.xml")
    broken = tmp_path / "broken.xml"
    broken.write_text("<mujoco><worldbody><body><geom size='-1'/></body></worldbody></mujoco>")
    with pytest.raises(ValueError, match=r"size|geom"):
        derive(broken)
    with pytest.raises(ValueError, match="MJCF file or an MjSpec"):
        derive(gymnasium_model("Humanoid-v5")).symmetrise()
