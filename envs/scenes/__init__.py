"""Parts that the models of several tasks share: floor and light, end effectors, shapes, ropes."""

from eqrl.envs.scenes.effectors import add_effector, velocity_command
from eqrl.envs.scenes.floor import add_camera, add_floor, look_at, new_spec
from eqrl.envs.scenes.goals import angle_between, distance, dot, flat_direction, in_ball
from eqrl.envs.scenes.gripper import add_gripper, gripper_command
from eqrl.envs.scenes.rope import add_rope, bead_names
from eqrl.envs.scenes.shapes import SHAPES, Shape

__all__ = [
    "SHAPES",
    "Shape",
    "add_camera",
    "add_effector",
    "add_floor",
    "add_gripper",
    "add_rope",
    "angle_between",
    "bead_names",
    "distance",
    "dot",
    "flat_direction",
    "gripper_command",
    "in_ball",
    "look_at",
    "new_spec",
    "velocity_command",
]
