"""Which checkpoints a run keeps, and which of them it believes."""

import os
import shutil

import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.logger import Logger

import eqrl
from eqrl.checkpoint import CheckpointWarning, DamagedCheckpointError, Description, Store
from eqrl.checkpoint.training import capture_training, restore_training
from eqrl.checkpoint.values import DamagedValuesError


@pytest.fixture(scope="module")
def model():
    env = eqrl.make_vec("eqrl/Reach-v0", 2, seed=0, n_threads=1)
    model = PPO("MultiInputPolicy", env, n_steps=8, batch_size=16, device="cpu", seed=0)
    model.set_logger(Logger(None, []))
    yield model
    env.close()


def saved(model, store, step):
    model.num_timesteps = step
    return store.save(model, Description({}, {}), {})


def damage(place, name):
    with (place / name).open("r+b") as file:
        file.seek(9)
        file.write(b"\0\1\2")


def test_damaged_checkpoints_do_not_push_out_those_that_the_run_goes_on_with(model, tmp_path):
    store = Store(tmp_path, keep=1)
    for step in (10, 20):
        saved(model, Store(tmp_path), step)
    damage(store.at(20), "state.npz")
    with pytest.warns(CheckpointWarning):
        assert store.newest(complete=True)[1].step == 10
    saved(model, store, 15)
    assert store.newest(complete=True)[1].step == 15
    assert store.steps() == [15]


def test_a_checkpoint_under_another_ones_name_is_refused(model, tmp_path):
    store = Store(tmp_path)
    for step in (10, 20):
        saved(model, store, step)
    shutil.rmtree(store.at(20))
    os.rename(store.at(10), store.at(20))
    with pytest.raises(DamagedCheckpointError, match="holds the checkpoint of step 10"):
        store.verified(store.at(20), complete=True)


def test_sweeping_a_run_takes_what_is_unfinished_everywhere_but_not_through_links(model, tmp_path):
    run, other = tmp_path / "run", tmp_path / "other"
    other.mkdir()
    (other / ".mine.tmp").write_text("x")
    store = Store(run)
    saved(model, store, 10)
    (run / ".README.md.123.abcdef.tmp").write_text("half")
    (run / "replay").symlink_to(other)
    store.sweep()
    assert sorted(os.listdir(run)) == ["checkpoints", "replay"]
    assert (other / ".mine.tmp").exists()


@pytest.mark.parametrize("wrong", [float("nan"), 10.0, True, "10", 2**70, -(2**70), None])
def test_counters_are_whole_numbers(model, wrong):
    state = capture_training(model)
    state["counters"]["num_timesteps"] = wrong
    with pytest.raises(DamagedValuesError, match="not a counter"):
        restore_training(model, state)
