"""A Gymnasium vector environment: the same batch, or fleet, behind ``gymnasium.make_vec``."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import ArrayLike, NDArray

from eqrl.envs.core.fleet import simulate
from eqrl.envs.core.infos import info_columns
from eqrl.envs.core.packing import Observation
from eqrl.envs.core.rendering import DEFAULT_SIZE, BatchRenderer, asked_mode, check_render_mode
from eqrl.envs.core.task import Task
from eqrl.envs.forms.episodes import advance
from eqrl.envs.registration import Members, make_tasks


class TaskVectorEnv(VectorEnv[Any, Any, Any]):
    """``num_envs`` environments of one task on one native batch, or of a fleet, with same-step autoreset.

    The single spaces are typed; the batched spaces are plain boxes.

    Args:
        task: the task's class, or where it is: ``"eqrl.envs.manipulation.push:Push"``.
        num_envs: number of environments.
        max_episode_steps: time limit in control steps; ``gymnasium.make_vec`` passes the registered one.
        n_threads: threads for the physics, 0 for all cores.
        render_mode: as in the single environment.
        scene_rotation: degrees, one number or one an environment.
        goal_rotation: likewise.
        on_divergence: what to do when the physics of a member diverges: ``"stop"`` with an error, or ``"reset"`` to end
            that member's episode: truncated, with reward 0 and its last good observation.
        width: of rendered frames, pixels.
        height: likewise.
        members: ``{name: task's arguments}`` of a fleet's members, among which the environments are shared out evenly
            and in order; ``infos["member"]`` holds their names.
        member: name of the one member to make alone; None for all.
        task_arguments: the task's own arguments; in a fleet, those that all members share.
    """

    metadata: dict[str, Any] = {
        "render_modes": ["human", "rgb_array"],
        "render_fps": 20,
        "autoreset_mode": AutoresetMode.SAME_STEP,
    }

    def __init__(
        self,
        task: str | type[Task],
        num_envs: int = 1,
        max_episode_steps: int = 2**31,
        n_threads: int = 0,
        render_mode: str | None = None,
        scene_rotation: ArrayLike = 0.0,
        goal_rotation: ArrayLike = 0.0,
        on_divergence: str = "stop",
        width: int = DEFAULT_SIZE[0],
        height: int = DEFAULT_SIZE[1],
        members: Members | None = None,
        member: str | None = None,
        **task_arguments: Any,
    ) -> None:
        tasks = make_tasks(task, members, task_arguments, member)
        self.simulation = simulate(tasks, num_envs, n_threads, scene_rotation, goal_rotation, on_divergence)
        self.metadata = {**self.metadata, "render_fps": round(1.0 / self.simulation.dt)}
        self.max_episode_steps = max_episode_steps
        self.num_envs = num_envs
        self.render_mode = check_render_mode(render_mode)
        self._last: Observation | None = None
        self._renderer = BatchRenderer(self.simulation, width, height)
        self.single_observation_space = self.simulation.observation_space
        self.single_action_space = self.simulation.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

    @property
    def task(self) -> Task:
        """The task; a fleet has one for each member and refuses."""
        return self.simulation.task

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start new episodes everywhere; environment ``i`` gets ``seed + i``, or the i-th of a list."""
        if seed is not None:
            self.simulation.seed(
                [seed + i for i in range(self.num_envs)] if isinstance(seed, int | np.integer) else seed
            )
        self.simulation.reset(options=[options or {}] * self.num_envs)
        self._last = self.simulation.observe()
        names = self.simulation.member_names
        return self._last, {"member": np.array(names)} if names else {}

    def step(
        self, actions: NDArray[np.float32]
    ) -> tuple[Any, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Advance all environments; those that are done start anew, their last observation is in ``final_obs``."""
        step = advance(self.simulation, np.asarray(actions, dtype=np.float64), self.max_episode_steps, self._last)
        outcome, dones = step.outcome, step.dones
        infos = info_columns(outcome)
        if dones.any():
            infos = {
                "final_obs": step.final,
                "_final_obs": dones,
                "final_info": infos,
                "_final_info": dones,
                **infos,
            }
        self._last = step.observation  # fresh arrays in every step, so that there is nothing to copy
        return step.observation, outcome.reward, outcome.terminated, step.truncated, infos

    def render(self) -> Any:
        """Frames of all environments, or the first one in a window."""
        if asked_mode(self.render_mode) == "human":
            return self._renderer.show(0)
        return tuple(self._renderer.frame(i) for i in range(self.num_envs))

    def close_extras(self, **kwargs: Any) -> None:
        """Free the renderer and threads."""
        self._renderer.close()
        self.simulation.close()
