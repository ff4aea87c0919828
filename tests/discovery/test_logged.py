"""Discovery from logged transitions alone, and what they cannot tell."""

import numpy as np
import pytest
from plane import C4
from windy_plane import WindyPlane

from eqrl.discovery import Transitions, discover_in_data, record
from eqrl.errors import UsageError

SPACES = tuple(space.representation for space in (WindyPlane().observation_space, WindyPlane().action_space))


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
