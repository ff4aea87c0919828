"""The Fetch tasks of Gymnasium-Robotics (``pip install "eqrl[robotics]"``), with observations that turn.

They observe absolute positions, and the object's orientation as Euler angles, which no representation describes. Here
positions are relative to the middle of the workspace, where the gripper starts, and the orientation is given by two
axes of the object. Importing this module registers each as ``eqrl/FetchPush-v4`` and so on, for
``eqrl train --gym-packages eqrl.declare.fetch``.

The symmetry that is declared, O(2) about the vertical through that middle, is one that the tasks nearly have: goals,
object and table know no direction, but the arm, the gripper, which never turns, and the pyramidal friction cone do.
``check_environment`` says so.
"""

from __future__ import annotations

import enum
from types import SimpleNamespace
from typing import Any

import gymnasium
import mujoco
import numpy as np
from gymnasium import spaces

from eqrl.arrays import Floats
from eqrl.declare.wrapper import WithSymmetry, with_symmetry
from eqrl.symmetry import Field, Group

TASKS = tuple(f"Fetch{task}{reward}-v4" for task in ("Push", "Slide", "PickAndPlace") for reward in ("", "Dense"))
_OBSERVATION = (
    Field("gripper", "1x1o", unit="m", description="gripper relative to where it starts"),
    Field("object", "1x1o", unit="m", description="object relative to it"),
    Field("to_object", "1x1o", unit="m", description="object relative to the gripper"),
    Field("fingers", "2x0e", unit="m", description="how far they are open"),
    Field("object_x", "1x1o", description="the object's x axis", role="heading"),
    Field("object_z", "1x1o", description="its z axis"),
    Field("object_velocity", "1x1o", unit="m a step", description="relative to the gripper"),
    Field("object_angular_velocity", "1x1e", unit="rad a step"),
    Field("gripper_velocity", "1x1o", unit="m a step"),
    Field("finger_velocities", "2x0e", unit="m a step"),
)
_ACTION = (Field("velocity", "1x1o", unit="0.05 m"), Field("grip", "1x0e"))
_POSITIONS, _EULER = slice(0, 6), slice(11, 14)  # in the observation of Gymnasium-Robotics, of size 25


def make_fetch(env_id: str, group: Group | str = "O2", **kwargs: Any) -> WithSymmetry:
    """Make a Fetch task with typed spaces.

    Args:
        env_id: one of ``TASKS``, such as ``"FetchPush-v4"``.
        group: the group to declare.
        kwargs: further arguments of ``gymnasium.make``.

    Raises:
        ModuleNotFoundError: without Gymnasium-Robotics, with the command that installs it.
        ValueError: for an environment that does not observe an object.
    """
    try:
        import gymnasium_robotics
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f'{env_id} needs Gymnasium-Robotics: pip install "eqrl[robotics]"') from error
    gymnasium.register_envs(gymnasium_robotics)
    _compare_by_number()
    env = FetchVectors(gymnasium.make(env_id, **kwargs))
    goal = Field("position", "1x1o", unit="m", description="position of the object")
    desired = Field("position", "1x1o", role="goal", unit="m", description="the goal")
    fields = {"observation": _OBSERVATION, "achieved_goal": (goal,), "desired_goal": (desired,)}
    return with_symmetry(env, fields, _ACTION, group=group)


class FetchVectors(gymnasium.ObservationWrapper[Any, Any, Any]):
    """Positions relative to the middle of the workspace, and two axes of the object for its Euler angles."""

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        space = env.observation_space
        if not isinstance(space, spaces.Dict) or space["observation"].shape != (25,):
            raise ValueError(
                f"{env.unwrapped} does not observe an object as the Fetch tasks do, whose observation has 25 entries;"
                " take FetchPush, FetchSlide or FetchPickAndPlace"
            )
        self.middle: Floats = np.array(env.unwrapped.initial_gripper_xpos, dtype=np.float64)  # type: ignore[attr-defined]
        boxes = {key: spaces.Box(-np.inf, np.inf, (3,)) for key in ("achieved_goal", "desired_goal")}
        self.observation_space = spaces.Dict({"observation": spaces.Box(-np.inf, np.inf, (28,)), **boxes})

    def observation(self, observation: dict[str, Floats]) -> dict[str, Any]:
        """The same observation in vectors."""
        entries = observation["observation"]
        axes = _matrix(entries[_EULER])
        parts = (
            entries[_POSITIONS] - np.tile(self.middle, 2),
            entries[_POSITIONS.stop : _EULER.start],
            axes[:, 0],
            axes[:, 2],
            entries[_EULER.stop :],
        )
        goals = {key: observation[key] - self.middle for key in ("achieved_goal", "desired_goal")}
        moved = {"observation": np.concatenate(parts), **goals}
        return {key: value.astype(np.float32) for key, value in moved.items()}


def _matrix(euler: Floats) -> Floats:
    """The rotation matrix whose ``mat2euler`` is given."""
    from gymnasium_robotics.utils.rotations import euler2mat

    matrix: Floats = euler2mat(euler)
    return matrix


def _compare_by_number() -> None:
    """Let Gymnasium-Robotics find the type of a joint among MuJoCo's enumerations.

    Its 1.4.2 asserts ``jnt_type in (mjJNT_HINGE, mjJNT_SLIDE)``, and with mujoco 4 a member is not equal to a number of
    NumPy's on its right, so that every joint fails.
    """
    from gymnasium_robotics.utils import mujoco_utils

    if isinstance(mujoco_utils.mujoco, SimpleNamespace):
        return
    members = {name: int(value) for name, value in mujoco.mjtJoint.__members__.items()}
    mujoco_utils.mujoco = SimpleNamespace(**{**vars(mujoco), "mjtJoint": enum.IntEnum("mjtJoint", members)})


for _task in TASKS:
    gymnasium.register(f"eqrl/{_task}", entry_point="eqrl.declare.fetch:make_fetch", kwargs={"env_id": _task})
