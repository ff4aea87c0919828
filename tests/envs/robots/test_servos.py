"""Motors become position servos, and asymmetric robots their own mirror images, with the physics that is said."""

import mujoco
import numpy as np
import pytest

from eqrl.envs.robots.derived import group_of
from eqrl.envs.robots.loading import load
from eqrl.envs.robots.servos import Servos

TEXT = """<mujoco model="two legs"><option cone="elliptic"/><worldbody><geom name="floor" type="plane" size="0 0 1"/>
  <body name="trunk" pos="0 0 1"><freejoint/><geom name="trunk" type="box" size="0.1 0.15 0.1"/>
  <body name="left" pos="0 0.1 0"><joint name="left_hip" axis="0 1 0" range="-60 60" armature="{armature}"/>
    <geom name="left_leg" type="capsule" fromto="0 0 0 0 0 -0.4" size="0.04"/>
    <geom name="left_tail" type="capsule" fromto="0 0 0 {tail} 0 0.1" size="0.02" mass="0"/></body>
  <body name="right" pos="0 -0.1 0"><joint name="right_hip" axis="0 1 0" range="-60 60" armature="0.02"/>
    <geom name="right_leg" type="capsule" fromto="0 0 0 0 0 -0.4" size="0.04"/></body>
  </body></worldbody><actuator>{actuators}</actuator>
  <keyframe><key qpos="0 0 1 1 0 0 0 {pose}"/></keyframe></mujoco>"""
MOTORS = """<motor name="a" joint="left_hip" gear="-4" ctrlrange="-2 2"/>
  <motor name="b" joint="right_hip" gear="4" ctrlrange="-2 2"/>"""


def spec(actuators=MOTORS, armature=0.02, pose="0 0", tail=0.05):
    return mujoco.MjSpec.from_string(TEXT.format(actuators=actuators, armature=armature, pose=pose, tail=tail))


def forces(model, servos, targets, q, rate):
    data = mujoco.MjData(model)
    data.qpos[7:], data.qvel[6:] = q, rate
    data.ctrl[:] = servos.controls(np.array(targets))
    mujoco.mj_forward(model, data)
    return data.qfrc_actuator[6:].copy()


def test_motors_become_servos_with_their_largest_torque():
    robot = load(spec(), servos=True)
    model = robot.spec.compile()
    servos = Servos.of(model)
    assert any(
        "2 motors became position servos with their largest torque at 0.4 rad: 20 N m/rad" in r for r in robot.remarks
    )
    for targets, q, rate in (([0.3, -0.2], [0.1, 0.1], [1.0, -2.0]), ([2.0, -2.0], [0.0, 0.0], [0.0, 0.0])):
        expected = np.clip(20.0 * (np.array(targets) - q) - 0.5 * np.array(rate), -8.0, 8.0)
        np.testing.assert_allclose(forces(model, servos, targets, q, rate), expected, atol=1e-9)


def test_servos_stay_as_they_are_and_are_told_where_joints_shall_go():
    kept = """<position name="a" joint="left_hip" kp="20" kv="1" gear="-2"/>
      <general name="b" joint="right_hip" gainprm="10" biastype="affine" biasprm="3 -40 -2"/>"""
    robot = load(spec(kept), servos=True)
    model = robot.spec.compile()
    assert not any("servos" in remark for remark in robot.remarks)
    still = forces(model, Servos.of(model), [0.4, -0.1], [0.4, -0.1], [0.0, 0.0])
    np.testing.assert_allclose(still, 0.0, atol=1e-12)  # a servo at its target does nothing
    assert forces(model, Servos.of(model), [0.4, -0.1], [0.3, -0.2], [0.0, 0.0]).min() > 0


def test_a_symmetry_is_made_exact_if_it_keeps_the_pose():
    assert not group_of(load(spec(armature=0.021)).spec.compile()).has_mirrors
    robot = load(spec(armature=0.021), symmetrise=True, contacts="feet")
    model = robot.spec.compile()
    assert group_of(model).has_mirrors
    assert model.joint("left_hip").damping[0] == model.joint("right_hip").damping[0]
    assert model.dof_armature[6] == model.dof_armature[7] == pytest.approx(0.0205)
    (remark,) = [remark for remark in robot.remarks if "averaged" in remark]
    assert "for an exact" in remark
    bent = load(spec(armature=0.021, pose="0.4 -0.2"), symmetrise=True, contacts="feet")
    assert not any("averaged" in remark for remark in bent.remarks)


def test_nothing_but_feet_touches_the_floor_where_that_is_asked_for():
    robot = load(spec(), contacts="feet")
    model = robot.spec.compile()
    touching = {model.geom(g).name for g in range(model.ngeom) if model.geom_conaffinity[g]}
    assert touching == {"left_leg", "right_leg"}
    assert (model.geom("floor").contype, model.geom("floor").conaffinity) == (1, 0)
    assert "its feet alone touch the floor; 2 other shapes collide with nothing" in robot.remarks


def test_tendons_cannot_hold_a_pose():
    coupled = spec('<motor name="pull" tendon="both" ctrlrange="-1 1"/>')
    tendon = coupled.add_tendon(name="both")
    tendon.wrap_joint("left_hip", 1.0)
    tendon.wrap_joint("right_hip", 1.0)
    with pytest.raises(ValueError, match="actuator pull pulls the tendon of 2 joints"):
        load(coupled, servos=True)
