"""Velocity: a robot moves as it is told, forwards, sideways and in turns."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import mujoco
import numpy as np

from eqrl.arrays import Bools, Floats
from eqrl.envs.core import (
    Outcome,
    StateLayout,
    Task,
    World,
    add_marker,
    anything,
    choice,
    factors,
    flag,
    number,
    sector,
)
from eqrl.envs.locomotion.gait_rewards import TERMS, gait_rewards, weights
from eqrl.envs.locomotion.proprioception import Proprioception
from eqrl.envs.locomotion.runners import stranger
from eqrl.envs.robots.limbs import limbs_of
from eqrl.envs.robots.loading import RobotWarning, load
from eqrl.envs.robots.mirror_images import symmetry_in_words
from eqrl.symmetry import Element, Field, Group
from eqrl.symmetry.quaternions import yaw_quaternion

ROBOT = "quadruped"
_CONTROL_STEP = 0.02  # s
_DRAWN = 4  # commands and pushes an episode, after which they come again
_SETTLED = 2.0  # s from which on an episode can succeed
_PLANE = mujoco.mjtGeom.mjGEOM_PLANE


class Velocity(Task):
    """A robot moves as it is told: a velocity in the plane, and a rate of turning.

    ## Description
    The task that legged robots are trained on (Rudin et al., CoRL 2021): commands count in the robot's own heading, and
    the robot sees nothing but what it can feel on board. `robot` may be any that floats: one of ours, one that a wheel
    has (`go1`, `go2`, `aliengo`, `a2`, `spot`, `mini_cheetah`, `g1`), one of the menagerie, or a file.

    Actions are targets of position servos, as offsets from the pose in which the robot stands. Pose and servos are read
    from the model; motors become servos.

    Symmetry group: SO(2) about gravity, which moves nothing that is seen, and the sagittal mirror with its exchange of
    joints and feet, if the robot has one. Real robots have it nearly: `symmetrise=True` makes it exact.

    ## Starting state
    The pose in which the robot stands, in any heading, with noise. All that is random in an episode is drawn here:
    commands, pushes, friction and the trunk's mass, from distributions that a mirror leaves as they are, unless
    `command_sector` is one-sided. Then the whole scene turns by `scene_rotation` degrees and the commanded directions
    alone by `goal_rotation`.

    ## Episode end
    Terminated when the trunk is below half of its standing height or tilts by 1.35 rad. Truncated after 500 steps. An
    episode succeeds when both errors, averaged over it, are within their tolerances.

    ## Version history
    * v0: first version.
    """

    rewards = TERMS
    metrics = {
        "linear_error": "of the velocity in the plane, mean so far, m/s",
        "yaw_error": "of the rate of turning, mean so far, rad/s",
        "asymmetry": "Robinson's index of the time that a foot and its mirror image stand, 0 to 2, mean over pairs",
    }

    robot = anything(ROBOT, "a name, a path of an MJCF or URDF file, or an `MjSpec`")
    symmetrise = flag(False, "whether symmetries that the robot nearly has are made exact")
    contacts = choice("all", "feet", description="what collides: all that the model says; feet with the floor alone")
    timestep = number(0.0, "of the physics; 0 for the model's own", "s")
    action_scale = number(0.5, "offset from the default pose at action 1", "rad")
    speed = number(1.0, "largest commanded speed", "m/s")
    turn = number(1.0, "largest commanded rate of turning", "rad/s")
    command_sector = sector("commanded directions")
    standing = number(0.1, "share of commands to stand still")
    command_time = number(5.0, "until the next command; 0 for none", "s")
    push = number(0.5, "largest change of velocity by a push", "m/s")
    push_time = number(4.0, "between pushes; 0 for none", "s")
    friction = factors((0.5, 1.25), "range of factors of all friction")
    mass = factors((0.9, 1.1), "range of factors of the trunk's mass")
    stride = number(0.1, "time in the air above which a step pays", "s")
    linear_tolerance = number(0.25, "mean error of a success", "m/s")
    yaw_tolerance = number(0.25, "mean error of a success", "rad/s")
    weights = weights("weights of reward terms that shall differ, by name")

    def build(self) -> mujoco.MjSpec:
        """The robot on a plane; joints, servos, feet and the group follow from it."""
        robot = load(self.robot, servos=True, symmetrise=self.symmetrise, contacts=self.contacts)
        spec = robot.spec
        if self.timestep:
            spec.option.timestep = self.timestep
        self.runner = runner = stranger(robot, "implicitfast")
        self.frame_skip, self.main_body, self.rules = runner.frame_skip, runner.base, runner.rules
        model = spec.compile()
        floor = next(g for g in range(model.ngeom) if model.geom_bodyid[g] == 0 and model.geom_type[g] == _PLANE)
        self.limbs = limbs_of(model, runner.base)
        assert runner.pose is not None
        self.senses = Proprioception(model, self.limbs, runner.pose, runner.base, floor)
        for remark in (*runner.remarks, *self.senses.remarks):
            warnings.warn(RobotWarning(f"robot {runner.name}: {remark}"), stacklevel=2)
        self._torque = np.array([next(iter(drive.strengths.values())) for drive in runner.drives])
        self.entities, self._group = self.senses.entities, self.senses.group
        self.observation = (
            Field("velocity", "1x1o", frame="trunk", unit="m/s", description="velocity of the trunk"),
            Field("spin", "1x1e", frame="trunk", unit="rad/s", description="angular velocity of the trunk"),
            Field("gravity", "1x1o", frame="trunk", description="direction of gravity"),
            Field("command", "1x1o", frame="trunk", horizontal=True, unit="m/s", description="commanded velocity"),
            Field("turn", "1x0o", unit="rad/s", description="commanded rate of turning"),
            Field("angle", "1x0e", "joints", unit="rad", description="angles from the default pose"),
            Field("rate", "1x0e", "joints", unit="rad/s", description="joint velocities"),
            Field("last", "1x0e", "servos", description="last action"),
        )
        unit = f"{self.action_scale:g} rad"
        self.action = (Field("target", "1x0e", "servos", unit=unit, description="targets from the default pose"),)
        self.variables = (
            Field("commands", f"{_DRAWN}x1o", frame="trunk", horizontal=True),
            Field("turns", f"{_DRAWN}x0o"),
            Field("pushes", f"{_DRAWN}x1o", horizontal=True),
            Field("friction", "1x0e"),
            Field("mass", "1x0e"),
            Field("steps", "1x0e"),
            Field("action", "1x0e", "servos"),
            Field("rate", "1x0e", "joints"),
            Field("touched", "1x0e", "feet"),
            Field("in_air", "1x0e", "feet"),  # s
            Field("stood", "1x0e", "feet"),  # steps
            Field("linear_error", "1x0e"),  # sums over steps
            Field("yaw_error", "1x0e"),
        )
        self.senses.add_sensors(spec)
        return spec

    @property
    def group(self) -> Group:
        """Rotations about gravity, and the robot's mirror."""
        return self._group

    def symmetry_in_words(self) -> tuple[str, ...]:
        """What the mirror exchanges."""
        return symmetry_in_words(self.model, self.limbs)

    def state_layout(self) -> StateLayout:
        """The robot's joints."""
        return StateLayout.of(self.model, self._group)

    # ------------------------------------------------------------------ what is drawn
    def reset(self, sim: World, rng: np.random.Generator, options: Mapping[str, Any]) -> None:
        """Draw pose and noise, commands, pushes, friction and mass."""
        sim.data.qpos[:] = self.runner.pose
        pose = sim.bodies[self.main_body].quaternion  # a view
        mujoco.mju_mulQuat(pose, yaw_quaternion(rng.uniform(-np.pi, np.pi)), pose.copy())
        self.rules.disturb(sim, rng)
        mujoco.mju_normalize4(pose)
        variables = sim.variables
        moving = rng.random(_DRAWN) >= self.standing
        variables.commands = (_in_disc(rng, options["command_sector"]) * (self.speed * moving[:, None])).ravel()
        variables.turns = self.turn * moving * rng.uniform(-1.0, 1.0, _DRAWN)
        variables.pushes = self.push * _in_disc(rng, (-np.pi, np.pi)).ravel()
        variables.friction, variables.mass = rng.uniform(*self.friction), rng.uniform(*self.mass)
        variables.touched = 1.0

    def fit_model(self, sim: World) -> None:
        """Scale the friction of all contacts, and the trunk's mass with its inertia."""
        trunk, variables = self.limbs.bodies[0], sim.variables
        sim.model.geom_friction[:, 0] = variables.friction * self.model.geom_friction[:, 0]
        sim.model.body_mass[trunk] = variables.mass * self.model.body_mass[trunk]
        sim.model.body_inertia[trunk] = variables.mass * self.model.body_inertia[trunk]

    def rotate_goal(self, sim: World, g: Element) -> None:
        """Turn the commanded directions."""
        commands = sim.variables.commands.reshape(_DRAWN, 2)
        sim.variables.commands = (commands @ g.R.numpy()[:2, :2].T).ravel()

    # ------------------------------------------------------------------ steps
    def control(self, world: World, action: Floats) -> None:
        """Set the servos' targets; push where it is time to."""
        world.data.actuator_force, world.data.sensordata  # noqa: B018  # what only a step computes is bound before it
        self.senses.hold(world, self.action_scale * np.clip(action, -1.0, 1.0))
        due, which = self._turn_of(world, self.push_time)
        if due.any():
            pushes = world.variables.pushes.reshape(-1, _DRAWN, 2)[np.arange(len(due)), which]
            world.bodies[self.main_body].velocity[:, :2] += np.where(due[:, None], pushes, 0.0)

    def observe(self, world: World) -> Mapping[str, Any]:
        """What can be felt on board, and the command."""
        motion = self.senses.motion(world)
        command, turn = self._command(world)
        return {
            "velocity": motion.velocity,
            "spin": motion.spin,
            "gravity": motion.gravity,
            "command": command,
            "turn": turn,
            "angle": self.senses.offsets(world),
            "rate": self.senses.speeds(world),
            "last": world.variables.action,
        }

    def evaluate(self, world: World, action: Floats) -> Outcome:
        """Follow the command, smoothly; falling ends the episode."""
        # what the step itself computed comes first, before anything else is bound and computed anew
        touching, torque = self.senses.touches(world), world.data.actuator_force / self._torque
        variables, motion = world.variables, self.senses.motion(world)
        command, turn = self._command(world)
        error = np.hypot(motion.velocity[:, 0] - command[:, 0], motion.velocity[:, 1] - command[:, 1])
        yaw_error = np.abs(motion.spin[:, 2] - turn)
        effort, rate = np.clip(action, -1.0, 1.0), self.senses.speeds(world)
        landed = (touching | (variables.touched > 0)) & (variables.in_air > 0)  # a foot may bounce for one step
        airborne = variables.in_air + self.dt
        fallen = self.rules.fallen(world, self.limbs)
        rewards = gait_rewards(
            self.weights,
            self.dt,
            errors=(error, yaw_error),
            motion=motion,
            torque=torque,
            acceleration=(rate - variables.rate) / self.dt,
            change=effort - variables.action,
            air=((airborne - self.stride) * landed).sum(axis=1) * (np.hypot(command[:, 0], command[:, 1]) > 0.1),
            fallen=fallen,
        )
        variables.in_air = np.where(touching | (variables.touched > 0), 0.0, airborne)
        variables.touched, variables.rate, variables.action = touching, rate, effort
        variables.stood += touching
        variables.steps += 1.0
        variables.linear_error += error
        variables.yaw_error += yaw_error
        linear, yaw = variables.linear_error / variables.steps, variables.yaw_error / variables.steps
        close = (linear <= self.linear_tolerance) & (yaw <= self.yaw_tolerance)
        return Outcome(
            rewards,
            success=close & ~fallen & (variables.steps * self.dt >= _SETTLED),
            terminated=fallen,
            metrics={"linear_error": linear, "yaw_error": yaw, "asymmetry": self._asymmetry(world)},
        )

    def draw_markers(self, scene: mujoco.MjvScene, sim: World) -> None:
        """A ball over the robot, as far ahead as it shall go in a second."""
        command, _ = (part[0] for part in self._command(sim))
        trunk, height = sim.bodies[self.main_body], self.runner.pose[2]  # type: ignore[index]  # strangers have one
        forward, left = self.limbs.forward @ trunk.axes, self.limbs.left @ trunk.axes
        spot = trunk.position + command[0] * forward + command[1] * left + (0.0, 0.0, height)
        add_marker(scene, spot, 0.15 * height, (0.85, 0.2, 0.2, 1.0))

    # ------------------------------------------------------------------ what the words mean
    def _turn_of(self, world: World, period: float) -> tuple[Bools, Any]:
        """Where a period of so many seconds begins in this step, but for the first one, and the number of it."""
        steps = np.atleast_1d(world.variables.steps).astype(np.int64)
        length = round(period / self.dt)
        if length == 0:
            return np.zeros(steps.shape, dtype=bool), np.zeros_like(steps)
        return (steps > 0) & (steps % length == 0), steps // length % _DRAWN

    def _command(self, world: World) -> tuple[Floats, Floats]:
        """Commanded velocity, ``(n, 2)``, and rate of turning, ``(n,)``."""
        _, which = self._turn_of(world, self.command_time)
        rows = np.arange(len(which))
        turns = world.variables.turns.reshape(-1, _DRAWN)[rows, which]
        return world.variables.commands.reshape(-1, _DRAWN, 2)[rows, which], turns

    def _asymmetry(self, world: World) -> Floats:
        """How much longer feet stand than their mirror images do, relative to the mean of both."""
        stood = world.variables.stood
        if not self._group.finite:
            return np.zeros(len(stood))
        image = np.asarray(dict(self._group.finite[0].h)["feet"]).argmax(axis=0)
        other = stood[:, image]
        index: Floats = (2.0 * np.abs(stood - other) / np.maximum(stood + other, 1.0)).mean(axis=1)
        return index


def _in_disc(rng: np.random.Generator, directions: tuple[float, float]) -> Floats:
    """Uniform points of the unit disc in a sector, ``(_DRAWN, 2)``."""
    radius, angle = np.sqrt(rng.random(_DRAWN)), rng.uniform(*directions, _DRAWN)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
