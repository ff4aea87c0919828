"""An environment that was typed from outside, as a world in which the declaration can be checked.

States are turned by the model's own symmetry, which nobody declared; observations and actions as they are declared. A
declaration that is wrong therefore disagrees with the simulation. Everything happens on a twin.
"""

from __future__ import annotations

import copy
from typing import Any

import gymnasium
import mujoco
import numpy as np
import torch
from numpy.typing import NDArray

from eqrl.arrays import Floats
from eqrl.derivation.remembered import derivation_of
from eqrl.proof.causes.declared_types import agreeing, typing_cause
from eqrl.proof.comparison import CHAOS_FACTOR
from eqrl.proof.declared.counterparts import in_the_way, what_there_is
from eqrl.proof.declared.lifts import Counterpart, CounterpartSearch
from eqrl.proof.declared.motion import TwinState
from eqrl.proof.declared.typed_twin import TypedTwin
from eqrl.proof.verdict import Cause, Objection
from eqrl.symmetry import Element

_STEPS = 2  # an action may act a step later
_ATOL = 1e-8


class DeclaredWorld(TypedTwin):
    """A twin of a typed environment, with the methods of ``eqrl.proof.SymmetricWorld``.

    Arguments as of :class:`TypedTwin`.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], model: mujoco.MjModel | None = None) -> None:
        super().__init__(env, model)
        self._known: list[tuple[Element, Counterpart | None]] = []

    def transform_state(self, state: TwinState, g: Element) -> TwinState:
        """The state of the transformed world, by the model's counterpart of the element."""
        counterpart = self._counterpart(g)
        if counterpart is None:
            raise ValueError(f"the model of {self.name} has no symmetry that moves the world so")
        return counterpart.move(state)

    def on_model(self, model: mujoco.MjModel, forces: bool = True) -> DeclaredWorld:
        """The same environment on another version of its model; it has no constant external forces to leave out."""
        other = DeclaredWorld(self._source, copy.copy(model))
        other._known = self._known
        return other

    def _counterpart(self, g: Element) -> Counterpart | None:
        for known, counterpart in self._known:
            if _equal(known, g):
                return counterpart
        made = CounterpartSearch(self, g).best()
        self._known.append((g, made))
        return made

    # ------------------------------------------------------------------ what is declared
    def examine(self, name: str, g: Element) -> Objection | None:
        """Compare a generator with observations and single actions in many states."""
        self.check_function_of_state()
        counterpart = self._counterpart(g)
        if counterpart is None:
            R, derivation = g.R.numpy(), derivation_of(self.model)
            fix = (
                f"no symmetry of the model moves the world by {np.round(R, 3).tolist()}; {what_there_is(derivation)}"
                f"{in_the_way(derivation, R)}"
            )
            return Objection("model", np.inf, Cause(f"the model does not have {name!r}", fix))
        objection = self._wrong_observation(g, counterpart)
        # forces that are observed differ with the physics, whatever is declared
        unclear = objection is None or not objection.cause.explains
        if unclear and (fix := counterpart.candidate.but_for):
            return Objection("model", np.inf, Cause(f"the model keeps {name!r} only nearly", fix))
        return objection or self._wrong_action(g, counterpart)

    def _wrong_observation(self, g: Element, counterpart: Counterpart) -> Objection | None:
        before = self.observed(self.samples())
        after = self.observed([counterpart.move(s) for s in self.samples()])
        expected = self.observations.transform(before, g)
        for field, where in self.observations.slices.items():
            if not agreeing(expected[:, where], after[:, where]).all():
                size = float(np.abs(expected - after)[:, where].max())
                cause = typing_cause(self.observations, field, g, before, after, counterpart.axes)
                return Objection(f"observation {field}", size, cause)
        return None

    def _wrong_action(self, g: Element, counterpart: Counterpart) -> Objection | None:
        """Act with one field at a time, and with none: a difference that is new is that field's fault."""
        rng = np.random.default_rng(0)
        space: Any = self.action_space
        low, high = np.maximum(space.low, -1.0), np.minimum(space.high, 1.0)
        drawn = rng.uniform(low, high, size=(len(self.samples()) // 4, self.actions.dim))
        idle = np.zeros_like(drawn)
        rest = self._action_gap(idle, idle, counterpart)
        for field, where in self.actions.slices.items():
            only = idle.copy()
            only[:, where] = drawn[:, where]
            gap = self._action_gap(only, self.actions.transform(only, g), counterpart)
            if gap > max(_ATOL, CHAOS_FACTOR * rest):
                control = counterpart.candidate.motion.control
                cause = Cause(
                    f"type of action {field}",
                    f"field {field} does not act on the model as declared; compare order and signs",
                )
                direct = len(control) == self.actions.dim
                if direct and self._action_gap(drawn, drawn @ control.T, counterpart) <= max(
                    _ATOL, CHAOS_FACTOR * rest
                ):
                    cause = typing_cause(self.actions, field, g, drawn, drawn @ control.T, counterpart.axes)
                return Objection(f"action {field}", gap, cause)
        return None

    def _action_gap(self, actions: Floats, images: NDArray[np.floating], counterpart: Counterpart) -> float:
        worst = 0.0
        for state, action, image in zip(self.samples(), actions, images, strict=False):
            here, there = self._after(state, action), self._after(counterpart.move(state), image)
            worst = max(worst, *self.state_difference(counterpart.move(here), there).values())
        return worst

    def _after(self, state: TwinState, action: NDArray[np.floating]) -> TwinState:
        self.set_state(state)
        for _ in range(_STEPS):
            self.step(action)
        return self.get_state()


def _equal(a: Element, b: Element) -> bool:
    return (
        a.h.keys() == b.h.keys()
        and torch.allclose(a.R, b.R, atol=1e-9)
        and all(torch.allclose(a.h[k], b.h[k], atol=1e-9) for k in a.h)
    )
