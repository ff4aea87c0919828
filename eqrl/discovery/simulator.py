"""Residuals from a simulator whose state can be set: the same transitions, as they are and transformed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import mujoco
import numpy as np

from eqrl.arrays import Floats
from eqrl.derivation import Symmetry
from eqrl.discovery.measurement import Gaps, Measurement, measured
from eqrl.proof.converged import converged
from eqrl.proof.declarations import declared_world
from eqrl.proof.rollout import simulate, turn_starts, turn_trace
from eqrl.proof.trial import Trial
from eqrl.proof.worlds import play, random_episode, step_from
from eqrl.symmetry import Element, representation_of

_WARM_UP = 20
_STEPS = 8


def of_world(
    env: gymnasium.Env[Any, Any], *, transitions: int = 64, accept: float = 0.05, seed: int = 0
) -> Callable[[Element], Measurement]:
    """A function that measures group elements in an environment with typed spaces.

    Compared are the parts of the state, the reward, and whether the episode ends.

    Args:
        env: an environment whose symmetry :func:`eqrl.proof.verify` can prove.
        transitions: number of random transitions.
        accept: largest accepted residual.
        seed: of resets and actions.

    Raises:
        UntypedSpaceError: if a space does not say how it turns.
        TypeError: if the state cannot be set.
    """
    world = declared_world(env)
    rng = np.random.default_rng(seed)
    world.action_space.seed(seed)
    actions = representation_of(world.action_space)
    steps: list[tuple[Any, Any, Any]] = []
    while len(steps) < transitions:
        episode = random_episode(world, seed + len(steps), int(rng.integers(0, _WARM_UP)), _STEPS)
        trace = play(world, episode.start, episode.actions)
        steps += list(zip(trace[:-1], episode.actions, trace[1:], strict=False))
    steps = steps[:transitions]
    changes = [world.state_difference(before.state, after.state) for before, _, after in steps]
    parts = list(changes[0])
    change = {p: np.array([c[p] for c in changes]) for p in parts}
    rewards = np.array([after.reward for _, _, after in steps])
    change["reward"] = np.full(len(steps), float(rewards.std()))
    change["termination"] = np.ones(len(steps))

    def measure(g: Element) -> Measurement:
        size = {name: np.zeros(len(steps)) for name in change}
        for i, (before, action, after) in enumerate(steps):
            try:
                start = world.transform_state(before.state, g)
            except ValueError as error:  # the model of a typed environment has no such motion
                return Measurement(np.inf, "model", np.inf, 1.0, 0, False, reason=str(error))
            moved = step_from(world, start, actions.transform(np.asarray(action, dtype=np.float64), g))
            for part, gap in world.state_difference(world.transform_state(after.state, g), moved.state).items():
                size[part][i] = gap
            size["reward"][i] = abs(after.reward - moved.reward)
            size["termination"][i] = float(after.terminated != moved.terminated)
        return measured(Gaps(size, change), accept, seed=seed)

    return measure


def of_model(
    model: mujoco.MjModel, *, frame_skip: int = 1, states: int = 48, accept: float = 0.05, seed: int = 0
) -> Callable[[Symmetry], Measurement]:
    """A function that measures symmetries on a model: velocities and activations after one step.

    Args:
        model: the model; it is simulated with a converged solver and collider.
        frame_skip: substeps of a step.
        states: number of random states, half of which lie on the ground.
        accept: largest accepted residual.
        seed: of states and controls.

    Raises:
        NonFiniteRolloutError: if the model diverges by itself.
    """
    trial = Trial.random(converged(model), states=states, steps=1, frame_skip=frame_skip, seed=seed)
    change = {"velocity": _length(trial.original.qvel[1] - trial.original.qvel[0])}
    if model.na:
        change["activation"] = _length(trial.original.act[1] - trial.original.act[0])

    def measure(symmetry: Symmetry) -> Measurement:
        moved = simulate(
            trial.model, turn_starts(symmetry, trial.starts), symmetry.ctrl(trial.controls), trial.frame_skip
        )
        predicted = turn_trace(symmetry, trial.original)
        size = {"velocity": _length(predicted.qvel[1] - moved.qvel[1])}
        if model.na:
            size["activation"] = _length(predicted.act[1] - moved.act[1])
        return measured(Gaps(size, change), accept, seed=seed)

    return measure


def _length(x: Floats) -> Floats:
    return np.asarray(np.linalg.norm(x, axis=-1))
