"""Rewards of tasks that bring a held shape to a pose."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from eqrl.arrays import Bools, Floats
from eqrl.envs.core import Outcome, World, choice
from eqrl.envs.manipulation.shaped import Shaped, joined
from eqrl.envs.scenes.hindsight import from_info, steps_left, with_terms


class Posed(Shaped):
    """A held shape that is brought to a pose.

    Attributes:
        motion_names: names of :meth:`motion_terms`.
        episode_steps: number of steps of the published episode, whose last ones the reward ``"paper"`` counts more.
    """

    motion_names: ClassVar[tuple[str, ...]] = ()
    episode_steps: ClassVar[int] = 100

    reward_type = choice("markov", "paper", "sparse", description="reward")

    @abstractmethod
    def errors(self, achieved_goal: NDArray[Any], desired_goal: NDArray[Any]) -> dict[str, Floats]:
        """The metrics: how far goals are from each other, ``(*batch,)`` each."""

    @abstractmethod
    def solved(self, errors: Mapping[str, Floats]) -> Bools:
        """Whether these errors are small enough, ``(*batch,)``."""

    @abstractmethod
    def markov_terms(self, errors: Mapping[str, Floats]) -> dict[str, Floats]:
        """Terms of the reward ``"markov"`` beside 1 for success, ``(*batch,)`` each."""

    @abstractmethod
    def paper_terms(self, errors: Mapping[str, Floats], left: Any) -> dict[str, Floats]:
        """Terms of the reward ``"paper"``, without its factor of the control step.

        Args:
            errors: the metrics.
            left: number of steps of the published episode that are left after this one, ``(*batch,)``.
        """

    def motion_terms(self, world: World, action: Floats) -> dict[str, Floats]:
        """Terms of the reward ``"paper"`` that goals do not tell, without its factor; none by default."""
        return {}

    def evaluate(self, world: World, action: Floats) -> Outcome:
        """Reward from the errors of the pose."""
        errors = self.errors(joined(*self.achieved(world)), joined(*self.desired(world)))
        left = steps_left(world, self.episode_steps, self.dt)
        rewards = self._terms(errors, left)
        if self.reward_type == "paper":
            rewards |= {name: self.dt * term for name, term in self.motion_terms(world, action).items()}
        return Outcome(rewards, self.solved(errors), metrics={**errors, "steps_left": left})

    def compute_reward(self, achieved_goal: NDArray[Any], desired_goal: NDArray[Any], info: Any) -> Any:
        """Reward of any achieved goals for any desired ones, for hindsight replay.

        Args:
            achieved_goal: shape ``(*batch, size)``.
            desired_goal: likewise.
            info: a dict, or one a pair. Only the reward ``"paper"`` needs it, for its clock and its terms of motion.

        Returns:
            Rewards of shape ``(*batch,)``; a float for a single pair.
        """
        paper = self.reward_type == "paper"
        left = from_info(info, "steps_left", float(self.episode_steps))
        single = np.ndim(achieved_goal) == 1  # as a batch of one, which the step computes with, so that bits are equal
        if single:
            achieved_goal, desired_goal = achieved_goal[None], desired_goal[None]
        total: Any = sum(self._terms(self.errors(achieved_goal, desired_goal), left).values())
        total = with_terms(total, info, [f"reward_{name}" for name in self.motion_names if paper])
        return float(total[0]) if single else total

    def _terms(self, errors: Mapping[str, Floats], left: Any) -> dict[str, Floats]:
        solved = self.solved(errors).astype(np.float64)
        if self.reward_type == "sparse":
            return {"success": solved - 1.0}
        if self.reward_type == "paper":
            return {name: self.dt * term for name, term in self.paper_terms(errors, left).items()}
        return {**self.markov_terms(errors), "success": solved}
