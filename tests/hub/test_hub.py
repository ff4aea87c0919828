"""Runs go to a hub and come back, over HTTP; what is not a whole run never reaches its target folder."""

import json
import sys

import pytest
import typed_env
import yaml

import eqrl
from eqrl.commands import main
from eqrl.errors import UsageError
from eqrl.hub.contents import belongs
from eqrl.runs.config import Config
from eqrl.runs.folder import RunFolder
from eqrl.train import resume, train

typed_env.register()
REPO = "somebody/point"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run of some hundred steps, with a replay buffer."""
    return train(
        Config(
            algo="sac",
            env="tests/Point-v0",
            n_timesteps=200,
            n_envs=2,
            rotations=0,
            eval_freq=100,
            eval_episodes=2,
            save_freq=100,
            num_threads=1,
            tensorboard_log="off",
            policy_kwargs={"network_kwargs": {"hidden": [8]}},
            hyperparams={"learning_starts": 20, "batch_size": 8, "gradient_steps": 1, "buffer_size": 400},
            log_folder=str(tmp_path_factory.mktemp("logs")),
        )
    ).path


@pytest.fixture
def served(tmp_path, monkeypatch):
    pytest.importorskip("huggingface_hub")
    from fake_hub import FakeHub

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_IMPLICIT_TOKEN", True)
    with FakeHub() as hub:
        yield hub


def push(hub, run, *more):
    return main(["push", str(run), REPO, "--endpoint", hub.url, *more])


def pull(hub, *more):
    return main(["pull", REPO, "--endpoint", hub.url, *more])


def test_there_and_back(served, run, tmp_path, capsys):
    assert push(served, run, "--replay", "--private") == 0
    assert served.private == {REPO}
    assert served.messages == ["sac on tests/Point-v0, 200 steps"]
    assert pull(served) == 0
    out = capsys.readouterr().out
    assert f"eqrl pull {REPO}" in out
    assert "eqrl train --resume point" in out

    names = {
        path.relative_to(tmp_path / "point").as_posix() for path in (tmp_path / "point").rglob("*") if path.is_file()
    }
    assert names == set(served.repos[REPO])
    assert {"config.yaml", "result.json", "evaluations.csv", "checkpoints/latest", "README.md"} <= names
    assert not {"lock", "owner.json", "command.txt"} & names
    assert [path.name for path in tmp_path.iterdir()] == ["point"]

    before, after = eqrl.load(run)[0], eqrl.load(tmp_path / "point")[0]
    for a, b in zip(before.policy.parameters(), after.policy.parameters(), strict=True):
        assert a.equal(b)
    assert eqrl.load(tmp_path / "point", "best")[1].env == "tests/Point-v0"
    assert resume(tmp_path / "point", n_timesteps=240).metrics["timesteps"] == 240


def test_the_card_tells_the_results(served, run):
    assert push(served, run) == 0
    head, body = served.repos[REPO]["README.md"].decode().removeprefix("---\n").split("\n---\n", 1)
    metadata = yaml.safe_load(head)
    assert {"reinforcement-learning", "sac", "tests/Point-v0"} <= set(metadata["tags"])
    assert "sac on tests/Point-v0" in body
    assert "torch 2." in body
    assert "| environment steps | 200 |" in body
    assert f"eqrl pull {REPO}" in body
    assert str(run) not in body


def test_without_its_replay_buffer_it_can_be_used_but_not_resumed(served, run, capsys):
    assert push(served, run) == 0
    assert not any(name.startswith("replay/") for name in served.repos[REPO])
    assert pull(served, "--to", "deep/inside") == 0
    assert "--resume" not in capsys.readouterr().out.split("eqrl pull")[1]
    eqrl.load("deep/inside")


def test_a_later_push_replaces_an_earlier_one_and_leaves_other_files(served, run):
    assert push(served, run) == 0
    old = "checkpoints/step_000000000100/policy.safetensors"
    served.repos[REPO].update({old: b"old", "notes.txt": b"mine"})
    assert push(served, run, "--message", "again") == 0
    assert old not in served.repos[REPO]
    assert "notes.txt" in served.repos[REPO]
    assert served.messages[-1] == "again"


def test_files_that_belong_to_no_run_are_left_out(served, run, tmp_path, capsys):
    assert push(served, run) == 0
    served.repos[REPO].update({"evil.py": b"print()", "checkpoints/step_000000000200/x.pkl": b"\x80"})
    assert pull(served) == 0
    assert "left     checkpoints/step_000000000200/x.pkl, evil.py" in capsys.readouterr().out
    assert not (tmp_path / "point/evil.py").exists()


@pytest.mark.parametrize(
    "name", ["../x.json", "/etc/passwd", "config.yaml/x", "checkpoints/../config.yaml", "x.pkl", ""]
)
def test_names_that_lead_elsewhere_belong_to_no_run(name):
    assert not belongs(name)


def _policy(files):
    return max(name for name in files if name.endswith("policy.safetensors"))


def _changed(files):
    name = _policy(files)
    files[name] = files[name][:-1] + bytes([files[name][-1] ^ 1])


def _missing(files):
    del files[_policy(files)]


def _no_checkpoints(files):
    for name in [name for name in files if name.startswith("checkpoints/")]:
        del files[name]


def _unlisted(files):
    files[_policy(files).replace("policy.safetensors", "more.json")] = b"{}"


def _other_environment(files):
    files["config.yaml"] = files["config.yaml"].replace(b"tests/Point-v0", b"eqrl/Reach-v0")


def _broken_options(files):
    files["config.yaml"] = b"env: !!python/object/apply:os.system ['touch evil']\n"


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (_changed, "is not what was written"),
        (_missing, "is missing"),
        (_no_checkpoints, "has no checkpoints"),
        (_unlisted, "is not listed in its manifest"),
        (_other_environment, "was changed: env is 'tests/Point-v0' there"),
        (_broken_options, "is not valid yaml"),
    ],
)
def test_what_is_no_whole_run_is_not_moved_in_place(served, run, tmp_path, capsys, harm, words):
    assert push(served, run) == 0
    harm(served.repos[REPO])
    capsys.readouterr()
    assert pull(served) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert words in err
    assert REPO in err
    assert ".tmp" not in err
    assert list(tmp_path.iterdir()) == []


def test_mistakes_are_one_line(served, run, tmp_path, capsys, monkeypatch):
    (tmp_path / "taken").mkdir()
    for argv, words in [
        (["pull", "nobody/nothing", "--endpoint", served.url], ["nobody/nothing", "404"]),
        (["pull", REPO, "--endpoint", served.url, "--to", "taken"], ["taken exists already", "--to"]),
        (["pull", "a/b/c/d", "--endpoint", served.url], ["a/b/c/d"]),
        (["pull", REPO, "--endpoint", "http://127.0.0.1:9"], [REPO]),
        (["push", "nowhere", REPO, "--endpoint", served.url], ["nowhere is not a run folder"]),
        (["push", str(run), REPO, "--endpont", served.url], ["'--endpont'", "'--endpoint'"]),
    ]:
        assert main(argv) == 2
        err = capsys.readouterr().err
        assert err.count("\n") == 1
        assert all(word in err for word in words), err
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


@pytest.mark.parametrize("argv", [["pull", REPO], ["push", "RUN", REPO]])
def test_the_missing_extra_is_one_line(run, tmp_path, capsys, monkeypatch, argv):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert main([str(run) if word == "RUN" else word for word in argv]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "pip install 'eqrl[hub]'" in err
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_run_is_not_pushed(served, run, tmp_path, capsys):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    (copy / "result.json").write_text(json.dumps({"return": "much"}))
    assert push(served, copy) == 2
    assert "result.json is damaged" in capsys.readouterr().err
    for path in RunFolder(copy).checkpoints.folder.glob("step_*/policy.safetensors"):
        path.write_bytes(b"")
    with pytest.raises(UsageError, match="no usable checkpoint"), pytest.warns(UserWarning, match="policy.safetensors"):
        eqrl.hub.push(copy, REPO, endpoint=served.url)
    assert served.repos == {}
