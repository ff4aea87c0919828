"""Robots that are mirror images of each other, and one put where the other's mirror image is."""

from __future__ import annotations

import mujoco

from eqrl.envs.core.simulation import Simulation

# humanoids that have lost the right or the left of two like limbs; the first of each pair is held out of training
TWINS = (("humanoid_7_left_leg", "humanoid_7_right_leg"), ("humanoid_8_right_knee", "humanoid_8_left_knee"))
_POLAR, _AXIAL = (1.0, -1.0, 1.0), (-1.0, 1.0, -1.0)


def images(of: Simulation, among: Simulation) -> list[int]:
    """For each limb of one robot, the limb of its twin whose mirror image it is."""
    swapped = [n.replace("left", "?").replace("right", "left").replace("?", "right") for n in of.task.limbs.names]
    return [among.task.limbs.names.index(name) for name in swapped]


def mirror_into(original: Simulation, twin: Simulation) -> None:
    """Put a simulation of the twin where the mirror image of the original is, in the plane y = 0."""
    order = images(twin, original)
    a, b = original.task.limbs, twin.task.limbs
    source, goal = original.world.data, twin.world.data
    goal.qpos[:, :7] = source.qpos[:, :7] * (*_POLAR, 1, -1, 1, -1)
    # the velocity of a free joint is in the world, its angular velocity in the body
    goal.qvel[:, :6] = source.qvel[:, :6] * (*_POLAR, *_AXIAL)
    for i, image in enumerate(order):
        for slot, (there, here) in enumerate(zip(a.joints[image], b.joints[i], strict=True)):
            assert (there < 0) == (here < 0)
            if here >= 0:
                sign = a.signs[image, slot] * b.signs[i, slot] * (-1.0 if slot < a.odd else 1.0)
                _copy(original.task.model, twin.task.model, source, goal, there, here, sign)
    for name in ("target", "position", "heading"):
        getattr(twin.world.variables, name)[:] = getattr(original.world.variables, name) * _POLAR
    twin.batch.forward(stage=mujoco.mjtStage.mjSTAGE_VEL)


def _copy(a, b, source, goal, there, here, sign):
    goal.qpos[:, b.jnt_qposadr[here]] = sign * source.qpos[:, a.jnt_qposadr[there]]
    goal.qvel[:, b.jnt_dofadr[here]] = sign * source.qvel[:, a.jnt_dofadr[there]]
