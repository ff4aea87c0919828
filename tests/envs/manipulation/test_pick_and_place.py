"""PickAndPlace: grasps hold, a script solves it, the half turn is real, hindsight works."""

import gymnasium
import numpy as np
import pytest

import eqrl
from eqrl import check_environment
from eqrl.envs.core.simulation import Simulation
from eqrl.envs.manipulation.pick_and_place import PickAndPlace
from eqrl.symmetry import SymmetryError


def scripted(task, observation):
    """Above the object, turn to it, go down, close, carry to the goal."""
    values = {}
    for key, space in task.observation_space.spaces.items():
        rep = space.representation
        values |= {f"{key}/{name}": observation[key][:, where] for name, where in rep.slices.items()}
    to_object, offsets = values["observation/to_object"], values["observation/finger_offset"]
    jaw, y = offsets[:, :2] - offsets[:, 2:], values["observation/object_direction"]
    x = np.stack([y[:, 1], -y[:, 0]], axis=1)  # the axis across which the object is gripped, flat
    period = np.pi / 2 if task.shape[0] == task.shape[1] else np.pi
    turn = np.arctan2(jaw[:, 0] * x[:, 1] - jaw[:, 1] * x[:, 0], (jaw * x).sum(1))
    turn -= period * np.round(turn / period)
    aside, opening = np.linalg.norm(to_object[:, :2], axis=1), np.linalg.norm(jaw, axis=1) / 2
    low = np.abs(to_object[:, 2]) < 0.012
    between = (aside < 0.01) & low
    ready = (aside < 0.01) & (np.abs(turn) < 0.15)
    width = task.shape[0] + 0.012  # at which the tips' centres touch
    holds = between & (opening < width + 0.004) & (np.abs(values["observation/finger_speed"][:, 0]) < 0.02)
    to_goal = values["desired_goal/position"] - values["achieved_goal/position"]
    above = to_object + np.where(ready | between, 0.0, 0.08)[:, None] * (0, 0, 1)
    target = np.where(holds[:, None], to_goal, np.where(between[:, None], 0.0, above))
    return np.column_stack(
        [target / 0.05, np.where(holds, 0.0, np.clip(5.0 * turn, -1, 1)), np.where(between, 1.0, -1.0)]
    ).astype(np.float32)


def play(n=128, seed=0, steps=30, **arguments):
    task = PickAndPlace(**arguments)
    simulation = Simulation(task, n, 1)
    simulation.seed(list(range(seed, seed + n)))
    simulation.reset()
    for _ in range(steps):
        outcome = simulation.step(scripted(task, simulation.observe()).astype(np.float64))
    return simulation, outcome


@pytest.mark.parametrize("arguments", [{}, {"shape": "bar"}, {"start": "hand", "air": 1.0}], ids=str)
def test_a_script_picks_and_places(arguments):
    _, outcome = play(**arguments)
    assert outcome.success.mean() > 0.95


def test_a_lifted_object_does_not_creep():
    simulation, _ = play(start="hand", air=1.0, n=16)
    before = (simulation.world.bodies.object.position - simulation.world.bodies.gripper.position).copy()
    still = np.tile([0.0, 0.0, 0.0, 0.0, 1.0], (16, 1))
    for _ in range(50):
        simulation.step(still)
    drift = simulation.world.bodies.object.position - simulation.world.bodies.gripper.position - before
    assert np.abs(drift).max() < 1e-3
    assert simulation.world.bodies.object.position[:, 2].min() > 0.05


def test_lifting_commutes_with_turns_mirrors_and_the_exchange_of_fingers():
    task = PickAndPlace(air=1.0)
    plain, moved = (Simulation(task, 8, 1) for _ in range(2))
    rep = task.action_space.representation
    for name, g in task.group.generators:
        plain.seed(list(range(8)))
        plain.reset()
        moved.set_state(plain.transform(plain.get_state(), g))
        for _ in range(50):
            action = scripted(task, plain.observe()).astype(np.float64)
            plain.step(action)
            moved.step(rep.transform(action, g))
            difference = plain.difference(plain.transform(plain.get_state(), g), moved.get_state())
            assert max(difference.values()) < 1e-8, name
        assert plain.world.bodies.object.position[:, 2].min() > 0.07


def test_half_a_turn_of_the_gripper_exchanges_its_fingers_and_changes_nothing_else():
    task = PickAndPlace(start="hand")
    plain, turned = (Simulation(task, 1, 1) for _ in range(2))
    plain.seed([0])
    plain.reset()
    g = dict(task.group.generators)["half a turn of the gripper"]
    turned.set_state(plain.transform(plain.get_state(), g))
    a, b = plain.world, turned.world
    assert abs(a.positions.gripper_yaw - b.positions.gripper_yaw)[0] == pytest.approx(np.pi)
    np.testing.assert_allclose(a.bodies["left finger"].position, b.bodies["right finger"].position, atol=1e-12)
    np.testing.assert_allclose(a.bodies.object.position, b.bodies.object.position, atol=1e-12)


def test_a_broken_finger_is_reported():
    env = gymnasium.make("eqrl/PickAndPlace-v0", start="hand").unwrapped
    env.task.model.geom("left finger").friction[0] = 0.3
    env.simulation = Simulation(env.task, 1, 1)
    with pytest.raises(SymmetryError, match="half a turn of the gripper"):
        check_environment(env, steps=30, episodes=2)


@pytest.mark.parametrize(("start", "share"), [("table", 0.0), ("hand", 1.0), ("mixed", 0.5)])
def test_starts_and_goals_are_shared_out_as_asked(start, share):
    n = 400
    simulation = Simulation(PickAndPlace(start=start, air=0.25), n, 1)
    simulation.seed(list(range(n)))
    simulation.reset()
    held = np.linalg.norm(simulation.world.bodies.object.position - simulation.world.bodies.gripper.position, axis=1)
    assert np.mean(held < 1e-9) == pytest.approx(share, abs=0.08)
    goal = simulation.world.variables.goal
    assert np.mean(goal[:, 2] > 0.03) == pytest.approx(0.25, abs=0.08)
    distances = np.linalg.norm(goal[:, :2], axis=1)
    assert distances.min() >= 0.1
    assert distances.max() <= 0.2


def test_hindsight_makes_goals_of_what_was_reached():
    from stable_baselines3 import SAC, HerReplayBuffer

    env = eqrl.make_vec("eqrl/PickAndPlace-v0", 4, seed=0, start="mixed")
    model = SAC(
        eqrl.EquivariantSACPolicy, env, replay_buffer_class=HerReplayBuffer, learning_starts=220, gradient_steps=2,
        batch_size=64, seed=0, policy_kwargs={"network": "vector", "network_kwargs": {"hidden": [16, 16]}},
    )  # fmt: skip
    model.learn(240)
    batch = model.replay_buffer.sample(256)
    achieved, desired = (batch.next_observations[key].numpy() for key in ("achieved_goal", "desired_goal"))
    reached = np.linalg.norm(achieved - desired, axis=1) < 0.05
    np.testing.assert_array_equal(batch.rewards.numpy()[:, 0], reached - 1.0)
    assert reached.any()
    assert eqrl.check_policy(model, env).worst < 1e-4
