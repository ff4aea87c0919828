"""Run: a robot of any shape runs to where it is asked to."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import mujoco
import numpy as np

from eqrl.arrays import Floats
from eqrl.envs.core import (
    Outcome,
    StateLayout,
    Task,
    World,
    add_marker,
    anything,
    choice,
    flag,
    lengths,
    number,
    sector,
)
from eqrl.envs.core.arguments import whole
from eqrl.envs.locomotion.runners import runner
from eqrl.envs.locomotion.tokens import PublishedTokens, Tokens, TypedTokens
from eqrl.envs.robots.limbs import in_order_of_the_model, limbs_of
from eqrl.envs.robots.loading import RobotWarning
from eqrl.envs.robots.mirror_images import symmetry_in_words
from eqrl.symmetry import SO2, Element, Field, Group
from eqrl.symmetry.quaternions import yaw_quaternion

ROBOT = "cheetah_14_full"
_REACHED = 1.0  # metres from a target point
_FAR = 10.0  # metres towards the target after which a run in a direction can succeed
_STRAIGHT = 0.9
# radius of the ball that shows the direction over the distance of the camera, and its own distance over that radius
_MARKER, _AHEAD = 0.025, 13.0


class Run(Task):
    """A robot of any shape runs to where it is asked to.

    ## Description
    The robots and the rules are those of 3D-SGRL (Chen et al., ICML 2023) by default; `robot` may name any other one.
    The robot starts with any heading and is asked to run in a direction (`target="direction"`, 3D-SGRL's v1), or to
    points that are drawn anew when it reaches them (`target="points"`, v2), of which it sees the direction only.

    Each limb is a token, with a mask where there are more slots than limbs. Joints are typed by what a mirror does to
    them, so that one policy moves all robots and honours their mirror images.

    Symmetry group: SO(2) about gravity, with the sagittal mirror if the robot has one.

    ## Starting state
    The default pose with a heading from `heading` and noise on positions and velocities, as published for the family;
    the target in a direction from `target_sector`. Then the whole scene turns by `scene_rotation` degrees and the
    target alone by `goal_rotation`.

    ## Episode end
    Terminated when the robot falls: as published for its family; other robots when the trunk is below half of its
    standing height or tilts by 1.35 rad. Truncated after 1000 steps.

    ## Version history
    * v0: first version.
    """

    frame_skip = 4
    main_body = "torso"
    variables = (
        Field("target", "1x1o"),  # a unit vector, or a point
        Field("zero_direction", "1x1o"),
        Field("sense", "1x0o"),
        Field("sector", "2x0e"),
        Field("position", "1x1o"),
        Field("heading", "1x1o"),
        Field("path", "1x0e"),
        Field("gained", "1x0e"),
        Field("reached", "1x0e"),
    )
    rewards = {
        "progress": "speed towards the target, m/s",
        "heading": '`reward="published"` alone, not for hoppers: speed along the heading before the step, m/s',
        "alive": "1, not for cheetahs",
        "control": "`-control_weight * sum(a_i^2)`",
    }
    metrics = {
        "speed": "towards the target, m/s",
        "share": "of the path so far that led to the target",
        "distance_gained": "so far, m",
        "targets_reached": "in this episode",
    }

    robot = anything(
        ROBOT, "a name, such as `humanoid_9_full` or `go2`, a path of an MJCF or URDF file, or an `MjSpec`"
    )
    target = choice("direction", "points", description="what the robot is asked for: a direction")
    target_distance = lengths((10.0, 20.0), "range of distances of target points")
    target_sector = sector("directions of targets")
    heading = sector("initial headings")
    reward = choice("published", "progress", description="what is paid; the speed along the robot's own heading too")
    observation_form = choice("typed", "published", description="typed tokens; 3D-SGRL's 41 numbers of each limb")
    morphology = choice("shown", "hidden", description="whether limbs have fields that never change for one robot")
    integrator = choice("published", "implicitfast", description="that of the model; faster, for training")
    parity = choice("repaired", "published", description="models with errors repaired, or as they are")
    symmetry = choice(
        "robot", "rotations", description="what the spaces declare: all of the robot's symmetry; rotations alone"
    )
    symmetrise = flag(False, "whether symmetries that a robot of others nearly has are made exact")
    slots = whole(0, "number of limb slots, 0 for as many as there are limbs")
    control_weight = number(1e-3, "weight of the reward term")

    def build(self) -> mujoco.MjSpec:
        """The robot on a plane; limbs, slots and fields follow from it."""
        self.runner = robot = runner(
            self.robot, parity=self.parity, integrator=self.integrator, symmetrise=self.symmetrise
        )
        for remark in robot.remarks:
            warnings.warn(RobotWarning(f"robot {robot.name}: {remark}"), stacklevel=2)
        self.frame_skip, self.main_body, self.rules = robot.frame_skip, robot.base, robot.rules
        model = robot.spec.compile()
        limbs = limbs_of(model, robot.base, kinds=robot.kind_of, slots=robot.slots)
        slots = self.slots or limbs.count
        if slots < limbs.count:
            raise ValueError(f"slots={slots} is too few for the {limbs.count} limbs of {robot.name!r}")
        published = self.observation_form == "published"
        self.limbs = in_order_of_the_model(limbs) if published else limbs
        strength = np.zeros(self.limbs.joints.shape)
        for drive in robot.drives:
            for joint, torque in drive.strengths.items():
                strength[self.limbs.slot_of[model.joint(joint).id]] += torque
        self.tokens: Tokens = (
            PublishedTokens(model, self.limbs, slots, strength, self.morphology == "shown")
            if published
            else TypedTokens(
                model,
                self.limbs,
                slots,
                strength,
                robot.kinds or limbs.all_kinds,
                robot.mirrored,
                self.morphology == "shown",
            )
        )
        self._group = SO2 if self.symmetry == "rotations" else self.limbs.group(slots)
        self.observation, self.action = self.tokens.fields, self.tokens.actions
        self.entities = (self.tokens.entities,)
        self._gain, self._bias = self._controls(model, slots)
        return robot.spec

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

    def reset(self, sim: World, rng: np.random.Generator, options: Mapping[str, Any]) -> None:
        """Draw heading, noise and target."""
        if self.runner.pose is not None:
            sim.data.qpos[:] = self.runner.pose
        trunk = sim.bodies[self.main_body]
        pose = trunk.quaternion  # a view
        mujoco.mju_mulQuat(pose, yaw_quaternion(rng.uniform(*options["heading"])), pose.copy())
        self.rules.disturb(sim, rng)
        mujoco.mju_normalize4(pose)
        variables = sim.variables
        variables.sector = options["target_sector"]
        variables.zero_direction = (1.0, 0.0, 0.0)
        variables.sense = 1.0
        self._draw_target(sim, rng, trunk.position)

    def redraw(self, sim: World, rng: np.random.Generator) -> None:
        """A new target point, seen from where the robot is now."""
        self._draw_target(sim, rng, sim.bodies[self.main_body].position)

    def after_reset(self, sim: World) -> None:
        """Remember where the robot starts and where it looks."""
        sim.variables.position = sim.bodies[self.main_body].position
        sim.variables.heading = _horizontal(self._forward(sim))

    def rotate_goal(self, sim: World, g: Element) -> None:
        """Turn the target about the robot."""
        centre = 0.0 if self.target == "direction" else sim.bodies[self.main_body].position
        sim.variables.target = centre + g.R.numpy() @ (sim.variables.target - centre)

    def control(self, world: World, action: Floats) -> None:
        """From -1 to 1, actions span the ranges of the actuators."""
        world.data.ctrl[:] = np.clip(action, -1.0, 1.0) @ self._gain + self._bias

    def observe(self, world: World) -> Mapping[str, Any]:
        """Limb tokens and globals."""
        return self.tokens.observe(world, self._direction(world, world.bodies[self.main_body].position))

    def evaluate(self, world: World, action: Floats) -> Outcome:
        """Speed towards the target, and along the heading where it is paid; falling ends the episode."""
        variables, position = world.variables, world.bodies[self.main_body].position
        step = (position - variables.position)[:, :2]
        gained = self._gained(world, step)
        length = np.hypot(step[:, 0], step[:, 1])
        variables.path += length
        variables.gained += gained
        along = (step * variables.heading[:, :2]).sum(axis=1) / self.dt
        effort = np.clip(action, -1.0, 1.0)
        paid = self.reward == "published" and self.rules.heading_reward
        reached = np.zeros(len(step), dtype=bool)
        if self.target == "points":
            offset = variables.target - position
            reached = np.hypot(offset[:, 0], offset[:, 1]) < _REACHED
            variables.reached += reached
        variables.position = position
        variables.heading = _horizontal(self._forward(world))
        share = variables.gained / np.maximum(variables.path, 1e-9)
        straight = (variables.gained >= _FAR) & (share >= _STRAIGHT)
        return Outcome(
            {
                "progress": gained / self.dt,
                "heading": along if paid else np.zeros(len(step)),
                "alive": np.full(len(step), self.rules.alive_reward),
                "control": -self.control_weight * (effort * effort).sum(axis=1),
            },
            success=straight if self.target == "direction" else variables.reached > 0,
            terminated=self.rules.fallen(world, self.limbs),
            redraw=reached if self.target == "points" else None,
            metrics={
                "speed": gained / self.dt,
                "share": share,
                "distance_gained": variables.gained.copy(),
                "targets_reached": variables.reached.copy(),
            },
        )

    def draw_markers(self, scene: mujoco.MjvScene, sim: World) -> None:
        """A red ball on the floor in the direction of the target, and one at the target point."""
        position, target = sim.bodies[self.main_body].position, sim.variables.target
        size = _MARKER * float(np.linalg.norm(self.model.camera("track").pos))  # in view, whatever the robot's size is
        ahead = position + _AHEAD * size * self._direction(sim, position)
        for place in (ahead, target) if self.target == "points" else (ahead,):
            add_marker(scene, place * (1.0, 1.0, 0.0) + (0.0, 0.0, size), size, (0.85, 0.2, 0.2, 1.0))

    # ------------------------------------------------------------------ what the words mean
    def _gained(self, world: World, step: Floats) -> Floats:
        """By how much a horizontal step brought the torso nearer, m."""
        target = world.variables.target[:, :2]
        if self.target == "direction":
            gained: Floats = (step * target).sum(axis=1)
            return gained
        before = target - world.variables.position[:, :2]
        after = before - step
        return np.asarray(np.hypot(before[:, 0], before[:, 1]) - np.hypot(after[:, 0], after[:, 1]))

    def _direction(self, world: World, position: Floats) -> Floats:
        if self.target == "direction":
            target: Floats = world.variables.target
            return target
        return _horizontal(world.variables.target - position)

    def _forward(self, world: World) -> Floats:
        forward: Floats = self.limbs.forward @ world.bodies[self.main_body].axes
        return forward

    def _draw_target(self, sim: World, rng: np.random.Generator, position: Floats) -> None:
        variables = sim.variables
        distance, angle = rng.uniform(*self.target_distance), variables.sense * rng.uniform(*variables.sector)
        zero, c, s = variables.zero_direction, np.cos(angle), np.sin(angle)
        direction = np.array([c * zero[0] - s * zero[1], s * zero[0] + c * zero[1], 0.0])
        if self.target == "direction":
            variables.target = direction
        else:
            variables.target = position * (1.0, 1.0, 0.0) + distance * direction

    def _controls(self, model: mujoco.MjModel, slots: int) -> tuple[Floats, Floats]:
        """The matrix and the offset with which actions become controls."""
        starts = np.cumsum([0, *(slots * f.width for f in self.action)])
        gain, bias = np.zeros((starts[-1], model.nu)), np.zeros(model.nu)
        for u, drive in enumerate(self.runner.drives):
            bias[u] = drive.middle
            for joint, share in drive.shares.items():
                limb, slot = self.limbs.slot_of[model.joint(joint).id]
                part = int(self.limbs.odd > 0 and slot >= self.limbs.odd)
                at = starts[part] + limb * self.action[part].width + slot - part * self.limbs.odd
                gain[at, u] = drive.reach * share * self.limbs.signs[limb, slot]
        return gain, bias


def _horizontal(vector: Floats) -> Floats:
    """The horizontal direction of vectors, ``(*batch, 3)``; zero where there is none."""
    length = np.hypot(vector[..., 0], vector[..., 1])[..., None]
    return vector * (1.0, 1.0, 0.0) / np.where(length > 0, length, 1.0)
