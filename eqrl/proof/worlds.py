"""Compare an environment that can be set to a state with its transformed self, step by step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from eqrl.proof.yardstick import CHAOS_FACTOR, LARGEST_CHAOS, NUDGE
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
class Gap:
    """How far the transformed world is from what the symmetry foretells, after a step.

    Attributes:
        step: number of the step, 0 for the start.
        error: largest difference of any part of the state.
        field: the first field that differs by more than allowed, None if none does.
        size: of that difference.
    """

    step: int
    error: float
    field: str | None = None
    size: float = 0.0


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
        observation, reward, terminated, _, _ = world.step(action)
        trace.append(Step(world.get_state(), flatten(observation), float(reward), bool(terminated), world.contacts()))
        if terminated:
            break
    return trace


def check_deterministic(world: Any, first: Sequence[Step], second: Sequence[Step]) -> None:
    """Refuse worlds in which the same state and actions have different outcomes.

    Raises:
        ValueError: naming the part of the state and the step.
    """
    for k, (a, b) in enumerate(zip(first, second, strict=False)):
        for part, size in world.state_difference(a.state, b.state).items():
            if not size <= 0.0:
                raise ValueError(
                    f"{type(world).__name__} is not deterministic: from the same state and actions {part} differs by {size:.3g} "
                    f"at step {k}; only what set_state restores may influence a step (switch random events off to check)"
                )


def gaps(world: Any, episode: Episode, original: Sequence[Step], g: Element, atol: float) -> Iterator[Gap]:
    """Play the transformed episode and compare it with the transformed original, one step after the other.

    Args:
        world: a :class:`SymmetricWorld` with typed spaces.
        episode: the original's start and actions.
        original: what :func:`play` saw.
        g: the group element.
        atol: tolerance on the state; where the world is chaotic, 100 times the divergence after a nudge of 1e-14.
    """
    actions: Representation = representation_of(world.action_space)
    observations: Representation = representation_of(world.observation_space)
    moved = play(
        world, world.transform_state(episode.start, g), [actions.transform(a.astype(np.float64), g) for a in episode.actions]
    )  # fmt: skip
    chaos: list[Step] | None = None
    for k, (a, b) in enumerate(zip(original, moved, strict=False)):
        found: tuple[str, float] | None = None
        now = 0.0
        for part, size in world.state_difference(world.transform_state(a.state, g), b.state).items():
            now = max(now, size) if size == size else np.inf
            if not size <= atol and found is None:
                if chaos is None:
                    chaos = play(world, world.nudge_state(episode.start, NUDGE), episode.actions)
                natural = max(world.state_difference(a.state, chaos[k].state).values()) if k < len(chaos) else np.inf
                if not size <= CHAOS_FACTOR * min(natural, LARGEST_CHAOS):
                    found = part, size
        expected = observations.transform(a.observation.astype(np.float64), g)
        gap = np.abs(expected - b.observation) / np.maximum(1.0, np.abs(expected))
        for field, where in observations.slices.items():
            size = float(gap[where].max(initial=0.0))
            if not size <= max(_FLOAT32, CHAOS_FACTOR * now):
                found = found or (f"observation {field}", size)
        if not abs(a.reward - b.reward) <= max(_FLOAT32 * max(1.0, abs(a.reward)), CHAOS_FACTOR * now):
            found = found or ("reward", abs(a.reward - b.reward))
        if a.terminated != b.terminated:
            found = found or ("terminated", 1.0)
        yield Gap(k, now, *(found or (None, 0.0)))


def flatten(observation: Any) -> NDArray[Any]:
    """A typed observation as one vector; dict entries in sorted order."""
    if isinstance(observation, dict):
        return np.concatenate([np.asarray(observation[k]) for k in sorted(observation)], axis=-1)
    return np.asarray(observation)
