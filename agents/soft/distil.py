"""Distillation of an exact policy into an ordinary one, before reinforcement learning (after symmetry-cloning)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.policies import BasePolicy
from torch import Tensor

from eqrl.agents.networks import GroupChoice
from eqrl.agents.orbit import Orbit
from eqrl.agents.soft.cloning import clone, lesson, most_likely, random_teacher
from eqrl.agents.soft.consistency import Function, mean_square
from eqrl.agents.soft.prior import SymmetryPrior, gradient_steps, weight, whole_number
from eqrl.agents.symmetric_policy import SymmetricPolicy


class Distil(SymmetryPrior):
    """The policy first imitates a teacher that is exactly symmetric, on transformed observations; then it learns.

    The distillation takes place at the beginning of the first ``learn``. The teacher acts in the environment, and the
    networks are fitted by the mean square to its most likely actions, ``g teacher(s)`` at ``g s`` with random g, and to
    its values if it has values of the same kind. How the policy explores stays its own.

    With ``pull``, the policy is held near the clone while it learns, by ``pull * |mean(s) - clone(s)|^2 / 2 sigma^2``,
    and less and less until the end of the training. This is the KL divergence of two Gaussians, with PPO's present
    ``sigma``. In SAC and TD3, ``sigma`` is 1 in units of the bounds, which is our simplification. Without ``pull``, the
    policy is free to leave the symmetry.

    Args:
        group: a subgroup of the environment's group, by name or as a ``Group``; None means the whole group.
        pull: weight of the pull to the clone at the beginning of the training.
        teacher: a model or policy that commutes with the group; on the command line, the folder of a run. None means a
            random equivariant network, which teaches the symmetry and no task.
        samples: observations that the teacher gathers.
        steps: gradient steps of the distillation.
        batch_size: samples of each.
        learning_rate: of Adam at the first of them; it decays to zero.

    Attributes:
        error: relative equivariance error of the policy after the distillation, ``|f(g s) - g f(s)|`` divided by
            ``|f(g s)| + |g f(s)|``, a mean over gathered observations; NaN before.

    Raises:
        ValueError: for a value out of its range.
    """

    name: ClassVar[str] = "distil"

    def __init__(
        self,
        group: GroupChoice | None = None,
        pull: float = 0.0,
        teacher: BaseAlgorithm | BasePolicy | str | None = None,
        samples: int = 4096,
        steps: int = 2000,
        batch_size: int = 256,
        learning_rate: float = 2e-3,
    ) -> None:
        super().__init__(group, weight("pull", pull))
        self.size = whole_number("samples", samples, "a number of samples")
        self.steps = gradient_steps("steps", steps)
        self.batch_size = whole_number("batch_size", batch_size, "a number of samples")
        if weight("learning_rate", learning_rate) == 0.0:
            raise ValueError("learning_rate=0 learns nothing; give a positive number, such as 2e-3")
        self.teacher = teacher
        self.learning_rate = float(learning_rate)
        self.error = float("nan")
        self._done = False
        self._clone: Any = None

    def bind(self, model: BaseAlgorithm) -> None:
        """See the base class."""
        self._check_teacher(model, self.orbit)

    def prepare(self, load: Callable[[str], BaseAlgorithm]) -> None:
        """See the base class."""
        assert self.model is not None
        if isinstance(self.teacher, str):
            self.teacher = load(self.teacher)
            self._check_teacher(self.model, self.orbit)

    def before_learning(self) -> None:
        """Distil, the first time.

        Raises:
            ValueError: if the teacher is still the name of a run.
        """
        model = self.model
        assert model is not None
        if self._done:
            return
        if isinstance(self.teacher, str):
            raise ValueError(f"teacher={self.teacher!r} is a name; load the model: teacher=eqrl.load(...)[0]")
        teacher = random_teacher(model, self.orbit.group) if self.teacher is None else self.teacher
        lessons = lesson(teacher, model, self.size)
        clone(model, self.orbit, lessons, self.steps, self.batch_size, self.learning_rate)
        self.error = self._relative_error(lessons.observations)
        self._done = True
        if self.strength:
            self._clone = copy.deepcopy(model.policy).requires_grad_(False)

    def before_update(self) -> None:
        """Log the error of the distillation."""
        self.record("error", self.error)

    def policy_term(self, mean: Function, observations: Any) -> Tensor | None:
        """The pull to the clone."""
        model = self.model
        assert model is not None
        pull = self.strength * model._current_progress_remaining
        if self._clone is None or pull <= 0.0:
            return None
        with torch.no_grad():
            there = most_likely(self._clone)(observations)
        difference = mean_square(
            mean(observations) / self._sigma(), there / self._sigma(), self.orbit.valid(observations)
        )
        self.record("pull", pull)
        return 0.5 * pull * difference

    def idle_on(self, policy: SymmetricPolicy) -> bool:
        """A task can be taught to an exact policy as well, a symmetry cannot."""
        return self.teacher is None and super().idle_on(policy)

    def state(self) -> dict[str, Any]:
        """Whether the distillation is done, its error, and the clone that pulls."""
        clone = {} if self._clone is None else self._clone.state_dict()
        arrays = {name: parameter.cpu().numpy() for name, parameter in clone.items()}
        return {"done": self._done, "error": self.error, "clone": arrays}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See the base class."""
        assert self.model is not None
        self._done, self.error, self._clone = bool(state["done"]), float(state["error"]), None
        if state["clone"]:
            self._clone = copy.deepcopy(self.model.policy).requires_grad_(False)
            self._clone.load_state_dict({name: torch.as_tensor(array) for name, array in state["clone"].items()})

    def _sigma(self) -> Tensor:
        """Standard deviations of PPO's actions, 1 for other algorithms."""
        assert self.model is not None
        log_std = getattr(self.model.policy, "log_std", None)
        if isinstance(self.model, OnPolicyAlgorithm) and log_std is not None and not self.model.use_sde:
            return log_std.detach().exp()  # type: ignore[no-any-return]
        return torch.ones((), device=self.model.device)

    @torch.no_grad()
    def _relative_error(self, observations: Any) -> float:
        assert self.model is not None
        mode = most_likely(self.model.policy)
        here = mode(observations)
        g = self.orbit.draw(len(here))
        there, image = mode(self.orbit.observations(observations, g)), self.orbit.actions(here, g)
        return float(((there - image).norm(dim=-1) / (there.norm(dim=-1) + image.norm(dim=-1)).clamp(min=1e-9)).mean())

    def _check_teacher(self, model: BaseAlgorithm, orbit: Orbit) -> None:
        """Refuse a teacher that does not fit the model or the group; a name is checked when it is loaded."""
        teacher = self.teacher
        if teacher is None or isinstance(teacher, str):
            return
        if not isinstance(teacher, BaseAlgorithm | BasePolicy):
            raise ValueError(f"teacher={teacher!r} is neither a model nor a policy; give teacher=eqrl.load(...)[0]")
        policy = teacher.policy if isinstance(teacher, BaseAlgorithm) else teacher
        if not isinstance(policy, SymmetricPolicy) or not orbit.group.is_subgroup_of(policy.group):
            known = f"commutes with {policy.group} only" if isinstance(policy, SymmetricPolicy) else "knows no group"
            raise ValueError(f"the teacher {known}, and it shall teach {orbit.group}; give one that is exact for it")
        for what in ("observation_space", "action_space"):
            if getattr(teacher, what) != getattr(model, what):
                raise ValueError(f"the {what} of the teacher is not that of the model; give one from the same task")
