"""Pick and place: a gripper lifts an object to a goal in the air or on the table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from eqrl.arrays import Floats
from eqrl.envs.core import Outcome, Task, World, add_marker, choice, lengths, named, number, sector
from eqrl.envs.core.coordinates import Reflection
from eqrl.envs.scenes.floor import add_camera, add_floor, new_spec
from eqrl.envs.scenes.goals import distance
from eqrl.envs.scenes.gripper import FINGERS, OPENING, REFLECTION, add_gripper, gripper_command, half_turn
from eqrl.envs.scenes.hindsight import with_terms
from eqrl.symmetry import O2, Element, EntitySet, Field
from eqrl.symmetry.quaternions import yaw_quaternion

_HEIGHT = 0.15  # of the workspace's centre above the table, m
_TABLE, _OBJECT, _PAD = 1, 2, 4  # contact bits
# how deep an object at rest lies in the table, and fingers in what they hold, m; at 0 rounding decides about contacts
_SUNK, _SQUEEZED = 6e-5, 2e-4
_SHAPES = {"cube": (0.025, 0.025, 0.025), "bar": (0.02, 0.06, 0.02)}  # half lengths of a box, m; gripped across its x


class PickAndPlace(Task):
    """A gripper lifts an object to a goal in the air or on the table.

    ## Description
    A gripper with two fingers, on a free wrist that keeps it upright and is driven by its velocity, picks up an object
    (a cube by default) that lies on a table. The symmetry group is O(2) about gravity, and half a turn of the gripper,
    which exchanges its fingers. Goal environment with a dict observation, ready for hindsight experience replay.
    Positions are in the world's frame.

    ## Rewards
    The goal is reached within `success_distance`. `compute_reward(achieved, desired, info)` gives the same for any
    goals; the approach term comes from `info`. That term is not for hindsight replay, which knows goals only: SB3's
    buffer hands empty infos to `compute_reward`.

    ## Starting state
    Object at rest at the origin with a direction from `heading`; gripper open, turned by any angle, 0.05-0.15 m to any
    side of the object and 0.1-0.2 m above the table (`start="table"`). Or the object is between the fingers
    (`"hand"`): in half of the cases held there, in the other half on the table, with the fingers anywhere between
    closed and open. Or one of both by chance (`"mixed"`), which helps sparse rewards to be met. Goal at a horizontal
    distance from `goal_distance` in a direction from `target_sector`; with probability `air` it is in the air, at a
    height from `goal_height` above the object's place, otherwise on the table. Then the scene turns by
    `scene_rotation` degrees and the goal alone by `goal_rotation`.

    ## Episode end
    Never terminated; truncated after 30 steps (2.4 s).

    ## Version history
    * v0: first version.
    """

    frame_skip = 16
    main_body = "object"
    entities = (
        EntitySet("effectors", ("effector",)),
        EntitySet("fingers", ("finger",) * 2, exchangeable=True),
        EntitySet("objects", ("object",)),
    )
    members = {"fingers": FINGERS}
    group = O2.product(half_turn("fingers"))
    reflections: dict[str, Reflection] = {"gripper": REFLECTION, "object": (-1.0, 1.0, 1.0)}
    observation = {
        "observation": (
            Field("effector", "1x1o", "effectors", role="position", unit="m", description="gripper, between its tips"),
            Field("effector_velocity", "1x1o", "effectors", unit="m/s", description="its velocity"),
            Field("effector_yaw_rate", "1x0o", "effectors", unit="rad/s", description="its yaw rate"),
            Field("to_object", "1x1o", "effectors", unit="m", description="object relative to the gripper"),
            Field("fingers", "1x1o", "fingers", role="position", unit="m", description="tips of its fingers"),
            Field("finger_offset", "1x1o", "fingers", horizontal=True, unit="m", description="relative to the gripper"),
            Field("finger_speed", "1x0e", "fingers", unit="m/s", description="at which they open"),
            Field(
                "object_direction", "1x1o", "objects", role="heading", description="the object's y axis, a unit vector"
            ),
            Field("object_up", "1x1o", "objects", description="its z axis"),
            Field("object_velocity", "1x1o", "objects", unit="m/s", description="its velocity"),
            Field("object_angular_velocity", "1x1e", "objects", unit="rad/s", description="in the world's frame"),
        ),
        "achieved_goal": (
            Field("position", "1x1o", "objects", role="position", unit="m", description="position of the object"),
        ),
        "desired_goal": (Field("position", "1x1o", "objects", role="position", unit="m", description="the goal"),),
    }
    action = (
        Field("velocity", "1x1o", "effectors", unit="0.5 m/s", description="velocity of the gripper"),
        Field("yaw_rate", "1x0o", "effectors", unit="3 rad/s", description="its yaw rate"),
        Field("grip", "1x0e", "effectors", unit="0.2 m/s", description="speed at which each finger closes"),
    )
    variables = (Field("goal", "1x1o", unit="m"),)
    rewards = {
        "goal": '-1 until the goal is reached, then 0 (`"sparse"`); `1 if reached - 5 distance` (`"dense"`)',
        "approach": ("`-approach_weight` times the gripper's distance to the object's centre (`\"dense\"` only)"),
    }
    metrics = {"distance": "of the object from the goal, m", "effector_distance": "of the gripper from the object, m"}

    reward_type = choice("sparse", "dense", description="reward")
    shape = named(_SHAPES, "shape of the object")
    start = choice("table", "hand", "mixed", description="where the object starts")
    goal_distance = lengths((0.1, 0.2), "range of horizontal goal distances")
    goal_height = lengths((0.05, 0.2), "range of the heights of goals in the air")
    air = number(0.5, "probability that the goal is in the air", most=1.0)
    target_sector = sector("directions of goals")
    heading = sector("initial directions of the object")
    success_distance = number(0.05, "distance at which the goal is reached", "m")
    approach_weight = number(1.0, "weight of the term that draws the gripper to the object")

    def build(self) -> mujoco.MjSpec:
        """The object and the gripper on a table."""
        spec = new_spec(0.005, mujoco.mjtIntegrator.mjINT_IMPLICITFAST)
        spec.option.impratio = 10.0  # a held object creeps by 0.2 mm a second
        stiff: dict[str, Any] = {"solref": [0.01, 1.0]}
        add_floor(spec, 0.8, check=0.1, contype=_TABLE, conaffinity=_OBJECT | _PAD, **stiff)
        add_gripper(spec, _HEIGHT, contype=_PAD, conaffinity=_TABLE | _OBJECT, **stiff)
        body = spec.worldbody.add_body(name="object", pos=[0, 0, self.shape[2]])
        body.add_freejoint(name="object")
        body.add_geom(
            type=mujoco.mjtGeom.mjGEOM_BOX, size=self.shape, mass=0.05, rgba=[0.24, 0.35, 0.52, 1], condim=4,
            contype=_OBJECT, conaffinity=_TABLE | _PAD, friction=[0.8, 0.005, 0.0001], **stiff,
        )  # fmt: skip
        add_camera(spec, (0.0, -0.8, 0.6), (0.0, 0.0, 0.1), fovy=40)
        return spec

    def reset(self, sim: World, rng: np.random.Generator, options: Mapping[str, Any]) -> None:
        """Draw the goal, the object's direction, where the gripper is, and whether it holds the object."""
        rest = self.shape[2]
        heading, direction = rng.uniform(*options["heading"]), rng.uniform(*options["target_sector"])
        far, height = rng.uniform(*self.goal_distance), rng.uniform(*self.goal_height)
        above = height if rng.random() < self.air else 0.0
        sim.variables.goal = (far * np.cos(direction), far * np.sin(direction), rest + above)
        side, aside, up, yaw = rng.uniform((-np.pi, 0.05, 0.1, -np.pi), (np.pi, 0.15, 0.2, np.pi))
        between = rng.random() < {"table": 0.0, "hand": 1.0, "mixed": 0.5}[self.start]
        lies, opening = not between or rng.random() < 0.5, rng.uniform(self.shape[0], OPENING)
        place = np.array([aside * np.cos(side), aside * np.sin(side), up])
        lying = np.array([0.0, 0.0, rest - _SUNK])
        if between:
            heading = yaw + np.pi  # the fingers' axis is the gripper's y axis, and they hold the object across its x
        sim.positions.gripper = (lying if between and lies else place) - (0.0, 0.0, _HEIGHT)
        sim.positions.gripper_yaw = yaw
        sim.positions.fingers = OPENING if not between else opening if lies else self.shape[0] - _SQUEEZED
        sim.bodies.object.position = lying if lies else place
        sim.bodies.object.quaternion = yaw_quaternion(heading - np.pi / 2)

    def rotate_goal(self, sim: World, g: Element) -> None:
        """Turn the goal about the origin."""
        sim.variables.goal = g.R.numpy() @ sim.variables.goal

    def control(self, world: World, action: Floats) -> None:
        """Velocities of the gripper in units of 0.5 m/s, clipped to a ball of length 1; yaw rate and grip."""
        world.data.ctrl[:] = gripper_command(
            action, world.positions.gripper, speed=0.5, yaw_speed=3.0, grip_speed=0.2, reach=0.4
        )

    def observe(self, world: World) -> dict[str, dict[str, Floats]]:
        """Where the gripper, its fingers and the object are and how they move, and the goal."""
        gripper, thing = world.bodies.gripper.position, world.bodies.object
        tips = np.stack([world.bodies[name].position for name in FINGERS], axis=1)
        spin = thing.angular_velocity[:, 0:1] * thing.axes[:, 0]
        for axis in (1, 2):
            spin = spin + thing.angular_velocity[:, axis : axis + 1] * thing.axes[:, axis]
        return {
            "observation": {
                "effector": gripper,
                "effector_velocity": world.velocities.gripper,
                "effector_yaw_rate": world.velocities.gripper_yaw,
                "to_object": thing.position - gripper,
                "fingers": tips,
                "finger_offset": tips[..., :2] - gripper[:, None, :2],
                "finger_speed": world.velocities.fingers,
                "object_direction": thing.axes[:, 1],
                "object_up": thing.axes[:, 2],
                "object_velocity": thing.velocity,
                "object_angular_velocity": spin,
            },
            "achieved_goal": {"position": thing.position},
            "desired_goal": {"position": world.variables.goal},
        }

    def compute_reward(self, achieved_goal: NDArray[Any], desired_goal: NDArray[Any], info: Any) -> Any:
        """Reward of any achieved goals for any desired ones, for hindsight replay.

        Args:
            achieved_goal: positions, shape ``(*batch, 3)``, m.
            desired_goal: likewise.
            info: a dict, or one a pair, whose ``reward_approach`` is added where it has one, as the step's own info
                does.

        Returns:
            Rewards of shape ``(*batch,)``; a float for a single pair.
        """
        far = distance(achieved_goal, desired_goal)
        reached = far < self.success_distance
        reward = reached - 1.0 if self.reward_type == "sparse" else reached - 5.0 * far
        return with_terms(reward, info, ("reward_approach",) if self.reward_type == "dense" else ())

    def evaluate(self, world: World, action: Floats) -> Outcome:
        """Reward from the object's distance to the goal; in the dense form also from the gripper's to the object."""
        thing = world.bodies.object.position
        achieved, desired = thing.astype(np.float32), world.variables.goal.astype(np.float32)
        far, effector = distance(achieved, desired), distance(world.bodies.gripper.position, thing)
        rewards = {"goal": self.compute_reward(achieved, desired, None)}
        if self.reward_type == "dense":
            rewards["approach"] = -self.approach_weight * effector
        metrics = {"distance": far, "effector_distance": effector}
        return Outcome(rewards, far < self.success_distance, metrics=metrics)

    def draw_markers(self, scene: mujoco.MjvScene, sim: World) -> None:
        """The goal as a translucent red ball of the size of success."""
        add_marker(scene, sim.variables.goal, self.success_distance, (0.85, 0.2, 0.2, 0.5))
