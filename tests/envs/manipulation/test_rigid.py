"""Shapes that are brought to a pose: worlds in contact, goals, rewards, several shapes at once."""

import gymnasium
import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from scripted import insert, insert_with_two_hands

import eqrl
from eqrl.envs.scenes.shapes import shape_of
from eqrl.symmetry import Element, about_gravity, family, random_exchange, representation_of

IDS = ["eqrl/Sliding-v0", "eqrl/Insertion-v0", "eqrl/InsertionTwoHands-v0"]
PLANAR = IDS[:2]
TURN = about_gravity(np.deg2rad(37.0))


def centre_and_points(env, goal):
    centre, points = env.unwrapped.task.goal_parts(goal)
    return centre, points


def seated(env):
    """An environment whose object stands in its hole, and the state in which it does."""
    env.reset(seed=0)
    task, sim = env.unwrapped.task, env.unwrapped.simulation
    sim.world.positions.object[0] = sim.world.variables.goal_centre[0]
    hole = sim.world.bodies.hole.quaternion[0]
    sim.world.positions.yaw[0] = 2.0 * np.arctan2(hole[3], hole[0])
    env.unwrapped.set_state(env.unwrapped.get_state())
    return task


def one_hand(env, observation, rng):
    return insert(observation, env.task, rng)


def two_hands(env, observation, rng):
    return insert_with_two_hands(env, rng)


ABOUT_ANYTHING = eqrl.SO3.sample(1, rng=0)[0]


@pytest.mark.parametrize(
    ("env_id", "arguments", "script", "g"),
    [
        ("eqrl/Insertion-v0", {"shape": "T"}, one_hand, TURN),
        ("eqrl/Insertion-v0", {"shape": "star", "clearance": 0.001}, one_hand, TURN),
        ("eqrl/Insertion-v0", {"shape": "random0"}, one_hand, TURN),
        ("eqrl/InsertionTwoHands-v0", {"shape": "T"}, two_hands, TURN),
        ("eqrl/InsertionTwoHands-v0", {"shape": "plus"}, two_hands, ABOUT_ANYTHING),
        ("eqrl/InsertionTwoHands-v0", {"shape": "T", "weight": 0.2}, two_hands, TURN),
    ],
    ids=lambda value: getattr(value, "__name__", "" if isinstance(value, Element) else str(value)),
)
def test_worlds_in_contact_commute_with_a_turn(env_id, arguments, script, g):
    env = gymnasium.make(env_id, **arguments).unwrapped
    rep = representation_of(env.action_space)
    errors, nudged, touched = [], [], 0
    for seed in range(5):
        rng = np.random.default_rng(seed)
        observation, _ = env.reset(seed=seed)
        start, actions, states = env.get_state(), [], []
        for _ in range(50):
            action = script(env, observation, rng)
            observation, *_ = env.step(action)
            actions.append(action)
            states.append(env.get_state())
            touched += int(env.simulation.contacts[0] > 0)

        def replay(begin, g, actions=actions, states=states):
            env.set_state(begin)
            worst = 0.0
            for action, state in zip(actions, states, strict=True):
                env.step(action if g is None else rep.transform(action, g))
                there = state if g is None else env.transform_state(state, g)
                worst = max(worst, *env.state_difference(there, env.get_state()).values())
            return worst

        errors.append(replay(env.transform_state(start, g), g))
        start.qpos[0, 0] += 1e-14
        nudged.append(replay(start, None))
    assert touched > 10
    assert np.median(errors) <= 1e-10
    # a shape that jams is chaotic: then errors grow as fast as a nudge does
    assert all(error <= max(1e-8, 100 * nudge) for error, nudge in zip(errors, nudged, strict=True))


@pytest.mark.parametrize("shape", ["T", "plus", "E", "A", "heart", "random1"])
@pytest.mark.parametrize("clearance", [0.002, 0.001])
def test_a_seated_shape_touches_no_wall_and_is_a_success(shape, clearance):
    env = gymnasium.make("eqrl/Insertion-v0", shape=shape, clearance=clearance)
    task = seated(env)
    *_, info = env.step(np.zeros(4, np.float32))
    assert info["is_success"]
    assert info["distance"] < 1e-6
    assert info["angle"] < 1e-3
    assert info["height"] < 1e-3
    sim = env.unwrapped.simulation
    before = sim.world.positions.object.copy()
    sim.world.positions.object[0, 0] += 0.5 * clearance
    env.unwrapped.set_state(env.unwrapped.get_state())
    sim.world.positions.object[0, 2] = before[0, 2] + 0.01
    env.unwrapped.set_state(env.unwrapped.get_state())
    assert sim.contacts[0] == 0
    sim.world.positions.object[0, 0] += 3 * clearance
    env.unwrapped.set_state(env.unwrapped.get_state())
    assert sim.contacts[0] > 0
    assert task.shape.radius == pytest.approx(0.05)


def test_a_shape_turned_by_its_own_symmetry_is_seated_too():
    env = gymnasium.make("eqrl/Insertion-v0", shape="plus")
    seated(env)
    env.unwrapped.simulation.world.positions.yaw[0] += np.pi / 2
    env.unwrapped.set_state(env.unwrapped.get_state())
    *_, info = env.step(np.zeros(4, np.float32))
    assert info["is_success"]
    assert info["angle"] < 1e-3


@pytest.mark.parametrize("shape", ["T", "bar", "plus", "star", "hexagon", "heart", "random2"])
def test_angles_count_modulo_the_shape_and_need_no_order(shape):
    task = gymnasium.make("eqrl/Insertion-v0", shape=shape).unwrapped.task
    rng = np.random.default_rng(0)
    period = 2 * np.pi / task.shape.order
    outline = np.column_stack([task.outline, np.zeros(len(task.outline))])
    for turn in rng.uniform(-np.pi, np.pi, size=10):
        moved = rng.permutation(outline @ about_gravity(turn).R.numpy().T)
        expected = abs(turn - period * round(turn / period))
        assert task.outline_angle(moved, outline) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("env_id", IDS)
@pytest.mark.parametrize("reward_type", ["markov", "paper", "sparse"])
@pytest.mark.parametrize("correspondence", [True, False])
def test_rewards_can_be_computed_for_any_goals(env_id, reward_type, correspondence):
    env = gymnasium.make(env_id, reward_type=reward_type, correspondence=correspondence)
    env.action_space.seed(0)
    env.reset(seed=0)
    achieved, desired, rewards, infos = [], [], [], []
    for _ in range(100):
        observation, reward, *_, info = env.step(env.action_space.sample())
        achieved.append(observation["achieved_goal"])
        desired.append(observation["desired_goal"])
        rewards.append(reward)
        infos.append(info)
        assert env.unwrapped.compute_reward(achieved[-1], desired[-1], info) == pytest.approx(reward, abs=1e-12)
        assert sum(v for k, v in info.items() if k.startswith("reward_")) == pytest.approx(reward, abs=1e-12)
    given = infos if reward_type == "paper" else {}
    batch = env.unwrapped.compute_reward(np.array(achieved), np.array(desired), given)
    np.testing.assert_allclose(batch, rewards, atol=1e-12)
    reached = env.unwrapped.compute_reward(achieved[0], np.array(achieved[0]), infos[0])
    assert reached >= max(rewards)


def test_the_published_reward_counts_the_last_two_steps_more():
    env = gymnasium.make("eqrl/Insertion-v0", reward_type="paper")
    env.reset(seed=0)
    ratio = []
    for _ in range(100):
        *_, info = env.step(np.zeros(4, np.float32))
        ratio.append(info["reward_distance"] / (-0.04 * 0.8 * info["distance"]))
    np.testing.assert_allclose(ratio, [1.0] * 98 + [5.0] * 2)


@pytest.mark.parametrize("env_id", IDS)
def test_goals_without_correspondence_show_the_same_points_in_another_order(env_id):
    parts = []
    for correspondence in (True, False):
        env = gymnasium.make(env_id, correspondence=correspondence)
        observation, _ = env.reset(seed=5)
        parts.append(centre_and_points(env, observation["desired_goal"])[1])
    assert np.abs(parts[0] - parts[1]).max() > 0.01
    apart = np.abs(parts[0][:, None] - parts[1][None]).max(axis=-1)
    assert sorted(apart.argmin(axis=0)) == list(range(24))
    assert apart.min(axis=0).max() == 0.0
    names = {e.name for e in representation_of(env.observation_space).entities}
    assert names == {"points", "targets", "effectors"}


@pytest.mark.parametrize("env_id", IDS)
def test_points_follow_slots_and_masks_tell_the_real_ones(env_id):
    plain, padded = (gymnasium.make(env_id, resolution=16, slots=slots) for slots in (0, 20))
    a, b = plain.reset(seed=3)[0], padded.reset(seed=3)[0]
    rep = representation_of(padded.observation_space)
    assert rep.entity_set("points").mask == "observation/real"
    assert b["observation"][-20:].tolist() == [1.0] * 16 + [0.0] * 4
    spaces = (plain.observation_space, padded.observation_space)
    for key in ("achieved_goal", "desired_goal"):
        shown, slots = (space[key].representation.split(o[key]) for space, o in zip(spaces, (a, b), strict=True))
        np.testing.assert_array_equal(slots["points"][: shown["points"].size], shown["points"])
        assert not slots["points"][shown["points"].size :].any()
    fine = gymnasium.make(env_id, resolution=20, slots=20)
    assert fine.observation_space == padded.observation_space


@pytest.mark.parametrize("env_id", PLANAR)
def test_networks_on_tokens_may_honour_mirrors_and_exchange(env_id):
    rep = representation_of(gymnasium.make(env_id).observation_space)
    assert rep.group == eqrl.SO2
    assert family(rep) == eqrl.O2
    assert random_exchange(rep, 1, rng=0).h["points"].shape[-1] == 24


@pytest.mark.parametrize("env_id", IDS)
@pytest.mark.parametrize("arguments", [{"shape": ["plus", "random0"]}, {"split": "train"}])
def test_several_shapes_share_a_batch(env_id, arguments):
    env = eqrl.make_vec(env_id, 6, seed=0, **arguments)
    names = env.unwrapped.members
    assert set(names) == set(arguments.get("shape", ("plus", "star", "pentagon")))
    env.reset()
    *_, infos = env.step(np.zeros((6, *env.action_space.shape), np.float32))
    assert [info["member"] for info in infos] == list(names)
    alone = gymnasium.make(env_id, member=names[-1], **arguments)
    assert alone.unwrapped.task.shape.order == shape_of("shape", names[-1]).order
    with pytest.raises(ValueError, match="members make a fleet"):
        gymnasium.make(env_id, **arguments)
    vector = gymnasium.make_vec(env_id, num_envs=6, **arguments)
    assert vector.reset(seed=0)[1]["member"].tolist() == list(names)
    vector.close()


def test_the_shapes_to_test_on_have_the_spaces_of_those_to_train_on():
    train = eqrl.make_vec("eqrl/Insertion-v0", 3, split="train")
    test = eqrl.make_vec("eqrl/Insertion-v0", 13, split="test")
    assert train.observation_space == test.observation_space
    assert len(set(test.unwrapped.members)) == 13


@pytest.mark.parametrize("env_id", IDS)
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shape": "pentagn"}, "shape='pentagn' is not known; did you mean 'pentagon'"),
        ({"shape": ["T", "pentagn"]}, "did you mean 'pentagon'"),
        ({"shape": [(0, 0), (1, 1), (1, 0), (0, 1)]}, "crosses itself"),
        ({"shape": [(0, 0), (1, 0)]}, "degenerate"),
        ({"split": "trian"}, "split='trian' is not known; use one of 'none', 'train', 'test'; did you mean 'train'"),
        ({"split": "train", "shape": "T"}, "both say which shapes"),
        ({"resolution": 48, "slots": 32}, "resolution=48 points do not fit into slots=32"),
        ({"resolution": 2}, "resolution=2 must be a whole number >= 3"),
        ({"reward_type": "dense"}, "'markov', 'paper', 'sparse'"),
        ({"correspondence": "no"}, "correspondence='no' must be True or False"),
    ],
)
def test_bad_arguments_are_refused_in_one_line(env_id, arguments, message):
    with pytest.raises(ValueError, match=message) as error:
        eqrl.make_vec(env_id, 3, **arguments)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("clearance", "message"), [(0.03, "smaller clearance"), (0.0, "clearance=0.0")])
def test_holes_that_cannot_be_are_refused(clearance, message):
    with pytest.raises(ValueError, match=message):
        eqrl.make_vec("eqrl/Insertion-v0", 3, clearance=clearance)


@pytest.mark.parametrize(("weight", "group"), [(0.0, eqrl.SO3), (0.5, eqrl.SO2)])
def test_weight_leaves_rotations_about_gravity(weight, group):
    env = gymnasium.make("eqrl/InsertionTwoHands-v0", weight=weight)
    assert representation_of(env.observation_space).group == group


def test_two_hands_insert_a_shape_only_if_they_can_turn_it():
    success = {}
    for grip in ("weld", "ball"):
        env = gymnasium.make("eqrl/InsertionTwoHands-v0", grip=grip).unwrapped
        solved = []
        for seed in range(10):
            env.reset(seed=seed)
            rng = np.random.default_rng(seed)
            for _ in range(80):
                *_, info = env.step(insert_with_two_hands(env, rng, noise=0.05))
            solved.append(info["is_success"])
        success[grip] = np.mean(solved)
    assert success["weld"] >= 0.8
    assert success["ball"] <= 0.3


@pytest.mark.parametrize("tilt", [45, 60, 180])
def test_a_shape_that_starts_tilted_touches_nothing(tilt):
    env = eqrl.make_vec("eqrl/InsertionTwoHands-v0", 400, seed=0, n_threads=1, shape="plus", object_tilt=tilt)
    env.reset()
    assert not env.unwrapped.simulation.contacts.any()


@pytest.mark.parametrize("shape", ["T", "plus", "star", "heart"])
def test_a_shape_that_lies_upside_down_in_its_hole_is_no_success(shape):
    env = gymnasium.make("eqrl/InsertionTwoHands-v0", shape=shape).unwrapped
    env.reset(seed=3)
    world = env.simulation.world
    hole = Rotation.from_quat(world.bodies.hole.quaternion[0], scalar_first=True)
    over = Rotation.from_rotvec([0, np.pi, 0])  # about the axis of which the shape is its own mirror image
    solved, rewards = [], []
    for pose in (hole, hole * over):
        world.bodies.object.position = world.variables.goal_centre
        world.bodies.object.quaternion = pose.as_quat(scalar_first=True)[None]
        env.set_state(env.get_state())
        observation, _, _, _, info = env.step(np.zeros(12, np.float32))
        assert info["distance"] < 1e-3
        assert info["height"] < 1e-3
        solved.append(bool(info["is_success"]))
        rewards.append(info["reward_success"])
        goals = observation["achieved_goal"], observation["desired_goal"]
        assert env.task.solved(env.task.errors(*goals)) == solved[-1]
    assert solved == [True, False]
    assert rewards == [1.0, 0.0]
    assert info["aligned"] == pytest.approx(-1.0, abs=1e-4)


def test_the_angle_counts_where_no_wall_does():
    """Hindsight sets goals in the air, and a wide hole lets a square turn."""
    for task_id, axis in (("Insertion", []), ("InsertionTwoHands", [0.0, 0.0, 1.0])):
        task = gymnasium.make(f"eqrl/{task_id}-v0", shape="square", clearance=0.02, reward_type="sparse").unwrapped.task
        outline = np.column_stack([task.outline, np.zeros(len(task.outline))])
        goals = []
        for degrees in (0.0, 8.0, 12.0, 45.0, 90.0):
            turned = Rotation.from_euler("z", degrees, degrees=True).apply(outline)
            goals.append(np.concatenate([np.zeros(3), turned.ravel(), axis]))
        asked = np.tile(goals[0], (5, 1))
        assert task.compute_reward(np.array(goals), asked, [{}] * 5).tolist() == [0.0, 0.0, -1.0, -1.0, 0.0]


@pytest.mark.parametrize("shape", ["T", "bar", "plus", "star"])
def test_angles_in_space_are_those_of_the_nearest_symmetric_pose(shape):
    task = gymnasium.make("eqrl/InsertionTwoHands-v0", shape=shape).unwrapped.task
    order = task.shape.order
    outline = np.column_stack([task.outline, np.zeros(len(task.outline))])
    turns = [Rotation.from_rotvec([0, 0, 2 * np.pi * k / order]) for k in range(order)]
    rng = np.random.default_rng(0)
    for _ in range(10):
        hole = Rotation.random(rng=rng)
        pose = Rotation.from_rotvec(rng.standard_normal(3)) * hole
        goals = [np.concatenate([np.zeros(3), r.apply(outline).ravel(), r.apply([0, 0, 1])]) for r in (pose, hole)]
        nearest = min((pose * turn * hole.inv()).magnitude() for turn in turns)
        assert task.errors(*goals)["angle"] == pytest.approx(nearest, abs=1e-6)


def test_a_polygon_of_the_users_own_can_be_inserted():
    env = gymnasium.make("eqrl/Insertion-v0", shape=[(0, 0), (3, 0), (3, 1), (1, 1), (1, 2), (0, 2)])
    seated(env)
    *_, info = env.step(np.zeros(4, np.float32))
    assert info["is_success"]
