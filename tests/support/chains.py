"""Chains of different length with the same observations and actions.

The members of a fleet for tests and benchmarks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mujoco
import numpy as np

import eqrl
from eqrl.envs import register
from eqrl.envs.core.arguments import number
from eqrl.envs.core.layout import StateLayout
from eqrl.envs.core.task import Floats, Outcome, Task
from eqrl.envs.core.world import World
from eqrl.envs.scenes.effectors import add_effector, velocity_command
from eqrl.envs.scenes.floor import add_camera, add_floor, new_spec
from eqrl.envs.scenes.goals import distance
from eqrl.symmetry import SO2, Element, EntitySet, Field, adjacency

CHAINS, SLOTTED = "tests/Chain-v0", "tests/SlottedChain-v0"
SIZES = {f"{links} links": {"links": links} for links in range(2, 10)}
_HEIGHT, _LINK, _SLOTS = 1.5, 0.1, 9


class Chain(Task):
    """A hand from which a chain hangs brings the chain's tip over a point; the chain may touch the floor.

    ## Starting state
    The chain hangs down at the origin; the goal lies 0.2 m away.

    ## Episode end
    Truncated after 40 steps.
    """

    frame_skip = 5
    main_body = "link 0"
    group = SO2
    observation = (
        Field("hand", "1x1o", horizontal=True, unit="m", description="position of the hand"),
        Field("tip", "1x1o", unit="m", description="tip relative to the hand"),
        Field("goal", "1x1o", horizontal=True, role="goal", unit="m", description="goal relative to the hand"),
    )
    action = (Field("velocity", "1x1o", horizontal=True, unit="0.5 m/s", description="velocity of the hand"),)
    variables = (Field("goal", "1x1o", horizontal=True),)
    rewards = {"distance": "minus the distance of tip and goal in m"}
    metrics = {"distance": "m"}

    links = number(3, "number of links", least=1)
    hand_height = number(_HEIGHT, "height of the hand", "m")
    bound = number(1.0, "largest action", least=0.1)

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.action_space = eqrl.TypedBox(self.action_space.representation, -self.bound, self.bound)

    def build(self) -> mujoco.MjSpec:
        """The hand and the links."""
        spec = new_spec(0.005, mujoco.mjtIntegrator.mjINT_IMPLICITFAST)
        add_floor(spec, 0.4)
        add_effector(spec, dims=2, radius=0.04, height=self.hand_height, gain=20.0, mass=0.5, contype=0, conaffinity=0)
        body = spec.body("effector")
        for k in range(int(self.links)):
            body = body.add_body(name=f"link {k}", pos=[0, 0, -_LINK if k else 0])
            body.add_joint(name=f"joint {k}", type=mujoco.mjtJoint.mjJNT_BALL, damping=[0.01, 0, 0])
            body.add_geom(
                type=mujoco.mjtGeom.mjGEOM_CAPSULE, fromto=[0, 0, 0, 0, 0, -_LINK], size=[0.02, 0, 0], density=300.0
            )
        body.add_site(name="tip", pos=[0, 0, -_LINK])
        add_camera(spec, (0.0, -2.5, 1.2), (0.0, 0.0, 0.8), fovy=45)
        return spec

    def state_layout(self) -> StateLayout:
        """Ball joints and the hand's slides."""
        return StateLayout.of(self.model, self.group)

    def reset(self, sim: World, rng: np.random.Generator, options: Mapping[str, Any]) -> None:
        """Draw the direction of the goal."""
        angle = rng.uniform(-np.pi, np.pi)
        sim.variables.goal = 0.2 * np.array([np.cos(angle), np.sin(angle)])

    def rotate_goal(self, sim: World, g: Element) -> None:
        """Turn the goal about the origin."""
        sim.variables.goal = g.R.numpy()[:2, :2] @ sim.variables.goal

    def control(self, world: World, action: Floats) -> None:
        """Actions are velocities in units of 0.5 m/s."""
        world.data.ctrl[:] = velocity_command(action, world.positions.effector, speed=0.5, reach=0.5)

    def observe(self, world: World) -> dict[str, Floats]:
        """Hand, tip and goal."""
        hand = world.positions.effector
        tip = world.data.site_xpos[:, 0] - np.pad(hand, ((0, 0), (0, 1)), constant_values=self.hand_height)
        return {"hand": hand, "tip": tip, "goal": world.variables.goal - hand}

    def evaluate(self, world: World, action: Floats) -> Outcome:
        """Distance of the tip's shadow from the goal."""
        far = distance(world.data.site_xpos[:, 0, :2], world.variables.goal)
        return Outcome({"distance": -far}, far < 0.05, metrics={"distance": far})


class SlottedChain(Chain):
    """A chain seen link by link, in nine slots of which it fills as many as it has links.

    ## Starting state
    As the chain's.

    ## Episode end
    As the chain's.
    """

    entities = (EntitySet("links", ("link",) * _SLOTS, mask="real"),)
    observation = (
        Field("goal", "1x1o", horizontal=True, role="goal", unit="m", description="goal relative to the hand"),
        Field("real", "1x0e", entities="links", description="1 where there is a link, 0 in a slot of padding"),
        Field("parent", f"{_SLOTS}x0e", entities="links", role="parent", description="the link that it hangs on"),
        Field(
            "where", "1x1o", entities="links", role="position", unit="m", description="position relative to the hand"
        ),
    )

    def observe(self, world: World) -> dict[str, Floats]:
        """Goal and links."""
        links, hand = int(self.links), world.positions.effector
        n, first = len(hand), self.model.body("link 0").id
        where = np.zeros((n, _SLOTS, 3))
        where[:, :links] = world.data.xpos[:, first : first + links]
        where[:, :links, :2] -= hand[:, None]
        where[:, :links, 2] -= self.hand_height
        parents = np.broadcast_to(adjacency(range(-1, links - 1), _SLOTS), (n, _SLOTS, _SLOTS))
        real = np.broadcast_to(np.arange(_SLOTS) < links, (n, _SLOTS))
        return {"goal": world.variables.goal - hand, "real": real, "parent": parents, "where": where}


def register_chains() -> None:
    """Make the chains known, once."""
    if CHAINS not in eqrl.ENVIRONMENTS:
        register(CHAINS, Chain, max_episode_steps=40)
        register(SLOTTED, SlottedChain, max_episode_steps=40)
