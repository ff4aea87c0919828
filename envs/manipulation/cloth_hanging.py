"""Cloth hanging: four effectors at the corners of a cloth put the hole in its middle over a hanger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from eqrl.arrays import Bools, Floats
from eqrl.envs.core import Outcome, Task, World, angle, choice, lengths, named, number, sector, whole
from eqrl.envs.scenes.cloth import Cloth, crossings, piercings, ring_normal
from eqrl.envs.scenes.effectors import velocity_command
from eqrl.envs.scenes.floor import add_camera, add_floor, new_spec
from eqrl.envs.scenes.goals import distance, length, total
from eqrl.envs.scenes.hindsight import from_info, steps_left, with_terms
from eqrl.envs.scenes.posts import add_post
from eqrl.symmetry import O2, Element, EntitySet, Field, Generator, Group, finite_group
from eqrl.symmetry.quaternions import matrix_to_quaternion

_HANGER, _CLOTH = 1, 2  # contact bits
_HANGER_RADIUS, _HANGER_HALF = 0.03, 0.27  # m; the half length without the round caps
_SPEED = 2.0  # m/s
_HOLES = {f"{row},{column}": (row, column) for row in (3, 2, 4, 5) for column in (3, 2, 4, 5)}
_ANY = Cloth()  # every cloth has as many vertices, corners and points round its hole


def _vectors(name: str, unit: str, description: str, over: str | None = None, role: Any = "") -> Field:
    return Field(name, "1x1o", over, role=role, unit=unit, description=description)


def _goal(of: str, role: Any = "") -> tuple[Field, ...]:
    return (
        _vectors("centre", "m", f"middle of the hole, {of}", role=role),
        Field("linked", "1x0e", description=f"1 if the hanger passes through the hole alone, {of}"),
        Field("aligned", "1x0e", description=f"cosine of the angle between the hole's normal and the hanger, {of}"),
    )


class ClothHanging(Task):
    """Four effectors at the corners of a cloth put the hole in its middle over a hanger.

    ## Description
    A cloth of 1 m and 8 x 8 vertices hangs in the air by its corners, each of which is an effector that is driven by
    its velocity. The effectors put its hole over a bar that points anywhere. The symmetry group is O(2) about gravity,
    times the exchange of the hanger's ends, which are alike. A goal environment with a dict observation; the hanger is
    part of the observation, and a goal says where the middle of the hole shall be and whether the bar passes through.

    ## Rewards
    Solved is what is linked: the hanger passes through the hole, counted by its crossings with the surface that the
    vertices round the hole span, and through nothing else. A cloth that is pulled hard over the hanger's end can be
    pierced between its vertices; success needs `pierced == 0`, and so does what is linked in a goal. `"paper"` is the
    reward of HEPi (Hoang et al., ICLR 2025), with its factor of the control step, 0.02 s, and of 5 in the last 2 of
    100 steps, which depends on time, and no observation shows time. There the angle is measured from the world's y
    axis, so that the reward does not turn with the scene; here it is measured from the hanger, whose ends are alike.
    `"sparse"` is 0 when solved, else -1. `compute_reward(achieved, desired, info)` gives the same for any goals; terms
    that no goal holds come from `info`.

    ## Starting state
    The hanger's middle at the origin, its axis in any direction (`hanger="any"`), level or upright; the azimuth of the
    end at which the cloth waits in `target_sector`. The cloth is flat, its hole at a distance from `start_distance`
    along the axis and up to `start_offset` beside it, its normal tilted from the axis by at most `tilt`, independently,
    and turned about that normal by any angle. Then the scene turns by `scene_rotation` degrees, and the hanger alone by
    `goal_rotation`, about the vertical through its middle.

    ## Episode end
    Never terminated; truncated after 100 steps (2 s).

    ## Version history
    * v0: first version.
    """

    frame_skip = 4
    main_body = _ANY.vertices[0]
    entities = (
        EntitySet("points", ("rim",) * len(_ANY.ring), exchangeable=True),
        EntitySet("effectors", ("effector",) * 4, exchangeable=True),
        EntitySet("targets", ("hanger end",) * 2, exchangeable=True),
        _ANY.entities,
    )
    reflections = {"hanger": (1.0, -1.0, 1.0)}
    observation = {
        "observation": (
            _vectors("points", "m", "vertices round the hole", "points", "position"),
            _vectors("point_velocities", "m/s", "their velocities", "points"),
            _vectors("effectors", "m", "the effectors", "effectors", "position"),
            _vectors("effector_velocities", "m/s", "their velocities", "effectors"),
            Field("rest", "1x0e", "effectors", unit="m", description="their distances from the hole in a flat cloth"),
            _vectors("hanger_ends", "m", "ends of the hanger", "targets", "position"),
            _vectors("hole", "m", "middle of the hole relative to the hanger's", role="goal"),
        ),
        "achieved_goal": _goal("now", "position"),
        "desired_goal": _goal("as it shall be"),
    }
    action = (_vectors("velocity", "2 m/s", "velocities of the effectors", "effectors"),)
    variables = (
        _vectors("hanger", "", "direction of the hanger"),
        _vectors("last_action", "", "action of the last step", "effectors"),
    )
    rewards = {
        "distance": (
            '-0.2 times the distance of the hole\'s middle from where it shall be, m (`"markov"`); -0.016 times it, and'
            ' -0.08 in the last 2 steps (`"paper"`)'
        ),
        "angle": '-0.02 (`"markov"`) or -0.0016 (`"paper"`, -0.008 in the last 2 steps) times `1 - aligned`',
        "stretch": '-1 (`"markov"`) or -0.02 (`"paper"`) times the mean relative stretch of the threads',
        "motion": '-0.004 times the mean speed of the vertices, m/s (`"paper"` only)',
        "action": '-0.00004 times the squared change of the action (`"paper"` only)',
        "success": '1 while linked (`"markov"`); 0 while linked, else -1 (`"sparse"`)',
    }
    metrics = {
        "distance": "of the hole's middle from the hanger's, m",
        "aligned": "cosine of the angle between the hole's normal and the hanger",
        "stretch": "mean relative stretch of the threads",
        "pierced": "number of the cloth's triangles that the hanger's axis crosses",
        "steps_left": "of `episode_steps`",
    }

    reward_type = choice("markov", "paper", "sparse", description="reward")
    hole = named(_HOLES, "row and column of the vertex at the middle of the hole")
    hanger = choice("any", "level", "upright", description="direction of the hanger")
    start_distance = lengths(
        (0.7, 1.0),
        "range of distances of the hole from the hanger's middle, along the hanger; below 0.55 a cloth may begin on it",
    )
    start_offset = number(0.3, "the hole starts at most this far beside the hanger's axis", "m")
    tilt = angle(
        60.0,
        "the cloth's normal is tilted from the hanger by at most this angle",
        most=60.0,
        reason="a cloth that leans further would begin in the hanger",
    )
    target_sector = sector("azimuths of the hanger's end at which the cloth starts")
    episode_steps = whole(
        100,
        "steps of an episode (max_episode_steps ends it), of which the paper's reward counts the last 2 fivefold",
        least=2,
    )

    def build(self) -> mujoco.MjSpec:
        """The cloth, its effectors and the hanger, in the air."""
        self.cloth = Cloth(self.hole)
        self.main_body = self.cloth.vertices[0]
        self.members = {"effectors": self.cloth.corners, **self.cloth.members}
        spec = new_spec(0.005, mujoco.mjtIntegrator.mjINT_IMPLICITFAST, shadow_clip=6.0)
        add_floor(spec, 1.0, check=0.5, contype=0, conaffinity=0)
        spec.geom("floor").pos = [0, 0, -1.6]
        contact: dict[str, Any] = {"friction": [0.3, 0.005, 0.0001], "solref": [0.01, 1.0]}
        self.cloth.add_to(spec, gain=8.0, effector_mass=0.1, contype=_CLOTH, conaffinity=_HANGER, **contact)
        add_post(spec, "hanger", _HANGER_RADIUS, _HANGER_HALF, contype=_HANGER, conaffinity=_CLOTH, **contact)
        add_camera(spec, (0.0, -3.6, 1.2), (0.0, 0.0, 0.1), fovy=50)
        return spec

    @property
    def group(self) -> Group:
        """O(2) about gravity, times the exchange of the hanger's ends."""
        swap = {"targets": np.eye(2)[::-1], "hanger axes": np.diag([1.0, -1.0, -1.0])}
        return O2.product(finite_group("C2", [Generator.of("exchange of the hanger's ends", None, swap)]))

    def reset(self, sim: World, rng: np.random.Generator, options: Mapping[str, Any]) -> None:
        """Draw the hanger's direction, and a flat cloth before one of its ends."""
        azimuth, sine = rng.uniform(*options["target_sector"]), rng.uniform(-1.0, 1.0)
        sine = {"any": sine, "level": 0.0, "upright": float(np.sign(sine))}[self.hanger]
        flat = np.sqrt(1.0 - sine * sine)
        axis = np.array([flat * np.cos(azimuth), flat * np.sin(azimuth), sine])
        across = _across(axis, rng.uniform(-np.pi, np.pi))
        tilted = _across(axis, rng.uniform(-np.pi, np.pi))
        lean = np.arccos(rng.uniform(np.cos(self.tilt), 1.0))
        normal = np.cos(lean) * axis + np.sin(lean) * tilted
        row = _across(normal, rng.uniform(-np.pi, np.pi))
        hole = rng.uniform(*self.start_distance) * axis + self.start_offset * np.sqrt(rng.random()) * across
        points = self.cloth.placed(hole, np.stack([row, np.cross(normal, row), normal]))
        sim.positions.effectors, sim.positions.cloth = points[:4], points[4:]
        self._point_hanger(sim, axis)

    def rotate_goal(self, sim: World, g: Element) -> None:
        """Turn the hanger about the vertical through its middle."""
        self._point_hanger(sim, g.R.numpy() @ sim.variables.hanger)

    @staticmethod
    def _point_hanger(sim: World, axis: Floats) -> None:
        side = _across(axis, 0.0)
        sim.variables.hanger = axis
        sim.bodies.hanger.position = np.zeros(3)
        sim.bodies.hanger.quaternion = matrix_to_quaternion(np.stack([side, np.cross(axis, side), axis], axis=1))

    def control(self, world: World, action: Floats) -> None:
        """Actions are velocities in units of 2 m/s, clipped to balls of length 1."""
        place = world.positions.effectors - world.bodies.hanger.position[:, None]
        velocity = velocity_command(action.reshape(-1, 4, 3), place, speed=_SPEED, reach=2.0)
        world.data.ctrl[:] = velocity.reshape(len(action), -1)

    def observe(self, world: World) -> dict[str, dict[str, Floats]]:
        """The vertices round the hole, the effectors, the ends of the hanger; where the hole is."""
        hanger = world.bodies.hanger.position
        achieved, ends = self._achieved(world), self._hanger_ends(world)
        desired = np.concatenate([hanger, np.ones((len(hanger), 2))], axis=1)
        from_hole = self.cloth.rest[:4] - self.cloth.centre
        return {
            "observation": {
                "points": world.positions.cloth[:, self.cloth.ring],
                "point_velocities": world.velocities.cloth[:, self.cloth.ring],
                "effectors": world.positions.effectors,
                "effector_velocities": world.velocities.effectors,
                "rest": np.broadcast_to(length(from_hole), (len(hanger), 4)),
                "hanger_ends": ends,
                "hole": achieved[:, :3] - hanger,
            },
            "achieved_goal": _named(achieved),
            "desired_goal": _named(desired),
        }

    @staticmethod
    def _hanger_ends(world: World) -> Floats:
        hanger = world.bodies.hanger
        half = (_HANGER_HALF + _HANGER_RADIUS) * hanger.axes[:, 2]
        ends: Floats = np.stack([hanger.position + half, hanger.position - half], axis=1)
        return ends

    def _pierced(self, world: World, which: Any = slice(None)) -> Floats:
        """How many triangles of some cloths the hanger's axis crosses, without its round caps, where they may lie."""
        points = np.concatenate([world.positions.effectors[which], world.positions.cloth[which]], axis=1)
        hanger = world.bodies.hanger
        return piercings(points, self.cloth.triangles, hanger.position[which], hanger.axes[which], _HANGER_HALF)

    def _achieved(self, world: World, pierced: Floats | None = None) -> Floats:
        ring, ends = world.positions.cloth[:, self.cloth.ring], self._hanger_ends(world)
        along = ends[:, 0] - ends[:, 1]
        normal = ring_normal(ring)
        cosine = np.abs(total(normal * along)) / (2.0 * (_HANGER_HALF + _HANGER_RADIUS))
        centre = total(ring.swapaxes(1, 2)) / ring.shape[1]
        linked = crossings(ring, ends[:, 0], ends[:, 1]) != 0
        over = np.flatnonzero(linked)
        linked[over] = (self._pierced(world, over) if pierced is None else pierced[over]) == 0
        return np.concatenate([centre, linked[:, None], cosine[:, None]], axis=1)

    @staticmethod
    def is_linked(achieved_goal: NDArray[Any], desired_goal: NDArray[Any]) -> Bools:
        """Whether the hanger passes through the hole alone, or not, as it shall; goals of shape ``(*batch, 5)``."""
        as_asked: Bools = achieved_goal[..., 3] == desired_goal[..., 3]
        return as_asked

    def _terms(self, achieved: NDArray[Any], desired: NDArray[Any], left: Any) -> dict[str, NDArray[Any]]:
        """Reward terms that follow from goals, and from the steps that are left."""
        solved = self.is_linked(achieved, desired)
        if self.reward_type == "sparse":
            return {"success": solved - 1.0}
        far = distance(achieved[..., :3], desired[..., :3])
        turned = np.abs(desired[..., 4].astype(np.float64) - achieved[..., 4])
        if self.reward_type == "paper":
            late = np.where(np.asarray(left) < 2, 5.0, 1.0)
            return {"distance": -0.8 * self.dt * late * far, "angle": -0.08 * self.dt * late * turned}
        return {"distance": -0.2 * far, "angle": -0.02 * turned, "success": 1.0 * solved}

    def compute_reward(self, achieved_goal: NDArray[Any], desired_goal: NDArray[Any], info: Any) -> Any:
        """Reward of any achieved goals for any desired ones, for hindsight replay.

        Args:
            achieved_goal: shape ``(*batch, 5)``.
            desired_goal: likewise.
            info: a dict, or one a pair, whose terms ``stretch``, ``motion`` and ``action`` are added as far as it has
                them, and whose clock ``steps_left`` the paper's reward asks.

        Returns:
            Rewards of shape ``(*batch,)``; a float for a single pair.
        """
        left = from_info(info, "steps_left", float(self.episode_steps))
        reward = sum(self._terms(achieved_goal, desired_goal, left).values())
        names = () if self.reward_type == "sparse" else ("reward_motion", "reward_action", "reward_stretch")
        return with_terms(reward, info, names)

    def evaluate(self, world: World, action: Floats) -> Outcome:
        """Reward from where the hole is and how far threads stretch; the paper's also from speed and actions."""
        pierced, hanger = self._pierced(world), world.bodies.hanger.position
        exact = self._achieved(world, pierced)
        achieved = exact.astype(np.float32)
        desired = np.concatenate([hanger, np.ones((len(hanger), 2))], axis=1).astype(np.float32)
        left = steps_left(world, self.episode_steps, self.dt)
        rewards = self._terms(achieved, desired, left)
        rest = self.model.flexedge_length0
        stretch = total(np.abs(world.data.flexedge_length - rest) / rest) / len(rest)
        if self.reward_type == "paper":
            rewards |= self._published_terms(world, action)
        if self.reward_type != "sparse":
            rewards["stretch"] = -(self.dt if self.reward_type == "paper" else 1.0) * stretch
        world.variables.last_action = action.reshape(-1, 4, 3)
        metrics = {
            "distance": distance(exact[:, :3], hanger),
            "aligned": exact[:, 4],
            "stretch": stretch,
            "pierced": pierced,
            "steps_left": left,
        }
        return Outcome(rewards, self.is_linked(achieved, desired), metrics=metrics)

    def _published_terms(self, world: World, action: Floats) -> dict[str, Floats]:
        speeds = np.concatenate([length(world.velocities.effectors), length(world.velocities.cloth)], axis=1)
        change = action - world.variables.last_action.reshape(len(action), -1)
        return {
            "motion": -0.2 * self.dt * total(speeds) / speeds.shape[1],
            "action": -0.002 * self.dt * total(change * change),
        }


def _named(goal: Floats) -> dict[str, Floats]:
    return {"centre": goal[:, :3], "linked": goal[:, 3], "aligned": goal[:, 4]}


def _across(axis: Floats, turn: float) -> Floats:
    """A unit vector at right angles to an axis, turned about it."""
    helper = np.array([0.0, 0.0, 1.0]) if abs(axis[2]) < 0.9 else np.array([1.0, 0.0, 0.0])
    first = np.cross(helper, axis)
    first /= np.sqrt(first @ first)
    out: Floats = np.cos(turn) * first + np.sin(turn) * np.cross(axis, first)
    return out
