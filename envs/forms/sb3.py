"""A Stable-Baselines3 ``VecEnv``: a batch of many, or a fleet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from gymnasium.envs.registration import EnvSpec
from numpy.typing import ArrayLike, NDArray
from stable_baselines3.common.vec_env import VecEnv

from eqrl.envs.core.fleet import simulate
from eqrl.envs.core.infos import info_rows
from eqrl.envs.core.packing import Observation
from eqrl.envs.core.rendering import DEFAULT_SIZE, BatchRenderer, check_render_mode
from eqrl.envs.core.task import Task
from eqrl.envs.forms.episodes import Step, advance
from eqrl.symmetry import Element

Indices = None | int | Iterable[int]
StepReturn = tuple[Observation, NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]


class SharedTaskVecEnv(VecEnv):
    """A ``VecEnv`` whose environments share their task, so that none of them can be changed or wrapped by itself."""

    def set_attr(self, attr_name: str, value: Any, indices: Indices = None) -> None:
        """Refused."""
        raise NotImplementedError(
            f"cannot set {attr_name!r}: the environments share one task; make a new one with other arguments"
        )

    def env_is_wrapped(self, wrapper_class: type, indices: Indices = None) -> list[bool]:
        """No environment is wrapped one by one."""
        return [False for _ in self._get_indices(indices)]


class TaskVecEnv(SharedTaskVecEnv):
    """``n_envs`` environments of one task on one native batch, or of a fleet's tasks on a batch for each.

    Resets are same-step as SB3 expects: ``infos[i]["terminal_observation"]`` and ``infos[i]["TimeLimit.truncated"]``
    at the end of an episode. Wrap it in SB3's ``VecMonitor`` for episode statistics, as :func:`eqrl.make_vec` does.

    Args:
        task: the task; or ``{name: task}``, the members of a fleet, among which the environments are shared out evenly
            and in order. Then every ``info`` names its ``"member"``.
        n_envs: number of environments.
        n_threads: threads for the physics, 0 for all cores.
        max_episode_steps: time limit in control steps.
        render_mode: as in the Gymnasium environment.
        scene_rotation: degrees, one number or one an environment.
        goal_rotation: likewise.
        on_divergence: what to do when the physics of a member diverges: ``"stop"`` with an error, or ``"reset"`` to end
            that member's episode: truncated, with reward 0 and its last good observation.
        width: of rendered frames, pixels.
        height: likewise.
        spec: how Gymnasium makes one of these environments alone; None if it cannot.

    Attributes:
        simulation: the physics.
        members: in a fleet, the name of each environment's member; else empty.
    """

    def __init__(
        self,
        task: Task | Mapping[str, Task],
        n_envs: int = 1,
        n_threads: int = 0,
        *,
        max_episode_steps: int,
        render_mode: str | None = None,
        scene_rotation: ArrayLike = 0.0,
        goal_rotation: ArrayLike = 0.0,
        on_divergence: str = "stop",
        width: int = DEFAULT_SIZE[0],
        height: int = DEFAULT_SIZE[1],
        spec: EnvSpec | None = None,
    ) -> None:
        self.spec = spec
        self.max_episode_steps = int(max_episode_steps)
        if self.max_episode_steps < 1:
            raise ValueError(f"max_episode_steps must be at least 1, got {max_episode_steps}")
        self.simulation = simulation = simulate(task, n_envs, n_threads, scene_rotation, goal_rotation, on_divergence)
        self.members = simulation.member_names
        self.render_mode = check_render_mode(render_mode)
        self._last: Observation | None = None
        self._renderer = BatchRenderer(self.simulation, width, height)
        self._actions: NDArray[np.float32] = np.zeros((n_envs, *simulation.action_space.shape), dtype=np.float32)
        super().__init__(n_envs, simulation.observation_space, simulation.action_space)

    @property
    def task(self) -> Task:
        """The task; a fleet has one for each member, which ``get_attr("task")`` gives."""
        return self.simulation.task

    # ------------------------------------------------------------------ episodes
    def reset(self) -> Observation:
        """Start new episodes everywhere, with the seeds and options that were set."""
        self.simulation.seed(self._seeds)
        self.simulation.reset(options=self._options)
        self.reset_infos = [{"member": name} for name in self.members] or [{} for _ in range(self.num_envs)]
        self._reset_seeds()
        self._reset_options()
        self._last = self.simulation.observe()
        return self._last

    def seed(self, seed: int | Sequence[int] | None = None) -> Sequence[int | None]:
        """Seeds for the next reset: environment ``i`` gets ``seed + i``, or the i-th of a list."""
        if seed is None or isinstance(seed, int | np.integer):
            return super().seed(None if seed is None else int(seed))
        if len(seed) != self.num_envs:
            raise ValueError(f"got {len(seed)} seeds for {self.num_envs} environments")
        self._seeds = [int(s) for s in seed]
        return self._seeds

    def restart(self, which: NDArray[np.int64], seeds: Sequence[int], elements: Element) -> Observation:
        """Start new episodes of some environments, each from a state that is turned.

        Args:
            which: the environments, shape ``(m,)``.
            seeds: seeds of their first states.
            elements: by which the states are turned, batch shape ``(m,)``.

        Returns:
            Their first observations.
        """
        of = dict(zip(which.tolist(), seeds, strict=True))
        self.simulation.seed([of.get(i) for i in range(self.num_envs)])
        self.simulation.reset(which)
        # a simulation at a time, because parts of its state need not broadcast over elements
        for k, i in enumerate(which.tolist()):
            simulation, row = self.simulation.at(i)
            ids = np.array([row])
            simulation.set_state(simulation.transform(simulation.get_state(ids), elements[k]), ids)
        self._last = self.simulation.observe()
        first: Observation = _row(self._last, which)
        return first

    def step_async(self, actions: NDArray[np.float32]) -> None:
        """Keep the actions for :meth:`step_wait`."""
        self._actions = actions

    def step_wait(self) -> StepReturn:
        """Advance all environments; those that are done start anew."""
        return step_return(self.advance(self._actions))

    def advance(self, actions: NDArray[np.float32]) -> Step:
        """Advance all environments by a step, in the form that all batched environments share."""
        step = advance(self.simulation, actions.astype(np.float64), self.max_episode_steps, self._last)
        self._last = step.observation  # fresh arrays in every step, so that there is nothing to copy
        return step

    def close(self) -> None:
        """Free the renderer and threads."""
        self._renderer.close()
        self.simulation.close()

    def state_dict(self) -> dict[str, Any]:
        """The whole state in the middle of episodes, for checkpoints."""
        return self.simulation.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state_dict` gave."""
        self.simulation.load_state_dict(state)
        self._last = self.simulation.observe()

    # ------------------------------------------------------------------ rendering
    def get_images(self) -> Sequence[NDArray[np.uint8] | None]:
        """A frame of every environment."""
        return [self._renderer.frame(i) for i in range(self.num_envs)]

    # ------------------------------------------------------------------ what SB3 asks of every VecEnv
    def get_attr(self, attr_name: str, indices: Indices = None) -> list[Any]:
        """The attribute of the batch, or of its task, once for each environment; ``"spec"`` names its member."""
        if attr_name == "spec":
            return [self._spec(i) for i in self._get_indices(indices)]
        if attr_name in self.__dict__:
            return [getattr(self, attr_name) for _ in self._get_indices(indices)]
        tasks = [self.simulation.at(i)[0].task for i in self._get_indices(indices)]
        return tasks if attr_name == "task" else [getattr(task, attr_name) for task in tasks]

    def env_method(
        self, method_name: str, *method_args: Any, indices: Indices = None, **method_kwargs: Any
    ) -> list[Any]:
        """Call a method of the task once for each environment asked for.

        In a fleet, ``compute_reward`` of many transitions with an info each takes the task that ``info["member"]``
        names, so that hindsight replay, which only asks environment 0, gets the reward of each transition's own member.
        """
        methods = [self.simulation.method(method_name, i) for i in self._get_indices(indices)]
        return [method(*method_args, **method_kwargs) for method in methods]

    def _spec(self, i: int) -> EnvSpec | None:
        if self.spec is None or not self.members:
            return self.spec
        return replace(self.spec, kwargs={**self.spec.kwargs, "member": self.members[i]})


def step_return(step: Step) -> StepReturn:
    """A step in SB3's form: observations, rewards, ends, and an ``info`` for each environment."""
    outcome, dones = step.outcome, step.dones
    infos = info_rows(outcome)
    for i in np.flatnonzero(dones).tolist():
        infos[i]["TimeLimit.truncated"] = bool(step.truncated[i] and not outcome.terminated[i])
        infos[i]["terminal_observation"] = _row(step.final, i)
    return step.observation, outcome.reward.astype(np.float32), dones, infos


def _row(observation: Observation, i: int | NDArray[np.int64]) -> Any:
    if isinstance(observation, dict):
        return {k: v[i] for k, v in observation.items()}
    return observation[i]
