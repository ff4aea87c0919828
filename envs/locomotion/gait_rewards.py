"""Rewards of walking as it is told: those of Legged Gym (Rudin et al., CoRL 2021), which most robots learn from.

Weights are the published ones, and terms are multiplied with the control step as there. Torques count relative to the
largest ones, so that robots of any size pay alike. A fall costs something, as in MuJoCo Playground: without that, a
policy that looks less than a second ahead lunges in the commanded direction.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from eqrl.arrays import Bools, Floats
from eqrl.envs.core import Argument
from eqrl.envs.locomotion.proprioception import Motion
from eqrl.errors import suggestion

WEIGHTS: Mapping[str, float] = {
    "linear": 1.0,
    "yaw": 0.5,
    "vertical": -2.0,
    "tilting": -0.05,
    "orientation": -1.0,
    "torque": -0.1,
    "acceleration": -2.5e-7,
    "change": -0.01,
    "air": 1.0,
    "fall": -1.0,
}
_WIDTH = 0.25  # of the errors, (m/s)^2 and (rad/s)^2
TERMS: Mapping[str, str] = {
    "linear": "`1.0 exp(-e^2 / 0.25) dt` of the error e of the velocity in the plane, m/s",
    "yaw": "`0.5 exp(-e^2 / 0.25) dt` of the error of the rate of turning, rad/s",
    "vertical": "`-2.0 v^2 dt` of the velocity along the trunk's up axis, m/s",
    "tilting": "`-0.05 |w|^2 dt` of the rates of roll and pitch, rad/s",
    "orientation": "`-1.0 |g|^2 dt` of the part of gravity's direction in the trunk's own plane",
    "torque": "`-0.1 sum(t^2) dt` of the servos' torques relative to their largest",
    "acceleration": "`-2.5e-7 sum(q''^2) dt` of the joints, rad/s^2",
    "change": "`-0.01 sum(d^2) dt` of the change d of the action",
    "air": "`1.0 sum(s - stride) dt` over feet that land after s seconds, unless the command is to stand",
    "floor": "what these lack to 0, so that no step pays less",
    "fall": "-1.0 for a fall",
}


def weights(description: str) -> Argument[Mapping[str, float]]:
    """An argument that overrides some of ``WEIGHTS``."""

    def read(name: str, value: Any) -> Mapping[str, float]:
        if value is not None and not isinstance(value, Mapping):
            raise ValueError(f"{name}={value!r} is no table; give for instance {name}={{'air': 0.5}}")
        for term, weight in (value or {}).items():
            if term not in WEIGHTS:
                raise ValueError(f"{name} names no reward term {term!r}; {suggestion(term, WEIGHTS)}")
            if isinstance(weight, bool) or not isinstance(weight, int | float) or not np.isfinite(weight):
                raise ValueError(f"{name}[{term!r}]={weight!r} must be a finite number")
        return {**WEIGHTS, **(value or {})}

    return Argument(None, read, description)


def gait_rewards(
    weights: Mapping[str, float],
    dt: float,
    *,
    errors: tuple[Floats, Floats],
    motion: Motion,
    torque: Floats,
    acceleration: Floats,
    change: Floats,
    air: Floats,
    fallen: Bools,
) -> dict[str, Floats]:
    """All terms, ``(n,)`` each.

    Args:
        weights: of the terms.
        dt: control step, s.
        errors: of the velocity in the plane and of the rate of turning, m/s and rad/s, ``(n,)``.
        motion: of the trunk.
        torque: relative to the largest, ``(n, servos)``.
        acceleration: of the joints, rad/s^2, ``(n, joints)``.
        change: of the action, ``(n, servos)``.
        air: seconds that landing feet were longer in the air than a stride, ``(n,)``.
        fallen: which robots fell, ``(n,)``.
    """
    error, yaw_error = errors
    spin, gravity = motion.spin, motion.gravity
    terms = {
        "linear": np.exp(-error * error / _WIDTH),
        "yaw": np.exp(-yaw_error * yaw_error / _WIDTH),
        "vertical": motion.velocity[:, 2] ** 2,
        "tilting": spin[:, 0] ** 2 + spin[:, 1] ** 2,
        "orientation": gravity[:, 0] ** 2 + gravity[:, 1] ** 2,
        "torque": (torque * torque).sum(axis=1),
        "acceleration": (acceleration * acceleration).sum(axis=1),
        "change": (change * change).sum(axis=1),
        "air": air,
    }
    paid = {name: weights[name] * dt * value for name, value in terms.items()}
    total = sum(paid.values())  # term by term, as the reward is added up, so that the floor is exactly 0
    return {**paid, "floor": np.maximum(-total, 0.0), "fall": weights["fall"] * fallen}
