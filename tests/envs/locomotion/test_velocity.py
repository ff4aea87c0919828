"""Velocity: what is felt, drawn and paid, against MuJoCo's own computation and the published formulas."""

from pathlib import Path

import gymnasium
import mujoco
import numpy as np
import pytest
from stable_baselines3 import PPO

import eqrl
from eqrl.envs.core.simulation import Simulation
from eqrl.envs.forms.single import TaskEnv
from eqrl.envs.locomotion.gait_rewards import WEIGHTS
from eqrl.envs.locomotion.velocity import Velocity
from eqrl.envs.robots.mirror_images import images_of_joints
from eqrl.proof import check_environment

HEXAPOD = str(Path(__file__).parents[1] / "robots" / "hexapod.xml")
pytestmark = pytest.mark.filterwarnings("ignore::eqrl.envs.robots.loading.RobotWarning")


def started(n=3, warm_up=5, **arguments):
    simulation = Simulation(Velocity(robot=HEXAPOD, **arguments), n)
    simulation.seed(range(n))
    simulation.reset()
    rng = np.random.default_rng(0)
    for _ in range(warm_up):
        simulation.step(rng.uniform(-1, 1, (n, *simulation.action_space.shape)))
    return simulation, rng


def fields(simulation):
    return simulation.observation_space.representation.split(simulation.observe().astype(np.float64))


def truth(simulation, i):
    """MuJoCo's own data for one simulation."""
    model = simulation.batch.get_model(i)
    data = mujoco.MjData(model)
    data.qpos[:], data.qvel[:] = simulation.world.data.qpos[i], simulation.world.data.qvel[i]
    mujoco.mj_forward(model, data)
    return model, data


def still(simulation):
    return np.zeros((simulation.n, *simulation.action_space.shape))


# ---------------------------------------------------------------------- symmetry
@pytest.mark.parametrize("arguments", [{"push_time": 0.1, "push": 1.0, "command_time": 0.2}, {"contacts": "feet"}])
def test_the_mirror_holds_on_the_physics_with_pushes_friction_and_masses(arguments):
    reports = check_environment(TaskEnv(Velocity, robot=HEXAPOD, **arguments), steps=50, episodes=2)
    assert {report.name for report in reports} == {"rotation about gravity", "sagittal mirror"}
    assert all(report.error < 1e-8 for report in reports)


def test_a_wind_from_the_side_breaks_the_mirror():
    with pytest.raises(eqrl.symmetry.SymmetryError):
        check_environment(TaskEnv(Velocity, robot=HEXAPOD, breaking="wind", breaking_size=0.3), steps=50, episodes=1)


def test_the_mirror_exchanges_left_and_right_and_reverses_what_turns():
    task = Velocity(robot=HEXAPOD)
    (mirror,) = task.group.finite
    rep = task.observation_space.representation
    flipped = rep.split(rep.transform(np.ones(rep.dim), mirror.element))
    np.testing.assert_allclose(flipped["velocity"], (1, -1, 1), atol=1e-12)
    np.testing.assert_allclose(flipped["gravity"], (1, -1, 1), atol=1e-12)
    np.testing.assert_allclose(flipped["spin"], (-1, 1, -1), atol=1e-12)
    np.testing.assert_allclose(flipped["command"], (1, -1), atol=1e-12)
    np.testing.assert_allclose(flipped["turn"], -1, atol=1e-12)
    matrices = {name: np.asarray(matrix) for name, matrix in mirror.h}
    swapped = {"left": "right", "right": "left"}
    for name, image in images_of_joints(task.model, task.limbs).items():
        front, side, part = name.split("_")
        assert image == f"{front}_{swapped[side]}_{part}"
    assert task.symmetry_in_words()[1].startswith("front_left_swing -> front_right_swing, front_left_lift -> ")
    np.testing.assert_array_equal(matrices["servos"], matrices["joints"])  # every joint has a servo, in one order
    np.testing.assert_array_equal(matrices["feet"].sum(axis=0), np.ones(6))
    assert not np.diag(matrices["feet"]).any()


def test_a_regular_policy_cannot_break_it_and_a_perceptron_does():
    env = eqrl.make_vec("eqrl/Velocity-v0", 4, seed=0)
    for network, exact in (("regular", True), ("mlp", False)):
        options = {"network": network, "network_kwargs": {"hidden": [16]}}
        model = PPO(eqrl.EquivariantPolicy, env, policy_kwargs=options, n_steps=8, batch_size=16, n_epochs=1).learn(64)
        report = None
        try:
            report = eqrl.check_policy(model, env, group="full")
        except eqrl.symmetry.SymmetryError:
            assert not exact
        assert (report is not None) == exact


# ---------------------------------------------------------------------- observations
def test_what_is_felt_is_what_mujoco_computes():
    simulation, rng = started()
    parts, task = fields(simulation), simulation.task
    trunk = task.model.body("trunk").id
    for i in range(simulation.n):
        model, data = truth(simulation, i)
        spatial = np.zeros(6)
        mujoco.mj_objectVelocity(model, data, mujoco.mjtObj.mjOBJ_XBODY, trunk, spatial, 1)  # in the trunk's axes
        np.testing.assert_allclose(parts["spin"][i], spatial[:3], atol=1e-5)
        np.testing.assert_allclose(parts["velocity"][i], spatial[3:], atol=1e-5)
        np.testing.assert_allclose(parts["gravity"][i], data.xmat[trunk].reshape(3, 3).T @ (0, 0, -1), atol=1e-6)
        np.testing.assert_allclose(parts["angle"][i], data.qpos[7:] - task.runner.pose[7:], atol=1e-6)
        np.testing.assert_allclose(parts["rate"][i], data.qvel[6:], atol=1e-5)
    action = rng.uniform(-2, 2, (3, *simulation.action_space.shape))
    simulation.step(action)
    np.testing.assert_allclose(fields(simulation)["last"], np.clip(action, -1, 1), atol=1e-6)


def test_actions_are_offsets_from_the_pose_in_which_it_stands():
    simulation, _ = started(warm_up=0, action_scale=0.3)
    model, pose = simulation.task.model, simulation.task.runner.pose
    action = still(simulation)
    action[:, 4] = 1.0
    simulation.control(action)
    expected = pose[7:].copy()
    expected[4] += 0.3
    np.testing.assert_allclose(simulation.world.data.ctrl, np.tile(expected, (3, 1)), atol=1e-12)
    assert model.nu == 18


# ---------------------------------------------------------------------- what is drawn
def test_commands_change_and_pushes_come_when_they_are_due():
    simulation, _ = started(warm_up=0, command_time=0.1, push_time=0.06, push=2.0, standing=0.0)
    variables, shown = simulation.world.variables, []
    for _ in range(20):
        shown.append(fields(simulation)["command"][0].copy())
        before = simulation.world.bodies.trunk.velocity.copy()
        steps = int(variables.steps[0])
        simulation.control(still(simulation))
        gained = simulation.world.bodies.trunk.velocity - before
        due = steps > 0 and steps % 3 == 0
        expected = variables.pushes.reshape(3, 4, 2)[:, steps // 3 % 4] if due else np.zeros((3, 2))
        np.testing.assert_allclose(gained[:, :2], expected, atol=1e-12)
        assert not gained[:, 2].any()
        simulation.advance()
        simulation.outcome(still(simulation))
    commands = variables.commands.reshape(3, 4, 2)[0]
    np.testing.assert_allclose(shown, np.repeat(commands, 5, axis=0), atol=1e-6)
    assert len(np.unique(commands, axis=0)) == 4


def test_distributions_are_their_own_mirror_images_unless_a_sector_is_asked_for():
    env = eqrl.make_vec("eqrl/Velocity-v0", 400, seed=0)
    env.reset()
    variables = env.unwrapped.simulation.world.variables
    for values in (variables.commands.reshape(-1, 2)[:, 1], variables.turns, variables.pushes.reshape(-1, 2)[:, 1]):
        assert abs((values > 0).sum() - (values < 0).sum()) < 4 * np.sqrt(1600)
    assert np.hypot(*variables.commands.reshape(-1, 2).T).max() <= 1.0
    stands = ~variables.commands.reshape(-1, 2).any(axis=1)
    assert 0.05 < stands.mean() < 0.15
    assert not variables.turns.ravel()[stands].any()
    to_the_left = gymnasium.make("eqrl/Velocity-v0", command_sector=(10, 170), standing=0.0).unwrapped
    to_the_left.reset(seed=0)
    assert (to_the_left.simulation.world.variables.commands.reshape(-1, 2)[:, 1] > 0).all()


def test_each_simulation_has_the_friction_and_mass_that_were_drawn_for_it():
    simulation, _ = started(friction=(0.2, 0.9), mass=(1.1, 1.5))
    task, variables = simulation.task, simulation.world.variables
    trunk = task.model.body("trunk").id

    def check():
        for i in range(simulation.n):
            model = simulation.batch.get_model(i)
            np.testing.assert_allclose(
                model.geom_friction[:, 0], variables.friction[i] * task.model.geom_friction[:, 0]
            )
            np.testing.assert_allclose(model.geom_friction[:, 1:], task.model.geom_friction[:, 1:])
            assert model.body_mass[trunk] == pytest.approx(variables.mass[i] * task.model.body_mass[trunk])
            added = (variables.mass[i] - 1.0) * task.model.body_mass[trunk]
            assert model.body_subtreemass[trunk] == pytest.approx(task.model.body_subtreemass[trunk] + added)

    assert len(set(variables.friction)) == len(set(variables.mass)) == 3
    check()
    saved, state = simulation.state_dict(), simulation.get_state()
    expected = [simulation.step(still(simulation)).reward for _ in range(5)]
    simulation.reset()
    check()
    simulation.load_state_dict(saved)
    check()
    np.testing.assert_array_equal([simulation.step(still(simulation)).reward for _ in range(5)], expected)
    simulation.reset()
    simulation.set_state(state)
    check()


# ---------------------------------------------------------------------- rewards and ends
def test_rewards_are_the_published_ones():
    simulation, rng = started(n=2, warm_up=1, push_time=0.0)
    task, world = simulation.task, simulation.world
    dt, last, before = task.dt, world.variables.action.copy(), world.variables.rate.copy()
    for _ in range(25):
        command, turn = task._command(world)
        command, turn = command.copy(), turn.copy()
        action = rng.uniform(-1.2, 1.2, (2, 18))
        outcome = simulation.step(action)
        clipped, rate = np.clip(action, -1, 1), world.data.qvel[:, 6:].copy()
        for i in range(2):
            model, data = truth(simulation, i)
            spatial = np.zeros(6)
            mujoco.mj_objectVelocity(model, data, mujoco.mjtObj.mjOBJ_XBODY, 1, spatial, 1)
            spin, velocity = spatial[:3], spatial[3:]
            down = data.xmat[1].reshape(3, 3).T @ (0, 0, -1)
            torque = world.data.actuator_force[i] / 9.0
            expected = {
                "linear": np.exp(-((velocity[:2] - command[i]) ** 2).sum() / 0.25),
                "yaw": 0.5 * np.exp(-((spin[2] - turn[i]) ** 2) / 0.25),
                "vertical": -2.0 * velocity[2] ** 2,
                "tilting": -0.05 * (spin[:2] ** 2).sum(),
                "orientation": -1.0 * (down[:2] ** 2).sum(),
                "torque": -0.1 * (torque**2).sum(),
                "acceleration": -2.5e-7 * (((rate[i] - before[i]) / dt) ** 2).sum(),
                "change": -0.01 * ((clipped[i] - last[i]) ** 2).sum(),
            }
            for name, value in expected.items():
                assert outcome.rewards[name][i] == pytest.approx(dt * value, abs=1e-9), name
            assert outcome.reward[i] >= -1e-12 - outcome.terminated[i]
            assert outcome.rewards["fall"][i] == -float(outcome.terminated[i])
        last, before = clipped, rate
    assert set(outcome.rewards) == {*WEIGHTS, "floor"}


def test_a_foot_is_paid_when_it_lands_for_the_time_that_it_was_in_the_air():
    simulation, _ = started(n=1, warm_up=0, push_time=0.0, standing=0.0, stride=0.1)
    world, task, dt = simulation.world, simulation.task, simulation.task.dt
    world.data.qpos[:, 2] += 0.12
    world.variables.touched = 0.0
    simulation.set_state(simulation.get_state())
    in_air, landed, paid = np.zeros(6), np.zeros(6, dtype=bool), 0.0
    command, _ = task._command(world)
    assert np.hypot(*command[0]) > 0.1
    for _ in range(30):
        outcome = simulation.step(still(simulation))
        touching = task.senses.touches(world)[0]
        first = touching & ~landed & (in_air > 0)
        expected = ((in_air + dt - 0.1) * first).sum() * dt
        assert outcome.rewards["air"][0] == pytest.approx(expected, abs=1e-9)
        in_air, landed = np.where(touching | landed, 0.0, in_air + dt), landed | touching
        paid += outcome.rewards["air"][0]
        if landed.all():
            break
    assert landed.all()
    assert paid > 0.0


def test_an_episode_succeeds_by_its_mean_errors_from_two_seconds_on():
    simulation, _ = started(n=2, warm_up=0, standing=1.0, push_time=0.0, yaw_tolerance=0.5)
    for k in range(1, 105):
        outcome = simulation.step(still(simulation))
        if k < 100:
            assert not outcome.success.any()
    assert outcome.success.all()
    assert (outcome.metrics["linear_error"] < 0.25).all()
    simulation.world.variables.linear_error[0] = 1e3
    assert simulation.step(still(simulation)).success.tolist() == [False, True]
    data = simulation.world.data
    data.qpos[1, 3:7] = np.cos(1.0), np.sin(1.0), 0.0, 0.0
    simulation.set_state(simulation.get_state())
    outcome = simulation.step(still(simulation))
    assert outcome.terminated.tolist() == [False, True]
    assert not outcome.success.any()


def test_asymmetry_tells_a_limp():
    simulation, _ = started(n=1, warm_up=0)
    names = simulation.task.senses._soles
    stood = simulation.world.variables.stood
    stood[0] = 40.0
    assert simulation.task._asymmetry(simulation.world)[0] == 0.0
    stood[0, names.index("front_left_tibia")] = 20.0
    assert simulation.task._asymmetry(simulation.world)[0] == pytest.approx(2 * 20 / 60 * 2 / 6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weights": {"aire": 1.0}}, "no reward term 'aire'; did you mean 'air'"),
        ({"weights": {"air": "much"}}, "weights\\['air'\\]='much' must be a finite number"),
        ({"weights": 3}, "weights=3 is no table"),
        ({"friction": (1.0, 0.5)}, "friction=.* must be two factors"),
        ({"mass": 2}, "mass=2 must be two factors"),
        ({"symmetrise": 1}, "symmetrise=1 must be True or False"),
        ({"contacts": "toes"}, "'all', 'feet'"),
        ({"robot": "go3"}, "did you mean"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        eqrl.make_vec("eqrl/Velocity-v0", 1, **arguments)
