"""Push: an end effector pushes a flat object on a table to a goal pose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from eqrl.arrays import Floats
from eqrl.envs.core import Outcome, Task, World, angle, choice, lengths, named, number, sector
from eqrl.envs.core.coordinates import Reflection
from eqrl.envs.scenes.effectors import add_effector, velocity_command
from eqrl.envs.scenes.floor import add_camera, add_floor, new_spec
from eqrl.envs.scenes.goals import angle_between, distance, dot, flat_direction
from eqrl.envs.scenes.shapes import SHAPES
from eqrl.symmetry import O2, SO2, Element, Field, Group
from eqrl.symmetry.quaternions import yaw_quaternion

_HALF_HEIGHT = 0.02
_TABLE, _OBJECT, _EFFECTOR = 1, 2, 4  # contact bits: the effector touches the object only


def _planar(name: str, unit: str, description: str, role: Any = "") -> Field:
    return Field(name, "1x1o", horizontal=True, role=role, unit=unit, description=description)


class Push(Task):
    """An end effector pushes a flat object on a table to a goal pose.

    ## Description
    A sphere that moves in the plane, driven by its velocity, pushes an object (a T by default) that slides on a table
    with friction. The symmetry group is O(2) about gravity for shapes that are their own mirror image (T, bar, plus),
    SO(2) for the L. Goal environment with a dict observation, ready for hindsight experience replay.

    ## Rewards
    The pose is reached within `success_distance` and `success_angle`, the angle modulo the shape's own symmetry.
    `compute_reward(achieved, desired, info)` gives the same for any goals; the approach term comes from `info`. That
    term is not for hindsight replay, which knows goals only: SB3's buffer hands empty infos to `compute_reward`.

    ## Starting state
    Object at the origin with a direction from `heading`; goal at a distance from `goal_distance` in a direction from
    `target_sector`, turned from the object by at most `goal_turn`; effector 0.12-0.16 m from the object, within 30
    degrees of the side opposite to the goal (`effector_start="behind"`) or on any side (`"around"`). Then the scene
    turns by
    `scene_rotation` degrees and the goal alone by `goal_rotation`.

    ## Episode end
    Never terminated; truncated after 100 steps (5 s).

    ## Version history
    * v0: first version.
    """

    frame_skip = 10
    main_body = "object"
    observation = {
        "observation": (
            _planar("effector", "m", "effector relative to the object"),
            _planar("effector_velocity", "m/s", "velocity of the effector"),
            _planar("object_velocity", "m/s", "velocity of the object"),
            Field("object_yaw_rate", "1x0o", unit="rad/s", description="yaw rate of the object"),
        ),
        "achieved_goal": (
            _planar("position", "m", "position of the object"),
            _planar("direction", "", "its direction, a unit vector", role="heading"),
        ),
        "desired_goal": (
            _planar("position", "m", "position of the goal", role="goal"),
            _planar("direction", "", "its direction, a unit vector"),
        ),
    }
    action = (_planar("velocity", "0.3 m/s", "velocity of the effector"),)
    variables = (_planar("goal_position", "m", ""), _planar("goal_direction", "", ""))
    rewards = {
        "pose": (
            '-1 until the pose is reached, then 0 (`"sparse"`); `1 if reached - 5 distance - 0.5 angle` (`"dense"`)'
        ),
        "approach": (
            "`-approach_weight` times the effector's distance to the object's centre (`\"dense\"` only, off by default)"
        ),
    }
    metrics = {"distance": "m", "angle": "rad", "effector_distance": "m"}

    reward_type = choice("sparse", "dense", description="reward")
    shape = named(SHAPES, "shape of the object")
    goal_distance = lengths((0.1, 0.2), "range of goal distances")
    goal_turn = angle(30.0, "the goal is turned from the object by at most this angle")
    target_sector = sector("directions of goals")
    heading = sector("initial directions of the object")
    effector_start = choice("behind", "around", description="where the effector starts")
    success_distance = number(0.03, "distance at which the pose is reached", "m")
    success_angle = angle(15.0, "angle at which the pose is reached")
    approach_weight = number(0.0, "weight of the term that draws the effector to the object")

    def build(self) -> mujoco.MjSpec:
        """The object and the effector on a table."""
        spec = new_spec(0.005, mujoco.mjtIntegrator.mjINT_IMPLICITFAST)
        stiff: dict[str, Any] = {"solref": [0.012, 1.0]}
        add_floor(spec, 0.4, check=0.1, contype=_TABLE, conaffinity=_OBJECT, **stiff)
        add_effector(
            spec, dims=2, radius=0.02, height=_HALF_HEIGHT, gain=20.0, mass=0.3,
            contype=_EFFECTOR, conaffinity=_OBJECT, friction=[0.5, 0.005, 0.0001], **stiff,
        )  # fmt: skip
        body = spec.worldbody.add_body(name="object", pos=[0, 0, _HALF_HEIGHT])
        body.add_freejoint(name="object")
        self.shape.add_to(
            spec, body, _HALF_HEIGHT, density=500.0, rgba=[0.24, 0.35, 0.52, 1],
            contype=_OBJECT, conaffinity=_TABLE | _EFFECTOR, friction=[0.4, 0.005, 0.0001], **stiff,
        )  # fmt: skip
        add_camera(spec, (0.0, -0.75, 0.75), (0.0, 0.0, 0.0), fovy=40)
        return spec

    @property
    def group(self) -> Group:
        """O(2) for shapes that are their own mirror image."""
        return O2 if self.shape.mirror else SO2

    @property
    def reflections(self) -> dict[str, Reflection]:
        """The object's own axes follow a mirror of the world where its shape has one."""
        return {"object": (-1.0, 1.0, 1.0)} if self.shape.mirror else {}

    def reset(self, sim: World, rng: np.random.Generator, options: Mapping[str, Any]) -> None:
        """Draw the object's heading, the goal pose, and where the effector starts."""
        heading, direction = rng.uniform(*options["heading"]), rng.uniform(*options["target_sector"])
        far, turn = rng.uniform(*self.goal_distance), rng.uniform(-self.goal_turn, self.goal_turn)
        spread = np.pi / 6 if self.effector_start == "behind" else np.pi
        side = direction + np.pi + rng.uniform(-spread, spread)
        sim.positions.effector = rng.uniform(0.12, 0.16) * np.array([np.cos(side), np.sin(side)])
        sim.bodies.object.position = (0.0, 0.0, _HALF_HEIGHT)
        sim.bodies.object.quaternion = yaw_quaternion(heading - np.pi / 2)  # the shape's direction is its +y axis
        sim.variables.goal_position = (far * np.cos(direction), far * np.sin(direction))
        sim.variables.goal_direction = (np.cos(heading + turn), np.sin(heading + turn))

    def rotate_goal(self, sim: World, g: Element) -> None:
        """Turn the goal pose about the object."""
        centre, R = sim.bodies.object.position[:2], g.R.numpy()[:2, :2]
        sim.variables.goal_position = centre + R @ (sim.variables.goal_position - centre)
        sim.variables.goal_direction = R @ sim.variables.goal_direction

    def control(self, world: World, action: Floats) -> None:
        """Actions are velocities in units of 0.3 m/s, clipped to a disc of length 1."""
        world.data.ctrl[:] = velocity_command(action, world.positions.effector, speed=0.3, reach=0.5)

    def observe(self, world: World) -> dict[str, dict[str, Floats]]:
        """The effector relative to the object, how both move, the object's pose and the goal's."""
        thing = world.bodies.object
        return {
            "observation": {
                "effector": world.positions.effector - thing.position[:, :2],
                "effector_velocity": world.velocities.effector,
                "object_velocity": thing.velocity[:, :2],
                "object_yaw_rate": dot(thing.axes[:, :, 2], thing.angular_velocity),
            },
            "achieved_goal": {"position": thing.position[:, :2], "direction": flat_direction(thing.axes[:, 1])},
            "desired_goal": {"position": world.variables.goal_position, "direction": world.variables.goal_direction},
        }

    def pose_error(self, achieved_goal: NDArray[Any], desired_goal: NDArray[Any]) -> tuple[Floats, Floats]:
        """Distance (m) and angle (rad) between poses ``(*batch, 4)``, the angle modulo the shape's own symmetry."""
        turn = angle_between(achieved_goal[..., 2:], desired_goal[..., 2:], self.shape.order)
        return distance(achieved_goal[..., :2], desired_goal[..., :2]), turn

    def compute_reward(self, achieved_goal: NDArray[Any], desired_goal: NDArray[Any], info: Any) -> Any:
        """Reward of any achieved goals for any desired ones, for hindsight replay.

        Args:
            achieved_goal: poses, shape ``(*batch, 4)``.
            desired_goal: likewise.
            info: a dict, or one a pair, whose ``reward_approach`` is added where it has one, as the step's own info
                does.

        Returns:
            Rewards of shape ``(*batch,)``; a float for a single pair.
        """
        far, turn = self.pose_error(achieved_goal, desired_goal)
        solved = (far < self.success_distance) & (turn < self.success_angle)
        reward = solved - 1.0 if self.reward_type == "sparse" else solved - 5.0 * far - 0.5 * turn
        if self.reward_type == "dense" and info is not None:
            infos = [info] if isinstance(info, dict) else info
            approach = np.array([i.get("reward_approach", 0.0) for i in infos])
            reward = reward + (approach[0] if isinstance(info, dict) else approach)
        return reward if reward.ndim else float(reward)

    def evaluate(self, world: World, action: Floats) -> Outcome:
        """Reward from the pose error; in the dense form also from the effector's distance to the object."""
        thing, goal = world.bodies.object, world.variables
        achieved = np.concatenate([thing.position[:, :2], flat_direction(thing.axes[:, 1])], axis=1).astype(np.float32)
        desired = np.concatenate([goal.goal_position, goal.goal_direction], axis=1).astype(np.float32)
        far, turn = self.pose_error(achieved, desired)
        effector = distance(world.positions.effector, thing.position[:, :2])
        rewards = {"pose": self.compute_reward(achieved, desired, None)}
        if self.reward_type == "dense":
            rewards["approach"] = -self.approach_weight * effector
        solved = (far < self.success_distance) & (turn < self.success_angle)
        return Outcome(rewards, solved, metrics={"distance": far, "angle": turn, "effector_distance": effector})

    def draw_markers(self, scene: mujoco.MjvScene, sim: World) -> None:
        """The goal pose as a translucent shape."""
        self.shape.draw(scene, sim.variables.goal_position, sim.variables.goal_direction)
