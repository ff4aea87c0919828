"""One parametrised suite over every environment: conformance, symmetry of the world, determinism, forms."""

import os
from dataclasses import replace

import gymnasium
import mujoco
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env as gym_check_env
from ids import IDS, ONE_ROBOT
from stable_baselines3.common.env_checker import check_env as sb3_check_env

import eqrl
from eqrl import check_environment
from eqrl.envs.core.breaking import Breaking
from eqrl.symmetry import SO2, SymmetryError, about_gravity, representation_of

KINDS = [(env_id, {}) for env_id in IDS] + [("eqrl/Push-v0", {"shape": s}) for s in ("L", "bar", "plus")] + [
    ("eqrl/Push-v0", {"reward_type": "dense", "effector_start": "around"}),
    ("eqrl/Reach-v0", {"reward_type": "dense"}),
    ("eqrl/RopeClosing-v0", {"post_distance": (0.075, 0.1), "reward_type": "paper"}),
    ("eqrl/RopeShaping-v0", {"resolution": 8, "bends": 3, "reward_type": "paper"}),
    ("eqrl/PickAndPlace-v0", {"reward_type": "dense", "start": "hand", "shape": "bar"}),
    ("eqrl/ClothHanging-v0", {"start_distance": (0.3, 0.31), "start_offset": 0.5, "reward_type": "paper"}),
]  # fmt: skip
# random actions touch nothing there; in KINDS ropes and cloths also start where they touch something, and
# tests/envs/manipulation steps the shapes in contact
UNTOUCHED = (
    *("eqrl/Reach-v0", "eqrl/Sliding-v0", "eqrl/Insertion-v0", "eqrl/InsertionTwoHands-v0"),
    *("eqrl/RopeClosing-v0", "eqrl/ClothHanging-v0", "eqrl/RopeShaping-v0"),
)
RUNS = ("eqrl/Run-v0", ONE_ROBOT)
STARTS_NEAR = {"post_distance", "start_distance"}
# fields of the observation that are constants, or that random actions leave alone
STILL = {
    "eqrl/RopeClosing-v0": (
        *("achieved_goal/enclosed", "observation/along", "observation/post"),
        *(f"desired_goal/{name}" for name in ("turns", "gap", "enclosed", "away")),
    ),
    "eqrl/RopeShaping-v0": ("observation/along",),
    "eqrl/ClothHanging-v0": (
        *("achieved_goal/linked", "observation/rest"),
        *(f"desired_goal/{name}" for name in ("centre", "linked", "aligned")),
    ),
}
named = pytest.mark.parametrize(("env_id", "kwargs"), KINDS, ids=lambda v: str(v))


def stack(observation):
    if isinstance(observation, dict):
        return np.concatenate([observation[k] for k in sorted(observation)], axis=-1)
    return observation


def pushing_actions(env, n, rng):
    """Actions that make contact: random for the ant, towards the object for Push."""
    for _ in range(n):
        action = env.action_space.sample()
        if "effector" in {f.name.split("/")[-1] for f in representation_of(env.observation_space).fields}:
            offset = env.observe()["observation"][:2]
            action = (-offset / np.linalg.norm(offset) + 0.5 * rng.standard_normal(2)).astype(np.float32)
        yield np.clip(action, -1, 1)


@named
def test_world_keeps_every_declared_generator(env_id, kwargs):
    reports = check_environment(gymnasium.make(env_id, **kwargs), steps=50, episodes=3)
    group = representation_of(gymnasium.make(env_id, **kwargs).observation_space).group
    assert [r.name for r in reports] == [name for name, _ in group.generators]
    assert max(r.error for r in reports) <= 1e-8
    if env_id not in UNTOUCHED or STARTS_NEAR & set(kwargs):
        assert min(r.contacts for r in reports) > 0


@pytest.mark.parametrize("kwargs", [{}, {"shape": "L"}])
def test_pushing_with_contact_commutes_with_a_turn(kwargs):
    env = gymnasium.make("eqrl/Push-v0", **kwargs).unwrapped
    g = about_gravity(np.deg2rad(37.0))
    rep = representation_of(env.action_space)
    env.reset(seed=1)
    start = env.get_state()
    actions, states = [], []
    for action in pushing_actions(env, 60, np.random.default_rng(0)):
        env.step(action)
        actions.append(action.astype(np.float64))
        states.append(env.get_state())
    travelled = np.linalg.norm(states[-1].qpos[0, 2:4] - start.qpos[0, 2:4])
    assert travelled > 0.05
    env.set_state(env.transform_state(start, g))
    for action, state in zip(actions, states, strict=True):
        env.step(rep.transform(action, g))
        assert max(env.state_difference(env.transform_state(state, g), env.get_state()).values()) < 1e-8


def test_a_stiff_joint_breaks_what_exchanges_legs_and_nothing_else():
    env = gymnasium.make("eqrl/AntTarget-v0", breaking="joint", breaking_size=0.3)
    with pytest.raises(SymmetryError, match="breaks under"):
        check_environment(env)
    check_environment(env, group=SO2)
    with pytest.raises(ValueError, match="breaking='joint' needs a robot with actuated joints"):
        Breaking("joint", 0.3).stiffen(mujoco.MjModel.from_xml_string("<mujoco/>"))


@pytest.mark.parametrize("env_id", IDS)
@pytest.mark.parametrize("kind", ["gravity", "wind"])
def test_the_check_fails_on_a_broken_world(env_id, kind):
    with pytest.raises(SymmetryError, match="breaks under 'rotation about gravity'"):
        check_environment(gymnasium.make(env_id, breaking=kind, breaking_size=0.3))


def test_wind_in_one_patch():
    """Inside, the world is that of the steady wind; outside, that without any; the check finds it."""
    quiet, windy, local = (
        gymnasium.make("eqrl/AntTarget-v0", breaking=kind, breaking_size=0.3).unwrapped
        for kind in ("none", "wind", "patch")
    )
    for env in (quiet, windy, local):
        env.reset(seed=0)
    start = local.get_state()
    for offset, twin in (((2.0, 0.5), windy), ((-2.0, 0.5), quiet)):
        target = start.variables.copy()
        target[:, :2] = start.qpos[:, :2] - offset
        moved = []
        for env in (local, twin):
            env.set_state(replace(start, variables=target))
            for _ in range(5):
                env.step(np.zeros(env.action_space.shape, np.float32))
            moved.append(env.get_state())
        assert np.array_equal(moved[0].qpos, moved[1].qpos)
        assert np.array_equal(moved[0].qvel, moved[1].qvel)
    everywhere = {"breaking": "patch", "breaking_size": 0.3, "breaking_patch": (2.0, 0.0, 3.0)}
    with pytest.raises(SymmetryError, match="breaks under 'rotation about gravity'"):
        check_environment(gymnasium.make("eqrl/AntTarget-v0", **everywhere))


def test_the_check_fails_on_a_pyramidal_cone():
    from eqrl.envs.core.simulation import Simulation

    env = gymnasium.make("eqrl/Push-v0").unwrapped
    env.task.model.opt.cone = mujoco.mjtCone.mjCONE_PYRAMIDAL
    env.simulation = Simulation(env.task, 1, 1)
    env.task.goal_distance, env.task.target_sector = (0.1, 0.1), (0.0, 0.0)
    with pytest.raises(SymmetryError):
        # random actions seldom push; hold one direction from a pose that touches
        check_environment(_Pusher(env), episodes=3)


class _Pusher(gymnasium.Wrapper):
    """Makes random actions push: the action space's samples point from the effector to the object."""

    def __init__(self, env):
        super().__init__(env)
        plain = type(env.action_space).sample

        def sample(mask=None, probability=None):
            offset = env.observe()["observation"][:2]
            noise = plain(env.action_space)
            return (0.6 * -offset / np.linalg.norm(offset) + 0.4 * noise).astype(np.float32)

        env.action_space.sample = sample


def test_the_check_fails_on_a_wrong_type():
    from dataclasses import replace

    from eqrl.symmetry import Representation, TypedBox

    env = gymnasium.make("eqrl/AntTarget-v0").unwrapped
    rep = env.observation_space.representation
    for name, irreps in (("velocity", "1x1e"), ("hip", "1x0e"), ("angular_velocity", "1x1o"), ("target", "2x0e")):
        fields = tuple(
            replace(f, irreps=irreps, horizontal=f.horizontal and "1" in irreps[2:], role="") if f.name == name else f
            for f in rep.fields
        )
        env.observation_space = TypedBox(Representation(fields, rep.entities, rep.group))
        with pytest.raises(SymmetryError, match=f"observation {name}"):
            check_environment(env, episodes=2, steps=5)


@named
@pytest.mark.filterwarnings("ignore:.*A Box observation space m..imum value is.*infinity.*:UserWarning")
def test_gymnasium_checker(env_id, kwargs):
    gym_check_env(gymnasium.make(env_id, **kwargs).unwrapped, skip_render_check=True)


@named
def test_sb3_checker(env_id, kwargs):
    sb3_check_env(gymnasium.make(env_id, **kwargs).unwrapped, warn=True)


@named
def test_batch_and_single_give_the_same_bits(env_id, kwargs):
    n, steps = 5, 120
    batch = eqrl.make_vec(env_id, n, seed=10, n_threads=2, **kwargs)
    batch.action_space.seed(0)
    actions = np.stack([[batch.action_space.sample() for _ in range(n)] for _ in range(steps)])
    traces = [stack(batch.reset())]
    rewards, dones = [], []
    for a in actions:
        observation, reward, done, infos = batch.step(a)
        last = [
            stack(i["terminal_observation"]) if d else stack_row(observation, k)
            for k, (i, d) in enumerate(zip(infos, done, strict=True))
        ]
        traces.append(np.stack(last))
        rewards.append(reward)
        dones.append(done)
    for k in range(n):
        env = gymnasium.make(env_id, **kwargs)
        observation, _ = env.reset(seed=10 + k)
        np.testing.assert_array_equal(stack(observation), traces[0][k])
        for t, a in enumerate(actions):
            observation, reward, terminated, truncated, _ = env.step(a[k])
            np.testing.assert_array_equal(stack(observation), traces[t + 1][k])
            assert np.float32(reward) == rewards[t][k]
            assert (terminated or truncated) == dones[t][k]
            if terminated or truncated:
                break
    batch.close()


def stack_row(observation, k):
    if isinstance(observation, dict):
        return stack({key: v[k] for key, v in observation.items()})
    return observation[k]


@pytest.mark.parametrize("env_id", IDS)
def test_vector_form_gives_the_same_bits(env_id):
    vector = gymnasium.make_vec(env_id, num_envs=3)
    vector.reset(seed=np.int64(1))
    batch = eqrl.make_vec(env_id, 3, seed=4)
    a, _ = vector.reset(seed=4)
    np.testing.assert_array_equal(stack(a), stack(batch.reset()))
    vector.single_action_space.seed(1)
    for _ in range(310):
        action = np.stack([vector.single_action_space.sample() for _ in range(3)])
        a, reward, terminated, truncated, infos = vector.step(action)
        b, expected, done, sb3_infos = batch.step(action)
        np.testing.assert_array_equal(stack(a), stack(b))
        np.testing.assert_array_equal(reward.astype(np.float32), expected)
        np.testing.assert_array_equal(terminated | truncated, done)
        for k in np.flatnonzero(done):
            np.testing.assert_array_equal(stack_row(infos["final_obs"], k), stack(sb3_infos[k]["terminal_observation"]))
            assert sb3_infos[k]["TimeLimit.truncated"] == (truncated[k] and not terminated[k])
    assert vector.max_episode_steps == gymnasium.spec(env_id).max_episode_steps
    vector.close()


@pytest.mark.parametrize("env_id", IDS)
def test_threads_do_not_change_bits(env_id):
    finals = []
    for threads in (1, 2):
        env = eqrl.make_vec(env_id, 6, seed=0, n_threads=threads)
        env.action_space.seed(0)
        env.reset()
        for _ in range(40):
            observation, *_ = env.step(np.stack([env.action_space.sample() for _ in range(6)]))
        finals.append(stack(observation))
    np.testing.assert_array_equal(*finals)


@pytest.mark.parametrize("env_id", IDS)
def test_scene_rotation_turns_everything_and_goal_rotation_only_the_goal(env_id):
    plain = gymnasium.make(env_id).unwrapped
    turned = gymnasium.make(env_id, scene_rotation=120.0).unwrapped
    goal_only = gymnasium.make(env_id, goal_rotation=120.0).unwrapped
    for env in (plain, turned, goal_only):
        env.reset(seed=3)
    g = about_gravity(np.deg2rad(120.0))
    difference = plain.state_difference(plain.transform_state(plain.get_state(), g), turned.get_state())
    assert max(difference.values()) < 1e-9
    np.testing.assert_array_equal(plain.get_state().qpos, goal_only.get_state().qpos)
    assert np.abs(plain.get_state().variables - goal_only.get_state().variables).max() > 0.01
    by_option, _ = plain.reset(seed=3, options={"scene_rotation": 120.0})
    np.testing.assert_array_equal(stack(by_option), stack(turned.observe()))


def test_each_member_of_a_batch_can_be_turned_by_its_own_angle():
    env = eqrl.make_vec("eqrl/AntTarget-v0", 3, scene_rotation=[0.0, 90.0, 180.0])
    env.seed([7, 7, 7])
    observation = env.reset()
    rep = env.observation_space.representation
    for k, angle in enumerate((0.0, 90.0, 180.0)):
        expected = rep.transform(observation[0].astype(np.float64), about_gravity(np.deg2rad(angle)))
        np.testing.assert_allclose(observation[k], expected, atol=1e-5)


@pytest.mark.parametrize("env_id", IDS)
def test_infos_name_success_every_reward_term_and_distance(env_id):
    env = gymnasium.make(env_id)
    env.reset(seed=0)
    _, reward, _, _, info = env.step(env.action_space.sample())
    assert isinstance(info["is_success"], bool)
    assert all(np.isfinite(info[name]) for name in env.unwrapped.task.metrics)
    if env_id in RUNS:  # a direction has no distance
        assert info["distance_gained"] == pytest.approx(info["speed"] * env.unwrapped.task.dt)
    elif "distance" in env.unwrapped.task.metrics:
        assert info["distance"] > 0
    terms = [v for k, v in info.items() if k.startswith("reward_")]
    assert terms
    assert np.isclose(sum(terms), reward)


@pytest.mark.parametrize("env_id", ["eqrl/Reach-v0", "eqrl/Push-v0", "eqrl/PickAndPlace-v0"])
@pytest.mark.parametrize("reward_type", ["sparse", "dense"])
def test_compute_reward_is_vectorised_and_agrees_with_steps(env_id, reward_type):
    env = gymnasium.make(env_id, reward_type=reward_type)
    env.action_space.seed(0)
    env.reset(seed=0)
    achieved, desired, rewards, infos = [], [], [], []
    for _ in range(30):
        observation, reward, _, _, info = env.step(env.action_space.sample())
        achieved.append(observation["achieved_goal"])
        desired.append(observation["desired_goal"])
        rewards.append(reward)
        infos.append(info)
        assert env.unwrapped.compute_reward(achieved[-1], desired[-1], info) == pytest.approx(reward, abs=1e-12)
    batch = env.unwrapped.compute_reward(np.array(achieved), np.array(desired), {})
    approach = np.array([i.get("reward_approach", 0.0) for i in infos])
    np.testing.assert_allclose(batch + approach, rewards, atol=1e-12)


def test_push_counts_angles_modulo_the_shape():
    for shape, order in (("T", 1), ("bar", 2), ("plus", 4)):
        task = gymnasium.make("eqrl/Push-v0", shape=shape).unwrapped.task
        turn = 2 * np.pi / order
        goal = np.array([0.1, 0.0, 1.0, 0.0])
        achieved = np.array([0.1, 0.0, np.cos(turn + 0.1), np.sin(turn + 0.1)])
        distance, angle = task.pose_error(achieved, goal)
        assert distance == 0
        assert angle == pytest.approx(0.1)
        if order > 1:
            half = np.array([0.1, 0.0, np.cos(turn / 2), np.sin(turn / 2)])
            assert task.pose_error(half, goal)[1] == pytest.approx(turn / 2)


def test_ant_observes_relative_positions_only():
    env = gymnasium.make("eqrl/AntTarget-v0").unwrapped
    env.reset(seed=0)
    state = env.get_state()
    before = env.observe()
    state.qpos[:, :2] += (3.0, -2.0)
    state.variables[:, :2] += (3.0, -2.0)
    env.set_state(state)
    np.testing.assert_allclose(env.observe(), before, atol=1e-6)


def test_ant_sectors_and_redraw():
    env = eqrl.make_vec("eqrl/AntTarget-v0", 64, seed=0, target_sector=(-15, 15), heading=(80, 100))
    observation = env.reset()
    angle = np.rad2deg(np.arctan2(observation[:, 17], observation[:, 16]))
    heading = np.rad2deg(np.arctan2(observation[:, 2], observation[:, 1]))
    assert np.abs(angle).max() <= 15.001
    assert heading.min() >= 79.99
    assert heading.max() <= 100.01
    distance = np.hypot(observation[:, 16], observation[:, 17])
    assert distance.min() >= 2.0
    assert distance.max() <= 5.0

    redraw = gymnasium.make("eqrl/AntTarget-v0", on_success="redraw", success_radius=10.0).unwrapped
    redraw.reset(seed=0)
    first = redraw.get_state().variables.copy()
    _, _, terminated, _, info = redraw.step(redraw.action_space.sample())
    assert not terminated
    assert info["is_success"]
    assert np.abs(redraw.get_state().variables[0, :2] - first[0, :2]).max() > 0.01


def test_a_redrawn_target_turns_with_the_scene_and_keeps_its_sector():
    targets = {}
    for angle in (0.0, 90.0):
        env = gymnasium.make(
            "eqrl/AntTarget-v0", on_success="redraw", success_radius=10.0, scene_rotation=angle
        ).unwrapped
        env.reset(seed=0, options={"target_sector": (170, 175), "heading": (0, 10)})
        rep = representation_of(env.action_space)
        env.action_space.seed(0)
        seen = []
        for _ in range(3):
            env.step(rep.transform(env.action_space.sample(), about_gravity(np.deg2rad(angle))))
            seen.append(env.get_state().variables[0, :3] - env.get_state().qpos[0, :3] * (1, 1, 0))
        targets[angle] = np.array(seen)
    direction = np.rad2deg(np.arctan2(targets[0.0][:, 1], targets[0.0][:, 0]))
    assert ((direction > 169.9) & (direction < 175.1)).all()
    turned = targets[0.0] @ about_gravity(np.pi / 2).R.numpy().T
    np.testing.assert_allclose(targets[90.0], turned, atol=1e-6)


def test_worlds_that_draw_random_numbers_in_a_step_are_refused():
    env = gymnasium.make("eqrl/AntTarget-v0", on_success="redraw", target_distance=(0.51, 0.6))
    with pytest.raises(ValueError, match="not deterministic"):
        check_environment(env)


def test_hindsight_rewards_of_dense_push_agree_with_its_steps():
    from stable_baselines3 import HerReplayBuffer

    env = eqrl.make_vec("eqrl/Push-v0", 2, seed=0, reward_type="dense", max_episode_steps=10)
    buffer = HerReplayBuffer(200, env.observation_space, env.action_space, env, n_envs=2, n_sampled_goal=4)
    env.action_space.seed(0)
    observation = env.reset()
    for _ in range(30):
        action = np.stack([env.action_space.sample() for _ in range(2)])
        after, reward, done, infos = env.step(action)
        final = {k: np.stack([i["terminal_observation"][k] if d else v[n] for n, (i, d) in enumerate(zip(infos, done,
        strict=True))])
                 for k, v in after.items()}  # fmt: skip
        buffer.add(observation, final, action, reward, done, infos)
        observation = after
    sampled = buffer.sample(500)
    task = env.unwrapped.task
    expected = task.compute_reward(
        sampled.next_observations["achieved_goal"].numpy(), sampled.next_observations["desired_goal"].numpy(), {}
    )
    np.testing.assert_allclose(sampled.rewards.numpy()[:, 0], expected, atol=1e-5)


@pytest.mark.parametrize("env_id", IDS)
def test_frames_are_rendered(env_id):
    env = gymnasium.make(env_id, render_mode="rgb_array", width=160, height=120)
    env.reset(seed=0)
    try:
        frame = env.render()
    except RuntimeError as error:
        if os.environ.get("EQRL_REQUIRE_RENDERING") == "1":
            raise
        pytest.skip(str(error))
    assert frame.shape == (120, 160, 3)
    assert frame.dtype == np.uint8
    assert frame.std() > 5
    env.close()


@pytest.mark.parametrize("shape", [(1,), (1, 1), (2, 8)])
def test_actions_of_a_wrong_shape_are_refused(shape):
    env = gymnasium.make("eqrl/AntTarget-v0").unwrapped
    env.reset(seed=0)
    with pytest.raises(ValueError, match="shape"):
        env.step(np.zeros(shape))


def test_state_can_be_read_and_written_back_exactly():
    for env_id in IDS:
        env = gymnasium.make(env_id).unwrapped
        env.action_space.seed(0)
        env.reset(seed=0)
        for _ in range(10):
            env.step(env.action_space.sample())
        state = env.get_state()
        actions = [env.action_space.sample() for _ in range(20)]
        first = [stack(env.step(a)[0]) for a in actions]
        env.set_state(state)
        second = [stack(env.step(a)[0]) for a in actions]
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("kwargs", KINDS, ids=str)
def test_observations_move_and_start_at_random(kwargs):
    env_id, arguments = kwargs
    env = eqrl.make_vec(env_id, 32, seed=0, **arguments)
    first = stack(env.reset())
    assert np.isfinite(first).all()
    env.action_space.seed(0)
    seen = [first]
    for _ in range(40):
        observation, *_ = env.step(np.stack([env.action_space.sample() for _ in range(32)]))
        seen.append(stack(observation))
    seen = np.concatenate(seen)
    moving = seen.std(axis=0) > 1e-4
    if env_id in RUNS:
        moving |= describes_the_body(env)
    if env_id in STILL:
        rep = representation_of(env.observation_space)
        moving[np.concatenate([np.r_[rep.slices[name]] for name in STILL[env_id]])] = True
    assert moving.all(), "an entry of the observation never changes"


def describes_the_body(env):
    """Entries that may stay as they are: what a robot is, and the joints that a limb does not have."""
    task, rep = env.unwrapped.simulation.task, env.observation_space.representation
    tokens = task.tokens
    still = {name: np.ones(tokens.has_joint.shape[0], dtype=bool)[:, None] for name in tokens.constants()}
    still["position"] = np.arange(len(tokens.has_joint))[:, None] == 0  # of the trunk relative to itself
    for part, where, *_ in tokens.parts:
        for name, times in (("angle", 1), ("speed", 1), ("axis", 3)):
            still[f"{name}_{part}"] = np.repeat(~tokens.has_joint[:, where], times, axis=1)
    entries = np.zeros(rep.dim, dtype=bool)
    for name, limbs in still.items():
        field = rep.field(name)
        entries[rep.slices[name]] = np.broadcast_to(limbs, (rep.count(field), field.width)).ravel()
    return entries


@pytest.mark.parametrize(
    ("env_id", "kwargs", "message"),
    [
        ("eqrl/AntTarget-v0", {"target_sector": (20, 10)}, "target_sector"),
        ("eqrl/AntTarget-v0", {"heading": "north"}, "heading"),
        ("eqrl/AntTarget-v0", {"target_distance": (3, 2)}, "target_distance"),
        ("eqrl/AntTarget-v0", {"on_success": "stop"}, "'terminate', 'redraw'"),
        ("eqrl/AntTarget-v0", {"breaking": "magnet"}, "'gravity', 'wind', 'patch'"),
        ("eqrl/AntTarget-v0", {"breaking": "wind", "breaking_size": -1.0}, "breaking_size"),
        ("eqrl/Reach-v0", {"reward_type": "sprase"}, "'sparse', 'dense'"),
        ("eqrl/Push-v0", {"shape": "Q"}, "'T', 'L'"),
        ("eqrl/Push-v0", {"goal_distance": 3}, "goal_distance"),
        ("eqrl/Push-v0", {"scene_rotation": [1.0, 2.0]}, "scene_rotation"),
        ("eqrl/Push-v0", {"sektor": 3}, "sektor"),
        ("eqrl/AntTarget-v0", {"success_radius": -1}, "success_radius=-1"),
        ("eqrl/AntTarget-v0", {"reset_noise": float("nan")}, "reset_noise"),
        ("eqrl/Reach-v0", {"goal_radius": "far"}, "goal_radius='far'"),
        ("eqrl/AntTarget-v0", {"target_sectr": 1}, "did you mean 'target_sector'"),
        ("eqrl/AntTraget-v0", {}, "did you mean 'eqrl/AntTarget-v0'"),
    ],
)
def test_bad_arguments_are_named(env_id, kwargs, message):
    with pytest.raises(ValueError, match=message):
        eqrl.make_vec(env_id, 3, **kwargs)


def test_unknown_reset_options_are_named():
    env = gymnasium.make("eqrl/AntTarget-v0").unwrapped
    with pytest.raises(ValueError, match="'secene_rotation' is not known"):
        env.reset(options={"secene_rotation": 3})
    with pytest.raises(ValueError, match="scene_rotation=nan"):
        env.reset(options={"scene_rotation": float("nan")})


@pytest.mark.parametrize("env_id", IDS)
def test_spaces_are_typed_with_one_group(env_id):
    env = gymnasium.make(env_id)
    assert representation_of(env.observation_space).group == representation_of(env.action_space).group
    env.reset(seed=0)
    observation, *_ = env.step(env.action_space.sample())
    assert env.observation_space.contains(observation)
    if isinstance(env.observation_space, spaces.Dict):
        assert set(observation) == {"observation", "achieved_goal", "desired_goal"}


@named
def test_the_steps_own_reward_is_that_of_its_goals_to_the_bit(env_id, kwargs):
    env = gymnasium.make(env_id, **kwargs)
    if not hasattr(env.unwrapped, "compute_reward") or "achieved_goal" not in getattr(
        env.observation_space, "spaces", ()
    ):
        pytest.skip("no goal environment")
    env.reset(seed=0)
    env.action_space.seed(0)
    for _ in range(20):
        observation, reward, *_, info = env.step(env.action_space.sample())
        again = env.unwrapped.compute_reward(observation["achieved_goal"], observation["desired_goal"], info)
        assert again == reward
