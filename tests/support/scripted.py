"""Scripted hands that bring shapes to a pose, with noise so that they touch."""

from __future__ import annotations

import numpy as np


def insert(observation, task, rng, noise=0.2):
    """Action of a hand that turns a shape and lowers it over its hole."""
    here, points = task.goal_parts(observation["achieved_goal"])
    there, targets = task.goal_parts(observation["desired_goal"])
    flat, goal = (part[:, 0] + 1j * part[:, 1] for part in (points, targets))
    turn = np.angle((flat.conj() * goal).sum())
    move = there - here
    if np.hypot(*move[:2]) > 0.004 or abs(turn) > 0.1:
        move[2] += 0.055
    action = np.concatenate([8.0 * move, [2.0 * turn]]) + noise * rng.standard_normal(4)
    action[:3] /= max(1.0, np.linalg.norm(action[:3]))
    return np.clip(action, -1.0, 1.0)
