"""What a spectator sees and touches of an environment's physics: eqrl's own, and any other on MuJoCo."""

from __future__ import annotations

from typing import Any, Protocol

import gymnasium
import mujoco
import numpy as np

from eqrl.arrays import Floats
from eqrl.envs.core.task import Task
from eqrl.envs.forms.single import TaskEnv
from eqrl.errors import UsageError
from eqrl.symmetry import Element
from eqrl.watching.status import STATE


class Physics(Protocol):
    """The physics of one environment.

    Attributes:
        model: the compiled model.
        body: id of the body that can be pushed.
        turns_scene: whether the scene can be turned in the middle of an episode.
        turns_goal: ``"now"``, or ``"restart"`` if the goal is a body that the others may touch, or None.
    """

    model: mujoco.MjModel
    body: int
    turns_scene: bool
    turns_goal: str | None

    @property
    def state(self) -> Floats:
        """MuJoCo's integration state, ``(size,)``, a copy."""

    @property
    def force(self) -> Floats:
        """The external force on the body in the world's frame, ``(3,)`` in N, which may be written."""

    def states(self) -> list[Floats]:
        """The integration states since this was asked last, the current one at the end."""

    def turn_scene(self, g: Element) -> Any:
        """Transform the state, and give the new observation."""

    def turn_goal(self, g: Element) -> Any:
        """Transform the goal alone, and give the new observation."""

    def draw(self, scene: mujoco.MjvScene) -> None:
        """Add the goal to a scene."""


class TaskPhysics:
    """Of eqrl's environments."""

    turns_scene = True

    def __init__(self, env: TaskEnv) -> None:
        self._env = env
        self._simulation = env.simulation
        self._trace: list[Floats] = []
        self._simulation.trace = self._trace
        self.model = env.model
        self.body = self._simulation.main_body
        goal = type(env.task).rotate_goal is not Task.rotate_goal
        # a wall that is moved into what it touches throws it away
        self.turns_goal = ("restart" if self.model.nmocap else "now") if goal else None

    @property
    def state(self) -> Floats:
        """As of :class:`Physics`."""
        state: Floats = self._simulation.batch.state[0].copy()
        return state

    @property
    def force(self) -> Floats:
        """As of :class:`Physics`."""
        force: Floats = self._simulation.world.data.xfrc_applied[0, self.body, :3]
        return force

    def states(self) -> list[Floats]:
        """As of :class:`Physics`."""
        states = [states[0] for states in self._trace[:-1]]
        self._trace.clear()
        return [*states, self.state]

    def turn_scene(self, g: Element) -> Any:
        """As of :class:`Physics`."""
        self._env.set_state(self._env.transform_state(self._env.get_state(), g))
        return self._env.observe()

    def turn_goal(self, g: Element) -> Any:
        """As of :class:`Physics`."""
        self._env.task.rotate_goal(self._simulation.world[0], g)
        self._env.set_state(self._env.get_state())  # brings what derives from it up to date
        return self._env.observe()

    def draw(self, scene: mujoco.MjvScene) -> None:
        """As of :class:`Physics`."""
        self._env.task.draw_markers(scene, self._simulation.world[0])


class MujocoPhysics:
    """Of other environments that step a ``MjData``; they know no turns."""

    turns_scene = False
    turns_goal: str | None = None

    def __init__(self, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        self.model, self._data = model, data
        free = np.flatnonzero(model.jnt_type == int(mujoco.mjtJoint.mjJNT_FREE))
        self.body = int(model.jnt_bodyid[free[0]]) if free.size else min(1, model.nbody - 1)

    @property
    def state(self) -> Floats:
        """As of :class:`Physics`."""
        state = np.empty(mujoco.mj_stateSize(self.model, STATE))
        mujoco.mj_getState(self.model, self._data, state, STATE)
        return state

    @property
    def force(self) -> Floats:
        """As of :class:`Physics`."""
        force: Floats = self._data.xfrc_applied[self.body, :3]
        return force

    def states(self) -> list[Floats]:
        """As of :class:`Physics`."""
        return [self.state]

    def turn_scene(self, g: Element) -> Any:
        """Refused; ``turns_scene`` and ``turns_goal`` say so."""
        raise NotImplementedError

    def turn_goal(self, g: Element) -> Any:
        """Refused; ``turns_scene`` and ``turns_goal`` say so."""
        raise NotImplementedError

    def draw(self, scene: mujoco.MjvScene) -> None:
        """Nothing: their goals, if any, are bodies or sites of the model."""


def physics_of(env: gymnasium.Env[Any, Any]) -> Physics:
    """The physics of an environment.

    Raises:
        UsageError: if it is not MuJoCo's.
    """
    bare: Any = env.unwrapped
    if isinstance(bare, TaskEnv):
        return TaskPhysics(bare)
    model, data = getattr(bare, "model", None), getattr(bare, "data", None)
    if isinstance(model, mujoco.MjModel) and isinstance(data, mujoco.MjData):
        return MujocoPhysics(model, data)
    name = "this environment" if env.spec is None else f"environment {env.spec.id}"
    raise UsageError(f"{name} cannot be watched: it has no MuJoCo model; eqrl evaluate plays it all the same")
