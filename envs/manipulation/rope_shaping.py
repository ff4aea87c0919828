"""Rope shaping: two effectors lay a rope along a curve."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from eqrl.arrays import Floats
from eqrl.envs.core import Outcome, Task, World, add_marker, angle, choice, number, sector, whole
from eqrl.envs.scenes.chain import Chain
from eqrl.envs.scenes.curves import CURVES, SPLITS, curve
from eqrl.envs.scenes.effectors import add_effector, velocity_command
from eqrl.envs.scenes.floor import add_camera, add_floor, new_spec
from eqrl.envs.scenes.goals import length, total
from eqrl.envs.scenes.hindsight import from_info, steps_left, with_terms
from eqrl.symmetry import O2, Element, EntitySet, Field, Generator, Group, finite_group

_HEIGHT = 0.02
_ROPE = Chain(ends=("first", "second"), links=79)
_NODES = _ROPE.links + 1
_DRAG = 0.27  # Pa s; with it a link stops within 0.05 s, as on a rough table
_PUBLISHED_LENGTH = 10.0  # the paper's rope, in whose lengths its weights are meant


def _planar(name: str, unit: str, description: str, over: str | None = None, role: Any = "") -> Field:
    return Field(name, "1x1o", over, horizontal=True, role=role, unit=unit, description=description)


class RopeShaping(Task):
    """Two effectors lay a rope along a curve.

    ## Description
    A rope of 1 m and 80 nodes lies straight in the plane, each end held by an effector that is driven by its velocity.
    A viscous drag holds the rope where it is laid. The curve has a place, a direction and some smooth bends to either
    side; which end of the rope lies at which end of the curve does not matter. The symmetry group is O(2) about gravity
    times the exchange of the rope's ends, which is exact: the chain of links grows from its middle. A goal environment
    with a dict observation, ready for hindsight replay: goals are points of the rope, and where they shall be.

    ## Rewards
    The distance is the mean over the observed points of the rope, for the better of the two ways round. `"paper"` is
    the reward of HEPi (Hoang et al., ICLR 2025), which compares angles between links, to the chord and coordinates from
    the middle between the ends, wherever the rope is, with its factor of the control step, 0.02 s, of 5 in the last 10
    of 200 steps, which depends on time, and no observation shows time, and its lengths, those of a rope of 10 m; its
    points are those that are observed. `"sparse"` is 0 when solved, else -1. `compute_reward(achieved, desired, info)`
    gives the same for any goals; terms that no goal holds come from `info`.

    ## Starting state
    The curve's mean at the origin, its mean direction from `target_sector`; `split` says from which thousand curves one
    is drawn. The rope lies straight, its middle up to `start_offset` from the origin, turned from the curve by at most
    `rope_turn`. Then the scene turns by `scene_rotation` degrees, and the curve alone by `goal_rotation`.

    ## Episode end
    Never terminated; truncated after 200 steps (4 s).

    ## Version history
    * v0: first version.
    """

    frame_skip = 4
    main_body = "rope"
    entities = (
        EntitySet("points", ("bead",) * 20, exchangeable=True),  # as many as `resolution` says
        EntitySet("effectors", ("effector",) * 2, exchangeable=True),
        EntitySet("curve", ("point",) * _NODES),
        _ROPE.entities,
    )
    members = {"effectors": _ROPE.ends, **_ROPE.members}
    reflections = _ROPE.reflections
    observation = {
        "observation": (
            _planar("point_velocities", "m/s", "velocities of the rope's points", "points"),
            _planar("to_end", "m", "from each point to its own end of the rope", "points"),
            Field("along", "1x0e", "points", description="their distance from the rope's middle along it, 0 to 1"),
            _planar("effectors", "m", "the effectors", "effectors", "position"),
            _planar("effector_velocities", "m/s", "their velocities", "effectors"),
        ),
        "achieved_goal": (_planar("points", "m", "points of the rope", "points", "position"),),
        "desired_goal": (_planar("points", "m", "where they shall be, the better way round", "points", "position"),),
    }
    action = (_planar("velocity", "0.5 m/s", "velocities of the effectors", "effectors"),)
    variables = (
        _planar("curve", "m", "points of the curve", "curve"),
        _planar("last_action", "", "action of the last step", "effectors"),
    )
    rewards = {
        "distance": '-2 times the mean distance, in lengths of the rope (`"markov"` only)',
        "near": '`1 / (1 + (d / 0.03)^2)` of that distance d (`"markov"` only)',
        "shape": (
            "-0.02, and -0.1 in the last 10 steps, times the mean squared difference of what describes shapes"
            ' (`"paper"` only)'
        ),
        "action": '-0.000002 times the squared change of the action (`"paper"` only)',
        "success": '0 while solved, else -1 (`"sparse"` only)',
    }
    metrics = {"distance": "mean distance of the rope's points from the curve's, m", "steps_left": "of `episode_steps`"}

    reward_type = choice("markov", "paper", "sparse", description="reward")
    split = choice(*SPLITS, description="curves that are drawn")
    bends = whole(2, "bends of a curve", least=1)
    largest_bend = angle(60.0, "a bend is at most this angle")
    target_sector = sector("mean directions of the curve")
    rope_turn = angle(30.0, "the rope is turned from the curve by at most this angle")
    start_offset = number(0.1, "the rope's middle starts at most this far from the curve's", "m")
    success_distance = number(0.03, "mean distance at which the curve is reached, in lengths of the rope")
    resolution = whole(20, "points of the rope that are observed and measured, an even number", least=4)
    episode_steps = whole(
        200,
        "steps of an episode (max_episode_steps ends it), of which the paper's reward counts the last 10 fivefold",
        least=10,
    )

    def build(self) -> mujoco.MjSpec:
        """The rope and its effectors above a floor that nothing touches."""
        if self.resolution % 2 or self.resolution > _NODES - 2:
            raise ValueError(
                f"resolution={self.resolution} must be an even number of at most {_NODES - 2}: half of the points"
                " belong to each end of the rope, and the ends themselves are the effectors"
            )
        points = EntitySet("points", ("bead",) * self.resolution, exchangeable=True)
        self.entities = (points, *type(self).entities[1:])
        # with the implicit integrators the derivative of the drag costs five times as much as everything else
        spec = new_spec(0.005, mujoco.mjtIntegrator.mjINT_EULER, shadow_clip=6.0)
        spec.option.viscosity = _DRAG
        add_floor(spec, 1.0, check=0.2, contype=0, conaffinity=0)
        for name in _ROPE.ends:
            add_effector(
                spec, dims=2, radius=0.02, height=_HEIGHT, gain=10.0, mass=0.1, name=name, contype=0, conaffinity=0
            )
        _ROPE.add_to(spec, contype=0, conaffinity=0)
        add_camera(spec, (0.0, -0.8, 1.2), (0.0, -0.03, 0.0), fovy=50)
        return spec

    @property
    def group(self) -> Group:
        """O(2) about gravity, times the exchange of the rope's ends."""
        swap = {"effectors": np.eye(2)[::-1], "points": np.eye(self.resolution)[::-1], **_ROPE.reversal}
        return O2.product(finite_group("C2", [Generator.of("exchange of the ends", None, swap)]))

    @cached_property
    def observed(self) -> NDArray[np.int64]:
        """Which nodes are observed: evenly spaced between the ends, alike from both."""
        evenly = np.linspace(0, _NODES - 1, self.resolution + 2).round().astype(np.int64)
        half = evenly[1 : self.resolution // 2 + 1]
        return np.concatenate([half, _NODES - 1 - half[::-1]])

    @cached_property
    def bodies(self) -> NDArray[np.int64]:
        """The bodies there."""
        ids: NDArray[np.int64] = _ROPE.node_ids(self.model)[self.observed]
        return ids

    def reset(self, sim: World, rng: np.random.Generator, options: Mapping[str, Any]) -> None:
        """Draw a curve and where it lies, and a straight rope near it."""
        line = curve(int(rng.integers(CURVES)), self.split, self.bends, self.largest_bend, _NODES)
        direction, turn = rng.uniform(*options["target_sector"]), rng.uniform(-self.rope_turn, self.rope_turn)
        c, s = np.cos(direction), np.sin(direction)
        sim.variables.curve = _ROPE.length * line @ np.array([[c, s], [-s, c]])
        far, azimuth = self.start_offset * np.sqrt(rng.random()), rng.uniform(-np.pi, np.pi)
        middle = far * np.array([np.cos(azimuth), np.sin(azimuth)])
        sim.positions.effectors = _ROPE.lay_straight(sim, middle, direction + turn)

    def rotate_goal(self, sim: World, g: Element) -> None:
        """Turn the curve about the origin."""
        sim.variables.curve = sim.variables.curve @ g.R.numpy()[:2, :2].T

    def control(self, world: World, action: Floats) -> None:
        """Actions are velocities in units of 0.5 m/s, clipped to discs of length 1."""
        velocity = velocity_command(action.reshape(-1, 2, 2), world.positions.effectors, speed=0.5, reach=1.0)
        world.data.ctrl[:] = velocity.reshape(len(action), -1)

    def observe(self, world: World) -> dict[str, dict[str, Floats]]:
        """Points of the rope and how they move, the effectors, and the points of the curve."""
        points, desired = self._goals(world)
        own_end = np.repeat(world.positions.effectors, self.resolution // 2, axis=1)
        along = np.abs(self.observed / (0.5 * (_NODES - 1)) - 1.0)
        return {
            "observation": {
                "point_velocities": _ROPE.node_velocities(world, self.model, self.bodies),
                "to_end": own_end - points,
                "along": np.broadcast_to(along, (len(points), self.resolution)),
                "effectors": world.positions.effectors,
                "effector_velocities": world.velocities.effectors,
            },
            "achieved_goal": {"points": points},
            "desired_goal": {"points": desired},
        }

    def _goals(self, world: World) -> tuple[Floats, Floats]:
        """Points of the rope, and of the curve the better way round, ``(n, resolution, 2)`` each."""
        points, line = _ROPE.nodes(world, self.bodies), world.variables.curve[:, self.observed]
        back = _mean_distance(points, line[:, ::-1]) < _mean_distance(points, line)
        return points, np.where(back[:, None, None], line[:, ::-1], line)

    def mean_distance(self, achieved_goal: NDArray[Any], desired_goal: NDArray[Any]) -> Floats:
        """Mean distance of points, for the better of the two ways round, m.

        Args:
            achieved_goal: ``(*batch, 2 * resolution)``.
            desired_goal: likewise.

        Returns:
            Shape ``(*batch,)``.
        """
        here, there = self._points(achieved_goal), self._points(desired_goal)
        return np.minimum(_mean_distance(here, there), _mean_distance(here, there[..., ::-1, :]))

    def _points(self, goal: NDArray[Any]) -> Floats:
        goal = np.asarray(goal, dtype=np.float64)
        return goal.reshape(*goal.shape[:-1], goal.shape[-1] // 2, 2)

    def _terms(self, achieved: NDArray[Any], desired: NDArray[Any], left: Any) -> dict[str, NDArray[Any]]:
        """Reward terms that follow from goals, and from the steps that are left."""
        if self.reward_type == "paper":
            here, there = self._points(achieved), self._points(desired)
            ways = [_shape_error(here, there[..., ::way, :]) for way in (1, -1)]
            return {"shape": -self.dt * np.where(np.asarray(left) < 10, 5.0, 1.0) * np.minimum(*ways)}
        far = self.mean_distance(achieved, desired) / _ROPE.length
        if self.reward_type == "sparse":
            return {"success": (far < self.success_distance) - 1.0}
        return {"distance": -2.0 * far, "near": 1.0 / (1.0 + (far / 0.03) ** 2)}

    def compute_reward(self, achieved_goal: NDArray[Any], desired_goal: NDArray[Any], info: Any) -> Any:
        """Reward of any achieved goals for any desired ones, for hindsight replay.

        Args:
            achieved_goal: ``(*batch, 2 * resolution)``.
            desired_goal: likewise.
            info: a dict, or one a pair, whose term ``action`` is added for the paper's reward, if it has it, and whose
                clock ``steps_left`` that reward asks.

        Returns:
            Rewards of shape ``(*batch,)``; a float for a single pair.
        """
        left = from_info(info, "steps_left", float(self.episode_steps))
        reward = sum(self._terms(achieved_goal, desired_goal, left).values())
        return with_terms(reward, info, ("reward_action",) if self.reward_type == "paper" else ())

    def evaluate(self, world: World, action: Floats) -> Outcome:
        """Reward from the points of the rope; the paper's also from actions."""
        n = len(action)
        achieved, desired = (goal.reshape(n, -1).astype(np.float32) for goal in self._goals(world))
        left = steps_left(world, self.episode_steps, self.dt)
        rewards, far = self._terms(achieved, desired, left), self.mean_distance(achieved, desired)
        if self.reward_type == "paper":
            change = action - world.variables.last_action.reshape(n, -1)
            rewards["action"] = -0.0001 * self.dt * total(change * change)
        world.variables.last_action = action.reshape(-1, 2, 2)
        return Outcome(
            rewards, far / _ROPE.length < self.success_distance, metrics={"distance": far, "steps_left": left}
        )

    def draw_markers(self, scene: mujoco.MjvScene, sim: World) -> None:
        """Points of the curve."""
        for point in sim.variables.curve[self.observed]:
            add_marker(scene, (*point, 0.004), 0.012, (0.2, 0.65, 0.35, 0.6))


def _mean_distance(a: Floats, b: Floats) -> Floats:
    mean: Floats = total(length(a - b)) / a.shape[-2]
    return mean


def _shape_error(a: Floats, b: Floats) -> Floats:
    """Mean squared difference of what the paper describes shapes by, ``(*batch, n, 2)`` each to ``(*batch,)``."""
    (turn_a, chord_a, rest_a), (turn_b, chord_b, rest_b) = _description(a), _description(b)
    angles = np.concatenate([turn_a - turn_b, chord_a - chord_b], axis=-1)
    angles = angles - 2 * np.pi * np.round(angles / (2 * np.pi))
    difference = np.concatenate([angles, rest_a - rest_b], axis=-1)
    mean: Floats = total(difference * difference) / difference.shape[-1]
    return mean


def _description(line: Floats) -> tuple[Floats, Floats, Floats]:
    """Turning angles, angles to the chord; coordinates and distances from the middle between the ends."""
    step, chord = np.diff(line, axis=-2), line[..., -1:, :] - line[..., :1, :]
    from_middle = _PUBLISHED_LENGTH * (line - 0.5 * (line[..., -1:, :] + line[..., :1, :]))
    turning = _angle(step[..., :-1, :], step[..., 1:, :])
    rest = [from_middle.reshape(*line.shape[:-2], -1), length(from_middle)]
    return turning, _angle(chord, step), np.concatenate(rest, axis=-1)


def _angle(a: Floats, b: Floats) -> Floats:
    """Angles from one direction to another, rad."""
    sine = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    angle: Floats = np.arctan2(sine, a[..., 0] * b[..., 0] + a[..., 1] * b[..., 1])
    return angle
