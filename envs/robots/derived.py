"""The symmetry that a model itself has, derived once for each model."""

from __future__ import annotations

import hashlib

import mujoco
import numpy as np

from eqrl.derivation import Derivation, derive
from eqrl.symmetry import Group

_DERIVATIONS: dict[str, Derivation] = {}


def group_of(model: mujoco.MjModel) -> Group:
    """The exact symmetry group of a model, as :func:`eqrl.derive` finds it."""
    return derivation_of(model).group()


def derivation_of(model: mujoco.MjModel) -> Derivation:
    """What :func:`eqrl.derive` finds in a model; cached by the model's checksum."""
    checksum = _checksum(model)
    if checksum not in _DERIVATIONS:
        _DERIVATIONS[checksum] = derive(model)
    return _DERIVATIONS[checksum]


def _checksum(model: mujoco.MjModel) -> str:
    content = np.empty(mujoco.mj_sizeModel(model), dtype=np.uint8)
    mujoco.mj_saveModel(model, None, content)
    return hashlib.sha256(content.tobytes()).hexdigest()
