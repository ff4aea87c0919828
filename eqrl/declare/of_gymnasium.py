"""Find the symmetry of one of Gymnasium's environments, in the form in which ``data/`` holds it.

``scripts/gymnasium_symmetries.py`` writes what this finds, and a test finds it again and compares.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium
import mujoco
import numpy as np

from eqrl.arrays import Floats
from eqrl.declare.layout import CannotTypeError, observation_matrix
from eqrl.declare.one_step import drift, try_motion
from eqrl.declare.ready_made import as_images, element_of, model_hash
from eqrl.declare.task import KeptSymmetries, candidates, keep, why_not
from eqrl.derivation import Symmetry
from eqrl.derivation.remembered import derivation_of
from eqrl.proof.declared.motion import Motion, motion_of, vector_motion
from eqrl.proof.declared.twins import MujocoTwin, VectorTwin, twin_of
from eqrl.proof.matching import match
from eqrl.proof.worlds import observe_at

MUJOCO = (
    "Ant-v5",
    "HalfCheetah-v5",
    "Hopper-v5",
    "Humanoid-v5",
    "HumanoidStandup-v5",
    "InvertedDoublePendulum-v5",
    "InvertedPendulum-v5",
    "Pusher-v5",
    "Reacher-v5",
    "Swimmer-v5",
    "Walker2d-v5",
)
CLASSIC = ("Acrobot-v1", "CartPole-v1", "MountainCar-v0", "MountainCarContinuous-v0", "Pendulum-v1")
# ids that share a class and differ in the time limit only
_SAME_CLASS = {"CartPole-v1": ("CartPole-v0", "CartPole-v1")}

# parts of the observations that no observation_structure describes, from their documentation
_FIELDS: Mapping[str, Mapping[str, int]] = {
    "InvertedDoublePendulum-v5": {"cart": 1, "sines": 2, "cosines": 2, "velocities": 3, "constraint force": 1},
    "Pusher-v5": {"joints": 7, "velocities": 7, "fingertip": 3, "object": 3, "goal": 3},
    "Reacher-v5": {"cosines": 2, "sines": 2, "target": 2, "velocities": 2, "fingertip to target": 2},
    "Acrobot-v1": {"first link": 2, "second link": 2, "velocities": 2},
    "CartPole-v1": {"cart": 2, "pole": 2},
    "MountainCar-v0": {"position": 1, "velocity": 1},
    "MountainCarContinuous-v0": {"position": 1, "velocity": 1},
    "Pendulum-v1": {"direction": 2, "velocity": 1},
}
_STATES = 64
_NEARLY_SAME = 0.02  # how far observations of approximate images may be off


def find_symmetries(name: str) -> dict[str, Any]:
    """What a data file holds: environment, model, fields, and the generators that hold exactly or approximately.

    Args:
        name: id of an environment of Gymnasium.
    """
    env = gymnasium.make(name)
    base: Any = env.unwrapped
    data: dict[str, Any] = {
        "environment": f"{type(base).__module__}:{type(base).__name__}",
        "ids": list(_SAME_CLASS.get(name, (name,))),
    }
    twin = twin_of(env)
    if isinstance(twin, MujocoTwin):
        path = Path(base.fullpath)
        data["model"] = {"file": path.name, "sha256": model_hash(path)}
    if name in _FIELDS:
        data["fields"] = dict(_FIELDS[name])
    data["generators"] = _of_model(twin) if isinstance(twin, MujocoTwin) else _of_vector(twin)  # type: ignore[arg-type]
    return data


def describe_model(name: str) -> dict[str, Any]:
    """What the model of an environment of Gymnasium alone has, and each generator's drift with elliptic friction cones.

    Args:
        name: id of one of ``MUJOCO``.
    """
    env = gymnasium.make(name)
    twin = MujocoTwin(env.unwrapped)
    started = time.perf_counter()
    derivation = derivation_of(twin.model)
    seconds = time.perf_counter() - started
    exact, nearly = kept_by_task(env)
    return {
        "seconds_to_derive": round(seconds, 3),
        "world": derivation.world.connected,
        "kinematic": {"group": derivation.group("kinematic").name, "order": derivation.order("kinematic")},
        "dynamic": {"group": derivation.group("dynamic").name, "order": derivation.order("dynamic")},
        "generators": [
            {
                "name": s.name,
                **dict(zip(("error_1", "error_10", "error_50"), elliptic_drift(twin, motion_of(s)), strict=True)),
            }
            for s in derivation.dynamic
        ],
        "task_order": exact.order,
        "near_misses": [
            {
                "name": m.name,
                "differs": [str(d) for d in m.discrepancies],
                **dict(
                    zip(("error_1", "error_10", "error_50"), elliptic_drift(twin, motion_of(m.symmetry)), strict=True)
                ),
                "task_keeps_it_approximately": not reason,
            }
            for m, (_, reason) in zip(derivation.near_misses, nearly, strict=True)
        ],
        "not_kept_by_task": [f"{n}: {r}" for n, r in exact.refused if "world turned" not in n],
    }


def kept_by_task(env: gymnasium.Env[Any, Any]) -> tuple[KeptSymmetries, list[tuple[Symmetry, str]]]:
    """What a task keeps of its model's symmetries exactly, and why it does not keep the near misses, if it does not.

    Returns:
        The exact part, and each near miss with an empty reason if it is kept approximately.
    """
    twin = MujocoTwin(env.unwrapped)
    derivation = derivation_of(twin.model)
    exact = keep(twin, candidates(derivation), _on_observations(twin, exact=True))
    nearly = [
        (m.symmetry, why_not(twin, m.symmetry, _on_observations(twin, exact=False), dynamics=False))
        for m in derivation.near_misses
    ]
    return exact, nearly


def _of_model(twin: MujocoTwin) -> list[dict[str, Any]]:
    derivation = derivation_of(twin.model)
    exact, nearly = kept_by_task(twin.env)
    entries = [_entry(twin, s, True, ()) for s in exact.generators]
    for miss, (symmetry, reason) in zip(derivation.near_misses, nearly, strict=True):
        if not reason:
            entries.append(_entry(twin, symmetry, False, tuple(str(d) for d in miss.discrepancies)))
    return entries


def _entry(twin: MujocoTwin, symmetry: Symmetry, exact: bool, differs: tuple[str, ...]) -> dict[str, Any]:
    element = element_of(symmetry)
    motion = motion_of(symmetry)
    if getattr(twin.env, "observation_structure", None) is None:
        matrix = _on_observations(twin, exact)(motion)
        assert matrix is not None
        element["observation"] = as_images(matrix)
    entry: dict[str, Any] = {"name": symmetry.name, "holds": "exactly" if exact else "approximately"}
    if differs:
        entry["differs"] = list(differs)
    return {**entry, "drift": [float(f"{x:.1e}") for x in elliptic_drift(twin, motion)], "element": element}


def elliptic_drift(twin: MujocoTwin, motion: Motion) -> list[float]:
    """Median difference of states after 1, 10 and 50 steps, with the friction cone that is round."""
    cone = int(twin.model.opt.cone)
    twin.model.opt.cone = int(mujoco.mjtCone.mjCONE_ELLIPTIC)
    try:
        return drift(twin, motion)
    finally:
        twin.model.opt.cone = cone


def _on_observations(twin: MujocoTwin, exact: bool) -> Any:
    if getattr(twin.env, "observation_structure", None) is not None:
        return lambda motion: observation_matrix(twin, motion)
    rng = np.random.default_rng(0)
    states = twin.spread(rng, _STATES)

    def matched(motion: Motion) -> Floats:
        before = np.stack([observe_at(twin, s) for s in states])
        after = np.stack([observe_at(twin, motion.state(s)) for s in states])
        explained = match(before, after) if exact else match(before, after, _NEARLY_SAME)
        if explained.unexplained:
            raise CannotTypeError(f"entries {list(explained.unexplained)} of the observation do not follow it")
        return explained.matrix

    return matched


# ------------------------------------------------------------------ no model: a vector of states
def _of_vector(twin: VectorTwin) -> list[dict[str, Any]]:
    """Try every change of signs of the state, with actions as they are and reversed."""
    rng = np.random.default_rng(0)
    states = twin.spread(rng, _STATES)
    before = np.stack([observe_at(twin, s) for s in states])
    entries: list[dict[str, Any]] = []
    for signs in itertools.product((1, -1), repeat=len(states[0].qpos)):
        for action in (1, -1):
            if action == 1 and min(signs) == 1:
                continue
            motion = sign_change(signs, action)
            explained = match(before, np.stack([observe_at(twin, motion.state(s)) for s in states]))
            if explained.unexplained or try_motion(twin, motion, explained.matrix, samples=64).broken():
                continue
            images = [int((i + 1) * s) for i, s in enumerate(signs)]
            element = {"state": images, "action": [action], "observation": as_images(explained.matrix)}
            steps = [float(f"{x:.1e}") for x in drift(twin, motion, steps=(1, 5, 10))]
            entries.append({"name": "mirror", "holds": "exactly", "drift": steps, "element": element})
    return entries


def sign_change(signs: tuple[int, ...], action: int) -> Motion:
    """A change of signs of a state vector, with actions as they are (1) or reversed (-1)."""
    return vector_motion("mirror", np.diag(np.array(signs, dtype=np.float64)), np.array([[float(action)]]))
