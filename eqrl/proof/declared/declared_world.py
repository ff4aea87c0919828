"""An environment that was typed from outside, as a world in which the declaration can be checked.

States are turned by the model's own symmetry, which nobody declared; observations and actions as they are declared. A
declaration that is wrong therefore disagrees with the simulation. Everything happens on a twin.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import gymnasium
import mujoco
import numpy as np
import torch
from numpy.typing import NDArray

from eqrl.derivation.elements import identity
from eqrl.derivation.remembered import derivation_of
from eqrl.proof.causes.declared_types import agree, agreeing, typing_cause
from eqrl.proof.comparison import CHAOS_FACTOR
from eqrl.proof.declared.counterparts import Candidate, counterparts, what_there_is
from eqrl.proof.declared.layers import layer_names, observing_layers, without_bookkeeping
from eqrl.proof.declared.motion import Floats, State
from eqrl.proof.declared.twin import simulation_of, variables_of
from eqrl.proof.declared.world import MujocoWorld
from eqrl.proof.differences import body_name, column_names
from eqrl.proof.objections import Objection
from eqrl.proof.rollout import turn_starts
from eqrl.proof.states import Starts
from eqrl.proof.verdict import Cause
from eqrl.proof.worlds import flatten
from eqrl.symmetry import Element, representation_of
from eqrl.symmetry.errors import DeclarationError

_SAMPLES = 48
_STEPS = 2  # an action may act a step later
_ATOL = 1e-8
_LARGEST_VARIABLE = 256


@dataclass(frozen=True, eq=False)
class Situation:
    """The state of the simulation, the bodies that are moved by hand, and the numbers that the environment keeps itself."""

    sim: State
    mocap_pos: Floats
    mocap_quat: Floats
    variables: dict[str, Any]


@dataclass(frozen=True, eq=False)
class _Counterpart:
    candidate: Candidate
    lifts: dict[str, Callable[[Any], Any]]


class DeclaredWorld:
    """A twin of a typed environment, with the methods of ``eqrl.proof.SymmetricWorld``.

    Args:
        env: the layer whose spaces are typed; what is below it, other wrappers included, is tried as it is.
        model: another version of its model.

    Raises:
        TypeError: if its state cannot be set or does not say what is observed.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], model: mujoco.MjModel | None = None) -> None:
        self._source = env
        self.name = type(env.unwrapped).__name__
        self.observation_space, self.action_space = env.observation_space, copy.deepcopy(env.action_space)
        self.observations, self.actions = representation_of(self.observation_space), representation_of(self.action_space)
        try:
            if simulation_of(env.unwrapped) is None:
                raise TypeError(
                    f"{self.name} is typed from outside, but cannot be checked: it has no MuJoCo simulation that could be set to a "
                    "state and its image. Give it the methods of eqrl.proof.SymmetricWorld (get_state, set_state, "
                    "transform_state, state_difference, nudge_state, observe, contacts)"
                )
            self.world = MujocoWorld(without_bookkeeping(env), model)
        except DeclarationError as error:
            raise TypeError(f"{self.name} cannot be checked: {error}") from error
        base = self.world.env
        if isinstance(base.action_space, gymnasium.spaces.Box):  # images of actions are not rounded to float32
            space = base.action_space
            base.action_space = gymnasium.spaces.Box(
                space.low.astype(np.float64), space.high.astype(np.float64), dtype=np.float64
            )
        self._variables = variables_of(self.world.stack, (self.world.model, self.world.data))
        self._views = None if self.world.observer is None else observing_layers(self.world.stack)
        self._found: list[tuple[Element, _Counterpart | None]] = []
        self._situations: list[Situation] = []

    # ------------------------------------------------------------------ a Gymnasium environment
    def reset(self, *, seed: int | None = None) -> tuple[Any, dict[str, Any]]:
        """Reset the twin."""
        return self.world.stack.reset(seed=seed)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Step the twin; actions are float64, since float32 would round images otherwise than what they are images of."""
        observation, reward, terminated, truncated, info = self.world.stack.step(np.asarray(action, dtype=np.float64))
        return observation, float(reward), bool(terminated), bool(truncated), info

    # ------------------------------------------------------------------ a SymmetricWorld
    def get_state(self) -> Situation:
        """The simulation's state and the environment's own variables."""
        data = self.world.data
        return Situation(
            self.world.get(),
            data.mocap_pos.copy(),
            data.mocap_quat.copy(),
            {path: copy.copy(getattr(holder, name)) for path, holder, name in self._variables},
        )

    def set_state(self, state: Situation) -> None:
        """Continue from a state, with a cold solver."""
        data = self.world.data
        self.world.set(state.sim)
        if self.world.model.nmocap:
            data.mocap_pos[:], data.mocap_quat[:] = state.mocap_pos, state.mocap_quat
            mujoco.mj_forward(self.world.model, data)
            data.qacc_warmstart[:] = 0.0
        for path, holder, name in self._variables:
            object.__setattr__(holder, name, copy.copy(state.variables[path]))

    def transform_state(self, state: Situation, g: Element) -> Situation:
        """The state of the transformed world, by the model's counterpart of the element."""
        counterpart = self._counterpart(g)
        if counterpart is None:
            raise ValueError(f"the model of {self.name} has no symmetry that moves the world so")
        return self._moved(state, counterpart)

    def state_difference(self, a: Situation, b: Situation) -> dict[str, float]:
        """Largest difference of every joint's position and velocity, and of activations; velocities relative to the fastest."""
        m = self.world.model
        names = column_names(identity(m))[: m.nq + m.nv + m.na]
        qpos, other = a.sim.qpos, b.sim.qpos.copy()
        for j in np.flatnonzero(m.jnt_type < 2):
            at = int(m.jnt_qposadr[j]) + (3 if m.jnt_type[j] == 0 else 0)
            other[at : at + 4] *= -1.0 if qpos[at : at + 4] @ other[at : at + 4] < 0 else 1.0
        fastest = max(1.0, float(np.abs(a.sim.qvel).max(initial=0.0)))
        gaps = np.concatenate([np.abs(qpos - other), np.abs(a.sim.qvel - b.sim.qvel) / fastest, np.abs(a.sim.act - b.sim.act)])
        found: dict[str, float] = {}
        for name, gap in zip(names, gaps, strict=True):
            found[name] = max(found.get(name, 0.0), float(gap)) if gap == gap else np.inf
        return found or {"nothing moves": 0.0}

    def nudge_state(self, state: Situation, size: float) -> Situation:
        """Every position and velocity a little larger."""
        return replace(state, sim=replace(state.sim, qpos=state.sim.qpos + size, qvel=state.sim.qvel + size))

    def observe(self) -> Any:
        """The observation of the current state; where nothing computes one, that after a step without action."""
        if self._views is None:
            state = self.get_state()
            observation = self.step(np.zeros(self.actions.dim))[0]
            self.set_state(state)
            return observation
        observation = self.world.observer()  # type: ignore[misc]
        for layer in self._views:
            observation = layer.observation(observation)
        return observation

    def contacts(self) -> int:
        """Number of contacts now."""
        return int(self.world.data.ncon)

    # ------------------------------------------------------------------ a ModelledWorld
    @property
    def model(self) -> mujoco.MjModel:
        """The twin's model."""
        return self.world.model

    def on_model(self, model: mujoco.MjModel, forces: bool = True) -> DeclaredWorld:
        """The same environment on another version of its model; it has no constant external forces to leave out."""
        other = DeclaredWorld(self._source, copy.copy(model))
        other._found = self._found
        return other

    # ------------------------------------------------------------------ what is declared
    def examine(self, name: str, g: Element) -> Objection | None:
        """Hold a generator against observations and single actions of many states."""
        self._check_function_of_state()
        counterpart = self._counterpart(g)
        if counterpart is None:
            R = np.round(g.R.numpy(), 3).tolist()
            there = what_there_is(derivation_of(self.model))
            return Objection(
                "model",
                np.inf,
                Cause(f"the model does not have {name!r}", f"no symmetry of the model moves the world by {R}; {there}"),
            )
        objection = self._wrong_observation(g, counterpart)
        # forces that are observed differ with the physics, whatever is declared
        unclear = objection is None or objection.cause.id.startswith("type of")
        if unclear and (fix := counterpart.candidate.but_for):
            return Objection("model", np.inf, Cause(f"the model keeps {name!r} only nearly", fix))
        return objection or self._wrong_action(g, counterpart)

    def _wrong_observation(self, g: Element, counterpart: _Counterpart) -> Objection | None:
        before = self._observed([*self._samples()])
        after = self._observed([self._moved(s, counterpart) for s in self._samples()])
        expected = self.observations.transform(before, g)
        for field, where in self.observations.slices.items():
            if not agree(expected[:, where], after[:, where]):
                size = float(np.abs(expected - after)[:, where].max())
                cause = typing_cause(self.observations, field, g, before, after, self._axes(counterpart))
                return Objection(f"observation {field}", size, cause)
        return None

    def _wrong_action(self, g: Element, counterpart: _Counterpart) -> Objection | None:
        """Act with one field at a time, and without any: what differs then only is that field's fault."""
        rng = np.random.default_rng(0)
        space: Any = self.action_space
        low, high = np.maximum(space.low, -1.0), np.minimum(space.high, 1.0)
        drawn = rng.uniform(low, high, size=(_SAMPLES // 4, self.actions.dim))
        idle = np.zeros_like(drawn)
        rest = self._action_gap(idle, idle, counterpart)
        for field, where in self.actions.slices.items():
            only = idle.copy()
            only[:, where] = drawn[:, where]
            gap = self._action_gap(only, self.actions.transform(only, g), counterpart)
            if gap > max(_ATOL, CHAOS_FACTOR * rest):
                control = counterpart.candidate.motion.control
                cause = Cause(
                    f"type of action {field}", f"field {field} does not act on the model as declared; compare order and signs"
                )
                direct = len(control) == self.actions.dim
                if direct and self._action_gap(drawn, drawn @ control.T, counterpart) <= max(_ATOL, CHAOS_FACTOR * rest):
                    cause = typing_cause(self.actions, field, g, drawn, drawn @ control.T, self._axes(counterpart))
                return Objection(f"action {field}", gap, cause)
        return None

    def _action_gap(self, actions: Floats, images: NDArray[np.floating], counterpart: _Counterpart) -> float:
        worst = 0.0
        for state, action, image in zip(self._samples(), actions, images, strict=False):
            here, there = self._after(state, action), self._after(self._moved(state, counterpart), image)
            worst = max(worst, *self.state_difference(self._moved(here, counterpart), there).values())
        return worst

    def _after(self, state: Situation, action: NDArray[np.floating]) -> Situation:
        self.set_state(state)
        for _ in range(_STEPS):
            self.step(action)
        return self.get_state()

    # ------------------------------------------------------------------ counterparts
    def _counterpart(self, g: Element) -> _Counterpart | None:
        for known, counterpart in self._found:
            if _equal(known, g):
                return counterpart
        made = self._match(g)
        self._found.append((g, made))
        return made

    def _match(self, g: Element) -> _Counterpart | None:
        """The candidate that explains most of what is observed and done."""
        samples = self._samples()
        before = self._observed(samples)
        best: tuple[float, _Counterpart] | None = None
        for candidate in counterparts(derivation_of(self.model), g.R.numpy()):
            few = samples[:6]
            plain = _Counterpart(candidate, {})
            lifted = self._lift(g, plain, few, before[: len(few)])
            wrong = self._wrong_entries(g, lifted, samples, before)
            control = candidate.motion.control
            if len(control) == self.actions.dim:
                wrong += float((np.abs(self.actions.matrix(g).numpy() - control).max(axis=1) > 1e-6).sum())
            if best is None or wrong < best[0]:
                best = wrong, lifted
            if wrong == 0:
                break
        return None if best is None else best[1]

    def _wrong_entries(self, g: Element, counterpart: _Counterpart, samples: list[Situation], before: Floats) -> float:
        after = self._observed([self._moved(s, counterpart) for s in samples])
        return float((~agreeing(self.observations.matrix(g).numpy(), before, after)).sum())

    def _lift(self, g: Element, plain: _Counterpart, samples: list[Situation], before: Floats) -> _Counterpart:
        """What the element does to the environment's own variables, such as goals and last actions.

        Nobody says how these turn. One that is observed as it is turns as that field; of the others the first of a few
        ways is taken with which most of the observation and the reward agree.
        """
        lifts: dict[str, Callable[[Any], Any]] = {}
        wrong = self._disagreement(g, plain, samples, before)
        for path in self._turning_variables(samples):
            for lift in self._ways(g, plain.candidate, samples, before, path):
                tried = _Counterpart(plain.candidate, {**lifts, path: lift})
                if (now := self._disagreement(g, tried, samples, before)) < wrong:
                    wrong, lifts = now, tried.lifts
        return _Counterpart(plain.candidate, lifts)

    def _disagreement(self, g: Element, counterpart: _Counterpart, samples: list[Situation], before: Floats) -> float:
        wrong = self._wrong_entries(g, counterpart, samples, before)
        for state in samples:
            rewards = []
            for start in (state, self._moved(state, counterpart)):
                self.set_state(start)
                rewards.append(self.step(np.zeros(self.actions.dim))[1])
            wrong += abs(rewards[0] - rewards[1]) > 1e-6 * max(1.0, abs(rewards[0]))
        return wrong

    def _turning_variables(self, samples: list[Situation]) -> list[str]:
        found = []
        for path, value in samples[0].variables.items():
            if isinstance(value, np.ndarray) and value.dtype.kind == "f" and 1 < value.size <= _LARGEST_VARIABLE:
                others = [s.variables[path] for s in samples[1:]]
                if any(np.shape(o) == value.shape and not np.array_equal(o, value) for o in others):
                    found.append(path)
        return found

    def _ways(
        self, g: Element, candidate: Candidate, samples: list[Situation], before: Floats, path: str
    ) -> list[Callable[[Any], Any]]:
        values = [np.asarray(s.variables[path], dtype=np.float64) for s in samples]
        shape, R = values[0].shape, g.R.numpy()
        ways: list[Callable[[Any], Any]] = []
        flat = np.stack([v.ravel() for v in values]) if all(v.shape == shape for v in values) else np.zeros((0, 0))
        whole = self.observations.matrix(g).numpy()
        for where in self.observations.slices.values():
            if where.stop - where.start == flat.shape[1] and np.allclose(before[:, where], flat, atol=1e-6):
                ways.append(_linear(whole[where, where]))
        if shape == (self.actions.dim,):
            ways.append(_linear(self.actions.matrix(g).numpy()))
        symmetry = candidate.motion.symmetry
        shift = np.zeros(3) if symmetry is None else symmetry.t
        if (n := (shape or (0,))[-1]) in (2, 3):
            ways += [lambda x: x @ R[:n, :n].T, lambda x: x @ R[:n, :n].T + shift[:n]]
            ways += [lambda x: x @ (np.linalg.det(R) * R).T] if n == 3 else []
        return ways

    def _moved(self, state: Situation, counterpart: _Counterpart) -> Situation:
        motion = counterpart.candidate.motion
        variables = {**state.variables, **{p: lift(state.variables[p]) for p, lift in counterpart.lifts.items()}}
        pos, quat = state.mocap_pos, state.mocap_quat
        if self.world.model.nmocap:
            assert motion.symmetry is not None
            s = state.sim
            turned = turn_starts(motion.symmetry, Starts(s.qpos[None], s.qvel[None], s.act[None], pos[None], quat[None]))
            pos, quat = turned.mocap_pos[0], turned.mocap_quat[0]
        return Situation(motion.state(state.sim), pos, quat, variables)

    def _axes(self, counterpart: _Counterpart) -> dict[str, Floats]:
        """What a counterpart does to the axes of bodies that it takes to themselves."""
        symmetry = counterpart.candidate.motion.symmetry
        assert symmetry is not None
        m = symmetry.model
        own = [b for b in range(1, m.nbody) if symmetry.bodies[b] == b]
        return {body_name(m, b): symmetry.frames[b, :3, :3] for b in own}

    # ------------------------------------------------------------------ samples
    def _samples(self) -> list[Situation]:
        if not self._situations:
            rng = np.random.default_rng(0)
            self.action_space.seed(0)
            for k in range(_SAMPLES):
                self.reset(seed=int(rng.integers(2**31)))
                for _ in range(int(rng.integers(1, 12))):
                    if self.step(self.action_space.sample())[2]:
                        break
                here = self.get_state()
                self._situations.append(replace(here, sim=self.world.disturbed(here.sim, k, rng)))
        return self._situations

    def _observed(self, states: list[Situation]) -> Floats:
        seen = []
        for state in states:
            self.set_state(state)
            seen.append(flatten(self.observe()).astype(np.float64))
        return np.stack(seen)

    def _check_function_of_state(self) -> None:
        """Refuse observations that depend on what was seen before.

        Raises:
            TypeError: naming the field.
        """
        samples = self._samples()[:4]
        first, again = self._observed(samples), self._observed(samples[::-1])[::-1]
        if not np.isfinite(first).all():
            field = self._field_at(int(np.flatnonzero(~np.isfinite(first).all(axis=0))[0]))
            raise TypeError(f"{self.name} cannot be checked: its observation {field} is not finite")
        if (changed := np.flatnonzero((first != again).any(axis=0))).size:
            layers = ", ".join(layer_names(self._source))
            raise TypeError(
                f"{self.name} cannot be checked: its observation {self._field_at(int(changed[0]))} depends on more than the "
                f"simulation's state and the environment's own numbers, such as what was seen before or chance (layers: {layers}); "
                "check the environment below such wrappers"
            )

    def _field_at(self, entry: int) -> str:
        return next(n for n, where in self.observations.slices.items() if where.start <= entry < where.stop)


def _linear(matrix: Floats) -> Callable[[Any], Any]:
    return lambda x: (np.asarray(x, dtype=np.float64).ravel() @ matrix.T).reshape(np.shape(x))


def _equal(a: Element, b: Element) -> bool:
    return (
        a.h.keys() == b.h.keys()
        and torch.allclose(a.R, b.R, atol=1e-9)
        and all(torch.allclose(a.h[k], b.h[k], atol=1e-9) for k in a.h)
    )
