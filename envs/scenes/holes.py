"""Holes into which a shape fits."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np

from eqrl.arrays import Bools, Floats
from eqrl.envs.scenes import polygons
from eqrl.envs.scenes.shapes import Shape, add_prism

DEPTH, BLOCK = 0.04, 0.1  # of the hole, and radius of its block, in tasks that put shapes into holes, m
_LARGEST_ANGLE = np.deg2rad(10.0)
_BOTTOM = 0.01  # thickness of the plate below, m


def add_hole(
    spec: mujoco.MjSpec, shape: Shape, clearance: float, depth: float, radius: float, name: str = "hole", **geom: Any
) -> None:
    """Add a round block with a hole, as a mocap body whose origin is the centre of the hole's bottom.

    Args:
        spec: the model.
        shape: what fits in.
        clearance: between the walls and a shape in the middle, m.
        depth: of the hole, which is open towards +z, m.
        radius: of the block, m.
        name: of the body.
        geom: further attributes of its geoms.

    Raises:
        ValueError: if the block is too small for the shape.
    """
    if radius <= shape.radius + 2 * clearance:
        raise ValueError(
            f"a shape of radius {shape.radius:g} m with a clearance of {clearance:g} m does not fit into a block of"
            f" radius {radius:g} m; give a smaller clearance"
        )
    body = spec.worldbody.add_body(name=name, mocap=True)
    walls = polygons.surroundings(polygons.checked(polygons.widened(shape.outline, clearance)), radius)
    for k, polygon in enumerate(walls):
        add_prism(spec, body, f"{name} wall {k}", polygon, (0.0, depth), **geom)
    cylinder = mujoco.mjtGeom.mjGEOM_CYLINDER
    body.add_geom(type=cylinder, pos=[0, 0, -0.5 * _BOTTOM], size=[radius, 0.5 * _BOTTOM, 0], **geom)


def is_seated(aside: Floats, above: Floats, angle: Floats, clearance: float) -> Bools:
    """Whether shapes sit in their holes as they shall.

    To 75 % of the depth, less than two clearances and 2 mm off sideways, and less than 10 degrees off their angle: wide
    holes let some shapes turn further, and a goal of hindsight has no walls.

    Args:
        aside: distances from where they shall be, sideways, ``(*batch,)``, m.
        above: distances along the hole's axis, likewise.
        angle: from the pose that they shall have, up to their own symmetries, ``(*batch,)``, rad.
        clearance: between the walls and a shape in the middle, m.
    """
    seated: Bools = (above < 0.25 * DEPTH) & (aside < 2 * clearance + 0.002) & (angle < _LARGEST_ANGLE)
    return seated
