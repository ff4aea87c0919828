"""PER: ordinary layers are pulled towards the layers of several groups at once (Kim et al., ICML 2023, 2306.00356)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from torch import Tensor

from eqrl.agents.networks import GroupChoice
from eqrl.agents.soft.candidates import candidate_groups, chosen_candidates
from eqrl.agents.soft.consistency import joined
from eqrl.agents.soft.plain_layers import PlainLayers
from eqrl.agents.soft.prior import SymmetryPrior, gradient_steps, weight, whole_number
from eqrl.agents.soft.projection import Projections
from eqrl.agents.soft.published_rule import AdjustOnce
from eqrl.agents.symmetric_policy import SymmetricPolicy
from eqrl.symmetry import Group, representation_of

Function = Any

_WINDOW = 0.1  # of the time until the adjustment
_ERRORS_EVERY = 100  # policy steps between measurements of function-level errors


class Regulariser(SymmetryPrior):
    """``sum_j lambda_j R_j``: the squared distances of all layers from those that commute with candidate group j.

    Hidden layers carry regular representations of the group that all candidates generate; channels that do not make up
    a whole copy are invariant. The layers of actor, critics and value and the standard deviations count, target
    networks do not. Once in a run the strengths adapt by the published rule: the group that is violated least keeps
    its strength, the others lose by a power of how much more they are violated.

    A larger group forbids more dimensions and is violated more by the same weights, so that the rule cuts it for no
    other reason; ``codimension`` divides by the part of all dimensions that a group forbids, which helps partly. A
    single candidate is its own measure and keeps its strength. Strengths that are too weak for distances to part before
    the adjustment mis-rank. Therefore ``symmetry/regulariser/error/GROUP``, the equivariance error of the policy, is
    logged beside strengths and distances, and has the last word.

    A model that has not learnt yet is changed: the part of its weights that all candidates allow gets the norm of the
    weights, and the rest is halved (see :meth:`~eqrl.agents.soft.projection.Projections.strengthen`; the published code
    halves the rest as well).

    The published code counts epochs; here the adjustment comes at a fraction of the run, after watching for the last
    tenth of the time until then. It has one network and one distance for each group; here that of actor and critic is
    their sum. It acts in every step; here it acts twice in every second step, which halves its cost. And it adds the
    penalty to the loss; here weights are pulled by its gradient after the optimiser's step, at the optimiser's learning
    rate, as weight decay is in AdamW (Loshchilov and Hutter, ICLR 2019). In the loss, its gradient is what gets clipped
    and what Adam divides by, so that hardly anything is left of the task.

    Args:
        group: a subgroup of the environment's group, by name or as a ``Group``; None means the whole group.
        strength: initial strength of each candidate. In the loss, 0.1 pulls about as much.
        candidates: finite subgroups, or names of :func:`~eqrl.agents.soft.candidates.candidate_groups`; None means all
            of these.
        turns: order of the turns that stand for rotations, 4 or 8 for instance.
        power: p of the published rule.
        adjust_at: fraction of the run's steps after which strengths adapt, or from 1 on a number of gradient steps.
        codimension: whether distances are divided by the part of all dimensions that the group forbids.
        every: gradient steps between two pulls, each of which has as many times the weight.
        decoupled: whether weights are pulled after the step; else the penalty is a term of the loss, as published.

    Raises:
        ValueError: for an option out of its range.
    """

    name: ClassVar[str] = "regulariser"

    def __init__(
        self,
        group: GroupChoice | None = None,
        strength: float = 20.0,
        candidates: Sequence[Group | str] | None = None,
        turns: int = 4,
        power: float = 2.0,
        adjust_at: float = 0.2,
        codimension: bool = False,
        every: int = 2,
        decoupled: bool = True,
    ) -> None:
        super().__init__(group, strength)
        self.choice = candidates
        self.decoupled = decoupled
        self.turns = whole_number("turns", turns, "an order of turns", 2)
        self.power = weight("power", power)
        self.adjust_at = weight("adjust_at", adjust_at)
        self.codimension = codimension
        self.every = gradient_steps("every", every)

    def bind(self, model: BaseAlgorithm) -> None:
        """See the base class.

        Raises:
            ValueError: if the policy is not one of plain layers that are wide enough.
        """
        self.candidates = chosen_candidates(
            self.orbit.group, self.choice, candidate_groups(self.orbit.group, self.turns), finite=True
        )
        self.rule = AdjustOnce([self.strength] * len(self.candidates), self.power)
        self._networks: list[Projections] = []
        self._distances: list[list[float]] = []
        self._policy_steps = self._critic_steps = 0
        if isinstance(model.policy, SymmetricPolicy) and self.idle_on(model.policy):
            return
        observation, action = representation_of(model.observation_space), representation_of(model.action_space)
        actor, critic = PlainLayers(self.candidates, observation, action).of(model.policy)
        # the critic's step comes in every gradient step; where actor and critic share it, one pass serves both
        joint = isinstance(model, OnPolicyAlgorithm)
        self._networks = [Projections(parts) for parts in ([critic + actor] if joint else [critic, actor])]
        if self.strength > 0.0 and model.num_timesteps == 0:
            for network in self._networks:
                network.strengthen()
        self._distances = [self._normalised(network, network()) for network in self._networks]

    def policy_term(self, mean: Function, observations: Any) -> Tensor | None:
        """See the base class."""
        if not self._networks:
            return None
        if self._policy_steps % _ERRORS_EVERY == 0:
            self._record_errors(mean, observations)
        self._policy_steps += 1
        return self._term(1) if len(self._networks) == 2 and not self.decoupled and self._due(1) else None

    def value_term(self, value: Function, observations: Any, actions: Tensor | None = None) -> Tensor | None:
        """See the base class. Each gradient step of each algorithm is one of its critic, so these are counted."""
        self._critic_steps += 1
        if not self._networks or not self._due(0):
            return None
        term = None if self.decoupled else self._term(0)
        distances = [sum(parts) for parts in zip(*self._distances, strict=True)]
        self.rule.see(distances, watching=self._time() >= 1.0 - _WINDOW, due=self._time() >= 1.0)
        for candidate, distance, strength in zip(self.candidates, distances, self.rule.strengths, strict=True):
            self.record_each(f"distance/{candidate}", distance)
            self.record_each(f"strength/{candidate}", strength)
        return term

    def after_step(self, optimizer: torch.optim.Optimizer) -> None:
        """See the base class."""
        if not self.decoupled:
            return
        stepped = {id(p) for group in optimizer.param_groups for p in group["params"]}
        for i, network in enumerate(self._networks):
            if self._due(i) and id(network.parameters[0]) in stepped:
                rate = self.every * optimizer.param_groups[0]["lr"]
                distances = network.pull([rate * strength for strength in self.rule.strengths])
                self._distances[i] = self._normalised(network, distances)

    def state(self) -> dict[str, Any]:
        """See the base class."""
        steps = {"policy_steps": self._policy_steps, "critic_steps": self._critic_steps}
        return {**self.rule.state(), **steps, "distances": self._distances}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See the base class."""
        self.rule.load_state(state)
        self._distances = list(state["distances"])
        self._policy_steps, self._critic_steps = int(state["policy_steps"]), int(state["critic_steps"])

    # ------------------------------------------------------------------ internals
    def _due(self, network: int) -> bool:
        return (self._policy_steps if network else self._critic_steps) % self.every == 0

    def _term(self, network: int) -> Tensor:
        distances = self._networks[network]()
        self._distances[network] = self._normalised(self._networks[network], distances)
        return distances @ distances.new_tensor([self.every * strength for strength in self.rule.strengths])

    def _normalised(self, network: Projections, distances: Tensor) -> list[float]:
        plain: list[float] = distances.tolist()
        return [r / f for r, f in zip(plain, network.fractions, strict=True)] if self.codimension else plain

    def _time(self) -> float:
        """How far the run is, in units of the time of the adjustment."""
        if self.adjust_at == 0.0:
            return 1.0
        assert self.model is not None
        done = 1.0 - self.model._current_progress_remaining if self.adjust_at < 1.0 else float(self._critic_steps)
        return done / self.adjust_at

    @torch.no_grad()
    def _record_errors(self, mean: Function, observations: Any) -> None:
        """``|f(g s) - g f(s)| / (|f(g s)| + |f(s)|)`` of the policy, for one generator of each candidate."""
        elements = [candidate.generators[0][1] for candidate in self.candidates]
        turned = [self.orbit.observations(observations, g) for g in elements]
        here, *there = mean(joined([observations, *turned])).chunk(1 + len(elements))
        for candidate, g, image in zip(self.candidates, elements, there, strict=True):
            gap = (image - self.orbit.actions(here, g)).norm(dim=1)
            self.record_each(f"error/{candidate}", float((gap / (image.norm(dim=1) + here.norm(dim=1) + 1e-12)).mean()))
