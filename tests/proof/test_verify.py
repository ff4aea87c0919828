"""verify(): what holds passes, what is planted is caught, and the cause is named."""

import copy
from pathlib import Path

import gymnasium
import mujoco
import numpy as np
import planted_wrong_maps
import pytest

from eqrl import check_environment, derive, verify
from eqrl.derivation import Symmetry, identity
from eqrl.proof import NonFiniteRolloutError, Verdicts
from eqrl.proof.resets import reset_difference
from eqrl.proof.states import random_starts
from eqrl.symmetry import SymmetryError

ASSETS = Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets"

TWO_LEGS = """
<mujoco>
  <option timestep="0.002" cone="elliptic" {option}/>
  <worldbody>
    <geom name="floor" type="plane" size="0 0 1"/>
    <body name="torso" pos="0 0 0.6">
      <freejoint name="root"/>
      <geom type="box" size="0.2 0.1 0.05" mass="3"/>
      <body name="left" pos="0.03 0.12 -0.05">
        <joint name="left_roll" axis="1 0 0" range="-30 40" damping="0.5"/>
        <joint name="left_pitch" axis="0 1 0" range="-60 50" damping="0.5" {left}/>
        <geom type="sphere" size="0.06" pos="0.02 0.03 -0.3" mass="0.5" {left_geom}/>
      </body>
      <body name="right" pos="0.03 -0.12 -0.05">
        <joint name="right_roll" axis="-1 0 0" range="-30 40" damping="0.5"/>
        <joint name="right_pitch" axis="0 1 0" range="-60 50" damping="0.5"/>
        <geom type="sphere" size="0.06" pos="0.02 -0.03 -0.3" mass="0.5"/>
      </body>
    </body>
  </worldbody>
  <actuator>
    <motor name="left_roll" joint="left_roll" gear="3" ctrlrange="-1 1"/>
    <motor name="left_pitch" joint="left_pitch" gear="3" ctrlrange="{range}"/>
    <motor name="right_roll" joint="right_roll" gear="3" ctrlrange="-1 1"/>
    <motor name="right_pitch" joint="right_pitch" gear="3" ctrlrange="-1 1"/>
  </actuator>
  <sensor><gyro name="gyro" site="imu"/></sensor>
</mujoco>
""".replace('<freejoint name="root"/>', '<freejoint name="root"/><site name="imu"/>')


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # MuJoCo writes its warnings to a log in the working directory


def two_legs(option="", left="", left_geom="", range="-1 1"):
    return mujoco.MjModel.from_xml_string(TWO_LEGS.format(option=option, left=left, left_geom=left_geom, range=range))


def mirror(model):
    """The mirror y -> -y of TWO_LEGS by hand."""
    pairs = np.array([0, 3, 4, 1, 2])
    bodies = np.array([0, 1, 3, 2])
    E = np.diag([1.0, -1.0, 1.0])
    frame = np.eye(4)
    frame[:3, :3] = E
    return identity(model, "sagittal mirror").map(
        kind=lambda _: "morphology",
        R=lambda _: E,
        bodies=lambda _: bodies,
        joints=lambda _: pairs,
        geoms=lambda _: np.array([0, 1, 3, 2]),
        actuators=lambda _: np.array([2, 3, 0, 1]),
        frames=lambda _: np.tile(frame, (4, 1, 1)),
        # hinge axes are axial: x -> -x, y -> y
        joint_signs=lambda _: np.array([1.0, 1.0, 1.0, 1.0, 1.0]),
        sensor_matrix=lambda _: np.diag([-1.0, 1.0, -1.0]),
    )


def flip(*which):
    def change(values):
        out = values.copy()
        out[list(which)] *= -1.0
        return out

    return change


def swap(a, b):
    def change(values):
        out = values.copy()
        out[[a, b]] = values[[b, a]]
        return out

    return change


def only(model, symmetry, **options) -> tuple:
    verdicts = verify(model, symmetry, **options)
    assert isinstance(verdicts, Verdicts)
    assert len(verdicts) == 1
    return verdicts[0]


def test_a_true_map_holds_to_rounding_with_contacts():
    model = two_legs()
    verdict = only(model, mirror(model))
    assert verdict.holds
    assert max(verdict.error_1, verdict.error_10, verdict.error_50) < 1e-10
    assert verdict.contacts > 0
    assert verdict.cause is None
    assert verdict.field is None


def test_what_is_derived_is_proved_the_world_first():
    verdicts = verify(two_legs())
    assert [v.name for v in verdicts] == ["rotation about gravity", "sagittal mirror"]
    assert [v.kind for v in verdicts] == ["world", "morphology"]
    assert verdicts.holds
    assert verdicts["sagittal mirror"].holds


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"joint_signs": flip(1)}, "wrong sign of joint left_roll"),
        ({"joint_signs": flip(2), "ctrl_signs": flip(1)}, "wrong sign of joint left_pitch"),
        ({"joint_signs": flip(1, 4)}, "wrong sign of joints left_roll, right_pitch"),
        ({"ctrl_signs": flip(3)}, "wrong sign of actuator right_pitch"),
        ({"joints": swap(1, 2)}, "joints left_roll and left_pitch swapped"),
        ({"joints": swap(1, 2), "actuators": swap(0, 1)}, "joints left_roll and left_pitch swapped"),
        ({"actuators": swap(0, 1)}, "actuators left_roll and left_pitch swapped"),
        ({"joint_signs": flip(1, 2, 3, 4), "ctrl_signs": flip(0, 1, 2, 3)}, "axial vector treated as polar"),
        ({"sensor_matrix": lambda m: -m}, "axial vector treated as polar"),
    ],
)
def test_wrong_maps(changes, cause):
    model = two_legs()
    verdict = only(model, mirror(model).map(**changes))
    assert not verdict.holds
    assert verdict.cause.id == cause
    assert verdict.cause.fix


def test_angular_velocity_without_its_determinant():
    class Forgetful(Symmetry):
        def qvel(self, qvel, qpos):
            out = super().qvel(qvel, qpos)
            out[..., 3:6] *= -1.0
            return out

    model = two_legs()
    forgetful = Forgetful(**vars(mirror(model)))
    assert only(model, forgetful).cause.id == "axial vector treated as polar"


@pytest.mark.parametrize(
    ("change", "field", "cause"),
    [
        ({"left": 'armature="0.05"'}, "velocity of joint", "armature of left_pitch"),
        ({"left": 'stiffness="20"'}, "velocity of joint", "stiffness of left_pitch"),
        ({"range": "-0.3 1"}, "velocity of joint", "ctrlrange of left_pitch"),
        ({"left_geom": 'friction="2 0.005 0.0001"'}, "velocity", "friction of"),
    ],
)
def test_attributes_that_differ_are_named(change, field, cause):
    model = two_legs(**change)
    verdict = only(model, mirror(model))
    assert not verdict.holds
    assert field in verdict.field
    assert verdict.cause.id.startswith(cause)
    assert "make equal" in verdict.cause.fix


@pytest.mark.parametrize(
    ("option", "causes"),
    [
        ('gravity="0.3 0 -9.8"', ["tilted gravity"]),
        ('density="1.2" wind="2 0 0"', ["wind"]),
        ('gravity="0.3 0 -9.8" density="1.2" wind="2 0 0"', ["tilted gravity and wind"]),
    ],
)
def test_a_broken_world(option, causes):
    model = two_legs(option)
    assert only(model, derive(two_legs()).rotation(np.deg2rad(37.0)).map(model=lambda _: model)).cause.id in causes


def test_a_pyramidal_cone_breaks_the_rotation_and_not_the_mirror():
    model = two_legs()
    model.opt.cone = mujoco.mjtCone.mjCONE_PYRAMIDAL
    verdicts = verify(model)
    assert not verdicts["rotation about gravity"].holds
    assert verdicts["rotation about gravity"].cause.id == "pyramidal friction cone"
    assert "elliptic" in verdicts["rotation about gravity"].cause.fix
    assert verdicts["sagittal mirror"].holds


def test_the_kinematic_level_ignores_masses_and_sees_signs():
    model = two_legs(left='armature="0.05"')
    assert only(model, mirror(model), level="kinematic").holds
    wrong = only(model, mirror(model).map(joint_signs=flip(1)), level="kinematic")
    assert wrong.cause.id == "wrong sign of joint left_roll"


def test_the_ant_of_gymnasium_by_hand():
    model = mujoco.MjModel.from_xml_path(str(ASSETS / "ant.xml"))
    E = np.eye(4)
    E[1, 1] = -1.0
    joints = {"hip_1": "hip_4", "ankle_1": "ankle_4", "hip_2": "hip_3", "ankle_2": "ankle_3"}
    found = next(
        s
        for s in derive(model).elements()
        if np.allclose(s.R, E[:3, :3]) and np.allclose(s.frames[1, :3, :3], E[:3, :3])
    )
    image = {model.joint(j).name: model.joint(int(found.joints[j])).name for j in range(model.njnt)}
    assert all(image[a] == b and image[b] == a for a, b in joints.items())
    verdict = only(model, found)
    assert verdict.holds
    assert verdict.error_50 < 1e-10


def test_random_states_touch_the_ground_and_stay_finite():
    model = two_legs()
    starts = random_starts(model, 20, np.random.default_rng(0))
    data = mujoco.MjData(model)
    touching = 0
    for q in starts.qpos:
        data.qpos[:] = q
        mujoco.mj_forward(model, data)
        touching += data.ncon > 0
        assert data.contact.dist.min(initial=0.0) > -0.1
    assert touching >= 18


def test_a_diverging_model_is_named():
    model = two_legs()
    model.opt.timestep = 2.0
    model.dof_damping[:] = 0.0
    model.actuator_gear[:, 0] = 1e9
    with pytest.raises(NonFiniteRolloutError, match=r"diverges at step \d+"):
        verify(model, identity(model))


def test_nonsense_is_refused():
    model = two_legs()
    with pytest.raises(ValueError, match="steps"):
        verify(model, steps=())
    with pytest.raises(ValueError, match="states"):
        verify(model, states=0)
    with pytest.raises(TypeError, match="CartPole"):
        verify(gymnasium.make("CartPole-v1"))


def test_a_model_without_symmetry_has_nothing_to_prove():
    model = mujoco.MjModel.from_xml_path(str(ASSETS / "half_cheetah.xml"))
    assert len(verify(model)) == 0
    assert verify(model).holds


# ---------------------------------------------------------------------- environments
def test_reward_and_reset_of_a_gymnasium_environment():
    env = gymnasium.make("Ant-v5")
    env.unwrapped.model.opt.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    verdicts = verify(env, states=8)
    assert verdicts["rotation about gravity"].cause.id == "reward not invariant"
    assert any("reset not invariant" in r for r in verdicts["rotation about gravity"].remarks)
    assert verdicts["sagittal mirror"].holds


def test_bounds_of_actions_that_are_not_kept():
    env = gymnasium.make("Walker2d-v5")
    assert verify(env, states=8).holds
    env.unwrapped.action_space = gymnasium.spaces.Box(
        np.array([-0.5, -1, -1, -1, -1, -1], np.float32), np.ones(6, np.float32)
    )
    assert verify(env, states=8)[0].cause.id == "componentwise clip"


@pytest.mark.parametrize(
    ("kwargs", "cause"),
    [
        ({}, None),
        ({"breaking": "wind", "breaking_size": 0.3}, "wind"),
        ({"breaking": "gravity", "breaking_size": 0.3}, "tilted gravity"),
    ],
)
def test_typed_environments(kwargs, cause):
    verdict = verify(gymnasium.make("eqrl/Push-v0", **kwargs), states=8)["rotation about gravity"]
    assert verdict.holds is (cause is None)
    assert (verdict.cause and verdict.cause.id) == cause


def test_check_environment_names_the_cause():
    env = gymnasium.make("eqrl/AntTarget-v0", breaking="wind", breaking_size=0.3)
    with pytest.raises(SymmetryError, match="cause: wind"):
        check_environment(env, episodes=1)


def test_check_environment_explains_a_wrong_type():
    from dataclasses import replace

    from eqrl.symmetry import Representation, TypedBox

    env = gymnasium.make("eqrl/AntTarget-v0").unwrapped
    rep = env.observation_space.representation
    fields = tuple(replace(f, irreps="1x1o") if f.name == "angular_velocity" else f for f in rep.fields)
    env.observation_space = TypedBox(Representation(fields, rep.entities, rep.group))
    with pytest.raises(SymmetryError, match="axial vector treated as polar; declare field angular_velocity as 1x1e"):
        check_environment(env, episodes=1, steps=5)


def test_a_reset_that_looks_one_way_is_seen():
    rng = np.random.default_rng(0)
    even = rng.normal(size=(400, 3))
    mirrored = np.array([1.0, -1.0, 1.0])
    assert reset_difference(even, lambda x: x * mirrored) is None
    found = reset_difference(even + np.array([0.0, 1.0, 0.0]), lambda x: x * mirrored)
    assert found is not None
    assert found[0] == 1


# ---------------------------------------------------------------------- planted, a few of each kind
def test_planted_slips_are_caught_and_named():
    rng = np.random.default_rng(1)
    total = right = 0
    for group, seed in (("mirror", 1), ("D3", 13)):
        model = planted_wrong_maps.plant(seed, group).spec.compile()
        for p in planted_wrong_maps.plants(group, model, rng, most=1):
            verdict = only(copy.copy(p.check[0]), p.check[1])
            total += 1
            assert not verdict.holds, p.kind
            right += verdict.cause.id in p.expected
    assert total >= 20
    assert right >= 0.9 * total
