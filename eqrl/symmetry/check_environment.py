"""Check a declared symmetry against the simulator: ``step(g s, g a) = g step(s, a)``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

import gymnasium
import numpy as np
from numpy.typing import NDArray

from eqrl.symmetry.element import Element
from eqrl.symmetry.errors import SymmetryError
from eqrl.symmetry.group import Group
from eqrl.symmetry.representation import Representation
from eqrl.symmetry.spaces import representation_of

S = TypeVar("S")
_NUDGE = 1e-14
_CHAOS_FACTOR = 100.0
_LARGEST_CHAOS = 1e-4  # where a nudge of 1e-14 grows beyond this, nothing is left to compare with
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


@dataclass(frozen=True)
class GeneratorReport:
    """How well the world keeps one generator.

    Attributes:
        name: of the generator.
        error: largest difference of any part of the state after any step.
        contacts: largest number of contacts at any time; a check without contacts proves little.
        steps: control steps compared, over all episodes.
    """

    name: str
    error: float
    contacts: int
    steps: int


def check_environment(
    env: gymnasium.Env[Any, Any],
    *,
    steps: int = 50,
    episodes: int = 4,
    atol: float = 1e-8,
    group: Group | None = None,
    seed: int = 0,
) -> list[GeneratorReport]:
    """Check that the world obeys the symmetry that its spaces declare, in the manner of SB3's ``check_env``.

    From random states and with random actions the environment is stepped twice, as it is and transformed by each
    generator (rotations by a generic 37 degrees), and state, observation, reward and termination are compared after
    every step.

    Args:
        env: an environment with typed spaces and the methods of :class:`SymmetricWorld`; wrappers are ignored.
        steps: control steps to compare from each state.
        episodes: number of random states for each generator.
        atol: tolerance on the state (float64). Where a robot is chaotic, 100 times the divergence after a nudge of
            1e-14 is allowed instead.
        group: the group to check, by default the one that the observation space declares.
        seed: of resets and actions.

    Returns:
        One report for each generator.

    Raises:
        UntypedSpaceError: if a space does not say how it turns.
        TypeError: if the environment lacks the methods.
        ValueError: if the spaces declare no symmetry, or the same state and actions give different outcomes.
        SymmetryError: naming the generator, the field, the step and the size of the first violation.
    """
    world = env.unwrapped
    observation_rep = representation_of(world.observation_space)
    action_rep = representation_of(world.action_space)
    if observation_rep.group != action_rep.group:
        raise ValueError(
            f"the observation space declares group {observation_rep.group}, the action space {action_rep.group}; declare one group on both"
        )
    if not isinstance(world, SymmetricWorld):
        missing = [
            m
            for m in ("get_state", "set_state", "transform_state", "state_difference", "nudge_state", "observe", "contacts")
            if not hasattr(world, m)
        ]
        raise TypeError(
            f"{type(world).__name__} cannot be checked: it lacks {', '.join(missing)} (see eqrl.symmetry.SymmetricWorld)"
        )
    generators = (group or observation_rep.group).generators
    if not generators:
        raise ValueError(
            "the spaces declare no symmetry (group 1), so there is nothing to check; give their Representation a group"
        )
    rng = np.random.default_rng(seed)
    world.action_space.seed(seed)
    reports = []
    for name, g in generators:
        error, contacts, compared = 0.0, 0, 0
        for episode in range(episodes):
            world.reset(seed=seed + episode)
            for _ in range(int(rng.integers(0, 20))):
                world.step(world.action_space.sample())
            start = world.get_state()
            actions = [world.action_space.sample() for _ in range(steps)]
            original = _rollout(world, start, actions)
            _check_deterministic(world, original, _rollout(world, start, actions))
            moved = _rollout(world, world.transform_state(start, g), [_move(action_rep, a, g) for a in actions])
            error = max(error, _compare(world, original, moved, g, name, observation_rep, atol, start, actions))
            contacts = max(contacts, *(s.contacts for s in original))
            compared += len(original)
        reports.append(GeneratorReport(name, error, contacts, compared))
    return reports


def _check_deterministic(world: Any, first: list[_Step], second: list[_Step]) -> None:
    for k, (a, b) in enumerate(zip(first, second, strict=False)):
        for part, size in world.state_difference(a.state, b.state).items():
            if not size <= 0.0:
                raise ValueError(
                    f"{type(world).__name__} is not deterministic: from the same state and actions {part} differs by {size:.3g} "
                    f"at step {k}; only what set_state restores may influence a step (switch random events off to check)"
                )


@dataclass
class _Step:
    state: Any
    observation: NDArray[Any]
    reward: float
    terminated: bool
    contacts: int


def _rollout(world: Any, start: Any, actions: list[NDArray[Any]]) -> list[_Step]:
    world.set_state(start)
    trace = [_Step(world.get_state(), flatten(world.observe()), 0.0, False, world.contacts())]
    for action in actions:
        observation, reward, terminated, _, _ = world.step(action)
        trace.append(_Step(world.get_state(), flatten(observation), float(reward), bool(terminated), world.contacts()))
        if terminated:
            break
    return trace


def _compare(
    world: Any,
    original: list[_Step],
    moved: list[_Step],
    g: Element,
    name: str,
    rep: Representation,
    atol: float,
    start: Any,
    actions: list[NDArray[Any]],
) -> float:
    worst, chaos = 0.0, None
    for k, (a, b) in enumerate(zip(original, moved, strict=False)):
        now = 0.0
        for part, size in world.state_difference(world.transform_state(a.state, g), b.state).items():
            now = max(now, size)
            if not size <= atol:
                if chaos is None:
                    chaos = _rollout(world, world.nudge_state(start, _NUDGE), actions)
                natural = max(world.state_difference(a.state, chaos[k].state).values()) if k < len(chaos) else np.inf
                if not size <= _CHAOS_FACTOR * min(natural, _LARGEST_CHAOS):
                    raise SymmetryError(part, name, k, size)
        worst = max(worst, now)
        expected = rep.transform(a.observation.astype(np.float64), g)
        gap = np.abs(expected - b.observation) / np.maximum(1.0, np.abs(expected))
        for field, where in rep.slices.items():
            size = float(gap[where].max(initial=0.0))
            if not size <= max(_FLOAT32, _CHAOS_FACTOR * now):
                raise SymmetryError(f"observation {field}", name, k, size)
        if not abs(a.reward - b.reward) <= max(_FLOAT32 * max(1.0, abs(a.reward)), _CHAOS_FACTOR * now):
            raise SymmetryError("reward", name, k, abs(a.reward - b.reward))
        if a.terminated != b.terminated:
            raise SymmetryError("terminated", name, k, 1.0)
    return worst


def _move(rep: Representation, action: NDArray[Any], g: Element) -> NDArray[Any]:
    return rep.transform(action.astype(np.float64), g)


def flatten(observation: Any) -> NDArray[Any]:
    """A typed observation as one vector; dict entries in sorted order."""
    if isinstance(observation, dict):
        return np.concatenate([np.asarray(observation[k]) for k in sorted(observation)], axis=-1)
    return np.asarray(observation)
