"""Noether's self-test of a model: where nothing pushes from outside, angular momentum is conserved.

Under rotations, with no external torque, the angular momentum of all free bodies about their common centre of mass
stays, whatever motors do inside and whatever ties free bodies to each other. Integrators conserve it only in the limit
of small steps, so the test is not that the change is zero but that it falls as ``dt^p`` with the order p of the
integrator. A change that does not fall is a torque from outside: a fluid, a spring or damper on the free joint, a
tendon to the world.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import mujoco
import numpy as np

from eqrl.arrays import Floats, Ints

_HOLD = 0.03  # seconds for which a control stays; all step sizes divide it
_FREE = int(mujoco.mjtJoint.mjJNT_FREE)
_SITE = int(mujoco.mjtObj.mjOBJ_SITE)
_TIES = [int(mujoco.mjtEq.mjEQ_CONNECT), int(mujoco.mjtEq.mjEQ_WELD)]
_FALLS = 0.5


@dataclass(frozen=True)
class Noether:
    """Relative change of angular momentum for some step sizes.

    Attributes:
        timesteps: seconds, falling, ``(n,)``.
        changes: ``|L(end) - L(start)|`` relative to the largest on the way, ``(n,)``.
        order: slope of the change in the step size, on logarithmic scales.
    """

    timesteps: tuple[float, ...]
    changes: tuple[float, ...]
    order: float

    @property
    def holds(self) -> bool:
        """Whether the change falls with the step size, at least as its square root, or is rounding already."""
        return self.order > _FALLS or max(self.changes) < 1e-9


def noether_test(
    model: mujoco.MjModel,
    *,
    timesteps: Sequence[float] = (0.003, 0.0015, 0.00075, 0.000375),
    duration: float = 0.6,
    integrator: mujoco.mjtIntegrator | None = None,
    seed: int = 0,
) -> Noether | None:
    """Throw a model into the air with random speeds and random controls; contacts, joint limits and internal ties off.

    Args:
        model: it is copied.
        timesteps: at least two step sizes in seconds, falling, each of which divides 0.03.
        duration: seconds, at least 0.03.
        integrator: by default the model's own.
        seed: of speeds and controls.

    Returns:
        What happens, or None for a model without a free body.

    Raises:
        ValueError: for step sizes that tell no order, or a duration in which nothing is simulated.
    """
    divide = all(dt > 0.0 and round(_HOLD / dt) >= 1 and np.isclose(round(_HOLD / dt) * dt, _HOLD) for dt in timesteps)
    if len(timesteps) < 2 or not divide or any(a <= b for a, b in pairwise(timesteps)):
        raise ValueError(f"timesteps={tuple(timesteps)}: give at least two that fall and divide {_HOLD:g} seconds")
    if not duration >= _HOLD:
        raise ValueError(f"duration={duration:g}: give at least {_HOLD:g} seconds")
    if not (model.jnt_type == _FREE).any():
        return None
    changes = [_change(model, dt, duration, integrator, seed) for dt in timesteps]
    slope = float(np.polyfit(np.log(timesteps), np.log(np.maximum(changes, 1e-300)), 1)[0])
    return Noether(tuple(timesteps), tuple(changes), slope)


def _change(
    model: mujoco.MjModel, dt: float, duration: float, integrator: mujoco.mjtIntegrator | None, seed: int
) -> float:
    model = copy.copy(model)
    model.opt.timestep = dt
    if integrator is not None:
        model.opt.integrator = integrator
    # impulses of contacts come from outside; those of limits do not, but their onset hides the order
    model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_CONTACT) | int(mujoco.mjtDisableBit.mjDSBL_LIMIT)
    roots = model.jnt_bodyid[model.jnt_type == _FREE]
    rng, data = np.random.default_rng(seed), mujoco.MjData(model)
    # ties are springs that pull at two points, and as long as these lie apart the forces are a torque
    data.eq_active[_internal_ties(model, roots)] = 0
    data.qvel[:] = rng.normal(size=model.nv)
    bounded = model.actuator_ctrllimited.astype(bool)
    low = np.where(bounded, model.actuator_ctrlrange[:, 0], -1.0)
    high = np.where(bounded, model.actuator_ctrlrange[:, 1], 1.0)
    start, largest = _momentum(model, data, roots), 0.0
    for _ in range(round(duration / _HOLD)):
        data.ctrl[:] = 0.3 * rng.uniform(low, high)
        for _ in range(round(_HOLD / dt)):
            mujoco.mj_step(model, data)
        largest = max(largest, float(np.linalg.norm(_momentum(model, data, roots))))
    end = _momentum(model, data, roots)
    return float(np.linalg.norm(end - start)) / max(largest, float(np.linalg.norm(start)), 1e-12)


def _internal_ties(model: mujoco.MjModel, roots: Ints) -> list[int]:
    """Places of the connections and welds between free bodies, or parts of one."""
    ties = np.flatnonzero(np.isin(model.eq_type, _TIES))
    ends = np.stack([model.eq_obj1id[ties], model.eq_obj2id[ties]], axis=1)
    of_sites = model.eq_objtype[ties] == _SITE
    ends[of_sites] = model.site_bodyid[ends[of_sites]]
    return [int(i) for i in ties[np.isin(model.body_rootid[ends], roots).all(axis=1)]]


def _momentum(model: mujoco.MjModel, data: mujoco.MjData, roots: Ints) -> Floats:
    """Angular momentum of some trees together about their common centre of mass, ``(3,)``."""
    mujoco.mj_forward(model, data)
    mujoco.mj_subtreeVel(model, data)
    mass, centre, speed = model.body_subtreemass[roots], data.subtree_com[roots], data.subtree_linvel[roots]
    arm = centre - np.average(centre, axis=0, weights=mass)
    return np.asarray((data.subtree_angmom[roots] + np.cross(arm, mass[:, None] * speed)).sum(axis=0))
