"""What each entry of an observation measures, as far as its values show."""

from __future__ import annotations

from collections.abc import Sequence

import mujoco
import numpy as np

from eqrl.arrays import Floats
from eqrl.proof.declared.motion import TwinState
from eqrl.proof.declared.twins import MujocoTwin

_FREE, _BALL = int(mujoco.mjtJoint.mjJNT_FREE), int(mujoco.mjtJoint.mjJNT_BALL)


def entry_names(twin: MujocoTwin, states: Sequence[TwinState], observations: Floats) -> tuple[str, ...]:
    """What each entry is: the position or velocity whose value it always has."""
    m = twin.model
    known: list[tuple[str, Floats]] = []
    qpos, qvel = np.stack([s.qpos for s in states]), np.stack([s.qvel for s in states])
    for j in range(m.njnt):
        joint = m.joint(j).name or f"joint {j}"
        free, ball = m.jnt_type[j] == _FREE, m.jnt_type[j] == _BALL
        places = ["x", "y", "z", "qw", "qx", "qy", "qz"] if free else ["qw", "qx", "qy", "qz"] if ball else [""]
        speeds = ["vx", "vy", "vz", "wx", "wy", "wz"] if free else ["wx", "wy", "wz"] if ball else [""]
        known += [(f"{joint} {p}".strip(), qpos[:, m.jnt_qposadr[j] + k]) for k, p in enumerate(places)]
        known += [(f"velocity of {joint} {v}".strip(), qvel[:, m.jnt_dofadr[j] + k]) for k, v in enumerate(speeds)]
    structure = getattr(twin.env, "observation_structure", None) or {}
    parts = [n for n, size in structure.items() if n != "skipped_qpos" for n in [n] * int(size)]
    names = []
    for i in range(observations.shape[1]):
        column = observations[:, i]
        moving = np.ptp(column) > 0
        name = next((n for n, values in known if moving and np.array_equal(values, column)), "")
        names.append(name or (parts[i] if len(parts) == observations.shape[1] else ""))
    return tuple(names)
