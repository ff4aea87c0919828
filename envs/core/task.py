"""The task protocol: a task is written once, on arrays with a leading axis of simulations."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar

import mujoco
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from eqrl.envs.core.breaking import Breaking
from eqrl.envs.core.layout import StateLayout
from eqrl.symmetry import Element, Group, Representation, TypedBox

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Observation = NDArray[np.float32] | dict[str, NDArray[np.float32]]


@dataclass
class Outcome:
    """What a step meant, for all simulations.

    Attributes:
        rewards: each reward term by name, shape ``(n,)``; the reward is their sum in this order.
        success: whether the task is solved now, shape ``(n,)``.
        terminated: whether the episode ends (not by its time limit), shape ``(n,)``.
        metrics: further numbers for ``info``, such as distances, shape ``(n,)`` each.
        redraw: simulations whose goal is to be drawn anew, shape ``(n,)``, or None for none.
        diverged: simulations whose physics diverged, shape ``(n,)``, or None for none; tasks leave it alone.
    """

    rewards: dict[str, Floats]
    success: Bools
    terminated: Bools
    metrics: dict[str, Floats] = field(default_factory=dict)
    redraw: Bools | None = None
    diverged: Bools | None = None

    def without(self, diverged: Bools) -> Outcome:
        """The same with nothing earned, reached or ended where the physics diverged."""

        def kept(values: Floats) -> Floats:
            return np.where(diverged, 0.0, values)

        return Outcome(
            rewards={name: kept(values) for name, values in self.rewards.items()},
            success=self.success & ~diverged,
            terminated=self.terminated & ~diverged,
            metrics={name: kept(values) for name, values in self.metrics.items()},
            redraw=None if self.redraw is None else self.redraw & ~diverged,
            diverged=diverged,
        )

    @property
    def reward(self) -> Floats:
        """Sum of the terms, shape ``(n,)``."""
        total = np.zeros_like(next(iter(self.rewards.values())))
        for term in self.rewards.values():
            total = total + term
        return total


@dataclass
class World:
    """The arrays of a batch of simulations that tasks read and write, all with the leading axis ``n``.

    Attributes:
        qpos: positions, ``(n, nq)``, writable.
        qvel: velocities, ``(n, nv)``, writable.
        ctrl: controls, ``(n, nu)``, writable.
        xfrc: external wrenches, ``(n, nbody, 6)``, writable.
        derived: the bound MjData fields that the task asked for, current with the state.
        variables: the task's own state, ``(n, variables.dim)``, writable; what is not in the simulation, such as
            a target.
    """

    qpos: Floats
    qvel: Floats
    ctrl: Floats
    xfrc: Floats
    derived: dict[str, Floats]
    variables: Floats


class Task(ABC):
    """A task: its model, spaces, symmetry, and what reset, control, observation and reward mean.

    All methods take the whole batch; only :meth:`reset` draws for one simulation at a time, from that simulation's
    own random numbers, so that a batch and single environments give the same bits.

    Attributes:
        frame_skip: physics steps a control step.
        derived: names of MjData fields that the task reads.
        main_body: id of the body that wind blows on.
        model: the compiled model.
        group: the declared symmetry group.
        layout: how the simulation's state turns.
        variable_representation: how the task's own state turns; positions are relative to the world's origin.
        observation_space: typed box, or a dict of typed boxes.
        action_space: typed box.
    """

    frame_skip: ClassVar[int]
    derived: ClassVar[tuple[str, ...]] = ()
    main_body: int = 1

    model: mujoco.MjModel
    group: Group
    layout: StateLayout
    variable_representation: Representation
    observation_space: TypedBox | spaces.Dict
    action_space: TypedBox
    breaking: Breaking

    @property
    def dt(self) -> float:
        """Seconds a control step."""
        return float(self.model.opt.timestep) * self.frame_skip

    @abstractmethod
    def reset(self, world: World, i: int, rng: np.random.Generator, options: dict[str, Any]) -> None:
        """Draw an initial state for simulation ``i`` and write it into the world.

        Args:
            world: its state is the model's default at entry.
            i: the simulation.
            rng: its random numbers.
            options: the options given to ``reset``, checked by :meth:`check_options`.
        """

    @abstractmethod
    def control(self, world: World, action: Floats) -> None:
        """Turn actions, shape ``(n, action dim)``, into controls."""

    @abstractmethod
    def observe(self, world: World) -> Observation:
        """Observations, float32, freshly allocated."""

    @abstractmethod
    def evaluate(self, world: World, action: Floats) -> Outcome:
        """Reward, success and termination after a step; may update the task's variables."""

    def after_reset(self, world: World, ids: NDArray[np.int64]) -> None:
        """Fill variables that derive from the reset state (after scene and goal rotations); default: nothing."""

    def redraw(self, world: World, i: int, rng: np.random.Generator) -> None:
        """Draw a new goal for simulation ``i`` in the middle of its episode."""
        raise NotImplementedError(f"{type(self).__name__} does not redraw its goal")

    def rotate_goal(self, world: World, i: int, g: Element) -> None:
        """Turn the goal of simulation ``i`` alone, the rest of the scene stays."""
        raise NotImplementedError(f"{type(self).__name__} has no goal to rotate")

    def draw_markers(self, scene: mujoco.MjvScene, world: World, i: int) -> None:
        """Add the goal of simulation ``i`` to a rendered scene; default: nothing."""

    def options(self) -> tuple[str, ...]:
        """Names of the reset options that the task itself understands."""
        return ()


def check_in(name: str, value: str, allowed: tuple[str, ...]) -> str:
    """Refuse a value that is not one of the allowed words.

    Raises:
        ValueError: naming the argument, the value and what is allowed.
    """
    if value not in allowed:
        raise ValueError(f"{name}={value!r} is not known; use one of {', '.join(map(repr, allowed))}")
    return value


def check_size(name: str, value: Any, least: float = 0.0) -> float:
    """Read a number that is at least ``least``.

    Raises:
        ValueError: naming the argument and the value.
    """
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = np.nan
    if not least <= number < np.inf:
        raise ValueError(f"{name}={value!r} must be a finite number >= {least:g}")
    return number


def check_range(name: str, value: Any) -> tuple[float, float]:
    """Read a range of lengths.

    Raises:
        ValueError: naming the argument and the value.
    """
    try:
        low, high = (float(v) for v in value)
    except (TypeError, ValueError):
        low, high = np.nan, np.nan
    if not 0.0 < low <= high < np.inf:
        raise ValueError(f"{name}={value!r} must be two lengths in metres with 0 < low <= high, such as (0.5, 1.0)")
    return (low, high)


def check_sector(name: str, value: Any) -> tuple[float, float]:
    """Read a sector of directions: ``"uniform"`` or a pair of degrees.

    Returns:
        Lower and upper angle in radians.

    Raises:
        ValueError: naming the argument and the value.
    """
    if isinstance(value, str) and value == "uniform":
        return (-np.pi, np.pi)
    try:
        low, high = (float(v) for v in value)
    except (TypeError, ValueError):
        raise ValueError(
            f"{name}={value!r} is not a sector; give 'uniform' or two angles in degrees, such as (-15, 15)"
        ) from None
    if not (np.isfinite(low) and np.isfinite(high) and low <= high <= low + 360.0):
        raise ValueError(
            f"{name}={value!r} is not a sector; the angles must be finite, in order and at most 360 degrees apart"
        )
    return (float(np.deg2rad(low)), float(np.deg2rad(high)))
