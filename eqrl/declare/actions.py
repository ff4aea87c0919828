"""What a symmetry does to actions.

What it does to controls where actions are controls, otherwise read off their effects.
"""

from __future__ import annotations

from collections.abc import Sequence

import gymnasium
import numpy as np

from eqrl.arrays import Floats
from eqrl.declare.one_step import on_actions, try_motion
from eqrl.proof.declared.motion import Motion, TwinState
from eqrl.proof.declared.twins import Twin
from eqrl.proof.worlds import step_from

_EXACT = 1e-8
_STATES = 4
_PUSH = 0.7  # of the largest action


def action_matrix(
    twin: Twin, motion: Motion, states: Sequence[TwinState], *, seed: int = 0, guess: bool = False
) -> Floats | None:
    """The matrix on actions, ``(size, size)``; that on controls for discrete ones.

    Args:
        twin: where to try.
        motion: the symmetry.
        states: in which effects of actions are compared.
        seed: of the states in which the matrix on controls is tried.
        guess: whether to take that on controls untried: a symmetry that the physics keeps only nearly cannot be read
            off effects.

    Returns:
        None if no signed permutation of the actions does what the symmetry does to the robot.
    """
    space = twin.env.action_space
    if isinstance(space, gymnasium.spaces.Discrete):
        return motion.control
    size = int(np.prod(space.shape or (0,)))
    are_controls = size == len(motion.control)
    if are_controls:
        action = on_actions(twin, motion.control)
        if try_motion(twin, motion, None, samples=_STATES, seed=seed, action=action).state <= _EXACT:
            return motion.control
    matrix = _from_effects(twin, motion, states[:_STATES], size)
    return motion.control if matrix is None and are_controls and guess else matrix


def _from_effects(twin: Twin, motion: Motion, states: Sequence[TwinState], size: int) -> Floats | None:
    """The signed permutation under which single actions have images as effects."""
    space = twin.env.action_space
    assert isinstance(space, gymnasium.spaces.Box)
    pushes = np.diag(np.where(np.isfinite(space.high), space.high, 1.0).astype(np.float64) * _PUSH)

    def after(state: TwinState, action: Floats) -> TwinState:
        reached: TwinState = step_from(twin, state, action.astype(space.dtype)).state
        return reached

    cost = np.zeros((2, size, size))
    for start in states:
        moved = motion.state(start)
        images = [motion.state(after(start, push)) for push in pushes]
        for j in range(size):
            for k, sign in enumerate((1.0, -1.0)):
                other = after(moved, sign * pushes[j])
                for i in range(size):
                    cost[k, i, j] = max(cost[k, i, j], twin.difference(images[i], other))
    matrix = np.zeros((size, size))
    for i in range(size):
        k, best = divmod(int(cost[:, i].argmin()), size)
        if cost[k, i, best] > _EXACT:
            return None
        matrix[best, i] = 1.0 if k == 0 else -1.0
    return matrix if np.allclose(matrix @ matrix.T, np.eye(size)) else None
