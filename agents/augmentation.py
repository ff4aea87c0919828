"""Augmentation by random group elements: the baseline that learns a symmetry from data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn

from eqrl.agents.options import representation_in
from eqrl.symmetry import Element, Group, Representation, representation_of

_BOX = ""  # the key of an observation that is not a dict


class RandomRotation(VecEnvWrapper):
    """Show every episode in a random orientation.

    For each environment and episode, a group element g is sampled uniformly. The agent sees ``g s``, and the inverse of
    g acts on its actions, so the agent acts in a transformed world. Rewards do not change.
    With an ordinary network (``MlpPolicy``, or ``network="mlp"``) this is the augmentation baseline.

    Args:
        venv: vectorised environment with typed spaces.
        group: group to sample from, by default the rotations and mirrors of the world that the observation space
            declares.
        seed: seed of the samples; ``venv.seed`` sets it as well.

    Raises:
        UntypedSpaceError: if a space is not typed.
        ValueError: if the group is not a subgroup of the one that the environment declares.
    """

    def __init__(self, venv: VecEnv, group: Group | None = None, seed: int | None = None) -> None:
        super().__init__(venv)
        declared = representation_in(venv.observation_space, "observation").group
        self.group = group or declared.world_part()
        if not self.group.is_subgroup_of(declared):
            raise ValueError(f"group {self.group} is not a subgroup of {declared}, which the environment declares")
        self._action = representation_in(venv.action_space, "action")
        self._representations = _representations(venv.observation_space)
        self._rng = np.random.default_rng(seed)
        self._turn_action = np.zeros((self.num_envs, self._action.dim, self._action.dim))
        self._turns = {key: np.zeros((self.num_envs, rep.dim, rep.dim)) for key, rep in self._representations.items()}

    def reset(self) -> VecEnvObs:
        """Reset all environments and sample an element for each."""
        self._draw(np.arange(self.num_envs))
        observation: VecEnvObs = self._turned(self.venv.reset())
        return observation

    def step_async(self, actions: NDArray[Any]) -> None:
        """Transform the actions back to the orientation of the environments and send them."""
        # g^T a, with the inverse of g, which is orthogonal
        self.venv.step_async(np.einsum("nji,nj->ni", self._turn_action, actions).astype(actions.dtype))

    def step_wait(self) -> VecEnvStepReturn:
        """Receive a step. The last observation of an episode still has its orientation.

        The next episode gets a new one.
        """
        observations, rewards, dones, infos = self.venv.step_wait()
        ended, infos = np.flatnonzero(dones), list(infos)
        for i in ended:
            if (last := infos[i].get("terminal_observation")) is not None:
                infos[i] = {**infos[i], "terminal_observation": self._turned(last, int(i))}
        if len(ended):
            self._draw(ended)
        return self._turned(observations), rewards, dones, infos

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Seed the environments and the sampling of elements."""
        self._rng = np.random.default_rng(seed)
        return self.venv.seed(seed)

    def state_dict(self) -> dict[str, Any]:
        """The orientations of the current episodes and the state of the random numbers, for checkpoints."""
        return {
            "random": self._rng,
            "action": self._turn_action.copy(),
            "turns": {k: v.copy() for k, v in self._turns.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a state that :meth:`state_dict` returned."""
        self._rng.bit_generator.state = state["random"].bit_generator.state
        self._turn_action[...] = state["action"]
        for key, matrices in self._turns.items():
            matrices[...] = state["turns"][key]

    def _draw(self, which: NDArray[np.intp]) -> None:
        g = self.group.sample(len(which), rng=self._rng)
        self._turn_action[which] = _matrices(self._action, g)
        for key, representation in self._representations.items():
            self._turns[key][which] = _matrices(representation, g)

    def _turned(self, observation: Any, env: int | None = None) -> Any:
        if isinstance(observation, dict):
            return {key: self._turn(key, value, env) for key, value in observation.items()}
        return self._turn(_BOX, observation, env)

    def _turn(self, key: str, x: NDArray[Any], env: int | None) -> NDArray[Any]:
        matrices = self._turns[key] if env is None else self._turns[key][env]
        turned: NDArray[Any] = np.einsum("...ij,...j->...i", matrices, x)
        return turned.astype(x.dtype)


def _representations(space: gymnasium.Space[Any]) -> dict[str, Representation]:
    if isinstance(space, spaces.Dict):
        return {key: representation_of(entry) for key, entry in space.spaces.items()}
    return {_BOX: representation_of(space)}


def _matrices(representation: Representation, g: Element) -> NDArray[np.float64]:
    with torch.no_grad():
        return representation.matrix(g).numpy()
