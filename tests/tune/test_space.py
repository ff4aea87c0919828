"""Search spaces are data; what does not fit is one line that names it."""

import pytest

from eqrl.agents.presets import search_space
from eqrl.errors import UsageError
from eqrl.runs.config import Config
from eqrl.tuning.space import Space


class Proposer:
    """Proposes the upper ends."""

    def suggest_float(self, name, low, high, *, log=False):
        return high

    def suggest_int(self, name, low, high):
        return high

    def suggest_categorical(self, name, choices):
        return choices[-1]


def test_values_become_options_of_a_training():
    content = {
        "network": {"choice": ["frame", "vector"]},
        "policy_kwargs.network_kwargs.hidden": {"choice": [[64, 64], [128, 128]]},
        "policy_kwargs.log_std_init": {"range": [-2, 0.5]},
        "learning_rate": {"log": ["1e-4", 1e-2], "as": "lin_{}"},
        "n_epochs": {"integers": [1, 7]},
        "augment": {"choice": [False, True]},
    }
    space = Space.read(content, "ppo", "here")
    assert space.propose(Proposer()) == {
        "network": "vector",
        "policy_kwargs": {"network_kwargs": {"hidden": [128, 128]}, "log_std_init": 0.5},
        "hyperparams": {"learning_rate": "lin_0.01", "n_epochs": 7},
        "augment": True,
    }
    assert space.corner["hyperparams"] == {"learning_rate": "lin_0.0001", "n_epochs": 1}
    assert space.corner["policy_kwargs"]["network_kwargs"] == {"hidden": [64, 64]}


@pytest.mark.parametrize("algo", ["ppo", "sac", "td3"])
@pytest.mark.parametrize("env", ["eqrl/Reach-v0", "eqrl/Run-v0", "Ant-v5"])
def test_the_spaces_that_come_with_eqrl(algo, env):
    space = Space.read(search_space(algo, env), algo, "eqrl's")
    for values in (space.corner, space.propose(Proposer())):
        Config.from_dict({"algo": algo, "env": env, **values})


def test_an_override_replaces_an_entry_or_removes_it():
    usual, running = search_space("ppo", "Ant-v5"), search_space("ppo", "eqrl/SGRL-Walker-v0")
    assert "clip_range" in usual
    assert "clip_range" not in running
    assert running["learning_rate"]["as"] == "adaptive_{}"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([], ["no entries"]),
        ({"learnin_rate": {"log": [1, 2]}}, ["'learnin_rate'", "'learning_rate'"]),
        ({"policy_kwarg.hidden": {"log": [1, 2]}}, ["'policy_kwarg.hidden'", "'policy_kwargs'"]),
        ({"seed": {"integers": [1, 2]}}, ["'seed'", "no option that can be searched"]),
        ({"gamma": 3}, ["'gamma'", "3"]),
        ({"gamma": {"log": [1, 2], "choice": [3]}}, ["'gamma'", "one kind"]),
        ({"gamma": {"choise": [3]}}, ["'choise'", "'choice'"]),
        ({"gamma": {"choice": []}}, ["'gamma'", "not a list"]),
        ({"gamma": {"choice": 3}}, ["'gamma'", "not a list"]),
        ({"gamma": {"range": [2, 1]}}, ["'gamma'", "[2, 1]", "a lower and an upper bound"]),
        ({"gamma": {"range": [1, "much"]}}, ["'gamma'", "a lower and an upper bound"]),
        ({"gamma": {"log": [0, 1]}}, ["'gamma'", "not above 0"]),
        ({"n_steps": {"integers": [1, 2.5]}}, ["'n_steps'", "whole numbers"]),
        ({"gamma": {"range": [0, 1], "as": "lin"}}, ["'gamma'", "'as' is 'lin'"]),
    ],
)
def test_mistakes(content, words):
    with pytest.raises(UsageError, match=r"^search space here") as error:
        Space.read(content, "ppo", "here")
    assert all(word in str(error.value) for word in words), error.value
