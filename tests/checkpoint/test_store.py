"""Which checkpoints a run keeps, and which of them it accepts."""

import copy
import os
import shutil

import numpy as np
import pytest
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.logger import Logger

import eqrl
from eqrl.checkpoint import CheckpointWarning, DamagedCheckpointError, Description, Store
from eqrl.checkpoint.parameters import load_training, training_tensors
from eqrl.checkpoint.training import capture_randomness, capture_training, restore_randomness, restore_training
from eqrl.checkpoint.values import DamagedValuesError, pack, unpack
from eqrl.errors import UsageError


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


def damage(checkpoint, name):
    with (checkpoint / name).open("r+b") as file:
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


def trained(**more):
    env = eqrl.make_vec("eqrl/Reach-v0", 2, seed=0, n_threads=1)
    model = PPO("MultiInputPolicy", env, n_steps=8, batch_size=16, n_epochs=1, device="cpu", seed=0, **more)
    return model.learn(16)


@pytest.mark.parametrize("use", [torch.optim.Adam, torch.optim.SGD, torch.optim.AdamW])
def test_optimisers_come_back_and_nothing_else_is_taken_for_one(use):
    model = trained(policy_kwargs={"optimizer_class": use, "optimizer_kwargs": {}})
    tensors, plain = training_tensors(model)
    load_training(model, tensors, plain, "it")
    for key, value in (("lr", "x"), ("weight_decay", {}), ("canary", 1), ("params", [0, 0]), ("maximize", "x")):
        wrong = copy.deepcopy(plain)
        wrong["policy.optimizer"]["param_groups"][0][key] = value
        with pytest.raises(UsageError, match=f"its {key} is not the configured one"):
            load_training(model, tensors, wrong, "it")
    with pytest.raises(UsageError, match="has optimisers"):
        load_training(model, tensors, None, "it")


def test_moments_have_the_form_of_their_parameters():
    model = trained()
    tensors, plain = training_tensors(model)
    name = "policy.optimizer/0/exp_avg"
    for wrong in (torch.zeros(7), tensors[name].to(torch.float64), torch.tensor(1.0)):
        with pytest.raises(UsageError, match="exp_avg of parameter 0 has another shape or type"):
            load_training(model, {**tensors, name: wrong}, plain, "it")
    del tensors[name]
    with pytest.raises(UsageError, match="of parameter 0 instead of"):
        load_training(model, tensors, plain, "it")


def test_observations_and_statistics_of_episodes_have_the_form_of_the_environment():
    model = trained()
    good = capture_training(model)
    restore_training(model, good)
    starts = good["observations"]["_last_episode_starts"]
    last = good["observations"]["_last_obs"]
    for name, wrong in (
        ("_last_episode_starts", starts[:1]),
        ("_last_episode_starts", starts.astype("U5")),
        ("_last_obs", {**last, "more": starts}),
        ("_last_obs", {key: value[:, :1] for key, value in last.items()}),
        ("_last_obs", {key: value.astype("U9") for key, value in last.items()}),
        ("_last_obs", last["observation"]),
    ):
        with pytest.raises(DamagedValuesError, match=f"'{name}' does not fit"):
            restore_training(model, {**good, "observations": {**good["observations"], name: wrong}})
    for wrong in (
        [{"r": "x", "l": 1.0}],
        [{"r": 1.0}],
        {"r": np.zeros(3), "l": np.zeros(2)},
        {"r": np.zeros((2, 2))},
        3,
        {},
    ):
        with pytest.raises(DamagedValuesError):
            restore_training(model, {**good, "episodes": wrong})


def test_random_numbers_that_are_none_are_told_in_one_line():
    model = trained()
    arrays = {}
    good = unpack(pack(capture_randomness(model), arrays), arrays)
    restore_randomness(model, good)
    version, words, gauss = good["python"]
    for change in (
        {"python": (version, words[:3], gauss)},
        {"python": (version, words * 2**40, gauss)},
        {"torch": np.zeros(3, np.uint8)},
        {"numpy": None},
        {"action_space": []},
        {"logger": {**good["logger"], "name_to_value": {"a": np.zeros(0)}}},
        {"logger": {}},
    ):
        with pytest.raises(DamagedCheckpointError, match="random numbers"):
            restore_randomness(model, {**good, **change})
