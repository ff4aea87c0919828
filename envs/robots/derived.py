"""The symmetry that a model itself has, derived once for each model."""

from __future__ import annotations

import hashlib

import mujoco
import numpy as np

from eqrl.symmetry import Group

_GROUPS: dict[str, Group] = {}


def group_of(model: mujoco.MjModel) -> Group:
    """The exact symmetry group of a model, as :func:`eqrl.derive` finds it; cached by the model's checksum."""
    from eqrl.derivation import derive

    checksum = _checksum(model)
    if checksum not in _GROUPS:
        _GROUPS[checksum] = derive(model).group()
    return _GROUPS[checksum]


def _checksum(model: mujoco.MjModel) -> str:
    content = np.empty(mujoco.mj_sizeModel(model), dtype=np.uint8)
    mujoco.mj_saveModel(model, None, content)
    return hashlib.sha256(content.tobytes()).hexdigest()
