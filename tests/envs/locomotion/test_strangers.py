"""Run with a robot that is not ours: it starts on its feet, obeys, falls, and keeps its symmetry."""

from pathlib import Path

import mujoco
import numpy as np
import pytest

from eqrl.envs.core.simulation import Simulation
from eqrl.envs.forms.single import TaskEnv
from eqrl.envs.locomotion.run import Run
from eqrl.envs.robots.loading import RobotWarning
from eqrl.proof import check_environment

HEXAPOD = Path(__file__).parents[1] / "robots" / "hexapod.xml"
# two legs, each bent and stretched by tendons that add up its joints, as those of dm_control's quadruped
COUPLED = """<mujoco model="coupled"><option cone="elliptic"/><worldbody><geom type="plane" size="9 9 1"/>
  <body name="trunk" pos="0 0 1"><freejoint/><geom type="box" size="0.3 0.1 0.05"/>{legs}</body></worldbody>
  <tendon>{tendons}</tendon><actuator>{motors}</actuator></mujoco>"""


def coupled():
    legs, tendons, motors = "", "", ""
    for side, y in (("left", 0.1), ("right", -0.1)):
        legs += f"""<body name="{side}_thigh" pos="0.05 {y} 0"><joint name="{side}_hip" axis="0 1 0" range="-60 60"/>
          <geom type="capsule" fromto="0 0 0 0 0 -0.3" size="0.04"/><body name="{side}_shin" pos="0 0 -0.3">
          <joint name="{side}_knee" axis="0 1 0" range="-60 60"/>
          <geom type="capsule" fromto="0 0 0 0 0 -0.3" size="0.04"/></body></body>"""
        for what, sign in (("lift", 1), ("bend", -1)):
            tendons += f"""<fixed name="{side}_{what}"><joint joint="{side}_hip" coef="0.5"/>
              <joint joint="{side}_knee" coef="{0.5 * sign}"/></fixed>"""
            motors += f'<motor name="{side}_{what}" tendon="{side}_{what}" gear="40" ctrlrange="-1 1"/>'
    return mujoco.MjSpec.from_string(COUPLED.format(legs=legs, tendons=tendons, motors=motors))


@pytest.fixture(scope="module")
def hexapod():
    with pytest.warns(RobotWarning) as remarks:
        simulation = Simulation(Run(robot=str(HEXAPOD)), 4)
    assert "hexapod.xml: friction cones made elliptic" in str(remarks[0].message)
    assert "a floor added" in str(remarks[1].message)
    simulation.seed(range(4))
    return simulation


@pytest.mark.filterwarnings("ignore::eqrl.envs.robots.loading.RobotWarning")
@pytest.mark.parametrize("robot", [str(HEXAPOD), "quadruped", coupled()], ids=["hexapod", "quadruped", "coupled"])
def test_it_keeps_its_symmetry(robot):
    reports = check_environment(TaskEnv(Run, robot=robot), steps=50, episodes=1)
    assert {"sagittal mirror"} < {report.name for report in reports}
    assert all(report.error < 1e-8 for report in reports)


def test_it_starts_on_its_feet_and_stays_there_while_nothing_is_done(hexapod):
    hexapod.reset()
    pose, data = hexapod.task.runner.pose, hexapod.world.data
    assert np.abs(data.qpos[:, 2] - pose[2]).max() < 0.011
    assert np.abs(data.qpos[:, 7:] - pose[7:]).max() < 0.011
    assert hexapod.task.dt == pytest.approx(0.02)
    idle = np.zeros((4, *hexapod.action_space.shape))
    assert not any(hexapod.step(idle).terminated.any() for _ in range(50))


def test_it_has_fallen_when_it_lies_low_or_on_its_side(hexapod):
    for height, roll, fallen in ((1.0, 0.0, False), (0.45, 0.0, True), (1.0, 1.3, False), (1.0, 1.4, True)):
        hexapod.reset()
        data, pose = hexapod.world.data, hexapod.task.runner.pose
        data.qpos[:], data.qvel[:] = pose, 0.0
        data.qpos[:, 2] = height * pose[2]
        data.qpos[:, 3:7] = np.cos(roll / 2), np.sin(roll / 2), 0.0, 0.0
        hexapod.set_state(hexapod.get_state())
        assert (hexapod.task.rules.fallen(hexapod.world, hexapod.task.limbs) == fallen).all()


def test_actions_move_servos_through_the_whole_range_of_their_joints(hexapod):
    hexapod.reset()
    model, limbs = hexapod.task.model, hexapod.task.limbs
    for action, end in ((-1.0, 0), (1.0, 1)):
        hexapod.control(np.full((4, *hexapod.action_space.shape), action))
        for j, (limb, slot) in limbs.slot_of.items():
            end_here = end if limbs.signs[limb, slot] > 0 else 1 - end
            assert hexapod.world.data.ctrl[0, j - 1] == pytest.approx(model.jnt_range[j, end_here])


@pytest.mark.filterwarnings("ignore::eqrl.envs.robots.loading.RobotWarning")
def test_tendons_obey_the_actions_of_the_joints_that_they_add_up():
    simulation = Simulation(Run(robot=coupled()), 1)
    simulation.seed([0])
    simulation.reset()
    model, task = simulation.task.model, simulation.task
    rng = np.random.default_rng(1)
    action = rng.uniform(-1, 1, (1, *simulation.action_space.shape))
    simulation.control(action)
    pushed = {model.joint(j).name: task.limbs.signs[i, k] * action[0, i] for j, (i, k) in task.limbs.slot_of.items()}
    for side in ("left", "right"):
        hip, knee = pushed[f"{side}_hip"], pushed[f"{side}_knee"]
        controls = [simulation.world.data.ctrl[0, model.actuator(f"{side}_{what}").id] for what in ("lift", "bend")]
        assert controls == pytest.approx([(hip + knee) / 2, (hip - knee) / 2])
