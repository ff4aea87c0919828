"""Random states that make contact, and random controls: where a model's symmetry is put to the test."""

from __future__ import annotations

from dataclasses import dataclass, replace

import mujoco
import numpy as np
from numpy.typing import NDArray

from eqrl.arrays import Floats, Ints

_HINGE, _SLIDE = int(mujoco.mjtJoint.mjJNT_HINGE), int(mujoco.mjtJoint.mjJNT_SLIDE)
_FREE, _BALL = int(mujoco.mjtJoint.mjJNT_FREE), int(mujoco.mjtJoint.mjJNT_BALL)
_TRIES = 12
_BISECTIONS = 30
_WIDE = 0.5
_DEPTHS = (-3.0, -1.2)  # powers of ten: how deep a lowered body sinks in, relative to the model's extent
_DEEPEST = 0.03  # deeper overlaps are no states that a simulation reaches; they only make it explode


@dataclass(frozen=True)
class Starts:
    """Some states to start from.

    Attributes:
        qpos: ``(n, nq)``.
        qvel: ``(n, nv)``.
        act: ``(n, na)``.
        mocap_pos: ``(n, nmocap, 3)``.
        mocap_quat: ``(n, nmocap, 4)``.
    """

    qpos: Floats
    qvel: Floats
    act: Floats
    mocap_pos: Floats
    mocap_quat: Floats

    def __len__(self) -> int:
        """Number of states."""
        return len(self.qpos)

    def pick(self, which: Ints | slice) -> Starts:
        """Some of the states."""
        return Starts(*(getattr(self, name)[which] for name in ("qpos", "qvel", "act", "mocap_pos", "mocap_quat")))

    def nudged(self, size: float, rng: np.random.Generator) -> Starts:
        """The same states with every coordinate moved by ``size`` up or down."""
        signs = rng.choice([-1.0, 1.0], size=self.qpos.shape), rng.choice([-1.0, 1.0], size=self.qvel.shape)
        return replace(self, qpos=self.qpos + size * signs[0], qvel=self.qvel + size * signs[1])


def random_starts(model: mujoco.MjModel, n: int, rng: np.random.Generator, calm: float = 1.0) -> Starts:
    """Random states: joints within their ranges, free bodies turned and lowered until they touch something.

    Every second state stays near the model's own configuration, the others are anywhere in the ranges.

    Args:
        model: the model.
        n: number of states.
        rng: random numbers.
        calm: factor on how far and how fast everything is moved, for models that diverge otherwise.
    """
    data = mujoco.MjData(model)
    qpos = np.stack([_positions(model, data, rng, calm * (0.25 if i % 2 or model.neq else 1.0)) for i in range(n)])
    qvel = calm * rng.normal(size=(n, model.nv))
    # sideways fast enough to slide, and down onto what it touches, but gently: a foot that is pressed to the ground
    # sticks, and then does not feel the shape of the friction cone
    qvel[:, _slow(model)] *= 2.0
    for _, dof, _ in heights(model):
        qvel[:, dof] *= -0.15 * np.sign(qvel[:, dof])
    act = 0.3 * calm * rng.uniform(-1, 1, size=(n, model.na))
    return Starts(
        qpos, qvel, act, np.tile(data.mocap_pos, (n, 1, 1)), np.tile(data.mocap_quat, (n, 1, 1))
    )  # fmt: skip


def random_controls(model: mujoco.MjModel, steps: int, n: int, rng: np.random.Generator) -> Floats:
    """Controls uniform in their ranges (in -1 to 1 where there is none), shape ``(steps, n, nu)``."""
    low, high = np.full(model.nu, -1.0), np.full(model.nu, 1.0)
    limited = model.actuator_ctrllimited.astype(bool)
    low[limited], high[limited] = model.actuator_ctrlrange[limited].T
    drawn: Floats = rng.uniform(low, high, size=(steps, n, model.nu))
    return drawn


def _positions(model: mujoco.MjModel, data: mujoco.MjData, rng: np.random.Generator, spread: float) -> Floats:
    mujoco.mj_resetData(model, data)
    _collide(model, data)
    allowed = min(1.5 * _deepest(data), -_DEEPEST * model.stat.extent)
    for _ in range(_TRIES):
        data.qpos[:] = _draw(model, rng, spread)
        if spread > _WIDE and rng.uniform() < 0.5:
            _turn_down(model, data, rng)
        _lower(model, data, 10.0 ** rng.uniform(*_DEPTHS) * model.stat.extent)
        if _deepest(data) >= allowed:
            break
        spread *= 0.7
    return np.array(data.qpos)


def _draw(model: mujoco.MjModel, rng: np.random.Generator, spread: float) -> Floats:
    qpos: Floats = np.array(model.qpos0)
    for j in range(model.njnt):
        a, kind = model.jnt_qposadr[j], int(model.jnt_type[j])
        if kind == _FREE:
            qpos[a : a + 3] += 0.2 * spread * model.stat.extent * rng.uniform(-1, 1, 3)
            qpos[a + 3 : a + 7] = _turned(qpos[a + 3 : a + 7], rng, spread)
        elif kind == _BALL:
            qpos[a : a + 4] = _turned(qpos[a : a + 4], rng, spread)
        elif model.jnt_limited[j]:
            low, high = model.jnt_range[j]
            middle = np.clip(qpos[a], low, high)
            # a little beyond the limits, so that these take part
            qpos[a] = middle + spread * (rng.uniform(low - 0.02 * (high - low), high + 0.02 * (high - low)) - middle)
        else:
            qpos[a] += spread * rng.uniform(-1, 1) * (1.5 if kind == _HINGE else 0.3 * model.stat.extent)
    return qpos


def _turn_down(model: mujoco.MjModel, data: mujoco.MjData, rng: np.random.Generator) -> None:
    """Turn every free body so that some shape of it, any one, is lowest.

    Each of them has to touch the ground some time.
    """
    mujoco.mj_kinematics(model, data)
    for address, _, body in heights(model):
        tree = _subtree(model, body)[model.geom_bodyid] & ((model.geom_contype | model.geom_conaffinity) > 0)
        shapes = np.flatnonzero(tree)
        joint = model.body_jntadr[body]
        if not len(shapes) or model.jnt_type[joint] != _FREE:
            continue
        # one kind of shape after the other: among many capsules a single sphere would hardly ever be lowest
        kind = rng.choice(np.unique(model.geom_type[shapes]))
        arm = data.geom_xpos[rng.choice(shapes[model.geom_type[shapes] == kind])] - data.xpos[body]
        if np.linalg.norm(arm) < 1e-6:
            continue
        turn, both = np.empty(4), np.empty(4)
        mujoco.mju_quatZ2Vec(turn, -arm / np.linalg.norm(arm))  # takes down to where the arm points
        mujoco.mju_negQuat(turn, turn.copy())
        orientation = slice(address + 1, address + 5)
        mujoco.mju_mulQuat(both, turn, data.qpos[orientation].copy())
        data.qpos[orientation] = both


def _turned(quaternion: Floats, rng: np.random.Generator, spread: float) -> Floats:
    axis = rng.normal(size=3)
    half = 0.5 * spread * rng.uniform(0, np.pi)
    turn = np.concatenate([[np.cos(half)], np.sin(half) * axis / np.linalg.norm(axis)])
    yaw = rng.uniform(-np.pi, np.pi) / 2
    out, both = np.empty(4), np.empty(4)
    mujoco.mju_mulQuat(both, np.array([np.cos(yaw), 0.0, 0.0, np.sin(yaw)]), turn)
    mujoco.mju_mulQuat(out, both, quaternion)
    return out / np.linalg.norm(out)


def _lower(model: mujoco.MjModel, data: mujoco.MjData, depth: float) -> None:
    """Move every body that can rise and fall freely until it touches something and sinks in a little."""
    for address, _, body in heights(model):
        tree = _subtree(model, body)
        start, span = data.qpos[address], 4.0 * model.stat.extent

        def sinks(height: float, address: int = address, tree: NDArray[np.bool_] = tree) -> bool:
            data.qpos[address] = height
            _collide(model, data)
            return _gap(model, data, tree) < -depth

        high, low = start + span, start - span
        if sinks(high) or not sinks(low):
            data.qpos[address] = start  # nothing below, or no way up
            continue
        for _ in range(_BISECTIONS):
            middle = 0.5 * (high + low)
            high, low = (high, middle) if sinks(middle) else (middle, low)
        data.qpos[address] = high
    _collide(model, data)


def heights(model: mujoco.MjModel) -> list[tuple[int, int, int]]:
    """Addresses in ``qpos`` and ``qvel`` of the heights of free bodies and of robots on a vertical slide.

    The bodies are given too.
    """
    addresses = []
    for j in range(model.njnt):
        body = int(model.jnt_bodyid[j])
        if model.body_parentid[body] != 0:
            continue
        if model.jnt_type[j] == _FREE:
            addresses.append((int(model.jnt_qposadr[j]) + 2, int(model.jnt_dofadr[j]) + 2, body))
        elif model.jnt_type[j] == _SLIDE and model.jnt_axis[j][2] > 0.99 and not model.jnt_limited[j]:
            addresses.append((int(model.jnt_qposadr[j]), int(model.jnt_dofadr[j]), body))
    return addresses


def _subtree(model: mujoco.MjModel, body: int) -> NDArray[np.bool_]:
    inside = np.zeros(model.nbody, dtype=bool)
    inside[body] = True
    for b in range(body + 1, model.nbody):
        inside[b] |= inside[model.body_parentid[b]]
    return inside


def _gap(model: mujoco.MjModel, data: mujoco.MjData, tree: NDArray[np.bool_]) -> float:
    """Smallest distance of any contact between a tree and the rest, infinite if there is none."""
    if not data.ncon:
        return np.inf
    inside = tree[model.geom_bodyid[np.maximum(data.contact.geom, 0)]]
    outward = inside[:, 0] != inside[:, 1]
    return float(data.contact.dist[outward].min(initial=np.inf))


def _deepest(data: mujoco.MjData) -> float:
    return float(data.contact.dist.min(initial=0.0)) if data.ncon else 0.0


def _collide(model: mujoco.MjModel, data: mujoco.MjData) -> None:
    mujoco.mj_kinematics(model, data)
    mujoco.mj_comPos(model, data)
    mujoco.mj_collision(model, data)


def _slow(model: mujoco.MjModel) -> NDArray[np.bool_]:
    """Velocities along a length rather than about an axis."""
    slow = np.zeros(model.nv, dtype=bool)
    for j in range(model.njnt):
        if model.jnt_type[j] == _FREE:
            slow[model.jnt_dofadr[j] : model.jnt_dofadr[j] + 3] = True
        elif model.jnt_type[j] == _SLIDE:
            slow[model.jnt_dofadr[j]] = True
    return slow
