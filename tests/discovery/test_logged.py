"""Discovery from logged transitions alone, and what they cannot tell."""

import numpy as np
import pytest
from plane import C4
from windy_plane import WindyPlane

from eqrl.discovery import Transitions, discover_in_data, record
from eqrl.errors import UsageError
from eqrl.symmetry import O2

SPACES = tuple(space.representation for space in (WindyPlane().observation_space, WindyPlane().action_space))


def spaces_of(env):
    return env.observation_space.representation, env.action_space.representation


@pytest.fixture(scope="module")
def logs():
    return {wind: record(WindyPlane(wind), steps=2400) for wind in (0.0, 0.2)}


def test_symmetries_are_told_from_decoys(logs):
    found = discover_in_data(logs[0.0], SPACES)
    assert found.name == "SO2 x C2"
    assert found.holds
    for name in ("shear", "quarter turn, actions left alone"):
        assert found[name].measured.holds is False
        assert found[name].measured.residual > 0.25


def test_wind_leaves_only_its_mirror(logs):
    found = discover_in_data(logs[0.2], SPACES)
    assert found.generators == ("mirror y -> -y",)
    assert not found.holds
    turned = found["quarter turn"].measured
    assert 0.5 < turned.residual < 1.5
    assert turned.confidence > 0.95


def test_maps_in_the_file_are_enough(logs, tmp_path):
    path = tmp_path / "log.npz"
    logs[0.2].save(path)
    again = Transitions.read(path)
    np.testing.assert_array_equal(again.observations, logs[0.2].observations)
    assert list(again.names) == [name for name, _ in C4.generators]
    found = discover_in_data(again)
    assert [t.kind for t in found.tried] == ["map", "decoy"]
    assert found["quarter turn"].measured.holds is False


def test_what_was_never_seen_is_unknown(logs):
    log = logs[0.0]
    # everything points along +x: nothing turned by 90 degrees was ever seen
    rows = np.flatnonzero((log.observations[:, 0] > abs(log.observations[:, 1])) & (log.observations[:, 4] > 0.0))
    some = Transitions(
        log.observations[rows] * ([1, 0.1] * 3),
        log.actions[rows] * [1, 0.1],
        log.next_observations[rows] * ([1, 0.1] * 3),
        log.rewards[rows],
    )
    found = discover_in_data(some, SPACES)
    turned = found["quarter turn"].measured
    assert turned.holds is None
    assert turned.coverage < 0.2
    assert found["quarter turn"].weight == 0.0
    assert not found.holds
    assert any("quarter turn cannot be told" in note for note in found.notes)


@pytest.mark.parametrize("seed", range(4))
def test_a_side_that_was_never_visited_is_unknown(seed):
    """x -> -x holds, but all data lie at x > 0: what little is covered lies at the edge of what was seen."""
    rng = np.random.default_rng(seed)
    s, a = rng.normal(size=(800, 2)), rng.uniform(-1.0, 1.0, (800, 2))
    s[:, 0] = abs(s[:, 0])
    change = np.stack([0.1 * a[:, 0] - 0.05 * s[:, 0] ** 3, 0.2 * a[:, 1] - 0.1 * np.sin(s[:, 1])], 1)
    mirror = np.diag([-1.0, 1.0])[None]
    log = Transitions(s, a, s + change, -np.linalg.norm(s, axis=1), None, np.array(["mirror"]), mirror, mirror)
    measured = discover_in_data(log)["mirror"].measured
    assert measured.holds is None
    assert "have data nearby" in measured.reason


@pytest.mark.parametrize("seed", range(3))
def test_few_episodes_do_not_refute_what_holds(seed):
    env = WindyPlane(0.0, group=O2, length=30)
    found = discover_in_data(record(env, steps=400, seed=seed), spaces_of(env))
    assert [t.measured.holds for t in found.tried if t.claimed].count(False) == 0
    decoy = found["rotation about gravity, actions left alone"].measured
    assert decoy.holds is False


def test_four_episodes_with_a_goal_each_tell_nothing():
    found = discover_in_data(record(WindyPlane(0.0, length=100), steps=400), SPACES)
    assert {t.measured.holds for t in found.tried} == {None}
    assert "fewer than 8 episodes" in found.tried[0].measured.reason


def test_a_breaking_below_the_noise_is_said_to_be_invisible(logs):
    log, rng = logs[0.2], np.random.default_rng(0)
    noisy = Transitions(
        log.observations, log.actions, log.next_observations + rng.normal(size=log.observations.shape), log.rewards
    )
    found = discover_in_data(noisy, SPACES)
    assert any("do not determine velocity" in note for note in found.notes)


def test_termination_is_compared(logs):
    log = logs[0.0]
    east = log.next_observations[:, 0] > 0.8
    found = discover_in_data(
        Transitions(log.observations, log.actions, log.next_observations, np.zeros(len(log)), east), SPACES
    )
    assert found["mirror x -> -x"].measured.holds is False
    assert found["mirror x -> -x"].measured.part == "termination"
    assert found["mirror y -> -y"].measured.holds is True
    # a turn by 37 degrees moves the border by less than the model of a jump is wrong
    assert found["rotation about gravity"].measured.holds is None
    assert "noise" in found["rotation about gravity"].measured.reason


def save(path, **arrays):
    np.savez(path, **arrays)
    return path


GOOD = {
    "observations": np.zeros((300, 2)),
    "actions": np.zeros((300, 1)),
    "next_observations": np.zeros((300, 2)),
    "rewards": np.zeros(300),
}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rewards": None}, "array 'rewards' is missing"),
        ({"rewards": None, "reward": np.zeros(300)}, "did you mean 'reward'"),
        ({"rewards": np.zeros(200)}, r"'rewards' has shape \(200,\); expected \(300,\)"),
        ({"actions": np.full((300, 1), np.nan)}, "not finite in row 0"),
        ({"names": np.array(["a"])}, "'observation_maps' is missing"),
        ({"rewards": np.array(["x"] * 300)}, "give numbers"),
    ],
)
def test_bad_files_are_refused_in_one_line(change, words, tmp_path):
    arrays = {k: v for k, v in {**GOOD, **change}.items() if v is not None}
    with pytest.raises(UsageError, match=words):
        Transitions.read(save(tmp_path / "log.npz", **arrays))


def test_other_files_are_refused(tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        Transitions.read(tmp_path / "log.npz")
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(UsageError, match="plain arrays"):
        Transitions.read(tmp_path / "text.npz")
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(UsageError, match="one array"):
        Transitions.read(tmp_path / "one.npy")
    with pytest.raises(UsageError, match=r"use \.npz"):
        Transitions(**GOOD).save(tmp_path / "log.csv")


def test_single_numbers_are_columns():
    log = Transitions(*(np.zeros(300) for _ in range(4)))
    assert log.observations.shape == log.actions.shape == log.next_observations.shape == (300, 1)


def test_logs_that_say_nothing_are_refused():
    with pytest.raises(UsageError, match="nothing changes"):
        discover_in_data(Transitions(**GOOD), candidates=[])
    with pytest.raises(UsageError, match="--env ID"):
        discover_in_data(Transitions(**GOOD))
    few = Transitions(*(np.zeros((9, n)) for n in (6, 2, 6)), np.zeros(9))
    with pytest.raises(UsageError, match="too few"):
        discover_in_data(few, SPACES)
    with pytest.raises(UsageError, match="rows of 2 numbers"):
        discover_in_data(Transitions(**GOOD), SPACES)
