"""A Stable-Baselines3 ``VecEnv`` whose simulations are shared out to processes of Ray, on one machine or on several."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv, VecMonitor

from eqrl.engines.ray_session import connect
from eqrl.engines.ray_shard import Opened, Shard
from eqrl.envs.core.crew import cores
from eqrl.envs.core.divergence import DivergenceError
from eqrl.envs.core.packing import Observation, concatenated
from eqrl.envs.core.simulation import per_simulation
from eqrl.envs.forms.episodes import Step
from eqrl.envs.forms.sb3 import Indices, SharedTaskVecEnv, StepReturn, step_return
from eqrl.envs.registration import ENVIRONMENTS, fleet_members
from eqrl.errors import UsageError, suggestion
from eqrl.symmetry import Element

_START = 180.0  # seconds until a shard has its place and is open
_ROTATIONS = ("scene_rotation", "goal_rotation")


class ShardDiedError(UsageError):
    """The process of a shard has ended, for instance because the machine had no memory left; the message names it."""

    exit_code = 75  # as after a signal: the same command goes on from the last checkpoint


def make_vec(
    env_id: str,
    n_envs: int = 1,
    seed: int | None = None,
    n_threads: int = 0,
    *,
    shards: int | None = None,
    **kwargs: Any,
) -> VecEnv:
    """As :func:`eqrl.make_vec`, with the environments shared out to processes of Ray.

    Args:
        env_id: a registered id, such as ``"eqrl/AntTarget-v0"``.
        n_envs: number of environments.
        seed: environment ``i`` is seeded with ``seed + i``, whichever shard it is in.
        n_threads: as of :class:`RayVecEnv`.
        shards: likewise.
        kwargs: all other arguments of :func:`eqrl.make_vec`.

    Raises:
        ValueError: as :func:`eqrl.make_vec`.
        UsageError: if Ray is not installed, or has no place for the shards.
    """
    env = RayVecEnv(env_id, n_envs, n_threads, shards=shards, **kwargs)
    if seed is not None:
        env.seed(seed)
    return VecMonitor(env)


class RayVecEnv(SharedTaskVecEnv):
    """``n_envs`` environments of one task, in shards: each is an actor of Ray that steps a native batch.

    A step sends each shard its actions in one message and takes one back. Every environment has the same random numbers
    and so the same trajectory, to the bit, as in one process, for any number of shards. Ray is started on this machine
    unless the process has a session, or ``RAY_ADDRESS`` names a cluster.

    Args:
        env_id: a registered id.
        n_envs: number of environments.
        n_threads: threads for the physics of all shards together, 0 for all of Ray's CPUs.
        shards: number of processes; by default one a core of this machine, but not more than environments.
        kwargs: arguments of :func:`eqrl.make_vec`, without ``seed``: :meth:`seed` sets it.

    Attributes:
        shards: number of processes.
        pids: their numbers, each on its own machine.

    Raises:
        ValueError: for an unknown id, an argument that does not fit, or a fleet.
        UsageError: if Ray is not installed, or has no place for the shards.
    """

    def __init__(
        self, env_id: str, n_envs: int = 1, n_threads: int = 0, *, shards: int | None = None, **kwargs: Any
    ) -> None:
        if env_id not in ENVIRONMENTS:
            raise ValueError(f"environment {env_id!r} is not one of eqrl's; {suggestion(env_id, ENVIRONMENTS)}")
        _refuse_fleet(env_id, kwargs)
        self.shards = min(cores(), n_envs) if shards is None else shards
        if not 1 <= self.shards <= n_envs:
            raise ValueError(
                f"{n_envs} environments cannot be shared out to {shards} shards; give a number from 1 to {n_envs}"
            )
        self._ray = connect(max(cores(), self.shards, n_threads), "a vector environment on Ray")
        threads = max((n_threads or int(self._ray.cluster_resources().get("CPU", 1))) // self.shards, 1)
        self._rows = [slice(int(r[0]), int(r[-1]) + 1) for r in np.array_split(np.arange(n_envs), self.shards)]
        self._owner = np.repeat(np.arange(self.shards), [r.stop - r.start for r in self._rows])
        self.pids = [0] * self.shards
        self._pending: list[Any] = []
        angles = {name: per_simulation(name, kwargs[name], n_envs) for name in _ROTATIONS if name in kwargs}
        kind = self._ray.remote(Shard).options(num_cpus=threads)
        self._actors = [
            kind.remote(
                env_id,
                ENVIRONMENTS[env_id],
                rows.stop - rows.start,
                rows.start,
                {**kwargs, "n_threads": threads, **{name: values[rows] for name, values in angles.items()}},
            )
            for rows in self._rows
        ]
        try:
            opened: list[Opened] = self._answers([actor.open.remote() for actor in self._actors], _START)
            self.pids = [one.pid for one in opened]
            # copies: the arrays of what Ray hands over are read-only, and PyTorch has no such tensors
            super().__init__(n_envs, *copy.deepcopy((opened[0].observation_space, opened[0].action_space)))
        except BaseException:
            self.close()
            raise

    # ------------------------------------------------------------------ episodes
    def reset(self) -> Observation:
        """Start new episodes everywhere, with the seeds and options that were set."""
        asked = [
            actor.reset.remote(self._seeds[rows], self._options[rows])
            for actor, rows in zip(self._actors, self._rows, strict=True)
        ]
        self.reset_infos = [{} for _ in range(self.num_envs)]
        self._reset_seeds()
        self._reset_options()
        return concatenated(self._answers(asked))

    def restart(self, which: NDArray[np.int64], seeds: Sequence[int], elements: Element) -> Observation:
        """Start new episodes of some environments, in ascending order, each from a state that is turned."""
        shares = [np.flatnonzero(self._owner[which] == k) for k in range(self.shards)]
        asked = {
            k: self._actors[k].ask.remote(
                "restart", which[share] - self._rows[k].start, [seeds[j] for j in share.tolist()], elements[share]
            )
            for k, share in enumerate(shares)
            if share.size
        }
        return concatenated(self._answers(list(asked.values()), shards=asked))

    def step_async(self, actions: NDArray[Any]) -> None:
        """Send the actions."""
        self._pending = [actor.step.remote(actions[rows]) for actor, rows in zip(self._actors, self._rows, strict=True)]

    def step_wait(self) -> StepReturn:
        """Wait until all shards have advanced.

        Raises:
            ShardDiedError: if the process of a shard has ended.
            DivergenceError: if the physics diverged and ``on_divergence`` is ``"stop"``.
        """
        steps: list[Step] = self._answers(self._pending)
        return step_return(Step.joined(steps))

    def close(self) -> None:
        """End the processes of the shards; the session of Ray stays open for others."""
        if self._ray.is_initialized():
            for actor in self._actors:
                with contextlib.suppress(Exception):  # it has ended already
                    self._ray.kill(actor)

    # ------------------------------------------------------------------ checkpoints
    def state_dict(self) -> dict[str, Any]:
        """The whole state in the middle of episodes, in one piece: it can go on with another number of shards."""
        parts = self._all("state_dict")
        arrays = {name: np.concatenate([part[name] for part in parts]) for name in parts[0] if name != "random"}
        return {**arrays, "random": [rng for part in parts for rng in part["random"]]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state_dict` gave.

        Raises:
            ValueError: if it is that of another task or number of environments.
        """
        for name, values in state.items():
            if len(values) != self.num_envs:
                raise ValueError(f"the {name} are those of {len(values)} simulations, and here are {self.num_envs}")
        self._all("load_state_dict", lambda rows: ({name: values[rows] for name, values in state.items()},))

    # ------------------------------------------------------------------ what SB3 asks of every VecEnv
    def get_images(self) -> Sequence[NDArray[np.uint8] | None]:
        """A frame of every environment."""
        return [image for images in self._all("get_images") for image in images]

    def get_attr(self, attr_name: str, indices: Indices = None) -> list[Any]:
        """The attribute of the batch, or of its task, once for each environment."""
        return self._each(indices, "get_attr", attr_name)

    def env_method(
        self, method_name: str, *method_args: Any, indices: Indices = None, **method_kwargs: Any
    ) -> list[Any]:
        """Call a method of the task once for each environment asked for."""
        return self._each(indices, "env_method", method_name, *method_args, **method_kwargs)

    # ------------------------------------------------------------------ messages
    def _all(self, method: str, arguments: Callable[[slice], tuple[Any, ...]] = lambda rows: ()) -> list[Any]:
        """What a method of every shard's environment returns; ``arguments`` cuts out its part of the arguments."""
        return self._answers(
            [a.ask.remote(method, *arguments(rows)) for a, rows in zip(self._actors, self._rows, strict=True)]
        )

    def _each(self, indices: Indices, method: str, *args: Any, **kwargs: Any) -> list[Any]:
        """What a method gives for each environment, in the order of ``indices``."""
        wanted = np.arange(self.num_envs)[list(self._get_indices(indices))]
        shares = {int(k): wanted[self._owner[wanted] == k] for k in dict.fromkeys(self._owner[wanted].tolist())}
        asked = [
            self._actors[k].ask.remote(method, *args, indices=(own - self._rows[k].start).tolist(), **kwargs)
            for k, own in shares.items()
        ]
        answers = dict(zip(shares, map(iter, self._answers(asked, shards=shares)), strict=True))
        return [next(answers[k]) for k in self._owner[wanted].tolist()]

    def _answers(
        self, asked: Sequence[Any], patience: float | None = None, shards: Iterable[int] | None = None
    ) -> list[Any]:
        """Wait for all answers, so that no shard is ahead of another; then raise the first error, if there is one.

        Args:
            asked: references of Ray.
            patience: seconds to wait for each, None for ever.
            shards: who was asked, by default all.
        """
        errors = self._ray.exceptions
        answers: list[Any] = []
        diverged: list[DivergenceError] = []
        other: list[BaseException] = []
        for k, reference in zip(range(self.shards) if shards is None else shards, asked, strict=True):
            try:
                answers.append(self._ray.get(reference, timeout=patience))
            except errors.RayActorError:
                other.append(self._died(k))
            except errors.GetTimeoutError:
                other.append(self._without_place(k))
            except errors.RayTaskError as error:
                if isinstance(error.cause, DivergenceError):
                    diverged.append(error.cause)
                else:
                    other.append(error.cause or error)
        if other:
            raise other[0]
        if diverged:
            raise DivergenceError.joined(diverged)
        return answers

    def _died(self, k: int) -> ShardDiedError:
        rows = self._rows[k]
        return ShardDiedError(
            f"shard {k + 1} of {self.shards} (environments {rows.start} to {rows.stop - 1}, process {self.pids[k]})"
            " has died: it was killed, or its machine had no memory left or was lost"
        )

    def _without_place(self, k: int) -> UsageError:
        free, total = (r.get("CPU", 0) for r in (self._ray.available_resources(), self._ray.cluster_resources()))
        return UsageError(
            f"shard {k + 1} of {self.shards} was not open after {_START:g} s: Ray has {total:g} CPUs, of which {free:g}"
            " are free; give fewer shards or threads"
        )


def _refuse_fleet(env_id: str, kwargs: dict[str, Any]) -> None:
    registered = ENVIRONMENTS[env_id]
    members = registered.members if kwargs.get("members") is None else kwargs["members"]
    if kwargs.get("member") is None and fleet_members(registered.task, members, {**registered.kwargs, **kwargs}):
        raise ValueError(
            f"{env_id} is a fleet, whose members share one process already; make it with eqrl.make_vec (in a run:"
            " --vec-env auto), or one member with member=NAME"
        )
