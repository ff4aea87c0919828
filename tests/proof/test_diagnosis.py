"""Causes: several at once are all named, those that the model does not have are not.

What does not show is unknown.
"""

import mujoco
import numpy as np
import pytest

from eqrl import derive, verify
from eqrl.derivation import world_rotation
from eqrl.proof.causes.diagnosis import diagnose
from eqrl.proof.causes.interventions import world_interventions
from eqrl.proof.causes.root_terms import root_interventions
from eqrl.proof.comparison import Violation
from eqrl.proof.converged import converged
from eqrl.proof.trial import Trial

ROBOT = """
<mujoco><option {option}/><worldbody><geom type="plane" size="0 0 1"/>
<body name="trunk" pos="0 0 .6">
  <joint name="root" type="free" {root}/><site name="imu"/>
  <geom type="box" size=".2 .1 .05"/><geom type="sphere" size=".04" pos=".2 0 .05"/>
  <body name="l" pos="0 .1 0"><joint name="l" axis="0 1 0" damping=".1" {left}/>
    <geom type="capsule" fromto="0 0 0 0 0 -.3" size=".03"/></body>
  <body name="r" pos="0 -.1 0"><joint name="r" axis="0 1 0" damping=".1"/>
    <geom type="capsule" fromto="0 0 0 0 0 -.3" size=".03"/></body>
</body></worldbody><actuator><motor joint="l"/><motor joint="r"/></actuator><sensor>{sensor}</sensor></mujoco>
"""
ELLIPTIC = 'cone="elliptic"'
WIND = 'density="1.2" wind="3 0 0"'


def robot(option=ELLIPTIC, root="", left="", sensor=""):
    return mujoco.MjModel.from_xml_string(ROBOT.format(option=option, root=root, left=left, sensor=sensor))


def turned(model):
    return world_rotation(model, np.deg2rad(37.0))


def cause(model, symmetry):
    (verdict,) = verify(model, symmetry)
    assert not verdict.holds
    return verdict.cause


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"root": 'frictionloss="0.2"'}, "dry friction on a free joint"),
        ({"root": 'damping="0.5 2 1"'}, "nonlinear damping of a free joint"),
        ({"root": 'stiffness="40"'}, "spring on the root"),
        ({"root": 'frictionloss="0.2"', "option": ""}, "pyramidal friction cone and dry friction on a free joint"),
        ({"option": WIND}, "pyramidal friction cone and wind"),
        ({"root": 'frictionloss="0.2"', "option": f"{ELLIPTIC} {WIND}"}, "wind and dry friction on a free joint"),
        (
            {"root": 'frictionloss="0.2" stiffness="40"', "option": f'{ELLIPTIC} gravity="1 0 -9.8"'},
            "tilted gravity and dry friction on a free joint and spring on the root",
        ),
    ],
)
def test_what_breaks_a_rotation_is_named_all_of_it(changes, words):
    model = robot(**changes)
    found = cause(model, turned(model))
    assert found.id == words
    assert found.fix.count(";") >= words.count(" and ")


def test_the_fix_of_dry_friction_names_the_joint():
    model = robot(root='frictionloss="0.2"')
    assert "frictionloss 0 on joint root" in cause(model, turned(model)).fix


@pytest.mark.parametrize("name", ["damping", "armature"])
def test_axes_of_a_free_joint_that_differ(name):
    model = robot()
    getattr(model, f"dof_{name}")[:3] = [0.5, 2.0, 0.5]
    assert cause(model, turned(model)).id == f"uneven {name} of a free joint"


def test_a_ball_joint_whose_axes_are_exchanged():
    limb = (
        '<body pos="{} {} 0"><joint type="ball" {}/><geom type="capsule" fromto="0 0 0 {} {} -.2" size=".03"/></body>'
    )
    thirds = [(0.2 * np.cos(a), 0.2 * np.sin(a)) for a in 2 * np.pi * np.arange(3) / 3]

    def model(friction):
        limbs = "".join(limb.format(x, y, friction, x, y) for x, y in thirds)
        return mujoco.MjModel.from_xml_string(
            '<mujoco><option cone="elliptic"/><worldbody><geom type="plane" size="0 0 1"/><body pos="0 0'
            f' .5"><freejoint/><geom size=".1"/>{limbs}</body></worldbody></mujoco>'
        )

    third = next(s for s in derive(model("")).elements() if "third" in s.name)
    rough = model('frictionloss="0.05"')
    assert cause(rough, third.map(model=lambda _: rough)).id == "dry friction on a ball joint"


def test_an_attribute_and_the_wind():
    plain, broken = robot(), robot(option=f'{ELLIPTIC} density="1.2" wind="0 3 0"', left='armature="0.1"')
    mirror = next(s for s in derive(plain).dynamic if s.name == "sagittal mirror")
    found = cause(broken, mirror.map(model=lambda _: broken))
    assert found.id == "wind and armature of l"
    assert "make equal" in found.fix


@pytest.mark.parametrize(
    ("sensor", "root", "words"),
    [
        ('<magnetometer name="m" site="imu"/>', "", "magnetic field"),
        ('<accelerometer name="a" site="imu"/>', 'frictionloss="0.2"', "dry friction on a free joint"),
        ('<accelerometer name="a" site="imu"/><gyro name="g" site="imu"/>', 'stiffness="40"', "spring on the root"),
        ('<magnetometer name="m" site="imu"/>', 'stiffness="40"', "magnetic field and spring on the root"),
    ],
)
def test_a_reading_that_differs_first_is_not_blamed_for_the_physics(sensor, root, words):
    model = robot(root=root, sensor=sensor)
    plain = turned(model)
    # by hand: every reading claims to stay as it is in the sensor's frame
    symmetry = plain.map(sensors=lambda _: np.arange(model.nsensor), sensor_matrix=lambda _: np.eye(model.nsensordata))
    assert cause(model, symmetry).id == words


def test_a_broken_world_is_named_though_a_map_of_a_sensor_is_wrong_too():
    model = robot(root='frictionloss="0.2"', sensor='<framepos name="p" objtype="site" objname="imu"/>')
    symmetry = turned(model).map(sensors=lambda _: np.arange(1), sensor_matrix=lambda _: -np.eye(3))
    assert cause(model, symmetry).id == "dry friction on a free joint"


def test_nothing_is_tried_that_the_model_does_not_have():
    R = turned(robot()).R
    named = {
        i.cause.id
        for m in [robot(sensor='<accelerometer site="imu"/>')]
        for i in (*world_interventions(m, R), *root_interventions(m))
    }
    assert named == set()
    with_magnetometer = robot(sensor='<magnetometer site="imu"/>')
    assert [i.cause.id for i in world_interventions(with_magnetometer, R)] == ["magnetic field"]
    still = robot(option='cone="elliptic" wind="1 0 0"')  # without air there is no wind
    assert not list(world_interventions(still, R))


@pytest.mark.parametrize("field", ["sensor a", "velocity of joint l", "position of body trunk"])
@pytest.mark.parametrize("cone", ["", ELLIPTIC])
def test_a_violation_that_does_not_show_has_no_cause(field, cone):
    model = converged(robot(option=cone, root='damping="1"', sensor='<accelerometer name="a" site="imu"/>'))
    trial = Trial.random(model, states=6, steps=10)
    true = next(s for s in derive(model).dynamic if s.name == "sagittal mirror")
    found = diagnose(trial, true, Violation(step=3, state=2, field=field, size=2e-8))
    assert found.id == "unknown"
    assert field in found.fix
    assert "2.0e-08" in found.fix
