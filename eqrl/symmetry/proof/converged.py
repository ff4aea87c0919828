"""A model whose solver and collider go on until nothing changes: a symmetry belongs to the physics, not to where they stop."""

from __future__ import annotations

import copy

import mujoco

_DISABLE, _ENABLE = mujoco.mjtDisableBit, mujoco.mjtEnableBit
_SMALL = 1e-14
_MANY = 500


def converged(model: mujoco.MjModel) -> mujoco.MjModel:
    """A copy that solves constraints and finds contacts to rounding, with one contact for each pair of convex shapes.

    Of a pair of convex shapes only the deepest point is fixed by the shapes. Further points of flat faces are chosen among
    equals, by the order of vertices or by where the search began, and mirrored scenes get others.
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

    Where a solver stops early, above all PGS, which takes the constraints in their order, two mirrored scenes differ by what
    is left to do: 1e-6 in the first step of Gymnasium's Humanoid with its patched joints. Bodies do not fall asleep either:
    MuJoCo decides this axis by axis.
    """
    twin = copy.copy(model)
    option = twin.opt
    option.solver = mujoco.mjtSolver.mjSOL_NEWTON
    option.tolerance = min(option.tolerance, _SMALL)
    option.iterations = max(option.iterations, _MANY)
    option.ls_tolerance = min(option.ls_tolerance, 1e-6)
    option.ls_iterations = max(option.ls_iterations, 200)
    option.enableflags &= ~int(_ENABLE.mjENBL_SLEEP)
    if option.noslip_iterations:
        option.noslip_tolerance = min(option.noslip_tolerance, _SMALL)
        option.noslip_iterations = max(option.noslip_iterations, _MANY)
    return twin
