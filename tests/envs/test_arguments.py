"""Arguments of tasks: declared once; read, checked, documented and offered to reset."""

import inspect

import numpy as np
import pytest

from eqrl.envs.core import Task, angle, choice, named, number, sector
from eqrl.envs.locomotion.ant_target import AntTarget
from eqrl.envs.manipulation.push import Push


class Declares(Task):
    """Only declares."""

    kind = choice("a", "b", description="kind")
    size = number(1.0, "size", "m", least=0.5)
    wide = angle(90.0, "angle")
    where = sector("directions")
    thing = named({"one": 1, "two": 2}, "thing")


def test_own_arguments_come_first_and_the_signature_follows():
    common = ["breaking", "breaking_size", "breaking_patch"]
    assert list(Declares.arguments) == ["kind", "size", "wide", "where", "thing", *common]
    assert list(inspect.signature(Push).parameters)[:3] == ["reward_type", "view", "goal_distance"]
    assert inspect.signature(AntTarget).parameters["target_distance"].default == (2.0, 5.0)


@pytest.mark.parametrize(
    ("name", "given", "read"),
    [
        ("kind", "b", "b"),
        ("size", "2", 2.0),
        ("wide", 180, np.pi),
        ("where", "uniform", (-np.pi, np.pi)),
        ("where", (-90, 90), (-np.pi / 2, np.pi / 2)),
        ("thing", "two", 2),
        ("breaking_patch", (1, 0, 2), (1.0, 0.0, 2.0)),
    ],
)
def test_values_are_read_as_the_task_computes_with_them(name, given, read):
    assert Declares.arguments[name].value(given) == pytest.approx(read)


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("kind", "c", "kind='c' is not known; use one of 'a', 'b'$"),
        ("kind", ["a"], r"kind=\['a'\] is not known; use one of 'a', 'b'$"),
        ("size", 0.4, "size=0.4 must be a finite number >= 0.5"),
        ("wide", -1, "wide=-1 must be"),
        ("where", (1, 500), "where=.* 360 degrees"),
        ("breaking_patch", (1, 0, 0), r"breaking_patch=\(1, 0, 0\) must be x, y and a radius > 0"),
        ("thing", "tow", "thing='tow' is not known; use one of 'one', 'two'; did you mean 'two'\\?$"),
        ("thing", 1, "thing=1 is not known; use one of 'one', 'two'"),
    ],
)
def test_other_values_are_named(name, given, message):
    with pytest.raises(ValueError, match=message):
        Declares.arguments[name].value(given)


def test_a_value_is_a_plain_attribute_of_the_task():
    task = Push(shape="bar", success_angle=30.0)
    assert task.shape.order == 2
    assert task.success_angle == pytest.approx(np.pi / 6)
    assert task.options({"heading": (0, 0)}) == {"target_sector": (-np.pi, np.pi), "heading": (0.0, 0.0)}
    with pytest.raises(TypeError, match="Push got an unexpected keyword argument 'shpe'; did you mean 'shape'"):
        Push(shpe="bar")
