"""What a spectator does to an episode: turns and pushes that an exact agent answers exactly, and the same for two."""

import itertools

import gymnasium
import numpy as np
import pytest

import eqrl
from eqrl.envs.registration import ENVIRONMENTS
from eqrl.errors import UsageError
from eqrl.symmetry import about_gravity
from eqrl.watching.player import Player
from eqrl.watching.session import Session
from eqrl.watching.status import BOTH
from eqrl.watching.view import Drawing

ANT = "eqrl/AntTarget-v0"
# a set needs the name of a member; of the families of robots one is enough
SINGLE = [name for name, one in ENVIRONMENTS.items() if one.members is None and "SGRL" not in name]
TURN = about_gravity(np.deg2rad(30.0))


class Waving:
    """Stands in for a trained agent: moves everything to and fro."""

    def __init__(self, env):
        self.observation_space, self.action_space = env.observation_space, env.action_space
        self._calls = 0

    def predict(self, observation, deterministic=True):
        self._calls += 1
        shape = self.action_space.shape
        return np.full(shape, 0.5 * np.sin(self._calls / 3.0), dtype=np.float32), None


def player(env_id, model=None, **options):
    env = gymnasium.make(env_id, **options)
    return Player("agent", model or Waving(env), env)


@pytest.fixture(scope="module")
def agents(runs):
    return {name: eqrl.load(path)[0] for name, path in runs.items()}


def advance(session, steps):
    frames = []
    for _ in range(steps):
        frames += session.advance()
    return frames


def turned(player, g):
    """How far the state of a player is from that of a scene turned by ``g``, which a function gives."""
    env = player._env.unwrapped
    return lambda other: max(
        env.state_difference(env.transform_state(env.get_state(), g), other._env.unwrapped.get_state()).values()
    )


@pytest.mark.parametrize("env_id", SINGLE)
def test_every_environment_is_watched(env_id):
    session = Session(env_id, [player(env_id), player(env_id)], seed=3)
    frames = advance(session, 2)
    assert len(frames) >= 2
    assert all(np.array_equal(a, b) for a, b in frames)
    assert not np.array_equal(frames[0][0], frames[-1][0])
    status = session.status()
    session.ask("scene", 1)
    if status.turns_goal:
        session.ask("goal", 1)
    session.ask("push", 90.0)
    frames = advance(session, 2)
    assert np.isfinite(frames[-1][0]).all()
    assert np.array_equal(*frames[-1])
    assert (session.status().scene, session.status().goal) == (30.0, 30.0 if status.turns_goal else 0.0)
    geoms = Drawing(session).geoms(frames[-1])
    assert 0 < len(geoms) < 1000


def test_frames_between_control_steps_change_no_bit():
    shown, plain = player(ANT), gymnasium.make(ANT)
    shown.start(5, 0.0, 0.0)
    plain.reset(seed=5)
    assert plain.unwrapped.simulation.trace is None
    agent = Waving(plain)
    for _ in range(20):
        states = shown.step()
        plain.step(agent.predict(None)[0])
        assert len(states) == plain.unwrapped.task.frame_skip
        np.testing.assert_array_equal(states[-1], plain.unwrapped.simulation.batch.state[0])
        assert all(not np.array_equal(a, b) for a, b in itertools.pairwise(states))


@pytest.mark.parametrize("network", ["frame", "mlp"])
def test_an_exact_agent_does_not_mind_that_the_scene_turns_under_it(agents, network):
    left, right = player(ANT, agents[network]), player(ANT, agents[network])
    for one in (left, right):
        one.start(1, 0.0, 0.0)
    for step in range(25):
        if step == 10:
            right.turn_scene(TURN)
            assert turned(left, TURN)(right) < 1e-12
        left.step()
        right.step()
    error = turned(left, TURN)(right)
    assert error < 1e-4 if network == "frame" else error > 1e-2


def test_a_push_turns_with_the_scene(agents):
    sessions = [Session(ANT, [player(ANT, agents["frame"])], seed=2) for _ in range(3)]
    sessions[1].ask("scene", 1)
    for session in sessions[:2]:
        session.ask("push", 20.0)
    for session in sessions:
        advance(session, 6)
    first, pushed_too, alone = (session.players[0] for session in sessions)
    assert turned(first, TURN)(pushed_too) < 1e-5
    assert turned(first, about_gravity(0.0))(alone) > 1e-2


def test_a_push_gives_the_velocity_that_was_asked_for_and_leaves_the_wind():
    one = player(ANT, breaking="wind", breaking_size=0.3)
    one.start(0, 0.0, 0.0)
    wind = one.physics.force.copy()
    assert np.abs(wind).max() > 0
    one.push(np.array([2.0, 0.0, 0.0]))
    one.push(np.array([0.0, 1.0, 0.0]))  # takes the place of the first
    mass = one.physics.model.body_subtreemass[one.physics.body]
    np.testing.assert_allclose((one.physics.force - wind) / mass * 0.1, [0.0, 1.0, 0.0])
    for _ in range(2):
        one.step()
    np.testing.assert_array_equal(one.physics.force, wind)


def test_a_goal_turns_about_the_robot_at_once():
    session = Session(ANT, [player(ANT)])
    advance(session, 3)
    world = session.players[0]._env.unwrapped.simulation.world[0]
    torso, before = world.bodies.torso.position.copy(), world.variables.target.copy()
    seconds = session.status().seconds
    session.ask("goal", 3)
    np.testing.assert_allclose(
        world.variables.target, torso + about_gravity(np.pi / 2).R.numpy() @ (before - torso), atol=1e-9
    )
    assert session.status().seconds == seconds > 0


def test_a_goal_that_is_a_body_turns_with_a_new_start():
    session = Session("x", [player("eqrl/RopeClosing-v0")], seed=7)
    advance(session, 3)
    session.ask("goal", -1)
    assert (session.status().seconds, session.status().goal, session.status().seed) == (0.0, 330.0, 7)
    fresh = gymnasium.make("eqrl/RopeClosing-v0", goal_rotation=330.0).unwrapped
    fresh.reset(seed=7)
    np.testing.assert_array_equal(fresh.simulation.batch.state[0], session.states()[0])


def test_who_ends_first_waits_and_then_both_play_the_next_episode(agents):
    short = player(ANT, agents["mlp"], max_episode_steps=3)
    session = Session(ANT, [player(ANT, agents["frame"], max_episode_steps=6), short], seed=4)
    assert session.status().shown == BOTH
    frames = advance(session, 6)
    assert [seen.done for seen in session.status().seen] == [True, True]
    assert len({tuple(second) for _, second in frames[15:]}) == 1
    advance(session, 1)
    assert session.status().seed == 5
    assert session.status().seconds == pytest.approx(0.05)
    errors = [seen.error for seen in session.status().seen]
    assert errors[0] < 1e-5 < 1e-2 < errors[1]


def test_time_and_the_choice_of_an_agent():
    session = Session(ANT, [player(ANT), player(ANT)], rotations=4)
    for request, value in (("show", 1.0), ("speed", 0.5), ("strength", 2.0), ("pause", 0.0), ("next", 0.0)):
        session.ask(request, value)
    status = session.status()
    assert (status.shown, status.speed, status.strength, status.paused) == (1, 0.5, 2.0, True)
    assert (status.seed, status.turn) == (10_001, 90.0)
    both = len(Drawing(session).geoms(session.states()))
    session.ask("show", BOTH)
    assert len(Drawing(session).geoms(session.states())) > both  # the ghost
    before = session.states()[0]
    advance(session, 2)
    session.ask("restart")
    np.testing.assert_array_equal(before, session.states()[0])


def test_an_environment_of_others_is_pushed_but_not_turned():
    session = Session("Ant-v5", [player("Ant-v5")])
    advance(session, 2)
    session.ask("scene", 1)
    session.ask("goal", 1)
    status = session.status()
    assert (status.turns_scene, status.turns_goal, status.scene, status.goal) == (False, False, 0.0, 0.0)
    assert status.pushed == "torso"
    session.ask("push", 0.0)
    assert session.players[0].physics.force[0] > 0
    advance(session, 4)
    np.testing.assert_array_equal(session.players[0].physics.force, 0.0)


def test_what_has_no_physics_cannot_be_watched():
    with pytest.raises(UsageError, match=r"CartPole-v1 cannot be watched: it has no MuJoCo model"):
        player("CartPole-v1")
