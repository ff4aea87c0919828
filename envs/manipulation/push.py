"""Push: an end effector pushes a flat object on a table to a goal pose."""

from __future__ import annotations

from typing import Any, ClassVar

import mujoco
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from eqrl.envs.core.breaking import Breaking
from eqrl.envs.core.layout import Coordinates, FreeBody, StateLayout, yaw_quaternion
from eqrl.envs.core.task import Floats, Observation, Outcome, Task, World, check_in, check_range, check_sector, check_size
from eqrl.envs.forms.single import TaskEnv
from eqrl.envs.forms.vector import TaskVectorEnv
from eqrl.envs.scenes.effectors import add_effector, velocity_command
from eqrl.envs.scenes.floor import add_floor, look_at, new_spec
from eqrl.envs.scenes.shapes import SHAPES
from eqrl.symmetry import O2, SO2, Element, Field, Representation, TypedBox

_HALF_HEIGHT = 0.02
_EFFECTOR_RADIUS = 0.02
_TABLE, _OBJECT, _EFFECTOR = 1, 2, 4  # contact bits: the effector touches the object only


class Push(Task):
    """The task of :class:`PushEnv`, for a batch of simulations."""

    frame_skip: ClassVar[int] = 10
    derived: ClassVar[tuple[str, ...]] = ("xmat",)

    def __init__(
        self,
        reward_type: str = "sparse",
        shape: str = "T",
        goal_distance: tuple[float, float] = (0.1, 0.2),
        goal_turn: float = 30.0,
        target_sector: Any = "uniform",
        heading: Any = "uniform",
        effector_start: str = "behind",
        success_distance: float = 0.03,
        success_angle: float = 15.0,
        approach_weight: float = 0.0,
        breaking: str = "none",
        breaking_size: float = 0.0,
    ) -> None:
        self.reward_type = check_in("reward_type", reward_type, ("sparse", "dense"))
        self.shape = SHAPES[check_in("shape", shape, tuple(SHAPES))]
        self.effector_start = check_in("effector_start", effector_start, ("behind", "around"))
        self.goal_distance = check_range("goal_distance", goal_distance)
        self.goal_turn = float(np.deg2rad(check_size("goal_turn", goal_turn)))
        self.sectors = {
            "target_sector": check_sector("target_sector", target_sector),
            "heading": check_sector("heading", heading),
        }
        self.success_distance = check_size("success_distance", success_distance)
        self.success_angle = float(np.deg2rad(check_size("success_angle", success_angle)))
        self.approach_weight = check_size("approach_weight", approach_weight)
        self.breaking = Breaking(breaking, check_size("breaking_size", breaking_size))

        self.model = self._build().compile()
        self.breaking.apply_to_model(self.model)
        self._object = self.main_body = self.model.body("object").id
        self.group = O2 if self.shape.mirror else SO2
        reflection = (-1.0, 1.0, 1.0) if self.shape.mirror else None
        effector = Coordinates(Field("effector", "1x1o", horizontal=True), (0, 1), (0, 1))
        self.layout = StateLayout((FreeBody("object", 2, 2, reflection=reflection),), (effector,), (), self.group)
        self.variable_representation = Representation((Field("goal", "2x1o", horizontal=True),), (), self.group)
        self.observation_space = spaces.Dict(
            {
                "observation": self._typed(
                    Field("effector", "1x1o", horizontal=True),
                    Field("effector_velocity", "1x1o", horizontal=True),
                    Field("object_velocity", "1x1o", horizontal=True),
                    Field("object_yaw_rate", "1x0o"),
                ),
                "achieved_goal": self._typed(
                    Field("position", "1x1o", horizontal=True), Field("direction", "1x1o", horizontal=True, role="heading")
                ),
                "desired_goal": self._typed(
                    Field("position", "1x1o", horizontal=True, role="goal"), Field("direction", "1x1o", horizontal=True)
                ),
            }
        )
        self.action_space = TypedBox(Representation((Field("velocity", "1x1o", horizontal=True),), (), self.group), -1.0, 1.0)

    def options(self) -> tuple[str, ...]:
        """Reset options: sectors of goal directions and of the object's headings."""
        return ("target_sector", "heading")

    def reset(self, world: World, i: int, rng: np.random.Generator, options: dict[str, Any]) -> None:
        """Draw the object's heading, the goal pose, and where the effector starts."""
        sectors = {k: check_sector(k, options[k]) if k in options else v for k, v in self.sectors.items()}
        heading, direction = rng.uniform(*sectors["heading"]), rng.uniform(*sectors["target_sector"])
        distance, turn = rng.uniform(*self.goal_distance), rng.uniform(-self.goal_turn, self.goal_turn)
        spread = np.pi / 6 if self.effector_start == "behind" else np.pi
        side = direction + np.pi + rng.uniform(-spread, spread)
        world.qpos[i, :2] = rng.uniform(0.12, 0.16) * np.array([np.cos(side), np.sin(side)])
        world.qpos[i, 2:5] = (0.0, 0.0, _HALF_HEIGHT)
        world.qpos[i, 5:9] = yaw_quaternion(heading - np.pi / 2)  # the shape's direction is its +y axis
        goal = heading + turn
        world.variables[i] = (distance * np.cos(direction), distance * np.sin(direction), np.cos(goal), np.sin(goal))

    def rotate_goal(self, world: World, i: int, g: Element) -> None:
        """Turn the goal pose about the object."""
        origin = np.array([world.qpos[i, 2], world.qpos[i, 3], 0.0, 0.0])
        world.variables[i] = origin + self.variable_representation.transform(world.variables[i] - origin, g)

    def control(self, world: World, action: Floats) -> None:
        """Actions are velocities in units of 0.3 m/s, clipped to a disc of length 1."""
        world.ctrl[:] = velocity_command(action, world.qpos[:, :2], speed=0.3, reach=0.5)

    def observe(self, world: World) -> Observation:
        """Fill the observation table of :class:`PushEnv`."""
        achieved = self._achieved(world)
        observation = np.empty((len(achieved), 7), dtype=np.float32)
        observation[:, 0:2] = world.qpos[:, :2] - world.qpos[:, 2:4]
        observation[:, 2:4] = world.qvel[:, :2]
        observation[:, 4:6] = world.qvel[:, 2:4]
        # the third row of the pose takes the body's angular velocity to the world's vertical axis
        up = world.derived["xmat"][:, self._object, 6:9]
        w = world.qvel[:, 5:8]
        observation[:, 6] = up[:, 0] * w[:, 0] + up[:, 1] * w[:, 1] + up[:, 2] * w[:, 2]
        return {
            "observation": observation,
            "achieved_goal": achieved.astype(np.float32),
            "desired_goal": world.variables.astype(np.float32),
        }

    def pose_error(self, achieved_goal: NDArray[Any], desired_goal: NDArray[Any]) -> tuple[Floats, Floats]:
        """Distance (m) and angle (rad) between poses, the angle modulo the shape's own symmetry.

        Args:
            achieved_goal: position and direction, shape ``(*batch, 4)``.
            desired_goal: likewise.
        """
        a, d = achieved_goal.astype(np.float64), desired_goal.astype(np.float64)
        x, y = a[..., 0] - d[..., 0], a[..., 1] - d[..., 1]
        sine = d[..., 2] * a[..., 3] - d[..., 3] * a[..., 2]
        cosine = d[..., 2] * a[..., 2] + d[..., 3] * a[..., 3]
        period = 2 * np.pi / self.shape.order
        angle = np.arctan2(sine, cosine)
        return np.sqrt(x * x + y * y), np.abs(angle - period * np.round(angle / period))

    def compute_reward(self, achieved_goal: NDArray[Any], desired_goal: NDArray[Any], info: Any) -> Any:
        """Reward of any achieved goals for any desired ones, for hindsight replay.

        Args:
            achieved_goal: poses, shape ``(*batch, 4)``.
            desired_goal: likewise.
            info: a dict, or one a pair, whose ``reward_approach`` is added where it has one, as the step's own info does.

        Returns:
            Rewards of shape ``(*batch,)``; a float for a single pair.
        """
        distance, angle = self.pose_error(achieved_goal, desired_goal)
        solved = (distance < self.success_distance) & (angle < self.success_angle)
        reward = solved - 1.0 if self.reward_type == "sparse" else solved - 5.0 * distance - 0.5 * angle
        if self.reward_type == "dense" and info is not None:
            infos = [info] if isinstance(info, dict) else info
            approach = np.array([i.get("reward_approach", 0.0) for i in infos])
            reward = reward + (approach[0] if isinstance(info, dict) else approach)
        return reward if reward.ndim else float(reward)

    def evaluate(self, world: World, action: Floats) -> Outcome:
        """Reward from the pose error; in the dense form also from the effector's distance to the object."""
        achieved, desired = self._achieved(world).astype(np.float32), world.variables.astype(np.float32)
        distance, angle = self.pose_error(achieved, desired)
        rewards = {"pose": self.compute_reward(achieved, desired, None)}
        x, y = world.qpos[:, 0] - world.qpos[:, 2], world.qpos[:, 1] - world.qpos[:, 3]
        effector = np.sqrt(x * x + y * y)
        if self.reward_type == "dense":
            rewards["approach"] = -self.approach_weight * effector
        return Outcome(
            rewards,
            success=(distance < self.success_distance) & (angle < self.success_angle),
            terminated=np.zeros(len(distance), dtype=bool),
            metrics={"distance": distance, "angle": angle, "effector_distance": effector},
        )

    def draw_markers(self, scene: mujoco.MjvScene, world: World, i: int) -> None:
        """The goal pose as a translucent shape."""
        x, y, c, s = world.variables[i]
        turn = np.array([[s, c, 0.0], [-c, s, 0.0], [0.0, 0.0, 1.0]])  # the goal's +y axis is (c, s)
        for bx, by, w, d in self.shape.boxes:
            if scene.ngeom >= scene.maxgeom:
                return
            at = np.array([x, y, 0.004]) + turn @ np.array([bx, by, 0.0])
            mujoco.mjv_initGeom(
                scene.geoms[scene.ngeom], mujoco.mjtGeom.mjGEOM_BOX, np.array([w, d, 0.004]), at, turn.flatten(),
                np.array([0.2, 0.65, 0.35, 0.6], dtype=np.float32),
            )  # fmt: skip
            scene.ngeom += 1

    def _achieved(self, world: World) -> Floats:
        xmat = world.derived["xmat"][:, self._object]
        x, y = xmat[:, 1], xmat[:, 4]
        length = np.maximum(np.sqrt(x * x + y * y), 1e-9)
        return np.stack([world.qpos[:, 2], world.qpos[:, 3], x / length, y / length], axis=1)

    def _typed(self, *fields: Field) -> TypedBox:
        return TypedBox(Representation(fields, (), self.group))

    def _build(self) -> mujoco.MjSpec:
        spec = new_spec(0.005, mujoco.mjtIntegrator.mjINT_IMPLICITFAST)
        stiff = {"solref": [0.012, 1.0]}
        add_floor(spec, 0.4, check=0.1, contype=_TABLE, conaffinity=_OBJECT, **stiff)
        add_effector(
            spec, dims=2, radius=_EFFECTOR_RADIUS, height=_HALF_HEIGHT, gain=20.0, mass=0.3,
            contype=_EFFECTOR, conaffinity=_OBJECT, friction=[0.5, 0.005, 0.0001], **stiff,
        )  # fmt: skip
        body = spec.worldbody.add_body(name="object", pos=[0, 0, _HALF_HEIGHT])
        body.add_freejoint(name="object")
        for x, y, w, d in self.shape.boxes:
            body.add_geom(
                type=mujoco.mjtGeom.mjGEOM_BOX, pos=[x, y, 0], size=[w, d, _HALF_HEIGHT], density=500.0, rgba=[0.24, 0.35, 0.52, 1],
                contype=_OBJECT, conaffinity=_TABLE | _EFFECTOR, friction=[0.4, 0.005, 0.0001], **stiff,
            )  # fmt: skip
        eye = (0.0, -0.75, 0.75)
        spec.worldbody.add_camera(name="fixed", pos=eye, xyaxes=look_at(eye, (0.0, 0.0, 0.0)), fovy=40)
        return spec


class PushEnv(TaskEnv):
    """An end effector pushes a flat object on a table to a goal pose.

    ## Description
    A sphere that moves in the plane, driven by its velocity, pushes an object (a T by default) that slides on a table
    with friction. The symmetry group is O(2) about gravity for shapes that are their own mirror image (T, bar, plus),
    SO(2) for the L. Goal environment with a dict observation, ready for hindsight experience replay.

    ## Action space
    `TypedBox(-1, 1, (2,))`, sampled from and clipped to the unit disc.

    | num | action | field | irreps |
    |---|---|---|---|
    | 0-1 | velocity in units of 0.3 m/s | `velocity` | `1x1o`, horizontal |

    ## Observation space
    A dict of typed boxes, float32; vectors are horizontal.

    | key | num | observation | field | irreps | unit |
    |---|---|---|---|---|---|
    | `observation` | 0-1 | effector relative to the object | `effector` | `1x1o` | m |
    | | 2-3 | velocity of the effector | `effector_velocity` | `1x1o` | m/s |
    | | 4-5 | velocity of the object | `object_velocity` | `1x1o` | m/s |
    | | 6 | yaw rate of the object | `object_yaw_rate` | `1x0o` | rad/s |
    | `achieved_goal` | 0-1 | position of the object | `position` | `1x1o` | m |
    | | 2-3 | its direction, a unit vector | `direction` | `1x1o` | |
    | `desired_goal` | 0-3 | the same of the goal pose | | | |

    ## Rewards
    The sum of the terms, each in `info` as `reward_<term>`:
    - `pose`: -1 until the pose is reached, then 0 (`"sparse"`); `1 if reached - 5 distance - 0.5 angle` (`"dense"`);
    - `approach` (dense only, off by default): `-approach_weight` times the effector's distance to the object's centre.
      Not for hindsight replay, which knows goals only: SB3's buffer hands empty infos to `compute_reward`.

    The pose is reached within `success_distance` and `success_angle`, the angle modulo the shape's own symmetry.
    `compute_reward(achieved, desired, info)` gives the same for any goals; the approach term comes from `info`.
    `info` also has `is_success`, `distance` (m), `angle` (rad) and `effector_distance` (m).

    ## Starting state
    Object at the origin with a direction from `heading`; goal at a distance from `goal_distance` in a direction from
    `target_sector`, turned from the object by at most `goal_turn`; effector 0.12-0.16 m from the object, within 30 degrees
    of the side opposite to the goal (`effector_start="behind"`) or on any side (`"around"`). Then the scene turns by
    `scene_rotation` degrees and the goal alone by `goal_rotation`.
    `reset(options={...})` takes `target_sector`, `heading`, `scene_rotation` and `goal_rotation`.

    ## Episode end
    Never terminated; truncated after 100 steps (5 s).

    ## Arguments
    | name | default | meaning |
    |---|---|---|
    | `reward_type` | `"sparse"` | or `"dense"` |
    | `shape` | `"T"` | or `"L"`, `"bar"`, `"plus"` |
    | `goal_distance` | `(0.1, 0.2)` | m |
    | `goal_turn` | `30.0` | degrees |
    | `target_sector`, `heading` | `"uniform"` | sectors in degrees `(low, high)` |
    | `effector_start` | `"behind"` | or `"around"` |
    | `success_distance`, `success_angle` | `0.03`, `15.0` | m, degrees |
    | `approach_weight` | `0.0` | of the term that draws the effector to the object |
    | `scene_rotation`, `goal_rotation` | `0.0` | degrees |
    | `breaking`, `breaking_size` | `"none"`, `0.0` | `"gravity"`: tilt in rad; `"wind"`: force along +x in weights of the object |

    ## Version history
    * v0: first version.
    """

    task_class = Push


class PushVectorEnv(TaskVectorEnv):
    """The vector form of :class:`PushEnv`."""

    task_class = Push
