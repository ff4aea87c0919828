"""The symmetry that a model itself has, derived once for each model."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import mujoco
import numpy as np

from eqrl.symmetry import Group

if TYPE_CHECKING:
    from eqrl.derivation import Derivation

_DERIVED: dict[str, tuple[Derivation, Group]] = {}


def group_of(model: mujoco.MjModel) -> Group:
    """The exact symmetry group of a model, as :func:`eqrl.derive` finds it; cached by the model's checksum."""
    return _derived(model)[1]


def derivation_of(model: mujoco.MjModel) -> Derivation:
    """All that :func:`eqrl.derive` finds in a model; cached by the model's checksum."""
    return _derived(model)[0]


def _derived(model: mujoco.MjModel) -> tuple[Derivation, Group]:
    from eqrl.derivation import derive

    checksum = _checksum(model)
    if checksum not in _DERIVED:
        derivation = derive(model)
        _DERIVED[checksum] = derivation, derivation.group()
    return _DERIVED[checksum]


def _checksum(model: mujoco.MjModel) -> str:
    content = np.empty(mujoco.mj_sizeModel(model), dtype=np.uint8)
    mujoco.mj_saveModel(model, None, content)
    return hashlib.sha256(content.tobytes()).hexdigest()
