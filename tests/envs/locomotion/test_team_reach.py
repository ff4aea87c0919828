"""Team reach: symmetry of the world, exchange of robots and of targets, assignment, reward and success."""

from __future__ import annotations

import itertools

import mujoco
import numpy as np
import pytest

import eqrl
from eqrl import EquivariantPolicy, check_policy
from eqrl.envs.core.simulation import Simulation
from eqrl.envs.forms.single import TaskEnv
from eqrl.envs.locomotion.team_reach import TeamReach, assignment
from eqrl.proof import check_environment
from eqrl.symmetry import random_exchange


def started(n=4, **arguments):
    simulation = Simulation(TeamReach(**arguments), n, 1)
    simulation.seed(range(n))
    simulation.reset()
    return simulation


def placed(robots, targets):
    """One simulation with robots and targets at given places in the plane."""
    simulation = started(1, agents=len(robots))
    task, world = simulation.task, simulation.world
    for root, place in zip(task._roots, robots, strict=True):
        world.data.qpos[0, root : root + 2] = place
    world.variables.targets[0, :, :2] = targets
    simulation.batch.forward(stage=mujoco.mjtStage.mjSTAGE_VEL)
    return simulation


@pytest.mark.parametrize("agents", [1, 3])
def test_the_world_keeps_rotations_and_the_mirror(agents):
    reports = check_environment(TaskEnv(TeamReach, agents=agents), steps=50, episodes=1)
    assert [report.name for report in reports] == ["rotation about gravity", "mirror of all robots"]
    assert all(report.error < 1e-8 for report in reports)


@pytest.mark.parametrize("seed", range(3))
def test_robots_and_targets_may_be_exchanged(seed):
    """Whoever is called the first robot, what they see, do and are paid is the same."""
    one, other = started(agents=3), started(agents=3)
    task, rng = one.task, np.random.default_rng(seed)
    rep, action_rep = one.observation_space.representation, one.action_space.representation
    g = random_exchange(rep, rng=seed)
    robots, targets = (g.h[name].numpy().argmax(axis=1) for name in ("robots", "targets"))
    source, goal = one.world.data, other.world.data
    model = task.model
    for i, image in enumerate(robots):  # robot i of the other simulation is robot ``image`` of the first
        for name, width in (("jnt_qposadr", 15), ("jnt_dofadr", 14)):
            here, there = (int(getattr(model, name)[model.joint(f"robot {k} root").id]) for k in (i, image))
            ours, theirs = (goal.qpos, source.qpos) if name == "jnt_qposadr" else (goal.qvel, source.qvel)
            ours[:, here : here + width] = theirs[:, there : there + width]
    other.world.variables.targets[:] = one.world.variables.targets[:, targets]
    other.batch.forward(stage=mujoco.mjtStage.mjSTAGE_VEL)
    for _ in range(10):
        np.testing.assert_allclose(other.observe(), rep.transform(one.observe(), g), atol=1e-5)
        action = rng.uniform(-1, 1, (4, action_rep.dim))
        outcome, exchanged = one.step(action), other.step(action_rep.transform(action, g))
        np.testing.assert_allclose(exchanged.reward, outcome.reward, atol=1e-7)
        np.testing.assert_array_equal(exchanged.terminated, outcome.terminated)


def test_a_policy_on_tokens_honours_all_of_it():
    from stable_baselines3 import PPO

    env = eqrl.make_vec("eqrl/TeamReach-v0", 4, seed=0, n_threads=1)
    options = {"network": "transformer", "network_kwargs": {"hidden": (16, 16)}}
    model = PPO(EquivariantPolicy, env, n_steps=8, batch_size=32, policy_kwargs=options, device="cpu", seed=0)
    assert "every exchange of 'robots'" in model.policy.describe()
    report = check_policy(model, env)
    assert any("mirror" in name for name in report.errors["action"])
    x, rep = env.reset(), env.observation_space.representation
    g = random_exchange(rep, len(x), rng=1)
    expected = env.action_space.representation.transform(model.predict(x, deterministic=True)[0], g)
    np.testing.assert_allclose(model.predict(rep.transform(x, g), deterministic=True)[0], expected, atol=1e-5)


# ---------------------------------------------------------------------- assignment
def greedy(distances):
    """The closest pair, then the closest of those that are left, by trying all pairs."""
    chosen, robots, targets = {}, set(range(len(distances))), set(range(len(distances)))
    while robots:
        robot, target = min(itertools.product(robots, targets), key=lambda pair: distances[pair])
        chosen[robot] = target
        robots.remove(robot)
        targets.remove(target)
    return [chosen[i] for i in range(len(distances))]


@pytest.mark.parametrize("agents", [1, 2, 3, 5])
def test_assignment_is_greedy(agents):
    offsets = np.random.default_rng(agents).normal(size=(50, agents, agents, 2))
    chosen = assignment(offsets)
    for row, told in zip(offsets, chosen, strict=True):
        assert told.tolist() == greedy(np.linalg.norm(row, axis=-1))


def test_assignment_by_hand():
    """Robots at 0 and 2 and targets at 1.8 and 9: the second robot is the closest to the first target."""
    simulation = placed([(0, 0), (2, 0)], [(1.8, 0), (9, 0)])
    rep = simulation.observation_space.representation
    seen = simulation.observe()[0, rep.slices["target"]].reshape(2, 2)
    np.testing.assert_allclose(seen, [(9, 0), (-0.2, 0)], atol=1e-6)
    lead = simulation.observe()[0, rep.slices["lead"]]
    np.testing.assert_allclose(lead, (5.4 - 1.0, 0), atol=1e-6)


# ---------------------------------------------------------------------- reward and success
def test_reward_by_hand():
    simulation = placed([(0, 0), (4, 0)], [(1, 0), (4, 2)])
    task, world = simulation.task, simulation.world
    world.data.qvel[0, task._dofs[0] : task._dofs[0] + 2] = 2.0, 0.0  # to the first target, and towards the second
    world.data.qvel[0, task._dofs[1] : task._dofs[1] + 2] = 0.0, -1.0  # away from the second
    action = np.zeros((1, 16))
    action[0, :3] = 0.3, 0.4, 2.0  # clipped to 1
    outcome = task.evaluate(world, action)
    assert outcome.rewards["near"][0] == pytest.approx(5 * (np.exp(-1.0) + np.exp(-2.0)))
    assert outcome.rewards["approach"][0] == pytest.approx(0.2 * (1 * 2 + 4 * 2))
    assert outcome.rewards["control"][0] == pytest.approx(-0.2 * np.sqrt(0.09 + 0.16 + 1.0))
    assert outcome.rewards["success"][0] == 0.0
    assert outcome.metrics["distance"][0] == pytest.approx(1.5)


def test_success_takes_a_robot_at_every_target_and_ends_the_episode():
    for places, reached in (([(0.4, 0), (5, 0.45)], 1.0), ([(0.4, 0), (5, 0.55)], 0.5), ([(0, 0.1), (0.1, 0)], 0.5)):
        simulation = placed(places, [(0, 0), (5, 0)])
        outcome = simulation.task.evaluate(simulation.world, np.zeros((1, 16)))
        assert outcome.metrics["reached"].tolist() == [reached]
        for ends in (outcome.success, outcome.terminated):
            assert ends.tolist() == [reached == 1.0]
        assert outcome.rewards["success"].tolist() == [10_000.0 * (reached == 1.0)]


def test_robots_and_targets_start_on_the_disc():
    simulation = started(64, agents=2, arena=2.0)
    task, world = simulation.task, simulation.world
    for places in (task._robots(world), world.variables.targets):
        radius = np.hypot(places[..., 0], places[..., 1])
        assert radius.max() <= 2.0
        assert 0.4 < (radius**2).mean() / 4.0 < 0.6  # uniform by area
