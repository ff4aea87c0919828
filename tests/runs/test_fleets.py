"""Runs on fleets: from the command line to the tables, resumed to the bit, with hindsight replay."""

import csv
import json
import os
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from stable_baselines3.common.vec_env import VecNormalize

import eqrl
from eqrl.checkpoint import DamagedCheckpointError
from eqrl.checkpoint.parameters import set_reward_scale
from eqrl.commands import main
from eqrl.commands.evaluate import evaluate
from eqrl.errors import UsageError
from eqrl.evaluation.protocol import play
from eqrl.evaluation.video import record
from eqrl.runs.config import Config
from eqrl.runs.environments import make_env
from eqrl.runs.fleets import alone, member_options, members_of
from eqrl.runs.folder import RunFolder
from eqrl.runs.models import make_model
from eqrl.runs.resolution import resolve
from eqrl.runs.values import parse_pair
from eqrl.train import resume, train

# not in the order of their names, which is the order of a run
MEMBERS = {"plus": {"shape": "plus"}, "T": {"shape": "T"}, "bar": {"shape": "bar"}}
DENSE = {"reward_type": "dense", "goal_distance": [0.1, 0.12]}


def config(folder, members=MEMBERS, **options):
    values = {"env": "eqrl/Push-v0", "env_kwargs": {**DENSE, "members": members}, "n_envs": 4, "num_threads": 1}
    values |= {"log_folder": str(folder), "n_timesteps": 512, "rotations": 2, "eval_freq": 256, "eval_episodes": 3}
    values |= {"save_freq": 128, "keep_checkpoints": 0, "hyperparams": {"n_steps": 32, "batch_size": 64, "n_epochs": 2}}
    return Config(**{**values, **options})


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return train(config(tmp_path_factory.mktemp("runs")))


def rows_of(path):
    with path.open() as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


NORMALISED = {"n_steps": 32, "batch_size": 64, "n_epochs": 2, "normalize": {"norm_reward": True, "clip_reward": 1e9}}


def test_rewards_are_scaled_by_the_returns_of_their_own_member(tmp_path):
    scaled = {"T": {"shape": "T", "approach_weight": 0.5}, "bar": {"shape": "bar", "approach_weight": 100.0}}
    settings = config(tmp_path, scaled, hyperparams={**NORMALISED, "gamma": 0.9})
    env = make_env(resolve(settings), 5, seed=3)
    alone_env = [
        VecNormalize(
            eqrl.make_vec("eqrl/Push-v0", n, seed=3 + first, n_threads=1, **DENSE, **scaled[name]),
            norm_obs=False,
            gamma=0.9,
            clip_reward=1e9,
        )
        for name, n, first in (("T", 3, 0), ("bar", 2, 3))
    ]
    for one in (env, *alone_env):
        one.reset()
    rng = np.random.default_rng(0)
    sizes = []
    for _ in range(150):  # over the end of an episode
        actions = rng.uniform(-0.3, 0.3, (5, 2)).astype(np.float32)
        rewards = env.step(actions)[1]
        expected = [one.step(part)[1] for one, part in zip(alone_env, (actions[:3], actions[3:]), strict=True)]
        assert np.array_equal(rewards, np.concatenate(expected))  # a member in a fleet has the same bits as alone
        sizes.append(np.abs(env.get_original_reward()))
    assert np.mean(sizes, axis=0)[3:].min() > 10 * np.mean(sizes, axis=0)[:3].max()
    env.close()
    for one in alone_env:
        one.close()


def test_scaled_rewards_are_resumed_to_the_bit(tmp_path):
    settings = config(tmp_path, hyperparams=NORMALISED)
    whole = train(settings)
    run = shutil.copytree(whole.path, tmp_path / "again")
    checkpoints = RunFolder(run).checkpoints
    for step in [step for step in checkpoints.steps() if step > 256]:
        shutil.rmtree(checkpoints.at(step))
    (run / "result.json").unlink()
    again = resume(run)
    for model in (again.model, eqrl.load(whole.path)[0]):
        for (name, a), b in zip(
            whole.model.policy.state_dict().items(), model.policy.state_dict().values(), strict=True
        ):
            assert torch.equal(a, b), name
        ours, theirs = (one.get_vec_normalize_env().ret_rms for one in (whole.model, model))
        assert set(theirs.rows) == set(MEMBERS)  # a loaded model has one environment for each member
        for name, rows in ours.rows.items():
            for moment in ("mean", "var", "count"):
                assert len({*getattr(ours, moment)[rows].tolist(), *getattr(theirs, moment)[theirs.rows[name]]}) == 1
        assert len({*ours.var.tolist()}) == 3


@pytest.mark.parametrize(
    "stored",
    [{"members": {"T": {}}}, {"members": 3}, {"mean": 1.0}, {"members": {name: {} for name in MEMBERS}}, [1.0]],
)
def test_scales_of_other_members_are_refused(tmp_path, stored):
    settings = resolve(config(tmp_path, hyperparams={**NORMALISED, "batch_size": 32}))
    model = make_model(settings, make_env(settings, 3))
    shared = {"mean": 1.0, "var": 4.0, "count": 7.0}  # as version 0.2 wrote it
    set_reward_scale(model, shared, "it")
    assert model.get_vec_normalize_env().ret_rms.var.tolist() == [4.0, 4.0, 4.0]
    with pytest.raises(DamagedCheckpointError, match="it has invalid statistics of rewards"):
        set_reward_scale(model, stored, "it")


def test_replay_buffers_know_one_scale(tmp_path):
    hyperparams = {"buffer_size": 500, "normalize": {"norm_reward": True}}
    env = make_env(resolve(config(tmp_path, algo="sac", hyperparams=hyperparams)), 3)
    assert np.shape(env.ret_rms.var) == ()
    env.close()


def test_members_are_read_from_the_command_line():
    for text in ("members:{T:{shape:T},bar:{shape:bar}}", "members={'T': {'shape': 'T'}, 'bar': {'shape': 'bar'}}"):
        assert parse_pair(text) == ("members", {"T": {"shape": "T"}, "bar": {"shape": "bar"}})


def test_every_member_is_evaluated(run):
    (first, last) = rows_of(run.path / "evaluations.csv")
    assert first["timesteps"] == "256"
    names = [name.removeprefix("mean_reward/") for name in last if name.startswith("mean_reward/")]
    assert names == ["T", "bar", "plus"]
    returns = [float(last[f"mean_reward/{name}"]) for name in names]
    assert np.mean(returns) == pytest.approx(float(last["mean_reward"]))
    stored = json.loads((run.path / "zero_shot.json").read_text())
    assert list(stored["members"]) == ["T", "bar", "plus"]
    assert stored["episodes_per_angle"] == 9
    assert {member["episodes_per_angle"] for member in stored["members"].values()} == {3}
    for key in ("return", "success"):
        together = np.mean([member[key] for member in stored["members"].values()], axis=0)
        np.testing.assert_allclose(together, stored[key])
    assert stored["equivariance_error"] == max(m["equivariance_error"] for m in stored["members"].values()) < 1e-4
    text = (run.path / "README.md").read_text()
    assert all(f"\n| {name} | " in text for name in names)


def test_each_member_plays_the_episodes_that_it_plays_alone(run):
    result = evaluate(run.path, rotations=1, episodes=3)
    assert list(result.members) == ["T", "bar", "plus"]
    assert result.returns.shape == (1, 9)
    shared = {name: value for name, value in run.config.env_kwargs.items() if name != "members"}
    bar = make_env(run.config.replace(env_kwargs={**shared, "shape": "bar"}), 3, evaluation=True)
    played = play(run.model, bar, [10_000, 10_001, 10_002])
    np.testing.assert_array_equal(result.members["bar"].returns[0], played.returns)
    np.testing.assert_array_equal(result.returns[0, 3:6], played.returns)


def test_the_command_prints_a_table_by_member(run, tmp_path, capsys):
    numbers, picture = tmp_path / "a.json", tmp_path / "a.png"
    argv = [
        "evaluate",
        str(run.path),
        "--rotations",
        "2",
        "--episodes",
        "2",
        "--json",
        str(numbers),
        "--plot",
        str(picture),
    ]
    assert main(argv) == 0
    out = capsys.readouterr().out
    table = out[out.index("by member, over all angles") :]
    assert [line.split("│")[1].strip() for line in table.splitlines() if line.startswith("│")] == ["T", "bar", "plus"]
    assert list(json.loads(numbers.read_text())["members"]) == ["T", "bar", "plus"]
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_film_has_a_panel_for_each_member(run, tmp_path):
    path = tmp_path / "a.gif"
    members = {name: member_options(run.config, name) for name in members_of(run.config, evaluation=True)}
    try:
        record(run.model, "eqrl/Push-v0", {}, path, members=members, seconds=0.2, size=(64, 64))
    except UsageError as error:
        if os.environ.get("EQRL_REQUIRE_RENDERING") == "1" or "nothing can be rendered here" not in str(error):
            raise
        pytest.skip(str(error))
    with Image.open(path) as film:
        assert film.width > 3 * 64


def test_one_robot_has_no_such_table(tmp_path, capsys):
    for members in ({}, {"members": {"T": {}}}):
        short = config(tmp_path, env_kwargs={**DENSE, **members}, n_timesteps=128, eval_freq=0)
        done = train(short)
        assert "members" not in json.loads((done.path / "zero_shot.json").read_text())
        assert main(["evaluate", str(done.path), "--rotations", "1", "--episodes", "2"]) == 0
        assert "by member" not in capsys.readouterr().out


@pytest.mark.parametrize("lost", ["config.yaml", "nothing"])
def test_a_resumed_run_is_the_same_to_the_bit(run, tmp_path, lost):
    again = shutil.copytree(run.path, tmp_path / "again")
    checkpoints = RunFolder(again).checkpoints
    for step in [s for s in checkpoints.steps() if s > 256]:
        shutil.rmtree(checkpoints.at(step))
    (again / "result.json").unlink()
    if lost != "nothing":
        # then the configuration comes from the manifest, whose tables are sorted
        (again / lost).unlink()
    resumed = resume(again)
    for (name, a), b in zip(
        run.model.policy.state_dict().items(), resumed.model.policy.state_dict().values(), strict=True
    ):
        assert torch.equal(a, b), name
    assert rows_of(again / "evaluations.csv") == rows_of(run.path / "evaluations.csv")
    assert {k: v for k, v in resumed.metrics.items() if k != "seconds"} == {
        k: v for k, v in run.metrics.items() if k != "seconds"
    }


def test_a_run_is_loaded_with_all_its_members(run):
    model, stored_config = eqrl.load(run.path)
    assert model.get_env().unwrapped.members == ("T", "bar", "plus")
    assert stored_config.env_kwargs["members"] == MEMBERS


def test_other_members_in_evaluations(tmp_path):
    fleet = config(tmp_path, eval_env_kwargs={"members": {"b": {"shape": "plus"}, "a": {"goal_turn": 5.0}}})
    assert members_of(fleet) == ("T", "bar", "plus")
    assert members_of(fleet, evaluation=True) == ("a", "b")
    assert member_options(fleet, "a") == {**DENSE, "goal_turn": 5.0}
    assert members_of(alone(fleet, "a"), evaluation=True) == ()
    assert make_env(fleet, 4, evaluation=True).unwrapped.members == ("a", "a", "b", "b")
    assert members_of(config(tmp_path, env="Ant-v5", env_kwargs={"members": {"b": {}}})) == ()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"n_envs": 2},
            "environment eqrl/Push-v0: a fleet of 3 members needs at least as many environments, and 2 is too few",
        ),
        (
            {"members": {"T": {}, "L": {"shape": "L"}}},
            "the observation space of member 'T' under 'achieved_goal' has the group O2",
        ),
        (
            {"members": {"T": {"shap": 1}}},
            "environment eqrl/Push-v0: member 'T': it has no option 'shap'; did you mean 'shape'",
        ),
        ({"vec_env": "dummy"}, "make the fleet with eqrl.make_vec or gymnasium.make_vec"),
    ],
)
def test_what_does_not_fit_is_refused_before_any_file_is_written(tmp_path, options, message):
    with pytest.raises(UsageError) as error:
        train(config(tmp_path / "logs", **options))
    assert message in str(error.value)
    assert not (tmp_path / "logs").exists()


def test_hindsight_replay_tells_members_apart(tmp_path):
    her = {"replay_buffer_class": "HerReplayBuffer", "learning_starts": 100, "batch_size": 64, "train_freq": 8}
    fleet = config(
        tmp_path,
        algo="sac",
        env_kwargs={"members": MEMBERS, "max_episode_steps": 20},
        n_timesteps=240,
        hyperparams=her,
        eval_freq=0,
        rotations=0,
    )
    done = train(fleet)
    assert done.model.replay_buffer.copy_info_dict
    assert {info["member"] for info in done.model.replay_buffer.infos[0]} == set(MEMBERS)
    hidden = resolve(fleet.replace(hyperparams={**her, "replay_buffer_kwargs": {"copy_info_dict": False}}))
    with pytest.raises(UsageError, match="'copy_info_dict': False hides from a fleet which member a transition is of"):
        make_model(hidden, make_env(hidden))
    single = resolve(fleet.replace(env_kwargs={}))
    assert not make_model(single, make_env(single)).replay_buffer.copy_info_dict
