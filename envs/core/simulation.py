"""A batch of simulations of one task: what all forms of an environment share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import mujoco
import numpy as np
from gymnasium import spaces
from gymnasium.utils import seeding
from mujoco.batch import Batch
from numpy.typing import ArrayLike, NDArray

from eqrl.arrays import Bools, Floats
from eqrl.envs.core.divergence import BatchWatch, check_on_divergence
from eqrl.envs.core.finite import check_finite
from eqrl.envs.core.packing import Observation, Packer
from eqrl.envs.core.task import Outcome, Task
from eqrl.envs.core.world import World
from eqrl.symmetry import Element, TypedBox, about_gravity

_POSITIONS_AND_VELOCITIES = mujoco.mjtStage.mjSTAGE_VEL
_OPTIONS = ("scene_rotation", "goal_rotation")


@dataclass(frozen=True)
class State:
    """The whole typed state of some simulations, enough to continue or to transform them.

    Attributes:
        qpos: ``(n, nq)``.
        qvel: ``(n, nv)``.
        warmstart: the solver's starting point, an acceleration, ``(n, nv)``.
        mocap_pos: positions of mocap bodies, ``(n, nmocap, 3)``.
        mocap_quat: their quaternions, ``(n, nmocap, 4)``.
        time: seconds, ``(n,)``.
        variables: the task's own state, ``(n, dim)``.
        elapsed: control steps since reset, ``(n,)``.
    """

    qpos: Floats
    qvel: Floats
    warmstart: Floats
    mocap_pos: Floats
    mocap_quat: Floats
    time: Floats
    variables: Floats
    elapsed: NDArray[np.int64]


class Simulation:
    """``n`` simulations of a task, stepped on native threads.

    Args:
        task: the task.
        n: number of simulations.
        n_threads: threads that step them, 0 for all cores.
        scene_rotation: degrees by which every initial scene is turned, one number or one a simulation.
        goal_rotation: degrees by which every goal alone is turned, likewise.
        on_divergence: what to do when the physics of a simulation diverges: ``"stop"`` with an error, or ``"reset"``,
            which marks the simulation in ``Outcome.diverged`` and leaves it in the model's default state for the caller
            to reset.

    Attributes:
        divergences: how many diverged simulations were given up.
        first_member: index of its first simulation among all environments that are stepped together, for messages.
        name: what messages call it, where it is one of several.
        trace: a list to which every physics step adds the integration states, ``(n, size)``, for who shows the motion
            between control steps; None for none. The bits of the simulation do not depend on it.
    """

    member_names: tuple[str, ...] = ()

    def __init__(
        self,
        task: Task,
        n: int = 1,
        n_threads: int = 0,
        scene_rotation: ArrayLike = 0.0,
        goal_rotation: ArrayLike = 0.0,
        on_divergence: str = "stop",
    ) -> None:
        if n < 1:
            raise ValueError(f"the number of simulations must be at least 1, got {n}")
        self.task = task
        self.n = n
        self.rotations = {
            "scene_rotation": per_simulation("scene_rotation", scene_rotation, n),
            "goal_rotation": per_simulation("goal_rotation", goal_rotation, n),
        }
        self.batch = Batch(task.model, n, n_threads)
        self.world = World(self.batch, task.model, task.layout, task.variable_representation)
        self.pack = Packer(task.observation_space, n)
        self.main_body = task.model.body(task.main_body).id
        self.contacts = self.batch.bind("ncon")
        self.on_divergence = check_on_divergence(on_divergence)
        self.divergences = 0
        self.first_member = 0
        self.name = ""
        self.trace: list[Floats] | None = None
        self.watch = BatchWatch(self.batch)
        self.elapsed = np.zeros(n, dtype=np.int64)
        self._own_models = type(task).fit_model is not Task.fit_model
        self.rngs: list[np.random.Generator] = [seeding.np_random(None)[0] for _ in range(n)]

    # ------------------------------------------------------------------ episodes
    def seed(self, seeds: Sequence[int | None]) -> None:
        """Give every simulation its own random numbers; None leaves a simulation's as they are."""
        for i, seed in enumerate(seeds):
            if seed is not None:
                self.rngs[i] = seeding.np_random(int(seed))[0]

    def reset(self, ids: NDArray[np.int64] | None = None, options: Sequence[dict[str, Any]] | None = None) -> None:
        """Start new episodes.

        Args:
            ids: the simulations, None for all.
            options: reset options, one dict for each of them.

        Raises:
            ValueError: for an option that neither the task nor the simulation knows.
        """
        ids = np.arange(self.n) if ids is None else ids
        self.batch.reset(ids, stage=mujoco.mjtStage.mjSTAGE_NONE)
        self.world.data.xfrc_applied[ids] = 0.0
        self.elapsed[ids] = 0
        for k, i in enumerate(ids.tolist()):
            given = dict(options[k]) if options is not None else {}
            angles = {name: float(given.pop(name, self.rotations[name][i])) for name in _OPTIONS}
            for name, angle in angles.items():
                if not np.isfinite(angle):
                    raise ValueError(f"reset option {name}={angle!r} must be a finite number of degrees")
            chosen = self.task.options(given)
            if unknown := set(given) - set(chosen):
                raise ValueError(
                    f"reset option {sorted(unknown)[0]!r} is not known; the options are {sorted({*chosen, *_OPTIONS})}"
                )
            self.world.variable_array[i] = 0.0
            self.task.reset(self.world[i], self.rngs[i], chosen)
            if angles["scene_rotation"] % 360.0 != 0.0:
                turn = about_gravity(np.deg2rad(angles["scene_rotation"]))
                self._write(self.transform(self.get_state(np.array([i])), turn), np.array([i]))
            if angles["goal_rotation"] % 360.0 != 0.0:
                self.task.rotate_goal(self.world[i], about_gravity(np.deg2rad(angles["goal_rotation"])))
        if not self.task.asymmetry.local:
            self.task.asymmetry.apply_to_forces(self.task.model, self.world.data.xfrc_applied, self.main_body)
        self._fit_models(ids)
        self.batch.forward(ids, stage=_POSITIONS_AND_VELOCITIES)
        for i in ids.tolist():
            self.task.after_reset(self.world[i])

    def step(self, action: Floats) -> Outcome:
        """Advance all simulations by one control step.

        Args:
            action: shape ``(n, action dim)``.

        Raises:
            ValueError: for another shape, or for actions that are not finite.
            DivergenceError: if the physics diverged and ``on_divergence`` is ``"stop"``.
        """
        self.control(action)
        self.advance()
        return self.outcome(action)

    def control(self, action: Floats) -> None:
        """First part of a step: turn actions into controls."""
        if action.shape != (self.n, *self.task.action_space.shape):
            raise ValueError(f"actions have shape {action.shape}, expected {(self.n, *self.task.action_space.shape)}")
        check_finite("action", action, self.first_member)  # MuJoCo would ignore such controls, with a warning alone
        self.watch.remember()
        if self.task.asymmetry.local:
            position = self.task.place_in_wind(self.world)
            self.task.asymmetry.apply_to_forces(self.task.model, self.world.data.xfrc_applied, self.main_body, position)
        self.task.control(self.world, action)

    def advance(self) -> None:
        """Second part: the physics alone, which leaves Python's interpreter lock to others."""
        if self.trace is None:
            self.batch.step(nstep=self.task.frame_skip, stage=_POSITIONS_AND_VELOCITIES)
            return
        for _ in range(self.task.frame_skip):
            self.batch.step(nstep=1, stage=_POSITIONS_AND_VELOCITIES)
            self.trace.append(self.batch.state.copy())

    def outcome(self, action: Floats) -> Outcome:
        """Third part: what the step meant."""
        self.elapsed += 1
        diverged = self.watch.diverged()
        if diverged is not None:
            self._give_up(diverged, action)
        outcome = self.task.evaluate(self.world, action)
        if diverged is not None:
            outcome = outcome.without(diverged)
        if outcome.redraw is not None:
            for i in np.flatnonzero(outcome.redraw):
                self.task.redraw(self.world[int(i)], self.rngs[i])
        return outcome

    def _give_up(self, diverged: Bools, action: Floats) -> None:
        if self.on_divergence == "stop":
            raise self.watch.error(diverged, action, self.first_member, self.name)
        self.divergences += int(diverged.sum())
        # to where every number is finite; nothing random is drawn here, so that the others keep their bits
        self.batch.reset(np.flatnonzero(diverged), stage=_POSITIONS_AND_VELOCITIES)

    def observe(self) -> Observation:
        """Observations of all simulations, freshly allocated."""
        return self.pack(self.task.observe(self.world))

    # ------------------------------------------------------------------ what forms ask, of a fleet as well
    @property
    def observation_space(self) -> TypedBox | spaces.Dict:
        """Of one simulation."""
        return self.task.observation_space

    @property
    def action_space(self) -> TypedBox:
        """Of one simulation."""
        return self.task.action_space

    @property
    def dt(self) -> float:
        """Seconds a control step."""
        return self.task.dt

    @property
    def states_before(self) -> Floats:
        """MuJoCo's integration states before the last step, ``(n, size)``."""
        return self.watch.before

    def at(self, i: int) -> tuple[Simulation, int]:
        """The batch that simulation ``i`` is in, and its index there."""
        return self, i

    def method(self, name: str, i: int) -> Callable[..., Any]:
        """A method of the task of simulation ``i``."""
        method: Callable[..., Any] = getattr(self.task, name)
        return method

    def close(self) -> None:
        """Nothing is open."""

    # ------------------------------------------------------------------ state and symmetry
    def get_state(self, ids: NDArray[np.int64] | None = None) -> State:
        """Copy the typed state."""
        ids = np.arange(self.n) if ids is None else ids
        data = self.world.data
        return State(
            qpos=data.qpos[ids].copy(),
            qvel=data.qvel[ids].copy(),
            warmstart=data.qacc_warmstart[ids].copy(),
            mocap_pos=data.mocap_pos[ids].copy(),
            mocap_quat=data.mocap_quat[ids].copy(),
            time=data.time[ids].copy(),
            variables=self.world.variable_array[ids].copy(),
            elapsed=self.elapsed[ids].copy(),
        )

    def set_state(self, state: State, ids: NDArray[np.int64] | None = None) -> None:
        """Write a typed state and bring everything derived up to date."""
        ids = np.arange(self.n) if ids is None else ids
        self._write(state, ids)
        self._fit_models(ids)
        self.batch.forward(ids, stage=_POSITIONS_AND_VELOCITIES)

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides the next steps: physics, the task's own state, clocks, random numbers."""
        return {
            "physics": self.batch.state.copy(),
            "variables": self.world.variable_array.copy(),
            "elapsed": self.elapsed.copy(),
            "random": list(self.rngs),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state_dict` gave.

        Raises:
            ValueError: if it is that of another task or number of simulations.
        """
        for name, here in (
            ("physics", self.batch.state),
            ("variables", self.world.variable_array),
            ("elapsed", self.elapsed),
        ):
            if state[name].shape != here.shape:
                raise ValueError(f"the {name} have shape {state[name].shape}, those of this simulation {here.shape}")
            here[...] = state[name]
        for rng, saved in zip(self.rngs, state["random"], strict=True):
            rng.bit_generator.state = saved.bit_generator.state  # in place: the environment holds it too
        self._fit_models(np.arange(self.n))
        self.batch.forward(stage=_POSITIONS_AND_VELOCITIES)

    def transform(self, state: State, g: Element) -> State:
        """The state of the transformed world."""
        layout = self.task.layout
        mocap_pos, mocap_quat = layout.transform_mocap(state.mocap_pos, state.mocap_quat, g)
        return replace(
            state,
            mocap_pos=mocap_pos,
            mocap_quat=mocap_quat,
            qpos=layout.transform_qpos(state.qpos, g),
            qvel=layout.transform_qvel(state.qvel, g),
            warmstart=layout.transform_qvel(state.warmstart, g),
            variables=self.task.variable_representation.transform(state.variables, g).astype(np.float64, copy=False),
        )

    def difference(self, a: State, b: State) -> dict[str, float]:
        """Largest absolute difference of each part of two states; quaternions count up to their sign."""
        return {
            **self.task.layout.qpos_difference(a.qpos, b.qpos),
            "velocities": float(np.abs(a.qvel - b.qvel).max(initial=0.0)),
            **{
                f"variable {name}": float(np.abs(a.variables[:, where] - b.variables[:, where]).max(initial=0.0))
                for name, where in self.task.variable_representation.slices.items()
            },
        }

    def _write(self, state: State, ids: NDArray[np.int64]) -> None:
        data = self.world.data
        data.qpos[ids] = state.qpos
        data.qvel[ids] = state.qvel
        data.qacc_warmstart[ids] = state.warmstart
        data.mocap_pos[ids] = state.mocap_pos
        data.mocap_quat[ids] = state.mocap_quat
        data.time[ids] = np.reshape(state.time, data.time[ids].shape)
        self.world.variable_array[ids] = state.variables
        self.elapsed[ids] = state.elapsed

    def _fit_models(self, ids: NDArray[np.int64]) -> None:
        """Bring the models of some simulations in line with the task's variables, and what MuJoCo derives from them."""
        if self._own_models:
            for i in ids.tolist():
                self.task.fit_model(self.world[i])
            self.batch.set_const(ids)


def per_simulation(name: str, value: ArrayLike, n: int) -> Floats:
    """One finite number of degrees a simulation, from one or from ``n``.

    Raises:
        ValueError: for another count or a number that is not finite.
    """
    array = np.asarray(value, dtype=np.float64)
    if array.ndim > 1 or (array.ndim == 1 and array.shape[0] != n) or not np.all(np.isfinite(array)):
        raise ValueError(f"{name} must be one finite number of degrees or {n} of them, got {value!r}")
    return np.broadcast_to(array, (n,)).copy()
