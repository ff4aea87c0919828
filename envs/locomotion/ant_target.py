"""AntTarget: a four-legged robot runs to a target in the plane."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mujoco
import numpy as np

from eqrl.arrays import Floats
from eqrl.envs.core import Outcome, StateLayout, Task, World, add_marker, choice, lengths, number, sector
from eqrl.envs.robots import quadruped
from eqrl.symmetry import Element, Field
from eqrl.symmetry.quaternions import yaw_quaternion


class AntTarget(Task):
    """A four-legged robot runs to a target in the plane, from any heading.

    ## Description
    The robot has the shape of Gymnasium's Ant. A target is drawn at 2 to 5 m in a given sector of directions, the
    robot starts with a heading from a given sector. An episode succeeds when the torso comes within 0.5 m of the
    target.

    Symmetry group: SO(2) about gravity, extended by the dihedral group D4 of the body (exchange of legs by quarter
    turns; mirrors, each together with its exchange of legs).

    With `breaking="patch"`, wind blows only where the torso, as seen from the target, is in `breaking_patch`: the
    observation then tells where the world is broken.

    ## Starting state
    Torso at the origin, 0.55 m high, heading drawn from `heading`; joint angles at mid-range plus uniform noise, joint
    velocities Gaussian, both of size `reset_noise`; target at a distance from `target_distance` in a direction from
    `target_sector`. Then the whole scene turns by `scene_rotation` degrees and the target alone by `goal_rotation`.

    ## Episode end
    Terminated on arrival (`on_success="terminate"`; with `"redraw"` a new target appears instead) and when the torso
    lies upside down; truncated after 300 steps (15 s).

    ## Version history
    * v0: first version.
    """

    frame_skip = 5
    main_body = "torso"
    group = quadruped.GROUP
    entities = (quadruped.LEGS, quadruped.BODY)
    observation = (
        Field("height", "1x0e", unit="m", description="height of the torso"),
        Field("body_axes", "1x1o", entities="body", role="heading", description="the torso's x, y and z axis"),
        Field("velocity", "1x1o", unit="m/s", description="velocity of the torso"),
        Field("angular_velocity", "1x1e", frame="body", unit="rad/s", description="angular velocity of the torso"),
        Field("target", "1x1o", horizontal=True, role="goal", unit="m", description="target relative to the torso"),
        Field("hip", "1x0o", entities="legs", unit="rad", description="hip angles"),
        Field("ankle", "1x0e", entities="legs", unit="rad", description="ankle angles"),
        Field("hip_velocity", "1x0o", entities="legs", unit="rad/s", description="hip velocities"),
        Field("ankle_velocity", "1x0e", entities="legs", unit="rad/s", description="ankle velocities"),
    )
    action = (
        Field("hip", "1x0o", entities="legs", unit="60 N m", description="torques of the hips"),
        Field("ankle", "1x0e", entities="legs", unit="60 N m", description="torques of the ankles"),
    )
    variables = (  # what a new target needs is here too, so that it turns with the scene
        Field("target", "1x1o"),
        Field("distance", "1x0e"),
        Field("reached", "1x0e"),
        Field("sector", "2x0e"),
        Field("zero_direction", "1x1o"),
        Field("sense", "1x0o"),
    )
    rewards = {
        "progress": "`progress_weight * (d_before - d_after) / dt`, the speed of approach in m/s",
        "control": "`-control_weight * sum(a_i^2)` of the clipped action",
        "success": "`success_bonus` on arrival",
    }
    metrics = {"distance": "m", "targets_reached": "in this episode"}

    target_distance = lengths((2.0, 5.0), "range of target distances")
    target_sector = sector("directions of targets")
    heading = sector("initial headings")
    on_success = choice("terminate", "redraw", description="what happens on arrival")
    success_radius = number(0.5, "distance at which the target is reached", "m")
    reset_noise = number(0.1, "size of the noise on joints")
    progress_weight = number(1.0, "weight of the reward term")
    control_weight = number(0.05, "weight of the reward term")
    success_bonus = number(10.0, "reward on arrival")

    def build(self) -> mujoco.MjSpec:
        """The robot on a plane, with Gymnasium's integrator.

        ``implicitfast`` would step 3.6 times as fast, but learning is slower than both.
        """
        return quadruped.build(gear=60.0, integrator=mujoco.mjtIntegrator.mjINT_RK4, timestep=0.01)

    def state_layout(self) -> StateLayout:
        """Hips and ankles over the legs."""
        return quadruped.layout(self.model)

    def reset(self, sim: World, rng: np.random.Generator, options: Mapping[str, Any]) -> None:
        """Draw heading, joint noise and target."""
        sim.bodies.torso.quaternion = yaw_quaternion(rng.uniform(*options["heading"]))
        hip, ankle = rng.uniform(-self.reset_noise, self.reset_noise, size=(2, quadruped.N_LEGS))
        sim.positions.hip, sim.positions.ankle = hip, np.deg2rad(50.0) + ankle
        sim.velocities.hip, sim.velocities.ankle = self.reset_noise * rng.standard_normal((2, quadruped.N_LEGS))
        sim.variables.sector = options["target_sector"]
        sim.variables.zero_direction = (1.0, 0.0, 0.0)
        sim.variables.sense = 1.0
        self._draw_target(sim, rng)

    def redraw(self, sim: World, rng: np.random.Generator) -> None:
        """A new target, seen from where the robot is now."""
        self._draw_target(sim, rng)
        self.after_reset(sim)

    def after_reset(self, sim: World) -> None:
        """Measure the first distance, after the scene has its final pose."""
        sim.variables.distance = self._distance(sim)

    def rotate_goal(self, sim: World, g: Element) -> None:
        """Turn the target about the torso."""
        torso = sim.bodies.torso.position
        sim.variables.target = torso + g.R.numpy() @ (sim.variables.target - torso)

    def place_in_wind(self, world: World) -> Floats:
        """The torso as seen from the target: what is observed tells whether it stands in the wind."""
        offset: Floats = (world.bodies.torso.position - world.variables.target)[:, :2]
        return offset

    def control(self, world: World, action: Floats) -> None:
        """Actions are joint torques in units of the gear; the model clips them to [-1, 1]."""
        world.data.ctrl[:] = action

    def observe(self, world: World) -> dict[str, Any]:
        """The torso in the world, the joints in the legs, the target relative to the torso."""
        torso = world.bodies.torso
        return {
            "height": torso.position[:, 2],
            "body_axes": torso.axes,
            "velocity": torso.velocity,
            "angular_velocity": torso.angular_velocity,
            "target": (world.variables.target - torso.position)[:, :2],
            "hip": world.positions.hip,
            "ankle": world.positions.ankle,
            "hip_velocity": world.velocities.hip,
            "ankle_velocity": world.velocities.ankle,
        }

    def evaluate(self, world: World, action: Floats) -> Outcome:
        """Progress towards the target, cost of control, bonus on arrival; falling on the back ends the episode."""
        variables = world.variables
        before, distance = variables.distance.copy(), self._distance(world)
        arrived = distance < self.success_radius
        upside_down = world.bodies.torso.axes[:, 2, 2] < 0.0
        effort = np.clip(action, -1.0, 1.0)
        variables.distance = distance
        variables.reached += arrived
        return Outcome(
            {
                "progress": self.progress_weight * (before - distance) / self.dt,
                "control": -self.control_weight * (effort * effort).sum(axis=1),
                "success": self.success_bonus * arrived,
            },
            success=variables.reached > 0,
            terminated=upside_down | arrived if self.on_success == "terminate" else upside_down,
            redraw=arrived if self.on_success == "redraw" else None,
            metrics={"distance": distance, "targets_reached": variables.reached.copy()},
        )

    def draw_markers(self, scene: mujoco.MjvScene, sim: World) -> None:
        """The target as a red ball."""
        add_marker(scene, sim.variables.target, 0.15, (0.85, 0.2, 0.2, 1.0))

    def _distance(self, world: World) -> Floats:
        offset = world.variables.target - world.bodies.torso.position
        # written out: the same bits for one simulation and for many, and faster than linalg.norm on short rows
        return np.sqrt(offset[..., 0] * offset[..., 0] + offset[..., 1] * offset[..., 1])

    def _draw_target(self, sim: World, rng: np.random.Generator) -> None:
        variables = sim.variables
        distance, angle = rng.uniform(*self.target_distance), variables.sense * rng.uniform(*variables.sector)
        zero = variables.zero_direction  # where the sector's angles count from
        c, s = np.cos(angle), np.sin(angle)
        offset = distance * np.array([c * zero[0] - s * zero[1], s * zero[0] + c * zero[1], 0.0])
        variables.target = sim.bodies.torso.position * (1.0, 1.0, 0.0) + offset
