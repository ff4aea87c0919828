"""Compare an environment that can be set to a state with its transformed self, step by step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from eqrl.arrays import Floats
from eqrl.proof.comparison import CHAOS_FACTOR, NUDGE, Comparison, Violation, compare
from eqrl.symmetry.element import Element
from eqrl.symmetry.representation import Representation
from eqrl.symmetry.spaces import representation_of

if TYPE_CHECKING:
    import mujoco

S = TypeVar("S")
_FLOAT32 = 1e-5


@runtime_checkable
class SymmetricWorld(Protocol[S]):
    """What an environment offers so that its symmetry can be checked; every eqrl environment does."""

    def get_state(self) -> S:
        """The whole state, the task's own variables included."""

    def set_state(self, state: S) -> None:
        """Continue from a state."""

    def transform_state(self, state: S, g: Element) -> S:
        """The state of the transformed world."""

    def state_difference(self, a: S, b: S) -> dict[str, float]:
        """Largest absolute difference of every named part of two states."""

    def nudge_state(self, state: S, size: float) -> S:
        """A state whose positions and velocities differ by ``size``, to measure chaos."""

    def observe(self) -> Any:
        """The observation of the current state."""

    def contacts(self) -> int:
        """Number of contacts now."""


@runtime_checkable
class ModelledWorld(Protocol):
    """A world on a MuJoCo model that can be exchanged; where an environment offers this, causes can be found."""

    @property
    def model(self) -> mujoco.MjModel:
        """The compiled model."""

    def on_model(self, model: mujoco.MjModel, forces: bool = True) -> Any:
        """The same environment on another version of its model, with or without constant external forces."""


@dataclass(frozen=True)
class Step:
    """What an environment showed after a step."""

    state: Any
    observation: NDArray[Any]
    reward: float
    terminated: bool
    contacts: int


@dataclass(frozen=True)
class Episode:
    """A state to start from and the actions to take."""

    start: Any
    actions: Sequence[NDArray[Any]]


def random_episode(world: Any, seed: int, warm_up: int, steps: int) -> Episode:
    """Reset, take some random steps, and draw the actions that follow."""
    world.reset(seed=seed)
    for _ in range(warm_up):
        world.step(world.action_space.sample())
    return Episode(world.get_state(), [world.action_space.sample() for _ in range(steps)])


def play(world: Any, start: Any, actions: Sequence[NDArray[Any]]) -> list[Step]:
    """Follow actions from a state, to the end of the episode at most."""
    world.set_state(start)
    trace = [Step(world.get_state(), flatten(world.observe()), 0.0, False, world.contacts())]
    for action in actions:
        trace.append(_advance(world, action))
        if trace[-1].terminated:
            break
    return trace


def step_from(world: Any, state: Any, action: Any) -> Step:
    """Take one step from a state."""
    world.set_state(state)
    return _advance(world, action)


def observe_at(world: Any, state: Any) -> Floats:
    """The observation of a state, as one vector."""
    world.set_state(state)
    return flatten(world.observe()).astype(np.float64)


def _advance(world: Any, action: Any) -> Step:
    observation, reward, terminated, _, _ = world.step(action)
    return Step(world.get_state(), flatten(observation), float(reward), bool(terminated), world.contacts())


@dataclass(frozen=True, eq=False)
class WorldTrial:
    """Episodes of a world to try group elements on, as :class:`eqrl.proof.trial.Trial` tries symmetries on a model.

    Attributes:
        world: a :class:`SymmetricWorld` with typed spaces.
        episodes: starts and actions.
        tolerance: on the state.
    """

    world: Any
    episodes: Sequence[Episode]
    tolerance: float

    @cached_property
    def original(self) -> list[list[Step]]:
        """What happens untransformed."""
        return [play(self.world, episode.start, episode.actions) for episode in self.episodes]

    @property
    def contacts(self) -> int:
        """Largest number of contacts at any time."""
        return max(step.contacts for trace in self.original for step in trace)

    def check_deterministic(self) -> None:
        """Refuse worlds in which the same state and actions have different outcomes; the first episode is played again.

        Raises:
            ValueError: naming the part of the state and the step.
        """
        again = play(self.world, self.episodes[0].start, self.episodes[0].actions)
        for k, (a, b) in enumerate(zip(self.original[0], again, strict=False)):
            for part, size in self.world.state_difference(a.state, b.state).items():
                if not size <= 0.0:
                    raise ValueError(
                        f"{type(self.world).__name__} is not deterministic: from the same state and actions {part}"
                        f" differs by {size:.3g} at step {k}; only what set_state restores may influence a step (switch"
                        " random events off to check)"
                    )

    def compare(self, g: Element, outcomes: bool = True) -> Comparison:
        """What a group element predicts against what happens.

        Args:
            g: the element.
            outcomes: whether observations, rewards and ends of episodes are compared too, as far as the states can be;
                they may differ by as much as the states explain.
        """
        moved = self._moved(g)
        states = self._compare_states(g, moved)
        violations = [states.violation]
        if outcomes:
            violations += [self._first_outcome(i, g, moved[i], states) for i in range(len(moved))]
        # where both differ at the same step, the state is what the rest follows from
        first = min((v for v in violations if v is not None), key=lambda v: (v.step, v.state), default=None)
        return replace(states, violation=first)

    def _moved(self, g: Element) -> list[list[Step]]:
        """What happens in the transformed world."""
        actions = representation_of(self.world.action_space)
        return [
            play(
                self.world,
                self.world.transform_state(episode.start, g),
                [actions.transform(a.astype(np.float64), g) for a in episode.actions],
            )
            for episode in self.episodes
        ]

    def _compare_states(self, g: Element, moved: Sequence[Sequence[Step]]) -> Comparison:
        """What one of two episodes does not reach is not compared."""
        world, names = self.world, list(self.world.state_difference(*[self.episodes[0].start] * 2))
        longest = max(len(episode.actions) for episode in self.episodes)
        gaps = np.zeros((longest + 1, len(self.episodes), len(names)))
        for i, (here, there) in enumerate(zip(self.original, moved, strict=True)):
            for k, (a, b) in enumerate(zip(here, there, strict=False)):
                parts = world.state_difference(world.transform_state(a.state, g), b.state)
                gaps[k, i] = [parts[name] for name in names]
        return compare(gaps, names, self.tolerance, self._growth, in_order=True)

    def _first_outcome(self, i: int, g: Element, moved: Sequence[Step], states: Comparison) -> Violation | None:
        """The first thing that an episode shows besides its state that differs by more than the states explain."""
        observations: Representation = representation_of(self.world.observation_space)
        for k, (a, b) in enumerate(zip(self.original[i], moved, strict=False)):
            if not np.isfinite(states.allowed[k, i]):
                return None
            allowed = max(_FLOAT32, CHAOS_FACTOR * float(states.gaps[k, i].max(initial=0.0)))
            expected = observations.transform(a.observation.astype(np.float64), g)
            gap = np.abs(expected - b.observation) / np.maximum(1.0, np.abs(expected))
            for field, where in observations.slices.items():
                if not (size := float(gap[where].max(initial=0.0))) <= allowed:
                    return Violation(k, i, f"observation {field}", size)
            if not (size := abs(a.reward - b.reward)) <= max(_FLOAT32 * abs(a.reward), allowed):
                return Violation(k, i, "reward", size)
            if a.terminated != b.terminated:
                return Violation(k, i, "terminated", 1.0)
        return None

    def _growth(self, state: int | None, steps: int, nudges: int) -> Floats:
        """How far nudged episodes grow apart from the original, for :func:`eqrl.proof.comparison.compare`."""
        if state is None:
            return np.concatenate([self._growth(i, steps, nudges) for i in range(len(self.episodes))], axis=1)
        rng = np.random.default_rng(0)
        grown = np.zeros((steps + 1, 1))
        episode, original = self.episodes[state], self.original[state][: steps + 1]
        # all coordinates are nudged alike, so that what distinguishes nudges is their size
        for size in NUDGE * rng.choice([-1.0, 1.0], size=nudges) * rng.uniform(0.5, 1.0, size=nudges):
            nudged = play(self.world, self.world.nudge_state(episode.start, size), episode.actions[:steps])
            for k, a in enumerate(original):
                apart = self.world.state_difference(a.state, nudged[k].state) if k < len(nudged) else {"length": np.inf}
                grown[k] = np.maximum(grown[k], max(apart.values()))  # NaN stays
        return grown


def flatten(observation: Any) -> NDArray[Any]:
    """A typed observation as one vector; dict entries in sorted order."""
    if isinstance(observation, dict):
        return np.concatenate([np.asarray(observation[k]) for k in sorted(observation)], axis=-1)
    return np.asarray(observation)
