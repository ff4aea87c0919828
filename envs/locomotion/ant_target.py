"""AntTarget: a four-legged robot runs to a target in the plane."""

from __future__ import annotations

from typing import Any, ClassVar

import mujoco
import numpy as np

from eqrl.envs.core.breaking import Breaking
from eqrl.envs.core.layout import yaw_quaternion
from eqrl.envs.core.rendering import marker
from eqrl.envs.core.task import Floats, Observation, Outcome, Task, World, check_in, check_range, check_sector, check_size
from eqrl.envs.forms.single import TaskEnv
from eqrl.envs.forms.vector import TaskVectorEnv
from eqrl.envs.robots import quadruped
from eqrl.symmetry import Element, Field, Representation, TypedBox

# the task's own state: what a new target needs is kept there too, so that it turns with the scene
_TARGET, _DISTANCE, _REACHED, _SECTOR, _ZERO, _SENSE = slice(0, 3), 3, 4, slice(5, 7), slice(7, 10), 10


class AntTarget(Task):
    """The task of :class:`AntTargetEnv`, for a batch of simulations."""

    frame_skip: ClassVar[int] = 5
    derived: ClassVar[tuple[str, ...]] = ("xmat",)

    def __init__(
        self,
        target_distance: tuple[float, float] = (2.0, 5.0),
        target_sector: Any = "uniform",
        heading: Any = "uniform",
        on_success: str = "terminate",
        success_radius: float = 0.5,
        reset_noise: float = 0.1,
        progress_weight: float = 1.0,
        control_weight: float = 0.05,
        success_bonus: float = 10.0,
        breaking: str = "none",
        breaking_size: float = 0.0,
    ) -> None:
        self.target_distance = check_range("target_distance", target_distance)
        self.sectors = {
            "target_sector": check_sector("target_sector", target_sector),
            "heading": check_sector("heading", heading),
        }
        self.on_success = check_in("on_success", on_success, ("terminate", "redraw"))
        self.success_radius, self.reset_noise = (
            check_size("success_radius", success_radius),
            check_size("reset_noise", reset_noise),
        )
        self.progress_weight = check_size("progress_weight", progress_weight)
        self.control_weight = check_size("control_weight", control_weight)
        self.success_bonus = check_size("success_bonus", success_bonus)
        self.breaking = Breaking(breaking, check_size("breaking_size", breaking_size))

        self.model = quadruped.build(gear=60.0, integrator=mujoco.mjtIntegrator.mjINT_RK4, timestep=0.01).compile()
        self.breaking.apply_to_model(self.model)
        self.group = quadruped.GROUP
        self.layout = quadruped.layout(self.model)
        self._torso = self.model.body("torso").id
        self._joint_qpos = np.array([a for c in self.layout.coordinates for a in c.qpos])
        self._joint_dof = np.array([a for c in self.layout.coordinates for a in c.dof])
        entities = (quadruped.LEGS, quadruped.BODY)
        self.variable_representation = Representation(
            (
                Field("target", "1x1o"),
                Field("distance", "1x0e"),
                Field("reached", "1x0e"),
                Field("sector", "2x0e"),
                Field("zero_direction", "1x1o"),
                Field("sense", "1x0o"),
            ),
            (),
            self.group,
        )
        self.observation_space: TypedBox = TypedBox(
            Representation(
                (
                    Field("height", "1x0e"),
                    Field("body_axes", "1x1o", entities="body", role="heading"),
                    Field("velocity", "1x1o"),
                    Field("angular_velocity", "1x1e", frame="body"),
                    Field("target", "1x1o", horizontal=True, role="goal"),
                    Field("hip", "1x0o", entities="legs"),
                    Field("ankle", "1x0e", entities="legs"),
                    Field("hip_velocity", "1x0o", entities="legs"),
                    Field("ankle_velocity", "1x0e", entities="legs"),
                ),
                entities,
                self.group,
            )
        )
        self.action_space = TypedBox(
            Representation(
                (Field("hip", "1x0o", entities="legs"), Field("ankle", "1x0e", entities="legs")), entities, self.group
            ),
            -1.0,
            1.0,
        )

    def options(self) -> tuple[str, ...]:
        """Reset options: the sector of target directions and the distribution of headings."""
        return ("target_sector", "heading")

    def reset(self, world: World, i: int, rng: np.random.Generator, options: dict[str, Any]) -> None:
        """Draw heading, joint noise and target."""
        sectors = {k: check_sector(k, options[k]) if k in options else v for k, v in self.sectors.items()}
        world.qpos[i, 3:7] = yaw_quaternion(rng.uniform(*sectors["heading"]))
        middle = np.deg2rad([0.0] * quadruped.N_LEGS + [50.0] * quadruped.N_LEGS)
        world.qpos[i, self._joint_qpos] = middle + rng.uniform(-self.reset_noise, self.reset_noise, size=len(middle))
        world.qvel[i, self._joint_dof] = self.reset_noise * rng.standard_normal(len(middle))
        world.variables[i, _SECTOR] = sectors["target_sector"]
        world.variables[i, _ZERO] = (1.0, 0.0, 0.0)
        world.variables[i, _SENSE] = 1.0
        self._draw_target(world, i, rng)

    def redraw(self, world: World, i: int, rng: np.random.Generator) -> None:
        """A new target, seen from where the robot is now."""
        self._draw_target(world, i, rng)
        self.after_reset(world, np.array([i]))

    def after_reset(self, world: World, ids: np.ndarray) -> None:
        """Measure the first distance, after the scene has its final pose."""
        world.variables[ids, _DISTANCE] = _length(world.variables[ids, :2] - world.qpos[ids, :2])

    def rotate_goal(self, world: World, i: int, g: Element) -> None:
        """Turn the target about the torso."""
        offset = world.variables[i, _TARGET] - world.qpos[i, :3]
        world.variables[i, _TARGET] = world.qpos[i, :3] + g.R.numpy() @ offset

    def control(self, world: World, action: Floats) -> None:
        """Actions are joint torques in units of the gear; the model clips them to [-1, 1]."""
        world.ctrl[:] = action

    def observe(self, world: World) -> Observation:
        """Fill the observation table of :class:`AntTargetEnv`."""
        out = np.empty((world.qpos.shape[0], self.observation_space.representation.dim), dtype=np.float32)
        xmat = world.derived["xmat"][:, self._torso].reshape(-1, 3, 3)
        out[:, 0] = world.qpos[:, 2]
        out[:, 1:10] = xmat.swapaxes(1, 2).reshape(-1, 9)
        out[:, 10:13] = world.qvel[:, 0:3]
        out[:, 13:16] = world.qvel[:, 3:6]
        out[:, 16:18] = world.variables[:, :2] - world.qpos[:, :2]
        out[:, 18:26] = world.qpos[:, self._joint_qpos]
        out[:, 26:34] = world.qvel[:, self._joint_dof]
        return out

    def evaluate(self, world: World, action: Floats) -> Outcome:
        """Progress towards the target, cost of control, bonus on arrival; falling on the back ends the episode."""
        before = world.variables[:, _DISTANCE].copy()
        distance = _length(world.variables[:, :2] - world.qpos[:, :2])
        arrived = distance < self.success_radius
        upside_down = world.derived["xmat"][:, self._torso, 8] < 0.0
        effort = np.clip(action, -1.0, 1.0)
        rewards = {
            "progress": self.progress_weight * (before - distance) / self.dt,
            "control": -self.control_weight * (effort * effort).sum(axis=1),
            "success": self.success_bonus * arrived,
        }
        world.variables[:, _DISTANCE] = distance
        world.variables[:, _REACHED] += arrived
        return Outcome(
            rewards,
            success=world.variables[:, _REACHED] > 0,
            terminated=upside_down | arrived if self.on_success == "terminate" else upside_down,
            redraw=arrived if self.on_success == "redraw" else None,
            metrics={"distance": distance, "targets_reached": world.variables[:, _REACHED].copy()},
        )

    def draw_markers(self, scene: mujoco.MjvScene, world: World, i: int) -> None:
        """The target as a red ball."""
        marker(scene, world.variables[i, _TARGET], 0.15, (0.85, 0.2, 0.2, 1.0))

    def _draw_target(self, world: World, i: int, rng: np.random.Generator) -> None:
        own = world.variables[i]
        distance, angle = rng.uniform(*self.target_distance), own[_SENSE] * rng.uniform(*own[_SECTOR])
        zero = own[_ZERO]  # where the sector's angles count from
        c, s = np.cos(angle), np.sin(angle)
        offset = distance * np.array([c * zero[0] - s * zero[1], s * zero[0] + c * zero[1], 0.0])
        own[_TARGET] = world.qpos[i, :3] * (1.0, 1.0, 0.0) + offset


def _length(x: Floats) -> Floats:
    # written out: the same bits for one simulation and for many, and faster than linalg.norm on short rows
    return np.sqrt(x[:, 0] * x[:, 0] + x[:, 1] * x[:, 1])


class AntTargetEnv(TaskEnv):
    """A four-legged robot runs to a target in the plane, from any heading.

    ## Description
    The robot has the shape of Gymnasium's Ant. A target is drawn at 2 to 5 m in a given sector of directions, the
    robot starts with a heading from a given sector. An episode succeeds when the torso comes within 0.5 m of the target.

    Symmetry group: SO(2) about gravity, extended by the dihedral group D4 of the body (exchange of legs by quarter
    turns; mirrors, each together with its exchange of legs).

    ## Action space
    `TypedBox(-1, 1, (8,))`, joint torques in units of 60 N m.

    | num | action | field | irreps |
    |---|---|---|---|
    | 0-3 | torque of hip 0..3 | `hip` | `1x0o` over legs (a mirror reverses it) |
    | 4-7 | torque of ankle 0..3 | `ankle` | `1x0e` over legs |

    ## Observation space
    `TypedBox(-inf, inf, (34,))`, float32.

    | num | observation | field | irreps | frame | unit |
    |---|---|---|---|---|---|
    | 0 | height of the torso | `height` | `1x0e` | | m |
    | 1-9 | the torso's x, y and z axis | `body_axes` | `1x1o` over the body's axes | world | |
    | 10-12 | velocity of the torso | `velocity` | `1x1o` | world | m/s |
    | 13-15 | angular velocity of the torso | `angular_velocity` | `1x1e` | body | rad/s |
    | 16-17 | target relative to the torso, x and y | `target` | `1x1o`, horizontal | world | m |
    | 18-21 | hip angles | `hip` | `1x0o` over legs | | rad |
    | 22-25 | ankle angles | `ankle` | `1x0e` over legs | | rad |
    | 26-29 | hip velocities | `hip_velocity` | `1x0o` over legs | | rad/s |
    | 30-33 | ankle velocities | `ankle_velocity` | `1x0e` over legs | | rad/s |

    ## Rewards
    The reward is the sum of the terms, each of which is in `info` as `reward_<term>`:
    - `progress`: `progress_weight * (d_before - d_after) / dt`, the speed of approach in m/s;
    - `control`: `-control_weight * sum(a_i^2)` of the clipped action;
    - `success`: `success_bonus` on arrival.

    `info` also has `is_success`, `distance` (m) and `targets_reached`.

    ## Starting state
    Torso at the origin, 0.55 m high, heading drawn from `heading`; joint angles at mid-range plus uniform noise, joint
    velocities Gaussian, both of size `reset_noise`; target at a distance from `target_distance` in a direction from
    `target_sector`. Then the whole scene turns by `scene_rotation` degrees and the target alone by `goal_rotation`.
    `reset(options={...})` takes `target_sector`, `heading`, `scene_rotation` and `goal_rotation` for one episode.

    ## Episode end
    Terminated on arrival (`on_success="terminate"`; with `"redraw"` a new target appears instead) and when the torso
    lies upside down; truncated after 300 steps (15 s).

    ## Arguments
    | name | default | meaning |
    |---|---|---|
    | `target_distance` | `(2.0, 5.0)` | range of target distances, m |
    | `target_sector` | `"uniform"` | sector of target directions, degrees `(low, high)` |
    | `heading` | `"uniform"` | sector of initial headings, degrees |
    | `on_success` | `"terminate"` | or `"redraw"` |
    | `success_radius` | `0.5` | m |
    | `reset_noise` | `0.1` | size of the noise on joints |
    | `progress_weight`, `control_weight`, `success_bonus` | `1.0`, `0.05`, `10.0` | reward weights |
    | `scene_rotation`, `goal_rotation` | `0.0` | degrees |
    | `breaking`, `breaking_size` | `"none"`, `0.0` | `"gravity"`: tilt in rad; `"wind"`: force along +x in body weights |

    ## Version history
    * v0: first version.
    """

    task_class = AntTarget


class AntTargetVectorEnv(TaskVectorEnv):
    """The vector form of :class:`AntTargetEnv`."""

    task_class = AntTarget
