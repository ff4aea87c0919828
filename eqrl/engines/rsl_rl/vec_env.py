"""rsl_rl's ``VecEnv`` around a vector environment with typed spaces."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from rsl_rl.env import VecEnv
from stable_baselines3.common.vec_env import VecEnv as SB3VecEnv
from tensordict import TensorDict
from torch import Tensor

from eqrl.agents.actions import ActionGeometry
from eqrl.engines.rsl_rl.spaces import POLICY, TypedSpaces
from eqrl.envs.forms.sb3 import TaskVecEnv
from eqrl.errors import UsageError


class TypedVecEnv(VecEnv):  # type: ignore[misc]
    """An environment for rsl_rl's runners: ``OnPolicyRunner(TypedVecEnv(eqrl.make_vec(id, 64)), cfg)``.

    A box observation is the group ``"policy"``; a dict observation has a group for each of its entries. rsl_rl's
    actions are unbounded: vectors are shortened to their ball and scalars are clipped, so that nothing prefers a
    direction.

    Args:
        env: a vector environment of Stable-Baselines3 with typed spaces, such as :func:`eqrl.make_vec` returns.
        device: where observations and rewards are put; the physics runs on the CPU.
        max_episode_length: time limit in control steps, by default the environment's.

    Raises:
        UntypedSpaceError: if a space is not typed.
        BreaksSymmetryError: if the bounds of the actions are not kept by the group.
        UsageError: if the time limit is not known.
    """

    def __init__(
        self, env: SB3VecEnv, device: str | torch.device = "cpu", max_episode_length: int | None = None
    ) -> None:
        self.typed_spaces = TypedSpaces.of(env.observation_space, env.action_space)
        self.env = env
        self.device = device
        self.num_envs = env.num_envs
        self.num_actions = self.typed_spaces.action.representation.dim
        self.max_episode_length = max_episode_length or _time_limit(env)
        self.cfg = {
            "num_envs": self.num_envs,
            "max_episode_length": self.max_episode_length,
            "observation": repr(env.observation_space),
            "action": repr(env.action_space),
        }
        self._geometry = ActionGeometry(self.typed_spaces.action, unit=False)
        self._low, self._high = (torch.as_tensor(bound) for bound in (env.action_space.low, env.action_space.high))  # type: ignore[attr-defined]
        self._elapsed = torch.zeros(self.num_envs, dtype=torch.long, device=device)
        self._observations = self._grouped(env.reset())

    @property
    def episode_length_buf(self) -> Tensor:
        """Control steps since each episode began, shape ``(num_envs,)``.

        rsl_rl writes random numbers here at the start (``init_at_random_ep_len``), so that not all episodes end at
        once.

        Raises:
            UsageError: when it is written, if the environment is not of :func:`eqrl.make_vec`.
        """
        return self._elapsed

    @episode_length_buf.setter
    def episode_length_buf(self, elapsed: Tensor) -> None:
        base = self.env.unwrapped
        if not isinstance(base, TaskVecEnv):
            raise UsageError(
                f"init_at_random_ep_len=True needs an environment of eqrl.make_vec, and {type(base).__name__} does not"
                " let its clock be set; leave it out"
            )
        for i, steps in enumerate(elapsed.tolist()):
            simulation, row = base.simulation.at(i)
            simulation.elapsed[row] = steps
        self._elapsed = elapsed.to(self.device)

    def get_observations(self) -> TensorDict:
        """The current observations by group, each of shape ``(num_envs, dim)``; they carry the typed spaces."""
        return self.typed_spaces.attach(self._observations)

    def reset(self) -> TensorDict:
        """Start new episodes everywhere."""
        self._elapsed = torch.zeros_like(self._elapsed)
        self._observations = self._grouped(self.env.reset())
        return self.get_observations()

    def step(self, actions: Tensor) -> tuple[TensorDict, Tensor, Tensor, dict[str, Any]]:
        """Advance all environments; those that are done start anew.

        Args:
            actions: shape ``(num_envs, num_actions)``, unbounded.

        Returns:
            Observations by group, rewards ``(num_envs,)``, ends of episodes ``(num_envs,)``, and extras: which of the
            ends were the time limit's (``"time_outs"``), and the share of successes among them (``"log"``).
        """
        bounded = self._geometry.project(actions.detach().cpu()).clamp(self._low, self._high)
        observation, rewards, dones, infos = self.env.step(bounded.numpy())
        time_outs = [info.get("TimeLimit.truncated", False) for info in infos]
        extras: dict[str, Any] = {"time_outs": torch.tensor(time_outs, device=self.device)}
        ended = [info for info, done in zip(infos, dones, strict=True) if done and "is_success" in info]
        if ended:
            extras["log"] = {"Episode/success": float(np.mean([info["is_success"] for info in ended]))}
        done = self._tensor(dones, torch.bool)
        self._elapsed = torch.where(done, 0, self._elapsed + 1)
        self._observations = self._grouped(observation)
        return self._observations, self._tensor(rewards), done, extras

    def seed(self, seed: int) -> None:
        """Seed the episodes that start at the next reset."""
        self.env.seed(seed)

    def close(self) -> None:
        """Free the renderer and threads."""
        self.env.close()

    def _grouped(self, observation: Any) -> TensorDict:
        entries = observation if isinstance(self.env.observation_space, spaces.Dict) else {POLICY: observation}
        tensors = {name: self._tensor(entry) for name, entry in entries.items()}
        return TensorDict(tensors, batch_size=[self.num_envs], device=self.device)

    def _tensor(self, array: NDArray[Any], dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.as_tensor(array, dtype=dtype, device=self.device)


def _time_limit(env: SB3VecEnv) -> int:
    """The time limit of eqrl's environments, or of environments made by ``gymnasium.make``.

    Raises:
        UsageError: if there is none.
    """
    base = env.unwrapped
    if isinstance(base, TaskVecEnv):
        return base.max_episode_steps
    try:
        limit = getattr(env.get_attr("spec")[0], "max_episode_steps", None)
    except AttributeError:
        limit = None
    if limit is None:
        raise UsageError("TypedVecEnv: the environment does not tell its time limit; give max_episode_length=")
    return int(limit)
