"""Agents of a run in other environments: sets as ids, bodies never seen, and spaces that differ."""

from __future__ import annotations

import csv
import json

import gymnasium
import numpy as np
import pytest

import eqrl
from eqrl.commands import main
from eqrl.envs.manipulation.push import Push
from eqrl.errors import UsageError
from eqrl.evaluate import evaluate
from eqrl.evaluation.protocol import play
from eqrl.runs.config import Config
from eqrl.runs.environments import make_env
from eqrl.runs.fleets import alone, member_options, members_of
from eqrl.train import resume, train

SET, PLUS, L, BARE = "tests/Shapes-v0", "tests/Plus-v0", "tests/L-v0", "tests/Bare-v0"
MEMBERS = {"bar": {"shape": "bar"}, "T": {"shape": "T"}}


@pytest.fixture(scope="module", autouse=True)
def _registered():
    steps = {"max_episode_steps": 30}
    eqrl.register(SET, Push, **steps, members=MEMBERS, unseen=(PLUS,))
    eqrl.register(PLUS, Push, **steps, kwargs={"shape": "plus"})
    eqrl.register(L, Push, **steps, kwargs={"shape": "L"}, unseen=(PLUS,))
    eqrl.register(BARE, Push, **steps)
    yield
    for env_id in (SET, PLUS, L, BARE):
        del gymnasium.registry[env_id], eqrl.ENVIRONMENTS[env_id]


def config(folder, **options):
    values = {"env": SET, "env_kwargs": {"reward_type": "dense"}, "n_envs": 5, "num_threads": 1, "n_timesteps": 320}
    values |= {"log_folder": str(folder), "rotations": 1, "eval_freq": 160, "eval_episodes": 2, "network": "vector"}
    values |= {"hyperparams": {"n_steps": 32, "batch_size": 32}}
    return Config(**{**values, **options})


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return train(config(tmp_path_factory.mktemp("runs")))


def test_an_id_trains_the_set(run):
    with (run.path / "evaluations.csv").open() as file:
        names = [name for name in next(csv.DictReader(file)) if name.startswith("mean_reward/")]
    assert names == ["mean_reward/bar", "mean_reward/T"]  # in the order of the registration
    assert list(run.zero_shot.members) == ["bar", "T"]
    model, stored = eqrl.load(run.path)
    assert model.get_env().unwrapped.members == ("bar", "T")
    assert resume(run.path, n_timesteps=480).model.num_timesteps == 480
    assert members_of(stored) == ("bar", "T")
    assert members_of(alone(stored, "T"), evaluation=True) == ()
    assert member_options(stored, "T") == {"reward_type": "dense", "member": "T"}
    few = stored.replace(env_kwargs={"members": {"b": {}, "a": {}}})
    assert members_of(few) == ("a", "b")
    assert member_options(few, "a") == {"members": {"b": {}, "a": {}}, "member": "a"}


def test_members_play_what_they_play_alone(run):
    result = evaluate(run.path, rotations=2, episodes=3)
    alone_result = evaluate(run.path, rotations=2, episodes=3, env_kwargs={"member": "T"})
    assert not alone_result.members
    np.testing.assert_array_equal(result.members["T"].returns, alone_result.returns)


def test_too_few_environments_are_refused_with_the_fix(tmp_path):
    with pytest.raises(UsageError, match=r"environment tests/Shapes-v0: .* give 2 or more .*--n-envs"):
        train(config(tmp_path, n_envs=1))


def test_another_environment(run, tmp_path, capsys):
    result = evaluate(run.path, rotations=2, episodes=3, env=PLUS)
    own = make_env(Config(env=PLUS, env_kwargs={"reward_type": "dense"}), 3, evaluation=True)
    returns = play(run.model, own, [10_000, 10_001, 10_002]).returns
    own.close()
    np.testing.assert_array_equal(evaluate(run.path, rotations=1, episodes=3, env=PLUS).returns[0], returns)
    same = evaluate(
        run.path, rotations=2, episodes=3, env="eqrl/Push-v0", env_kwargs={"shape": "plus", "max_episode_steps": 30}
    )
    np.testing.assert_array_equal(same.returns, result.returns)
    sparse = evaluate(run.path, rotations=1, episodes=3, env=PLUS, env_kwargs={"reward_type": "sparse"})
    assert not np.array_equal(sparse.returns[0], returns)
    numbers = tmp_path / "plus.json"
    argv = ["evaluate", str(run.path), "--env", PLUS, "--rotations", "1", "--episodes", "3", "--json", str(numbers)]
    assert main(argv) == 0
    assert capsys.readouterr().out.startswith(f"{PLUS} played by")
    stored = json.loads(numbers.read_text())
    assert (stored["env"], stored["return"]) == (PLUS, [returns.mean()])


def test_a_set_can_be_the_other_environment(run):
    single = evaluate(run.path, rotations=1, episodes=2, env=SET)
    assert list(single.members) == ["bar", "T"]


def test_unseen_bodies(run, tmp_path, capsys):
    result = evaluate(run.path, rotations=2, episodes=3, unseen=True)
    np.testing.assert_array_equal(
        result.members[PLUS].returns, evaluate(run.path, rotations=2, episodes=3, env=PLUS).returns
    )
    numbers, picture = tmp_path / "unseen.json", tmp_path / "unseen.png"
    argv = ["evaluate", str(run.path), "--unseen", "--rotations", "2", "--episodes", "3"]
    assert main([*argv, "--json", str(numbers), "--plot", str(picture)]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{SET}, unseen bodies, played by")
    rows = [
        line.split("│")[1].strip() for line in out[out.index("by unseen body") :].splitlines() if line.startswith("│")
    ]
    assert rows == [PLUS]
    assert list(json.loads(numbers.read_text())["members"]) == [PLUS]
    assert picture.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"env": L},
            r"L-v0 does not fit .* trained in tests/Shapes-v0: its observation space under .* group SO2, not O2",
        ),
        ({"env": "eqrl/Reach-v0"}, r"its observation space under 'achieved_goal' has field 'position' with horizontal"),
        ({"env": "Pendulum-v1"}, "Pendulum-v1 does not fit .*: its observation space is a TypedBox, not a Dict"),
        ({"env": "tests/Pluss-v0"}, r"unknown environment 'tests/Pluss-v0'; did you mean 'tests/Plus-v0'\?"),
        ({"env": PLUS, "env_kwargs": {"shap": "T"}}, r"environment tests/Plus-v0: .*'shap'; did you mean 'shape'\?"),
        ({"env_kwargs": {"member": "U"}}, "environment tests/Shapes-v0: no member is named 'U'"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(run, options, message):
    with pytest.raises(UsageError, match=message) as error:
        evaluate(run.path, rotations=1, episodes=2, **options)
    assert "\n" not in str(error.value)


def test_without_unseen_bodies_it_says_so(tmp_path, capsys):
    bare = train(config(tmp_path, env=BARE, rotations=0, eval_freq=0))
    assert main(["evaluate", str(bare.path), "--unseen"]) == 2
    assert f"environment {BARE} names no unseen bodies; give one environment with --env ID" in capsys.readouterr().err
    for other, message in (("--env", "--unseen plays environments of its own"), ("--video", "films one environment")):
        assert main(["evaluate", str(bare.path), "--unseen", other, "a.gif"]) == 2
        assert message in capsys.readouterr().err


def test_arguments_that_name_members_replace_each_other():
    from eqrl.runs.fleets import fleet, merged

    options = {"split": "train", "resolution": 16}
    assert list(fleet("eqrl/Sliding-v0", options)) == ["plus", "star", "pentagon"]
    assert merged("eqrl/Sliding-v0", options, {"shape": "T"}) == {"resolution": 16, "shape": "T"}
    assert merged("eqrl/Sliding-v0", options, {"slots": 32}) == {**options, "slots": 32}
    with pytest.raises(UsageError, match="did you mean 'plus'"):
        fleet("eqrl/Sliding-v0", {"shape": ["T", "pls"]})
