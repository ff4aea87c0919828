"""Augmentation as a constraint, which turns itself on where a symmetry does not come by itself (Hounie et al., 2023).

The algorithm minimises its loss under the constraint that the loss of transformed samples stays below ``epsilon`` times
that of the samples themselves. The elements are drawn in proportion to that loss. Each constraint has a multiplier: 0
where the networks have the symmetry anyway, and large where the world breaks it, or where the networks cannot keep it.
It is evidence in one direction only, since violations within the slack stay unseen.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from torch import Tensor

from eqrl.agents.networks import GroupChoice
from eqrl.agents.orbit import Orbit, parts_of
from eqrl.agents.soft.consistency import Function, joined, length
from eqrl.agents.soft.metropolis import metropolis_hastings
from eqrl.agents.soft.multipliers import Multipliers
from eqrl.agents.soft.prior import SymmetryPrior, gradient_steps, weight, whole_number
from eqrl.agents.soft.targets import Targets
from eqrl.errors import suggestion
from eqrl.symmetry import Element, Group

_ROLES = ("policy", "value")


class ConstrainedAugmentation(SymmetryPrior):
    """A multiplier for each candidate symmetry weights a loss of transformed samples, as a constraint asks for it.

    The form for reinforcement learning is our own. With ``g`` drawn by Metropolis-Hastings,

    * values: ``(V(g s) - y)^2 <= epsilon (V(s) - y)^2``, where y is the target of the original sample: its return in
      PPO, the temporal-difference target of ``Q(s, a)`` in SAC and TD3;
    * policy: ``|mean(g s) - g mean(s)|^2 + c <= epsilon c``, where ``mean(s)`` is held fixed and the clean loss c is
      ``|a - mean(s)|^2`` for the actions a of the minibatch. In PPO, c is the variance of exploration, so that
      ``epsilon = 1.5`` lets the policy be asymmetric by half of it.

    So the policy's constraint is slack at the beginning of PPO: half the variance of exploration is more than the
    square of the mean actions of a new policy, which can be as asymmetric as it likes while its multipliers are 0. They
    rise once mean actions have grown beyond that, or exploration has shrunk. For a pull from the start, give a
    ``strength``, or an ``epsilon`` near 1.

    Clean losses are running means. Every second gradient step treats one candidate, in turn, with a weight that makes
    up for the others and for the steps without any. As long as its multiplier is 0, no gradient is computed.

    Args:
        group: a subgroup of the environment's group, by name or as a ``Group``; None means the whole group.
        strength: first value of all multipliers.
        candidates: groups, or names of them or of generators; by default the rotations of the group and each of its
            generators.
        epsilon: bound in units of the clean loss, at least 1.
        states: proposals of a chain. One is uniform augmentation; more come closer to the elements of highest loss.
        dual_step: rate of the multipliers for each gradient step.
        smoothing: share of the old mean in the running mean of a clean loss, below 1.
        share: fraction of each minibatch that is transformed, above 0 and at most 1; the cost grows with it.
        every: gradient steps between two that treat a candidate; weight and rate grow by as much.

    Raises:
        ValueError: for a value out of its range.
    """

    name: ClassVar[str] = "constrained_augmentation"

    def __init__(
        self,
        group: GroupChoice | None = None,
        strength: float = 0.0,
        candidates: Sequence[GroupChoice] | None = None,
        epsilon: float = 1.5,
        states: int = 2,
        dual_step: float = 1e-3,
        smoothing: float = 0.99,
        share: float = 0.25,
        every: int = 2,
    ) -> None:
        super().__init__(group, strength)
        self.candidates = candidates
        self.epsilon = weight("epsilon", epsilon)
        self.states = whole_number("states", states, "a length of a chain")
        self.dual_step = weight("dual_step", dual_step)
        self.smoothing = weight("smoothing", smoothing)
        self.share = weight("share", share)
        self.every = gradient_steps("every", every)
        if self.epsilon < 1.0:
            raise ValueError(f"epsilon={epsilon} asks for less than the clean loss; give at least 1")
        if self.smoothing >= 1.0:
            raise ValueError(f"smoothing={smoothing} never forgets; give a number below 1, such as 0.99")
        if not 0.0 < self.share <= 1.0:
            raise ValueError(f"share={share} is no fraction of a minibatch; give a number above 0 and at most 1")

    def bind(self, model: BaseAlgorithm) -> None:
        """See the base class."""
        choices = _chosen(self.orbit.group, self.candidates)
        self.orbits = [Orbit(model.observation_space, model.action_space, choice) for choice in choices]
        self.multipliers = {
            role: Multipliers(
                len(choices), self.strength, self.epsilon, self.every * self.dual_step, self.smoothing**self.every
            )
            for role in _ROLES
        }
        self._chosen: dict[str, dict[str, tuple[Element, Any]]] = {orbit.group.name: {} for orbit in self.orbits}
        self._targets = Targets(model)
        self._steps = dict.fromkeys(_ROLES, 0)  # TD3 updates its policy less often than its critic
        self._samples: Any = None
        self._proposals: _Proposals | None = None

    @property
    def sampled(self) -> dict[str, dict[str, Element]]:
        """By the name of a candidate, the elements that its last gradient step drew for the policy and the value."""
        return {
            name: {role: elements[chosen] for role, (elements, chosen) in roles.items()}
            for name, roles in self._chosen.items()
        }

    def contexts(self) -> Iterable[AbstractContextManager[Any]]:
        """See the base class."""
        return self._targets.contexts()

    def see(self, drawn: Any, learnt: Any) -> None:
        """Remember what the algorithm learns from: its loss is the clean one."""
        self._samples = learnt
        self._proposals = None

    def policy_term(self, mean: Function, observations: Any) -> Tensor | None:
        """See the base class."""
        if (turn := self._turn("policy")) is None:
            return None
        proposals = self._proposed(observations, turn)
        with torch.no_grad():
            here, there = _split(mean(joined([proposals.sources, proposals.observations])), self.states)
            labels = proposals.orbit.actions(here, proposals.elements)
            valid = _valid(proposals.orbit, proposals.observations, self.states)
            losses = _mean_square(there - labels, valid)
            clean = float((self._samples.actions[: len(here)] - here).square().mean())
            chosen = metropolis_hastings(losses)[-1], torch.arange(len(here))
            multiplier = self._ascend("policy", proposals, chosen, clean + float(losses[chosen].mean()), clean)
        if multiplier == 0.0:
            return None
        difference = mean(proposals.at(chosen, self.states)) - labels[chosen]
        return multiplier * _mean_square(difference, None if valid is None else valid[chosen]).mean()

    def value_term(self, value: Function, observations: Any, actions: Tensor | None = None) -> Tensor | None:
        """See the base class."""
        if (turn := self._turn("value")) is None:
            return None
        proposals = self._proposed(observations, turn)
        n = length(proposals.sources)
        target, actions = self._targets.of(self._samples)[:n], None if actions is None else actions[:n]
        turned = None if actions is None else proposals.orbit.actions(actions, proposals.elements)
        with torch.no_grad():
            both = [] if actions is None or turned is None else [torch.cat([actions, turned.flatten(0, 1)])]
            values = _joint(value(joined([proposals.sources, proposals.observations]), *both))
            here, there = _split(values, self.states)
            losses = (there - target).square().mean(-1)
            clean = float((here - target).square().mean())
            chosen = metropolis_hastings(losses)[-1], torch.arange(len(here))
            multiplier = self._ascend("value", proposals, chosen, float(losses[chosen].mean()), clean)
        if multiplier == 0.0:
            return None
        images = [] if turned is None else [turned[chosen]]
        return multiplier * (_joint(value(proposals.at(chosen, self.states), *images)) - target).square().mean()

    def after_update(self) -> None:
        """Log the multipliers and the clean losses."""
        for role, multipliers in self.multipliers.items():
            for orbit, multiplier in zip(self.orbits, multipliers.values, strict=True):
                self.record_each(f"{role} {orbit.group}", multiplier)
            if not math.isnan(multipliers.clean):  # before its first step
                self.record_each(f"clean {role}", multipliers.clean)

    def state(self) -> dict[str, Any]:
        """See the base class."""
        multipliers = {role: multipliers.state() for role, multipliers in self.multipliers.items()}
        return {"steps": dict(self._steps), **multipliers}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See the base class."""
        self._steps |= {role: int(steps) for role, steps in state.get("steps", {}).items() if role in _ROLES}
        for role, multipliers in self.multipliers.items():
            multipliers.load_state(state[role])

    def _turn(self, role: str) -> int | None:
        """Count a gradient step, and say which candidate it treats."""
        self._steps[role] += 1
        turn, rest = divmod(self._steps[role], self.every)
        return None if rest else turn % len(self.orbits)

    def _proposed(self, observations: Any, turn: int) -> _Proposals:
        """Proposals for a minibatch, which the policy and the values share."""
        orbit, known = self.orbits[turn], self._proposals
        if known is None or known.of is not observations or known.orbit is not orbit:
            n = math.ceil(self.share * length(observations))
            sources = _first(observations, n)
            elements = orbit.draw(self.states, n)
            images = _flat(orbit.observations(sources, elements))
            known = self._proposals = _Proposals(observations, sources, orbit, elements, images)
        return known

    def _ascend(self, role: str, proposals: _Proposals, chosen: Any, loss: float, clean: float) -> float:
        """Let the multiplier climb, and return the weight of the term."""
        self._chosen[proposals.orbit.group.name][role] = proposals.elements, chosen
        turn = self.orbits.index(proposals.orbit)
        return self.multipliers[role].ascend(turn, loss, clean) * len(self.orbits) * self.every


@dataclass(frozen=True)
class _Proposals:
    """Images of observations.

    Attributes:
        of: the minibatch.
        sources: the first B of it, which SB3 has shuffled.
        orbit: the candidate's action.
        elements: batch shape ``(states, B)``.
        observations: the images, behind each other, ``states * B`` of them.
    """

    of: Any
    sources: Any
    orbit: Orbit
    elements: Element
    observations: Any

    def at(self, chosen: tuple[Tensor, Tensor], states: int) -> Any:
        """One image for each observation."""
        if isinstance(self.observations, dict):
            return {key: x.unflatten(0, (states, -1))[chosen] for key, x in self.observations.items()}
        return self.observations.unflatten(0, (states, -1))[chosen]


def _split(outputs: Tensor, states: int) -> tuple[Tensor, Tensor]:
    """Outputs at observations, shape ``(B, d)``, and at their images, ``(states, B, d)``."""
    here, *there = outputs.chunk(1 + states)
    return here, torch.stack(there)


def _first(observations: Any, n: int) -> Any:
    return {key: x[:n] for key, x in observations.items()} if isinstance(observations, dict) else observations[:n]


def _flat(observations: Any) -> Any:
    if isinstance(observations, dict):
        return {key: x.flatten(0, 1) for key, x in observations.items()}
    return observations.flatten(0, 1)


def _valid(orbit: Orbit, observations: Any, states: int) -> Tensor | None:
    valid = orbit.valid(observations)
    return None if valid is None else valid.view(states, -1, valid.shape[-1])


def _mean_square(difference: Tensor, valid: Tensor | None) -> Tensor:
    """Mean square of the entries that are not padding, one for each sample."""
    if valid is None:
        return difference.square().mean(-1)
    return (difference.square() * valid).sum(-1) / valid.sum(-1).clamp(min=1)


def _joint(values: Any) -> Tensor:
    return torch.cat(values, dim=-1) if isinstance(values, tuple) else values


def _chosen(group: Group, choice: Sequence[GroupChoice] | None) -> list[GroupChoice]:
    """The candidates, names of parts replaced by their groups."""
    parts = {part.name: part for part in parts_of(group)}
    if choice is None:
        return list(parts.values())
    if isinstance(choice, str) or not choice:
        raise ValueError(f"candidates={choice!r} is not a list of groups; {suggestion(str(choice), parts)}")
    return [parts.get(candidate, candidate) if isinstance(candidate, str) else candidate for candidate in choice]
