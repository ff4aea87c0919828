"""eqrl check: what it prints, writes and returns."""

import json
import re

import gymnasium
import mujoco
import pytest

from eqrl.check import check
from eqrl.commands import main

PENDULUM = """
<mujoco>
  <worldbody>
    <body name="cart"><joint name="slide" type="slide" axis="1 0 0"/><geom size="0.1" mass="1"/>
      <body name="pole" {pos}><joint name="hinge" axis="0 1 0" damping="0.1"/>
        <geom size="0.05" pos="0 0 {tip}" mass="0.2"/></body>
    </body>
  </worldbody>
  <actuator><motor name="push" joint="slide" ctrlrange="-1 1"/></actuator>
</mujoco>
"""
SCALENE = """
<mujoco><worldbody><body><joint name="a" axis="1 2 3"/>
  <geom type="box" size="0.1 0.2 0.3" pos="0.3 0.2 0.1" euler="10 20 30"/>
</body></worldbody></mujoco>
"""


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(tmp_path, text, name="robot.xml"):
    path = tmp_path / name
    path.write_text(text)
    return path


def test_json_has_exactly_these_keys(tmp_path, capsys):
    path = write(tmp_path, PENDULUM.format(pos="", tip="0.5"))
    assert main(["check", str(path), "--json", "out.json"]) == 0
    report = json.loads((tmp_path / "out.json").read_text())
    assert list(report) == ["target", "group", "order", "generators", "near_misses"]
    assert report["order"] == 2
    assert [list(g) for g in report["generators"]] == [
        ["name", "kind", "error_1", "error_10", "error_50", "contacts", "holds", "cause"]
    ]
    assert report["generators"][0]["holds"] is True
    assert report["generators"][0]["cause"] is None
    assert report["generators"][0]["error_50"] < 1e-8
    assert "yes" in capsys.readouterr().out


def test_what_is_pyramidal_fails_with_its_fix(tmp_path, capsys):
    source = str(gymnasium.__path__[0]) + "/envs/mujoco/assets/humanoid.xml"
    assert main(["check", source, "--json", "out.json"]) == 1
    report = json.loads((tmp_path / "out.json").read_text())
    rotation = report["generators"][0]
    assert (rotation["name"], rotation["kind"], rotation["holds"]) == ("rotation about gravity", "world", False)
    assert rotation["cause"] == "pyramidal friction cone"
    misses = {(m["field"], *m["of"]) for m in report["near_misses"]}
    assert misses == {("stiffness", "right_knee", "left_knee"), ("armature", "right_hip_y", "left_hip_y")}
    assert list(report["near_misses"][0]) == ["name", "kind", "field", "of", "values", "relative", "error_50"]
    assert all(m["error_50"] > 1e-3 for m in report["near_misses"])
    assert 'cone="elliptic"' in capsys.readouterr().out


def test_no_symmetry_is_an_answer(tmp_path, capsys):
    path = write(tmp_path, SCALENE)
    assert main(["check", str(path), "--json", "out.json"]) == 0
    report = json.loads((tmp_path / "out.json").read_text())
    assert (report["group"], report["order"], report["generators"]) == ("1", 1, [])
    assert "no symmetry" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "code"), [("eqrl/Push-v0", 0), ("eqrl/Push-v0 --env-kwargs breaking:wind breaking_size:0.3", 1)]
)
def test_environments_that_declare(argv, code, capsys):
    assert main(["check", *argv.split(), "--states", "8"]) == code
    assert ("wind" in capsys.readouterr().out) is (code == 1)


def test_the_order_of_a_declared_group():
    report = check("eqrl/AntTarget-v0", states=4)
    assert report.order == 8
    assert report.holds


def test_kinematic_level(tmp_path):
    path = write(tmp_path, PENDULUM.format(pos="", tip="0.5"))
    assert check(path, level="kinematic").holds


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ("check", ["TARGET"]),
        ("check Ant-v55", ["'Ant-v55'", "'Ant-v5'"]),
        ("check nowhere.xml", ["nowhere.xml"]),
        ("check broken.xml", ["broken.xml", "hing"]),
        ("check CartPole-v1", ["CartPole-v1", "MuJoCo"]),
        ("check Ant-v5 --env-kwargs nonsense:3", ["Ant-v5", "nonsense"]),
        ("check broken.xml --level dynamics", ["level", "dynamic"]),
        ("check broken.xml --json x.txt", ["x.txt", ".json"]),
        ("check broken.xml --tolerance -1", ["tolerance"]),
        ("check broken.xml --states 0", ["states"]),
        ("chek", ["'chek'", "'check'"]),
    ],
)
def test_mistakes(argv, words, capsys, tmp_path):
    (tmp_path / "broken.xml").write_text("<mujoco><worldbody><body><joint type='hing'/></body></worldbody></mujoco>")
    assert main(argv.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("eqrl: error: ")
    assert err.count("\n") == 1
    assert all(word in err for word in words), err


# ---------------------------------------------------------------------- models that diverge
STIFF = """
<mujoco><option cone="elliptic" timestep="0.5"/><worldbody><geom type="plane" size="0 0 1"/>
<body name="torso" pos="0 0 1"><freejoint name="root"/><geom type="box" size=".2 .1 .05"/>
  <geom size=".05" pos=".2 0 .1"/>
  <body name="l" pos="0 .2 0"><joint name="l" axis="1 0 0" stiffness="{}" armature="{}"/>
    <geom size=".05" pos="0 .1 0"/></body>
  <body name="r" pos="0 -.2 0"><joint name="r" axis="-1 0 0" stiffness="{}" armature="0.01"/>
    <geom size=".05" pos="0 -.1 0"/></body>
</body></worldbody></mujoco>
"""
FISH = """
<mujoco><option timestep="0.004" density="5000" gravity="0 0 0"/><default><joint damping="1e-5"/></default><worldbody>
<body name="torso"><freejoint/><geom type="ellipsoid" size=".05 .02 .03" mass=".2"/>
  <geom size=".012" pos=".05 0 .01" mass=".005"/>
  <body pos="0 .02 0"><joint axis="1 0 0"/><geom type="ellipsoid" pos="0 .03 0" size=".01 .03 .0006" mass=".0004"/>
    </body>
  <body pos="0 -.02 0"><joint axis="-1 0 0"/><geom type="ellipsoid" pos="0 -.03 0" size=".01 .03 .0006" mass=".0004"/>
    </body>
  <body pos="-.05 0 0"><joint axis="0 0 1"/><geom type="ellipsoid" pos="-.03 0 0" size=".03 .0006 .02" mass=".0006"/>
    </body>
</body></worldbody></mujoco>
"""


def test_what_diverges_is_still_derived(tmp_path, capfd):
    path = write(tmp_path, STIFF.format("1e6", "0.01", "1e6"))
    assert main(["check", str(path), "--json", "out.json"]) == 1
    out, err = capfd.readouterr()
    assert err == ""
    assert "group SO2 x C2" in out
    (line,) = [line for line in out.splitlines() if line.startswith("not proved: ")]
    assert "diverges at step" in line
    assert "sagittal mirror (morphology)" in out
    report = json.loads((tmp_path / "out.json").read_text())
    assert list(report) == ["target", "group", "order", "generators", "near_misses"]
    assert [(g["name"], g["holds"], g["error_50"]) for g in report["generators"]] == [
        ("rotation about gravity", None, None),
        ("sagittal mirror", None, None),
    ]
    assert all("not finite" in g["cause"] for g in report["generators"])
    assert not (tmp_path / "MUJOCO_LOG.TXT").exists()


def test_near_misses_are_shown_without_their_errors(tmp_path, capfd):
    path = write(tmp_path, STIFF.format("1e6", "0.02", "1e6"))
    report = check(path)
    assert not report.holds
    assert report.near_misses[0][1] is None
    assert report.to_json()["near_misses"][0]["error_50"] is None
    assert main(["check", str(path)]) == 1
    out, err = capfd.readouterr()
    assert err == ""
    assert "near miss: sagittal mirror holds but for: " in out
    assert "armature" in out


def test_without_physics_nothing_diverges(tmp_path, capfd):
    path = write(tmp_path, STIFF.format("1e6", "0.01", "1e6"))
    assert main(["check", str(path), "--level", "kinematic"]) == 0
    assert capfd.readouterr().err == ""
    assert not (tmp_path / "MUJOCO_LOG.TXT").exists()


def test_a_model_that_bears_gentle_states_only(tmp_path, capfd):
    path = write(tmp_path, FISH)
    assert main(["check", str(path)]) == 0
    out, err = capfd.readouterr()
    assert err == ""
    assert "tried from gentle states only" in out
    assert not (tmp_path / "MUJOCO_LOG.TXT").exists()


def test_from_python_it_diverges_without_a_trace(tmp_path, capfd):
    from eqrl import verify
    from eqrl.proof import NonFiniteRolloutError

    log = mujoco.MjLogConfig.get()
    with pytest.raises(NonFiniteRolloutError):
        verify(write(tmp_path, STIFF.format("1e6", "0.01", "1e6")))
    assert capfd.readouterr().err == ""
    assert not (tmp_path / "MUJOCO_LOG.TXT").exists()
    assert mujoco.MjLogConfig.get().logto_console == log.logto_console


# ---------------------------------------------------------------------- long names
@pytest.mark.parametrize("length", [10, 40, 120])
def test_piped_tables_show_long_names_and_all_numbers(length, tmp_path, capsys):
    names = [f"{side}_{'joint_' * length}"[:length] for side in ("left", "right")]
    bodies = "".join(
        f'<body name="{n}" pos="0 0 2"><joint axis="0 0 1" damping=".1"/><geom size=".05" contype="0"'
        ' conaffinity="0"/></body>'
        for n in names
    )
    path = write(tmp_path, f'<mujoco><option cone="elliptic"/><worldbody>{bodies}</worldbody></mujoco>')
    assert main(["check", str(path)]) == 0
    out = capsys.readouterr().out
    assert "…" not in out
    (row,) = [line for line in out.splitlines() if line.strip().startswith("exchange of ")]
    assert all(name in row for name in names)
    assert row.split()[-1] == "yes"
    assert all(re.fullmatch(r"\d\.\de[-+]\d\d", size) for size in row.split()[-4:-1])
