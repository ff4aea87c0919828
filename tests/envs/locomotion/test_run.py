"""Run: tokens, rewards and ends of episodes against MuJoCo's own computation and 3D-SGRL's rules."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest
import torch
from twins import TWINS, images, mirror_into

from eqrl.envs.core.simulation import Simulation
from eqrl.envs.forms.single import TaskEnv
from eqrl.envs.locomotion.run import Run
from eqrl.envs.robots import sgrl
from eqrl.nn import build
from eqrl.proof import check_environment
from eqrl.symmetry import Generator

FULL = ("hopper_5_full", "walker_7_full", "humanoid_9_full", "cheetah_14_full")


def started(n=3, warm_up=5, **arguments):
    simulation = Simulation(Run(**arguments), n)
    simulation.seed(range(n))
    simulation.reset()
    rng = np.random.default_rng(0)
    for _ in range(warm_up):
        simulation.step(rng.uniform(-1, 1, (n, *simulation.action_space.shape)))
    return simulation, rng


def fields(simulation):
    rep = simulation.observation_space.representation
    x = simulation.observe().astype(np.float64)
    parts = {}
    for field in rep.fields:
        block = x[:, rep.slices[field.name]]
        parts[field.name] = block.reshape(len(x), rep.count(field), -1)
    return parts


def truth(simulation, i):
    """MuJoCo's own data for one simulation."""
    model = simulation.task.model
    data = mujoco.MjData(model)
    data.qpos[:], data.qvel[:] = simulation.world.data.qpos[i], simulation.world.data.qvel[i]
    mujoco.mj_forward(model, data)
    return model, data


def body_velocity(model, data, body):
    velocity = np.zeros(6)
    mujoco.mj_objectVelocity(model, data, mujoco.mjtObj.mjOBJ_XBODY, body, velocity, 0)
    return velocity[3:], velocity[:3]


# ---------------------------------------------------------------------- symmetry
@pytest.mark.parametrize("name", sgrl.NAMES)
def test_every_robot_keeps_its_symmetry(name):
    reports = check_environment(TaskEnv(Run, robot=name), steps=50, episodes=1)
    assert all(report.error < 1e-8 for report in reports)


@pytest.mark.parametrize("arguments", [{"target": "points"}, {"observation_form": "published"}, {"reward": "progress"}])
def test_all_forms_keep_the_symmetry(arguments):
    check_environment(TaskEnv(Run, robot="humanoid_9_full", **arguments), steps=50, episodes=2)


@pytest.mark.parametrize("name", FULL)
def test_full_robots_declare_their_mirror(name):
    assert Run(robot=name).group.has_mirrors
    assert not Run(robot=name, symmetry="rotations").group.has_mirrors


@pytest.mark.parametrize("pair", TWINS)
def test_twins_show_the_mirror_image(pair):
    """A robot without its left leg is the mirror image of one without its right leg, limb by limb."""
    a, b = (Simulation(Run(robot=name), 4) for name in pair)
    rng = np.random.default_rng(0)
    mirror = Generator.of("mirror", np.diag([1.0, -1.0, 1.0])).element
    order = images(b, a)
    for simulation in (a, b):
        simulation.seed(range(4))
        simulation.reset()
    data = a.world.data
    data.qpos[:, 7:] = rng.uniform(-0.3, 0.3, data.qpos[:, 7:].shape)
    data.qvel[:] = rng.normal(size=data.qvel.shape)
    a.batch.forward(stage=mujoco.mjtStage.mjSTAGE_VEL)
    mirror_into(a, b)
    rep = a.observation_space.representation
    expected = rep.transform(a.observe().astype(np.float64), mirror)
    for field in rep.fields:
        ours = expected[:, rep.slices[field.name]].reshape(4, rep.count(field), -1)
        if field.entities is not None:
            ours = ours[:, order]
        if field.role == "parent":
            ours = ours[:, :, order]
        np.testing.assert_allclose(fields(b)[field.name], ours, atol=2e-6, err_msg=field.name)


# ---------------------------------------------------------------------- observations
@pytest.mark.parametrize("name", FULL)
def test_typed_tokens_are_what_mujoco_computes(name):
    simulation, _ = started(robot=name)
    parts, limbs = fields(simulation), simulation.task.limbs
    for i in range(simulation.n):
        model, data = truth(simulation, i)
        for k, body in enumerate(limbs.bodies):
            velocity, spin = body_velocity(model, data, body)
            np.testing.assert_allclose(parts["velocity"][i, k], velocity, atol=1e-4)
            np.testing.assert_allclose(parts["angular_velocity"][i, k], spin, atol=1e-4)
            np.testing.assert_allclose(parts["position"][i, k], data.xpos[body] - data.xpos[1], atol=1e-6)
            for part, where in (("odd", slice(0, 2)), ("even", slice(2, 3))):
                for slot, (joint, sign) in enumerate(zip(limbs.joints[k, where], limbs.signs[k, where], strict=True)):
                    here = parts[f"angle_{part}"][i, k, slot]
                    axis = parts[f"axis_{part}"][i, k, 3 * slot : 3 * slot + 3]
                    if joint < 0:
                        assert here == 0.0
                        assert not axis.any()
                    else:
                        assert here == pytest.approx(sign * data.qpos[model.jnt_qposadr[joint]], abs=1e-6)
                        np.testing.assert_allclose(axis, sign * data.xaxis[joint], atol=1e-6)
        np.testing.assert_allclose(parts["forward"][i, 0], data.xmat[1].reshape(3, 3)[:, 0], atol=1e-6)
        np.testing.assert_allclose(parts["up"][i, 0], data.xmat[1].reshape(3, 3)[:, 2], atol=1e-6)


def test_published_tokens_are_the_41_numbers():
    simulation, _ = started(robot="humanoid_9_full", observation_form="published")
    parts = fields(simulation)
    names = ("position", "gravity", "target", "velocity", "angular_velocity", "axes", "angles", "ranges", "kind")
    assert sum(parts[name].shape[-1] for name in (*names, "height")) == 41
    for i in range(simulation.n):
        model, data = truth(simulation, i)
        for body in range(1, model.nbody):
            k = body - 1
            velocity, spin = body_velocity(model, data, body)
            np.testing.assert_allclose(parts["velocity"][i, k], velocity, atol=1e-4)
            np.testing.assert_allclose(parts["angular_velocity"][i, k], spin, atol=1e-4)
            assert parts["height"][i, k, 0] == pytest.approx(data.xpos[body, 2], abs=1e-6)
            joints = range(model.body_jntadr[body], model.body_jntadr[body] + model.body_jntnum[body])
            for slot, joint in enumerate(joints if body > 1 else ()):
                low, high = model.jnt_range[joint]
                angle = data.qpos[model.jnt_qposadr[joint]]
                expected = ((angle - low) / (high - low), (180 + np.rad2deg(low)) / 360, (180 + np.rad2deg(high)) / 360)
                np.testing.assert_allclose(parts["ranges"][i, k, 3 * slot : 3 * slot + 3], expected, atol=1e-5)
                np.testing.assert_allclose(parts["axes"][i, k, 3 * slot : 3 * slot + 3], data.xaxis[joint], atol=1e-6)
        np.testing.assert_allclose(parts["ranges"][i, 0], 0.5)
        np.testing.assert_allclose(parts["gravity"][i], [[0, 0, -9.81]] * 9, rtol=1e-6)


def test_the_published_form_shows_the_tree_unless_it_is_hidden():
    shown, _ = started(robot="humanoid_9_full", observation_form="published", slots=11)
    hidden, _ = started(robot="humanoid_9_full", observation_form="published", slots=11, morphology="hidden")
    tree = fields(shown)["parent"][0]
    assert tree.shape == (11, 11)
    expected = np.zeros((11, 11))
    for body in range(2, 10):  # limbs stand in the order of bodies, the torso first
        expected[body - 1, shown.task.model.body_parentid[body] - 1] = 1.0
    np.testing.assert_array_equal(tree, expected)
    assert set(fields(shown)) - set(fields(hidden)) == {"parent"}


def test_the_published_transformer_has_its_size_on_the_published_form():
    env = started(robot="humanoid_9_full", observation_form="published")[0]
    spaces = env.observation_space.representation, env.action_space.representation
    actor = build("set", *spaces, positions=True, relations=True)
    # beside 198,144 weights that the published code never uses
    assert sum(p.numel() for p in actor.parameters()) == 4_712_712 - 198_144


@pytest.mark.parametrize("options", [{}, {"torques": ("torque_even", "torque_odd")}])
def test_torques_of_typed_tokens_are_about_their_axes(options):
    simulation, _ = started(robot="humanoid_9_full")
    observation, action = simulation.observation_space.representation, simulation.action_space.representation
    axes = ("axis_even", "axis_odd") if options else ("axis_odd", "axis_even")
    net = build("set", observation, action, hidden=(16,), axes=axes, **options).double()
    x = torch.as_tensor(simulation.observe().astype(np.float64))
    still = x.clone()
    still[:, observation.slices["axis_odd"]] = 0.0
    torques = {name: (net(x)[:, part], net(still)[:, part]) for name, part in action.slices.items()}
    assert torques["torque_odd"][0].any()
    assert not torques["torque_odd"][1].any()
    assert torques["torque_even"][1].any()


def test_more_slots_hold_the_same_robot():
    rng = np.random.default_rng(1)
    tight, wide = (Simulation(Run(robot="humanoid_9_full", slots=slots), 2) for slots in (0, 14))
    for simulation in (tight, wide):
        simulation.seed([3, 4])
        simulation.reset()
    for _ in range(10):
        actions = []
        for simulation in (tight, wide):
            rep = simulation.action_space.representation
            actions.append({f.name: np.zeros((2, rep.count(f), f.width)) for f in rep.fields})
        for name, block in actions[0].items():
            block[...] = rng.uniform(-1, 1, block.shape)
            actions[1][name][:, :9] = block
        outcomes = [
            simulation.step(np.concatenate([b.reshape(2, -1) for b in parts.values()], axis=1))
            for simulation, parts in zip((tight, wide), actions, strict=True)
        ]
        np.testing.assert_allclose(outcomes[0].reward, outcomes[1].reward, atol=1e-12)
    small, large = fields(tight), fields(wide)
    for name, block in large.items():
        if block.shape[1] == 14:
            where = small[name]
            np.testing.assert_array_equal(block[:, :9, : where.shape[-1]], where)
            assert not block[:, 9:].any()
    with pytest.raises(ValueError, match="slots=5 is too few for the 9 limbs of 'humanoid_9_full'"):
        Run(robot="humanoid_9_full", slots=5)


# ---------------------------------------------------------------------- rewards and ends
@pytest.mark.parametrize("name", FULL)
def test_rewards_are_the_published_ones(name):
    simulation, rng = started(n=2, warm_up=0, robot=name)
    model = simulation.task.model
    for _ in range(20):
        before = simulation.world.data.qpos.copy()
        action = rng.uniform(-1.5, 1.5, (2, *simulation.action_space.shape))
        outcome = simulation.step(action)
        after, target = simulation.world.data.qpos, simulation.world.variables.target
        for i in range(2):
            step = (after[i, :2] - before[i, :2]) / (4 * model.opt.timestep)
            nose = np.zeros(3)
            mujoco.mju_rotVecQuat(nose, [1.0, 0, 0], before[i, 3:7])
            expected = step @ target[i, :2] - 1e-3 * (np.clip(action[i], -1, 1) ** 2).sum()
            expected += step @ nose[:2] / np.hypot(*nose[:2]) if name != "hopper_5_full" else 0.0
            expected += 0.0 if name == "cheetah_14_full" else 1.0
            assert outcome.reward[i] == pytest.approx(expected, abs=1e-9)
        if outcome.terminated.any():
            break


def test_progress_pays_for_nothing_but_what_was_asked():
    published, progress = (started(n=4, robot="humanoid_9_full", reward=r)[0] for r in ("published", "progress"))
    action = np.zeros((4, *published.action_space.shape))
    a, b = published.step(action), progress.step(action)
    np.testing.assert_array_equal(a.rewards["progress"], b.rewards["progress"])
    assert a.rewards["heading"].any()
    assert not b.rewards["heading"].any()


ENDS = [  # robot, height of the torso, roll, whether the episode ends
    ("hopper_5_full", 0.96, 0.0, False), ("hopper_5_full", 0.94, 0.0, True),
    ("hopper_4_lower_shin", 0.61, 0.0, False), ("hopper_4_lower_shin", 0.59, 0.0, True),
    ("hopper_3_shin", 0.46, 0.0, False), ("hopper_3_shin", 0.44, 0.0, True),
    ("hopper_5_full", 1.25, 0.99, False), ("hopper_5_full", 1.25, 1.01, True),
    ("walker_7_full", 0.81, 0.0, False), ("walker_7_full", 0.79, 0.0, True), ("walker_7_full", 2.01, 0.0, True),
    ("walker_7_full", 1.6, 0.99, False), ("walker_7_full", 1.6, 1.01, True),
    ("walker_2_right_leg_left_knee", 0.55, 0.0, False), ("walker_2_right_leg_left_knee", 0.53, 0.0, True),
    ("walker_2_right_leg_left_knee", 1.75, 0.0, True), ("walker_5_left_knee", 0.67, 0.0, False),
    ("walker_5_left_knee", 1.9, 0.0, False), ("walker_4_right_knee_left_foot", 1.9, 0.0, True),
    ("humanoid_9_full", 0.84, 0.0, False), ("humanoid_9_full", 0.83, 0.0, True), ("humanoid_9_full", 1.84, 0.0, True),
    ("humanoid_9_full", 1.3, 1.01, True),
    ("cheetah_14_full", 0.5, 1.34, False), ("cheetah_14_full", 0.5, 1.36, True), ("cheetah_14_full", 0.25, 0.0, True),
]  # fmt: skip


@pytest.mark.parametrize(("name", "height", "roll", "ends"), ENDS)
def test_episodes_end_as_published(name, height, roll, ends):
    simulation, _ = started(n=1, warm_up=0, robot=name)
    task, data = simulation.task, simulation.world.data
    data.qpos[0] = task.model.qpos0
    data.qpos[0, 2] = height
    data.qpos[0, 3:7] = [np.cos(roll / 2), np.sin(roll / 2), 0, 0]
    data.qvel[0] = 1.0  # not idle
    simulation.batch.forward(stage=mujoco.mjtStage.mjSTAGE_VEL)
    assert task.rules.fallen(simulation.world, task.limbs).tolist() == [ends]


def test_an_idle_cheetah_ends():
    simulation, _ = started(n=1, warm_up=0, robot="cheetah_14_full")
    task, data = simulation.task, simulation.world.data
    data.qvel[0] = 0.1
    assert task.rules.fallen(simulation.world, task.limbs).tolist() == [True]


# ---------------------------------------------------------------------- targets
def test_points_are_drawn_anew_where_they_are_reached():
    simulation, _ = started(n=2, warm_up=0, robot="humanoid_9_full", target="points")
    first = simulation.world.variables.target.copy()
    distance = np.hypot(*(first - simulation.world.data.qpos[:, :3])[:, :2].T)
    assert ((distance >= 9.9) & (distance <= 20.1)).all()
    simulation.world.variables.target[0] = simulation.world.data.qpos[0, :3] + (0.5, 0.0, 0.0)
    outcome = simulation.step(np.zeros((2, *simulation.action_space.shape)))
    assert outcome.success.tolist() == [True, False]
    assert outcome.metrics["targets_reached"].tolist() == [1.0, 0.0]
    again = simulation.world.variables.target
    away = again[0, :2] - simulation.world.data.qpos[0, :2]
    assert 9.9 < np.hypot(*away) < 20.1
    np.testing.assert_array_equal(again[1], first[1])


def test_share_tells_a_detour():
    simulation, _ = started(n=1, warm_up=0, robot="cheetah_14_full")
    variables, data = simulation.world.variables, simulation.world.data
    variables.target[0] = (1.0, 0.0, 0.0)
    action = np.zeros((1, *simulation.action_space.shape))
    for step in ((3.0, 0.0), (0.0, 4.0), (5.0, 0.0), (-2.0, 0.0)):
        variables.position[0] = data.qpos[0, :3]
        data.qpos[0, :2] += step
        outcome = simulation.task.evaluate(simulation.world, action)
    assert outcome.metrics["share"][0] == pytest.approx(6.0 / 14.0)
    assert outcome.metrics["distance_gained"][0] == pytest.approx(6.0)


@pytest.mark.parametrize("target", ["direction", "points"])
def test_targets_lie_in_their_sector_and_turn(target):
    env = TaskEnv(Run, robot="hopper_5_full", target=target, target_sector=(10, 30), heading=(0, 0))
    for seed, turn in ((0, 0.0), (1, 90.0), (2, 200.0)):
        env.reset(seed=seed, options={"goal_rotation": turn})
        world = env.unwrapped.simulation.world
        seen = env.unwrapped.simulation.task._direction(world, world.bodies.torso.position)[0]
        angle = np.rad2deg(np.arctan2(seen[1], seen[0])) - turn
        assert 10 - 1 <= (angle + 180) % 360 - 180 <= 30 + 1
