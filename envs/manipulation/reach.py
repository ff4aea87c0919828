"""Reach: a free end effector in space moves to a point."""

from __future__ import annotations

from typing import Any, ClassVar

import mujoco
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from eqrl.envs.core.breaking import Breaking
from eqrl.envs.core.layout import Coordinates, StateLayout
from eqrl.envs.core.rendering import marker
from eqrl.envs.core.task import Floats, Observation, Outcome, Task, World, check_in, check_sector, check_size
from eqrl.envs.forms.single import TaskEnv
from eqrl.envs.forms.vector import TaskVectorEnv
from eqrl.envs.scenes.effectors import add_effector, velocity_command
from eqrl.envs.scenes.floor import add_floor, look_at, new_spec
from eqrl.symmetry import O3, Element, Field, Representation, TypedBox

_CENTRE = np.array([0.0, 0.0, 0.6])  # of the workspace, above the floor that is only drawn


class Reach(Task):
    """The task of :class:`ReachEnv`, for a batch of simulations."""

    frame_skip: ClassVar[int] = 4

    def __init__(
        self,
        reward_type: str = "sparse",
        goal_radius: float = 0.3,
        start_radius: float = 0.15,
        target_sector: Any = "uniform",
        success_radius: float = 0.05,
        breaking: str = "none",
        breaking_size: float = 0.0,
    ) -> None:
        self.reward_type = check_in("reward_type", reward_type, ("sparse", "dense"))
        self.goal_radius, self.start_radius = check_size("goal_radius", goal_radius), check_size("start_radius", start_radius)
        self.success_radius = check_size("success_radius", success_radius)
        self.sector = check_sector("target_sector", target_sector)
        self.breaking = Breaking(breaking, check_size("breaking_size", breaking_size))
        spec = new_spec(0.01, mujoco.mjtIntegrator.mjINT_IMPLICITFAST, shadow_clip=6.0)
        add_floor(spec, 1.0, check=0.25, contype=0, conaffinity=0)
        add_effector(spec, dims=3, radius=0.03, height=float(_CENTRE[2]), gain=20.0, mass=0.5, contype=0, conaffinity=0)
        eye = (0.0, -1.5, 1.1)
        spec.worldbody.add_camera(name="fixed", pos=eye, xyaxes=look_at(eye, (0.0, 0.0, 0.55)), fovy=45)
        self.model = spec.compile()
        if breaking != "gravity":
            self.model.body_gravcomp[:] = 1.0
        else:
            # the tilt pulls sideways on an effector that is compensated for upright gravity only
            self.model.body_gravcomp[:] = 0.0
            self.model.opt.gravity[:] = 9.81 * np.array([np.sin(breaking_size), 0.0, 1.0 - np.cos(breaking_size)])
        self.main_body = self.model.body("effector").id
        self.group = O3
        point = Field("effector", "1x1o")
        self.layout = StateLayout((), (Coordinates(point, (0, 1, 2), (0, 1, 2)),), (), O3)
        self.variable_representation = Representation((Field("goal", "1x1o"),), (), O3)
        self.observation_space = spaces.Dict(
            {
                "observation": TypedBox(Representation((Field("velocity", "1x1o"),), (), O3)),
                "achieved_goal": TypedBox(Representation((Field("position", "1x1o"),), (), O3)),
                "desired_goal": TypedBox(Representation((Field("position", "1x1o", role="goal"),), (), O3)),
            }
        )
        self.action_space = TypedBox(Representation((Field("velocity", "1x1o"),), (), O3), -1.0, 1.0)

    def options(self) -> tuple[str, ...]:
        """Reset options: the sector of goal directions."""
        return ("target_sector",)

    def reset(self, world: World, i: int, rng: np.random.Generator, options: dict[str, Any]) -> None:
        """Draw start and goal, each uniformly from a ball; the goal's azimuth lies in the sector."""
        sector = check_sector("target_sector", options["target_sector"]) if "target_sector" in options else self.sector
        world.qpos[i] = _in_ball(rng, self.start_radius, (-np.pi, np.pi))
        world.variables[i] = _in_ball(rng, self.goal_radius, sector)

    def rotate_goal(self, world: World, i: int, g: Element) -> None:
        """Turn the goal about the centre of the workspace."""
        world.variables[i] = g.R.numpy() @ world.variables[i]

    def control(self, world: World, action: Floats) -> None:
        """Actions are velocities in units of 0.5 m/s, clipped to a ball of length 1."""
        world.ctrl[:] = velocity_command(action, world.qpos, speed=0.5, reach=0.6)

    def observe(self, world: World) -> Observation:
        """Fill the observation table of :class:`ReachEnv`."""
        return {
            "observation": world.qvel.astype(np.float32),
            "achieved_goal": world.qpos.astype(np.float32),
            "desired_goal": world.variables.astype(np.float32),
        }

    def compute_reward(self, achieved_goal: NDArray[Any], desired_goal: NDArray[Any], info: Any) -> Any:
        """Reward of any achieved goals for any desired ones, for hindsight replay.

        Args:
            achieved_goal: positions, shape ``(*batch, 3)``, m.
            desired_goal: likewise.
            info: ignored.

        Returns:
            Rewards of shape ``(*batch,)``; a float for a single pair.
        """
        distance = _distance(achieved_goal, desired_goal)
        reward: Any = -distance if self.reward_type == "dense" else -(distance >= self.success_radius).astype(np.float64)
        return reward if reward.ndim else float(reward)

    def evaluate(self, world: World, action: Floats) -> Outcome:
        """Reward from the distance to the goal."""
        achieved, desired = world.qpos.astype(np.float32), world.variables.astype(np.float32)
        distance = _distance(achieved, desired)
        return Outcome(
            {"distance": self.compute_reward(achieved, desired, {})},
            success=distance < self.success_radius,
            terminated=np.zeros(len(distance), dtype=bool),
            metrics={"distance": distance},
        )

    def draw_markers(self, scene: mujoco.MjvScene, world: World, i: int) -> None:
        """The goal as a translucent red ball of the size of success."""
        marker(scene, world.variables[i] + _CENTRE, self.success_radius, (0.85, 0.2, 0.2, 0.5))


def _in_ball(rng: np.random.Generator, radius: float, sector: tuple[float, float]) -> Floats:
    azimuth, height, length = rng.uniform(*sector), rng.uniform(-1.0, 1.0), radius * rng.random() ** (1 / 3)
    flat = np.sqrt(1.0 - height * height)
    point: Floats = length * np.array([flat * np.cos(azimuth), flat * np.sin(azimuth), height])
    return point


def _distance(a: NDArray[Any], b: NDArray[Any]) -> Floats:
    offset = a.astype(np.float64) - b.astype(np.float64)
    x, y, z = offset[..., 0], offset[..., 1], offset[..., 2]
    length: Floats = np.sqrt(x * x + y * y + z * z)
    return length


class ReachEnv(TaskEnv):
    """A free end effector in space, driven by its velocity, moves to a point.

    ## Description
    The effector floats (its weight is compensated), so the symmetry group is O(3): all rotations and mirrors about the
    centre of the workspace. Goal environment with a dict observation, ready for hindsight experience replay.

    ## Action space
    `TypedBox(-1, 1, (3,))`, sampled from and clipped to the unit ball.

    | num | action | field | irreps |
    |---|---|---|---|
    | 0-2 | velocity in units of 0.5 m/s | `velocity` | `1x1o` |

    ## Observation space
    A dict of typed boxes, float32; positions are relative to the workspace's centre.

    | key | num | field | irreps | unit |
    |---|---|---|---|---|
    | `observation` | 0-2 | `velocity` | `1x1o` | m/s |
    | `achieved_goal` | 0-2 | `position` | `1x1o` | m |
    | `desired_goal` | 0-2 | `position` | `1x1o` | m |

    ## Rewards
    One term, `info["reward_distance"]`: -1 until the goal is within `success_radius`, then 0 (`"sparse"`), or minus the
    distance in m (`"dense"`). `compute_reward(achieved, desired, info)` gives the same for any goals.
    `info` also has `is_success` and `distance` (m).

    ## Starting state
    Effector uniform in a ball of `start_radius`, goal uniform in a ball of `goal_radius` with azimuth in
    `target_sector`; then the scene turns by `scene_rotation` degrees and the goal alone by `goal_rotation`, about the
    vertical axis. `reset(options={...})` takes `target_sector`, `scene_rotation` and `goal_rotation`.

    ## Episode end
    Never terminated; truncated after 50 steps (2 s).

    ## Arguments
    | name | default | meaning |
    |---|---|---|
    | `reward_type` | `"sparse"` | or `"dense"` |
    | `goal_radius`, `start_radius` | `0.3`, `0.15` | m |
    | `target_sector` | `"uniform"` | azimuths of goals, degrees `(low, high)` |
    | `success_radius` | `0.05` | m |
    | `scene_rotation`, `goal_rotation` | `0.0` | degrees |
    | `breaking`, `breaking_size` | `"none"`, `0.0` | `"gravity"`: what a tilt of so many rad leaves uncompensated; `"wind"`: force along +x in weights |

    ## Version history
    * v0: first version.
    """

    metadata = {"render_modes": ["human", "rgb_array"], "render_fps": 25}
    task_class = Reach


class ReachVectorEnv(TaskVectorEnv):
    """The vector form of :class:`ReachEnv`."""

    metadata = {**TaskVectorEnv.metadata, "render_fps": 25}
    task_class = Reach
