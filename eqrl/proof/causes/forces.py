"""Find the actuators that do not push as a map of controls claims. Forces are compared; nothing is stepped."""

from __future__ import annotations

import mujoco
import numpy as np

from eqrl.arrays import Floats, Ints
from eqrl.derivation.symmetry import Symmetry
from eqrl.proof.differences import ON_JOINTS
from eqrl.proof.rollout import turn_starts
from eqrl.proof.states import Starts
from eqrl.proof.trial import Trial

_EXACT = 1e-9


def misdirected(trial: Trial, symmetry: Symmetry) -> Ints:
    """Actuators whose images push on a coordinate that feels another force than the map says.

    Actuators that push on other things than a joint are always among them.
    """
    model, starts = trial.model, trial.starts
    here = actuator_forces(model, starts, trial.controls[0])
    there = actuator_forces(model, turn_starts(symmetry, starts), symmetry.ctrl(trial.controls[0]))
    # on hinges and slides forces turn as velocities do
    gap = np.abs(symmetry.qvel(here, starts.qpos) - there).max(0)
    wrong = gap > _EXACT * max(1.0, float(np.abs(here).max(initial=0.0)))
    suspects = []
    for k, image in enumerate(symmetry.actuators):
        on_joint = int(model.actuator_trntype[image]) in ON_JOINTS
        if not on_joint or wrong[model.jnt_dofadr[model.actuator_trnid[image, 0]]]:
            suspects.append(k)
    return np.array(suspects, dtype=np.int64)


def actuator_forces(model: mujoco.MjModel, starts: Starts, controls: Floats) -> Floats:
    """Generalised forces of the actuators in some states, ``(n, nv)``."""
    data = mujoco.MjData(model)
    forces = np.zeros((len(starts), model.nv))
    for i in range(len(starts)):
        data.qpos[:], data.qvel[:], data.act[:] = starts.qpos[i], starts.qvel[i], starts.act[i]
        data.ctrl[:] = controls[i]
        mujoco.mj_forward(model, data)
        forces[i] = data.qfrc_actuator
    return forces
