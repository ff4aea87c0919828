"""What forms, rendering, guards and checkpoints ask of simulations, a batch of one model or a fleet of several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from eqrl.arrays import Floats
from eqrl.envs.core.packing import Observation
from eqrl.envs.core.simulation import Simulation
from eqrl.envs.core.task import Outcome, Task
from eqrl.symmetry import TypedBox


class Simulated(Protocol):
    """``n`` simulations of equal spaces that are stepped together: a ``Simulation`` or a ``Fleet``.

    Their states can be read and written too (``get_state``, ``set_state``, ``transform``, ``difference``), in a form of
    their own.

    Attributes:
        n: number of simulations.
        on_divergence: ``"stop"`` or ``"reset"``; may be changed.
        member_names: in a fleet, the name of each simulation's robot; else empty.
    """

    n: int

    @property
    def on_divergence(self) -> str:
        """What to do when the physics of a simulation diverges."""

    @property
    def member_names(self) -> tuple[str, ...]:
        """In a fleet, the name of each simulation's robot; else empty."""

    @property
    def task(self) -> Task:
        """The only task; a fleet has several and refuses."""

    @property
    def observation_space(self) -> TypedBox | spaces.Dict:
        """Of one simulation."""

    @property
    def action_space(self) -> TypedBox:
        """Of one simulation."""

    @property
    def dt(self) -> float:
        """Seconds a control step."""

    @property
    def elapsed(self) -> NDArray[np.int64]:
        """Control steps since reset, ``(n,)``."""

    @property
    def states_before(self) -> Floats:
        """MuJoCo's integration states before the last step, ``(n, size)``; shorter ones end with NaN."""

    def seed(self, seeds: Sequence[int | None]) -> None:
        """Give every simulation its own random numbers; None leaves a simulation's as they are."""

    def reset(self, ids: NDArray[np.int64] | None = None, options: Sequence[dict[str, Any]] | None = None) -> None:
        """Start new episodes."""

    def step(self, action: Floats) -> Outcome:
        """Advance all simulations by one control step."""

    def observe(self) -> Observation:
        """Observations of all simulations, freshly allocated."""

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides the next steps."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what ``state_dict`` gave."""

    def at(self, i: int) -> tuple[Simulation, int]:
        """The batch that simulation ``i`` is in, and its index there."""

    def method(self, name: str, i: int) -> Callable[..., Any]:
        """A method of the task of simulation ``i``."""

    def close(self) -> None:
        """Free threads."""
