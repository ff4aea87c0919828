"""TeamReach: several four-legged robots reach several targets together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from eqrl.arrays import Floats
from eqrl.envs.core import Outcome, StateLayout, Task, World, add_marker, number
from eqrl.envs.core.arguments import whole
from eqrl.envs.core.coordinates import Body, Coordinates, FreeBody
from eqrl.envs.robots import quadruped
from eqrl.envs.scenes.floor import add_floor, new_spec
from eqrl.symmetry import Element, EntitySet, Field, Generator, Group
from eqrl.symmetry.quaternions import yaw_quaternion

_MIRROR = np.diag([1.0, -1.0, 1.0])
# legs at 45 and 315 degrees are mirror images, and legs at 135 and 225: their sums and differences only change sign
_SUM, _DIFFERENCE = (np.array([[1.0, 0.0, 0.0, s], [0.0, 1.0, s, 0.0]]) / np.sqrt(2.0) for s in (1.0, -1.0))
_LEGS_SWAP = np.eye(4)[::-1]
# as AntTarget; steps of 10 ms of a first-order integrator blur mirror images to 1e-7 in contact
_TIMESTEP, _INTEGRATOR = 0.01, mujoco.mjtIntegrator.mjINT_RK4
GROUP = Group("O2", "SO2", (Generator.of("mirror of all robots", _MIRROR, {"legs": _LEGS_SWAP, "body": _MIRROR}),))


class TeamReach(Task):
    """Several four-legged robots reach several targets together.

    ## Description
    The cooperative task of Chen et al. (SHNN, ICML 2024): as many targets as robots lie on a disc, and each must have a
    robot near it at the same time. Robots do not touch each other. Every robot sees the target that is assigned to it:
    the closest pair of a robot and a target belongs together, then the closest pair of those that are left, and so on.

    Robots are tokens of an exchangeable set, so that networks on tokens cannot tell them apart. The angles of mirrored
    legs enter as sums and differences, which a mirror leaves or reverses.

    Symmetry group: O(2), a mirror of all robots at once, and the free exchange of robots and of targets.

    ## Starting state
    Robots and targets uniform on a disc of radius `arena`, robots with any heading; joint angles at mid-range plus
    uniform noise of size `reset_noise`.

    ## Episode end
    Terminated when all targets are reached; truncated after 1000 steps.

    ## Version history
    * v0: first version.
    """

    frame_skip = 5
    main_body = "robot 0 torso"
    variables = (Field("targets", "1x1o", "targets"),)
    rewards = {
        "near": "`5 * sum(exp(-distance))` over the targets and the distances of the closest robots",
        "approach": "`0.2 * sum(max(0, offset . velocity))` over all pairs of a robot and a target, m^2/s",
        "control": "`-0.2 * |a|`",
        "success": "`success_bonus` when all targets are reached",
    }
    metrics = {"reached": "share of the targets that are reached now", "distance": "mean over targets, m"}

    agents = whole(2, "number of robots, and of targets", least=1)
    arena = number(3.0, "radius of the disc on which robots and targets start", "m")
    success_radius = number(0.5, "distance at which a target is reached", "m")
    success_bonus = number(10_000.0, "reward on success")
    reset_noise = number(0.1, "size of the noise on joints")

    def build(self) -> mujoco.MjSpec:
        """Robots on a plane, one after the other."""
        n = self.agents
        spec = new_spec(_TIMESTEP, _INTEGRATOR, shadow_clip=6.0)
        add_floor(spec, 1.0, contype=1, conaffinity=1, margin=0.01)
        for i in range(n):
            robot = quadruped.build(60.0, _INTEGRATOR, _TIMESTEP)
            spec.worldbody.add_frame().attach_body(robot.body("torso"), f"robot {i} ", "")
        robots = EntitySet("robots", ("robot",) * n, exchangeable=True, mirrored=True)
        targets = EntitySet("targets", ("target",) * n, exchangeable=True, mirrored=True)
        self.entities = (robots, targets, quadruped.LEGS, quadruped.BODY)
        legs = (("sum", "legs of both sides, sum"), ("difference", "legs of both sides, difference"))
        parity = {("hip", "sum"): "o", ("hip", "difference"): "e", ("ankle", "sum"): "e", ("ankle", "difference"): "o"}

        def of_legs(name: str, unit: str) -> list[Field]:
            return [
                Field(f"{name}{j}_{k}", f"2x0{parity[j, k]}", "robots", unit=unit, description=f"{j}s, {words}")
                for j in ("hip", "ankle")
                for k, words in legs
            ]

        self.observation = (
            Field("lead", "1x1o", horizontal=True, role="goal", unit="m", description="from robots to targets, means"),
            Field(
                "position", "1x1o", "robots", horizontal=True, role="position", unit="m",
                description="relative to the mean robot",
            ),
            Field("forward", "1x1o", "robots", description="where the robot points"),
            Field("up", "1x1o", "robots", description="where its top is"),
            Field("velocity", "1x1o", "robots", unit="m/s", description="velocity"),
            Field("angular_velocity", "1x1e", "robots", unit="rad/s", description="angular velocity"),
            Field("target", "1x1o", "robots", horizontal=True, unit="m", description="from it to its target"),
            Field("height", "1x0e", "robots", unit="m", description="height"),
            *of_legs("", "rad"),
            *of_legs("speed_", "rad/s"),
            Field("ball", "1x1o", "targets", horizontal=True, unit="m", description="relative to the mean robot"),
        )  # fmt: skip
        self.action = tuple(of_legs("", "60 N m"))
        return spec

    @property
    def group(self) -> Group:
        """Rotations about gravity, and a mirror of all robots at once."""
        return GROUP

    def state_layout(self) -> StateLayout:
        """Hips and ankles of each robot over its legs."""
        model, bodies, joints = self.model, [], []
        for i in range(self.agents):
            root = model.joint(f"robot {i} root").id
            bodies.append(
                FreeBody(Body(f"robot {i} torso", "body"), int(model.jnt_qposadr[root]), int(model.jnt_dofadr[root]))
            )
            for name, irreps in (("hip", "1x0o"), ("ankle", "1x0e")):
                ids = [model.joint(f"robot {i} {name}_{k}").id for k in range(quadruped.N_LEGS)]
                qpos, dof = tuple(int(model.jnt_qposadr[j]) for j in ids), tuple(int(model.jnt_dofadr[j]) for j in ids)
                joints.append(Coordinates(Field(f"{name}_{i}", irreps, entities="legs"), qpos, dof))
        self._roots = np.array([free.qpos for free in bodies])
        self._dofs = np.array([free.dof for free in bodies])
        self._torsos = np.array([model.body(free.body.name).id for free in bodies])
        hips, ankles = joints[0::2], joints[1::2]
        self._qpos = {"hip": np.array([c.qpos for c in hips]), "ankle": np.array([c.qpos for c in ankles])}
        self._dof = {"hip": np.array([c.dof for c in hips]), "ankle": np.array([c.dof for c in ankles])}
        motors = [
            [model.actuator(f"robot {i} {j}_{k}").id for k in range(4)]
            for i in range(self.agents)
            for j in ("hip", "ankle")
        ]
        self._motors = {"hip": np.array(motors[0::2]), "ankle": np.array(motors[1::2])}
        return StateLayout(tuple(bodies), tuple(joints), (quadruped.LEGS, quadruped.BODY), GROUP)

    def reset(self, sim: World, rng: np.random.Generator, options: Mapping[str, Any]) -> None:
        """Robots and targets anywhere on the disc."""
        n = self.agents
        places = self.arena * np.sqrt(rng.random(2 * n))[:, None] * _directions(rng.uniform(-np.pi, np.pi, 2 * n))
        for i, at in enumerate(self._roots):
            sim.data.qpos[at : at + 2] = places[i, :2]
            sim.data.qpos[at + 3 : at + 7] = yaw_quaternion(rng.uniform(-np.pi, np.pi))
        noise = rng.uniform(-self.reset_noise, self.reset_noise, (2, n, 4))
        sim.data.qpos[self._qpos["hip"]] = noise[0]
        sim.data.qpos[self._qpos["ankle"]] = np.deg2rad(50.0) + noise[1]
        for rows, joint in zip(self.reset_noise * rng.standard_normal((2, n, 4)), ("hip", "ankle"), strict=True):
            sim.data.qvel[self._dof[joint]] = rows
        sim.variables.targets = places[n:]

    def rotate_goal(self, sim: World, g: Element) -> None:
        """Turn the targets about the origin."""
        sim.variables.targets = sim.variables.targets @ g.R.numpy().T

    def control(self, world: World, action: Floats) -> None:
        """From sums and differences to single legs."""
        n = len(action)
        parts = action.reshape(n, 4, self.agents, 2)
        for j, joint in enumerate(("hip", "ankle")):
            torque = parts[:, 2 * j] @ _SUM + parts[:, 2 * j + 1] @ _DIFFERENCE
            world.data.ctrl[:, self._motors[joint]] = np.clip(torque, -1.0, 1.0)

    def observe(self, world: World) -> dict[str, Any]:
        """Each robot in the world, its joints, its target."""
        data = world.data
        spots, targets = self._robots(world), world.variables.targets
        centre = spots.mean(axis=1, keepdims=True)
        axes = data.xmat[:, self._torsos].reshape(-1, self.agents, 3, 3)
        spin = data.qvel[:, self._dofs[:, None] + np.arange(3, 6)]
        offset = targets - centre
        assigned = np.take_along_axis(targets, assignment(self._offsets(world))[..., None], axis=1) - spots
        legs = {}
        for name, array, where in (("", data.qpos, self._qpos), ("speed_", data.qvel, self._dof)):
            for joint in ("hip", "ankle"):
                values = array[:, where[joint]]
                legs[f"{name}{joint}_sum"] = values @ _SUM.T
                legs[f"{name}{joint}_difference"] = values @ _DIFFERENCE.T
        return {
            "lead": (targets.mean(axis=1) - centre[:, 0])[:, :2],
            "position": (spots - centre)[..., :2],
            "forward": axes[..., 0],
            "up": axes[..., 2],
            "velocity": data.qvel[:, self._dofs[:, None] + np.arange(3)],
            "angular_velocity": (axes @ spin[..., None])[..., 0],
            "target": assigned[..., :2],
            "height": spots[..., 2],
            **legs,
            "ball": offset[..., :2],
        }

    def evaluate(self, world: World, action: Floats) -> Outcome:
        """Near targets, approach to them, control, success."""
        offsets = self._offsets(world)
        distances = np.sqrt((offsets * offsets).sum(axis=-1))
        closest = distances.min(axis=1)
        velocity = world.data.qvel[:, self._dofs[:, None] + np.arange(2)]
        approach = np.maximum((offsets * velocity[:, :, None]).sum(axis=-1), 0.0)
        reached = closest < self.success_radius
        done = reached.all(axis=1)
        effort = np.clip(action, -1.0, 1.0)
        return Outcome(
            {
                "near": 5.0 * np.exp(-closest).sum(axis=1),
                "approach": 0.2 * approach.sum(axis=(1, 2)),
                "control": -0.2 * np.sqrt((effort * effort).sum(axis=1)),
                "success": self.success_bonus * done,
            },
            success=done,
            terminated=done,
            metrics={"reached": reached.mean(axis=1), "distance": closest.mean(axis=1)},
        )

    def draw_markers(self, scene: mujoco.MjvScene, sim: World) -> None:
        """The targets as red balls."""
        for target in sim.variables.targets.reshape(-1, 3):
            add_marker(scene, target, 0.15, (0.85, 0.2, 0.2, 1.0))

    def _robots(self, world: World) -> Floats:
        spots: Floats = world.data.qpos[:, self._roots[:, None] + np.arange(3)]
        return spots

    def _offsets(self, world: World) -> Floats:
        """From each robot to each target in the plane, ``(n, robots, targets, 2)``."""
        offsets: Floats = (world.variables.targets[:, None] - self._robots(world)[:, :, None])[..., :2]
        return offsets


def assignment(offsets: Floats) -> NDArray[np.int64]:
    """The target of each robot: the closest pair belongs together, then the closest of those that are left.

    Args:
        offsets: from each robot to each target, ``(n, robots, targets, 2)``.

    Returns:
        Indices of targets, ``(n, robots)``.
    """
    distances = np.sqrt((offsets * offsets).sum(axis=-1))
    n, robots, targets = distances.shape
    chosen = np.zeros((n, robots), dtype=np.int64)
    rows = np.arange(n)
    for _ in range(robots):
        robot, target = np.divmod(distances.reshape(n, -1).argmin(axis=1), targets)
        chosen[rows, robot] = target
        distances[rows, robot] = np.inf
        distances[rows, :, target] = np.inf
    return chosen


def _directions(angles: Floats) -> Floats:
    return np.stack([np.cos(angles), np.sin(angles), np.zeros_like(angles)], axis=-1)
