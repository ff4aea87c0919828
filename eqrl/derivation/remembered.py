"""Derivations, cached by the checksum of their models."""

from __future__ import annotations

import hashlib

import mujoco
import numpy as np

from eqrl.derivation.derivation import Derivation
from eqrl.derivation.derive import derive

_MOST_REMEMBERED = 16
_DERIVED: dict[str, Derivation] = {}


def derivation_of(model: mujoco.MjModel) -> Derivation:
    """The derivation of a model, cached by its checksum: a vector environment asks for the same model many times."""
    buffer = np.empty(mujoco.mj_sizeModel(model), np.uint8)
    mujoco.mj_saveModel(model, None, buffer)
    key = hashlib.sha256(buffer.tobytes()).hexdigest()
    if key not in _DERIVED:
        if len(_DERIVED) >= _MOST_REMEMBERED:
            _DERIVED.clear()
        _DERIVED[key] = derive(model)
    return _DERIVED[key]
