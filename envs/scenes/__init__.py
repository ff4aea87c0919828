"""Parts that the models of several tasks share: floor and light, end effectors, shapes, ropes, cloth, posts."""

from eqrl.envs.scenes.chain import Chain
from eqrl.envs.scenes.cloth import Cloth, crossings, piercings, ring_normal
from eqrl.envs.scenes.curves import curve
from eqrl.envs.scenes.effectors import add_effector, velocity_command
from eqrl.envs.scenes.floor import add_camera, add_floor, look_at, new_spec
from eqrl.envs.scenes.goals import angle_between, distance, dot, flat_direction, in_ball, length, total
from eqrl.envs.scenes.gripper import add_gripper, gripper_command
from eqrl.envs.scenes.hindsight import with_terms
from eqrl.envs.scenes.holes import add_hole
from eqrl.envs.scenes.posts import add_post
from eqrl.envs.scenes.rope import add_rope, bead_names
from eqrl.envs.scenes.shapes import SHAPES, SPLITS, Shape, polygon_shape, shape_of
from eqrl.envs.scenes.winding import turns

__all__ = [
    "SHAPES",
    "SPLITS",
    "Chain",
    "Cloth",
    "Shape",
    "add_camera",
    "add_effector",
    "add_floor",
    "add_gripper",
    "add_hole",
    "add_post",
    "add_rope",
    "angle_between",
    "bead_names",
    "crossings",
    "curve",
    "distance",
    "dot",
    "flat_direction",
    "gripper_command",
    "in_ball",
    "length",
    "look_at",
    "new_spec",
    "piercings",
    "polygon_shape",
    "ring_normal",
    "shape_of",
    "total",
    "turns",
    "velocity_command",
    "with_terms",
]
