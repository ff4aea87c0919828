"""Push: an end effector pushes a flat object on a table to a goal pose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from eqrl.arrays import Floats
from eqrl.envs.core import Outcome, World, angle, choice, lengths, number, sector
from eqrl.envs.core.coordinates import Reflection
from eqrl.envs.manipulation.shaped import Shaped, joined, upright_axes
from eqrl.envs.scenes.effectors import add_effector, velocity_command
from eqrl.envs.scenes.floor import add_camera, add_floor, new_spec
from eqrl.envs.scenes.goals import angle_between, distance, dot, flat_direction
from eqrl.envs.scenes.hindsight import from_info, steps_left, with_terms
from eqrl.symmetry import O2, SO2, Element, Field, Group
from eqrl.symmetry.quaternions import yaw_quaternion

_HALF_HEIGHT = 0.02
_EPISODE, _LATE = 100, 5  # steps of an episode, and how many of them count more in the published reward
_TABLE, _OBJECT, _EFFECTOR = 1, 2, 4  # contact bits: the effector touches the object only


def _planar(name: str, unit: str, description: str, role: Any = "", over: str | None = None) -> Field:
    return Field(name, "1x1o", over, horizontal=True, role=role, unit=unit, description=description)


class Push(Shaped):
    """An end effector pushes a flat object on a table to a goal pose.

    ## Description
    A sphere that moves in the plane, driven by its velocity, pushes an object (a T by default) that slides on a table
    with friction. The symmetry group is O(2) about gravity for shapes that are their own mirror image (T, bar, plus),
    SO(2) for the others. Goal environment with a dict observation, ready for hindsight experience replay.

    With `view="pose"` a policy sees the pose of the object and of the goal. With `view="points"` it sees points on both
    outlines, so that one policy can push any shape; the group is SO(2) then, and networks on tokens may honour mirrors
    too. Several shapes (`shape=[...]`, `split`) make a fleet with `view="points"`.

    ## Rewards
    The pose is reached within `success_distance` and `success_angle`, the angle modulo the shape's own symmetry.
    `"paper"` is the reward of Hoang et al. (HEPi, ICLR 2025), which depends on a clock that no observation shows.
    `compute_reward(achieved, desired, info)` gives the same for any goals; approach and clock come from `info`. That
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
    dims = 2
    radius = 0.0
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
    variables: tuple[Field, ...] = (_planar("goal_position", "m", ""), _planar("goal_direction", "", ""))
    rewards = {
        "pose": (
            '-1 until the pose is reached, then 0 (`"sparse"`); `1 if reached - 5 distance - 0.5 angle` (`"dense"`);'
            ' `-0.04 distance - 0.004 angle`, 10 times as much in the last 5 steps (`"paper"`)'
        ),
        "approach": (
            "`-approach_weight` times the effector's distance to the object's centre (`\"dense\"`, off by default);"
            ' -0.01 times it (`"paper"`)'
        ),
    }
    metrics = {"distance": "m", "angle": "rad", "effector_distance": "m", "steps_left": "of 100 steps"}

    reward_type = choice("sparse", "dense", "paper", description="reward")
    view = choice("pose", "points", description="what a policy sees of the object and of the goal")
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
        self.declare_shape()
        if self.view == "points":
            self.declare_points()
        elif not self.correspondence or self.slots or self.resolution != type(self).resolution.default:
            raise ValueError("correspondence, slots and resolution are of points; give view='points'")
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

    def declare_points(self) -> None:
        """What the policy sees and does where outlines are shown."""
        over = "effectors"
        _, _, *motion = type(self).observation["observation"]
        self.observation = {
            "observation": (
                _planar("direction", "", "of the object, a unit vector", role="heading"),
                self.position_field("effector", "position of the effector", over, role="position"),
                _planar("effector_velocity", "m/s", "velocity of the effector", over=over),
                *motion,
                *self.masks(),
            ),
            "achieved_goal": self.goal_fields("object", "points"),
            "desired_goal": self.goal_fields("goal", self.targets),
        }
        self.action = (_planar("velocity", "0.3 m/s", "velocity of the effector", over=over),)
        self.variables += (self.position_field("goal_points", "points of the goal", self.targets),)

    @classmethod
    def fleet(cls, arguments: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]] | None:
        """A member for each shape, all of which are shown by points."""
        members = super().fleet(arguments)
        if members is None:
            return None
        if (view := arguments.get("view", "points")) != "points":
            raise ValueError(f"view={view!r} hides which shape it is; several shapes need view='points'")
        return {name: {**own, "view": "points"} for name, own in members.items()}

    @property
    def group(self) -> Group:
        """O(2) for shapes that are their own mirror image."""
        return O2 if self._mirror else SO2

    @property
    def _mirror(self) -> bool:
        return self.view == "pose" and self.shape.mirror

    @property
    def reflections(self) -> dict[str, Reflection]:
        """The object's own axes follow a mirror of the world where its shape has one."""
        return {"object": (-1.0, 1.0, 1.0)} if self._mirror else {}

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
        if self.view == "points":
            axes = upright_axes(heading + turn)
            sim.variables.goal_points = self.shuffled(self.points_at(sim.variables.goal_position, axes), rng)

    def rotate_goal(self, sim: World, g: Element) -> None:
        """Turn the goal pose about the object."""
        centre, R = sim.bodies.object.position[:2], g.R.numpy()[:2, :2]
        sim.variables.goal_position = centre + R @ (sim.variables.goal_position - centre)
        sim.variables.goal_direction = R @ sim.variables.goal_direction
        if self.view == "points":
            sim.variables.goal_points[: self.resolution] = (
                centre + (sim.variables.goal_points[: self.resolution] - centre) @ R.T
            )

    def control(self, world: World, action: Floats) -> None:
        """Actions are velocities in units of 0.3 m/s, clipped to a disc of length 1."""
        world.data.ctrl[:] = velocity_command(action, world.positions.effector, speed=0.3, reach=0.5)

    def observe(self, world: World) -> dict[str, dict[str, Floats]]:
        """The effector, how it and the object move, and the object's pose and the goal's, or their points."""
        thing, effector = world.bodies.object, world.positions.effector
        points = self.view == "points"
        where = {"effector": effector if points else effector - thing.position[:, :2]}
        if points:
            where |= {"direction": flat_direction(thing.axes[:, 1]), **self.mask_values(len(effector))}
        keys = ("centre", "points") if points else ("position", "direction")
        return {
            "observation": {
                **where,
                "effector_velocity": world.velocities.effector,
                "object_velocity": thing.velocity[:, :2],
                "object_yaw_rate": dot(thing.axes[:, :, 2], thing.angular_velocity),
            },
            "achieved_goal": dict(zip(keys, self.achieved(world), strict=True)),
            "desired_goal": dict(zip(keys, self.desired(world), strict=True)),
        }

    def achieved(self, world: World) -> tuple[Floats, ...]:
        """Position and direction of the object, or centre and points."""
        thing = world.bodies.object
        position = thing.position[:, :2]
        if self.view == "points":
            return position, self.points_at(position, thing.axes)
        return position, flat_direction(thing.axes[:, 1])

    def desired(self, world: World) -> tuple[Floats, ...]:
        """The same of the goal."""
        goal = world.variables
        return goal.goal_position, goal.goal_points if self.view == "points" else goal.goal_direction

    def pose_error(self, achieved_goal: NDArray[Any], desired_goal: NDArray[Any]) -> tuple[Floats, Floats]:
        """Distance (m) and angle (rad) between goals ``(*batch, size)``, the angle modulo the shape's own symmetry."""
        if self.view == "points":
            turn = self.outline_angle(self.goal_parts(achieved_goal)[1], self.goal_parts(desired_goal)[1])
        else:
            turn = angle_between(achieved_goal[..., 2:], desired_goal[..., 2:], self.shape.order)
        return distance(achieved_goal[..., :2], desired_goal[..., :2]), turn

    def compute_reward(self, achieved_goal: NDArray[Any], desired_goal: NDArray[Any], info: Any) -> Any:
        """Reward of any achieved goals for any desired ones, for hindsight replay.

        Args:
            achieved_goal: shape ``(*batch, size)``.
            desired_goal: likewise.
            info: a dict, or one a pair, whose ``reward_approach`` is added where it has one, as the step's own info
                does.

        Returns:
            Rewards of shape ``(*batch,)``; a float for a single pair.
        """
        left = from_info(info, "steps_left", float(_EPISODE))
        reward = self._pose_reward(*self.pose_error(achieved_goal, desired_goal), left)
        return with_terms(reward, info, () if self.reward_type == "sparse" else ("reward_approach",))

    def _pose_reward(self, far: Floats, turn: Floats, left: Any) -> Any:
        solved = (far < self.success_distance) & (turn < self.success_angle)
        if self.reward_type == "sparse":
            return solved - 1.0
        if self.reward_type == "dense":
            return solved - 5.0 * far - 0.5 * turn
        return np.where(np.asarray(left) < _LATE, -8.0, -0.8) * self.dt * (far + 0.1 * turn)

    def evaluate(self, world: World, action: Floats) -> Outcome:
        """Reward from the pose error; but for the sparse form also from the effector's distance to the object."""
        far, turn = self.pose_error(joined(*self.achieved(world)), joined(*self.desired(world)))
        effector = distance(world.positions.effector, world.bodies.object.position[:, :2])
        left = steps_left(world, _EPISODE, self.dt)
        metrics = {"distance": far, "angle": turn, "effector_distance": effector, "steps_left": left}
        rewards = {"pose": self._pose_reward(far, turn, left)}
        if self.reward_type != "sparse":
            weight = self.approach_weight if self.reward_type == "dense" else 0.2 * self.dt
            rewards["approach"] = -weight * effector
        solved = (far < self.success_distance) & (turn < self.success_angle)
        return Outcome(rewards, solved, metrics=metrics)

    def draw_markers(self, scene: mujoco.MjvScene, sim: World) -> None:
        """The goal pose as a translucent shape."""
        self.shape.draw(scene, sim.variables.goal_position, sim.variables.goal_direction)
