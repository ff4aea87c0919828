"""A model whose solver and collider go on until nothing changes.

A symmetry belongs to the physics, not to where they stop.
"""

from __future__ import annotations

import copy

import mujoco
import numpy as np

_DISABLE, _ENABLE = mujoco.mjtDisableBit, mujoco.mjtEnableBit
_SMALL = 1e-14
_MANY = 500


def converged(model: mujoco.MjModel) -> mujoco.MjModel:
    """A copy that solves constraints and finds contacts to rounding, with one contact for each pair of convex shapes.

    The shapes of a convex pair determine its deepest point alone. Further points of flat faces are chosen among equals,
    by the order of vertices or by where the search began, and mirrored scenes get others.
    """
    twin = with_exact_solver(model)
    option = twin.opt
    option.ccd_tolerance = min(option.ccd_tolerance, _SMALL)
    option.ccd_iterations = max(option.ccd_iterations, _MANY)
    option.sdf_iterations = max(option.sdf_iterations, _MANY)
    option.disableflags &= ~int(_DISABLE.mjDSBL_NATIVECCD)  # the older collider does not converge
    option.disableflags |= int(_DISABLE.mjDSBL_MULTICCD)
    twin.mesh_polynum[:] = 0  # without faces, a mesh on a plane touches it with its deepest vertex only
    return twin


def with_exact_solver(model: mujoco.MjModel) -> mujoco.MjModel:
    """A copy whose solver goes on until nothing changes.

    Where a solver stops early, above all PGS, which takes the constraints in their order, two mirrored scenes differ by
    what is left to do: 1e-6 in the first step of Gymnasium's Humanoid with its patched joints. The no-slip pass is left
    out, for it takes the constraints in their order too and has many fixed points. Bodies do not fall asleep: MuJoCo
    decides this axis by axis.
    """
    twin = copy.copy(model)
    option = twin.opt
    option.solver = mujoco.mjtSolver.mjSOL_NEWTON
    option.tolerance = min(option.tolerance, _SMALL)
    option.iterations = max(option.iterations, _MANY)
    option.ls_tolerance = min(option.ls_tolerance, 1e-6)
    option.ls_iterations = max(option.ls_iterations, 200)
    option.enableflags &= ~int(_ENABLE.mjENBL_SLEEP)
    option.noslip_iterations = 0
    return twin


def described_otherwise(model: mujoco.MjModel, rng: np.random.Generator) -> mujoco.MjModel:
    """A copy whose contacts are as good: cylinders are rolled about their axes, and the collider stops elsewhere.

    Under a cylinder that stands upright MuJoCo chooses contact points by where its first axis points. Between curved
    shapes a tolerance on the depth leaves the normal open to the root of that, 1e-7: which normal it is can depend on
    the last bit of a turned state, though not on that of a nudged one. The tolerance is changed up to tenfold, so that
    the difference says how large the collider's own error is.
    """
    twin = copy.copy(model)
    twin.opt.ccd_tolerance *= 10.0 ** rng.uniform(-1.0, 1.0)
    for g in np.flatnonzero(model.geom_type == int(mujoco.mjtGeom.mjGEOM_CYLINDER)):
        half, rolled = rng.uniform(0.0, np.pi), np.empty(4)
        mujoco.mju_mulQuat(rolled, model.geom_quat[g], np.array([np.cos(half), 0.0, 0.0, np.sin(half)]))
        twin.geom_quat[g] = rolled
        twin.geom_sameframe[g] = int(mujoco.mjtSameFrame.mjSAMEFRAME_NONE)  # its orientation is looked at
    return twin
