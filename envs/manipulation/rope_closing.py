"""Rope closing: two effectors lay a rope round a post and bring its ends together."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from eqrl.arrays import Bools, Floats
from eqrl.envs.core import Outcome, Task, World, add_marker, angle, choice, lengths, number, sector, whole
from eqrl.envs.scenes.chain import Chain
from eqrl.envs.scenes.effectors import add_effector, velocity_command
from eqrl.envs.scenes.floor import add_camera, add_floor, new_spec
from eqrl.envs.scenes.goals import distance, length, total
from eqrl.envs.scenes.hindsight import steps_left, with_terms
from eqrl.envs.scenes.posts import add_post
from eqrl.envs.scenes.winding import turns
from eqrl.symmetry import O2, Element, EntitySet, Field, Generator, Group, finite_group

_HEIGHT = 0.02
_POST, _ROPE = 1, 2  # contact bits: everything touches the post only
_ROPE_CHAIN = Chain(ends=("first", "second"))
_TURNS, _GAP, _ENCLOSED, _AWAY = range(4)  # entries of the goals
_PUBLISHED_LENGTH = 5.0  # the paper's rope, in whose lengths its weights are meant


def _planar(name: str, unit: str, description: str, over: str | None = None, role: Any = "") -> Field:
    return Field(name, "1x1o", over, horizontal=True, role=role, unit=unit, description=description)


def _outline(of: str) -> tuple[Field, ...]:
    return (
        Field("turns", "1x0e", description=f"how often the open rope goes round the post, in turns, {of}"),
        Field("gap", "1x0e", description=f"distance of its ends in lengths of the rope, {of}"),
        Field("enclosed", "1x0e", description=f"winding number of the polygon that closes the rope, {of}"),
        Field("away", "1x0e", unit="m", description=f"distance of the rope's mean from the post, {of}"),
    )


class RopeClosing(Task):
    """Two effectors lay a rope round a post and bring its ends together.

    ## Description
    A rope of 1 m and 41 links lies straight in the plane, each end held by an effector that is driven by its velocity.
    The effectors close it round a post. The symmetry group is O(2) about gravity times the exchange of the rope's ends,
    which is exact: the chain of links grows from its middle. A goal environment with a dict observation; what a goal
    says (so many turns, such a gap) holds wherever the post stands.

    ## Rewards
    With W the winding angle of the open rope about the post and `u = min(|W| / 2 pi, 1)`, the reward `"markov"` pays
    for winding first, and for closing the gap once `u` comes to 0.4-0.7. `"paper"` is that of HEPi (Hoang et al., ICLR
    2025), with its factor of the control step, 0.02 s, its term of the last 20 of 200 steps, and its lengths, those of
    a rope of 5 m; its gap depends on time, which no observation shows. `"sparse"` is 0 when solved, else -1.
    `compute_reward(achieved, desired, info)` gives the same for any goals; terms of the paper that no goal holds come
    from `info`.

    ## Starting state
    The post at the origin; the rope's middle at a distance from `post_distance`, from where the post lies in a
    direction from `target_sector`; the rope across that direction, turned by at most `rope_turn`. Then the scene turns
    by `scene_rotation` degrees, and the post alone by `goal_rotation` about the rope's middle.

    ## Episode end
    Never terminated; truncated after 200 steps (4 s).

    ## Version history
    * v0: first version.
    """

    frame_skip = 4
    main_body = "rope"
    entities = (
        EntitySet("points", ("bead",) * 16, exchangeable=True),  # as many as `resolution` says
        EntitySet("effectors", ("effector",) * 2, exchangeable=True),
        EntitySet("targets", ("post",), exchangeable=True),
        _ROPE_CHAIN.entities,
    )
    members = {"effectors": _ROPE_CHAIN.ends, **_ROPE_CHAIN.members}
    reflections = {**_ROPE_CHAIN.reflections, "post": (1.0, -1.0, 1.0)}
    observation = {
        "observation": (
            _planar("points", "m", "points of the rope", "points", "position"),
            _planar("point_velocities", "m/s", "their velocities", "points"),
            _planar("to_end", "m", "from each point to its own end of the rope", "points"),
            Field("along", "1x0e", "points", description="their distance from the rope's middle along it, 0 to 1"),
            _planar("effectors", "m", "the effectors", "effectors", "position"),
            _planar("effector_velocities", "m/s", "their velocities", "effectors"),
            _planar("post", "m", "the post", "targets", "position"),
            _planar("middle", "m", "the rope's middle relative to the post", role="goal"),
        ),
        "achieved_goal": _outline("now"),
        "desired_goal": _outline("as it shall be"),
    }
    action = (_planar("velocity", "1 m/s", "velocities of the effectors", "effectors"),)
    variables = (
        _planar("post", "m", "the post"),
        _planar("last_action", "", "action of the last step", "effectors"),
    )
    rewards = {
        "winding": '`-0.2 (1 - u)` (`"markov"` only)',
        "gap": (
            '`-0.1 (g gap + 1 - g)` with `g = clip((u - 0.4) / 0.3, 0, 1)` (`"markov"`); -0.04 times the gap, m, in the'
            ' last 20 steps (`"paper"`)'
        ),
        "away": '-0.016 times the distance of the rope\'s mean from the post, m (`"paper"` only)',
        "motion": '-0.0002 times the mean speed of the rope, m/s (`"paper"` only)',
        "action": '-0.00002 times the squared change of the action (`"paper"` only)',
        "success": '1 while solved (`"markov"`); 0 while solved, else -1 (`"sparse"`)',
    }
    metrics = {
        "distance": "of the rope's mean from the post, m",
        "gap": "distance of the ends in lengths of the rope",
        "turns": "of the open rope round the post",
    }

    reward_type = choice("markov", "paper", "sparse", description="reward")
    post_distance = lengths((0.6, 0.8), "range of distances of the post from the rope's middle")
    target_sector = sector("directions of the post from the rope's middle")
    rope_turn = angle(45.0, "the rope is turned by at most this angle")
    success_gap = number(0.05, "largest gap of a closed rope, in its lengths")
    resolution = whole(16, "points of the rope that are observed, an even number", least=2)
    episode_steps = whole(
        200,
        "steps of an episode (max_episode_steps ends it), of which the paper's reward counts the last 20",
        least=20,
    )

    def build(self) -> mujoco.MjSpec:
        """The rope, its effectors and the post above a floor that nothing touches."""
        if self.resolution % 2 or self.resolution > _ROPE_CHAIN.links - 1:
            raise ValueError(
                f"resolution={self.resolution} must be an even number of at most {_ROPE_CHAIN.links - 1}: half of the"
                " points belong to each end of the rope, and there are no more hinges"
            )
        points = EntitySet("points", ("bead",) * self.resolution, exchangeable=True)
        self.entities = (points, *type(self).entities[1:])
        spec = new_spec(0.005, mujoco.mjtIntegrator.mjINT_IMPLICITFAST, shadow_clip=6.0)
        add_floor(spec, 1.0, check=0.2, contype=0, conaffinity=0)
        for name in _ROPE_CHAIN.ends:
            add_effector(
                spec, dims=2, radius=0.02, height=_HEIGHT, gain=10.0, mass=0.1, name=name, contype=_ROPE,
                conaffinity=_POST,
            )  # fmt: skip
        contact = {"friction": [0.3, 0.005, 0.0001], "solref": [0.01, 1.0]}
        _ROPE_CHAIN.add_to(spec, contype=_ROPE, conaffinity=_POST, **contact)
        add_post(spec, "post", 0.06, 0.05, _HEIGHT, contype=_POST, conaffinity=_ROPE, **contact)
        add_camera(spec, (0.0, -1.3, 1.9), (0.0, -0.05, 0.0), fovy=50)
        return spec

    @property
    def group(self) -> Group:
        """O(2) about gravity, times the exchange of the rope's ends."""
        swap = {"effectors": np.eye(2)[::-1], "points": np.eye(self.resolution)[::-1], **_ROPE_CHAIN.reversal}
        return O2.product(finite_group("C2", [Generator.of("exchange of the ends", None, swap)]))

    @cached_property
    def nodes(self) -> NDArray[np.int64]:
        """Bodies at the nodes of the rope."""
        ids: NDArray[np.int64] = _ROPE_CHAIN.node_ids(self.model)
        return ids

    @cached_property
    def observed(self) -> NDArray[np.int64]:
        """Which nodes are observed: evenly spaced hinges, alike from both ends."""
        half = (
            np.linspace(0, len(self.nodes) - 1, self.resolution + 2).round().astype(int)[1 : self.resolution // 2 + 1]
        )
        both: NDArray[np.int64] = np.concatenate([half, len(self.nodes) - 1 - half[::-1]])
        return both

    def reset(self, sim: World, rng: np.random.Generator, options: Mapping[str, Any]) -> None:
        """Draw where the rope lies, straight, seen from the post."""
        direction, far = rng.uniform(*options["target_sector"]), rng.uniform(*self.post_distance)
        turn = rng.uniform(-self.rope_turn, self.rope_turn)
        middle = -far * np.array([np.cos(direction), np.sin(direction)])
        sim.positions.effectors = _ROPE_CHAIN.lay_straight(sim, middle, direction + np.pi / 2 + turn)
        self._place_post(sim, np.zeros(2))

    def rotate_goal(self, sim: World, g: Element) -> None:
        """Move the post round the rope's middle."""
        middle = sim.positions.rope
        self._place_post(sim, middle + g.R.numpy()[:2, :2] @ (sim.variables.post - middle))

    @staticmethod
    def _place_post(sim: World, position: Floats) -> None:
        sim.variables.post = position
        sim.bodies.post.position = (*position, _HEIGHT)

    def control(self, world: World, action: Floats) -> None:
        """Actions are velocities in units of 1 m/s, clipped to discs of length 1."""
        place = world.positions.effectors - world.variables.post[:, None]
        velocity = velocity_command(action.reshape(-1, 2, 2), place, speed=1.0, reach=1.4)
        world.data.ctrl[:] = velocity.reshape(len(action), -1)

    def observe(self, world: World) -> dict[str, dict[str, Floats]]:
        """Points of the rope, the effectors, the post; how far the rope is closed."""
        ids, effectors = self.nodes[self.observed], world.positions.effectors
        points = _ROPE_CHAIN.nodes(world, ids)
        own_end = np.repeat(effectors, self.resolution // 2, axis=1)
        along = np.abs(self.observed / (0.5 * (len(self.nodes) - 1)) - 1.0)
        n = len(points)
        return {
            "observation": {
                "points": points,
                "point_velocities": _ROPE_CHAIN.node_velocities(world, self.model, ids),
                "to_end": own_end - points,
                "along": np.broadcast_to(along, (n, self.resolution)),
                "effectors": effectors,
                "effector_velocities": world.velocities.effectors,
                "post": world.variables.post[:, None],
                "middle": world.positions.rope - world.variables.post,
            },
            "achieved_goal": _named(self._achieved(world)),
            "desired_goal": _named(np.broadcast_to([1.0, 0.0, 1.0, 0.0], (n, 4))),
        }

    def _achieved(self, world: World) -> Floats:
        line, post = _ROPE_CHAIN.nodes(world, self.nodes), world.variables.post
        opened, closed = turns(line, post)
        middle = total(line.swapaxes(1, 2)) / len(self.nodes)
        gap = distance(line[:, 0], line[:, -1]) / _ROPE_CHAIN.length
        return np.stack([np.abs(opened), gap, np.abs(closed).round(), distance(middle, post)], axis=-1)

    def is_closed(self, achieved_goal: NDArray[Any], desired_goal: NDArray[Any]) -> Bools:
        """Whether ropes go round their posts as they shall, with small gaps; goals of shape ``(*batch, 4)``."""
        round_it = achieved_goal[..., _ENCLOSED] == desired_goal[..., _ENCLOSED]
        closed: Bools = round_it & (achieved_goal[..., _GAP] - desired_goal[..., _GAP] < self.success_gap)
        return closed

    def _terms(self, achieved: NDArray[Any], desired: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Reward terms that follow from goals."""
        solved = self.is_closed(achieved, desired)
        if self.reward_type == "sparse":
            return {"success": solved - 1.0}
        if self.reward_type == "paper":
            away = np.abs(achieved[..., _AWAY] - desired[..., _AWAY]).astype(np.float64)
            return {"away": -0.8 * self.dt * _PUBLISHED_LENGTH * away}
        u = np.clip(achieved[..., _TURNS] / np.maximum(desired[..., _TURNS], 1e-6), 0.0, 1.0).astype(np.float64)
        gate = np.clip((u - 0.4) / 0.3, 0.0, 1.0)
        gap = np.abs(achieved[..., _GAP] - desired[..., _GAP])
        return {"winding": -0.2 * (1.0 - u), "gap": -0.1 * (gate * gap + 1.0 - gate), "success": 1.0 * solved}

    def compute_reward(self, achieved_goal: NDArray[Any], desired_goal: NDArray[Any], info: Any) -> Any:
        """Reward of any achieved goals for any desired ones, for hindsight replay.

        Args:
            achieved_goal: shape ``(*batch, 4)``.
            desired_goal: likewise.
            info: a dict, or one a pair, whose terms ``gap``, ``motion`` and ``action`` are added for the paper's
                reward, as far as it has them.

        Returns:
            Rewards of shape ``(*batch,)``; a float for a single pair.
        """
        reward = sum(self._terms(achieved_goal, desired_goal).values())
        names = ("reward_gap", "reward_motion", "reward_action") if self.reward_type == "paper" else ()
        return with_terms(reward, info, names)

    def evaluate(self, world: World, action: Floats) -> Outcome:
        """Reward from the winding and the gap; for the paper's also from speed and actions."""
        exact = self._achieved(world)
        achieved = exact.astype(np.float32)
        desired = np.broadcast_to(np.array([1.0, 0.0, 1.0, 0.0], dtype=np.float32), achieved.shape)
        rewards = self._terms(achieved, desired)
        if self.reward_type == "paper":
            rewards |= self._published_terms(world, action, exact)
        world.variables.last_action = action.reshape(-1, 2, 2)
        return Outcome(
            rewards,
            self.is_closed(achieved, desired),
            metrics={"distance": exact[:, _AWAY], "gap": exact[:, _GAP], "turns": exact[:, _TURNS]},
        )

    def _published_terms(self, world: World, action: Floats, exact: Floats) -> dict[str, Floats]:
        late = steps_left(world, self.episode_steps, self.dt) < 20
        velocity = _ROPE_CHAIN.node_velocities(world, self.model, self.nodes)
        speed = total(length(velocity)) / len(self.nodes)
        change = action - world.variables.last_action.reshape(len(action), -1)
        return {
            "gap": -2.0 * self.dt * _PUBLISHED_LENGTH * exact[:, _GAP] * late,
            "motion": -0.01 * self.dt * _PUBLISHED_LENGTH * speed,
            "action": -0.001 * self.dt * total(change * change),
        }

    def draw_markers(self, scene: mujoco.MjvScene, sim: World) -> None:
        """Rings where the ends are."""
        for end in sim.positions.effectors:
            add_marker(scene, (*end, _HEIGHT), 0.025, (0.93, 0.55, 0.2, 0.4))


def _named(goal: Floats) -> dict[str, Floats]:
    return {"turns": goal[:, _TURNS], "gap": goal[:, _GAP], "enclosed": goal[:, _ENCLOSED], "away": goal[:, _AWAY]}
