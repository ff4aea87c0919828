"""Parts that the models of several tasks share: floor and light, end effectors, shapes, ropes."""

from eqrl.envs.scenes.effectors import add_effector, velocity_command
from eqrl.envs.scenes.floor import add_camera, add_floor, look_at, new_spec
from eqrl.envs.scenes.goals import angle_between, distance, dot, flat_direction, in_ball
from eqrl.envs.scenes.holes import add_hole
from eqrl.envs.scenes.rope import add_rope, bead_names
from eqrl.envs.scenes.shapes import SHAPES, SPLITS, Shape, polygon_shape, shape_of

__all__ = [
    "SHAPES",
    "SPLITS",
    "Shape",
    "add_camera",
    "add_effector",
    "add_floor",
    "add_hole",
    "add_rope",
    "angle_between",
    "bead_names",
    "distance",
    "dot",
    "flat_direction",
    "in_ball",
    "look_at",
    "new_spec",
    "polygon_shape",
    "shape_of",
    "velocity_command",
]
