"""Symmetry loss: networks are made consistent under several symmetries, and the world tells which of these it keeps."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import gymnasium
import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.sac.policies import SACPolicy
from torch import Tensor

from eqrl.agents.networks import GroupChoice
from eqrl.agents.soft.candidates import chosen_candidates, whole_candidates
from eqrl.agents.soft.consistency import joined, mean_square
from eqrl.agents.soft.hooks import Function
from eqrl.agents.soft.prior import SymmetryPrior, gradient_steps, weight, whole_number
from eqrl.agents.soft.refinement import Candidate, Refinement
from eqrl.agents.soft.tension import DataTension, SimulatorTension, Tension, fresh_world, logged_transitions
from eqrl.errors import UsageError
from eqrl.symmetry import Element, Group, Representation, representation_of

_DRAWN = 32  # elements that are drawn for an update
_TOGETHER = 8  # of these in a gradient step, each for a part of the minibatch
_SMALLEST = 1e-12


class SymmetryLoss(SymmetryPrior):
    """``strength * sum_i w_i E_g |f(g s) - g F(s)|^2`` for actor and critic, with weights that the world decides.

    This is our reconstruction of the Developmental Symmetry-Loss (arXiv 2512.10984), whose text names the consistency
    loss and the refinement of an effective group but publishes neither code nor numbers.

    f are the most likely action, the logarithm of its standard deviation, and the value or the Q-functions. The target
    F is constant and a mean over two elements, the identity and another one of the same candidate, which lowers its
    variance (Wang et al., 2204.00613). A minibatch is divided among elements of all candidates in proportion to their
    weights.

    Weights are ``min(1, (tolerance / tension)^power)``. The tension of a candidate is its violation in one step of the
    simulator, if the environment can be made anew and set to a state, and otherwise the residual of transformed logged
    transitions (:mod:`eqrl.agents.soft.tension`); where these do not tell, the weight stays as it is. Candidates that
    the world refutes are pruned, and those that it accepts grow to the group that they generate
    (:mod:`eqrl.agents.soft.refinement`), see ``effective_group``.

    A consistency loss alone is minimal for constant functions, so that its strength has to stay small beside that of
    the task.

    Args:
        group: a subgroup of the environment's group, by name or as a ``Group``; None means the whole group.
        strength: weight of the policy's term. Actions are in the algorithm's units.
        value_strength: weight of the critic's term.
        candidates: subgroups or names of them; None means rotations and each generator of the finite part, see
            :func:`~eqrl.agents.soft.candidates.whole_candidates`.
        decoys: further candidates by name, elements that need not be symmetries of the environment's group.
        tolerance: tension up to which a candidate has its whole weight.
        power: of the fall of weights beyond that.
        least: weight below which a candidate counts as refuted.
        patience: consecutive checks of this kind until it is pruned.
        check_every: fraction of the run between checks; the first one is before the first update.
        fraction: part of each minibatch on which the loss is evaluated.
        every: gradient steps between two terms, each of which has as many times the weight.
        world: an environment to ask, where that of the model cannot be made anew.

    Raises:
        ValueError: for an option out of its range.
    """

    name: ClassVar[str] = "symmetry_loss"

    def __init__(
        self,
        group: GroupChoice | None = None,
        strength: float = 0.5,
        value_strength: float = 0.5,
        candidates: Sequence[Group | str] | None = None,
        decoys: Mapping[str, Element] | None = None,
        tolerance: float = 0.05,
        power: float = 2.0,
        least: float = 0.05,
        patience: int = 3,
        check_every: float = 0.05,
        fraction: float = 0.5,
        every: int = 2,
        world: gymnasium.Env[Any, Any] | None = None,
    ) -> None:
        super().__init__(group, strength)
        self.value_strength = weight("value_strength", value_strength)
        self.choice, self.decoys, self.world = candidates, dict(decoys or {}), world
        self.refining = {
            "tolerance": weight("tolerance", tolerance),
            "power": weight("power", power),
            "least": weight("least", least),
        }
        for decoy, element in self.decoys.items():
            if not isinstance(element, Element):
                raise ValueError(f"decoys: {decoy!r} is {element!r}, not an Element; decoys are given in Python")
        if world is not None and not isinstance(world, gymnasium.Env):
            raise ValueError(f"world={world!r} is not an environment; it is given in Python, gymnasium.make(...)")
        if not 0.0 < weight("fraction", fraction) <= 1.0:
            raise ValueError(f"fraction={fraction} is not a part of a minibatch; give a number above 0, at most 1")
        self.patience = whole_number("patience", patience, "a number of checks")
        self.fraction, self.every = fraction, gradient_steps("every", every)
        self.check_every = weight("check_every", check_every)

    @property
    def effective_group(self) -> Group:
        """The group that the world keeps, as far as it has been asked."""
        return self.refinement.effective

    def bind(self, model: BaseAlgorithm) -> None:
        """See the base class.

        Raises:
            ValueError: for an unknown candidate.
        """
        groups = chosen_candidates(self.orbit.group, self.choice, whole_candidates(self.orbit.group))
        candidates = [Candidate(group.name, group) for group in groups]
        candidates += [Candidate(name, element) for name, element in self.decoys.items()]
        self.refinement = Refinement(candidates, patience=self.patience, **self.refining)
        self._observation = representation_of(model.observation_space)
        self._action = representation_of(model.action_space)
        self._simulator: Tension | None = None
        if (world := self.world or fresh_world(model.env)) is not None:
            self._simulator = SimulatorTension(world)
        self._checked = -1.0
        self._policy_steps = self._critic_steps = 0
        self._images: _Images | None = None
        self._minibatch: tuple[Any, tuple[_Pair, _Batch]] | None = None

    def before_update(self) -> None:
        """See the base class."""
        assert self.model is not None
        done = 1.0 - self.model._current_progress_remaining
        if self._checked < 0.0 or done - self._checked >= self.check_every:
            self._check(done)
        self._minibatch = None
        self._images = _Images.drawn(self.refinement, self._observation, self._action, self.model.device)

    def policy_term(self, mean: Function, observations: Any) -> Tensor | None:
        """See the base class."""
        self._policy_steps += 1
        if self._images is None or not self.strength or self._policy_steps % self.every:
            return None
        images, batch = self._some(self._images, observations)
        function = self._policy(mean)
        with torch.no_grad():
            means, log_stds = _halves(function(self._unflat(joined([batch.plain, batch.other]))))
            target = 0.5 * (means[0] + images.other.back(means[1]))
        mean_of_image, log_std = function(self._unflat(batch.turned))
        valid = self.orbit.valid(self._unflat(batch.turned))
        term = mean_square(mean_of_image, images.turned.forth(target), valid)
        if log_std is not None and log_stds is not None:
            log_std_target = 0.5 * (log_stds[0] + images.other.widths_back(log_stds[1]))
            term = term + mean_square(log_std, images.turned.widths_forth(log_std_target), valid)
        self.record("policy", float(term.detach()))
        return self.every * self.strength * self._images.total * term

    def value_term(self, value: Function, observations: Any, actions: Tensor | None = None) -> Tensor | None:
        """See the base class."""
        self._critic_steps += 1
        if self._images is None or not self.value_strength or self._critic_steps % self.every:
            return None
        images, batch = self._some(self._images, observations)
        rest: list[list[Tensor]] = [[], []]
        if actions is not None:
            acted = actions[: len(batch.plain)]
            rest = [[joined([acted, images.other.forth(acted)])], [images.turned.forth(acted)]]
        with torch.no_grad():
            here, there = _together(value(self._unflat(joined([batch.plain, batch.other])), *rest[0])).chunk(2)
        gap = _together(value(self._unflat(batch.turned), *rest[1])) - 0.5 * (here + there)
        term = gap.square().mean()
        self.record("value", float(term.detach()))
        return self.every * self.value_strength * self._images.total * term

    def state(self) -> dict[str, Any]:
        """See the base class."""
        steps = {"policy_steps": self._policy_steps, "critic_steps": self._critic_steps}
        return {**self.refinement.state(), **steps, "checked": self._checked}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See the base class."""
        self.refinement.load_state(state)
        self._checked = float(state["checked"])
        self._policy_steps, self._critic_steps = int(state.get("policy_steps", 0)), int(state.get("critic_steps", 0))

    # ------------------------------------------------------------------ internals
    def _check(self, done: float) -> None:
        assert self.model is not None
        tension = self._simulator
        if tension is None:
            try:
                logged, accept = logged_transitions(self.model), self.refinement.tolerance
                tension = DataTension(logged, self._observation, self._action, accept)
            except UsageError as error:
                if isinstance(self.model, OnPolicyAlgorithm):  # a rollout never grows, as a replay buffer does
                    warnings.warn(f"prior 'symmetry_loss' cannot ask the world: {error}", stacklevel=2)
                    self._checked = done
                return
        self.refinement.check(tension)
        self._checked = done
        for name, size in self.refinement.tensions.items():
            self.record_each(f"tension/{name}", size)
        for name, share in self.refinement.weights.items():
            self.record_each(f"weight/{name}", share)

    def _some(self, images: _Images, observations: Any) -> tuple[_Pair, _Batch]:
        """Elements and images for a minibatch, which policy and critic share where both get the same one."""
        if self._minibatch is None or self._minibatch[0] is not observations:
            rows = self._part(observations)
            if images.pair.turned.observation.dtype != rows.dtype:
                images = self._images = images.to(rows.dtype)
            self._minibatch = observations, images.some(rows)
        return self._minibatch[1]

    def _part(self, observations: Any) -> Tensor:
        """The first rows of a minibatch, which is shuffled, as vectors."""
        if isinstance(observations, dict):
            observations = torch.cat([observations[key] for key in sorted(observations)], dim=-1)
        rows: Tensor = observations[: max(1, round(self.fraction * len(observations)))]
        return rows

    def _unflat(self, vectors: Tensor) -> Any:
        assert self.model is not None
        space = self.model.observation_space
        if not isinstance(space, gymnasium.spaces.Dict):
            return vectors
        keys = sorted(space.spaces)
        return dict(
            zip(keys, torch.split(vectors, [representation_of(space[key]).dim for key in keys], dim=-1), strict=True)
        )

    def _policy(self, mean: Function) -> Function:
        """Most likely actions, and the logarithms of their standard deviations or None."""
        policy: Any = self.model.policy if self.model is not None else None
        if isinstance(self.model, OnPolicyAlgorithm):
            return lambda x: _of_distribution(policy.get_distribution(x))
        if isinstance(policy, SACPolicy):
            return lambda x: _of_sac(policy.actor, x)
        return lambda x: (mean(x), None)


def _of_distribution(distribution: Any) -> tuple[Tensor, Tensor]:
    return distribution.mode(), distribution.distribution.stddev.log()


def _of_sac(actor: Any, observations: Any) -> tuple[Tensor, Tensor]:
    mean, log_std, _ = actor.get_action_dist_params(observations)
    if (geometry := getattr(actor, "geometry", None)) is None:
        return torch.tanh(mean), log_std
    return geometry.squash(mean), log_std.index_select(-1, actor.action_dist.orbit.to(log_std.device))


def _halves(pair: tuple[Tensor, Tensor | None]) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...] | None]:
    return pair[0].chunk(2), None if pair[1] is None else pair[1].chunk(2)


def _together(values: Any) -> Tensor:
    return torch.cat(values, dim=-1) if isinstance(values, tuple) else values


# ------------------------------------------------------------------ elements of an update
@dataclass(frozen=True)
class _Matrices:
    """Matrices of some elements, shape ``(n, dim, dim)``; rows of vectors are multiplied by them.

    Attributes:
        observation: on observations.
        action: on actions.
        inverse: of the inverse element on actions.
    """

    observation: Tensor
    action: Tensor
    inverse: Tensor

    @classmethod
    def of(
        cls, elements: Sequence[Element], observation: Representation, action: Representation, device: Any
    ) -> _Matrices:
        batch = Element.stack(elements)
        on_observations, on_actions = observation.matrix(batch), action.matrix(batch)
        matrices = on_observations.mT, on_actions.mT, torch.linalg.inv(on_actions).mT
        return cls(*(matrix.contiguous().to(device) for matrix in matrices))

    def part(self, index: Tensor | slice) -> _Matrices:
        return _Matrices(self.observation[index], self.action[index], self.inverse[index])

    def to(self, dtype: torch.dtype) -> _Matrices:
        return _Matrices(self.observation.to(dtype), self.action.to(dtype), self.inverse.to(dtype))

    def observe(self, x: Tensor) -> Tensor:
        return _each(x, self.observation)

    def forth(self, x: Tensor) -> Tensor:
        return _each(x, self.action)

    def back(self, x: Tensor) -> Tensor:
        return _each(x, self.inverse)

    def widths_forth(self, log_std: Tensor) -> Tensor:
        """Logarithms of the standard deviations of turned actions: the diagonal of the turned covariance."""
        return _widths(log_std, self.action.square())

    def widths_back(self, log_std: Tensor) -> Tensor:
        return _widths(log_std, self.inverse.square())


@dataclass(frozen=True)
class _Pair:
    """Matrices of the elements that turn, and of those that the target is averaged over."""

    turned: _Matrices
    other: _Matrices


@dataclass(frozen=True)
class _Batch:
    """Observations, and their images under both."""

    plain: Tensor
    turned: Tensor
    other: Tensor


@dataclass(frozen=True)
class _Images:
    """Elements that were drawn for one update, in proportion to the weights of their candidates.

    Attributes:
        pair: their matrices.
        total: sum of the weights.
    """

    pair: _Pair
    total: float

    @classmethod
    def drawn(
        cls, refinement: Refinement, observation: Representation, action: Representation, device: Any
    ) -> _Images | None:
        """Draw from NumPy's global generator; None if no candidate has a weight."""
        rng = np.random.default_rng(int(np.random.randint(2**31)))
        candidates = refinement.candidates
        shares = np.array([refinement.weights[c.name] for c in candidates])
        if not shares.sum() > _SMALLEST:
            return None
        # evenly spaced points with a common random offset fall into each share as often as it is large
        points = (np.arange(_DRAWN) + rng.random()) / _DRAWN
        which = np.minimum(np.searchsorted(np.cumsum(shares / shares.sum()), points), len(candidates) - 1)
        counts = np.bincount(which, minlength=len(candidates))  # points ascend, and so do the candidates
        draws = [g for _ in range(2) for c, n in zip(candidates, counts, strict=True) for g in c.draw(int(n), rng)]
        matrices = _Matrices.of(draws, observation, action, device)
        halves = matrices.part(slice(None, _DRAWN)), matrices.part(slice(_DRAWN, None))
        return cls(_Pair(*halves), float(shares.sum()))

    def to(self, dtype: torch.dtype) -> _Images:
        """The same in the precision of the observations."""
        return _Images(_Pair(self.pair.turned.to(dtype), self.pair.other.to(dtype)), self.total)

    def some(self, observations: Tensor) -> tuple[_Pair, _Batch]:
        """Some of the elements, each for a part of the observations of equal size; what is left over is dropped."""
        parts = min(_TOGETHER, len(observations))
        # elements lie in the order of their candidates, so that evenly spaced ones meet each as often as it weighs
        spacing = _DRAWN // parts
        index = torch.arange(parts, device=observations.device) * spacing + int(np.random.randint(spacing))
        pair = _Pair(self.pair.turned.part(index), self.pair.other.part(index))
        plain = observations[: len(observations) // parts * parts]
        return pair, _Batch(plain, pair.turned.observe(plain), pair.other.observe(plain))


def _each(x: Tensor, matrices: Tensor) -> Tensor:
    """Equal parts of the rows times one matrix each, in the precision of the rows.

    Actions need not have that of the observations: networks compute in single precision whatever they observe.
    """
    return torch.bmm(x.reshape(len(matrices), -1, x.shape[-1]), matrices.to(x.dtype)).flatten(0, 1)


def _widths(log_std: Tensor, squares: Tensor) -> Tensor:
    return 0.5 * _each((2.0 * log_std).exp(), squares).clamp_min(_SMALLEST).log()
