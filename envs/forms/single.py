"""A Gymnasium environment: a batch of one."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import gymnasium
import mujoco
import numpy as np
from numpy.typing import NDArray

from eqrl.envs.core.breaking import Breaking
from eqrl.envs.core.infos import info_rows
from eqrl.envs.core.rendering import DEFAULT_SIZE, BatchRenderer, asked_mode, check_render_mode
from eqrl.envs.core.simulation import Simulation, State
from eqrl.envs.core.task import Task
from eqrl.envs.registration import Members, fleet_members, make_tasks
from eqrl.symmetry import Element


class TaskEnv(gymnasium.Env[Any, Any]):
    """Single environment of a task.

    Args:
        task: the task's class, or where it is: ``"eqrl.envs.manipulation.push:Push"``.
        render_mode: ``"human"`` (a window), ``"rgb_array"`` or None; nothing touches a display unless asked to.
        width: of rendered frames, pixels.
        height: likewise.
        scene_rotation: degrees by which every initial scene is turned.
        goal_rotation: degrees by which the goal alone is turned.
        on_divergence: what to do when the physics diverges: ``"stop"`` with an error, or ``"reset"`` to end the
            episode: truncated, with reward 0 and the last good observation.
        members: of a registered set, whose ``member`` has to be named: one environment is one member of a fleet.
        member: name of the member.
        task_arguments: the task's own arguments.
    """

    metadata: dict[str, Any] = {"render_modes": ["human", "rgb_array"], "render_fps": 20}

    def __init__(
        self,
        task: str | type[Task],
        render_mode: str | None = None,
        width: int = DEFAULT_SIZE[0],
        height: int = DEFAULT_SIZE[1],
        scene_rotation: float = 0.0,
        goal_rotation: float = 0.0,
        on_divergence: str = "stop",
        members: Members | None = None,
        member: str | None = None,
        **task_arguments: Any,
    ) -> None:
        self.render_mode = check_render_mode(render_mode)
        members = fleet_members(task, members, task_arguments)
        if members is not None and member is None:
            raise ValueError(
                "members make a fleet, and this is one environment: name one of them with member=, give it the"
                " arguments of one member, or make the fleet with eqrl.make_vec or gymnasium.make_vec (in a run:"
                f" --vec-env auto); the members are {', '.join(map(str, members))}"
            )
        tasks = make_tasks(task, members, task_arguments, member)
        assert not isinstance(tasks, dict)
        self.task = tasks
        self.metadata = {**self.metadata, "render_fps": round(1.0 / self.task.dt)}
        self.simulation = Simulation(self.task, 1, 1, scene_rotation, goal_rotation, on_divergence)
        self.observation_space = self.task.observation_space
        self.action_space = self.task.action_space
        self._last: Any = None
        self._begun = False  # whether there is a state to start from
        self._renderer = BatchRenderer(self.simulation, width, height)
        if hasattr(self.task, "compute_reward"):
            # a goal environment, for hindsight replay; only tasks with goals have the attribute, because SB3 and
            # Gymnasium-Robotics recognise goal environments by it
            self.compute_reward = self.task.compute_reward

    @property
    def dt(self) -> float:
        """Seconds a control step."""
        return self.task.dt

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode; ``options`` may hold the task's reset options, ``scene_rotation`` and ``goal_rotation``."""
        super().reset(seed=seed)
        self.simulation.rngs[0] = self.np_random
        self.simulation.reset(options=[options or {}])
        self._begun = True
        if self.render_mode == "human":
            self.render()
        self._last = self._observation()
        return self._last, {}

    def step(self, action: NDArray[np.float32]) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Advance one control step; the time limit is the wrapper's that ``gymnasium.make`` adds."""
        if not self._begun:
            raise gymnasium.error.ResetNeeded("step() before reset() has no state to start from; call reset() first")
        outcome = self.simulation.step(np.asarray(action, dtype=np.float64)[None])
        if self.render_mode == "human":
            self.render()
        info = info_rows(outcome)[0]
        if outcome.diverged is not None and self._last is not None:
            return copy.deepcopy(self._last), 0.0, False, True, info
        self._last = self._observation()
        return self._last, float(outcome.reward[0]), bool(outcome.terminated[0]), outcome.diverged is not None, info

    def render(self) -> Any:
        """A frame of shape ``(height, width, 3)``, uint8, for ``rgb_array``; for ``human`` the window is updated."""
        if asked_mode(self.render_mode) == "human":
            return self._renderer.show(0)
        return self._renderer.frame(0)

    def close(self) -> None:
        """Free the renderer."""
        self._renderer.close()

    # ------------------------------------------------------------------ state and symmetry
    def get_state(self) -> State:
        """The whole typed state."""
        return self.simulation.get_state()

    def set_state(self, state: State) -> None:
        """Continue from a typed state."""
        self._begun = True
        self.simulation.set_state(state)

    def state_dict(self) -> dict[str, Any]:
        """The whole state in the middle of episodes, for checkpoints."""
        return self.simulation.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state_dict` gave."""
        self.simulation.load_state_dict(state)
        self._last = self._observation()

    def transform_state(self, state: State, g: Element) -> State:
        """The state of the transformed world."""
        return self.simulation.transform(state, g)

    def state_difference(self, a: State, b: State) -> dict[str, float]:
        """Largest absolute difference of every part of two states."""
        return self.simulation.difference(a, b)

    def nudge_state(self, state: State, size: float) -> State:
        """The state with positions and velocities moved by ``size``."""
        return replace(state, qpos=state.qpos + size, qvel=state.qvel + size)

    @property
    def model(self) -> mujoco.MjModel:
        """The compiled model."""
        return self.task.model

    def on_model(self, model: mujoco.MjModel, forces: bool = True) -> TaskEnv:
        """The same environment on another version of its model, to find out what breaks its symmetry.

        Args:
            model: a changed copy of the model.
            forces: whether external forces (wind) go on.
        """
        twin = copy.copy(self)
        twin.task = copy.copy(self.task)
        twin.task.model = model
        if not forces:
            twin.task.asymmetry = Breaking()
        twin.simulation = Simulation(twin.task, 1, 1)
        if forces:
            twin.simulation.world.data.xfrc_applied[:] = self.simulation.world.data.xfrc_applied
        return twin

    def contacts(self) -> int:
        """Number of contacts now."""
        return int(self.simulation.contacts[0])

    def observe(self) -> Any:
        """The observation of the current state."""
        return self._observation()

    def _observation(self) -> Any:
        observation = self.simulation.observe()
        if isinstance(observation, dict):
            return {k: v[0] for k, v in observation.items()}
        return observation[0]
