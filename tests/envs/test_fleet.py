"""Fleets: several models behind one batch, each member with the bits, rewards, pictures and ends that it has alone."""

import os
import pickle

import gymnasium
import numpy as np
import pytest
from chains import CHAINS, SIZES, SLOTTED, Chain, register_chains
from gymnasium.utils.env_checker import check_env as gym_check_env
from stable_baselines3 import PPO, SAC, HerReplayBuffer
from stable_baselines3.common.env_checker import check_env as sb3_check_env
from stable_baselines3.common.evaluation import evaluate_policy

import eqrl
from eqrl import check_environment
from eqrl.agents import EquivariantPolicy, EquivariantSACPolicy, RandomRotation
from eqrl.checkpoint import capture, rehearse, restore
from eqrl.envs.core.crew import Crew, wide
from eqrl.envs.core.divergence import DivergenceError
from eqrl.envs.core.fleet import Fleet
from eqrl.envs.registration import task_class
from eqrl.symmetry import about_gravity

register_chains()
SHAPES = {"T": {"shape": "T"}, "bar": {"shape": "bar"}, "plus": {"shape": "plus"}}
# the first fleet has members of other sizes, the second one of other rewards and symmetries, the third has links in
# padded slots, and the last draws goals in mid-episode
FLEETS = {
    "chains": (CHAINS, SIZES, 16, {}),
    "shapes": ("eqrl/Push-v0", {**SHAPES, "dense": {"reward_type": "dense"}}, 10, {"effector_start": "around"}),
    "slots": (SLOTTED, {"two": {"links": 2}, "nine": {"links": 9}, "low": {"links": 5, "hand_height": 0.4}}, 7, {}),
    "redraw": (
        "eqrl/AntTarget-v0",
        {
            "near": {"success_radius": 10.0, "on_success": "redraw"},
            "far": {},
            "windy": {"breaking": "wind", "breaking_size": 0.2},
        },
        5,
        {},
    ),
}
every_fleet = pytest.mark.parametrize("fleet", FLEETS)


@pytest.fixture(autouse=True)
def _log_goes_elsewhere(tmp_path, monkeypatch):
    """MuJoCo writes its warnings to a log in the working directory."""
    monkeypatch.chdir(tmp_path)


def parts(observation):
    return observation if isinstance(observation, dict) else {"": observation}


def played(env, actions):
    """Everything that some steps return."""
    steps = [(env.reset(), None, None, None)]
    steps += [env.step(action) for action in actions]
    env.close()
    return steps


def drawn(env, steps, seed=0):
    return (
        np.random.default_rng(seed)
        .uniform(-0.6, 0.6, (steps, env.num_envs, *env.action_space.shape))
        .astype(np.float32)
    )


def shares(members, n):
    return dict(zip(members, np.array_split(np.arange(n), len(members)), strict=True))


# ---------------------------------------------------------------------- law 7
@every_fleet
@pytest.mark.parametrize("threads", [1, 2, 5, 20])
def test_a_fleet_agrees_with_its_members_alone(fleet, threads):
    env_id, members, n, shared = FLEETS[fleet]
    turns = np.linspace(0.0, 300.0, n)
    options = {"max_episode_steps": 9, **shared}
    env = eqrl.make_vec(env_id, n, seed=7, n_threads=threads, scene_rotation=turns, members=members, **options)
    actions = drawn(env, 25)
    together = played(env, actions)
    for name, rows in shares(members, n).items():
        single = eqrl.make_vec(
            env_id,
            len(rows),
            seed=7 + int(rows[0]),
            n_threads=1,
            scene_rotation=turns[rows],
            **{**options, **members[name]},
        )
        for (observation, reward, done, infos), (alone, *rest) in zip(
            together, played(single, actions[:, rows]), strict=True
        ):
            for key, value in parts(alone).items():
                np.testing.assert_array_equal(parts(observation)[key][rows], value)
            if reward is not None:
                np.testing.assert_array_equal(reward[rows], rest[0])
                np.testing.assert_array_equal(done[rows], rest[1])
                for i, info in zip(rows, rest[2], strict=True):
                    assert infos[i]["member"] == name
                    _same_info({k: infos[i][k] for k in info}, info)


def _same_info(info, expected):
    for key, value in expected.items():
        if key == "terminal_observation":
            for part, array in parts(value).items():
                np.testing.assert_array_equal(parts(info[key])[part], array)
        elif key == "episode":  # VecMonitor adds wall-clock time
            assert (info[key]["r"], info[key]["l"]) == (value["r"], value["l"])
        else:
            assert info[key] == value


@every_fleet
def test_the_vector_form_has_the_same_bits(fleet):
    env_id, members, n, shared = FLEETS[fleet]
    batch = eqrl.make_vec(env_id, n, seed=4, members=members, max_episode_steps=9, **shared)
    env = gymnasium.make_vec(env_id, n, members=members, max_episode_steps=9, **shared)
    observation, infos = env.reset(seed=4)
    assert infos["member"].tolist() == list(batch.unwrapped.members)
    for (expected, reward, done, rows), action in zip(
        played(batch, drawn(batch, 20)), [None, *drawn(batch, 20)], strict=True
    ):
        if action is not None:
            observation, ours, terminated, truncated, infos = env.step(action)
            np.testing.assert_array_equal(ours.astype(np.float32), reward)
            np.testing.assert_array_equal(terminated | truncated, done)
            assert infos["member"].tolist() == [row["member"] for row in rows]
        for key, value in parts(expected).items():
            np.testing.assert_array_equal(parts(observation)[key], value)
    env.close()


def test_environments_are_shared_out_evenly_and_in_order():
    env = eqrl.make_vec("eqrl/Push-v0", 11, members=SHAPES)
    assert env.unwrapped.members == ("T",) * 4 + ("bar",) * 4 + ("plus",) * 3
    env.reset()
    assert [info["member"] for info in env.unwrapped.reset_infos] == list(env.unwrapped.members)
    assert [task.shape.order for task in env.get_attr("task", [0, 5, -1])] == [1, 2, 4]
    assert env.get_attr("frame_skip") == [10] * 11
    assert env.get_attr("max_episode_steps", 3) == [100]
    assert eqrl.make_vec("eqrl/Push-v0", 2).unwrapped.members == ()


def test_a_term_that_a_member_lacks_is_zero_there():
    env_id, members, n, shared = FLEETS["shapes"]
    env = eqrl.make_vec(env_id, n, seed=0, members=members, approach_weight=0.5, **shared)
    env.reset()
    infos = env.step(drawn(env, 1)[0])[3]
    assert [info["reward_approach"] != 0.0 for info in infos] == [info["member"] == "dense" for info in infos]


# ---------------------------------------------------------------------- what does not fit
class WiderChain(Chain):
    """Chains whose spaces differ in something else than numbers."""

    def __init__(self, **arguments):
        super().__init__(**arguments)
        if self.links == 5:
            rep = self.observation_space.representation
            fields = (*rep.fields[:2], eqrl.Field("aim", "1x1o", horizontal=True))
            self.observation_space = eqrl.TypedBox(eqrl.Representation(fields, group=rep.group))
        if self.links == 6:
            rep = self.observation_space.representation
            fields = (*rep.fields[:2], eqrl.Field("goal", "1x1o", horizontal=True))
            self.observation_space = eqrl.TypedBox(eqrl.Representation(fields, group=rep.group))


@pytest.mark.parametrize(
    ("kind", "other", "message"),
    [
        (WiderChain, {"links": 5}, "the observation space of member 'b' lacks field 'goal'"),
        (WiderChain, {"links": 6}, "the observation space of member 'b' has field 'goal' with role='', not 'goal'"),
        (
            WiderChain,
            {"bound": 0.5},
            "the action space of member 'b' has field 'velocity' with the bound low=-0.5, not -1",
        ),
        (
            "eqrl/Push-v0",
            {"shape": "L"},
            "the observation space of member 'b' under 'achieved_goal' has the group SO2, not O2",
        ),
    ],
)
def test_the_first_difference_of_spaces_is_named(kind, other, message):
    kind = task_class(eqrl.ENVIRONMENTS[kind].task) if isinstance(kind, str) else kind
    with pytest.raises(
        ValueError, match="the members of a fleet need equal spaces; compared with member 'a', "
    ) as error:
        Fleet({"a": kind(), "b": kind(**other)}, 4)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("n", "members", "message"),
    [
        (2, SHAPES, "a fleet of 3 members needs at least as many environments, and 2 is too few"),
        (4, {}, r"members=\{\} does not hold the members of a fleet; give for instance"),
        (4, ["T"], r"members=\['T'\] does not hold the members of a fleet"),
        (4, {"T": "T"}, "member 'T' is 'T', not a table of arguments"),
        (4, {"T": {"shap": "T"}}, "member 'T': it has no option 'shap'; did you mean 'shape'"),
        (4, {"T": {}, "X": {"shape": "X"}}, "member 'X': shape='X' is not known"),
    ],
)
def test_what_is_no_fleet_is_refused(n, members, message):
    for make in (eqrl.make_vec, gymnasium.make_vec):
        with pytest.raises(ValueError, match=message):
            make("eqrl/Push-v0", n, members=members)


def test_one_environment_is_one_member():
    with pytest.raises(ValueError, match=r"give it the arguments of one member, or make the fleet with eqrl\.make_vec"):
        gymnasium.make("eqrl/Push-v0", members=SHAPES)
    env = eqrl.make_vec("eqrl/Push-v0", 3, members=SHAPES).unwrapped
    with pytest.raises(AttributeError, match="one for each member"):
        _ = env.task
    with pytest.raises(ValueError, match=r"actions have shape \(2, 2\), expected \(3, 2\)"):
        env.simulation.step(np.zeros((2, 2)))
    with pytest.raises(ValueError, match="scene_rotation must be one finite number of degrees or 3 of them"):
        eqrl.make_vec("eqrl/Push-v0", 3, members=SHAPES, scene_rotation=[0.0, 90.0])


@pytest.mark.filterwarnings("ignore:.*A Box observation space m..imum value is.*infinity.*:UserWarning")
@pytest.mark.parametrize("env_id", [CHAINS, SLOTTED])
@pytest.mark.parametrize("member", ["2 links", "9 links"])
def test_the_toy_members_are_sound(env_id, member):
    env = gymnasium.make(env_id, **SIZES[member], hand_height=0.8)
    gym_check_env(env.unwrapped, skip_render_check=True)
    sb3_check_env(env.unwrapped)
    assert max(report.error for report in check_environment(env, steps=50)) < 1e-8


# ---------------------------------------------------------------------- state and symmetry
def test_each_simulation_can_be_turned_by_its_own_element():
    env = eqrl.make_vec(CHAINS, 12, seed=1, members=SIZES)
    env.reset()
    simulation, rep = env.unwrapped.simulation, env.action_space.representation
    actions = drawn(env, 12).astype(np.float64)
    for action in actions[:4]:
        simulation.step(action)
    g = simulation.members["2 links"].task.group.sample(12, rng=np.random.default_rng(0))
    start, states, seen = simulation.get_state(), [], []
    for action in actions[4:]:
        reward = simulation.step(action).reward
        states.append((simulation.get_state(), reward))
        seen.append(simulation.observe())
    simulation.set_state(simulation.transform(start, g))
    for action, (state, reward), observation in zip(actions[4:], states, seen, strict=True):
        outcome = simulation.step(rep.transform(action, g))
        difference = simulation.difference(simulation.transform(state, g), simulation.get_state())
        assert {name.split(":")[0] for name in difference} == set(SIZES)
        assert max(difference.values()) < 1e-8
        np.testing.assert_allclose(outcome.reward, reward, atol=1e-8)
        turned = env.observation_space.representation.transform(observation, g)
        np.testing.assert_allclose(simulation.observe(), turned, atol=1e-6)


def test_some_states_can_be_kept_and_put_back():
    env = eqrl.make_vec(CHAINS, 16, seed=1, members=SIZES)
    env.reset()
    simulation, ids = env.unwrapped.simulation, np.array([2, 3, 8, 15])
    before = simulation.get_state(ids)
    assert before.rows["3 links"].tolist() == [0, 1]
    assert before.rows["9 links"].tolist() == [3]
    for action in drawn(env, 3).astype(np.float64):
        simulation.step(action)
    after = simulation.get_state()
    simulation.set_state(before, ids)
    assert max(simulation.difference(before, simulation.get_state(ids)).values()) == 0.0
    others = np.setdiff1d(np.arange(16), ids)
    elsewhere = simulation.get_state(others)
    for name, rows in elsewhere.rows.items():
        kept = after.states[name].qpos[others[rows] - 2 * list(SIZES).index(name)]
        np.testing.assert_array_equal(elsewhere.states[name].qpos, kept)
    with pytest.raises(ValueError, match="does not fit the simulations of member '2 links'"):
        simulation.set_state(before)
    turned = simulation.transform(before, about_gravity(np.pi / 2))
    for name, state in before.states.items():
        np.testing.assert_allclose(turned.states[name].variables[:, 0], -state.variables[:, 1], atol=1e-12)
    elapsed = simulation.elapsed.copy()
    simulation.reset(ids, options=[{}, {"goal_rotation": 10.0}, {}, {}])
    assert (simulation.elapsed == np.where(np.isin(np.arange(16), ids), 0, elapsed)).all()


# ---------------------------------------------------------------------- checkpoints
@every_fleet
def test_it_goes_on_from_a_checkpoint_to_the_bit(fleet):
    env_id, members, n, shared = FLEETS[fleet]
    for wrap in (lambda e: e, RandomRotation):
        assert rehearse(lambda s, wrap=wrap: wrap(eqrl.make_vec(env_id, n, seed=s, members=members, **shared))) is None


def test_a_state_of_other_members_is_refused():
    env = eqrl.make_vec(CHAINS, 4, members={"short": {"links": 2}, "long": {"links": 5}})
    env.reset()
    state = capture(env)
    for others, message in (
        (
            {"long": {"links": 5}, "short": {"links": 2}},
            "the state is that of the members short, long, and here are long, short",
        ),
        ({"short": {"links": 2}, "longer": {"links": 5}}, "here are short, longer"),
        ({"short": {"links": 2}, "long": {"links": 6}}, "the physics have shape"),
    ):
        with pytest.raises(ValueError, match=message):
            restore(eqrl.make_vec(CHAINS, 4, members=others), state)


# ---------------------------------------------------------------------- divergence
def kicked(env, rows):
    """Before the next step, some simulations get velocities that no physics survives."""
    for i in rows:
        member, k = env.unwrapped.simulation.at(i)
        state = member.get_state()
        state.qvel[k] = 1e12
        member.set_state(state)


def test_a_diverged_member_ends_alone():
    options = {"seed": 0, "members": SIZES, "max_episode_steps": 20}
    calm, shaken = eqrl.make_vec(CHAINS, 16, **options), eqrl.make_vec(CHAINS, 16, on_divergence="reset", **options)
    calm.reset()
    shaken.reset()
    for k, action in enumerate(drawn(calm, 30)):
        if k == 12:
            kicked(shaken, [5])
        expected, observed = calm.step(action), shaken.step(action)
        others = np.arange(16) != 5
        for a, b in zip(expected[:3], observed[:3], strict=True):
            np.testing.assert_array_equal(a[others], b[others])
        assert [bool(info.get("diverged")) for info in observed[3]] == [k == 12 and i == 5 for i in range(16)]
        assert np.isfinite(observed[0]).all()
        if k == 12:
            assert observed[2].tolist() == [i == 5 for i in range(16)]
            assert observed[1][5] == 0.0
            assert observed[3][5]["member"] == "4 links"
    simulation = shaken.unwrapped.simulation
    assert simulation.divergences == simulation.members["4 links"].divergences == 1
    simulation.on_divergence = "stop"
    assert {member.on_divergence for member in simulation.members.values()} == {"stop"}
    with pytest.raises(ValueError, match="on_divergence='mend' is not known"):
        simulation.on_divergence = "mend"


def test_stopping_names_member_and_row():
    env = eqrl.make_vec(CHAINS, 16, seed=0, members=SIZES)
    env.reset()
    for action in drawn(env, 3):
        env.step(action)
    kicked(env, [15, 2, 3])
    with pytest.raises(
        DivergenceError, match=r"^the physics diverged \(member 2 '3 links' and 2 more, .* s after its reset\); "
    ) as e:
        env.step(drawn(env, 1)[0])
    error = pickle.loads(pickle.dumps(e.value))
    assert (error.members, error.names) == ((2, 3, 15), ("3 links", "3 links", "9 links"))
    assert str(error) == str(e.value)
    assert error.action.shape == (3, 2)
    assert np.isnan(error.state[:2]).any()
    assert not np.isnan(error.state[2]).any()
    assert env.unwrapped.simulation.states_before.shape == (16, error.state.shape[1])


# ---------------------------------------------------------------------- rewards of any goals
def quarter_turned(n):
    """Goals that are reached but for a quarter turn, which a plus does not see and a T does."""
    desired = np.tile(np.float32([0.1, 0.0, 1.0, 0.0]), (n, 1))
    return np.tile(np.float32([0.1, 0.0, 0.0, 1.0]), (n, 1)), desired


def test_rewards_of_any_goals_are_those_of_the_right_member():
    env = eqrl.make_vec("eqrl/Push-v0", 6, members=SHAPES)
    achieved, desired = quarter_turned(4)
    infos = [{"member": name} for name in ("plus", "T", "plus", "bar")]
    for rows in ([0], [5]):  # hindsight replay asks environment 0 for everything
        (rewards,) = env.env_method("compute_reward", achieved, desired, infos, indices=rows)
        assert rewards.tolist() == [0.0, -1.0, 0.0, -1.0]
    assert env.env_method("compute_reward", achieved[0], desired[0], {}) == [-1.0] * 4 + [0.0] * 2
    (rewards,) = env.env_method("compute_reward", achieved, desired, None, indices=[4])
    assert rewards.tolist() == [0.0] * 4
    for infos in ([{}] * 4, [{"member": "L"}] * 4):
        with pytest.raises(
            ValueError, match=r"none of T, bar, plus; .* replay_buffer_kwargs=dict\(copy_info_dict=True\)"
        ):
            env.env_method("compute_reward", achieved, desired, infos, indices=[0])


def test_rewards_of_steps_can_be_computed_again():
    env_id, members, n, shared = FLEETS["shapes"]
    env = eqrl.make_vec(env_id, n, seed=0, members=members, approach_weight=0.5, **shared)
    env.reset()
    for action in drawn(env, 10):
        observation, reward, _, infos = env.step(action)
        (again,) = env.env_method(
            "compute_reward", observation["achieved_goal"], observation["desired_goal"], infos, indices=[0]
        )
        np.testing.assert_allclose(again, reward, rtol=1e-6)


def test_stock_hindsight_replay_relabels_with_the_right_member():
    env = eqrl.make_vec("eqrl/Push-v0", 4, seed=0, members={"T": {}, "plus": {"shape": "plus"}}, max_episode_steps=20)
    options = {
        "replay_buffer_class": HerReplayBuffer,
        "learning_starts": 100,
        "batch_size": 64,
        "seed": 0,
        "train_freq": 8,
    }
    with pytest.raises(ValueError, match="copy_info_dict=True"):
        SAC(EquivariantSACPolicy, env, **options).learn(200)
    model = SAC(EquivariantSACPolicy, env, replay_buffer_kwargs={"copy_info_dict": True}, **options).learn(400)
    buffer = model.replay_buffer
    names = [{info["member"] for info in column if info} for column in buffer.infos[: buffer.pos].T]
    assert names == [{"T"}, {"T"}, {"plus"}, {"plus"}]
    # all achieved goals a quarter turn away from where any goal can be: only a plus gets there
    achieved, desired = quarter_turned(1)
    buffer.next_observations["achieved_goal"][:], buffer.observations["achieved_goal"][:] = achieved, achieved
    buffer.observations["desired_goal"][:], buffer.next_observations["desired_goal"][:] = desired, desired
    buffer._sample_goals = lambda batch, envs: np.repeat(desired, len(batch), axis=0)
    batch, envs = np.zeros(4, dtype=int), np.arange(4)
    virtual = buffer._get_virtual_samples(batch, envs, None)
    assert virtual.rewards.flatten().tolist() == [-1.0, -1.0, 0.0, 0.0]


# ---------------------------------------------------------------------- pictures
def test_every_environment_is_drawn_with_its_own_model():
    options = {"members": {"2": {"links": 2}, "9": {"links": 9}}, "render_mode": "rgb_array", "width": 96, "height": 96}
    env = eqrl.make_vec(CHAINS, 3, seed=0, **options)
    env.reset()
    for action in drawn(env, 3):
        env.step(action)
    try:
        frames = env.get_images()
    except RuntimeError as error:
        if os.environ.get("EQRL_REQUIRE_RENDERING") == "1":
            raise
        pytest.skip(str(error))
    assert len(frames) == 3
    for i, links in ((1, 2), (2, 9)):
        alone = gymnasium.make(CHAINS, links=links, render_mode="rgb_array", width=96, height=96).unwrapped
        alone.reset(seed=i)
        member, k = env.unwrapped.simulation.at(i)
        alone.set_state(member.get_state(np.array([k])))
        np.testing.assert_array_equal(frames[i], alone.render())
        alone.close()
    assert (frames[1] != frames[2]).any()
    env.close()
    vector = gymnasium.make_vec(CHAINS, 2, **options)
    vector.reset(seed=0)
    assert len(vector.render()) == 2
    vector.close()


# ---------------------------------------------------------------------- the rest of SB3, threads
@pytest.mark.parametrize("env_id", [CHAINS, SLOTTED])
def test_one_policy_trains_on_all_and_is_evaluated(env_id):
    env = eqrl.make_vec(env_id, 8, seed=0, n_threads=2, members=SIZES)
    if env_id == SLOTTED:
        real = env.reset()[:, env.observation_space.representation.slices["real"]]
        assert real.sum(axis=1).tolist() == [2, 3, 4, 5, 6, 7, 8, 9]
    model = PPO(EquivariantPolicy, env, n_steps=32, batch_size=64, n_epochs=1, seed=0).learn(512)
    mean, _ = evaluate_policy(model, env, n_eval_episodes=8)
    assert np.isfinite(mean)


@pytest.mark.parametrize(
    ("work", "parts", "threads", "split"),
    [
        ([1, 1], [8, 8], 1, set()),
        ([1, 1], [8, 8], 2, set()),
        ([1, 1, 1], [8, 8, 8], 2, {0}),
        ([2, 6], [8, 8], 2, {0, 1}),
        ([1, 1, 9], [8, 8, 8], 2, {2}),
        ([9, 9], [1, 1], 4, set()),  # a single simulation cannot be split
        ([1, 1], [8, 8], 8, {0, 1}),
        (range(2, 10), [8] * 8, 2, set()),
    ],
)
def test_members_that_would_keep_the_others_waiting_are_split(work, parts, threads, split):
    assert wide(work, parts, threads) == split


def test_a_crew_does_every_job_once_and_hands_errors_on():
    done = []
    jobs = [lambda k=k: done.append(k) for k in range(20)]
    crew = Crew(jobs, 3)
    for _ in range(5):
        crew.run()
    assert sorted(done) == sorted([*range(20)] * 5)
    crew.close()

    def fail():
        raise RuntimeError("no more")

    crew = Crew([fail, *jobs], 2)
    for _ in range(3):
        with pytest.raises(RuntimeError, match="no more"):
            crew.run()
    crew.close()


def test_specs_make_the_same_environment_alone():
    """One environment of a batch, made by Gymnasium from its specification, has its model, arguments and time limit."""
    name, members, _, arguments = FLEETS["redraw"]
    fleet = eqrl.make_vec(name, n_envs=3, members=members, max_episode_steps=7, **arguments)
    batch = eqrl.make_vec(name, n_envs=2, breaking="wind", breaking_size=0.2)
    for env, i, wind in ((fleet, 0, 0.0), (fleet, 2, 0.2), (batch, 1, 0.2)):
        alone = gymnasium.make(env.get_attr("spec")[i])
        assert alone.get_wrapper_attr("task").breaking_size == wind
        assert alone.spec.max_episode_steps == env.get_attr("max_episode_steps")[i]
        env.seed(5 - i)
        assert np.array_equal(alone.reset(seed=5)[0], env.reset()[i])
