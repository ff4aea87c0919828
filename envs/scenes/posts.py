"""Posts and hangers: bars that stand wherever an episode wants them, as mocap bodies."""

from __future__ import annotations

import mujoco


def add_post(
    spec: mujoco.MjSpec, name: str, radius: float, half_length: float, height: float = 0.0, **geom: object
) -> None:
    """Add a round bar along its own z axis, whose pose is an input of the simulation.

    Args:
        spec: the model.
        name: of the body.
        radius: m.
        half_length: of the bar between its round caps, m.
        height: of its middle by default, m.
        geom: further attributes of the bar.
    """
    body = spec.worldbody.add_body(name=name, mocap=True, pos=[0, 0, height])
    body.add_geom(
        name=name, type=mujoco.mjtGeom.mjGEOM_CAPSULE, size=[radius, half_length, 0], rgba=[0.3, 0.3, 0.33, 1], **geom
    )
