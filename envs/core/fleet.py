"""Simulations of several models with equal spaces, stepped as one batch: robots and objects of different size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import ArrayLike, NDArray

from eqrl.arrays import Floats
from eqrl.envs.core.crew import Crew, cores, wide
from eqrl.envs.core.divergence import DivergenceError, OnDivergence, check_on_divergence, padded
from eqrl.envs.core.equal_spaces import first_difference
from eqrl.envs.core.finite import check_finite
from eqrl.envs.core.packing import Observation, concatenated
from eqrl.envs.core.simulated import Simulated
from eqrl.envs.core.simulation import Simulation, State, per_simulation
from eqrl.envs.core.task import Outcome, Task
from eqrl.symmetry import Element, TypedBox

Indices = NDArray[np.int64]


def simulate(
    tasks: Task | Mapping[str, Task],
    n: int = 1,
    n_threads: int = 0,
    scene_rotation: ArrayLike = 0.0,
    goal_rotation: ArrayLike = 0.0,
    on_divergence: str = "stop",
) -> Simulated:
    """The simulations of one task, or of a fleet with a task for each of its members.

    Arguments as of :class:`Fleet`.
    """
    kind: Any = Fleet if isinstance(tasks, Mapping) else Simulation
    simulated: Simulated = kind(tasks, n, n_threads, scene_rotation, goal_rotation, on_divergence)
    return simulated


@dataclass(frozen=True)
class FleetState:
    """The typed states of some simulations of a fleet; those of different members have different sizes.

    Attributes:
        rows: by the member's name, at which places its simulations stand among those that were asked for.
        states: by the member's name, their states in the same order.
    """

    rows: Mapping[str, Indices]
    states: Mapping[str, State]


class Fleet:
    """``n`` simulations of several tasks with equal spaces, a :class:`Simulation` for each task.

    The simulations are shared out evenly and in order: of 12 for three members, the first four are the first member's.
    Each has the bits that its member alone would have. Members are stepped at the same time, a thread each, but for
    those that would keep the others waiting: they come first, one by one on all threads. There are never more than
    ``n_threads`` at work.

    Args:
        tasks: the members' tasks by their names.
        n: number of simulations, at least one a member.
        n_threads: threads that step them, 0 for all cores.
        scene_rotation: degrees by which every initial scene is turned, one number or one a simulation.
        goal_rotation: degrees by which every goal alone is turned, likewise.
        on_divergence: as of :class:`Simulation`.

    Attributes:
        members: the simulations of each member, by its name.
        member_names: the name of each simulation's member, ``n`` of them.

    Raises:
        ValueError: naming the member whose spaces differ from the first member's, and the first difference; or for
            fewer simulations than members.
    """

    def __init__(
        self,
        tasks: Mapping[str, Task],
        n: int,
        n_threads: int = 0,
        scene_rotation: ArrayLike = 0.0,
        goal_rotation: ArrayLike = 0.0,
        on_divergence: str = "stop",
    ) -> None:
        _check_spaces(tasks)
        if n < len(tasks):
            raise ValueError(
                f"a fleet of {len(tasks)} members needs at least as many environments, and {n} is too few; give"
                f" {len(tasks)} or more (n_envs, --n-envs), or make one alone with member={next(iter(tasks))!r}"
            )
        scene = per_simulation("scene_rotation", scene_rotation, n)
        goal = per_simulation("goal_rotation", goal_rotation, n)
        threads = n_threads or cores()
        shares = np.array_split(np.arange(n), len(tasks))
        sizes = [len(rows) for rows in shares]
        # a step takes about as long as there are degrees of freedom
        work = [size * task.frame_skip * task.model.nv for size, task in zip(sizes, tasks.values(), strict=True)]
        split = wide(work, sizes, threads)
        self.n = n
        self.members: dict[str, Simulation] = {}
        self._rows: dict[str, slice] = {}
        for k, ((name, task), rows) in enumerate(zip(tasks.items(), shares, strict=True)):
            at = slice(int(rows[0]), int(rows[-1]) + 1)
            member = Simulation(task, len(rows), threads if k in split else 1, scene[at], goal[at], on_divergence)
            member.name, member.first_member = name, at.start
            self.members[name], self._rows[name] = member, at
        self.member_names = tuple(name for name, at in self._rows.items() for _ in range(at.start, at.stop))
        self._names = np.array(self.member_names)
        self._names.flags.writeable = False  # every step gives it away
        members = list(self.members.values())
        self._wide = [members[k] for k in sorted(split)]
        self._crew = Crew([member.advance for k, member in enumerate(members) if k not in split], threads)

    # ------------------------------------------------------------------ what it is
    @property
    def task(self) -> Task:
        """Refused: there is one for each member."""
        raise AttributeError("a fleet has no task of its own but one for each member; ask its get_attr('task')")

    @property
    def observation_space(self) -> TypedBox | spaces.Dict:
        """Of one simulation."""
        return self._first.observation_space

    @property
    def action_space(self) -> TypedBox:
        """Of one simulation."""
        return self._first.action_space

    @property
    def dt(self) -> float:
        """Seconds a control step, of the first member."""
        return self._first.dt

    @property
    def on_divergence(self) -> OnDivergence:
        """What to do when the physics of a simulation diverges."""
        return self._first.on_divergence

    @on_divergence.setter
    def on_divergence(self, value: str) -> None:
        for member in self.members.values():
            member.on_divergence = check_on_divergence(value)

    @property
    def divergences(self) -> int:
        """How many diverged simulations were given up; ``members[name].divergences`` are one member's."""
        return sum(member.divergences for member in self.members.values())

    @property
    def elapsed(self) -> NDArray[np.int64]:
        """Control steps since reset, ``(n,)``."""
        return np.concatenate([member.elapsed for member in self.members.values()])

    @property
    def contacts(self) -> NDArray[np.int32]:
        """Number of contacts, ``(n,)``."""
        return np.concatenate([member.contacts for member in self.members.values()])

    @property
    def states_before(self) -> Floats:
        """MuJoCo's integration states before the last step, ``(n, size)``; shorter ones end with NaN."""
        return padded([member.states_before for member in self.members.values()])

    def at(self, i: int) -> tuple[Simulation, int]:
        """The member that simulation ``i`` belongs to, and its index there."""
        name = self.member_names[i]
        return self.members[name], range(self.n)[i] - self._rows[name].start

    def method(self, name: str, i: int) -> Callable[..., Any]:
        """A method of the task of simulation ``i``; ``compute_reward`` asks the task of each transition."""
        method: Callable[..., Any] = getattr(self.at(i)[0].task, name)
        return partial(self._compute_reward, method) if name == "compute_reward" else method

    def close(self) -> None:
        """End the threads."""
        self._crew.close()

    # ------------------------------------------------------------------ episodes
    def seed(self, seeds: Sequence[int | None]) -> None:
        """Give every simulation its own random numbers; None leaves a simulation's as they are."""
        for name, member in self.members.items():
            member.seed(seeds[self._rows[name]])

    def reset(self, ids: Indices | None = None, options: Sequence[dict[str, Any]] | None = None) -> None:
        """Start new episodes; arguments as of :meth:`Simulation.reset`."""
        for member, rows, local in self._parts(ids):
            member.reset(local, None if options is None else [options[k] for k in rows.tolist()])

    def step(self, action: Floats) -> Outcome:
        """Advance all simulations by one control step.

        As :meth:`Simulation.step`, and the outcome names the members.
        """
        if action.shape != (self.n, *self.action_space.shape):
            raise ValueError(f"actions have shape {action.shape}, expected {(self.n, *self.action_space.shape)}")
        actions = [action[rows] for rows in self._rows.values()]
        for member, own in zip(self.members.values(), actions, strict=True):
            member.control(own)
        for member in self._wide:
            member.advance()
        self._crew.run()
        outcomes: list[Outcome] = []
        errors: list[DivergenceError] = []
        for member, own in zip(self.members.values(), actions, strict=True):
            try:
                outcomes.append(member.outcome(own))
            except DivergenceError as error:
                errors.append(error)
        if errors:
            raise DivergenceError.joined(errors)
        return JoinedOutcome.of(outcomes, self._names)

    def observe(self) -> Observation:
        """Observations of all simulations, freshly allocated."""
        return concatenated([member.observe() for member in self.members.values()])

    def _compute_reward(self, method: Callable[..., Any], achieved: Any, desired: Any, info: Any) -> Any:
        """Rewards of many transitions, each by the task of the member that its ``info`` names."""
        if info is None or isinstance(info, Mapping):  # one transition, or the asked environment's
            return method(achieved, desired, info)
        names = np.array([one.get("member", "") for one in info])
        if unknown := set(names.tolist()) - set(self.members):
            raise ValueError(
                "the reward of a fleet depends on the member, and info['member'] of a transition is"
                f" {sorted(unknown)[0]!r}, none of {', '.join(self.members)}; a HerReplayBuffer hands infos on with"
                " replay_buffer_kwargs=dict(copy_info_dict=True)"
            )
        check_finite("achieved_goal", achieved)  # here, so that a message counts rows of all members
        check_finite("desired_goal", desired)
        rewards = np.empty(len(names))
        for name in dict.fromkeys(names.tolist()):
            which = np.flatnonzero(names == name)
            own = [info[k] for k in which.tolist()]
            rewards[which] = self.members[name].task.compute_reward(achieved[which], desired[which], own)  # type: ignore[attr-defined]
        return rewards

    # ------------------------------------------------------------------ state and symmetry
    def get_state(self, ids: Indices | None = None) -> FleetState:
        """Copy the typed state."""
        parts = list(self._parts(ids))
        return FleetState(
            rows={member.name: rows for member, rows, _ in parts},
            states={member.name: member.get_state(local) for member, _, local in parts},
        )

    def set_state(self, state: FleetState, ids: Indices | None = None) -> None:
        """Write a typed state and bring everything derived up to date.

        Raises:
            ValueError: if it is that of other members.
        """
        parts = list(self._parts(ids))
        for member, rows, _ in parts:
            if not np.array_equal(state.rows.get(member.name, ()), rows):
                raise ValueError(
                    f"the state does not fit the simulations of member {member.name!r} that it is written to"
                )
        for member, _, local in parts:
            member.set_state(state.states[member.name], local)

    def transform(self, state: FleetState, g: Element) -> FleetState:
        """The state of the transformed world; ``g`` is one element or one for each simulation."""
        turned = {}
        for name, part in state.states.items():
            turned[name] = self.members[name].transform(part, g if g.R.ndim == 2 else g[state.rows[name]])
        return FleetState(state.rows, turned)

    def difference(self, a: FleetState, b: FleetState) -> dict[str, float]:
        """Largest absolute difference of each part of two states, as ``"member: part"``."""
        return {
            f"{name}: {part}": size
            for name in a.states
            for part, size in self.members[name].difference(a.states[name], b.states[name]).items()
        }

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides the next steps, member by member."""
        return {"members": [[name, member.state_dict()] for name, member in self.members.items()]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state_dict` gave.

        Raises:
            ValueError: if it is that of other members, or of the same in another order.
        """
        names = [name for name, _ in state["members"]]
        if names != list(self.members):
            raise ValueError(
                f"the state is that of the members {', '.join(names)}, and here are {', '.join(self.members)}"
            )
        for name, own in state["members"]:
            self.members[name].load_state_dict(own)

    @property
    def _first(self) -> Simulation:
        return next(iter(self.members.values()))

    def _parts(self, ids: Indices | None) -> Iterator[tuple[Simulation, Indices, Indices]]:
        """Each member with some of the simulations: where these stand in ``ids``, and their indices in it."""
        ids = np.arange(self.n) if ids is None else ids
        for name, member in self.members.items():
            at = self._rows[name]
            rows = np.flatnonzero((ids >= at.start) & (ids < at.stop))
            if rows.size:
                yield member, rows, ids[rows] - at.start


@dataclass
class JoinedOutcome(Outcome):
    """The outcomes of several simulations, such as a fleet's members, one after the other.

    Attributes:
        total: their rewards, shape ``(n,)``; a sum over all terms here could add a member's in another order.
    """

    total: Floats = None  # type: ignore[assignment]  # always given

    @classmethod
    def of(cls, parts: Sequence[Outcome], names: NDArray[np.str_] | None = None) -> JoinedOutcome:
        """Join them; a reward term that a member lacks is 0 there, a metric NaN.

        Args:
            parts: the outcomes.
            names: in a fleet, the name of each simulation's member.
        """
        lengths = [len(part.success) for part in parts]

        def joined(columns: Sequence[Any], missing: Any) -> Any:
            filled = [np.full(n, missing) if c is None else c for c, n in zip(columns, lengths, strict=True)]
            return np.concatenate(filled)

        def table(name: str, missing: float) -> dict[str, Any]:
            tables = [getattr(part, name) for part in parts]
            keys = dict.fromkeys(key for one in tables for key in one)
            return {key: joined([one.get(key) for one in tables], missing) for key in keys}

        def flags(name: str) -> Any:
            columns = [getattr(part, name) for part in parts]
            return None if all(c is None for c in columns) else joined(columns, False)

        return cls(
            rewards=table("rewards", 0.0),
            success=joined([part.success for part in parts], False),
            terminated=joined([part.terminated for part in parts], False),
            metrics=table("metrics", np.nan),
            redraw=flags("redraw"),
            diverged=flags("diverged"),
            members=names,
            total=joined([part.reward for part in parts], 0.0),
        )

    @property
    def reward(self) -> Floats:
        """Rewards, shape ``(n,)``."""
        return self.total


def _check_spaces(tasks: Mapping[str, Task]) -> None:
    if not tasks:
        raise ValueError("a fleet needs at least one member, such as members={'T': {'shape': 'T'}}")
    (first, reference), *others = tasks.items()
    for name, task in others:
        for what in ("observation_space", "action_space"):
            difference = first_difference(getattr(reference, what), getattr(task, what))
            if difference is not None:
                space = what.replace("_", " ")
                raise ValueError(
                    f"the members of a fleet need equal spaces; compared with member {first!r}, the {space} of member"
                    f" {name!r} {difference}"
                )
