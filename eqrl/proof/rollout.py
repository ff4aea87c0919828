"""Simulate some states under given controls, and turn states and controls by a symmetry."""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

import mujoco
import numpy as np
from mujoco.batch import Batch, SimulationError

from eqrl.arrays import Floats, Ints
from eqrl.derivation.symmetry import Symmetry
from eqrl.proof.states import Starts
from eqrl.symmetry.quaternions import matrix_to_quaternion, quaternion_to_matrix

_RECORDED = ("qpos", "qvel", "act", "sensordata", "contacts")  # at every step
_A_THREAD = 12  # simulations that are worth one
_HUGE = 1e7  # what is that fast is about to diverge


@dataclass(frozen=True)
class Trace:
    """What a simulation did, the start included.

    Attributes:
        qpos: ``(steps + 1, n, nq)``; from the step on in which any state diverges everything is NaN, in all states.
        qvel: ``(steps + 1, n, nv)``.
        act: ``(steps + 1, n, na)``.
        sensordata: ``(steps + 1, n, nsensordata)``; those of the state before the step's last substep.
        poses: of the bodies at the start, ``(n, nbody, 4, 4)``.
        contacts: number of contacts, ``(steps + 1, n)``.
    """

    qpos: Floats
    qvel: Floats
    act: Floats
    sensordata: Floats
    poses: Floats
    contacts: Ints

    def pick(self, which: Sequence[int]) -> Trace:
        """Some of the simulations, also several times the same."""
        rows = np.asarray(which, dtype=np.int64)
        return replace(self, **{name: getattr(self, name)[:, rows] for name in _RECORDED}, poses=self.poses[rows])

    def first(self, steps: int) -> Trace:
        """The start and the first steps only."""
        return replace(self, **{name: getattr(self, name)[: steps + 1] for name in _RECORDED})


def simulate(model: mujoco.MjModel, starts: Starts, controls: Floats, frame_skip: int = 1) -> Trace:
    """Simulate on native threads, with a cold solver and without MuJoCo's automatic reset.

    Args:
        model: is not changed.
        starts: ``n`` states.
        controls: ``(steps, n, nu)``.
        frame_skip: substeps a step, with the same control.
    """
    model = copy.copy(model)
    model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_AUTORESET
    n = len(starts)
    batch = Batch(model, n, min(os.cpu_count() or 1, 1 + n // _A_THREAD))
    batch.reset(stage=mujoco.mjtStage.mjSTAGE_NONE)
    live = {name: batch.bind(name) for name in ("qpos", "qvel", "act", "sensordata", "ncon", "xpos", "xmat")}
    live["qpos"][:], live["qvel"][:], live["act"][:] = starts.qpos, starts.qvel, starts.act
    batch.bind("mocap_pos")[:], batch.bind("mocap_quat")[:] = starts.mocap_pos, starts.mocap_quat
    ctrl, warmstart = batch.bind("ctrl"), batch.bind("qacc_warmstart")
    if len(controls):
        ctrl[:] = controls[0]
    batch.forward()
    warmstart[:] = 0.0
    poses = np.tile(np.eye(4), (n, model.nbody, 1, 1))
    poses[:, :, :3, :3] = live["xmat"].reshape(n, model.nbody, 3, 3)
    poses[:, :, :3, 3] = live["xpos"]
    recorded: dict[str, list[Floats]] = {k: [live[k].copy()] for k in ("qpos", "qvel", "act", "sensordata", "ncon")}
    diverged = False
    for control in controls:
        if not diverged:
            ctrl[:] = control
            diverged = not _step(batch, frame_skip)
        for name, rows in recorded.items():
            # going on after a divergence only fills the screen with warnings
            rows.append(np.full_like(live[name], 0 if name == "ncon" else np.nan) if diverged else live[name].copy())
    stacked = {name: np.stack(rows) for name, rows in recorded.items()}
    contacts = stacked.pop("ncon").reshape(len(controls) + 1, n).astype(np.int64)
    return Trace(**stacked, poses=poses, contacts=contacts)


def _step(batch: Batch, frame_skip: int) -> bool:
    """Advance; whether all simulations are still finite."""
    try:
        batch.step(nstep=frame_skip)
    except SimulationError:  # so many contacts that memory runs out, which happens to what explodes
        return False
    # NaN compares as false
    return bool((np.abs(batch.bind("qpos")) < _HUGE).all() and (np.abs(batch.bind("qvel")) < _HUGE).all())


def turn_starts(symmetry: Symmetry, starts: Starts) -> Starts:
    """The states of the transformed world; bodies that are moved by hand (mocap) are moved along."""
    model = symmetry.model
    pos, quat = starts.mocap_pos.copy(), starts.mocap_quat.copy()
    for body in np.flatnonzero(model.body_mocapid >= 0):
        a, b = model.body_mocapid[body], model.body_mocapid[symmetry.bodies[body]]
        frame, E = symmetry.frames[body], quaternion_to_matrix(starts.mocap_quat[:, a])
        pos[:, b] = (starts.mocap_pos[:, a] + E @ np.linalg.inv(frame)[:3, 3]) @ symmetry.R.T + symmetry.t
        quat[:, b] = matrix_to_quaternion(symmetry.R @ E @ frame[:3, :3].T)
    return Starts(
        symmetry.qpos(starts.qpos), symmetry.qvel(starts.qvel, starts.qpos), symmetry.act(starts.act), pos, quat
    )  # fmt: skip


def turn_trace(symmetry: Symmetry, trace: Trace) -> Trace:
    """What the symmetry predicts for the transformed world."""
    return Trace(
        qpos=symmetry.qpos(trace.qpos),
        qvel=symmetry.qvel(trace.qvel, trace.qpos),
        act=symmetry.act(trace.act),
        sensordata=symmetry.sensordata(trace.sensordata),
        poses=turn_poses(symmetry, trace.poses),
        contacts=trace.contacts,
    )


def turn_poses(symmetry: Symmetry, poses: Floats) -> Floats:
    """Images of poses ``(..., nbody, 4, 4)`` under a symmetry."""
    isometry = np.eye(4)
    isometry[:3, :3], isometry[:3, 3] = symmetry.R, symmetry.t
    out, mapped = np.tile(np.eye(4), (*poses.shape[:-2], 1, 1)), symmetry.bodies >= 0
    out[..., symmetry.bodies[mapped], :, :] = (
        isometry @ poses[..., mapped, :, :] @ np.linalg.inv(symmetry.frames[mapped])
    )
    return out
