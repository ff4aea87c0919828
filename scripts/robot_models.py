"""What the models of real robots say about their symmetry, and how fast they step."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np

from eqrl.envs import ENVIRONMENTS, task_class
from eqrl.envs.core import Simulation, Task
from eqrl.envs.robots import RobotWarning, derivation_of, images_of_joints, load

_SIMULATIONS, _STEPS = 16, 100
_VELOCITY = task_class(ENVIRONMENTS["eqrl/Velocity-v0"].task)


def describe_models(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """For each robot: its derived groups, near misses, what was changed, its exchange of limbs, and its speed."""
    return {name: _describe(name) for name in names}


def _describe(name: str) -> dict[str, Any]:
    published = load(name)
    derivation = derivation_of(published.spec.compile())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RobotWarning)
        task = _VELOCITY(robot=name, symmetrise=True, contacts="feet", timestep=0.005)
        with_all = _VELOCITY(robot=name, symmetrise=True)
    model = task.model
    return {
        "joints": model.njnt - 1,
        "servos": model.nu,
        "mass": float(model.body_subtreemass[1]),
        "standing_height": published.standing_height,
        "group": derivation.group().name,
        "near_misses": {miss.name: [str(d) for d in miss.discrepancies] for miss in derivation.near_misses},
        "symmetrised": _mirror(with_all),
        "symmetrised_feet": _mirror(task),
        "remarks": list(task.runner.remarks),
        "images": dict(images_of_joints(model, task.limbs)),
        "steps_per_second": _speed(task),
    }


def _mirror(task: Task) -> str:
    return task.group.finite[0].name if task.group.finite else "none"


def _speed(task: Task) -> float:
    """Control steps a second of processor time, on one thread, of random actions."""
    simulation = Simulation(task, _SIMULATIONS, 1, on_divergence="reset")
    simulation.seed(range(_SIMULATIONS))
    simulation.reset()
    rng = np.random.default_rng(0)
    actions = rng.uniform(-1.0, 1.0, (_STEPS, _SIMULATIONS, *task.action_space.shape))
    start = time.process_time()
    for action in actions:
        fallen = np.flatnonzero(simulation.step(action).terminated)
        if len(fallen):
            simulation.reset(fallen)
    return round(_SIMULATIONS * _STEPS / (time.process_time() - start), 1)
