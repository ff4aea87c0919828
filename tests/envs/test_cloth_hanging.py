"""Cloth hanging: what is linked, what pays, a cloth on its hanger that turns and mirrors, and one that diverges."""

import gymnasium
import mujoco
import numpy as np
import pytest
from goal_rewards import play_and_compare

import eqrl
from eqrl.envs.core.divergence import DivergenceError
from eqrl.envs.core.simulation import Simulation
from eqrl.envs.manipulation.cloth_hanging import ClothHanging
from eqrl.envs.scenes.cloth import Cloth, crossings, piercings, ring_normal
from eqrl.symmetry import about_gravity, representation_of

ANGLES = np.linspace(0.0, 2 * np.pi, 8, endpoint=False)
RING = np.stack([np.cos(ANGLES), np.sin(ANGLES), np.zeros(8)], axis=-1)


def test_crossings_have_a_sense_and_end_with_the_segment():
    up, down = np.array([0.1, 0.2, 1.0]), np.array([0.1, 0.2, -1.0])
    assert crossings(RING, down, up) == 1
    assert crossings(RING, up, down) == -1
    assert crossings(RING[::-1], down, up) == -1
    assert crossings(RING, up, 0.5 * up) == 0
    assert crossings(RING + np.array([1.2, 0.0, 0.0]), down, up) == 0
    np.testing.assert_allclose(ring_normal(RING), [0.0, 0.0, 1.0], atol=1e-12)


def test_crossings_of_random_rings_are_those_of_their_triangles():
    rng = np.random.default_rng(0)
    rings, first, second = rng.standard_normal((400, 8, 3)), *rng.standard_normal((2, 400, 3))
    numbers = crossings(rings, first, second)
    assert len(set(numbers.tolist())) > 2
    for ring, p, q, number in zip(rings, first, second, numbers, strict=True):
        a, b = ring - ring.mean(0), np.roll(ring, -1, axis=0) - ring.mean(0)
        expected = 0.0
        for one, other in zip(a, b, strict=True):
            u, v, t = np.linalg.solve(np.stack([one, other, p - q], axis=1), p - ring.mean(0))
            inside = u >= 0 and v >= 0 and u + v <= 1 and 0 <= t <= 1
            expected += inside * np.sign(np.cross(one, other) @ (q - p))
        assert number == expected


def test_a_segment_pierces_the_triangles_that_linear_equations_say():
    rng = np.random.default_rng(0)
    points, triangles = rng.standard_normal((30, 20, 3)), rng.permuted(np.tile(np.arange(20), (40, 1)), axis=1)[:, :3]
    middle, axes = 0.3 * rng.standard_normal((30, 3)), np.linalg.qr(rng.standard_normal((30, 3, 3)))[0]
    expected = np.zeros(30)
    for k in range(30):
        for a, b, c in points[k][triangles]:
            u, v, t = np.linalg.solve(np.stack([b - a, c - a, -axes[k, 2]], axis=1), middle[k] - a)
            expected[k] += u >= 0 and v >= 0 and u + v <= 1 and abs(t) <= 0.5
    assert len(set(expected.tolist())) > 4
    np.testing.assert_array_equal(piercings(points, triangles, middle, axes, 0.5), expected)


def test_a_triangle_on_edge_is_not_pierced_and_a_common_edge_counts_for_both():
    square = np.array([[(-1.0, -1.0, 0.0), (1.0, -1.0, 0.0), (1.0, 1.0, 0.0), (-1.0, 1.0, 0.0)]])
    triangles, middle, axes = np.array([[0, 1, 2], [0, 2, 3]]), np.zeros((1, 3)), np.eye(3)[None]
    assert piercings(square, triangles, middle, axes, 0.1) == 2
    assert piercings(square, triangles, middle + np.array([0.2, 0.0, 0.0]), axes, 0.1) == 1
    assert piercings(square, triangles, middle + np.array([0.2, 0.0, 0.11]), axes, 0.1) == 0
    assert piercings(square, triangles, middle, axes[:, [2, 0, 1]], 0.1) == 0


@pytest.mark.parametrize("hole", [(3, 3), (2, 5)])
def test_the_edge_of_a_hole_is_closed_and_every_cloth_has_as_many_vertices(hole):
    cloth = Cloth(hole)
    assert len(cloth.vertices) == 55
    edges = np.sort(cloth.triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    once = {tuple(e) for e, count in zip(*np.unique(edges, axis=0, return_counts=True), strict=True) if count == 1}
    ring = cloth.ring + 4
    assert {tuple(sorted(e)) for e in zip(ring, np.roll(ring, -1), strict=True)} <= once


def test_a_hole_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"hole=\(1, 3\) does not fit into 8 x 8 vertices"):
        Cloth((1, 3))
    with pytest.raises(ValueError, match="hole='9,9' is not known"):
        gymnasium.make("eqrl/ClothHanging-v0", hole="9,9")


def hang(simulation, steps=80):
    """A script: carry the corners, flat and across the hanger, along its axis until the hole is at its middle."""
    world, cloth, n = simulation.world, simulation.task.cloth, simulation.n
    axis = world.variables.hanger.copy()
    from_hole = np.linalg.norm(cloth.rest[:4] - cloth.centre, axis=1)
    contacts = np.zeros(n, dtype=bool)
    for _ in range(steps):
        corners, hole = world.positions.effectors, world.positions.cloth[:, cloth.ring].mean(1)
        along = (hole * axis).sum(1, keepdims=True)
        beside = np.linalg.norm(hole - along * axis, axis=1, keepdims=True)
        goal = np.where(beside < 0.08, 0.0, np.maximum(along, 0.5)) * axis
        arms = corners - hole[:, None]
        arms -= (arms * axis[:, None]).sum(-1, keepdims=True) * axis[:, None]
        arms *= from_hole[:, None] / np.linalg.norm(arms, axis=-1, keepdims=True)
        outcome = simulation.step((2.0 * (goal[:, None] + arms - corners)).reshape(n, 12))
        contacts |= simulation.contacts > 0
    return outcome, contacts


def test_a_script_hangs_the_cloth_on_hangers_that_point_anywhere():
    simulation = Simulation(ClothHanging(tilt=45.0, start_offset=0.2), 16, 1)
    simulation.seed(range(16))
    simulation.reset()
    assert not simulation.observe()["achieved_goal"][:, 3].any()
    outcome, _ = hang(simulation)
    assert outcome.success.all()
    assert outcome.metrics["stretch"].max() < 0.03
    assert (outcome.reward > 0.9).all()


def test_a_cloth_that_the_hanger_also_pierces_is_not_linked():
    simulation = Simulation(ClothHanging(), 2, 1)
    simulation.seed(range(2))
    simulation.reset()
    world, cloth = simulation.world, simulation.task.cloth
    flat = np.concatenate([cloth.rest - cloth.centre, np.zeros((len(cloth.rest), 1))], axis=1)
    folded = flat + np.where(flat[:, :1] > 0.4, [[-0.6, 0.0, 0.1]], 0.0)  # a side of the cloth lies over the hole
    for k, points in enumerate((flat, folded)):
        turned = points @ world.bodies.hanger.axes[k]
        world.positions.effectors[k], world.positions.cloth[k] = turned[:4], turned[4:]
    simulation.set_state(simulation.get_state())
    assert simulation.observe()["achieved_goal"][:, 3].tolist() == [1.0, 0.0]
    outcome = simulation.task.evaluate(world, np.zeros((2, 12)))
    assert outcome.success.tolist() == [True, False]
    assert outcome.rewards["success"].tolist() == [1.0, 0.0]
    assert outcome.metrics["pierced"][0] == 0
    assert outcome.metrics["pierced"][1] > 0


def test_no_cloth_that_is_torn_over_the_hanger_is_a_success():
    simulation = Simulation(ClothHanging(), 16, 1)
    simulation.seed(range(11, 27))
    simulation.reset()
    world, cloth = simulation.world, simulation.task.cloth
    axis, pierced, success = world.variables.hanger.copy(), 0, 0
    for _ in range(99):
        ahead = (world.positions.cloth[:, cloth.ring].mean(1) * axis).sum(1) > 0
        outcome = simulation.step(np.tile(-axis * ahead[:, None], 4))  # straight along the bar at 2 m/s
        assert not (outcome.success & (outcome.metrics["pierced"] > 0)).any()
        pierced, success = pierced + (outcome.metrics["pierced"] > 0).sum(), success + outcome.success.sum()
    assert pierced > 0
    assert success > 0


def test_a_cloth_on_its_hanger_turns_and_mirrors_with_the_scene():
    task = ClothHanging(tilt=45.0, start_offset=0.2)
    group = representation_of(task.action_space).group
    rep = representation_of(task.action_space)
    plain, turned = Simulation(task, 4, 1), Simulation(task, 4, 1)
    plain.seed(range(4))
    plain.reset()
    hang(plain, 45)
    start, rng = plain.get_state(), np.random.default_rng(0)
    for g in [about_gravity(np.deg2rad(37.0)), *(g for name, g in group.generators if "rotation" not in name)]:
        plain.set_state(start)
        turned.set_state(turned.transform(start, g))
        contacts = np.zeros(4, dtype=bool)
        aside = np.tile(np.linalg.qr(plain.world.variables.hanger[:, :, None], mode="complete")[0][:, :, 1], 4)
        for _ in range(50):
            action = rng.uniform(-0.3, 0.3, (4, 12)) + 0.5 * aside  # drags the edge of the hole along the bar
            plain.step(action)
            turned.step(rep.transform(action, g))
            contacts |= plain.contacts > 0
            difference = plain.difference(plain.transform(plain.get_state(), g), turned.get_state())
            assert max(difference.values()) < 1e-8
        assert contacts.sum() >= 3


def test_a_cloth_that_diverges_ends_its_episode_and_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # MuJoCo writes its warnings to a log there
    env = eqrl.make_vec("eqrl/ClothHanging-v0", 3, seed=0, on_divergence="reset")
    last = env.reset()
    env.unwrapped.simulation.world.velocities.cloth[1, 7] = 1e11
    observation, reward, done, infos = env.step(np.zeros((3, 12), dtype=np.float32))
    assert done.tolist() == [False, True, False]
    assert infos[1]["diverged"]
    assert infos[1]["TimeLimit.truncated"]
    assert reward[1] == 0
    for key, values in observation.items():
        assert np.isfinite(values).all()
        np.testing.assert_array_equal(infos[1]["terminal_observation"][key], last[key][1])
    stopping = eqrl.make_vec("eqrl/ClothHanging-v0", 1, seed=0)
    stopping.reset()
    stopping.unwrapped.simulation.world.velocities.cloth[0, 7] = 1e11
    with pytest.raises(DivergenceError, match="the physics diverged"):
        stopping.step(np.zeros((1, 12), dtype=np.float32))


@pytest.mark.parametrize("reward", ["markov", "paper", "sparse"])
def test_rewards_follow_from_goals(reward):
    env = gymnasium.make("eqrl/ClothHanging-v0", reward_type=reward)
    achieved, _ = play_and_compare(env, 20, atol=1e-9)
    assert env.unwrapped.task.is_linked(achieved, achieved).all()


def test_the_last_two_steps_count_fivefold_in_the_paper_s_reward():
    env = gymnasium.make("eqrl/ClothHanging-v0", reward_type="paper", episode_steps=6)
    env.reset(seed=0)
    steps = [env.step(np.zeros(12, dtype=np.float32)) for _ in range(6)]
    infos = [info for *_, info in steps]
    for observation, reward, _, _, info in steps:
        goals = observation["achieved_goal"], observation["desired_goal"]
        assert env.unwrapped.compute_reward(*goals, info) == pytest.approx(reward, abs=1e-9)
    factor = [-i["reward_distance"] / (0.8 * 0.02 * i["distance"]) for i in infos]
    assert factor == pytest.approx([1.0] * 4 + [5.0] * 2, rel=1e-5)


def test_a_tilt_with_which_the_cloth_would_begin_in_the_hanger_is_refused():
    with pytest.raises(ValueError, match="tilt=85 must be at most 60: a cloth that leans further would begin in the"):
        gymnasium.make("eqrl/ClothHanging-v0", tilt=85)


def test_hangers_point_where_they_are_asked_to():
    level = eqrl.make_vec("eqrl/ClothHanging-v0", 8, seed=0, hanger="level", target_sector=(-10, 10))
    axes = level.unwrapped.simulation.world.variables.hanger
    level.reset()
    np.testing.assert_allclose(axes[:, 2], 0.0, atol=1e-12)
    assert np.abs(np.arctan2(axes[:, 1], axes[:, 0])).max() <= np.deg2rad(10.0) + 1e-9
    upright = eqrl.make_vec("eqrl/ClothHanging-v0", 8, seed=0, hanger="upright")
    upright.reset()
    heights = upright.unwrapped.simulation.world.variables.hanger[:, 2]
    assert set(heights.tolist()) == {-1.0, 1.0}


def test_sparse_and_dense_factors_of_the_cloth_agree():
    finals = []
    for kind in (mujoco.mjtJacobian.mjJAC_SPARSE, mujoco.mjtJacobian.mjJAC_DENSE):
        task = ClothHanging(start_distance=(0.3, 0.31), start_offset=0.5)
        task.model.opt.jacobian = kind
        simulation = Simulation(task, 3, 1)
        simulation.seed(range(3))
        simulation.reset()
        rng, contacts = np.random.default_rng(0), 0
        for _ in range(25):
            along = np.tile(-simulation.world.variables.hanger, 4)
            simulation.step(0.5 * along + rng.uniform(-0.3, 0.3, (3, 12)))
            contacts += int(simulation.contacts.sum())
        assert contacts > 0
        finals.append(simulation.get_state().qpos)
    np.testing.assert_allclose(*finals, atol=1e-8)
