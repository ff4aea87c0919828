"""The task protocol: a task is written once, on arrays with a leading axis of simulations."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar

import mujoco
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from eqrl.arrays import Bools, Floats
from eqrl.envs.core.arguments import Argument, choice, disc, number
from eqrl.envs.core.breaking import KINDS, Breaking
from eqrl.envs.core.coordinates import Reflection
from eqrl.envs.core.documentation import with_tables
from eqrl.envs.core.fields import representation_over
from eqrl.envs.core.finite import of_finite_goals
from eqrl.envs.core.layout import StateLayout
from eqrl.envs.core.world import World
from eqrl.errors import suggestion
from eqrl.symmetry import Element, EntitySet, Field, Group, Representation, TypedBox

Fields = tuple[Field, ...]


@dataclass
class Outcome:
    """What a step meant, for all simulations.

    Attributes:
        rewards: each reward term by name, shape ``(n,)``; the reward is their sum in this order.
        success: whether the task is solved now, shape ``(n,)``.
        terminated: whether the episode ends (not by its time limit), shape ``(n,)``; nowhere by default.
        metrics: further numbers for ``info``, such as distances, shape ``(n,)`` each.
        redraw: simulations whose goal is to be drawn anew, shape ``(n,)``, or None for none.
        diverged: simulations whose physics diverged, shape ``(n,)``, or None for none; tasks leave it alone.
        members: in a fleet, the name of each simulation's robot, shape ``(n,)``; tasks leave it alone.
    """

    rewards: dict[str, NDArray[Any]]
    success: Bools
    terminated: Bools = None  # type: ignore[assignment]  # filled below
    metrics: dict[str, Floats] = field(default_factory=dict)
    redraw: Bools | None = None
    diverged: Bools | None = None
    members: NDArray[np.str_] | None = None

    def __post_init__(self) -> None:
        """Episodes end nowhere unless the task says so."""
        if self.terminated is None:
            self.terminated = np.zeros(len(self.success), dtype=bool)

    def without(self, diverged: Bools) -> Outcome:
        """The same with nothing earned, reached or ended where the physics diverged."""

        def sound(values: Floats) -> Floats:
            return np.where(diverged, 0.0, values)

        return Outcome(
            rewards={name: sound(values) for name, values in self.rewards.items()},
            success=self.success & ~diverged,
            terminated=self.terminated & ~diverged,
            metrics={name: sound(values) for name, values in self.metrics.items()},
            redraw=None if self.redraw is None else self.redraw & ~diverged,
            diverged=diverged,
        )

    @property
    def reward(self) -> Floats:
        """Sum of the terms, shape ``(n,)``."""
        total = np.zeros_like(next(iter(self.rewards.values())))
        for term in self.rewards.values():
            total = total + term
        return total


class Task(ABC):
    """A task in words: its model, its fields and reward terms by name, and what its methods mean.

    Methods that take ``world`` work on all simulations at once, those that take ``sim`` on one (``sim`` is
    ``world[i]``): what draws random numbers works on one at a time, from that simulation's own, so that a batch and
    single environments give the same bits. Tables in the class's docstring are made from what it declares.

    Attributes:
        frame_skip: physics steps a control step.
        main_body: name of the body that wind blows on.
        observation: fields of the observation; ``{key: fields}`` for a dict observation.
        action: fields of the action, each entry within [-1, 1], vectors in the unit ball.
        variables: fields of the task's own state: what is not in the simulation, such as a target. Positions are
            relative to the world's origin. It turns with the scene, and is saved with it.
        entities: entity sets that the fields repeat over.
        members: for an entity set, its members in order: bodies on slides of the world, ``{"hands": ("left",
            "right")}``, or bodies that hang on a moving one by one joint each, as the fingers of a gripper do.
        fleet_arguments: names of the arguments that say of which members :meth:`fleet` consists.
        rewards: what each reward term is, by name.
        metrics: what each further number in ``info`` is, by name.
        arguments: the declared arguments by name, those of base classes included.
        model: the compiled model.
        layout: how the simulation's state turns.
        variable_representation: how the task's own state turns.
        observation_space: typed box, or a dict of typed boxes.
        action_space: typed box.
        asymmetry: what the arguments ``breaking``, ``breaking_size`` and ``breaking_patch`` ask for.
    """

    # what follows from the arguments, build() sets on the task itself
    frame_skip: int
    main_body: str
    observation: Fields | Mapping[str, Fields]
    action: Fields
    variables: Fields = ()
    entities: tuple[EntitySet, ...] = ()
    members: Mapping[str, Sequence[str]] = MappingProxyType({})
    fleet_arguments: ClassVar[tuple[str, ...]] = ()
    rewards: ClassVar[Mapping[str, str]]
    metrics: ClassVar[Mapping[str, str]] = {}
    arguments: ClassVar[dict[str, Argument[Any]]]

    breaking = choice(*KINDS, description="what breaks the symmetry of the world")
    breaking_size = number(
        0.0,
        "by how much: gravity tilts by so many rad; wind blows along +x with so many weights of the main body; the"
        " first actuated joint is stiffened by so many torques of its actuator a rad",
    )
    breaking_patch = disc((2.0, 0.0, 1.5), 'where the wind of `"patch"` blows')

    model: mujoco.MjModel
    layout: StateLayout
    variable_representation: Representation
    observation_space: TypedBox | spaces.Dict
    action_space: TypedBox
    asymmetry: Breaking

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Give the class the signature and the docstring that follow from what it declares, and check its goals."""
        super().__init_subclass__(**kwargs)
        if (compute_reward := vars(cls).get("compute_reward")) is not None:
            cls.compute_reward = of_finite_goals(compute_reward)  # type: ignore[attr-defined]  # only goal tasks have it
        declared: dict[str, Argument[Any]] = {}
        for base in cls.__mro__:  # a class's own arguments come first, and win over those of its bases
            declared |= {n: a for n, a in vars(base).items() if isinstance(a, Argument) and n not in declared}
        cls.arguments = declared
        parameters = [
            inspect.Parameter(a.name, inspect.Parameter.KEYWORD_ONLY, default=a.default) for a in cls.arguments.values()
        ]
        cls.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        if cls.__doc__ and hasattr(cls, "observation"):
            cls.__doc__ = with_tables(cls)  # type: ignore[arg-type]  # a class declares as its instances do

    def __init__(self, **arguments: Any) -> None:
        declared = self.arguments
        for name in arguments:
            if name not in declared:
                what = f"{type(self).__name__} got an unexpected keyword argument {name!r}"
                raise TypeError(f"{what}; {suggestion(name, declared)}")
        for name, argument in declared.items():
            setattr(self, name, argument.value(arguments.get(name, argument.default)))
        self.asymmetry = Breaking(self.breaking, self.breaking_size, self.breaking_patch)
        self.model = self.build().compile()
        self.break_symmetry()
        self.asymmetry.stiffen(self.model)
        self.layout = self.state_layout()
        self.variable_representation = self._typed(self.variables)
        self.action_space = TypedBox(self._typed(self.action), -1.0, 1.0)
        if isinstance(self.observation, Mapping):
            self.observation_space = spaces.Dict({k: TypedBox(self._typed(f)) for k, f in self.observation.items()})
        else:
            self.observation_space = TypedBox(self._typed(self.observation))

    @classmethod
    def fleet(cls, arguments: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]] | None:
        """Names and arguments of the members of a fleet, where a task's arguments ask for several models at once."""
        return None

    # ------------------------------------------------------------------ the scene
    @abstractmethod
    def build(self) -> mujoco.MjSpec:
        """The model, from the arguments."""

    @property
    def group(self) -> Group:
        """The declared symmetry group; by default the one that the model itself has."""
        from eqrl.envs.robots.derived import group_of

        return group_of(self.model)

    @property
    def reflections(self) -> Mapping[str, Reflection]:
        """For a body that is its own mirror image, the diagonal that a mirror of the world applies to its own axes."""
        return {}

    def state_layout(self) -> StateLayout:
        """How the simulation's state turns; by default read from the model."""
        sets = tuple(e for e in self.entities if e.name in self.members)
        return StateLayout.of(self.model, self.group, entities=sets, members=self.members, reflections=self.reflections)

    def symmetry_in_words(self) -> tuple[str, ...]:
        """What whoever trains on it shall read about its symmetry, one line each; default: nothing."""
        return ()

    def break_symmetry(self) -> None:
        """Change the compiled model as ``breaking`` asks."""
        self.asymmetry.apply_to_model(self.model)

    def place_in_wind(self, world: World) -> Floats:
        """Where the main body is, in the coordinates of ``breaking_patch``, ``(n, 2)``; by default the world's."""
        position: Floats = world.bodies[self.main_body].position[:, :2]
        return position

    # ------------------------------------------------------------------ episodes
    @abstractmethod
    def reset(self, sim: World, rng: np.random.Generator, options: Mapping[str, Any]) -> None:
        """Draw an initial state and write it into the simulation, whose state is the model's default at entry.

        Args:
            sim: one simulation.
            rng: its random numbers.
            options: the values of those arguments that may differ from episode to episode.
        """

    @abstractmethod
    def control(self, world: World, action: Floats) -> None:
        """Turn actions, shape ``(n, action dim)``, into controls."""

    @abstractmethod
    def observe(self, world: World) -> Mapping[str, Any]:
        """``{field: array}``, or ``{key: {field: array}}`` for a dict observation; shapes ``(n, *)``."""

    @abstractmethod
    def evaluate(self, world: World, action: Floats) -> Outcome:
        """Reward, success and termination after a step; may update the task's variables."""

    def fit_model(self, sim: World) -> None:
        """Write into ``sim.model`` what the task's variables say about one simulation's own model; default: nothing.

        It runs whenever the variables are drawn, set or restored, so that they tell all of the model that may differ,
        such as a drawn friction. What it writes must follow from the variables and ``self.model`` alone.
        """

    def after_reset(self, sim: World) -> None:
        """Fill variables that derive from the reset state (after scene and goal rotations); default: nothing."""

    def redraw(self, sim: World, rng: np.random.Generator) -> None:
        """Draw a new goal in the middle of an episode."""
        raise NotImplementedError(f"{type(self).__name__} does not redraw its goal")

    def rotate_goal(self, sim: World, g: Element) -> None:
        """Turn the goal alone, the rest of the scene stays."""
        raise NotImplementedError(f"{type(self).__name__} has no goal to rotate")

    def draw_markers(self, scene: mujoco.MjvScene, sim: World) -> None:
        """Add the goal to a rendered scene; default: nothing."""

    # ------------------------------------------------------------------ what follows from the declarations
    def options(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Values of the arguments that may differ from episode to episode, read from what ``reset`` was given.

        Raises:
            ValueError: naming an option and its value.
        """
        declared = {name: a for name, a in self.arguments.items() if a.per_episode}
        return {n: a.value(given[n]) if n in given else getattr(self, n) for n, a in declared.items()}

    @property
    def dt(self) -> float:
        """Seconds a control step."""
        return float(self.model.opt.timestep) * self.frame_skip

    def _typed(self, fields: Fields) -> Representation:
        return representation_over(fields, self.entities, self.group)
