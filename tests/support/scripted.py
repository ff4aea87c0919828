"""Scripted hands that bring shapes to a pose, with noise so that they touch."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation


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


def insert_with_two_hands(env, rng, noise=0.2):
    """Action of two hands that turn a shape and push it into its hole, from the state of the simulation."""
    world, task = env.simulation.world, env.task
    thing, axis = world.bodies.object, world.variables.goal_axis[0]
    now = Rotation.from_matrix(thing.axes[0].T)
    hole = Rotation.from_quat(world.bodies.hole.quaternion[0], scalar_first=True)
    turns = [hole * Rotation.from_rotvec([0, 0, 2 * np.pi * k / task.shape.order]) for k in range(task.shape.order)]
    turn = min(((there * now.inv()).as_rotvec() for there in turns), key=np.linalg.norm)
    move = world.variables.goal_centre[0] - thing.position[0]
    aside = move - (move @ axis) * axis
    if np.linalg.norm(aside) > 0.004 or np.linalg.norm(turn) > 0.1:
        move = move + 0.055 * axis
    hands = env.observe()["observation"][6:12].reshape(2, 3) - thing.position[0]
    linear = (3.2 * move + np.cross(4.0 * turn, hands)) / 0.4 + noise * rng.standard_normal((2, 3))
    spin = np.tile(4.0 * turn / 4.0, (2, 1)) + noise * rng.standard_normal((2, 3))
    action = np.stack([linear, spin][: env.action_space.shape[0] // 6])
    return (action / np.maximum(1.0, np.linalg.norm(action, axis=-1, keepdims=True))).ravel()
